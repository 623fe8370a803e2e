//! Sources, sinks and the pipeline between them, with a ledger and a receipt.
//!
//! A [`Source`] is any place where runs were tracked; a [`Sink`] is any place that can take them.
//! [`import`] copies from one to the other, in bounded memory, and answers with a [`Receipt`]:
//! every datum of the source is in exactly one of its buckets. [`check`] compares the two without
//! writing. Both can be stopped at any instant and repeated.
//!
//! A new importer implements [`Source`] and runs the suite in `conformance` (a feature).

mod check;
mod checksum;
#[cfg(feature = "conformance")]
pub mod conformance;
mod import;
mod ledger;
mod observer;
mod receipt;
mod rule;
mod selection;
mod sink;
mod source;
mod tally;
mod tracker_sink;
mod tracker_source;

pub use check::{CheckDepth, CheckOptions, CheckReport, Difference, RunCheck, Verdict, check};
pub use checksum::{PointsChecksum, key_value_checksum};
pub use import::{ImportOptions, Namespace, ProjectMap, VerifyDepth, import};
pub use ledger::{Ledger, LedgerEntry, LedgerKey, MemoryLedger, SqliteLedger};
pub use observer::{Event, Observer, Silent};
pub use receipt::{Checksums, Failure, Loss, Receipt, RuleUse, RunLine, RunStatus};
pub use selection::{KindSet, Selection};
pub use sink::{RunWriter, SeriesWriter, Sink, SinkCapabilities};
pub use source::{
    EntryContent, Finding, Outcome, PointItem, PointsQuery, RunRecord, RunRef, Source,
    SourceArtifact, SourceCapabilities, SourceEntry, SourceFile, SourceId, SourceItem, SourceLink,
    SourceProject, SourceUse,
};
pub use tally::{Bucket, Kind, Tally};
pub use tracker_model::{Error, ErrorKind, Result, Retry};
pub use tracker_sink::TrackerSink;
pub use tracker_source::TrackerSource;
