use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::{Error, ErrorKind, Result};

/// Who asks. Nothing of it is ever shown but its kind.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// A user with a password, as `Authorization: Basic`.
    Basic {
        /// The name of the user.
        user: String,
        /// The password; may be empty.
        password: SecretString,
    },
    /// A token, as `Authorization: Bearer`.
    Bearer(SecretString),
    /// Headers of the service's own, each with its secret value.
    Headers(Vec<(HeaderName, SecretString)>),
}

impl Credentials {
    /// A user with a password.
    pub fn basic(user: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self::Basic {
            user: user.into(),
            password: password.into(),
        }
    }

    /// A token.
    pub fn bearer(token: impl Into<SecretString>) -> Self {
        Self::Bearer(token.into())
    }

    /// The user and password of an address, if it has any: `https://user:password@host`.
    pub fn from_url(url: &Url) -> Option<Self> {
        if url.username().is_empty() && url.password().is_none() {
            return None;
        }
        Some(Self::basic(
            decode(url.username()),
            decode(url.password().unwrap_or_default()),
        ))
    }

    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic { .. } => f.write_str("Basic(***)"),
            Self::Bearer(_) => f.write_str("Bearer(***)"),
            Self::Headers(headers) => {
                f.write_str("Headers")?;
                f.debug_list()
                    .entries(headers.iter().map(|(name, _)| name))
                    .finish()
            }
        }
    }
}

/// Credentials in the form in which they are sent.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What must not be shown, should a server send it back.
    secrets: Vec<SecretString>,
}

impl Authorization {
    pub(crate) fn new(credentials: &Credentials) -> Result<Self> {
        let mut headers = Vec::new();
        let mut secrets = Vec::new();
        match credentials {
            Credentials::None => {}
            Credentials::Basic { user, password } => {
                if user.contains(':') {
                    let message =
                        "the user name holds a colon, which basic authentication cannot carry";
                    return Err(Error::new(ErrorKind::InvalidInput, message));
                }
                let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
                headers.push((
                    AUTHORIZATION,
                    secret_header("password", format!("Basic {pair}"))?,
                ));
                secrets.push(password.clone());
                secrets.push(pair.into());
            }
            Credentials::Bearer(token) => {
                let token = token.expose_secret().trim();
                headers.push((
                    AUTHORIZATION,
                    secret_header("token", format!("Bearer {token}"))?,
                ));
                secrets.push(token.into());
            }
            Credentials::Headers(pairs) => {
                for (name, secret) in pairs {
                    let value = secret_header(name.as_str(), secret.expose_secret().to_owned())?;
                    headers.push((name.clone(), value));
                    secrets.push(secret.clone());
                }
            }
        }
        Ok(Self { headers, secrets })
    }

    /// The text without our secrets, in case that a server sent them back.
    pub(crate) fn scrub(&self, text: String) -> String {
        // Shorter ones guard nothing, and would hide half of an innocent sentence.
        let secrets = self.secrets.iter().map(|secret| secret.expose_secret());
        secrets
            .filter(|secret| secret.len() >= 4)
            .fold(text, |text, secret| {
                if text.contains(secret) {
                    text.replace(secret, "***")
                } else {
                    text
                }
            })
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.headers.iter().map(|(name, _)| name))
            .finish()
    }
}

fn secret_header(what: &str, value: String) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).map_err(|_| {
        let message = format!("the {what} holds characters that an HTTP header cannot carry");
        Error::new(ErrorKind::InvalidInput, message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn decode(part: &str) -> String {
    // A percent sign that begins no escape stands for itself.
    let bytes = part.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = part
            .get(at + 1..at + 3)
            .filter(|digits| byte == b'%' && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                decoded.push(escaped);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_of_an_address() {
        let url = Url::parse("https://me%40home:p%25a%2Fs%+fs%@host/").unwrap();
        let Some(Credentials::Basic { user, password }) = Credentials::from_url(&url) else {
            panic!("no credentials");
        };
        assert_eq!(
            (user.as_str(), password.expose_secret()),
            ("me@home", "p%a/s%+fs%")
        );
        assert!(Credentials::from_url(&Url::parse("https://host/").unwrap()).is_none());
    }

    #[test]
    fn what_a_header_cannot_carry_is_refused_without_showing_it() {
        let error = Authorization::new(&Credentials::bearer("cana\nry")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            error.to_string(),
            "the token holds characters that an HTTP header cannot carry"
        );
        assert!(Authorization::new(&Credentials::basic("a:b", "x")).is_err());
    }

    #[test]
    fn a_secret_that_comes_back_is_hidden() {
        let authorization = Authorization::new(&Credentials::basic("me", "canary")).unwrap();
        let echoed = "you sent bWU6Y2FuYXJ5, that is me:canary".to_owned();
        assert_eq!(authorization.scrub(echoed), "you sent ***, that is me:***");
    }
}
