use async_trait::async_trait;
use futures::stream::BoxStream;
use tracker_model::{ArtifactUse, CollectionPath, Lineage, Result, RunPath};

use super::{EmbeddedStore, pages::paginate};
use crate::catalog::lineage::{self, Side};

const PAGE: usize = 500;

#[async_trait]
impl Lineage for EmbeddedStore {
    async fn record_use(&self, entry: ArtifactUse) -> Result<()> {
        self.catalog()
            .write("record the use of an artifact", move |c| {
                lineage::record(c, &entry)
            })
            .await
    }

    fn uses_of_run(&self, run: &RunPath) -> BoxStream<'static, Result<ArtifactUse>> {
        self.uses(Side::Run(run.clone()))
    }

    fn uses_of_version(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ArtifactUse>> {
        self.uses(Side::Version(path.clone(), index))
    }
}

impl EmbeddedStore {
    fn uses(&self, side: Side) -> BoxStream<'static, Result<ArtifactUse>> {
        let store = self.clone();
        paginate(move |after: Option<lineage::Cursor>| {
            let (store, side) = (store.clone(), side.clone());
            async move {
                let list = move |c: &_| lineage::page(c, &side, after, PAGE);
                store
                    .catalog()
                    .read("list the uses of artifacts", list)
                    .await
            }
        })
    }
}
