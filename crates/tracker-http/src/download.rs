use std::fmt;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED,
};
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, sleep};

use crate::{Bytes, Error, ErrorKind, Event, Request, Response, Result, Retry, retry};

/// New bytes after which an interruption counts as the first again.
const PROGRESS: u64 = 64 << 10;

/// A file that is being downloaded.
pub struct Download {
    headers: HeaderMap,
    length: Option<u64>,
    stream: BoxStream<'static, Result<Bytes>>,
}

impl Download {
    /// The length of the file in bytes, if the server says it.
    pub fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// The headers of the first answer.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first header of this name, if it is text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The bytes as the server stores them, in order, each once. When a connection breaks, the
    /// rest is asked for. It ends without error only when as much has arrived as the server
    /// promised.
    ///
    /// An item is an error of the kind `Conflict` if the file changes meanwhile, `Corrupt` if
    /// the server gives other bytes than it said, or as for every request.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        self.stream
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Sends the request and prepares to read its answer to the end.
pub(crate) async fn begin(mut request: Request) -> Result<Download> {
    if request.method != Method::GET {
        request.invalid("only GET requests can be downloaded".to_owned());
    }
    if request.plain_headers.contains_key(reqwest::header::RANGE) {
        request.invalid("a download is of the whole file, not of a range".to_owned());
    }
    request.is_raw = true;
    let response = request.clone().send().await?;
    let headers = response.headers().clone();
    let length = response.content_length();
    let state = State {
        delays: Box::new(retry::delays(&request.client.options().retry)),
        version: Version::of(&response),
        request,
        body: Some(response),
        delivered: 0,
        skip: 0,
        length,
        interruptions: 0,
        progress: 0,
        begun: Instant::now(),
        tries: 1,
    };
    let stream = stream::unfold(Some(state), |state| async {
        let mut state = state?;
        match state.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(state))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(Download {
        headers,
        length,
        stream: stream.boxed(),
    })
}

/// Which version of a file an answer is of.
#[derive(Debug, Clone, PartialEq)]
struct Version {
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

impl Version {
    fn of(response: &Response) -> Self {
        let header = |name| response.headers().get(name).cloned();
        Self {
            etag: header(ETAG),
            modified: header(LAST_MODIFIED),
        }
    }

    /// What `If-Range` may carry: a strong tag, else a date.
    fn validator(&self) -> Option<&HeaderValue> {
        match &self.etag {
            Some(etag) if etag.as_bytes().starts_with(b"\"") => Some(etag),
            _ => self.modified.as_ref(),
        }
    }

    /// Whether the other is known to be another one.
    fn differs(&self, other: &Self) -> bool {
        match (&self.etag, &other.etag) {
            (Some(one), Some(other)) => one != other,
            _ => {
                self.modified.is_some()
                    && other.modified.is_some()
                    && self.modified != other.modified
            }
        }
    }
}

struct State {
    request: Request,
    version: Version,
    body: Option<Response>,
    /// Bytes that were given out.
    delivered: u64,
    /// Bytes still to come that were given out before: the server began at the begin again.
    skip: u64,
    length: Option<u64>,
    interruptions: u32,
    /// Bytes that had been given out at the last interruption.
    progress: u64,
    delays: Box<dyn Iterator<Item = Duration> + Send>,
    begun: Instant,
    tries: u32,
}

impl State {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(body) = &mut self.body else {
                self.resume().await?;
                continue;
            };
            let error = match body.chunk().await {
                Ok(Some(chunk)) => match self.take(chunk)? {
                    Some(chunk) => return Ok(Some(chunk)),
                    None => continue,
                },
                Ok(None)
                    if self.skip == 0
                        && self.length.is_none_or(|length| length == self.delivered) =>
                {
                    return Ok(None);
                }
                Ok(None) => body
                    .failed(ErrorKind::Unavailable, "the file broke off")
                    .with_retry(Retry::Backoff),
                Err(error) => error,
            };
            self.interrupted(error).await?;
        }
    }

    /// The part of a piece that is new.
    fn take(&mut self, mut chunk: Bytes) -> Result<Option<Bytes>> {
        let skipped = self.skip.min(chunk.len() as u64);
        self.skip -= skipped;
        let chunk = chunk.split_off(skipped as usize);
        self.delivered += chunk.len() as u64;
        if self.length.is_some_and(|length| self.delivered > length) {
            let message = format!(
                "the file is longer than the {} bytes promised",
                self.length.unwrap_or_default()
            );
            return Err(self.failed(ErrorKind::Corrupt, message));
        }
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }

    /// Waits, or gives up.
    async fn interrupted(&mut self, error: Error) -> Result<()> {
        self.body = None;
        self.skip = 0;
        let options = &self.request.client.options().retry;
        if self.delivered >= self.progress + PROGRESS {
            self.interruptions = 0;
            self.delays = Box::new(retry::delays(options));
        }
        self.progress = self.delivered;
        self.interruptions += 1;
        let place = match self.length {
            Some(length) => format!("at byte {} of {length}", self.delivered),
            None => format!("at byte {}", self.delivered),
        };
        let detail = error
            .detail()
            .map_or_else(|| place.clone(), |detail| format!("{detail}, {place}"));
        let error = error
            .with_detail(detail)
            .with_tries(self.tries, self.begun.elapsed());
        if error.retry() == Retry::Never {
            return Err(error);
        }
        if self.interruptions >= options.max_tries {
            return Err(error.with_retry(Retry::Exhausted));
        }
        let url = self.request.shown(self.request.url.clone());
        self.request.client.observe(&Event::Resuming {
            url: &url,
            at: self.delivered,
            error: &error,
        });
        sleep(self.delays.next().unwrap_or(options.max_delay)).await;
        Ok(())
    }

    /// Asks for the rest.
    async fn resume(&mut self) -> Result<()> {
        self.tries += 1;
        let mut request = self.request.clone();
        if self.delivered > 0 {
            request = request.range(self.delivered, None);
            if let Some(validator) = self.version.validator() {
                request.plain_headers.insert(IF_RANGE, validator.clone());
            }
        }
        let response = match request.send().await {
            // It may be that nothing is missing but the end itself: the whole file will tell.
            Err(error) if error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE) => {
                self.request.clone().send().await?
            }
            sent => sent?,
        };
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let (from, length) = if is_part {
            part(&response)
        } else {
            (Some(0), response.content_length())
        };
        let is_other_length = self.length.is_some() && length.is_some() && self.length != length;
        if self.version.differs(&Version::of(&response)) || is_other_length {
            let message = format!(
                "the file has changed while it was downloaded, at byte {}",
                self.delivered
            );
            return Err(self
                .failed(ErrorKind::Conflict, message)
                .with_retry(Retry::Backoff));
        }
        if is_part && from != Some(self.delivered) {
            let message = format!(
                "the server gives another part of the file than that from byte {}",
                self.delivered
            );
            return Err(self.failed(ErrorKind::Corrupt, message));
        }
        self.skip = if is_part { 0 } else { self.delivered };
        self.body = Some(response);
        Ok(())
    }

    fn failed(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).with_target(
            &self.request.method,
            &self.request.shown(self.request.url.clone()),
        )
    }
}

/// Where a part begins, and how long the whole file is: `bytes 5-9/10`.
fn part(response: &Response) -> (Option<u64>, Option<u64>) {
    let range = response
        .header(&CONTENT_RANGE)
        .and_then(|range| range.trim().strip_prefix("bytes"));
    let Some((range, length)) = range.and_then(|range| range.split_once('/')) else {
        return (None, None);
    };
    let from = range
        .split_once('-')
        .and_then(|(from, _)| from.trim().parse().ok());
    (from, length.trim().parse().ok())
}
