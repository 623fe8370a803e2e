//! Contents on their way: kept until they can be sent, cut, and checked.

use std::{io::ErrorKind as Io, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;
use tracker_http::{
    HeaderName, HeaderValue, Method, Request, Url,
    header::{CONTENT_RANGE, CONTENT_TYPE},
};
use tracker_model::{ByteStream, ContentHasher, Digests, Error, ErrorKind, Result};

use super::{Remote, failure::failure};

/// Contents up to this size wait in memory, larger ones on disk.
pub(super) const IN_MEMORY: usize = 4 << 20;

/// Contents that are known to the end.
#[derive(Debug, Clone)]
pub(super) enum Spooled {
    Memory(Bytes),
    Disk(Arc<tempfile::TempPath>),
}

impl Spooled {
    /// How many bytes of memory they take.
    pub(super) fn in_memory(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Disk(_) => 0,
        }
    }

    /// The request with these bytes as its body.
    pub(super) fn body_of(&self, request: Request, kind: HeaderValue, part: Range<u64>) -> Request {
        match self {
            Self::Memory(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                request.body(kind, bytes.slice(place(part.start)..place(part.end)))
            }
            Self::Disk(path) => {
                let length = part.end - part.start;
                request.file_part_body(kind, path.to_path_buf(), part.start, length)
            }
        }
    }
}

/// The kind of any bytes.
pub(super) fn octets() -> HeaderValue {
    HeaderValue::from_static("application/octet-stream")
}

/// Reads contents to their end, so that nothing is sent of what breaks off.
pub(super) async fn spool(mut body: ByteStream, in_memory: usize) -> Result<(Spooled, Digests)> {
    let broken = |e: std::io::Error| {
        let kind = match e.kind() {
            Io::StorageFull => ErrorKind::StorageFull,
            _ => ErrorKind::Unexpected,
        };
        Error::new(kind, "keep contents until they can be sent").with_source(e)
    };
    let mut hasher = ContentHasher::new();
    let mut memory = Vec::new();
    let mut disk: Option<(tokio::fs::File, tempfile::TempPath)> = None;
    while let Some(piece) = body.try_next().await? {
        hasher.update(&piece);
        if disk.is_none() && memory.len() + piece.len() > in_memory {
            let file = tokio::task::spawn_blocking(tempfile::NamedTempFile::new);
            let file = file.await.map_err(std::io::Error::other).flatten();
            let (file, path) = file.map_err(broken)?.into_parts();
            let mut file = tokio::fs::File::from_std(file);
            file.write_all(&memory).await.map_err(broken)?;
            memory = Vec::new();
            disk = Some((file, path));
        }
        match &mut disk {
            Some((file, _)) => file.write_all(&piece).await.map_err(broken)?,
            None => memory.extend_from_slice(&piece),
        }
    }
    let digests = hasher.finish();
    Ok(match disk {
        Some((mut file, path)) => {
            file.flush().await.map_err(broken)?;
            (Spooled::Disk(Arc::new(path)), digests)
        }
        None => (Spooled::Memory(memory.into()), digests),
    })
}

/// So many bytes after so many others. Fewer are an error.
fn part(body: ByteStream, skip: u64, length: u64) -> ByteStream {
    let state = Some((body, skip, length));
    futures::stream::unfold(state, |state| async move {
        let (mut body, mut skip, left) = state.filter(|(_, _, left)| *left > 0)?;
        loop {
            let mut piece: Bytes = match body.next().await {
                Some(Ok(piece)) => piece,
                Some(Err(e)) => return Some((Err(e), None)),
                None => {
                    let message = "the contents end before the part that was asked for";
                    return Some((Err(Error::new(ErrorKind::Conflict, message)), None));
                }
            };
            let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            drop(piece.split_to(passed));
            skip -= passed as u64;
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            if !piece.is_empty() {
                let left = left - piece.len() as u64;
                return Some((Ok(piece), Some((body, skip, left))));
            }
        }
    })
    .boxed()
}

/// Lets contents through, and fails at their end if they are others than these. Digests that are
/// not known are empty.
pub(super) fn checked(body: ByteStream, wanted: Digests, what: String) -> ByteStream {
    let state = Some((body, ContentHasher::new(), wanted, what));
    futures::stream::unfold(state, |state| async move {
        let (mut body, mut hasher, wanted, what) = state?;
        match body.next().await {
            Some(Ok(piece)) => {
                hasher.update(&piece);
                Some((Ok(piece), Some((body, hasher, wanted, what))))
            }
            Some(Err(e)) => Some((Err(e), None)),
            None => {
                let there = hasher.finish();
                let same = |a: &str, b: &str| a.is_empty() || a == b;
                let same = wanted.size == there.size
                    && same(&wanted.md5, &there.md5)
                    && same(&wanted.blake3, &there.blake3)
                    && same(&wanted.sha256, &there.sha256);
                let message = format!("{what}: the server answered other contents than it says");
                (!same).then(|| (Err(Error::new(ErrorKind::Corrupt, message)), None))
            }
        }
    })
    .boxed()
}

/// Reads what a request is answered with, which has `size` bytes, or a part of it. What breaks off
/// goes on where it was, unless a part was asked for.
pub(super) async fn read(
    request: Request,
    size: u64,
    range: Option<Range<u64>>,
    doing: String,
) -> Result<ByteStream> {
    let range = range.map(|range| range.start.min(size)..range.end.min(size));
    if size == 0 || range.as_ref().is_some_and(Range::is_empty) {
        return Ok(futures::stream::empty().boxed());
    }
    if let Some(range) = range {
        let request = request.range(range.start, Some(range.end));
        let response = request.send().await.map_err(|e| failure(e, &doing))?;
        // A server may answer with more than was asked for.
        let from = match response.header(&CONTENT_RANGE) {
            Some(_) => range.start,
            None => 0,
        };
        let body = response.into_stream();
        let body = body.map_err(move |e| failure(e, &doing)).boxed();
        return Ok(part(body, range.start - from, range.end - range.start));
    }
    let download = request.download().await.map_err(|e| failure(e, &doing))?;
    let body = download.into_stream();
    Ok(body.map_err(move |e| failure(e, &doing)).boxed())
}

impl Remote {
    /// An address that a server tells, which may lack the server itself.
    pub(super) fn absolute(&self, url: &str) -> Option<Url> {
        Url::parse(url).or_else(|_| self.base.join(url)).ok()
    }

    /// Puts some of these bytes where a server said. The URL is the permission.
    pub(super) fn put_request(
        &self,
        url: Url,
        headers: &[String],
        body: &Spooled,
        part: Range<u64>,
    ) -> Request {
        let mut request = self.http.request(Method::PUT, url).sensitive().anonymous();
        let mut kind = octets();
        for header in headers {
            let pair = header.split_once(':').and_then(|(key, value)| {
                let name = HeaderName::from_bytes(key.trim().as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            });
            match pair {
                Some((name, value)) if name == CONTENT_TYPE => kind = value,
                Some((name, value)) => request = request.header(name, value),
                None => {}
            }
        }
        body.body_of(request, kind, part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_of_a_body() {
        let body = || {
            let pieces =
                ["ab", "", "cdef", "g"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
            futures::stream::iter(pieces).boxed()
        };
        for (skip, length, wanted) in [(0, 7, "abcdefg"), (3, 2, "de"), (1, 1, "b"), (6, 1, "g")] {
            let there = tracker_model::collect_bytes(part(body(), skip, length), 100).await;
            assert_eq!(there.unwrap(), wanted.as_bytes());
        }
        let there = tracker_model::collect_bytes(part(body(), 5, 3), 100).await;
        assert_eq!(there.unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[tokio::test]
    async fn contents_are_those_that_were_promised() {
        let body = || tracker_model::bytes_of("contents");
        let (_, digests) = spool(body(), 100).await.unwrap();
        let read = |wanted| {
            let body = checked(body(), wanted, "x".to_owned());
            tracker_model::collect_bytes(body, 100)
        };
        let unknown = Digests {
            md5: String::new(),
            sha256: String::new(),
            ..digests.clone()
        };
        for wanted in [digests.clone(), unknown] {
            assert_eq!(read(wanted).await.unwrap(), b"contents");
        }
        let md5 = Digests {
            md5: "0".repeat(32),
            ..digests.clone()
        };
        let size = Digests { size: 9, ..digests };
        for wanted in [md5, size] {
            assert_eq!(read(wanted).await.unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[tokio::test]
    async fn large_contents_wait_on_disk() {
        let pieces = vec![
            Ok(Bytes::from(vec![7; IN_MEMORY])),
            Ok(Bytes::from_static(b"x")),
        ];
        let pieces = futures::stream::iter(pieces).boxed();
        let (spooled, digests) = spool(pieces, IN_MEMORY).await.unwrap();
        assert_eq!(digests.size, IN_MEMORY as u64 + 1);
        let Spooled::Disk(path) = spooled else {
            panic!("they are in memory");
        };
        assert_eq!(std::fs::metadata(&**path).unwrap().len(), digests.size);
        let place = path.to_path_buf();
        drop(path);
        assert!(!place.exists());
    }
}
