use async_trait::async_trait;
use futures::stream::BoxStream;
use tracker_model::{
    Error, ProjectPath, Result, Sweep, SweepPatch, SweepPath, SweepStore, Timestamp,
};

use super::{EmbeddedStore, pages::paginate};
use crate::catalog::sweeps::{self, Cursor};

const PAGE: usize = 200;

#[async_trait]
impl SweepStore for EmbeddedStore {
    async fn upsert_sweep(&self, path: &SweepPath, patch: SweepPatch) -> Result<Sweep> {
        let path = path.clone();
        let change = move |c: &_| {
            let found = sweeps::find(c, &path)?;
            let (id, mut sweep) = found.map_or_else(
                || (None, Sweep::new(path, Timestamp::now())),
                |(id, sweep)| (Some(id), sweep),
            );
            patch.apply(&mut sweep);
            sweep.version += 1;
            match id {
                Some(id) => sweeps::update(c, id, &sweep)?,
                None => sweeps::insert(c, &sweep)?,
            }
            Ok(sweep)
        };
        self.catalog().write("write a sweep", change).await
    }

    async fn sweep(&self, path: &SweepPath) -> Result<Sweep> {
        let key = path.clone();
        let read = move |c: &_| sweeps::find(c, &key);
        let found = self.catalog().read("read a sweep", read).await?;
        found
            .map(|(_, sweep)| sweep)
            .ok_or_else(|| Error::not_found(format_args!("sweep {path}")))
    }

    fn sweeps(&self, project: &ProjectPath) -> BoxStream<'static, Result<Sweep>> {
        let (store, project) = (self.clone(), project.clone());
        paginate(move |after: Option<Cursor>| {
            let (store, project) = (store.clone(), project.clone());
            async move {
                let list = move |c: &_| sweeps::page(c, &project, after.as_ref(), PAGE);
                let page = store.catalog().read("list sweeps", list).await?;
                let last = page.last().filter(|_| page.len() == PAGE);
                let last = last.map(Cursor::behind);
                Ok((page, last))
            }
        })
    }

    async fn delete_sweep(&self, path: &SweepPath) -> Result<()> {
        let path = path.clone();
        let delete = move |c: &_| match sweeps::find(c, &path)? {
            Some((id, _)) => sweeps::delete(c, id),
            None => Err(Error::not_found(format_args!("sweep {path}")).into()),
        };
        self.catalog().write("delete a sweep", delete).await
    }
}
