//! Comparing a source with a target, without writing.

mod artifacts;
mod report;
mod run;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, TryStreamExt};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracker_model::{Error, ErrorKind, ProjectPath, Result, RunId, Timestamp};

use crate::{
    Event, Failure, ImportOptions, Kind, Ledger, Namespace, Observer, ProjectMap, RunRef,
    Selection, Sink, Source, SourceItem, import::Targets, import::filter, import::full_message,
};

pub use report::{CheckReport, Difference, RunCheck, Verdict};

/// How closely to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckDepth {
    /// Facts of runs, numbers of points, names and sizes of files.
    Counts,
    /// Every point of both sides by a digest of each series, and the bytes of the source's files
    /// against the digests that the target keeps.
    #[default]
    Digest,
    /// As [`CheckDepth::Digest`]; the first point that differs is named, and the bytes of files
    /// are read from the target too.
    Values,
}

/// How a check is done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckOptions {
    /// How closely to look.
    pub depth: CheckDepth,
    /// As it was for the import.
    pub namespace: Namespace,
    /// As it was for the import.
    pub map: ProjectMap,
    /// How many runs are looked at at once; at least 1.
    pub jobs: usize,
    /// Ends the check early.
    pub cancel: CancellationToken,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            depth: CheckDepth::Digest,
            namespace: Namespace::default(),
            map: ProjectMap::default(),
            jobs: 4,
            cancel: CancellationToken::new(),
        }
    }
}

struct Checker {
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    selection: Selection,
    depth: CheckDepth,
    targets: Targets,
    cancel: CancellationToken,
    observer: Arc<dyn Observer>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    runs: Vec<RunCheck>,
    artifacts: Vec<RunCheck>,
    failures: Vec<Failure>,
}

/// Compares a source with a target, and answers with what is the same and what is not. Reads only.
///
/// # Errors
/// When the source cannot be listed at all, or the target cannot be read.
pub async fn check(
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    ledger: Arc<dyn Ledger>,
    selection: Selection,
    options: CheckOptions,
    observer: Arc<dyn Observer>,
) -> Result<CheckReport> {
    let started_at = Timestamp::now();
    let placing = ImportOptions {
        namespace: options.namespace.clone(),
        map: options.map.clone(),
        dry_run: true,
        ..ImportOptions::default()
    };
    let checker = Arc::new(Checker {
        targets: Targets::new(source.id().clone(), ledger, placing),
        source,
        sink,
        selection,
        depth: options.depth,
        cancel: options.cancel.clone(),
        observer,
        found: Mutex::default(),
    });
    checker.all(options.jobs.max(1)).await?;
    let mut found = std::mem::take(&mut *checker.found());
    found
        .runs
        .sort_by(|a, b| (&a.target, &a.source_id).cmp(&(&b.target, &b.source_id)));
    Ok(CheckReport::new(
        &*checker.source,
        &*checker.sink,
        options.depth,
        started_at,
        !options.cancel.is_cancelled(),
    )
    .with(found.runs, found.artifacts, found.failures))
}

impl Checker {
    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, what: &str, e: &Error) {
        self.found().failures.push(Failure {
            run: what.to_owned(),
            error: full_message(e),
            hint: e.hint().map(ToOwned::to_owned),
            retryable: e.retry() != tracker_model::Retry::Never,
        });
    }

    async fn all(self: &Arc<Self>, jobs: usize) -> Result<()> {
        let permits = Arc::new(Semaphore::new(jobs));
        let mut tasks = JoinSet::new();
        let mut left = self.selection.limit.unwrap_or(u64::MAX);
        let mut projects = Vec::new();
        let mut listed = self.source.projects(&self.selection);
        while let Some(item) = listed.try_next().await? {
            let SourceItem::Item(project) = item else {
                continue;
            };
            if !self.selection.wants_project(&project.id, &project.name) {
                continue;
            }
            let project = Arc::new(project);
            let path = self.targets.project(&project.id, &project.name).await?;
            let mut ids = BTreeSet::new();
            let mut runs = self.source.runs(&project, &self.selection);
            while let Some(item) = runs.try_next().await? {
                let SourceItem::Item(run) = item else {
                    continue;
                };
                ids.insert(RunId::legalised(&run.id));
                if left == 0 || !self.selection.wants_run(&run) {
                    continue;
                }
                match filter::passes(&*self.source, &self.selection, &run).await {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(e) => {
                        self.failed(&run.id, &e.context("ask the filter of it"));
                        continue;
                    }
                }
                if self.cancel.is_cancelled() {
                    break;
                }
                left -= 1;
                self.observer.on(&Event::Listed(1));
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                    break;
                };
                let checker = Arc::clone(self);
                tasks.spawn(async move {
                    let _permit = permit;
                    checker.one(run).await;
                });
                while tasks.try_join_next().is_some() {}
            }
            if self.compares_whole_projects() {
                self.only_in_target(&path, &ids).await?;
            }
            projects.push(project);
        }
        self.observer.on(&Event::ListingDone);
        while let Some(done) = tasks.join_next().await {
            if let Err(e) = done {
                self.failed(
                    "a worker",
                    &Error::new(ErrorKind::Unexpected, format!("a worker stopped: {e}")),
                );
            }
        }
        if self.selection.kinds.contains(Kind::Artifacts) && self.source.capabilities().artifacts {
            artifacts::check(self, &projects).await;
        }
        Ok(())
    }

    /// Whether all runs of a project were listed, so that others in the target are too many.
    fn compares_whole_projects(&self) -> bool {
        let s = &self.selection;
        s.include_deleted
            && s.runs.is_empty()
            && s.since.is_none()
            && s.until.is_none()
            && s.filter.is_none()
            && s.limit.is_none()
    }

    async fn only_in_target(&self, path: &ProjectPath, ids: &BTreeSet<RunId>) -> Result<()> {
        let mut runs = self.sink.runs(path).boxed();
        while let Some(run) = runs.try_next().await? {
            if !ids.contains(&run.path.run) {
                self.found().runs.push(RunCheck::new(
                    run.path.run.to_string(),
                    run.path.to_string(),
                    Verdict::OnlyInTarget,
                ));
            }
        }
        Ok(())
    }

    async fn one(&self, run: RunRef) {
        let line = match run::check(self, &run).await {
            Ok(line) => line,
            Err(e) => {
                self.failed(&run.id, &e);
                RunCheck::new(run.id.clone(), String::new(), Verdict::Unreadable)
            }
        };
        self.found().runs.push(line);
    }
}
