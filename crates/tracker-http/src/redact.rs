use std::fmt;

use url::Url;

/// Characters of a query that are shown.
const MAX_QUERY: usize = 200;

/// An address as it may be shown: without user and password, without the values of signed or
/// secret query parameters, without fragment. A long query is cut.
#[derive(Clone)]
pub struct RedactedUrl {
    url: Url,
    hidden: bool,
}

impl RedactedUrl {
    /// Wraps an address that is shown in its harmless parts.
    pub fn new(url: Url) -> Self {
        Self { url, hidden: false }
    }

    /// Wraps an address of which nothing but the server is shown, such as a presigned one.
    pub fn hidden(url: Url) -> Self {
        Self { url, hidden: true }
    }

    /// The address itself, secrets included.
    pub fn expose(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            self.url.scheme(),
            self.url.host_str().unwrap_or_default()
        )?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        if self.hidden {
            return f.write_str("/…");
        }
        f.write_str(self.url.path())?;
        let Some(query) = self.url.query() else {
            return Ok(());
        };
        let mut shown = 0;
        for (place, pair) in query.split('&').enumerate() {
            f.write_str(if place == 0 { "?" } else { "&" })?;
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = if is_secret(name) { "***" } else { value };
            shown += name.len() + value.len() + 2;
            if shown > MAX_QUERY {
                return f.write_str("…");
            }
            f.write_str(name)?;
            if pair.contains('=') {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedactedUrl({self})")
    }
}

impl From<Url> for RedactedUrl {
    fn from(url: Url) -> Self {
        Self::new(url)
    }
}

/// Whether the value of a query parameter of this name is kept to ourselves.
fn is_secret(name: &str) -> bool {
    const EXACT: [&str; 8] = [
        "sig",
        "key",
        "code",
        "auth",
        "policy",
        "awsaccesskeyid",
        "googleaccessid",
        "jwt",
    ];
    const PARTS: [&str; 9] = [
        "token",
        "secret",
        "passw",
        "signature",
        "credential",
        "api_key",
        "apikey",
        "api-key",
        "authorization",
    ];
    const HARMLESS: [&str; 4] = [
        "page_token",
        "pagetoken",
        "next_page_token",
        "nextpagetoken",
    ];
    // An encoded name is decoded first: `%74oken` is a token.
    let name = url::form_urlencoded::parse(name.as_bytes())
        .next()
        .map(|(name, _)| name.to_ascii_lowercase())
        .unwrap_or_default();
    let name = name.as_str();
    !HARMLESS.contains(&name)
        && (EXACT.contains(&name) || PARTS.iter().any(|part| name.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, shown: &str) {
        let url = RedactedUrl::new(Url::parse(url).unwrap());
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("RedactedUrl({shown})"));
    }

    #[test]
    fn what_is_shown_of_an_address() {
        check(
            "http://host:5000/a/b?run_id=8f&page_token=xyz",
            "http://host:5000/a/b?run_id=8f&page_token=xyz",
        );
        check("https://user:canary@host/a", "https://host/a");
        check("https://canary@host/a#canary", "https://host/a");
        check(
            "https://host/a?X-Amz-Signature=canary&x=1",
            "https://host/a?X-Amz-Signature=***&x=1",
        );
        check(
            "https://host/a?sig=canary&se=2026&sv=2",
            "https://host/a?sig=***&se=2026&sv=2",
        );
        check(
            "https://host/a?%74oken=canary",
            "https://host/a?%74oken=***",
        );
        check(
            "https://host/?access_token=canary&flag",
            "https://host/?access_token=***&flag",
        );
        check("http://[::1]:8080/x", "http://[::1]:8080/x");
    }

    #[test]
    fn a_long_query_is_cut() {
        let mut url = Url::parse("http://host/bulk").unwrap();
        for run in 0..100 {
            url.query_pairs_mut()
                .append_pair("run_ids", &format!("{run:032}"));
        }
        let shown = RedactedUrl::new(url).to_string();
        assert!(shown.len() < 300 && shown.ends_with('…'), "{shown}");
    }

    #[test]
    fn a_hidden_address_shows_the_server_alone() {
        let url =
            RedactedUrl::hidden(Url::parse("https://bucket.example/canary?x=canary").unwrap());
        assert_eq!(url.to_string(), "https://bucket.example/…");
    }

    proptest::proptest! {
        #[test]
        fn a_token_is_never_shown(before in "[a-z=&%]{0,10}", after in "[a-z=&%#]{0,10}") {
            let url = Url::parse(&format!("http://me:canary@host/?{before}&token=canary&{after}")).unwrap();
            proptest::prop_assert!(!RedactedUrl::new(url).to_string().contains("canary"));
        }
    }
}
