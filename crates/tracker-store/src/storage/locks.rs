use std::{
    fs::{self, File, TryLockError},
    path::PathBuf,
    time::Duration,
};

use tracker_model::{Error, ErrorKind, Result};

use super::Storage;
use crate::error::Doing;

/// Putting a history together takes about so long; a writer stays longer.
const WAITS: u32 = 10;
const WAIT: Duration = Duration::from_millis(30);

/// A name that one holder has at a time, in all processes of the machine. It is free again when
/// the holder ends, however it ends.
#[derive(Debug)]
pub(crate) struct NamedLock {
    path: PathBuf,
    _file: File,
}

impl NamedLock {
    /// Takes the name, or answers `None` if somebody has it.
    pub(crate) fn try_take(storage: &Storage, name: &str) -> Result<Option<Self>> {
        let path = storage.tmp().join(format!("{name}.lock"));
        let doing = || format!("lock {}", path.display());
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .doing(doing())?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(e).doing(doing()),
            }
            // The holder before may have removed the file between the two calls.
            if is_still(&file, &path) {
                return Ok(Some(Self { path, _file: file }));
            }
        }
    }

    /// Takes the name, and waits a little for whoever is just finishing.
    ///
    /// # Errors
    /// `Conflict` if somebody keeps it.
    pub(crate) fn take(
        storage: &Storage,
        name: &str,
        what: impl std::fmt::Display,
    ) -> Result<Self> {
        for _ in 0..WAITS {
            if let Some(lock) = Self::try_take(storage, name)? {
                return Ok(lock);
            }
            std::thread::sleep(WAIT);
        }
        Self::try_take(storage, name)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Conflict,
                format!("{what} is being written by somebody else"),
            )
            .with_hint("wait until the other writer has finished")
        })
    }
}

impl Drop for NamedLock {
    fn drop(&mut self) {
        // While it is locked; whoever has opened it meanwhile sees that it is gone.
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn is_still(file: &File, path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still(_: &File, _: &std::path::Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::new(dir.path().to_owned());
        storage.create().unwrap();
        let first = NamedLock::try_take(&storage, "a").unwrap().unwrap();
        assert!(NamedLock::try_take(&storage, "a").unwrap().is_none());
        assert!(NamedLock::try_take(&storage, "b").unwrap().is_some());
        assert_eq!(
            NamedLock::take(&storage, "a", "it").unwrap_err().kind(),
            ErrorKind::Conflict
        );
        drop(first);
        assert!(NamedLock::try_take(&storage, "a").unwrap().is_some());
        assert_eq!(fs::read_dir(storage.tmp()).unwrap().count(), 0);
    }
}
