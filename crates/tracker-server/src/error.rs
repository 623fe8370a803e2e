use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tracker_model::{ErrorKind, Retry};

/// An answer that is not the one hoped for: a status, and a body in the forms that clients of W&B
/// read (`error` and `errors[].message`).
#[derive(Debug)]
pub(crate) struct HttpError {
    status: StatusCode,
    message: String,
    retry_after: Option<u64>,
}

pub(crate) type HttpResult<T> = Result<T, HttpError>;

impl HttpError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} does not exist"))
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "this server needs an API key, and the one sent is missing or wrong",
        )
    }

    /// The status and what is said.
    pub(crate) fn into_parts(self) -> (StatusCode, String) {
        (self.status, self.message)
    }

    pub(crate) fn busy() -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "the server has too much to do at the moment",
            )
        }
    }
}

/// The status that tells a client of W&B what it needs to know: whether to try again.
pub(crate) fn status_of(error: &tracker_model::Error) -> StatusCode {
    match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists | ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<tracker_model::Error> for HttpError {
    fn from(error: tracker_model::Error) -> Self {
        let status = status_of(&error);
        if status.is_server_error() {
            tracing::error!(error = %error, "a request failed");
        }
        Self {
            status,
            message: error.message().to_owned(),
            retry_after: match error.retry() {
                Retry::After(wait) => Some(wait.as_secs().max(1)),
                _ => None,
            },
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": self.message, "errors": [{"message": self.message}]}));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Basic realm=\"trackway\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
