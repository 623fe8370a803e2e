use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};

use super::{MemoryTracker, contents::Blob, history::History};
use crate::{
    ArtifactUse, Error, FileInfo, HistoryStream, LogLine, Precondition, Result, Run, RunOrderKey,
    RunPatch, RunPath, RunQuery, RunStore, Timestamp,
};

/// A run with all that is deleted with it.
pub(super) struct RunEntry {
    pub(super) run: Run,
    metrics: History,
    system: History,
    pub(super) files: BTreeMap<String, (FileInfo, Arc<Blob>)>,
    pub(super) uses: Vec<ArtifactUse>,
    pub(super) log: BTreeMap<u64, LogLine>,
}

impl RunEntry {
    fn new(path: RunPath) -> Self {
        Self {
            run: Run::new(path, Timestamp::now()),
            metrics: History::default(),
            system: History::default(),
            files: BTreeMap::new(),
            uses: Vec::new(),
            log: BTreeMap::new(),
        }
    }

    pub(super) fn history(&self, stream: HistoryStream) -> &History {
        match stream {
            HistoryStream::Metrics => &self.metrics,
            HistoryStream::System => &self.system,
        }
    }

    pub(super) fn history_mut(&mut self, stream: HistoryStream) -> &mut History {
        match stream {
            HistoryStream::Metrics => &mut self.metrics,
            HistoryStream::System => &mut self.system,
        }
    }
}

#[async_trait]
impl RunStore for MemoryTracker {
    async fn upsert_run(&self, path: &RunPath, patch: RunPatch, pre: Precondition) -> Result<Run> {
        let mut state = self.state();
        pre.check(path, state.runs.get(path).map(|entry| entry.run.version))?;
        state.project_mut(&path.project_path());
        let entry = state.runs.entry(path.clone());
        let run = &mut entry.or_insert_with(|| RunEntry::new(path.clone())).run;
        patch.apply(run);
        run.version += 1;
        Ok(run.clone())
    }

    async fn run(&self, path: &RunPath) -> Result<Run> {
        self.state().run(path).map(|entry| entry.run.clone())
    }

    fn find_runs(&self, query: RunQuery) -> BoxStream<'static, Result<Run>> {
        let order = query.order.clone();
        let mut found: Vec<RunOrderKey> = {
            let state = self.state();
            let runs = state.runs.values().map(|entry| &entry.run);
            let matching = runs.filter(|run| query.matches(run));
            matching.map(|run| order.key(run)).collect()
        };
        found.sort_by(|a, b| order.compare(a, b));
        if let Some(limit) = query.limit {
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        // Runs are read as they are asked for; one that went meanwhile does not come.
        let tracker = self.clone();
        let read = move |key: RunOrderKey| {
            let run = tracker
                .state()
                .runs
                .get(key.path())
                .map(|entry| entry.run.clone());
            std::future::ready(run.filter(|run| query.matches(run)).map(Ok))
        };
        futures::stream::iter(found).filter_map(read).boxed()
    }

    async fn count_runs(&self, query: &RunQuery) -> Result<u64> {
        let state = self.state();
        Ok(state
            .runs
            .values()
            .filter(|entry| query.matches(&entry.run))
            .count() as u64)
    }

    async fn delete_run(&self, path: &RunPath) -> Result<()> {
        let removed = self.state().runs.remove(path);
        removed
            .map(drop)
            .ok_or_else(|| Error::not_found(format_args!("run {path}")))
    }
}
