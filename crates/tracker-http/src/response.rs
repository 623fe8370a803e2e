use std::fmt;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::exchange::silent;
use crate::service_message;
use crate::{Bytes, Error, ErrorKind, HttpClient, RedactedUrl, Request, Result, Retry, tls};

/// What is taken for a body at first, if it does not say how long it is or boasts.
const MAX_PREALLOCATED: u64 = 16 << 20;

/// An answer of success: its head is here, its body is still to be read.
pub struct Response {
    request: Request,
    /// Where it came from, after redirects.
    from: RedactedUrl,
    inner: reqwest::Response,
}

impl Response {
    pub(crate) fn new(request: &Request, from: &RedactedUrl, inner: reqwest::Response) -> Self {
        Self {
            request: request.clone(),
            from: from.clone(),
            inner,
        }
    }

    /// The status, between 200 and 299.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The first header of this name, if it is text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// The length of the body in bytes as far as it is known: not of a compressed one.
    pub fn content_length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// Where it came from, after redirects.
    pub fn url(&self) -> &RedactedUrl {
        &self.from
    }

    /// The body, piece by piece. It ends with an error if the connection breaks or is silent for
    /// longer than the [`timeout`](crate::HttpOptions::timeout).
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        let body = Some(self);
        stream::unfold(body, |body| async {
            let mut body = body?;
            match body.chunk().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(body))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    /// The whole body, of at most `max` bytes.
    ///
    /// # Errors
    /// `TooLarge` if it is larger, `Unavailable` if it breaks off.
    pub async fn bytes_limited(mut self, max: u64) -> Result<Bytes> {
        let length = self.content_length().unwrap_or(0);
        if length > max {
            return Err(self.too_large(max));
        }
        let mut body = Vec::with_capacity(length.min(MAX_PREALLOCATED) as usize);
        while let Some(chunk) = self.chunk().await? {
            if (body.len() + chunk.len()) as u64 > max {
                return Err(self.too_large(max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    /// The whole body, of at most `max` bytes, as text; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`bytes_limited`](Self::bytes_limited).
    pub async fn text_limited(self, max: u64) -> Result<String> {
        let bytes = self.bytes_limited(max).await?;
        Ok(match String::from_utf8(bytes.into()) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// The body as JSON, of at most [`max_body_bytes`](crate::HttpOptions::max_body_bytes).
    ///
    /// # Errors
    /// `Corrupt` if it is something else, and those of [`bytes_limited`](Self::bytes_limited).
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let max = self.request.client.options().max_body_bytes;
        JsonBody::read(self, max)
            .await?
            .parse(&|body: &[u8]| serde_json::from_slice(body))
    }

    /// The begin of the body, as far as it arrives: for error messages.
    pub(crate) async fn prefix(mut self, max: u64) -> Vec<u8> {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            let room = max as usize - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() as u64 >= max {
                break;
            }
        }
        body
    }

    /// The next piece of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let limit = self.request.client.options().timeout;
        match timeout(limit, self.inner.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(self.broken(error)),
            Err(_) => Err(self.stalled(limit)),
        }
    }

    pub(crate) fn failed(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).with_target(
            &self.request.method,
            &self.request.shown(self.request.url.clone()),
        )
    }

    fn too_large(&self, max: u64) -> Error {
        self.failed(
            ErrorKind::TooLarge,
            format!("the answer is larger than the {max} bytes allowed for it"),
        )
    }

    fn stalled(&self, limit: Duration) -> Error {
        silent(&self.request, "no further piece of the answer", limit).with_target(
            &self.request.method,
            &self.request.shown(self.request.url.clone()),
        )
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let retry = if self.request.is_idempotent {
            Retry::Backoff
        } else {
            Retry::Never
        };
        self.failed(ErrorKind::Unavailable, "the answer broke off")
            .with_detail(tls::root_cause(&error))
            .with_retry(retry)
            .with_source(error)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("url", &self.from)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// A body that should be JSON, with what is needed to say what it is if it is not.
pub(crate) struct JsonBody {
    body: Bytes,
    status: StatusCode,
    is_html: bool,
    is_idempotent: bool,
    client: HttpClient,
    /// Where it came from, if that is another place than was asked.
    redirected: Option<RedactedUrl>,
    target: (reqwest::Method, RedactedUrl),
}

impl JsonBody {
    pub(crate) async fn read(response: Response, max: u64) -> Result<Self> {
        let request = &response.request;
        let is_html = response
            .header(&CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("text/html"));
        let redirected = Some(response.from.clone()).filter(|from| *from.expose() != request.url);
        let target = (request.method.clone(), request.shown(request.url.clone()));
        let (status, is_idempotent) = (response.status(), request.is_idempotent);
        let client = request.client.clone();
        let body = response.bytes_limited(max).await?;
        Ok(Self {
            body,
            status,
            is_html,
            is_idempotent,
            client,
            redirected,
            target,
        })
    }

    pub(crate) fn parse<T>(self, parse: &impl Fn(&[u8]) -> serde_json::Result<T>) -> Result<T> {
        let error = match parse(&self.body) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let failed = |message: String| {
            Error::new(ErrorKind::Corrupt, message)
                .with_status(self.status)
                .with_target(&self.target.0, &self.target.1)
        };
        if service_message::is_html(&self.body) || (self.is_html && !error.is_data()) {
            let mut message = "the server answered HTML, not JSON".to_owned();
            if let Some(from) = &self.redirected {
                message.push_str(&format!(", after a redirect to {from}"));
            }
            message.push_str(
                ": is this the address of the service, and not of a login page or a proxy?",
            );
            let title = service_message::title(&self.body)
                .map(|title| format!("the page is titled \"{title}\""));
            return Err(failed(message).with_detail(self.scrub(title)));
        }
        if error.is_eof() {
            let retry = if self.is_idempotent {
                Retry::Backoff
            } else {
                Retry::Never
            };
            let message = match self.body.len() {
                0 => "the answer is empty, and JSON was expected".to_owned(),
                length => format!("the answer is cut off: {length} bytes of JSON without an end"),
            };
            return Err(failed(message).with_retry(retry));
        }
        let what = if error.is_data() {
            "the JSON of the answer is not as expected"
        } else {
            "the answer is not JSON"
        };
        // The parser quotes names and types, and sometimes values.
        let reason = service_message::one_line(&error.to_string());
        Err(failed(what.to_owned()).with_detail(self.scrub(reason)))
    }

    fn scrub(&self, text: Option<String>) -> String {
        self.client.authorization().scrub(text.unwrap_or_default())
    }
}
