//! The suite that every [`Tracker`] passes, in parts. For tests: a broken rule is a panic that says
//! which.
//!
//! A part asks the factory for a fresh tracker, once or more often, and asserts on values and
//! [`ErrorKind`](crate::ErrorKind)s, never on texts. What [`Capabilities`](crate::Capabilities)
//! deny is tested to be refused. [`tracker_conformance!`](crate::tracker_conformance) makes a test
//! of each part, [`all`] runs them one after the other. [`records`] is the suite of a
//! [`RecordStore`](crate::RecordStore), by itself.
//!
//! ```
//! # use std::sync::Arc;
//! use tracker_model::{MemoryTracker, Tracker, conformance};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! conformance::projects(|| async { Arc::new(MemoryTracker::new()) as Arc<dyn Tracker> }).await;
//! # });
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc
)]

mod artifacts;
mod concurrency;
mod contents;
mod deletions;
mod files;
mod history_append;
mod history_bulk;
mod history_rows;
mod lineage;
mod links;
mod logs;
mod names;
mod projects;
mod records;
mod reports;
mod rewinds;
mod run_queries;
mod runs;
mod samples;
mod support;
mod sweeps;

use std::{future::Future, sync::Arc};

pub use artifacts::artifacts;
pub use concurrency::concurrency;
pub use contents::contents;
pub use deletions::deletions;
pub use files::files;
pub use history_append::history_append;
pub use history_bulk::history_bulk;
pub use history_rows::history_rows;
pub use lineage::lineage;
pub use links::links;
pub use logs::logs;
pub use names::names;
pub use projects::projects;
pub use records::records;
pub use reports::reports;
pub use rewinds::rewinds;
pub use run_queries::run_queries;
pub use runs::runs;
pub use samples::samples;
pub use sweeps::sweeps;

use crate::Tracker;

/// Runs the whole suite.
pub async fn all<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    projects(&factory).await;
    runs(&factory).await;
    run_queries(&factory).await;
    history_bulk(&factory).await;
    history_append(&factory).await;
    history_rows(&factory).await;
    rewinds(&factory).await;
    samples(&factory).await;
    files(&factory).await;
    contents(&factory).await;
    artifacts(&factory).await;
    links(&factory).await;
    deletions(&factory).await;
    lineage(&factory).await;
    sweeps(&factory).await;
    logs(&factory).await;
    reports(&factory).await;
    names(&factory).await;
    concurrency(&factory).await;
}

/// Makes a `#[tokio::test]` of each part of the suite.
///
/// ```
/// mod memory {
///     use std::sync::Arc;
///     use tracker_model::{MemoryTracker, Tracker, tracker_conformance};
///
///     tracker_conformance!(|| async { Arc::new(MemoryTracker::new()) as Arc<dyn Tracker> });
/// }
/// ```
#[macro_export]
macro_rules! tracker_conformance {
    ($factory:expr) => {
        $crate::tracker_conformance!(
            @parts $factory;
            projects runs run_queries history_bulk history_append history_rows rewinds samples files
            contents artifacts links deletions lineage sweeps logs reports names concurrency
        );
    };
    (@parts $factory:expr; $($part:ident)*) => {
        $(
            #[tokio::test]
            async fn $part() {
                $crate::conformance::$part($factory).await;
            }
        )*
    };
}
