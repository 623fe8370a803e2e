use std::{
    fmt,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use futures::StreamExt;
use tokio_util::io::ReaderStream;
use tracker_model::{
    ByteStream, Digests, Error, FileDraft, FileInfo, Result, RunPath, Timestamp, Tracker,
    check_file_name,
};

use crate::{
    Folder, Saved,
    folder::{PIECE, io_error},
};

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

    /// Saves the contents in `folder` under the name of the file, and answers where. A file that is
    /// there already with the same contents is left alone; another one is replaced only with
    /// `replace`. See [`Folder`], which saves several files.
    ///
    /// # Errors
    /// Those of [`Folder::save`]; `NotFound` if the file is gone.
    pub async fn download(&self, folder: &Path, replace: bool) -> Result<PathBuf> {
        let folder = Folder::open(folder).await?.with_replace(replace);
        self.save_to(&folder).await?;
        folder.path_of(&self.info.name)
    }

    /// Saves the contents in a folder under the name of the file.
    ///
    /// # Errors
    /// Those of [`Folder::save`]; `NotFound` if the file is gone.
    pub async fn save_to(&self, folder: &Folder) -> Result<Saved> {
        let info = &self.info;
        folder.save(&info.name, &info.digests, self.open()).await
    }

    /// Deletes the file.
    ///
    /// # Errors
    /// `NotFound` if it is gone.
    pub async fn delete(self) -> Result<()> {
        self.tracker.delete_file(&self.run, &self.info.name).await
    }
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
