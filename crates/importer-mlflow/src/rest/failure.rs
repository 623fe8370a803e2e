//! Failures of requests as errors of the contract.

use tracker_http::ErrorKind as Http;
use tracker_model::{Error, ErrorKind, Retry};

/// The error for a failed request, with what was being done.
#[allow(clippy::needless_pass_by_value)] // it takes the place of the other
pub(crate) fn failure(error: tracker_http::Error, doing: impl std::fmt::Display) -> Error {
    let kind = match error.kind() {
        Http::NotFound => ErrorKind::NotFound,
        Http::Unauthenticated => ErrorKind::Unauthenticated,
        Http::PermissionDenied => ErrorKind::PermissionDenied,
        Http::RateLimited => ErrorKind::RateLimited,
        Http::InvalidInput | Http::Tls => ErrorKind::InvalidInput,
        Http::Unsupported => ErrorKind::Unsupported,
        Http::Conflict => ErrorKind::Conflict,
        Http::Unavailable => ErrorKind::Unavailable,
        Http::Corrupt | Http::TooLarge => ErrorKind::Corrupt,
        _ => ErrorKind::Unexpected,
    };
    let retry = match error.retry() {
        tracker_http::Retry::After(wait) => Retry::After(wait),
        tracker_http::Retry::Backoff => Retry::Backoff,
        tracker_http::Retry::Exhausted => Retry::Exhausted,
        _ => Retry::Never,
    };
    let out = Error::new(kind, format!("{doing}: {error}")).with_retry(retry);
    match hint(error.kind()) {
        Some(hint) => out.with_hint(hint),
        None => out,
    }
}

fn hint(kind: Http) -> Option<&'static str> {
    Some(match kind {
        Http::Unauthenticated => {
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, for this server"
        }
        Http::PermissionDenied => {
            "ask for the right to read, or import as an administrator of the server"
        }
        Http::Tls => {
            "name the authority of the server's certificate in MLFLOW_TRACKING_SERVER_CERT_PATH, or check http against https"
        }
        _ => return None,
    })
}

/// Whether a failure says that the server does not have such a call at all, as older ones.
pub(crate) fn is_absent(error: &tracker_http::Error) -> bool {
    matches!(error.kind(), Http::NotFound | Http::Unsupported)
}
