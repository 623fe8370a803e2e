//! The handle of a store; its traits are implemented in the modules below.

mod artifacts;
mod collections;
mod contents;
mod files;
mod fsck;
mod gc;
mod history;
mod lineage;
mod logs;
mod pages;
mod projects;
mod records;
mod reports;
mod runs;
mod sweeps;

pub use fsck::{FsckEvent, FsckOptions, FsckReport, Problem, ProblemKind};
pub use gc::{GcOptions, GcReport};

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracker_model::{Capabilities, Error, ErrorKind, Result, Tracker};

use crate::{
    StoreOptions,
    catalog::Catalog,
    error::{Doing, unexpected},
    storage::{Storage, refuse_network},
};

/// A tracker in a folder. Cheap to clone; clones share their connections.
///
/// Its methods need a Tokio runtime.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) catalog: Catalog,
    pub(crate) storage: Storage,
    pub(crate) options: StoreOptions,
}

impl EmbeddedStore {
    /// Opens the store in a folder; makes it if the folder is empty or not there.
    ///
    /// # Errors
    /// `NotFound` if there is none and [`StoreOptions::create`] is off, `InvalidInput` if the
    /// folder holds something else, `Unsupported` if a newer version made it or the folder is on
    /// a network file system, `PermissionDenied`, `Corrupt`, `StorageFull`.
    pub async fn open(dir: impl AsRef<Path>, options: StoreOptions) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        blocking("open the store", move || open(dir, options)).await
    }

    /// Opens the store in a folder, and never makes one.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub async fn open_existing(dir: impl AsRef<Path>, options: StoreOptions) -> Result<Self> {
        Self::open(dir, options.with_create(false)).await
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.inner.storage.root()
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    pub(crate) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }
}

impl fmt::Display for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local:{}", self.dir().display())
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EmbeddedStore").field(&self.dir()).finish()
    }
}

impl Tracker for EmbeddedStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }
}

/// Runs what may wait for the disk on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let task = tokio::task::spawn_blocking(work);
    task.await
        .map_err(|e| unexpected(format!("{doing}: the thread ended")).with_source(e))?
}

fn open(dir: PathBuf, options: StoreOptions) -> Result<EmbeddedStore> {
    let storage = Storage::new(dir);
    let dir = storage.root();
    let create = options.create && !options.read_only;
    if !storage.catalog().exists() {
        let entries = match std::fs::read_dir(dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            entries => Some(entries.doing(format_args!("open the store {}", dir.display()))?),
        };
        // Asked again after the folder was read, as another process may be making the store.
        let used = entries.is_some_and(|mut e| e.next().is_some()) && !storage.catalog().exists();
        if used {
            return Err(Error::invalid(format!(
                "the folder {} is not a store and not empty",
                dir.display()
            ))
            .with_hint("name a store, or a new or empty folder to make one in"));
        }
        if !create {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no store in {}", dir.display()),
            )
            .with_hint("name the folder of a store, the one with trackway.db in it"));
        }
        std::fs::create_dir_all(dir).doing(format_args!("make the store {}", dir.display()))?;
    }
    refuse_network(dir)?;
    let catalog = Catalog::open(&storage.catalog(), &options)?;
    if !options.read_only {
        storage.create()?;
    }
    Ok(EmbeddedStore {
        inner: Arc::new(Inner {
            catalog,
            storage,
            options,
        }),
    })
}
