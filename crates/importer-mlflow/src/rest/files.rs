//! Trees of files: what a server lists, folder by folder, and the bytes.

use std::collections::VecDeque;

use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};
use importer_core::{Finding, Kind, SourceItem};
use tracker_http::{ErrorKind as Http, Request, Url};
use tracker_model::{ByteStream, Error, ErrorKind, Result, check_file_name};

use super::{
    api::Api,
    endpoint::Endpoint,
    failure::failure,
    pages::Pages,
    probe::answers,
    wire::{File, Files},
};

/// Folders that are listed at once.
const FOLDERS: usize = 4;
/// Tries of a listing and of a first byte: some servers answer 500 for good.
const TRIES: u32 = 4;

/// Whose files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Those of a run.
    Run(String),
    /// Those of a logged model.
    Model(String),
}

impl Owner {
    fn place(&self, path: &str) -> String {
        match self {
            Self::Run(id) => format!("run {id}, {path:?}"),
            Self::Model(id) => format!("logged model {id}, {path:?}"),
        }
    }
}

/// All that is needed to get the files of a run or a logged model.
#[derive(Debug, Clone)]
pub(crate) struct FileTree {
    pub(crate) api: Api,
    pub(crate) owner: Owner,
    /// Where the files are, as the server says.
    pub(crate) root: Option<String>,
    /// Whether the server signs addresses for each file.
    pub(crate) is_databricks: bool,
    /// As what what is missing is counted.
    pub(crate) kind: Kind,
}

/// A file that a server lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedFile {
    /// The path below the root.
    pub(crate) path: String,
    /// Bytes; unknown for empty files, of which some servers do not tell the size.
    pub(crate) size: Option<u64>,
}

impl From<File> for ListedFile {
    fn from(file: File) -> Self {
        let size = file.file_size.and_then(|size| u64::try_from(size.0).ok());
        Self {
            path: file.path,
            size,
        }
    }
}

impl FileTree {
    /// All files below a folder; empty for all there are. What cannot be listed is a finding.
    pub(crate) fn walk(self, below: &str) -> BoxStream<'static, Result<SourceItem<ListedFile>>> {
        let folders = vec![below.trim_matches('/').to_owned()];
        let walk = Walk {
            tree: self,
            folders,
            running: FuturesUnordered::new(),
            ready: VecDeque::new(),
        };
        stream::try_unfold(walk, |mut walk| async move {
            Ok(walk.next().await?.map(|item| (item, walk)))
        })
        .boxed()
    }

    /// Whether there is such a run or logged model.
    ///
    /// # Errors
    /// Those of the transport.
    pub(crate) async fn exists(&self) -> Result<bool> {
        match self.page("", None).await {
            Ok(_) => Ok(true),
            Err(e) if is_refusal(&e) => Ok(false),
            Err(e) => Err(failure(e, format_args!("list {}", self.owner.place("")))),
        }
    }

    /// The file at this path, if it is one.
    ///
    /// # Errors
    /// Those of the transport.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<ListedFile>> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let (_, files) = self.clone().folder(folder.to_owned()).await?;
        let files = match files {
            Ok(files) => files,
            Err(e) if is_refusal(&e) => return Ok(None),
            Err(e) => {
                return Err(failure(
                    e,
                    format_args!("list {}", self.owner.place(folder)),
                ));
            }
        };
        let file = files
            .into_iter()
            .find(|file| file.path == path && !file.is_dir);
        Ok(file.map(ListedFile::from))
    }

    /// One folder.
    async fn folder(self, path: String) -> Result<(String, tracker_http::Result<Vec<File>>)> {
        let mut pages = Pages::default();
        let mut files = Vec::new();
        let doing = format!("list {}", self.owner.place(&path));
        loop {
            match self.page(&path, pages.token()).await {
                Ok(page) => {
                    let count = page.files.len();
                    files.extend(page.files);
                    // The servers of MLflow itself ignore the token, and Databricks counts by it.
                    if !pages.follow(count, page.next_page_token, &doing)? {
                        return Ok((path, Ok(files)));
                    }
                }
                Err(e) => return Ok((path, Err(e))),
            }
        }
    }

    async fn page(&self, path: &str, token: Option<&str>) -> tracker_http::Result<Files> {
        let path = Some(path).filter(|path| !path.is_empty());
        let token = token.map(|token| ("page_token", token));
        let request = match &self.owner {
            Owner::Run(id) => {
                let request = self.api.call(Endpoint::ListArtifacts).await?;
                request
                    .query([("run_id", id)])
                    .query(path.map(|path| ("path", path)))
            }
            Owner::Model(id) => {
                let request = self
                    .api
                    .call_below(Endpoint::ListModelArtifacts, id, "")
                    .await?;
                request.query(path.map(|path| ("artifact_directory_path", path)))
            }
        };
        request.query(token).max_tries(TRIES).json().await
    }

    /// Begins to read a file, by the first way that leads to it.
    ///
    /// # Errors
    /// Those of the transport, and `NotFound` when no way leads to the file. Its message does not
    /// name the file, so that equal ones are counted together.
    pub(crate) async fn open(&self, path: &str) -> Result<ByteStream> {
        check_file_name(path)?;
        if self.is_databricks {
            return crate::databricks::open_signed(self, path).await;
        }
        if is_decoded(path) {
            return Err(Error::new(ErrorKind::Unsupported, DECODED));
        }
        let mut refused = None;
        for request in self.ways(path).await {
            let request = request.map_err(|e| failure(e, "prepare to read a file"))?;
            let mut outcome = request.clone().max_tries(TRIES).download().await;
            // MLflow 2 breaks the connection over a name that does not fit into Latin-1, each
            // time. Once more, if the server is there: it may have been away.
            if outcome.as_ref().is_err_and(is_silence) && answers(&self.api).await {
                outcome = request.max_tries(1).download().await;
                if let Err(e) = &outcome
                    && is_silence(e)
                    && answers(&self.api).await
                {
                    refused = refused.or(outcome.err());
                    continue;
                }
            }
            match outcome {
                Ok(download) => return Ok(bytes(download.into_stream())),
                Err(e) if is_refusal(&e) => refused = refused.or(Some(e)),
                Err(e) => return Err(failure(e, format_args!("read {}", self.owner.place(path)))),
            }
        }
        Err(refused.map_or_else(
            || Error::new(ErrorKind::NotFound, "no way leads to the file"),
            |e| refusal(&e),
        ))
    }

    /// The ways to a file: through the server's proxy for artifacts if they lie behind it, else by
    /// the call for which the server fetches them from wherever they are.
    async fn ways(&self, path: &str) -> Vec<tracker_http::Result<Request>> {
        let mut ways = Vec::new();
        if let Some(root) = self.root.as_deref().and_then(proxied) {
            ways.push(
                self.api
                    .call_below(Endpoint::ProxiedArtifact, "", &format!("{root}/{path}"))
                    .await,
            );
        }
        ways.push(match &self.owner {
            Owner::Run(id) => {
                let request = self.api.call(Endpoint::GetArtifact).await;
                request.map(|request| request.query([("run_uuid", id.as_str()), ("path", path)]))
            }
            Owner::Model(id) => {
                let request = self
                    .api
                    .call_below(Endpoint::GetModelArtifact, id, "")
                    .await;
                request.map(|request| request.query([("artifact_file_path", path)]))
            }
        });
        ways
    }
}

const DECODED: &str = "the server decodes the percent signs in the file's name, so that it cannot be asked for; read the store directly";

/// The path behind the proxy, if the root is there. One that names another host is left to the
/// server, which knows whether to trust it.
fn proxied(root: &str) -> Option<String> {
    let url = Url::parse(root)
        .ok()
        .filter(|url| url.scheme() == "mlflow-artifacts")?;
    let is_here = url.host_str().is_none_or(str::is_empty);
    is_here.then(|| {
        crate::mapping::decoded_path(&url)
            .trim_matches('/')
            .to_owned()
    })
}

/// Whether a server would take this name for another: it decodes percent signs until nothing
/// changes, and replaces control characters.
fn is_decoded(path: &str) -> bool {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = path.as_bytes();
    let escaped = bytes
        .iter()
        .enumerate()
        .any(|(i, byte)| *byte == b'%' && hex(bytes.get(i + 1)) && hex(bytes.get(i + 2)));
    escaped || path.chars().any(char::is_control)
}

/// Whether another way may lead further.
fn is_refusal(e: &tracker_http::Error) -> bool {
    matches!(
        e.kind(),
        Http::NotFound | Http::InvalidInput | Http::Unsupported | Http::PermissionDenied
    ) || e.status().is_some_and(|status| status.as_u16() == 500)
}

/// Whether no answer came, for as often as it was asked for.
fn is_silence(e: &tracker_http::Error) -> bool {
    e.kind() == Http::Unavailable
        && e.status().is_none()
        && e.retry() == tracker_http::Retry::Exhausted
}

/// Why a file is not given, without its name.
pub(crate) fn refusal(e: &tracker_http::Error) -> Error {
    let status = e.status().map(|status| status.as_u16());
    let kind = match status {
        None | Some(500) => ErrorKind::Corrupt,
        Some(_) => failure_kind(e),
    };
    let does = status.map_or_else(
        || "breaks the connection each time".to_owned(),
        |status| format!("answers {status}"),
    );
    Error::new(
        kind,
        format!("the server lists the file and does not give it: it {does}"),
    )
    .with_retry(tracker_model::Retry::Never)
}

fn failure_kind(e: &tracker_http::Error) -> ErrorKind {
    match e.kind() {
        Http::PermissionDenied => ErrorKind::PermissionDenied,
        Http::InvalidInput | Http::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::NotFound,
    }
}

/// Bytes of a download, with errors of the contract.
pub(crate) fn bytes(
    body: BoxStream<'static, tracker_http::Result<tracker_http::Bytes>>,
) -> ByteStream {
    body.map_err(|e| failure(e, "read a file")).boxed()
}

type Listed = BoxFuture<'static, Result<(String, tracker_http::Result<Vec<File>>)>>;

/// A walk through the folders: those found last first, so that few wait.
struct Walk {
    tree: FileTree,
    folders: Vec<String>,
    running: FuturesUnordered<Listed>,
    ready: VecDeque<SourceItem<ListedFile>>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<SourceItem<ListedFile>>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            while self.running.len() < FOLDERS
                && let Some(folder) = self.folders.pop()
            {
                self.running.push(self.tree.clone().folder(folder).boxed());
            }
            match self.running.next().await.transpose()? {
                None => return Ok(None),
                Some((folder, Ok(files))) => self.take(&folder, files),
                Some((folder, Err(e))) => self.missing(&folder, e)?,
            }
        }
    }

    fn take(&mut self, folder: &str, files: Vec<File>) {
        for file in files {
            let inside = match folder {
                "" => !file.path.is_empty(),
                _ => file
                    .path
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.len() > 1 && rest.starts_with('/')),
            };
            if !inside {
                self.found(
                    &file.path,
                    "the server lists it in a folder that it is not in",
                );
            } else if !file.is_dir {
                self.ready.push_back(SourceItem::Item(file.into()));
            } else if let Err(e) = check_file_name(&file.path) {
                let reason = format!("the name of the folder {}", why(&e));
                self.found(&file.path, reason);
            } else if is_decoded(&file.path) && !self.tree.is_databricks {
                let reason = "the server decodes the percent signs in the folder's name, so that it cannot be listed; read the store directly";
                self.found(&file.path, reason);
            } else {
                self.folders.push(file.path);
            }
        }
    }

    /// A folder that cannot be listed for good does not keep the others from being listed.
    fn missing(&mut self, folder: &str, e: tracker_http::Error) -> Result<()> {
        if !is_refusal(&e) {
            return Err(failure(
                e,
                format_args!("list {}", self.tree.owner.place(folder)),
            ));
        }
        // Roots of which nothing is left are usual.
        if !(e.kind() == Http::NotFound && folder.is_empty()) {
            let status = e.status().map_or(0, |status| status.as_u16());
            self.found(
                folder,
                format!("the server does not list the folder: it answers {status}"),
            );
        }
        Ok(())
    }

    fn found(&mut self, path: &str, reason: impl Into<String>) {
        let finding = Finding::unreadable(self.tree.kind, self.tree.owner.place(path), reason);
        self.ready.push_back(SourceItem::Finding(finding));
    }
}

/// What is wrong with a name, without the name.
fn why(e: &Error) -> &str {
    let text = e.message();
    text.rsplit_once("\" ").map_or(text, |(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_server_takes_for_others() {
        for (name, decoded) in [
            ("a%20b.txt", true),
            ("100%.txt", false),
            ("100%2", false),
            ("a\nb", true),
            ("ü +&=.txt", false),
            ("%C3%A9", true),
        ] {
            assert_eq!(is_decoded(name), decoded, "{name:?}");
        }
    }

    #[test]
    fn roots_behind_the_proxy() {
        assert_eq!(
            proxied("mlflow-artifacts:/1/a/artifacts").as_deref(),
            Some("1/a/artifacts")
        );
        assert_eq!(
            proxied("mlflow-artifacts:///1/a%20b").as_deref(),
            Some("1/a b")
        );
        assert_eq!(proxied("mlflow-artifacts://other:80/1/a"), None);
        assert_eq!(proxied("file:///x"), None);
        assert_eq!(proxied("/x"), None);
    }
}
