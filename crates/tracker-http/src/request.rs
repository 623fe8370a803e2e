use std::fmt;
use std::future::{Future, ready};
use std::path::PathBuf;

use reqwest::Method;
use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::client::{require_http, strip_userinfo};
use crate::response::JsonBody;
use crate::{
    Bytes, Download, Error, ErrorKind, HttpClient, RedactedUrl, Response, Result, download, retry,
};

/// A request that is being put together.
///
/// The methods that end it send it, and send it again as long as that may help: see
/// [`RetryOptions`](crate::RetryOptions). All of them fail with the [`ErrorKind`] for the status if
/// the server answers something else than success, with `Unavailable` if it does not answer, and
/// with `Tls` if it is not to be trusted.
///
/// # Cancellation
/// All of them may be dropped at any time.
#[derive(Clone)]
#[must_use = "a request is sent by one of its last methods, such as `send` or `json`"]
pub struct Request {
    pub(crate) client: HttpClient,
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// For the server of the request.
    pub(crate) headers: HeaderMap,
    /// For every server that it is redirected to as well.
    pub(crate) plain_headers: HeaderMap,
    pub(crate) body: Option<Body>,
    pub(crate) is_idempotent: bool,
    pub(crate) is_sensitive: bool,
    pub(crate) is_anonymous: bool,
    pub(crate) is_raw: bool,
    /// Fewer tries than the options allow.
    pub(crate) max_tries: u32,
    /// The first thing that was wrong while it was put together.
    invalid: Option<String>,
}

/// What a request carries.
#[derive(Clone)]
pub(crate) enum Body {
    Bytes(Bytes),
    File {
        path: PathBuf,
        from: u64,
        length: u64,
    },
}

impl Request {
    pub(crate) fn new(client: HttpClient, method: Method, mut url: Url) -> Self {
        let invalid = require_http(&url).err().map(|error| error.to_string());
        strip_userinfo(&mut url);
        Self {
            client,
            is_idempotent: method.is_idempotent(),
            method,
            url,
            headers: HeaderMap::new(),
            plain_headers: HeaderMap::new(),
            body: None,
            is_sensitive: false,
            is_anonymous: false,
            is_raw: false,
            max_tries: u32::MAX,
            invalid,
        }
    }

    /// Adds parameters to the query of the address.
    pub fn query<K: AsRef<str>, V: AsRef<str>>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        for (name, value) in pairs {
            self.url
                .query_pairs_mut()
                .append_pair(name.as_ref(), value.as_ref());
        }
        self
    }

    /// Adds a header, for the server of this request alone and not for one that it redirects to.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Asks for the bytes from `begin` up to and without `end`, or to the last one. A server may
    /// ignore it: the status tells, 206 or 200.
    pub fn range(mut self, begin: u64, end: Option<u64>) -> Self {
        let last = end.map(|end| end.saturating_sub(1));
        if end.is_some_and(|end| end <= begin) {
            self.invalid(format!(
                "the range from {begin} to {} is empty",
                end.unwrap_or_default()
            ));
        }
        let range = match last {
            Some(last) => format!("bytes={begin}-{last}"),
            None => format!("bytes={begin}-"),
        };
        if let Ok(range) = HeaderValue::from_maybe_shared(Bytes::from(range)) {
            self.plain_headers.insert(RANGE, range);
        }
        self
    }

    /// Sets the body, with its media type.
    pub fn body(mut self, media_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.plain_headers.insert(CONTENT_TYPE, media_type);
        self.body = Some(Body::Bytes(body.into()));
        self
    }

    /// A file as the body, read anew for each try. It must keep its length meanwhile.
    pub fn file_body(self, media_type: HeaderValue, path: impl Into<PathBuf>, length: u64) -> Self {
        self.file_part_body(media_type, path, 0, length)
    }

    /// A part of a file as the body: `length` bytes from `from` on. Else as
    /// [`file_body`](Self::file_body).
    pub fn file_part_body(
        mut self,
        media_type: HeaderValue,
        path: impl Into<PathBuf>,
        from: u64,
        length: u64,
    ) -> Self {
        self.plain_headers.insert(CONTENT_TYPE, media_type);
        self.plain_headers.insert(CONTENT_LENGTH, length.into());
        self.body = Some(Body::File {
            path: path.into(),
            from,
            length,
        });
        self
    }

    /// Sets a JSON body.
    pub fn json_body<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.body(HeaderValue::from_static("application/json"), body),
            Err(error) => {
                self.invalid(format!("write the body as JSON: {error}"));
                self
            }
        }
    }

    /// Says that doing this twice is the same as once, so that it may be tried again whatever
    /// happened. By default GET, HEAD, PUT and DELETE are; a POST that only searches is, too.
    /// Others are tried again if they certainly were not carried out.
    pub fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }

    /// Tries it at most so often, for callers that know something better to do than to ask the
    /// same again.
    pub fn max_tries(mut self, max_tries: u32) -> Self {
        self.max_tries = max_tries.max(1);
        self
    }

    /// Shows nothing of the address but the server in errors and events: for presigned addresses.
    pub fn sensitive(mut self) -> Self {
        self.is_sensitive = true;
        self
    }

    /// Goes without the credentials and headers of the client, even to its own server.
    pub fn anonymous(mut self) -> Self {
        self.is_anonymous = true;
        self
    }

    /// Sends it. The body of the answer is read from the [`Response`] and not tried again.
    ///
    /// # Errors
    /// As said for all of them.
    pub async fn send(self) -> Result<Response> {
        self.run(|response| ready(Ok(response))).await
    }

    /// Sends it and parses the answer as JSON. An answer that is cut off is asked for again.
    ///
    /// # Errors
    /// `Corrupt` if the answer is something else, `TooLarge` if it is larger than
    /// [`max_body_bytes`](crate::HttpOptions::max_body_bytes).
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        self.json_with(|body| serde_json::from_slice(body)).await
    }

    /// Like [`json`](Self::json) with a parser of your own, for answers that are not quite JSON. An
    /// error of the category [`Eof`](serde_json::error::Category::Eof) means that the answer is
    /// cut off.
    ///
    /// # Errors
    /// As [`json`](Self::json).
    pub async fn json_with<T>(
        mut self,
        parse: impl Fn(&[u8]) -> serde_json::Result<T>,
    ) -> Result<T> {
        self.plain_headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        let max = self.client.options().max_body_bytes;
        let parse = &parse;
        self.run(|response| async move { JsonBody::read(response, max).await?.parse(parse) })
            .await
    }

    /// Sends it and reads the answer, of at most `max` bytes.
    ///
    /// # Errors
    /// `TooLarge` if it is larger.
    pub async fn bytes_limited(self, max: u64) -> Result<Bytes> {
        self.run(|response| response.bytes_limited(max)).await
    }

    /// Sends it and reads the answer, of at most `max` bytes, as text; bytes that are not UTF-8
    /// are replaced.
    ///
    /// # Errors
    /// `TooLarge` if it is larger.
    pub async fn text_limited(self, max: u64) -> Result<String> {
        self.run(|response| response.text_limited(max)).await
    }

    /// Sends it and begins to read the answer as a file of any size: every byte that the server
    /// has, exactly once, however often the connection breaks.
    ///
    /// # Errors
    /// `InvalidInput` for another method than GET.
    pub async fn download(self) -> Result<Download> {
        download::begin(self).await
    }

    /// Sends it until `finish` succeeds with the answer.
    pub(crate) async fn run<T, F, Fut>(&self, finish: F) -> Result<T>
    where
        F: Fn(Response) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        if let Some(invalid) = &self.invalid {
            let error = Error::new(ErrorKind::InvalidInput, invalid.clone());
            return Err(error.with_target(&self.method, &self.shown(self.url.clone())));
        }
        retry::run(self, finish).await
    }

    /// An address of this request as it may be shown.
    pub(crate) fn shown(&self, url: Url) -> RedactedUrl {
        if self.is_sensitive {
            RedactedUrl::hidden(url)
        } else {
            RedactedUrl::new(url)
        }
    }

    pub(crate) fn invalid(&mut self, what: String) {
        self.invalid.get_or_insert(what);
    }
}

/// Headers and body stay hidden.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.shown(self.url.clone()))
            .finish_non_exhaustive()
    }
}
