//! One try of a request: from its first byte to the head of the answer, redirects included.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::time::{Instant, timeout};
use tokio_util::io::ReaderStream;
use url::Url;

use crate::client::{require_http, strip_userinfo};
use crate::pacer::retry_after;
use crate::request::Body;
use crate::service_message::{self, ServiceMessage};
use crate::{Error, ErrorKind, Event, RedactedUrl, Request, Response, Result, Retry, tls};

/// Bytes a second at which files may be sent at the slowest.
const SLOWEST: u64 = 64 << 10;

/// The most of an answer that is read for its error message.
const MAX_ERROR_BYTES: u64 = 64 << 10;

/// Sends a request once and follows its redirects.
pub(crate) async fn exchange(request: &Request) -> Result<Response> {
    let options = request.client.options();
    let mut hop = Hop::first(request);
    for _ in 0..=options.max_redirects {
        let shown = request.shown(hop.url.clone());
        let failed =
            |error: Error| error.with_target(&request.method, &request.shown(request.url.clone()));
        let response = hop.send(request, &shown).await.map_err(failed)?;
        let response = Response::new(request, &shown, response);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        match response
            .header(&LOCATION)
            .filter(|_| status.is_redirection())
        {
            Some(location) => hop = hop.next(status, location).map_err(failed)?,
            None => return Err(failed(refused(request, response).await)),
        }
    }
    let message = format!(
        "the server redirects more than {} times",
        options.max_redirects
    );
    Err(Error::new(ErrorKind::Unexpected, message)
        .with_target(&request.method, &request.shown(request.url.clone())))
}

/// Where a request goes next.
struct Hop {
    method: Method,
    url: Url,
    with_body: bool,
    /// Whether this is still the server that the headers of the request are for.
    at_home: bool,
}

impl Hop {
    fn first(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            url: request.url.clone(),
            with_body: true,
            at_home: true,
        }
    }

    async fn send(&self, request: &Request, shown: &RedactedUrl) -> Result<reqwest::Response> {
        let client = &request.client;
        let options = client.options();
        let http = if request.is_raw {
            client.raw()?
        } else {
            client.api()
        };
        let mut builder = http
            .request(self.method.clone(), self.url.clone())
            .headers(request.plain_headers.clone());
        if request.is_raw {
            builder = builder.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if self.at_home {
            builder = builder.headers(request.headers.clone());
            let is_server = options
                .server
                .as_ref()
                .is_some_and(|server| is_same_server(server, &self.url));
            if is_server && !request.is_anonymous {
                let pairs = options
                    .headers
                    .iter()
                    .chain(&client.authorization().headers);
                builder = builder.headers(pairs.cloned().collect());
            }
        }
        if let Some(body) = request.body.as_ref().filter(|_| self.with_body) {
            builder = match body {
                Body::Bytes(bytes) => builder.body(bytes.clone()),
                Body::File { path, from, length } => {
                    builder.body(open(path, *from, *length).await?)
                }
            };
        }
        client.observe(&Event::Sent {
            method: &self.method,
            url: shown,
        });
        let limit = options.timeout + time_to_send(request.body.as_ref());
        let begin = Instant::now();
        let pace = client.pacer().host(&authority(&self.url));
        match timeout(limit, builder.send()).await {
            Ok(Ok(response)) => {
                pace.note(response.headers(), options.retry.max_retry_after);
                let (status, elapsed) = (response.status(), begin.elapsed());
                client.observe(&Event::Answered {
                    method: &self.method,
                    url: shown,
                    status,
                    elapsed,
                });
                Ok(response)
            }
            Ok(Err(error)) => Err(not_sent(request, &self.url, error)),
            Err(_) => Err(silent(request, "no answer", limit)),
        }
    }

    /// Follows a redirect.
    fn next(self, status: StatusCode, location: &str) -> Result<Self> {
        let wrong = |what: String| Error::new(ErrorKind::Unexpected, what).with_status(status);
        let mut url = self
            .url
            .join(location)
            .map_err(|error| wrong(format!("the server redirects to no address ({error})")))?;
        require_http(&url)
            .map_err(|error| wrong(format!("the server redirects to another place: {error}")))?;
        strip_userinfo(&mut url);
        let is_same = is_same_server(&self.url, &url);
        let (mut method, mut with_body) = (self.method, self.with_body);
        if status == StatusCode::SEE_OTHER && method != Method::HEAD {
            (method, with_body) = (Method::GET, false);
        } else if !is_same && method != Method::GET && method != Method::HEAD {
            let place = RedactedUrl::new(url);
            return Err(wrong(format!(
                "the server redirects to {place}: use that address"
            )));
        }
        Ok(Self {
            method,
            url,
            with_body,
            at_home: self.at_home && is_same,
        })
    }
}

/// How long a body may be on its way before the answer is waited for.
fn time_to_send(body: Option<&Body>) -> Duration {
    match body {
        Some(Body::File { length, .. }) => Duration::from_secs(length / SLOWEST),
        _ => Duration::ZERO,
    }
}

/// A part of a file as a body.
async fn open(path: &Path, from: u64, length: u64) -> Result<reqwest::Body> {
    let opened = async {
        let mut file = tokio::fs::File::open(path).await?;
        if from > 0 {
            file.seek(SeekFrom::Start(from)).await?;
        }
        Ok(file.take(length))
    };
    match opened.await {
        Ok(part) => Ok(reqwest::Body::wrap_stream(ReaderStream::with_capacity(
            part,
            256 << 10,
        ))),
        Err(error) => {
            let error: std::io::Error = error;
            let message = format!("read {} to send it", path.display());
            Err(Error::new(ErrorKind::Unexpected, message).with_source(error))
        }
    }
}

/// Whether what is meant for one address may be sent to the other: same scheme, host and port, or
/// the same host by https on the usual ports.
fn is_same_server(from: &Url, to: &Url) -> bool {
    let is_upgrade = from.scheme() == "http"
        && to.scheme() == "https"
        && from.port().is_none()
        && to.port().is_none();
    from.host() == to.host()
        && ((from.scheme() == to.scheme()
            && from.port_or_known_default() == to.port_or_known_default())
            || is_upgrade)
}

/// The host and port of an address.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// No time for an answer, or for the next piece of one.
pub(crate) fn silent(request: &Request, what: &str, limit: Duration) -> Error {
    let retry = if request.is_idempotent {
        Retry::Backoff
    } else {
        Retry::Never
    };
    Error::new(
        ErrorKind::Unavailable,
        format!("{what} within {} s", limit.as_secs_f64()),
    )
    .with_retry(retry)
    .overloaded()
}

/// The request did not get an answer.
fn not_sent(request: &Request, url: &Url, error: reqwest::Error) -> Error {
    let error = error.without_url();
    if let Some(reason) = tls::refusal(&error) {
        return Error::new(ErrorKind::Tls, "the server is not to be trusted")
            .with_detail(reason)
            .with_source(error);
    }
    let cause = tls::root_cause(&error);
    let host = authority(url);
    let is_safe = request.is_idempotent || error.is_connect();
    let retry = if is_safe && !error.is_builder() {
        Retry::Backoff
    } else {
        Retry::Never
    };
    let failed = if error.is_builder() {
        Error::new(ErrorKind::InvalidInput, "put the request together").with_detail(cause)
    } else if error.is_dns() {
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "the host {} is not known",
                url.host_str().unwrap_or_default()
            ),
        )
        .with_detail(cause)
    } else if error.is_connect() && error.is_timeout() {
        let limit = request.client.options().connect_timeout;
        Error::new(
            ErrorKind::Unavailable,
            format!("no connection to {host} within {} s", limit.as_secs_f64()),
        )
    } else if error.is_connect() {
        Error::new(ErrorKind::Unavailable, format!("no connection to {host}")).with_detail(cause)
    } else {
        Error::new(
            ErrorKind::Unavailable,
            "the connection broke before the answer",
        )
        .with_detail(cause)
    };
    failed.with_retry(retry).with_source(error)
}

/// The server answered, but not with success.
async fn refused(request: &Request, response: Response) -> Error {
    let status = response.status();
    let after = retry_after(response.headers());
    let is_html = response
        .header(&CONTENT_TYPE)
        .is_some_and(|kind| kind.starts_with("text/html"));
    let body = response.prefix(MAX_ERROR_BYTES).await;
    let ServiceMessage { code, message } = service_message::read(&body);
    // A 503 that is meant to last: a part of the server is switched off.
    let is_off = status == StatusCode::SERVICE_UNAVAILABLE
        && (is_html || service_message::is_html(&body))
        && body
            .to_ascii_lowercase()
            .windows(8)
            .any(|word| word == b"disabled");
    let kind = if is_off {
        ErrorKind::Unsupported
    } else {
        kind_of(status)
    };
    let is_safe = request.is_idempotent || status == StatusCode::TOO_MANY_REQUESTS;
    let retry = match after {
        _ if is_off || !is_safe || !is_temporary(status) => Retry::Never,
        Some(after) => Retry::After(after),
        None => Retry::Backoff,
    };
    let detail = request
        .client
        .authorization()
        .scrub(message.unwrap_or_default());
    let error = Error::new(kind, format!("server answered {}", status.as_u16()))
        .with_status(status)
        .with_code(code)
        .with_detail(detail)
        .with_retry(retry);
    let is_overload = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) && !is_off;
    if is_overload {
        error.overloaded()
    } else {
        error
    }
}

fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn kind_of(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 | 407 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => ErrorKind::NotFound,
        405 | 501 => ErrorKind::Unsupported,
        408 | 500 | 502 | 503 | 504 => ErrorKind::Unavailable,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        400..500 => ErrorKind::InvalidInput,
        _ => ErrorKind::Unexpected,
    }
}
