use std::{
    fmt, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use tracker_model::{
    ByteStream, ContentHasher, Digests, Error, ErrorKind, FileDraft, FileInfo, Result, RunPath,
    Timestamp, Tracker, check_file_name,
};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// A file of a run.
///
/// Source: `wandb.apis.public.File`.
#[derive(Clone)]
pub struct File {
    tracker: Arc<dyn Tracker>,
    run: RunPath,
    info: FileInfo,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("run", &self.run)
            .field("name", &self.info.name)
            .finish_non_exhaustive()
    }
}

impl File {
    pub(crate) fn new(tracker: Arc<dyn Tracker>, run: RunPath, info: FileInfo) -> Self {
        Self { tracker, run, info }
    }

    /// The path inside the run.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Size and digests.
    pub fn digests(&self) -> &Digests {
        &self.info.digests
    }

    /// All that is known of it.
    pub fn info(&self) -> &FileInfo {
        &self.info
    }

    /// The contents.
    ///
    /// # Errors
    /// `NotFound` if it is gone.
    pub async fn open(&self) -> Result<ByteStream> {
        self.tracker
            .open_file(&self.run, &self.info.name, None)
            .await
    }

    /// Writes the contents to `folder` below the name of the file, and answers where. A file that is
    /// there already with the same contents is left alone; another one is replaced only with
    /// `replace`. The new file is seen when it is complete and has its digest.
    ///
    /// # Errors
    /// `AlreadyExists` if there is another file and `replace` is not set; `InvalidInput` for a name
    /// that would leave the folder; `Corrupt` if the contents are not those that were put there;
    /// those of the tracker and of the file system.
    pub async fn download(&self, folder: &Path, replace: bool) -> Result<PathBuf> {
        let path = place(folder, &self.info.name)?;
        let failed = |e| io_error("write", &path, e);
        match tokio::fs::symlink_metadata(&path).await {
            Ok(meta) if meta.is_file() => {
                let size = meta.len() == self.info.digests.size;
                if size && hash(&path).await.map_err(failed)? == self.info.digests {
                    return Ok(path);
                }
                if !replace {
                    return Err(exists(&path));
                }
            }
            Ok(_) => return Err(exists(&path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
        let parent = path.parent().unwrap_or(folder).to_owned();
        tokio::fs::create_dir_all(&parent).await.map_err(failed)?;
        stays(folder, &parent).await?;
        let partial = tempfile::Builder::new()
            .prefix(".trackway-")
            .suffix(".part")
            .tempfile_in(&parent)
            .map_err(failed)?;
        let mut file = tokio::fs::File::from_std(partial.reopen().map_err(failed)?);
        let mut hasher = ContentHasher::new();
        let mut body = self.open().await?;
        while let Some(piece) = body.try_next().await? {
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        if hasher.finish() != self.info.digests {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the contents of {:?} of run {} are not those that were put there",
                    self.info.name, self.run
                ),
            ));
        }
        partial.persist(&path).map_err(|e| failed(e.error))?;
        Ok(path)
    }

    /// Deletes the file.
    ///
    /// # Errors
    /// `NotFound` if it is gone.
    pub async fn delete(self) -> Result<()> {
        self.tracker.delete_file(&self.run, &self.info.name).await
    }
}

fn exists(path: &Path) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("{} is there already and differs", path.display()),
    )
    .with_hint("replace it, or choose another folder")
}

/// Where a file of this name goes.
fn place(folder: &Path, name: &str) -> Result<PathBuf> {
    check_file_name(name)?;
    let below = Path::new(name);
    if !below
        .components()
        .all(|c| matches!(c, Component::Normal(_)))
    {
        return Err(Error::invalid(format!(
            "file name {name:?} would leave its folder"
        )));
    }
    Ok(folder.join(below))
}

/// Fails if a symbolic link leads out of the folder.
async fn stays(folder: &Path, parent: &Path) -> Result<()> {
    let real = async |path: &Path| {
        let real = tokio::fs::canonicalize(path).await;
        real.map_err(|e| io_error("look at", path, e))
    };
    if real(parent).await?.starts_with(real(folder).await?) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} is a symbolic link that leads out of {}",
        parent.display(),
        folder.display()
    )))
}

async fn hash(path: &Path) -> io::Result<Digests> {
    let mut pieces = ReaderStream::with_capacity(tokio::fs::File::open(path).await?, PIECE);
    let mut hasher = ContentHasher::new();
    while let Some(piece) = pieces.try_next().await? {
        hasher.update(&piece);
    }
    Ok(hasher.finish())
}

/// The name that a file of this machine has in a run.
pub(crate) fn name_below(path: &Path, root: Option<&Path>) -> Result<String> {
    let below = match root {
        Some(root) => path.strip_prefix(root).map_err(|_| {
            Error::invalid(format!(
                "{} is not below {}",
                path.display(),
                root.display()
            ))
        })?,
        None => Path::new(path.file_name().unwrap_or_default()),
    };
    let mut parts = Vec::new();
    for component in below.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().ok_or_else(|| {
                Error::invalid(format!("the name of {} is not UTF-8", path.display()))
            })?),
            Component::CurDir => {}
            _ => {
                return Err(Error::invalid(format!(
                    "{} leads out of its folder",
                    below.display()
                )));
            }
        }
    }
    let name = parts.join("/");
    check_file_name(&name)?;
    Ok(name)
}

/// A file of this machine under another name.
pub(crate) async fn of_disk(path: &Path, name: String) -> Result<(FileDraft, ByteStream)> {
    let failed = |e| io_error("read", path, e);
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let meta = file.metadata().await.map_err(failed)?;
    if !meta.is_file() {
        return Err(Error::invalid(format!("{} is not a file", path.display())));
    }
    let mut draft = FileDraft::new(name);
    let since = meta.modified().ok();
    let since = since.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    draft.modified_at = since
        .and_then(|d| i64::try_from(d.as_millis()).ok())
        .map(Timestamp::from_millis);
    let path = path.to_owned();
    let pieces = ReaderStream::with_capacity(file, PIECE);
    let body = pieces.map(move |piece| piece.map_err(|e| io_error("read", &path, e)));
    Ok((draft, body.boxed()))
}

fn io_error(doing: &str, path: &Path, e: io::Error) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{doing} {}", path.display())).with_source(e)
}
