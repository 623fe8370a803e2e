use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::RedactedUrl;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, in terms of what a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server has no such thing (404, 410).
    NotFound,
    /// The server does not know who asks (401, or a proxy's 407).
    Unauthenticated,
    /// The server knows who asks, and says no (403).
    PermissionDenied,
    /// The server asks to slow down (429).
    RateLimited,
    /// The request is wrong: another 4xx status, an option, a header, an address.
    InvalidInput,
    /// The server does not do this, or has it switched off (405, 501, a lasting 503).
    Unsupported,
    /// The state of the server contradicts the request (409, 412), or what was read has changed
    /// meanwhile.
    Conflict,
    /// No answer, or an answer that says to come again later: no connection, a timeout, 408, 5xx.
    Unavailable,
    /// The answer is not what it should be: cut off, not JSON, HTML instead of JSON.
    Corrupt,
    /// The answer is larger than the given limit.
    TooLarge,
    /// The server's certificate is not trusted, or the TLS options are wrong.
    Tls,
    /// Something else.
    Unexpected,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// It cannot, or it would not be safe.
    Never,
    /// After the time that the server asked for.
    After(Duration),
    /// After some time, longer each time.
    Backoff,
    /// It was tried as often as the options allow.
    Exhausted,
}

/// A failed request.
///
/// The message is one line without secrets:
/// `GET http://host/path: server answered 503 after 5 tries in 21.4 s: the database is locked`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    target: Option<(Method, RedactedUrl)>,
    message: String,
    detail: Option<String>,
    status: Option<StatusCode>,
    code: Option<String>,
    tries: u32,
    elapsed: Duration,
    overload: bool,
    source: Option<Source>,
}

impl Error {
    /// An error that is not worth another try.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: Retry::Never,
            target: None,
            message: message.into(),
            detail: None,
            status: None,
            code: None,
            tries: 0,
            elapsed: Duration::ZERO,
            overload: false,
            source: None,
        }))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether the cause may pass: another try, now or later, may succeed.
    pub fn is_temporary(&self) -> bool {
        self.0.retry != Retry::Never
    }

    /// The status that the server answered, if it answered.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The server's own code for the error, as in `{"error_code": "RESOURCE_DOES_NOT_EXIST"}`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The server's own words, or the cause in those of the system: one line of at most 300
    /// characters.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What was asked for.
    pub fn url(&self) -> Option<&RedactedUrl> {
        self.0.target.as_ref().map(|(_, url)| url)
    }

    /// How often it was tried; 0 if nothing was sent.
    pub fn tries(&self) -> u32 {
        self.0.tries
    }

    /// The time from the first try to the last failure, waits included.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// Whether this tells of a server or a line with too much to do.
    pub(crate) fn is_overload(&self) -> bool {
        self.0.overload
    }

    pub(crate) fn with_target(mut self, method: &Method, url: &RedactedUrl) -> Self {
        self.0.target = Some((method.clone(), url.clone()));
        self
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into()).filter(|detail| !detail.is_empty());
        self
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn with_code(mut self, code: Option<String>) -> Self {
        self.0.code = code;
        self
    }

    pub(crate) fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    pub(crate) fn with_tries(mut self, tries: u32, elapsed: Duration) -> Self {
        self.0.tries = tries;
        self.0.elapsed = elapsed;
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn overloaded(mut self) -> Self {
        self.0.overload = true;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            target,
            message,
            detail,
            tries,
            elapsed,
            ..
        } = &*self.0;
        if let Some((method, url)) = target {
            write!(f, "{method} {url}: ")?;
        }
        f.write_str(message)?;
        if *tries > 1 {
            write!(f, " after {tries} tries in {:.1} s", elapsed.as_secs_f64())?;
        }
        match detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("retry", &self.0.retry)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("message", &self.to_string())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}
