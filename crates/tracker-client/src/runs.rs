use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, OnceLock},
};

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::{Mutex, OnceCell};
use tracker_model::{Error, Result, RunFilter, RunOrder, RunParts, RunQuery};

use crate::{Api, Run};

/// Runs that a list keeps, about; a page at least.
const KEPT: usize = 2000;

/// Runs of a project as a list, which reads itself page by page as far as it is looked at.
///
/// The setters say which runs. Which they are, and in which order, stays as it was read, until the
/// API is asked for them anew; what is said of a run follows edits through handles of the same API.
/// Clones share what was read. About two thousand runs are kept: to go back further reads anew from
/// the beginning.
///
/// Source: `wandb.apis.public.Runs`.
#[derive(Clone)]
pub struct Runs {
    api: Api,
    asked: Asked,
    pages: Arc<OnceLock<Arc<Pages>>>,
}

/// What makes two lists the same.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    query: RunQuery,
    per_page: usize,
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.query, &other.query);
        (&a.entity, &a.project, &a.run) == (&b.entity, &b.project, &b.run)
            && (a.include_deleted, a.limit, a.parts) == (b.include_deleted, b.limit, b.parts)
            && (&a.filter, &a.order) == (&b.filter, &b.order)
            && self.per_page == other.per_page
    }
}

/// What was read of a list.
pub(crate) struct Pages {
    count: OnceCell<u64>,
    read: Mutex<Read>,
}

type Page = Arc<[Arc<tracker_model::Run>]>;

#[derive(Default)]
struct Read {
    /// Where reading goes on.
    rest: Option<BoxStream<'static, Result<tracker_model::Run>>>,
    /// The number of the page that comes next.
    next: usize,
    /// The pages that are kept, with their numbers.
    kept: VecDeque<(usize, Page)>,
    /// How many runs there are, once the end was seen.
    end: Option<usize>,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs")
            .field("query", &self.asked.query)
            .finish_non_exhaustive()
    }
}

impl Runs {
    pub(crate) fn new(api: Api, query: RunQuery) -> Self {
        Self {
            api,
            asked: Asked {
                query,
                per_page: 50,
            },
            pages: Arc::default(),
        }
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    fn with(mut self, change: impl FnOnce(&mut Asked)) -> Self {
        change(&mut self.asked);
        self.pages = Arc::default();
        self
    }

    /// Only runs of which this holds, besides what was said before.
    ///
    /// # Errors
    /// `InvalidInput` if the filters are larger together than a filter may be.
    pub fn filter(self, filter: RunFilter) -> Result<Self> {
        let filter = match &self.asked.query.filter {
            Some(before) => before.and(&filter).map_err(Error::of_query)?,
            None => filter,
        };
        Ok(self.with(|asked| asked.query.filter = Some(filter)))
    }

    /// The order; newest first without it.
    #[must_use]
    pub fn order(self, order: RunOrder) -> Self {
        self.with(|asked| asked.query.order = order)
    }

    /// How many are read at once, 50 without it; at least 1.
    #[must_use]
    pub fn per_page(self, runs: usize) -> Self {
        self.with(|asked| asked.per_page = runs.max(1))
    }

    /// Deleted runs too, or not.
    #[must_use]
    pub fn include_deleted(self, include: bool) -> Self {
        self.with(|asked| asked.query.include_deleted = include)
    }

    /// What is wanted of each run; the rest comes empty. Edits do not depend on it.
    #[must_use]
    pub fn parts(self, parts: RunParts) -> Self {
        self.with(|asked| asked.query.parts = parts)
    }

    /// What is asked for.
    pub fn query(&self) -> &RunQuery {
        &self.asked.query
    }

    fn pages(&self) -> &Arc<Pages> {
        self.pages.get_or_init(|| {
            let make = || Pages {
                count: OnceCell::new(),
                read: Mutex::default(),
            };
            match self.api.cache() {
                Some(cache) => cache.pages(&self.asked, make),
                None => Arc::new(make()),
            }
        })
    }

    /// How many there are. Asked once, and not at all if the end of the list was seen.
    ///
    /// # Errors
    /// `NotFound` without the project.
    pub async fn len(&self) -> Result<u64> {
        let pages = self.pages();
        let count = pages.count.get_or_try_init(|| async {
            if let Some(end) = pages.read.lock().await.end {
                return Ok(end as u64);
            }
            let count = self.api.tracker().count_runs(&self.asked.query).await?;
            if count == 0 {
                self.check_project().await?;
            }
            Ok(count)
        });
        count.await.copied()
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// `NotFound` without the project.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.first().await?.is_none())
    }

    /// The run at a place, counted from 0; `None` behind the end.
    ///
    /// # Errors
    /// `NotFound` without the project.
    pub async fn get(&self, index: usize) -> Result<Option<Run>> {
        let per_page = self.asked.per_page;
        let page = self.page(index / per_page).await?;
        let found = page.get(index % per_page).map(Arc::clone);
        Ok(found.map(|run| self.handle(run)))
    }

    /// The first run.
    ///
    /// # Errors
    /// `NotFound` without the project.
    pub async fn first(&self) -> Result<Option<Run>> {
        self.get(0).await
    }

    /// All of them, in order.
    pub fn stream(&self) -> BoxStream<'static, Result<Run>> {
        let pages = stream::try_unfold((self.clone(), 0), |(runs, number)| async move {
            let page = runs.page(number).await?;
            Ok(if page.is_empty() {
                None
            } else {
                let list = runs.clone();
                let all = (0..page.len()).filter_map(move |i| page.get(i).map(Arc::clone));
                let all = all.map(move |run| Ok(list.handle(run)));
                Some((stream::iter(all), (runs, number + 1)))
            })
        });
        pages.try_flatten().boxed()
    }

    fn handle(&self, mut record: Arc<tracker_model::Run>) -> Run {
        if let Some(cache) = self.api.cache() {
            record = cache.newest(record);
        }
        Run::new(self.api.clone(), record)
    }

    /// A page by its number; behind the end, an empty one.
    async fn page(&self, number: usize) -> Result<Page> {
        let per_page = self.asked.per_page;
        let mut read = self.pages().read.lock().await;
        loop {
            if let Some((_, page)) = read.kept.iter().find(|(kept, _)| *kept == number) {
                return Ok(Arc::clone(page));
            }
            if read.end.is_some_and(|end| number >= end.div_ceil(per_page)) {
                return Ok(Arc::default());
            }
            // What was kept no longer is read again.
            if number < read.next || read.rest.is_none() {
                (read.rest, read.next) = (None, 0);
            }
            let query = || self.asked.query.clone();
            let mut rest = match read.rest.take() {
                Some(rest) => rest,
                None => self.api.tracker().find_runs(query()),
            };
            // If this is dropped or fails half-way, the page is read from the beginning.
            let mut page = Vec::new();
            while page.len() < per_page
                && let Some(run) = rest.try_next().await?
            {
                page.push(Arc::new(run));
            }
            let at = read.next;
            if at == 0 && page.is_empty() {
                self.check_project().await?;
            }
            if page.len() < per_page {
                read.end = Some(at * per_page + page.len());
            } else {
                read.rest = Some(rest);
            }
            read.next = at + 1;
            if read.kept.iter().any(|(kept, _)| *kept == at) {
                continue;
            }
            while !read.kept.is_empty() && (read.kept.len() + 1) * per_page > KEPT {
                read.kept.pop_front();
            }
            read.kept.push_back((at, page.into()));
        }
    }

    /// Says that there is no such project, where that is why there are no runs.
    async fn check_project(&self) -> Result<()> {
        let query = &self.asked.query;
        if let (Some(entity), Some(project)) = (&query.entity, &query.project) {
            let path = tracker_model::ProjectPath::new(entity.clone(), project.clone());
            self.api.check_project(&path).await?;
        }
        Ok(())
    }
}
