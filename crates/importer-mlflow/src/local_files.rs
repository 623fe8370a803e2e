//! Files of artifacts in a local folder, which may be hostile: nothing outside of it is read, and
//! nothing that is not a file.

use std::{
    any::Any,
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::StreamExt;
use importer_core::{Finding, Kind, SourceFile};
use tokio_util::io::ReaderStream;
use tracker_model::{ByteStream, Error, ErrorKind, FileDraft, Result, Timestamp, check_file_name};

use crate::blocking::io_error;

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;
/// Symbolic links to folders that may lie on the way to a file: more are a maze, not a store.
const MAX_LINKS: usize = 2;

/// A folder whose files are artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalFolder {
    /// Without symbolic links.
    path: PathBuf,
}

/// A file in a [`LocalFolder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalFile {
    folder: LocalFolder,
    /// Relative to the folder it was looked for in, `/` between the parts.
    pub(crate) name: String,
    path: PathBuf,
    /// Bytes.
    pub(crate) size: u64,
    /// When it was last changed, to the nanosecond if the file system knows it.
    modified: Option<(i64, u32)>,
}

impl LocalFile {
    /// When it was last changed.
    pub(crate) fn modified_at(&self) -> Option<Timestamp> {
        self.modified.map(|(ms, _)| Timestamp::from_millis(ms))
    }

    /// As [`LocalFile::modified_at`], of the file system.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        let (ms, ns) = self.modified?;
        let ms = Duration::from_millis(u64::try_from(ms).ok()?);
        UNIX_EPOCH.checked_add(ms + Duration::from_nanos(ns.into()))
    }

    /// A mark that is equal only if nobody has written to the file.
    pub(crate) fn mark(&self) -> Option<String> {
        self.modified
            .map(|(ms, ns)| format!("{}:{ms}.{ns:06}", self.size))
    }

    /// The file as a file of a run.
    pub(crate) fn into_source_file(self) -> SourceFile {
        let mut draft = FileDraft::new(&self.name);
        draft.modified_at = self.modified_at();
        SourceFile {
            draft,
            size: Some(self.size),
            mark: self.mark(),
            detail: Some(Arc::new(self)),
        }
    }

    /// Opens the file, if it is still a file of its folder.
    ///
    /// # Errors
    /// Those of the file system; `InvalidInput` if it has become something else meanwhile.
    pub(crate) async fn open(&self) -> Result<ByteStream> {
        let failed = |e| io_error("opening", &self.path, e);
        let real = tokio::fs::canonicalize(&self.path).await.map_err(failed)?;
        if !real.starts_with(&self.folder.path) {
            return Err(Error::invalid(format!(
                "{} leads out of its folder",
                self.path.display()
            )));
        }
        if !tokio::fs::metadata(&real).await.map_err(failed)?.is_file() {
            return Err(Error::invalid(format!(
                "{} is not a file any more",
                self.path.display()
            )));
        }
        let file = tokio::fs::File::open(&real).await.map_err(failed)?;
        let path = self.path.clone();
        Ok(ReaderStream::with_capacity(file, PIECE)
            .map(move |piece| piece.map_err(|e| io_error("reading", &path, e)))
            .boxed())
    }
}

/// The local file that a listed file is.
///
/// # Errors
/// `InvalidInput` for a file of another source.
pub(crate) fn as_file(detail: Option<&(dyn Any + Send + Sync)>) -> Result<&LocalFile> {
    detail
        .and_then(|d| d.downcast_ref())
        .ok_or_else(|| Error::invalid("the file was not listed by this source"))
}

/// What a walk meets.
#[derive(Debug)]
pub(crate) enum Met {
    /// A file.
    File(LocalFile),
    /// Something that cannot be carried.
    Finding(Finding),
}

/// Whether every part of a path below a folder is itself a folder, not a link to one.
fn is_plain_below(path: &Path, above: &Path) -> bool {
    let Ok(below) = path.strip_prefix(above) else {
        return false;
    };
    let mut at = above.to_owned();
    below.components().all(|part| {
        at.push(part);
        matches!(part, Component::Normal(_))
            && fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_dir())
    })
}

impl LocalFolder {
    /// The folder, or `None` if there is none.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        Self::open_below(path, Path::new(""))
    }

    /// [`LocalFolder::open`] where the path is known to lead through no symbolic links up to
    /// `above`: those parts need not be looked at.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open_below(path: &Path, above: &Path) -> Result<Option<Self>> {
        if path.is_absolute() && !above.as_os_str().is_empty() && is_plain_below(path, above) {
            return Ok(Some(Self {
                path: path.to_owned(),
            }));
        }
        match fs::canonicalize(path) {
            Ok(path) if path.is_dir() => Ok(Some(Self { path })),
            Ok(_) => Ok(None),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(e) => Err(io_error("opening", path, e)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Walks over all files below `below` (empty: the folder itself; it may be a file), in order
    /// of their names. Findings are of the given kind.
    ///
    /// # Errors
    /// Those of `visit` alone: what cannot be read is a finding.
    pub(crate) fn walk<E>(
        &self,
        below: &str,
        kind: Kind,
        visit: &mut dyn FnMut(Met) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = if below.is_empty() {
            self.path.clone()
        } else if check_file_name(below).is_ok() {
            self.path.join(below)
        } else {
            return Ok(());
        };
        let mut walk = Walk {
            folder: self,
            kind,
            visit,
            links: Vec::new(),
        };
        match self.look(&start) {
            Ok(Seen::File(meta)) => {
                let name = below.rsplit('/').next().unwrap_or(below).to_owned();
                walk.file(start, name, &meta)
            }
            Ok(Seen::Folder) => walk.folder(&start, ""),
            Ok(Seen::Linked(real)) if real.starts_with(&self.path) => walk.folder(&real, ""),
            Ok(_) => walk.found(
                &start,
                "it is not a file or folder below its root, and is not followed",
            ),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => walk.failed(&start, &e),
        }
    }

    fn look(&self, path: &Path) -> io::Result<Seen> {
        self.see(path, fs::symlink_metadata(path)?)
    }

    /// What is there, by what the file system says of it, a symbolic link not followed.
    fn see(&self, path: &Path, meta: fs::Metadata) -> io::Result<Seen> {
        if !meta.is_symlink() {
            return Ok(match (meta.is_file(), meta.is_dir()) {
                (true, _) => Seen::File(meta),
                (_, true) => Seen::Folder,
                _ => Seen::Special,
            });
        }
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Seen::Dangling),
            Err(e) => return Err(e),
        };
        if !real.starts_with(&self.path) {
            return Ok(Seen::Outside);
        }
        let meta = fs::metadata(&real)?;
        Ok(match (meta.is_file(), meta.is_dir()) {
            (true, _) => Seen::File(meta),
            (_, true) => Seen::Linked(real),
            _ => Seen::Special,
        })
    }
}

enum Seen {
    File(fs::Metadata),
    Folder,
    Linked(PathBuf),
    Outside,
    Dangling,
    Special,
}

struct Walk<'a, E> {
    folder: &'a LocalFolder,
    kind: Kind,
    visit: &'a mut dyn FnMut(Met) -> Result<(), E>,
    /// The folders that links on the way lead to.
    links: Vec<PathBuf>,
}

impl<E> Walk<'_, E> {
    fn folder(&mut self, path: &Path, prefix: &str) -> Result<(), E> {
        let entries = match measured_entries(path) {
            Ok(entries) => entries,
            Err(e) => return self.failed(path, &e),
        };
        for entry in entries {
            let path = path.join(&entry.name);
            let Some(name) = entry.name.to_str() else {
                self.found(&path, "its name is not UTF-8")?;
                continue;
            };
            let name = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            };
            if name.len() > 4096 {
                self.found(&path, "its path is longer than 4096 bytes")?;
                continue;
            }
            match entry.meta.and_then(|meta| self.folder.see(&path, meta)) {
                Ok(Seen::File(meta)) => self.file(path, name, &meta)?,
                Ok(Seen::Folder) => self.folder(&path, &name)?,
                Ok(Seen::Linked(real)) => {
                    if path.starts_with(&real) || self.links.contains(&real) {
                        self.found(&path, "it is a symbolic link to a folder that it is in")?;
                    } else if self.links.len() >= MAX_LINKS {
                        self.found(&path, "too many symbolic links lead to it")?;
                    } else {
                        self.links.push(real.clone());
                        let done = self.folder(&real, &name);
                        self.links.pop();
                        done?;
                    }
                }
                Ok(Seen::Outside) => {
                    self.found(
                        &path,
                        "it is a symbolic link that leaves its folder, and is not followed",
                    )?;
                }
                Ok(Seen::Dangling) => self.found(&path, "it is a symbolic link to nothing")?,
                Ok(Seen::Special) => {
                    self.found(&path, "it is not a file: a pipe, socket or device")?
                }
                Err(e) => self.failed(&path, &e)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, name: String, meta: &fs::Metadata) -> Result<(), E> {
        if let Err(error) = check_file_name(&name) {
            return self.found(&path, error.message());
        }
        let file = LocalFile {
            folder: self.folder.clone(),
            name,
            path,
            size: meta.len(),
            modified: meta.modified().ok().and_then(|t| {
                let since = t.duration_since(UNIX_EPOCH).ok()?;
                Some((
                    i64::try_from(since.as_millis()).ok()?,
                    since.subsec_nanos() % 1_000_000,
                ))
            }),
        };
        (self.visit)(Met::File(file))
    }

    fn found(&mut self, path: &Path, reason: &str) -> Result<(), E> {
        (self.visit)(Met::Finding(Finding::unreadable(
            self.kind,
            path.display().to_string(),
            reason,
        )))
    }

    fn failed(&mut self, path: &Path, error: &io::Error) -> Result<(), E> {
        self.found(path, &format!("it cannot be read: {}", error.kind()))
    }
}

/// An entry of a folder.
#[derive(Debug)]
pub(crate) struct Entry<M = ()> {
    /// Its name in the folder.
    pub(crate) name: std::ffi::OsString,
    /// Its type, symbolic links not followed.
    pub(crate) kind: fs::FileType,
    /// What else was asked of it.
    pub(crate) meta: M,
}

impl<M> Entry<M> {
    /// The bytes that it is sorted by.
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let slash = self.kind.is_dir().then_some(b'/');
        self.name.as_encoded_bytes().iter().copied().chain(slash)
    }
}

/// The entries of a folder in byte order of their paths: a folder stands where its name with a `/`
/// behind it stands, so that a walk over folders in folders is in order too.
pub(crate) fn sorted_entries(path: &Path) -> io::Result<Vec<Entry>> {
    entries_with(path, |_| ())
}

/// [`sorted_entries`] with sizes and times, symbolic links not followed: from the open folder they
/// are had for less than by their paths.
pub(crate) fn measured_entries(path: &Path) -> io::Result<Vec<Entry<io::Result<fs::Metadata>>>> {
    // On Windows a folder may tell of a file what it was before the last write.
    let measure = |entry: &fs::DirEntry| match cfg!(unix) {
        true => entry.metadata(),
        false => fs::symlink_metadata(entry.path()),
    };
    entries_with(path, measure)
}

fn entries_with<M>(path: &Path, meta: impl Fn(&fs::DirEntry) -> M) -> io::Result<Vec<Entry<M>>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        entries.push(Entry {
            name: entry.file_name(),
            kind: entry.file_type()?,
            meta: meta(&entry),
        });
    }
    entries.sort_by(|a, b| a.bytes().cmp(b.bytes()));
    Ok(entries)
}

/// Reads a whole file of at most `limit` bytes. Errors of its contents do not name it.
///
/// # Errors
/// `NotFound`; `Corrupt` if it is larger or not a file; those of the file system.
pub(crate) fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>> {
    use io::Read;
    let failed = |e| io_error("reading", path, e);
    let corrupt = |why: String| Error::new(ErrorKind::Corrupt, why);
    let meta = fs::symlink_metadata(path).map_err(failed)?;
    if !meta.is_file() {
        return Err(corrupt("it is not a file".into()));
    }
    let too_large = || corrupt(format!("it is larger than {} MiB", limit >> 20));
    if meta.len() > limit {
        return Err(too_large());
    }
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}
