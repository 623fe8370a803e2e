//! The files of a store: where they are, and how they become durable.

mod blobs;
mod locks;
mod mounts;
mod names;

pub(crate) use blobs::{BlobBody, Incoming, Stored, read_stored};
pub(crate) use locks::NamedLock;
pub(crate) use mounts::refuse_network;
pub(crate) use names::encode;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tracker_model::{Result, RunPath};

use crate::error::Doing;

/// The folders of a store.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    root: PathBuf,
}

impl Storage {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folders that are not there.
    pub(crate) fn create(&self) -> Result<()> {
        for dir in [self.history(), self.blobs(), self.tmp()] {
            fs::create_dir_all(&dir).doing(format_args!("make the folder {}", dir.display()))?;
        }
        Ok(())
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("trackway.db")
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.root.join("history")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Where files are written before they have a name.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The lock of whoever writes a history.
    pub(crate) fn history_lock(run: i64, stream: i64) -> String {
        format!("history-{run}-{stream}")
    }

    /// The lock of whoever fills a manifest.
    pub(crate) fn manifest_lock(manifest: i64) -> String {
        format!("manifest-{manifest}")
    }

    /// The folder of a run's history, relative to [`Self::history`].
    pub(crate) fn run_folder(run: &RunPath) -> String {
        format!(
            "{}/{}/{}",
            encode(run.entity.as_str()),
            encode(run.project.as_str()),
            encode(run.run.as_str())
        )
    }
}

/// A new file that is locked as long as it is written, so that nobody sweeps it, and is removed
/// unless it gets a name.
#[derive(Debug)]
pub(crate) struct Draft {
    file: tempfile::NamedTempFile,
}

impl Draft {
    pub(crate) fn create(storage: &Storage) -> Result<Self> {
        let dir = storage.tmp();
        let make = || -> io::Result<Self> {
            let file = tempfile::Builder::new().prefix("new-").tempfile_in(&dir)?;
            file.as_file().lock()?;
            Ok(Self { file })
        };
        make().doing(format_args!("make a file in {}", dir.display()))
    }

    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives the file its name, durably, in place of what has that name.
    pub(crate) fn publish(self, to: &Path) -> Result<()> {
        let doing = || format!("write {}", to.display());
        let Some(parent) = to.parent() else {
            return Err(crate::error::unexpected(doing()));
        };
        self.file.as_file().sync_all().doing(doing())?;
        make_dir(parent)?;
        if let Err(e) = self.file.persist(to) {
            // The folder was empty, and has been removed with its run.
            make_dir(parent)?;
            e.file.persist(to).map_err(|e| e.error).doing(doing())?;
        }
        sync_dir(parent).doing(doing())
    }
}

/// Makes a folder and those above it, each durable.
fn make_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dir(parent)?;
        let made = match fs::create_dir(dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => sync_dir(parent),
        };
        made.doing(format_args!("make the folder {}", dir.display()))?;
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}

/// Reads a file from a place on, whatever its position.
#[derive(Debug)]
pub(crate) struct ReadAt<F> {
    file: F,
    at: u64,
}

impl<F: std::borrow::Borrow<File>> ReadAt<F> {
    pub(crate) fn new(file: F, at: u64) -> Self {
        Self { file, at }
    }
}

impl<F: std::borrow::Borrow<File>> io::Read for ReadAt<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let n = std::os::unix::fs::FileExt::read_at(self.file.borrow(), out, self.at)?;
        #[cfg(windows)]
        let n = std::os::windows::fs::FileExt::seek_read(self.file.borrow(), out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
