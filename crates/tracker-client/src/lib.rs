//! Handles on what a tracker keeps: what `wandb.Api()` is in Python, over any
//! [`Tracker`](tracker_model::Tracker).
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use tracker_client::{Api, RunEdit};
//! use tracker_model::{Error, MemoryTracker, RunFilter};
//!
//! # let tracker = Arc::new(MemoryTracker::new());
//! # use tracker_model::RunStore;
//! # tracker.upsert_run(&"local/vision/run1".parse()?, Default::default(), Default::default()).await?;
//! let api = Api::new(tracker);
//! let mut run = api.run("vision/run1").await?;
//! run.edit(RunEdit::new().summary("accuracy", 0.9).add_tag("checked")).await?;
//! assert_eq!(run.summary()["accuracy"], 0.9);
//!
//! let good = RunFilter::parse("summary.accuracy >= 0.9").map_err(Error::of_query)?;
//! let runs = api.runs("vision")?.filter(good)?;
//! assert_eq!(runs.len().await?, 1);
//! assert_eq!(runs.first().await?.unwrap().id(), "run1");
//! # Ok::<(), tracker_model::Error>(()) }).unwrap();
//! ```

mod address;
mod api;
mod best;
mod cache;
pub mod chart;
mod compare;
mod edit;
mod file;
mod folder;
pub mod frames;
mod history;
mod json_text;
mod keys;
mod lines;
mod logs;
mod patterns;
#[cfg(feature = "remote")]
pub mod remote;
mod run;
mod runs;
mod sampler;
mod shape;
mod sweep;
pub mod text;
pub mod values;

pub use api::Api;
pub use best::{Best, best_of};
pub use compare::{Comparison, ComparisonRow, Section, titles};
pub use edit::RunEdit;
pub use file::File;
pub use folder::{Folder, Saved};
pub use history::{History, HistoryRequest, Join, ScanRequest};
pub use json_text::json_object;
pub use keys::{KeySearch, MissingKey, value_at};
pub use lines::history_row;
pub use patterns::Patterns;
pub use run::{Amount, Downloaded, Run};
pub use runs::Runs;
pub use shape::{RowShape, row_key, write_value};
pub use sweep::Sweep;
