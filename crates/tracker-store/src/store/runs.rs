use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use futures::stream::BoxStream;
use rusqlite::Connection;
use tracker_model::{
    Error, Precondition, Result, Run, RunOrder, RunParts, RunPatch, RunPath, RunQuery, RunStore,
    Timestamp,
};

use super::{EmbeddedStore, history::remove_files, pages::paginate};
use crate::catalog::{
    Outcome,
    run_query::{self, Plan},
    runs, segments, tail,
};

/// The first page is small, so that it comes soon.
const FIRST_PAGE: usize = 50;
const PAGE: usize = 500;
/// Among so many first runs of a project, those of a filter are looked for before all are read.
const AMONG_FIRST: usize = 1000;

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
        if query.filter.is_some() || matches!(query.order, RunOrder::By(_)) {
            return self.select_runs(query);
        }
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
        let count = move |c: &Connection| match query.filter {
            Some(_) => run_query::count(c, &Plan::new(query)?),
            None => runs::count(c, &query),
        };
        self.catalog().read("count runs", count).await
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

impl EmbeddedStore {
    /// Runs by a filter or in an order of its own: their row ids are found first, and the runs read
    /// as they are asked for.
    fn select_runs(&self, query: RunQuery) -> BoxStream<'static, Result<Run>> {
        let store = self.clone();
        paginate(move |at: Option<Found>| {
            let (store, query) = (store.clone(), query.clone());
            async move {
                let parts = query.parts;
                let page = move |c: &Connection| {
                    let found = match at {
                        Some(found) if found.complete || found.next < found.ids.len() => found,
                        found => Found::more(c, &Plan::new(query)?, found)?,
                    };
                    found.page(c, parts)
                };
                store.catalog().read("list runs", page).await
            }
        })
    }
}

/// The row ids that were found, and how many were given.
#[derive(Clone)]
struct Found {
    ids: Arc<[i64]>,
    next: usize,
    /// Whether these are all.
    complete: bool,
}

impl Found {
    /// The first ones, if they are among the first runs of the project; then all.
    fn more(c: &Connection, plan: &Plan, before: Option<Self>) -> Outcome<Self> {
        let limit = plan.limit();
        let first = match before {
            None => run_query::find_first(c, plan, limit.min(FIRST_PAGE), AMONG_FIRST)?,
            Some(_) => None,
        };
        let complete = first.is_none() || limit <= FIRST_PAGE;
        let ids = match first {
            Some(ids) => ids,
            None => run_query::find(c, plan)?,
        };
        // What was given is not given again, even if the runs before it are others now.
        let ids: Vec<i64> = match &before {
            Some(before) => {
                let given: HashSet<i64> = before.ids.iter().copied().collect();
                let left = limit - given.len();
                ids.into_iter()
                    .filter(|id| !given.contains(id))
                    .take(left)
                    .collect()
            }
            None => ids,
        };
        Ok(Self {
            ids: ids.into(),
            next: 0,
            complete,
        })
    }

    fn page(self, c: &Connection, parts: RunParts) -> Outcome<(Vec<Run>, Option<Self>)> {
        let (mut next, mut runs) = (self.next, Vec::new());
        // Where all of a page are gone meanwhile, the next one is tried: an empty page is the end.
        while runs.is_empty() && next < self.ids.len() {
            let size = if next == 0 { FIRST_PAGE } else { PAGE };
            let end = self.ids.len().min(next + size);
            let ids = self.ids.get(next..end).unwrap_or_default();
            runs = run_query::fetch(c, ids, parts)?;
            next = end;
        }
        let more = next < self.ids.len() || !self.complete;
        Ok((runs, more.then_some(Self { next, ..self })))
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
