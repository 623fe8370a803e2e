//! Move, query and keep the experiments of machine learning teams.
//!
//! One model of a run, one contract for a tracker, many backends. This crate is the front door: it
//! names the parts that an embedding program uses, and holds the command line `trackway` behind the
//! default feature `cli`.
//!
//! - [`model`]: runs, points, artifacts, and the contract [`model::Tracker`];
//! - [`client`]: handles on the runs and files of any tracker;
//! - [`store`]: the embedded tracker, one folder;
//! - [`import`]: sources, sinks, and the pipeline between them, with a receipt;
//! - `server` (feature `server`): the W&B wire protocol over any tracker;
//! - `mlflow` (feature `mlflow`): MLflow as a source.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let folder = dir.path().join("store");
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use trackway::model::{Precondition, RunPatch, RunPath, RunState, RunStore};
//! use trackway::store::{EmbeddedStore, StoreOptions};
//!
//! let store = EmbeddedStore::open(&folder, StoreOptions::new()).await?;
//! let path: RunPath = "local/vision/run1".parse()?;
//! store.upsert_run(&path, RunPatch::new().with_state(RunState::Running), Precondition::None).await?;
//! assert_eq!(store.run(&path).await?.state, RunState::Running);
//! # Ok::<(), trackway::model::Error>(()) }).unwrap();
//! ```

pub use importer_core as import;
#[cfg(feature = "mlflow")]
pub use importer_mlflow as mlflow;
pub use tracker_client as client;
pub use tracker_model as model;
#[cfg(feature = "server")]
pub use tracker_server as server;
pub use tracker_store as store;

#[cfg(feature = "cli")]
pub mod cli;
