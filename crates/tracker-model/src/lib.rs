//! The vocabulary of experiment tracking and the contract of a tracker.
//!
//! A *run* is one execution that somebody tracked; its *history* is a sequence of points, its
//! *files* and *artifacts* are bytes. A [`Tracker`] keeps them: an embedded store, a server far
//! away, memory. This crate holds the types and the traits, one implementation in memory
//! ([`MemoryTracker`]) and, behind the feature `conformance`, the suite that every implementation
//! passes. It knows nothing of HTTP, SQL or files.
//!
//! ```
//! # futures::executor::block_on(async {
//! use tracker_model::{MemoryTracker, Precondition, RunPatch, RunPath, RunState, RunStore};
//!
//! let tracker = MemoryTracker::new();
//! let path: RunPath = "local/vision/run1".parse()?;
//! tracker.upsert_run(&path, RunPatch::new().with_state(RunState::Running), Precondition::None).await?;
//! assert_eq!(tracker.run(&path).await?.state, RunState::Running);
//! # Ok::<(), tracker_model::Error>(()) }).unwrap();
//! ```

mod artifact;
#[cfg(feature = "conformance")]
pub mod conformance;
mod content;
mod error;
mod file;
mod history;
mod log;
mod memory;
mod names;
mod python_json;
mod query;
mod record;
mod report;
mod run;
mod sweep;
mod time;
mod tracker;

pub use artifact::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, Collection, CollectionPatch, CollectionPath,
    Content, EntryDraft, LinkDraft, ManifestEntry, ManifestHasher, UseRole, VersionLink,
    VersionPatch, VersionRef,
};
pub use content::{ByteStream, ContentHasher, Digests, bytes_of, collect_bytes};
pub use error::{Error, ErrorKind, Result, Retry};
pub use file::{FileDraft, FileInfo, check_file_name};
pub use history::{
    BatchBuilder, HistoryQuery, HistoryRow, HistoryStream, MAX_BATCH_POINTS, MAX_ROW, PointBatch,
    RowMerger, RowSplitter, SampleQuery, SeriesDigest, SeriesHasher, SeriesInfo, SeriesKey, Times,
    Value, ValueKind, ValueKinds, Values, batches_of, group_rows, rows_of, sample_by_scan,
    split_rows,
};
pub use log::{LogLevel, LogLine};
pub use memory::MemoryTracker;
pub use names::{
    EntityName, ProjectName, ProjectPath, ReportId, ReportPath, RunId, RunPath, SweepId, SweepPath,
};
pub use python_json::{python_json, python_word};
pub use query::{
    RunFilter, RunNode, RunOrder, RunOrderKey, RunParts, RunQuery, RunSort, RunVocabulary,
    non_finite,
};
pub use record::{MAX_RECORD_BYTES, Record, RecordCondition, RecordStore};
pub use report::{Report, ReportPatch};
pub use run::{
    Change, DatasetInput, Git, ImportStamp, JsonObject, JsonPatch, Precondition, Project,
    ProjectPatch, Run, RunPatch, RunState,
};
pub use sweep::{Goal, Sweep, SweepPatch, SweepState};
pub use time::Timestamp;
pub use tracker::{
    ArtifactContents, ArtifactStore, ArtifactWriter, Capabilities, CollectionStore, ContentStore,
    FileStore, HistoryStore, HistoryWriter, Lineage, LogStore, ProjectStore, ReportStore, RunStore,
    SweepStore, Tracker,
};
