//! The embedded tracker: SQLite for what is said of runs, Parquet for their histories, and blobs
//! named by their contents for files and artifacts, in one folder.
//!
//! ```text
//! <store>/trackway.db                                   the catalog (SQLite, WAL)
//! <store>/history/<entity>/<project>/<run>/*.parquet    sealed history, written once
//! <store>/blobs/<ab>/<hash>                             contents, by BLAKE3, each once
//! <store>/tmp/                                          files that are being written
//! ```
//!
//! Several processes of one machine may use a store at once. Nothing needs repair after a crash:
//! a file gets its name before the transaction that speaks of it, so that a crash leaves at most
//! a file that nobody speaks of, which [`EmbeddedStore::gc`] removes.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let folder = dir.path().join("store");
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use tracker_model::{Precondition, RunPatch, RunPath, RunState, RunStore};
//! use tracker_store::{EmbeddedStore, StoreOptions};
//!
//! let store = EmbeddedStore::open(&folder, StoreOptions::new()).await?;
//! let path: RunPath = "local/vision/run1".parse()?;
//! store.upsert_run(&path, RunPatch::new().with_state(RunState::Running), Precondition::None).await?;
//! assert_eq!(store.run(&path).await?.state, RunState::Running);
//! # Ok::<(), tracker_model::Error>(()) }).unwrap();
//! ```

mod catalog;
mod error;
mod history;
mod options;
mod pack;
mod storage;
mod store;

pub use options::{Durability, StoreOptions};
pub use store::{
    EmbeddedStore, FsckEvent, FsckOptions, FsckReport, GcOptions, GcReport, Problem, ProblemKind,
};
