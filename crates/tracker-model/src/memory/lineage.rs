use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{MemoryTracker, stream_of};
use crate::{ArtifactUse, CollectionPath, Lineage, Result, RunPath};

#[async_trait]
impl Lineage for MemoryTracker {
    async fn record_use(&self, entry: ArtifactUse) -> Result<()> {
        let mut state = self.state();
        state.version(&entry.collection, entry.index)?;
        let uses = &mut state.run_mut(&entry.run)?.uses;
        if !uses.contains(&entry) {
            uses.push(entry);
        }
        Ok(())
    }

    fn uses_of_run(&self, run: &RunPath) -> BoxStream<'static, Result<ArtifactUse>> {
        let state = self.state();
        stream_of(state.run(run).map(|entry| entry.uses.clone()))
    }

    fn uses_of_version(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ArtifactUse>> {
        let state = self.state();
        let found = state.version(path, index).map(|_| {
            let uses = state.runs.values().flat_map(|entry| &entry.uses);
            let of_version = uses.filter(|u| u.collection == *path && u.index == index);
            of_version.cloned().collect::<Vec<_>>()
        });
        stream_of(found)
    }
}
