//! The histories of runs, over the calls that cost the server least.

mod ahead;
mod bulk;
mod columns;
mod pages;
mod parse;
mod run;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio_util::task::AbortOnDropHandle;
use tracker_model::{Error, ErrorKind, Result};

use super::{probe::Server, wire::Metric};

pub(super) use ahead::ReadAhead;
pub(crate) use columns::Columns;
pub(super) use run::points;

/// The most points that one call for several runs answers.
const BULK_CAP: usize = 25_000;
/// The most points of each run that the interval call answers.
const INTERVAL_CAP: usize = 2_500;
/// Points of a page; what MLflow's own client asks for.
const PAGE: usize = 25_000;

/// How the histories of a server are read.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) server: Server,
    /// Whether the largest doubles are infinities.
    pub(crate) restore_infinities: bool,
    /// The call for several runs was refused once and for all.
    no_bulk: AtomicBool,
}

impl History {
    pub(crate) fn new(server: Server, restore_infinities: bool) -> Self {
        let no_bulk = AtomicBool::new(server.is_databricks);
        Self {
            server,
            restore_infinities,
            no_bulk,
        }
    }

    fn has_bulk(&self) -> bool {
        !self.no_bulk.load(Ordering::Relaxed)
    }

    /// Whether there is a call that answers for several runs.
    fn reads_several(&self) -> bool {
        self.has_bulk() || self.server.has_exact_intervals()
    }
}

impl Metric {
    /// About how many points the series has: as if every step up to the latest had one.
    fn estimate(&self) -> usize {
        usize::try_from(self.step.0).unwrap_or(0).saturating_add(1)
    }
}

/// Work that goes on while its result is not yet asked for, and ends when nobody will ask.
async fn on_its_own<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    started(work).await
}

/// Begins the work at once.
fn started<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> impl Future<Output = Result<T>> + Send + 'static {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    async move {
        task.await.unwrap_or_else(|e| {
            Err(Error::new(
                ErrorKind::Unexpected,
                format!("reading a history stopped: {e}"),
            ))
        })
    }
}

/// Where something is, for findings and errors.
fn place(run: &str, key: &str) -> String {
    format!("run {run}, {key:?}")
}

/// A run and what a history of it needs.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) api: super::api::Api,
    pub(super) history: Arc<History>,
    pub(super) run_id: Arc<str>,
}
