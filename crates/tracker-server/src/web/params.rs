use std::{convert::Infallible, fmt};

use axum::{extract::FromRequestParts, http::request::Parts};
use percent_encoding::utf8_percent_encode;

use crate::signed::SEGMENT;

/// What stands behind the `?` of an address, in its order.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=1&b=2`, of an address or of a form.
    pub(super) fn read(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// What is said of a name; nothing if it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut mine = self.0.iter().filter(|(key, _)| key == name);
        mine.find_map(|(_, value)| Some(value.trim()).filter(|value| !value.is_empty()))
    }

    /// All that is said of a name, but for what is empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let mine = self.0.iter().filter(move |(key, _)| key == name);
        mine.map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The number of a page, from 1.
    pub(super) fn page(&self) -> usize {
        let page = self.get("page").and_then(|page| page.parse().ok());
        page.unwrap_or(1).max(1)
    }

    /// The same but for this.
    pub(super) fn with(&self, name: &str, value: impl fmt::Display) -> Self {
        let mut changed = self.without(name);
        changed.0.push((name.to_owned(), value.to_string()));
        changed
    }

    /// The same without this, and without what is empty.
    pub(super) fn without(&self, name: &str) -> Self {
        let kept = |(key, value): &&(String, String)| key != name && !value.is_empty();
        Self(self.0.iter().filter(kept).cloned().collect())
    }
}

/// As an address has it, with the `?`; without one if there is nothing to say.
impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut out = url::form_urlencoded::Serializer::new(String::new());
        write!(f, "?{}", out.extend_pairs(&self.0).finish())
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(parts.uri.query().unwrap_or_default().as_bytes()))
    }
}

/// `/a/b/c` of names.
pub(super) fn address<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for part in parts {
        out.push('/');
        out.extend(utf8_percent_encode(part, SEGMENT));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_any_text() {
        assert_eq!(address(["a b", "c&\"<", "ü"]), "/a%20b/c%26%22%3C/%C3%BC");
        let params = Params::read(b"filter=a+%3E+1&run=x&run=y&empty=&page=0");
        assert_eq!(params.get("filter"), Some("a > 1"));
        assert_eq!(params.all("run").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((params.get("empty"), params.page()), (None, 1));
        let text = params.without("run").with("page", 2).to_string();
        assert_eq!(text, "?filter=a+%3E+1&page=2");
        assert_eq!(Params::default().to_string(), "");
    }
}
