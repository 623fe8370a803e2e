//! Writing files of a tracker into a folder of the user, and never outside of it.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

use futures::TryStreamExt;
use tracker_model::{ByteStream, ContentHasher, Digests, check_file_name};

use super::failure::{Exit, Failure, Result};

/// A folder that files are saved into.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    force: bool,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// It was written.
    Written,
    /// It was there already, byte for byte.
    There,
}

impl Folder {
    /// Makes the folder if there is none. `force` replaces files that differ.
    pub(crate) fn new(root: PathBuf, force: bool) -> Result<Self> {
        fs::create_dir_all(&root)
            .map_err(|e| Failure::io(format_args!("make the folder {}", root.display()), &e))?;
        Ok(Self { root, force })
    }

    /// Whether the file is there with these contents; an error if there is another one.
    pub(crate) fn has(&self, name: &str, digests: &Digests) -> Result<bool> {
        let path = self.path(name)?;
        let doing = || format!("look at {}", path.display());
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(Failure::io(doing(), &e)),
        };
        if meta.is_dir() {
            return Err(Failure::new(
                Exit::Refused,
                format!("{} is a folder, and a file has its name", path.display()),
            )
            .with_hint("save into another folder with -o"));
        }
        let same = meta.is_file() && meta.len() == digests.size && {
            let hashed = hash(&path).map_err(|e| Failure::io(doing(), &e))?;
            hashed.sha256 == digests.sha256
        };
        if same || self.force {
            return Ok(same);
        }
        Err(Failure::new(
            Exit::Refused,
            format!("{} is there already and differs", path.display()),
        )
        .with_hint("--force replaces it, -o names another folder"))
    }

    /// Writes a file; it is seen only when it is complete and has its digest.
    pub(crate) async fn save(
        &self,
        name: &str,
        digests: &Digests,
        mut body: ByteStream,
    ) -> Result<Saved> {
        if self.has(name, digests)? {
            return Ok(Saved::There);
        }
        let path = self.path(name)?;
        let doing = || format!("write {}", path.display());
        let folder = path.parent().unwrap_or(&self.root);
        self.make(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".trackway-")
            .suffix(".part")
            .tempfile_in(folder)
            .map_err(|e| Failure::io(doing(), &e))?;
        let mut hasher = ContentHasher::new();
        while let Some(piece) = body.try_next().await? {
            hasher.update(&piece);
            file.write_all(&piece)
                .map_err(|e| Failure::io(doing(), &e))?;
        }
        if hasher.finish() != *digests {
            return Err(Failure::new(
                Exit::Failed,
                format!("the contents of {name:?} are not those that were stored"),
            )
            .with_hint("`trackway fsck --read-data` finds what is damaged"));
        }
        plain_permissions(file.path()).map_err(|e| Failure::io(doing(), &e))?;
        file.persist(&path)
            .map_err(|e| Failure::io(doing(), &e.error))?;
        Ok(Saved::Written)
    }

    /// The place of a name below the folder.
    fn path(&self, name: &str) -> Result<PathBuf> {
        check_file_name(name)?;
        let mut path = self.root.clone();
        for part in name.split('/') {
            if !is_plain(part) {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("{name:?} is not a name that a file can have here"),
                )
                .with_hint("get this one alone with -o -, which writes it to standard output"));
            }
            path.push(part);
        }
        Ok(path)
    }

    /// Makes the folders on the way, none of which may lead elsewhere.
    fn make(&self, folder: &Path) -> Result<()> {
        let below = folder.strip_prefix(&self.root).unwrap_or(Path::new(""));
        let mut path = self.root.clone();
        for part in below.components() {
            path.push(part);
            match fs::create_dir(&path) {
                Ok(()) => continue,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    return Err(Failure::io(
                        format_args!("make the folder {}", path.display()),
                        &e,
                    ));
                }
            }
            let meta = fs::symlink_metadata(&path)
                .map_err(|e| Failure::io(format_args!("look at {}", path.display()), &e))?;
            if !meta.is_dir() {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("{} is in the way: it is not a folder", path.display()),
                )
                .with_hint("save into another folder with -o"));
            }
        }
        Ok(())
    }
}

/// Whether a part of a name is just a name on this system.
fn is_plain(part: &str) -> bool {
    let mut components = Path::new(part).components();
    let alone = matches!((components.next(), components.next()), (Some(Component::Normal(p)), None) if p == OsStr::new(part));
    let odd = cfg!(windows)
        && (part.contains(['<', '>', ':', '"', '|', '?', '*', '\\']) || part.ends_with(['.', ' ']));
    alone && !odd && part.len() <= 255
}

fn hash(path: &Path) -> io::Result<Digests> {
    let mut file = fs::File::open(path)?;
    let (mut hasher, mut buffer) = (ContentHasher::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// Temporary files are private; saved ones are as any program makes them.
#[cfg(unix)]
fn plain_permissions(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn plain_permissions(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use tracker_model::bytes_of;

    use super::*;

    fn digests(bytes: &[u8]) -> Digests {
        let mut hasher = ContentHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    async fn save(folder: &Folder, name: &str, bytes: &'static [u8]) -> Result<Saved> {
        folder.save(name, &digests(bytes), bytes_of(bytes)).await
    }

    #[tokio::test]
    async fn saves_and_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("out"), false).unwrap();
        assert_eq!(
            save(&folder, "a/b c/ü.txt", b"x").await.unwrap(),
            Saved::Written
        );
        assert_eq!(fs::read(dir.path().join("out/a/b c/ü.txt")).unwrap(), b"x");
        assert_eq!(
            save(&folder, "a/b c/ü.txt", b"x").await.unwrap(),
            Saved::There
        );
        assert_eq!(
            save(&folder, "a/b c/ü.txt", b"y").await.unwrap_err().exit(),
            Exit::Refused
        );
        let forced = Folder::new(dir.path().join("out"), true).unwrap();
        assert_eq!(
            save(&forced, "a/b c/ü.txt", b"y").await.unwrap(),
            Saved::Written
        );
        assert!(
            folder
                .save("z", &digests(b"1"), bytes_of(&b"2"[..]))
                .await
                .is_err()
        );
        assert!(!dir.path().join("out/z").exists());
    }

    #[tokio::test]
    async fn never_leaves_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("out"), true).unwrap();
        for name in ["../x", "/x", "a/../../x", "", "a//b", "."] {
            assert!(save(&folder, name, b"x").await.is_err(), "{name}");
        }
        assert!(!dir.path().join("x").exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn never_follows_links() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("out"), true).unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        fs::write(dir.path().join("elsewhere/victim"), b"old").unwrap();
        std::os::unix::fs::symlink("../elsewhere", dir.path().join("out/a")).unwrap();
        std::os::unix::fs::symlink("../elsewhere/victim", dir.path().join("out/f")).unwrap();
        assert_eq!(
            save(&folder, "a/x", b"x").await.unwrap_err().exit(),
            Exit::Refused
        );
        assert_eq!(save(&folder, "f", b"new").await.unwrap(), Saved::Written);
        assert_eq!(
            fs::read(dir.path().join("elsewhere/victim")).unwrap(),
            b"old"
        );
        assert!(!dir.path().join("elsewhere/x").exists());
    }
}
