//! The pipeline.

mod account;
mod artifacts;
mod files;
pub(crate) mod filter;
mod job;
mod listing;
mod options;
mod points;
mod run;
mod targets;
mod verify;
mod versions;

use std::sync::Arc;

use tracker_model::Result;

use crate::{Ledger, Observer, Receipt, Selection, Sink, Source};

pub(crate) use job::{files_of, full_message};
pub use options::{ImportOptions, Namespace, ProjectMap, VerifyDepth};
pub(crate) use points::SourceSeries;
pub(crate) use run::finished_run;
pub(crate) use targets::Targets;
pub(crate) use verify::{fill_facts, read_points};
pub(crate) use versions::Versions;

/// Copies from a source to a sink, and answers with a receipt.
///
/// Runs are worked on side by side, each by one task: read, write, commit, read back, compare,
/// settle in the ledger. A run that fails is named in the receipt and does not stop the others; the
/// next import tries it again. Dropping the future stops everything at once; what is then half
/// done is finished by the next import. [`ImportOptions::cancel`] stops in order.
///
/// # Errors
/// When the source cannot be listed at all, or the ledger or sink cannot be used.
pub async fn import(
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    ledger: Arc<dyn Ledger>,
    selection: Selection,
    options: ImportOptions,
    observer: Arc<dyn Observer>,
) -> Result<Receipt> {
    job::Job::new(source, sink, ledger, selection, options, observer)
        .run()
        .await
}
