use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use rusqlite::Connection;
use tracker_model::{
    Error, Precondition, Result, Run, RunOrder, RunParts, RunPatch, RunPath, RunQuery, RunStore,
    Timestamp,
};

use super::{EmbeddedStore, history::remove_files, pages::paginate};
use crate::catalog::{
    Outcome,
    run_query::{self, Hits, Plan, RowId, Rows},
    runs, segments, tail,
};

/// The first page is small, so that it comes soon.
const FIRST_PAGE: usize = 50;
const PAGE: usize = 500;
/// Pages that are read at once: enough for a processor or two beside the one that uses them.
const PAGES_AHEAD: usize = 4;
/// Among so many first runs of a project, those of a filter are looked for before all are read.
const AMONG_FIRST: usize = 1000;

#[async_trait]
impl RunStore for EmbeddedStore {
    async fn upsert_run(&self, path: &RunPath, patch: RunPatch, pre: Precondition) -> Result<Run> {
        let key = path.clone();
        let write = move |c: &Connection| upsert(c, key, patch, pre);
        let Written { run, ended_live } = self.catalog().write("write a run", write).await?;
        if ended_live {
            self.try_seal(path).await;
        }
        Ok(run)
    }

    async fn run(&self, path: &RunPath) -> Result<Run> {
        let key = path.clone();
        let found = self
            .catalog()
            .look_up("read a run", move |c| runs::find(c, &key, RunParts::ALL))
            .await?;
        found
            .map(|(_, run)| run)
            .ok_or_else(|| Error::not_found(format_args!("run {path}")))
    }

    async fn runs_at(&self, paths: &[RunPath], parts: RunParts) -> Result<Vec<Option<Run>>> {
        let paths = paths.to_vec();
        let find = move |c: &Connection| {
            let found = paths.iter().map(|path| runs::find(c, path, parts));
            found
                .map(|found| Ok(found?.map(|(_, run)| run)))
                .collect::<Outcome<_>>()
        };
        self.catalog().read("read runs", find).await
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
        if query.filter.is_none() {
            let query = query.clone();
            let count = move |c: &Connection| runs::count(c, &query);
            return self.catalog().read("count runs", count).await;
        }
        let plan = Arc::new(Plan::new(query.clone()));
        let counts = self.of_all_rows("count runs", &plan, |c, plan, rows| {
            run_query::count(c, plan, rows)
        });
        Ok(counts.await?.into_iter().sum())
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
        let parts = query.parts;
        let plan = Arc::new(Plan::new(query));
        let store = self.clone();
        let rows = async move {
            let first = store.first_runs(Arc::clone(&plan)).await?;
            let given = first.iter().map(|row| row.id).collect();
            let later = stream::once(store.later_runs(plan, given));
            Ok(stream::once(future::ready(Ok(first))).chain(later))
        };
        let store = self.clone();
        let read = move |rows: Vec<RowId>| {
            let store = store.clone();
            async move {
                let fetch = move |c: &Connection| run_query::fetch(c, &rows, parts);
                store.catalog().read("list runs", fetch).await
            }
        };
        stream::once(rows)
            .try_flatten()
            .map_ok(move |rows| {
                let pages = stream::iter(pages(rows)).map(read.clone());
                // Some are read while those before them are used.
                pages.buffered(PAGES_AHEAD)
            })
            .try_flatten()
            .map_ok(|runs| stream::iter(runs).map(Ok))
            .try_flatten()
            .boxed()
    }

    /// A first page, if it is found among the first runs of all; otherwise nothing.
    async fn first_runs(&self, plan: Arc<Plan>) -> Result<Vec<RowId>> {
        let find = move |c: &Connection| {
            let wanted = plan.limit().min(FIRST_PAGE);
            run_query::find_first(c, &plan, wanted, AMONG_FIRST)
        };
        let found = self.catalog().read("find runs", find).await?;
        Ok(found.unwrap_or_default())
    }

    /// The others, in order. What was given is not given again, even if other runs come before it
    /// now.
    async fn later_runs(self, plan: Arc<Plan>, given: HashSet<i64>) -> Result<Vec<RowId>> {
        let wanted = plan.limit() - given.len();
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let parts = self
            .of_all_rows("find runs", &plan, run_query::find)
            .await?;
        let mut all = Hits::new(plan);
        parts.into_iter().for_each(|hits| all.join(hits));
        let mut later = all.into_rows();
        later.retain(|row| !given.contains(&row.id));
        later.truncate(wanted);
        Ok(later)
    }

    /// What a job says of all rows that a query looks at, in parts.
    async fn of_all_rows<T: Send + 'static>(
        &self,
        doing: &'static str,
        plan: &Arc<Plan>,
        job: fn(&Connection, &Arc<Plan>, &Rows) -> Outcome<T>,
    ) -> Result<Vec<T>> {
        let of = Arc::clone(plan);
        let parts = move |c: &Connection| run_query::rows(c, &of);
        let parts = self.catalog().read(doing, parts).await?;
        let jobs = parts.into_iter().map(|rows| {
            let plan = Arc::clone(plan);
            let job = move |c: &Connection| job(c, &plan, &rows);
            self.catalog().read(doing, job)
        });
        future::try_join_all(jobs).await
    }
}

/// A small page, so that it comes soon, and larger ones.
fn pages(rows: Vec<RowId>) -> impl Iterator<Item = Vec<RowId>> {
    let mut rows = rows.into_iter();
    let mut size = FIRST_PAGE;
    std::iter::from_fn(move || {
        let page: Vec<_> = rows.by_ref().take(size).collect();
        size = PAGE;
        (!page.is_empty()).then_some(page)
    })
}

/// A run that was written.
pub(super) struct Written {
    pub(super) run: Run,
    /// It has ended, and has points that were logged live.
    pub(super) ended_live: bool,
}

pub(super) fn upsert(
    c: &Connection,
    path: RunPath,
    patch: RunPatch,
    pre: Precondition,
) -> Outcome<Written> {
    let found = runs::find(c, &path, RunParts::ALL)?;
    pre.check(&path, found.as_ref().map(|(_, run)| run.version))?;
    let run = match found {
        Some((id, mut run)) => {
            patch.apply(&mut run);
            run.version += 1;
            runs::update(c, id, &run)?;
            run
        }
        None => {
            let mut run = Run::new(path, Timestamp::now());
            patch.apply(&mut run);
            run.version = 1;
            runs::insert(c, &run)?;
            run
        }
    };
    let ended_live = run.state.is_terminal() && tail::exists(c, &run.path)?;
    Ok(Written { run, ended_live })
}
