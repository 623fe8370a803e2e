//! The suite that every [`Tracker`] passes, in parts. For tests: a broken rule is a panic that says
//! which.
//!
//! A part asks the factory for a fresh tracker, once or more often, and asserts on values and
//! [`ErrorKind`](crate::ErrorKind)s, never on texts. What [`Capabilities`](crate::Capabilities)
//! deny is tested to be refused. [`tracker_conformance!`](crate::tracker_conformance) makes a test
//! of each part, [`all`] runs them one after the other.
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
mod files;
mod history_append;
mod history_bulk;
mod history_rows;
mod lineage;
mod names;
mod projects;
mod run_queries;
mod runs;
mod samples;
mod support;
mod sweeps;

use std::{future::Future, sync::Arc};

pub use artifacts::artifacts;
pub use concurrency::concurrency;
pub use files::files;
pub use history_append::history_append;
pub use history_bulk::history_bulk;
pub use history_rows::history_rows;
pub use lineage::lineage;
pub use names::names;
pub use projects::projects;
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
    samples(&factory).await;
    files(&factory).await;
    artifacts(&factory).await;
    lineage(&factory).await;
    sweeps(&factory).await;
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
            projects runs run_queries history_bulk history_append history_rows samples files artifacts lineage sweeps names concurrency
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
