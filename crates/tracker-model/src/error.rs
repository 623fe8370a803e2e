use std::{fmt, time::Duration};

/// The result of every call of the contract.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The run, file, artifact or project does not exist.
    NotFound,
    /// It exists already, and the call asked that it should not.
    AlreadyExists,
    /// Nobody said who they are, or the key is wrong.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// The service asks to slow down.
    RateLimited,
    /// The call itself is wrong; the same call never succeeds.
    InvalidInput,
    /// This tracker cannot do this; see [`crate::Capabilities`].
    Unsupported,
    /// Somebody else changed the thing meanwhile, or holds it.
    Conflict,
    /// Stored or received bytes are not what they should be.
    Corrupt,
    /// The disk is full or a quota is used up.
    StorageFull,
    /// The service or the disk does not answer now.
    Unavailable,
    /// Anything that should not happen.
    Unexpected,
}

/// Whether the same call may succeed later. Decided once, where the failure was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// After a while, growing with each try.
    Backoff,
    /// Not before this long.
    After(Duration),
    /// It was tried again already, to the end of the patience.
    Exhausted,
}

/// What went wrong, with what the caller can do about it.
///
/// The message is one line, lower case, and says what was being done to what. It never holds a
/// secret.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error that is not worth a retry.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Unavailable | ErrorKind::RateLimited => Retry::Backoff,
            _ => Retry::Never,
        };
        Self(Box::new(Inner {
            kind,
            retry,
            message: message.into(),
            hint: None,
            source: None,
        }))
    }

    /// Shorthand for [`ErrorKind::NotFound`]: `what` as in "run local/p/r".
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("{what} does not exist"))
    }

    /// Shorthand for [`ErrorKind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// The cause below.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the user can do, one line.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Whether a retry helps.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Says what was being done: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// What the caller can act on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether a retry helps.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// What the user can do, if there is something to say.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The message without the causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("retry", &self.0.retry)
            .field("message", &self.0.message)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|s| &**s as &(dyn std::error::Error + 'static))
    }
}
