//! Experiments and runs, page by page.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use futures::stream::{self, BoxStream, StreamExt};
use importer_core::{Finding, Kind, RunRef, Selection, SourceItem, SourceProject};
use tracker_http::ErrorKind as Http;
use tracker_model::Result;

use super::{
    api::Api,
    endpoint::Endpoint,
    failure::failure,
    history::{History, ReadAhead},
    pages::Pages,
    search_filter,
    wire::{Experiments, Metric, Runs, SearchExperiments, SearchRuns, Workspaces},
};
use crate::mapping::{RawExperiment, RawRun};

/// Experiments of a page.
const EXPERIMENTS: usize = 1000;
/// Runs of a page at first, and at least: fewer are asked for when the server cannot cope.
const RUNS: usize = 500;
const MIN_RUNS: usize = 8;

/// The names of the workspaces.
pub(super) async fn workspaces(api: &Api) -> Result<Vec<String>> {
    let doing = "list the workspaces";
    let request = api
        .call(Endpoint::Workspaces)
        .await
        .map_err(|e| failure(e, doing))?;
    let answer: Workspaces = request.json().await.map_err(|e| failure(e, doing))?;
    Ok(answer.workspaces.into_iter().map(|w| w.name).collect())
}

/// The experiments.
pub(super) fn experiments(
    api: Api,
    include_deleted: bool,
) -> BoxStream<'static, Result<RawExperiment>> {
    let state = Some((api, Pages::default(), HashSet::new()));
    stream::try_unfold(state, move |state| async move {
        let Some((api, mut pages, mut seen)) = state else {
            return Ok(None);
        };
        let doing = "list the experiments";
        let failed = |e| failure(e, doing);
        let view_type = if include_deleted {
            "ALL"
        } else {
            "ACTIVE_ONLY"
        };
        let body = SearchExperiments {
            max_results: EXPERIMENTS,
            view_type,
            page_token: pages.token(),
        };
        let request = api
            .call(Endpoint::SearchExperiments)
            .await
            .map_err(failed)?
            .json_body(&body);
        let page: Experiments = request.json().await.map_err(failed)?;
        let more = pages.follow(page.experiments.len(), page.next_page_token, doing)?;
        let experiments = page.experiments.into_iter().map(RawExperiment::from);
        let new: Vec<_> = experiments
            .filter(|e| seen.insert(e.id.clone()))
            .map(Ok)
            .collect();
        Ok(Some((
            stream::iter(new),
            more.then_some((api, pages, seen)),
        )))
    })
    .try_flatten_boxed()
}

/// What is remembered of a run from its listing.
#[derive(Debug)]
pub(super) struct RunDetail {
    pub(super) api: Api,
    pub(super) raw: RawRun,
    pub(super) metrics: Arc<[Metric]>,
    pub(super) ahead: Arc<ReadAhead>,
    /// The run's place in `ahead`.
    pub(super) index: usize,
}

/// The runs of an experiment, the oldest first.
pub(super) fn runs(
    api: Api,
    history: Arc<History>,
    project: Arc<SourceProject>,
    selection: &Selection,
) -> BoxStream<'static, Result<SourceItem<RunRef>>> {
    let listing = Listing {
        api,
        history,
        project,
        times: times(selection),
        pushed: selection
            .filter
            .as_ref()
            .map(search_filter::clauses)
            .unwrap_or_default(),
        view: if selection.include_deleted {
            "ALL"
        } else {
            "ACTIVE_ONLY"
        },
        pages: Pages::default(),
        size: RUNS,
        last_start: None,
        has_seams: true,
        seen: HashSet::new(),
        ready: VecDeque::new(),
        ended: false,
    };
    stream::try_unfold(listing, |mut listing| async move {
        Ok(listing.next().await?.map(|item| (item, listing)))
    })
    .boxed()
}

/// Narrows the listing by time where the server can do it.
fn times(selection: &Selection) -> Vec<String> {
    let since = selection
        .since
        .map(|t| format!("attributes.start_time >= {}", t.as_millis()));
    // Runs of the same millisecond are sorted out later.
    let until = selection
        .until
        .map(|t| format!("attributes.start_time <= {}", t.as_millis()));
    since.into_iter().chain(until).collect()
}

struct Listing {
    api: Api,
    history: Arc<History>,
    project: Arc<SourceProject>,
    /// Clauses that narrow it by time.
    times: Vec<String>,
    /// Clauses of the filter, until the server refuses them.
    pushed: Vec<String>,
    view: &'static str,
    pages: Pages,
    size: usize,
    /// When the last run of the last page began.
    last_start: Option<i64>,
    /// Whether the server can look into the seams between pages.
    has_seams: bool,
    /// Hashes of the ids that were given out.
    seen: HashSet<u128>,
    ready: VecDeque<SourceItem<RunRef>>,
    ended: bool,
}

impl Listing {
    async fn next(&mut self) -> Result<Option<SourceItem<RunRef>>> {
        while self.ready.is_empty() && !self.ended {
            let token = self.pages.token().map(str::to_owned);
            let page = self.page(token.as_deref()).await?;
            let doing = self.doing();
            let more = self
                .pages
                .follow(page.runs.len(), page.next_page_token, &doing)?;
            self.ended = !more;
            let found: Vec<_> = page.runs.into_iter().map(super::wire::Run::split).collect();
            let last_start = found.last().and_then(|(run, _)| run.start_time);
            if token.is_some() {
                let first_start = found.first().and_then(|(run, _)| run.start_time);
                self.seam(first_start).await?;
            }
            self.last_start = last_start;
            self.take(found);
        }
        Ok(self.ready.pop_front())
    }

    /// Pages are places in a list: if runs vanish while they are read, those that follow move to
    /// places that were read already. So all runs are asked for that began between the last of one
    /// page and the first of the next: almost always these two alone.
    async fn seam(&mut self, until: Option<i64>) -> Result<()> {
        let Some(since) = self.last_start.filter(|_| self.has_seams) else {
            return Ok(());
        };
        let mut parts = vec![format!("attributes.start_time >= {since}")];
        parts.extend(until.map(|until| format!("attributes.start_time <= {until}")));
        parts.extend(self.filter());
        let filter = parts.join(" and ");
        let (mut pages, doing) = (Pages::default(), self.doing());
        loop {
            let asked = self.ask(Some(&filter), pages.token(), self.size, u32::MAX);
            let page = match asked.await {
                Ok(page) => page,
                Err(e) if e.kind() == Http::InvalidInput => {
                    self.has_seams = false;
                    return Ok(());
                }
                Err(e) => return Err(failure(e, doing)),
            };
            let more = pages.follow(page.runs.len(), page.next_page_token, &doing)?;
            let found = page.runs.into_iter().map(super::wire::Run::split);
            self.take(found.collect());
            if !more {
                return Ok(());
            }
        }
    }

    fn filter(&self) -> Option<String> {
        let clauses = [self.times.as_slice(), &self.pushed].concat();
        (!clauses.is_empty()).then(|| clauses.join(" and "))
    }

    fn doing(&self) -> String {
        format!("list the runs of experiment {:?}", self.project.name)
    }

    /// Asks for a page, and for fewer runs at once if that is too much for the server.
    async fn page(&mut self, token: Option<&str>) -> Result<Runs> {
        loop {
            let filter = self.filter();
            let filter = filter.as_deref();
            let is_least = self.size <= MIN_RUNS;
            match self
                .ask(
                    filter,
                    token,
                    self.size,
                    if is_least { u32::MAX } else { 2 },
                )
                .await
            {
                Err(e) if !is_least && matches!(e.kind(), Http::Unavailable | Http::TooLarge) => {
                    self.size = (self.size / 2).max(MIN_RUNS);
                    tracing::debug!(error = %e, size = self.size, "smaller pages");
                }
                // A server that knows less than others lists all runs; the filter is asked again.
                Err(e) if e.kind() == Http::InvalidInput && !self.pushed.is_empty() => {
                    tracing::debug!(error = %e, clauses = ?self.pushed, "a filter is not understood");
                    self.pushed.clear();
                }
                // Asked to slow down, which is no matter of the size.
                Err(e) if e.kind() == Http::RateLimited && !is_least => {
                    let answer = self.ask(filter, token, self.size, u32::MAX).await;
                    return answer.map_err(|e| failure(e, self.doing()));
                }
                answer => return answer.map_err(|e| failure(e, self.doing())),
            }
        }
    }

    async fn ask(
        &self,
        filter: Option<&str>,
        token: Option<&str>,
        max_results: usize,
        max_tries: u32,
    ) -> tracker_http::Result<Runs> {
        let body = SearchRuns {
            experiment_ids: [&self.project.id],
            filter,
            run_view_type: self.view,
            max_results,
            order_by: ["attributes.start_time ASC"],
            page_token: token,
        };
        let request = self.api.call(Endpoint::SearchRuns).await?.json_body(&body);
        request.max_tries(max_tries).json().await
    }

    fn take(&mut self, found: Vec<(RawRun, Vec<Metric>)>) {
        let mut new = Vec::new();
        for (raw, metrics) in found {
            if raw.run_id.is_empty() {
                let place = format!("experiment {:?}", self.project.name);
                let finding =
                    Finding::unreadable(Kind::Runs, place, "the server lists a run without an id");
                self.ready.push_back(SourceItem::Finding(finding));
                continue;
            }
            let hash = blake3::hash(raw.run_id.as_bytes());
            let mark = hash
                .as_bytes()
                .first_chunk()
                .map_or(0, |bytes| u128::from_le_bytes(*bytes));
            if self.seen.insert(mark) {
                new.push((raw, Arc::<[Metric]>::from(metrics)));
            }
        }
        let for_ahead = new
            .iter()
            .map(|(raw, metrics)| (Arc::from(raw.run_id.as_str()), Arc::clone(metrics)));
        let ahead = ReadAhead::new(
            self.api.clone(),
            Arc::clone(&self.history),
            for_ahead.collect(),
        );
        for (index, (raw, metrics)) in new.into_iter().enumerate() {
            let mut fingerprint = raw.fingerprint();
            for metric in &*metrics {
                fingerprint
                    .field(&metric.key)
                    .number(metric.step.0)
                    .number(metric.timestamp.0);
            }
            let mut run = raw.to_ref(&self.project, fingerprint.finish());
            let ahead = Arc::clone(&ahead);
            run.detail = Some(Arc::new(RunDetail {
                api: self.api.clone(),
                raw,
                metrics,
                ahead,
                index,
            }));
            self.ready.push_back(SourceItem::Item(run));
        }
    }
}

/// Streams of pages as streams of items.
trait TryFlattenBoxed<T> {
    fn try_flatten_boxed(self) -> BoxStream<'static, Result<T>>;
}

impl<T, P, S> TryFlattenBoxed<T> for S
where
    P: futures::Stream<Item = Result<T>> + Send + 'static,
    S: futures::Stream<Item = Result<P>> + Send + 'static,
{
    fn try_flatten_boxed(self) -> BoxStream<'static, Result<T>> {
        futures::TryStreamExt::try_flatten(self).boxed()
    }
}
