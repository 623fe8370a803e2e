mod artifacts;
mod collections;
mod contents;
mod files;
mod history;
mod lineage;
mod logs;
mod projects;
mod records;
mod reports;
mod runs;
mod sweeps;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, stream::BoxStream};

use self::{collections::CollectionEntry, contents::Contents, runs::RunEntry};
use crate::{
    Capabilities, CollectionPath, Error, Project, ProjectPath, Record, Report, ReportPath, Result,
    RunPath, Sweep, SweepPath, Tracker,
};

/// A tracker in memory, for tests and small tools. It can do everything. Clones share what they
/// keep, which is gone with the last of them.
#[derive(Clone, Default)]
pub struct MemoryTracker {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    projects: BTreeMap<ProjectPath, Project>,
    collections: BTreeMap<CollectionPath, CollectionEntry>,
    runs: BTreeMap<RunPath, RunEntry>,
    sweeps: BTreeMap<SweepPath, Sweep>,
    reports: BTreeMap<ReportPath, Report>,
    /// By space and key.
    records: BTreeMap<String, BTreeMap<String, Record>>,
    contents: Contents,
}

impl MemoryTracker {
    /// Nothing is in it.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made in one step, so that a panic elsewhere leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn run(&self, path: &RunPath) -> Result<&RunEntry> {
        self.runs
            .get(path)
            .ok_or_else(|| Error::not_found(format_args!("run {path}")))
    }

    fn run_mut(&mut self, path: &RunPath) -> Result<&mut RunEntry> {
        self.runs
            .get_mut(path)
            .ok_or_else(|| Error::not_found(format_args!("run {path}")))
    }
}

impl fmt::Display for MemoryTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

impl fmt::Debug for MemoryTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryTracker")
            .field("projects", &state.projects.len())
            .field("runs", &state.runs.len())
            .finish_non_exhaustive()
    }
}

impl Tracker for MemoryTracker {
    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }
}

/// What was found when the stream was asked for, item by item.
fn stream_of<T: Send + 'static>(
    found: Result<impl IntoIterator<Item = T, IntoIter: Send + 'static>>,
) -> BoxStream<'static, Result<T>> {
    match found {
        Ok(items) => futures::stream::iter(items.into_iter().map(Ok)).boxed(),
        Err(e) => futures::stream::once(std::future::ready(Err(e))).boxed(),
    }
}

#[cfg(test)]
mod tests;
