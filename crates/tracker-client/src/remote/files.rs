//! Files of runs.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tracker_http::{HeaderName, HeaderValue, Method, Request, Url, header::CONTENT_RANGE};
use tracker_model::{
    ByteStream, ContentHasher, Digests, Error, ErrorKind, FileDraft, FileInfo, FileStore,
    JsonObject, Result, RunPath, check_file_name,
};

use super::{
    Remote, RemoteTracker,
    failure::failure,
    graphql::{Connection, Repeat},
    pages::{self, Page},
    record::time,
};

/// Files of a page.
const PAGE: usize = 500;
/// Contents up to this size wait in memory, larger ones on disk.
const IN_MEMORY: usize = 4 << 20;
/// Tells servers of ours what is said of a file beside its contents.
const TOLD: HeaderName = HeaderName::from_static("x-trackway-file");

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    name: String,
    direct_url: Option<String>,
    size_bytes: Option<u64>,
    md5: Option<String>,
    updated_at: Option<String>,
    trackway: Option<String>,
}

impl Node {
    /// What is known of the file. Digests that the server does not know are empty.
    fn read(&self) -> Result<FileInfo> {
        if let Some(record) = &self.trackway {
            return serde_json::from_str(record).map_err(|e| {
                let message = "the server says of a file what cannot be read";
                Error::new(ErrorKind::Corrupt, message).with_source(e)
            });
        }
        let md5 = self.md5.as_ref().and_then(|md5| STANDARD.decode(md5).ok());
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(FileInfo {
            name: self.name.clone(),
            digests: Digests {
                size: self.size_bytes.unwrap_or(0),
                blake3: String::new(),
                md5: md5.map_or_else(String::new, hex),
                sha256: String::new(),
            },
            modified_at: time(self.updated_at.as_deref()),
            extras: JsonObject::new(),
        })
    }
}

#[derive(Deserialize)]
struct OfProject {
    project: Option<OfRun>,
}

#[derive(Deserialize)]
struct OfRun {
    run: Option<Files>,
}

#[derive(Deserialize)]
struct Files {
    files: Option<Connection<Node>>,
}

impl Remote {
    async fn file_nodes(
        &self,
        run: &RunPath,
        names: Option<&str>,
        after: Option<String>,
    ) -> Result<Option<Connection<Node>>> {
        let variables = json!({
            "entity": run.entity, "project": run.project, "run": run.run,
            "names": names.map(|name| [name]), "first": PAGE, "after": after,
        });
        let doing = format!("list the files of run {run}");
        let document = include_str!("queries/files.graphql");
        let OfProject { project } = self.graphql.ask(doing, document, variables).await?;
        let found = project.and_then(|project| project.run);
        let found = found.ok_or_else(|| Error::not_found(format_args!("run {run}")))?;
        Ok(found.files)
    }

    /// A file by its name.
    async fn file_node(&self, run: &RunPath, name: &str) -> Result<Node> {
        let missing = || Error::not_found(format_args!("file {name:?} of run {run}"));
        check_file_name(name).map_err(|_| missing())?;
        let files = self.file_nodes(run, Some(name), None).await?;
        let mut nodes = files.into_iter().flat_map(Connection::nodes);
        let node = nodes.find(|node| node.name == name);
        // Servers answer with a node for a file that may be put there, too.
        let there = |node: &Node| match self.is_exact() {
            true => node.trackway.is_some(),
            false => node.md5.as_ref().is_some_and(|md5| !md5.is_empty()),
        };
        node.filter(there).ok_or_else(missing)
    }

    /// Where contents can be put.
    async fn upload_request(&self, run: &RunPath, name: &str) -> Result<Request> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            create_run_files: Option<Payload>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload {
            #[serde(default)]
            upload_headers: Vec<String>,
            files: Vec<Place>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Place {
            name: String,
            upload_url: Option<String>,
        }
        let variables = json!({
            "entity": run.entity, "project": run.project, "run": run.run, "names": [name],
        });
        let doing = format!("put file {name:?} into run {run}");
        let document = include_str!("queries/create_files.graphql");
        let Answer { create_run_files } = self.graphql.ask(&doing, document, variables).await?;
        let payload =
            create_run_files.ok_or_else(|| Error::not_found(format_args!("run {run}")))?;
        let place = payload.files.into_iter().find(|place| place.name == name);
        let url = place.and_then(|place| place.upload_url);
        let url = url.and_then(|url| self.absolute(&url));
        let url = url.ok_or_else(|| {
            let message = format!("{doing}: the server says no place to put it");
            Error::new(ErrorKind::Corrupt, message)
        })?;
        // The URL is the permission.
        let mut request = self.http.request(Method::PUT, url).sensitive().anonymous();
        for header in &payload.upload_headers {
            let pair = header.split_once(':').and_then(|(key, value)| {
                let name = HeaderName::from_bytes(key.trim().as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            });
            if let Some((name, value)) = pair {
                request = request.header(name, value);
            }
        }
        Ok(request)
    }

    /// An address that a server tells, which may lack the server itself.
    fn absolute(&self, url: &str) -> Option<Url> {
        Url::parse(url).or_else(|_| self.base.join(url)).ok()
    }
}

/// Contents that are known to the end.
enum Spooled {
    Memory(Vec<u8>),
    Disk(tempfile::TempPath),
}

/// Reads contents to their end, so that nothing is sent of what breaks off.
async fn spool(mut body: ByteStream) -> Result<(Spooled, Digests)> {
    let broken = |e: std::io::Error| {
        let kind = match e.kind() {
            std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
            _ => ErrorKind::Unexpected,
        };
        Error::new(kind, "keep contents until they can be sent").with_source(e)
    };
    let mut hasher = ContentHasher::new();
    let mut memory = Vec::new();
    let mut disk: Option<(tokio::fs::File, tempfile::TempPath)> = None;
    while let Some(piece) = body.try_next().await? {
        hasher.update(&piece);
        if disk.is_none() && memory.len() + piece.len() > IN_MEMORY {
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
            (Spooled::Disk(path), digests)
        }
        None => (Spooled::Memory(memory), digests),
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

#[async_trait]
impl FileStore for RemoteTracker {
    async fn put_file(&self, run: &RunPath, file: FileDraft, body: ByteStream) -> Result<FileInfo> {
        check_file_name(&file.name)?;
        let (spooled, digests) = spool(body).await?;
        let mut request = self.remote.upload_request(run, &file.name).await?;
        if self.remote.is_exact() {
            let told = json!({ "modified_at": file.modified_at, "extras": file.extras });
            let value =
                HeaderValue::from_maybe_shared(Bytes::from(STANDARD.encode(told.to_string())));
            if let Ok(value) = value {
                request = request.header(TOLD, value);
            }
        }
        let kind = HeaderValue::from_static("application/octet-stream");
        let (request, kept) = match spooled {
            Spooled::Memory(bytes) => (request.body(kind, bytes), None),
            Spooled::Disk(path) => (
                request.file_body(kind, path.to_path_buf(), digests.size),
                Some(path),
            ),
        };
        let sent = request.send().await;
        drop(kept);
        sent.map_err(|e| failure(e, format_args!("put file {:?} into run {run}", file.name)))?;
        let exact = self.remote.is_exact();
        Ok(FileInfo {
            name: file.name,
            digests,
            modified_at: file.modified_at,
            extras: if exact {
                file.extras
            } else {
                JsonObject::new()
            },
        })
    }

    fn files(&self, run: &RunPath) -> BoxStream<'static, Result<FileInfo>> {
        let (remote, run) = (self.remote.clone(), run.clone());
        let exact = remote.is_exact();
        let files = pages::items(None, move |after| {
            let (remote, run): (Arc<Remote>, RunPath) = (remote.clone(), run.clone());
            async move {
                let files = remote.file_nodes(&run, None, after).await?;
                let next = files.as_ref().and_then(Connection::next);
                let nodes = files.into_iter().flat_map(Connection::nodes);
                let items = nodes.map(|node| node.read()).collect::<Result<_>>()?;
                Ok(Page { items, next })
            }
            .boxed()
        });
        if exact {
            return files;
        }
        // Others list them in an order of their own.
        let sorted = async move {
            let mut all: Vec<FileInfo> = files.try_collect().await?;
            all.sort_by(|a, b| a.name.cmp(&b.name));
            Ok::<_, Error>(futures::stream::iter(all).map(Ok))
        };
        sorted.try_flatten_stream().boxed()
    }

    async fn open_file(
        &self,
        run: &RunPath,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        let remote = &self.remote;
        let node = remote.file_node(run, name).await?;
        let size = node.read()?.digests.size;
        let range = range.map(|range| range.start.min(size)..range.end.min(size));
        if size == 0 || range.as_ref().is_some_and(Range::is_empty) {
            return Ok(futures::stream::empty().boxed());
        }
        let doing = format!("read file {name:?} of run {run}");
        let url = node
            .direct_url
            .as_deref()
            .and_then(|url| remote.absolute(url));
        let url = url.ok_or_else(|| {
            let message = format!("{doing}: the server says no place to read it");
            Error::new(ErrorKind::Corrupt, message)
        })?;
        let request = remote.http.get(url).sensitive().anonymous();
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
        Ok(download
            .into_stream()
            .map_err(move |e| failure(e, &doing))
            .boxed())
    }

    async fn delete_file(&self, run: &RunPath, name: &str) -> Result<()> {
        let node = self.remote.file_node(run, name).await?;
        let doing = format!("delete file {name:?} of run {run}");
        let document = include_str!("queries/delete_files.graphql");
        let variables = json!({ "files": [node.id] });
        let asked = self
            .remote
            .graphql
            .send(doing, document, variables, Repeat::Unsafe);
        asked.await.map(|_: serde::de::IgnoredAny| ())
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
    async fn large_contents_wait_on_disk() {
        let pieces = vec![
            Ok(Bytes::from(vec![7; IN_MEMORY])),
            Ok(Bytes::from_static(b"x")),
        ];
        let (spooled, digests) = spool(futures::stream::iter(pieces).boxed()).await.unwrap();
        let Spooled::Disk(path) = spooled else {
            panic!("in memory");
        };
        assert_eq!(std::fs::metadata(&path).unwrap().len(), digests.size);
    }
}
