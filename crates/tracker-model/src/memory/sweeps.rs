use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{MemoryTracker, stream_of};
use crate::{Error, ProjectPath, Result, Sweep, SweepPatch, SweepPath, SweepStore, Timestamp};

#[async_trait]
impl SweepStore for MemoryTracker {
    async fn upsert_sweep(&self, path: &SweepPath, patch: SweepPatch) -> Result<Sweep> {
        let mut state = self.state();
        state.project_mut(&path.project_path());
        let make = || Sweep::new(path.clone(), Timestamp::now());
        let sweep = state.sweeps.entry(path.clone()).or_insert_with(make);
        patch.apply(sweep);
        sweep.version += 1;
        Ok(sweep.clone())
    }

    async fn sweep(&self, path: &SweepPath) -> Result<Sweep> {
        let found = self.state().sweeps.get(path).cloned();
        found.ok_or_else(|| Error::not_found(format_args!("sweep {path}")))
    }

    fn sweeps(&self, project: &ProjectPath) -> BoxStream<'static, Result<Sweep>> {
        let state = self.state();
        let found = state.project(project).map(|_| {
            let of_project = |s: &&Sweep| s.path.project_path() == *project;
            let mut found: Vec<Sweep> = state.sweeps.values().filter(of_project).cloned().collect();
            found.sort_by(|a, b| (b.created_at, &a.path).cmp(&(a.created_at, &b.path)));
            found
        });
        stream_of(found)
    }

    async fn delete_sweep(&self, path: &SweepPath) -> Result<()> {
        let removed = self.state().sweeps.remove(path);
        removed
            .map(drop)
            .ok_or_else(|| Error::not_found(format_args!("sweep {path}")))
    }
}
