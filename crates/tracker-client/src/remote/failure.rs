//! Failures of requests as errors of the contract.

use std::fmt::Display;

use tracker_http::ErrorKind as Http;
use tracker_model::{Error, ErrorKind, Retry};

/// The error for a failed request, with what was being done.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it takes the place of the other"
)]
pub(super) fn failure(error: tracker_http::Error, doing: impl Display) -> Error {
    let kind = match error.kind() {
        Http::NotFound => ErrorKind::NotFound,
        Http::Unauthenticated => ErrorKind::Unauthenticated,
        Http::PermissionDenied => ErrorKind::PermissionDenied,
        Http::RateLimited => ErrorKind::RateLimited,
        Http::InvalidInput | Http::Tls | Http::TooLarge => ErrorKind::InvalidInput,
        Http::Unsupported => ErrorKind::Unsupported,
        Http::Conflict => ErrorKind::Conflict,
        Http::Unavailable => ErrorKind::Unavailable,
        Http::Corrupt => ErrorKind::Corrupt,
        _ => ErrorKind::Unexpected,
    };
    let retry = match error.retry() {
        tracker_http::Retry::After(wait) => Retry::After(wait),
        tracker_http::Retry::Backoff => Retry::Backoff,
        tracker_http::Retry::Exhausted => Retry::Exhausted,
        _ => Retry::Never,
    };
    let out = Error::new(kind, format!("{doing}: {error}")).with_retry(retry);
    match kind {
        ErrorKind::Unauthenticated => out.with_hint("log in with a key that this server knows"),
        ErrorKind::PermissionDenied => out.with_hint("ask an admin of the team for the right"),
        _ => out,
    }
}

/// For what a server is not asked at all.
pub(super) fn unsupported(what: impl Display) -> Error {
    Error::new(ErrorKind::Unsupported, what.to_string())
}
