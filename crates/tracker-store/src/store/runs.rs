use async_trait::async_trait;
use futures::stream::BoxStream;
use rusqlite::Connection;
use tracker_model::{
    Error, Precondition, Result, Run, RunPatch, RunPath, RunQuery, RunStore, Timestamp,
};

use super::{EmbeddedStore, history::remove_files, pages::paginate};
use crate::catalog::{Outcome, runs, segments, tail};

/// The first page is small, so that it comes soon.
const FIRST_PAGE: usize = 50;
const PAGE: usize = 500;

#[async_trait]
impl RunStore for EmbeddedStore {
    async fn upsert_run(&self, path: &RunPath, patch: RunPatch, pre: Precondition) -> Result<Run> {
        let key = path.clone();
        let write = move |c: &Connection| {
            let run = upsert(c, key, patch, pre)?;
            let ended = run.state.is_terminal() && tail::exists(c, &run.path)?;
            Ok((run, ended))
        };
        let (run, ended) = self.catalog().write("write a run", write).await?;
        if ended {
            self.try_seal(path).await;
        }
        Ok(run)
    }

    async fn run(&self, path: &RunPath) -> Result<Run> {
        let key = path.clone();
        let found = self
            .catalog()
            .read("read a run", move |c| runs::find(c, &key))
            .await?;
        found
            .map(|(_, run)| run)
            .ok_or_else(|| Error::not_found(format_args!("run {path}")))
    }

    fn find_runs(&self, query: RunQuery) -> BoxStream<'static, Result<Run>> {
        let store = self.clone();
        paginate(move |at: Option<(runs::Cursor, u64)>| {
            let (store, query) = (store.clone(), query.clone());
            async move {
                let (after, seen) = at.map_or((None, 0), |(cursor, seen)| (Some(cursor), seen));
                let left = query
                    .limit
                    .map_or(u64::MAX, |limit| limit.saturating_sub(seen));
                let size = if seen == 0 { FIRST_PAGE } else { PAGE };
                let size = usize::try_from(left).map_or(size, |left| left.min(size));
                if size == 0 {
                    return Ok((Vec::new(), None));
                }
                let list = move |c: &_| runs::page(c, &query, after, size);
                let (page, last) = store.catalog().read("list runs", list).await?;
                let last = last
                    .filter(|_| page.len() == size)
                    .map(|c| (c, seen + page.len() as u64));
                Ok((page, last))
            }
        })
    }

    async fn count_runs(&self, query: &RunQuery) -> Result<u64> {
        let query = query.clone();
        self.catalog()
            .read("count runs", move |c| runs::count(c, &query))
            .await
    }

    async fn delete_run(&self, path: &RunPath) -> Result<()> {
        let path = path.clone();
        let delete = move |c: &Connection| {
            let id = runs::require(c, &path)?;
            let files = segments::paths(c, id)?;
            runs::delete(c, id)?;
            Ok(files)
        };
        let files = self.catalog().write("delete a run", delete).await?;
        remove_files(&self.inner(), files).await;
        Ok(())
    }
}

fn upsert(c: &Connection, path: RunPath, patch: RunPatch, pre: Precondition) -> Outcome<Run> {
    let found = runs::find(c, &path)?;
    pre.check(&path, found.as_ref().map(|(_, run)| run.version))?;
    match found {
        Some((id, mut run)) => {
            patch.apply(&mut run);
            run.version += 1;
            runs::update(c, id, &run)?;
            Ok(run)
        }
        None => {
            let mut run = Run::new(path, Timestamp::now());
            patch.apply(&mut run);
            run.version = 1;
            runs::insert(c, &run)?;
            Ok(run)
        }
    }
}
