use std::{
    ffi::OsStr,
    io,
    path::{Component, Path, PathBuf},
};

use futures::TryStreamExt;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use tracker_model::{
    ByteStream, ContentHasher, Digests, Error, ErrorKind, Result, check_file_name,
};

/// Bytes that are read at once.
pub(crate) const PIECE: usize = 256 << 10;

/// A folder of this machine that files are saved into, and never outside of it: neither names nor
/// symbolic links lead elsewhere.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    replace: bool,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It was written.
    Written,
    /// It was there already, byte for byte.
    There,
}

impl Folder {
    /// Makes the folder if there is none.
    ///
    /// # Errors
    /// Those of the file system.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let made = tokio::fs::create_dir_all(&root).await;
        made.map_err(|e| io_error("make the folder", &root, e))?;
        Ok(Self {
            root,
            replace: false,
        })
    }

    /// Replaces files that are there and differ, or not.
    #[must_use]
    pub fn with_replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file of this name goes.
    ///
    /// # Errors
    /// `InvalidInput` if no file of this machine can have the name.
    pub fn path_of(&self, name: &str) -> Result<PathBuf> {
        check_file_name(name)?;
        let mut path = self.root.clone();
        for part in name.split('/') {
            if !is_plain(part) {
                return Err(Error::invalid(format!(
                    "{name:?} is not a name that a file can have here"
                )));
            }
            path.push(part);
        }
        Ok(path)
    }

    /// Saves a file with these contents, which are asked for only if the file is not there already.
    /// It is seen when it is complete and has its digest.
    ///
    /// # Errors
    /// `AlreadyExists` if there is another file and it is not to be replaced; `InvalidInput` for a
    /// name that no file can have here, or if something else than a folder is in the way; `Corrupt`
    /// if the contents have other digests; those of the contents and of the file system.
    pub async fn save(
        &self,
        name: &str,
        digests: &Digests,
        contents: impl Future<Output = Result<ByteStream>>,
    ) -> Result<Saved> {
        let path = self.path_of(name)?;
        if self.has(&path, digests).await? {
            return Ok(Saved::There);
        }
        let failed = |e| io_error("write", &path, e);
        let folder = path.parent().unwrap_or(&self.root);
        self.make(folder).await?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".trackway-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any program makes files; the umask takes away what it must.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let partial = builder.tempfile_in(folder).map_err(failed)?;
        let mut file = tokio::fs::File::from_std(partial.reopen().map_err(failed)?);
        let mut hasher = ContentHasher::new();
        let mut body = contents.await?;
        while let Some(piece) = body.try_next().await? {
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        if hasher.finish() != *digests {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("the contents of {name:?} are not those that were stored"),
            ));
        }
        partial.persist(&path).map_err(|e| failed(e.error))?;
        Ok(Saved::Written)
    }

    /// Whether the file is there with these contents; an error if another one is to stay.
    async fn has(&self, path: &Path, digests: &Digests) -> Result<bool> {
        let failed = |e| io_error("look at", path, e);
        let meta = match tokio::fs::symlink_metadata(path).await {
            Ok(meta) => meta,
            // What is in the way is told when folders are made.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(false);
            }
            Err(e) => return Err(failed(e)),
        };
        if meta.is_dir() {
            return Err(in_the_way(path, "a folder"));
        }
        let same = meta.is_file()
            && meta.len() == digests.size
            && hash(path).await.map_err(failed)? == *digests;
        if same || self.replace {
            return Ok(same);
        }
        Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("{} is there already and differs", path.display()),
        )
        .with_hint("replace it, or choose another folder"))
    }

    /// Makes the folders on the way, none of which may lead elsewhere.
    async fn make(&self, folder: &Path) -> Result<()> {
        let below = folder.strip_prefix(&self.root).unwrap_or(Path::new(""));
        let mut path = self.root.clone();
        for part in below.components() {
            path.push(part);
            match tokio::fs::create_dir(&path).await {
                Ok(()) => continue,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(io_error("make the folder", &path, e)),
            }
            let meta = tokio::fs::symlink_metadata(&path).await;
            if !meta.map_err(|e| io_error("look at", &path, e))?.is_dir() {
                return Err(in_the_way(&path, "no folder"));
            }
        }
        Ok(())
    }
}

fn in_the_way(path: &Path, what: &str) -> Error {
    Error::invalid(format!("{} is in the way: it is {what}", path.display()))
        .with_hint("save into another folder")
}

/// Whether a part of a name is just a name on this system.
fn is_plain(part: &str) -> bool {
    let mut components = Path::new(part).components();
    let alone = matches!((components.next(), components.next()), (Some(Component::Normal(p)), None) if p == OsStr::new(part));
    let odd = cfg!(windows)
        && (part.contains(['<', '>', ':', '"', '|', '?', '*', '\\']) || part.ends_with(['.', ' ']));
    alone && !odd && part.len() <= 255
}

async fn hash(path: &Path) -> io::Result<Digests> {
    let mut pieces = ReaderStream::with_capacity(tokio::fs::File::open(path).await?, PIECE);
    let mut hasher = ContentHasher::new();
    while let Some(piece) = pieces.try_next().await? {
        hasher.update(&piece);
    }
    Ok(hasher.finish())
}

/// An error of the disk.
pub(crate) fn io_error(doing: &str, path: &Path, e: io::Error) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::PermissionDenied
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        _ => ErrorKind::Unexpected,
    };
    Error::new(kind, format!("{doing} {}", path.display())).with_source(e)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tracker_model::bytes_of;

    use super::*;

    fn digests(bytes: &[u8]) -> Digests {
        let mut hasher = ContentHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    async fn save(folder: &Folder, name: &str, bytes: &'static [u8]) -> Result<Saved> {
        let body = async move { Ok(bytes_of(bytes)) };
        folder.save(name, &digests(bytes), body).await
    }

    #[tokio::test]
    async fn saves_and_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("out")).await.unwrap();
        let saved = save(&folder, "a/b c/ü.txt", b"x").await.unwrap();
        assert_eq!(saved, Saved::Written);
        assert_eq!(fs::read(dir.path().join("out/a/b c/ü.txt")).unwrap(), b"x");
        let never = async { panic!("nobody should ask for the contents") };
        let again = folder.save("a/b c/ü.txt", &digests(b"x"), never).await;
        assert_eq!(again.unwrap(), Saved::There);
        let other = save(&folder, "a/b c/ü.txt", b"y").await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::AlreadyExists);
        let folder = folder.with_replace(true);
        let replaced = save(&folder, "a/b c/ü.txt", b"y").await.unwrap();
        assert_eq!(replaced, Saved::Written);
        let body = async { Ok(bytes_of(&b"2"[..])) };
        let wrong = folder.save("z", &digests(b"1"), body).await.unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Corrupt);
        let left: Vec<_> = fs::read_dir(folder.root()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing but the folder a");
    }

    #[tokio::test]
    async fn never_leaves_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("out")).await.unwrap();
        let folder = folder.with_replace(true);
        let long = "x".repeat(256);
        for name in ["../x", "/x", "a/../../x", "", "a//b", ".", &long] {
            let refused = save(&folder, name, b"x").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{name}");
        }
        assert!(!dir.path().join("x").exists());
    }

    #[tokio::test]
    async fn folders_and_files_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).await.unwrap().with_replace(true);
        fs::create_dir(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for name in ["folder", "file/x"] {
            let refused = save(&folder, name, b"x").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{name}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn never_follows_links() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("out")).await.unwrap();
        let folder = folder.with_replace(true);
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        fs::write(dir.path().join("elsewhere/victim"), b"old").unwrap();
        std::os::unix::fs::symlink("../elsewhere", dir.path().join("out/a")).unwrap();
        std::os::unix::fs::symlink("../elsewhere/victim", dir.path().join("out/f")).unwrap();
        let refused = save(&folder, "a/x", b"x").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        let saved = save(&folder, "f", b"new").await.unwrap();
        assert_eq!(saved, Saved::Written);
        let victim = fs::read(dir.path().join("elsewhere/victim")).unwrap();
        assert_eq!(victim, b"old");
        assert!(!dir.path().join("elsewhere/x").exists());
    }
}
