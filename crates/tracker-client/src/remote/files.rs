//! Files of runs.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{FutureExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::json;
use tracker_http::{HeaderName, HeaderValue, Url};
use tracker_model::{
    ByteStream, Digests, Error, ErrorKind, FileDraft, FileInfo, FileStore, JsonObject, Result,
    RunPath, check_file_name,
};

use super::{
    Remote, RemoteTracker, bodies,
    failure::failure,
    graphql::{Connection, Repeat},
    pages::{self, Page},
    record::time,
};

/// Files of a page.
const PAGE: usize = 500;
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

    /// Where contents can be put, and with which headers.
    async fn upload_place(&self, run: &RunPath, name: &str) -> Result<(Url, Vec<String>)> {
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
        Ok((url, payload.upload_headers))
    }
}

#[async_trait]
impl FileStore for RemoteTracker {
    async fn put_file(&self, run: &RunPath, file: FileDraft, body: ByteStream) -> Result<FileInfo> {
        check_file_name(&file.name)?;
        let (spooled, digests) = bodies::spool(body, bodies::IN_MEMORY).await?;
        let (url, headers) = self.remote.upload_place(run, &file.name).await?;
        let all = 0..digests.size;
        let mut request = self.remote.put_request(url, &headers, &spooled, all);
        if self.remote.is_exact() {
            let told = json!({ "modified_at": file.modified_at, "extras": file.extras });
            let value =
                HeaderValue::from_maybe_shared(Bytes::from(STANDARD.encode(told.to_string())));
            if let Ok(value) = value {
                request = request.header(TOLD, value);
            }
        }
        let sent = request.send().await;
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
        pages::sorted(files, |a: &FileInfo, b| a.name.cmp(&b.name))
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
        bodies::read(request, size, range, doing).await
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
