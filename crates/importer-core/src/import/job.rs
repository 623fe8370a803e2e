use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tracker_model::{Error, ErrorKind, Result, Run, RunId, RunPath, Timestamp};

use super::{
    ImportOptions, Targets,
    account::{Account, Told},
    artifacts,
    files::may_help,
    filter,
    listing::{Listed, Listing},
    run::{self, Todo},
};
use crate::{
    Event, Failure, Finding, Kind, Ledger, Observer, Receipt, RunLine, RunRef, Selection, Sink,
    Source, SourceProject, Tally,
    receipt::{Findings, SCHEMA},
    rule,
};

/// Runs that are asked about together, if so many are listed, and how often as many are listed ahead
/// of the work.
const TOGETHER: usize = 32;
const AHEAD: usize = 2;

/// Runs that a listing names, and what rules changed of each.
type Named = Vec<(RunRef, Vec<Finding>)>;

/// One import.
pub(crate) struct Job {
    pub(super) source: Arc<dyn Source>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) selection: Selection,
    pub(super) options: ImportOptions,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) targets: Targets,
    report: Mutex<Report>,
    /// Nothing more can be written: no new work begins.
    stuck: AtomicBool,
}

#[derive(Default)]
struct Report {
    totals: Tally,
    findings: Findings,
    failures: Vec<Failure>,
    runs: Vec<RunLine>,
}

/// Runs whose records are read at once to apply a filter.
const ASKED: usize = 8;

impl Job {
    pub(super) fn new(
        source: Arc<dyn Source>,
        sink: Arc<dyn Sink>,
        ledger: Arc<dyn Ledger>,
        selection: Selection,
        options: ImportOptions,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let targets = Targets::new(source.id().clone(), Arc::clone(&ledger), options.clone());
        Self {
            source,
            sink,
            ledger,
            selection,
            options,
            observer,
            targets,
            report: Mutex::default(),
            stuck: AtomicBool::new(false),
        }
    }

    pub(super) async fn run(self) -> Result<Receipt> {
        let started_at = Timestamp::now();
        let job = Arc::new(self);
        let projects = job.projects().await?;
        job.runs(&projects).await?;
        let wanted = &job.selection.kinds;
        if !job.stopped()
            && (wanted.contains(Kind::Artifacts) || wanted.contains(Kind::Traces))
            && job.source.capabilities().artifacts
        {
            artifacts::copy(&job, &projects).await;
        }
        let mut report = std::mem::take(&mut *job.report());
        report
            .runs
            .sort_by(|a, b| (&a.target, &a.source_id).cmp(&(&b.target, &b.source_id)));
        let (rules, losses) = report.findings.into_parts();
        Ok(Receipt {
            schema: SCHEMA.to_owned(),
            source: job.source.id().to_string(),
            target: job.sink.to_string(),
            started_at,
            finished_at: Timestamp::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dry_run: job.options.dry_run,
            complete: !job.stopped(),
            totals: report.totals,
            rules,
            losses,
            failures: report.failures,
            runs: report.runs,
        })
    }

    /// Whether no new work begins.
    pub(super) fn stopped(&self) -> bool {
        self.options.cancel.is_cancelled() || self.stuck.load(Ordering::Relaxed)
    }

    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to the receipt.
    pub(super) fn count(&self, told: Told) {
        let totals = {
            let mut report = self.report();
            report.totals.add(&told.counts);
            for finding in &told.findings {
                report.findings.add(finding);
            }
            report.totals.clone()
        };
        for finding in told.findings {
            self.observer.on(&Event::Found(finding));
        }
        self.observer.on(&Event::Totals(totals));
    }

    /// Counts what a listing says of things that do not come.
    pub(super) fn found(&self, finding: Finding) {
        if self.selection.kinds.contains(finding.kind) {
            self.count(finding.into());
        }
    }

    /// Names something that failed as a whole. Where nothing more can be written, no new work
    /// begins.
    pub(super) fn failed(&self, what: impl Into<String>, e: &Error) -> Failure {
        if e.kind() == ErrorKind::StorageFull {
            self.stuck.store(true, Ordering::Relaxed);
        }
        let failure = Failure {
            run: what.into(),
            error: full_message(e),
            hint: e.hint().map(ToOwned::to_owned),
            retryable: !matches!(
                e.kind(),
                ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::Unsupported
            ),
        };
        self.report().failures.push(failure.clone());
        failure
    }

    /// Where a run goes.
    pub(super) async fn target(&self, run: &RunRef) -> Result<RunPath> {
        self.targets
            .run(
                &run.project.id,
                &run.project.name,
                &RunId::legalised(&run.id),
            )
            .await
    }

    async fn projects(self: &Arc<Self>) -> Result<Vec<Arc<SourceProject>>> {
        let mut out: Vec<Arc<SourceProject>> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut projects = Listing::new(self.source.projects(&self.selection));
        while let Some(listed) = projects.try_next().await? {
            match listed {
                Listed::Finding(finding) => self.found(finding),
                Listed::Item(project, changes) => {
                    if self.selection.wants_project(&project.id, &project.name)
                        && seen.insert(project.id.clone())
                    {
                        self.project(&project, changes).await?;
                        out.push(Arc::new(project));
                    }
                }
            }
        }
        Ok(out)
    }

    async fn project(&self, project: &SourceProject, changes: Vec<Finding>) -> Result<()> {
        let path = self.targets.project(&project.id, &project.name).await?;
        let mut account = Account::default();
        let mut patch = project.patch.clone();
        if !self.selection.kinds.contains(Kind::Tags) {
            patch.extras = tracker_model::JsonPatch::Keep;
        }
        let tags = if self.selection.kinds.contains(Kind::Tags) {
            project.tags
        } else {
            0
        };
        let now = self.sink.project(&path).await?;
        let changed = now.as_ref().is_none_or(|now| {
            let mut after = now.clone();
            patch.clone().apply(&mut after);
            after != *now
        });
        if changed {
            if !self.options.dry_run {
                self.sink.put_project(&path, patch).await?;
            }
            account.arrived(Kind::Projects, 1);
            account.arrived(Kind::Tags, tags);
            if path.project.as_str() != project.name && self.options.namespace.project.is_none() {
                account.found(Finding::normalised(
                    Kind::Projects,
                    &project.name,
                    rule::PROJECT_NAME,
                ));
            }
            account.found_all(changes);
        } else {
            account.skipped(Kind::Projects, 1);
            account.skipped(Kind::Tags, tags);
        }
        self.count(account.only(&self.selection.kinds).close());
        Ok(())
    }

    /// Lists runs ahead, and works on several at once.
    async fn runs(self: &Arc<Self>, projects: &[Arc<SourceProject>]) -> Result<()> {
        let (send, mut listed) = mpsc::channel(AHEAD);
        let mut tasks = JoinSet::new();
        let (job, to_list) = (Arc::clone(self), projects.to_vec());
        tasks.spawn(async move { job.list(to_list, send).await });
        let permits = Arc::new(Semaphore::new(self.options.jobs.max(1)));
        'work: while let Some(named) = listed.recv().await {
            if self.stopped() {
                break;
            }
            let (unchanged, todo) = run::sort_out(self, named).await;
            for line in unchanged {
                self.run_done(line, Vec::new());
            }
            for todo in todo {
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                    break 'work;
                };
                if self.stopped() {
                    break 'work;
                }
                let job = Arc::clone(self);
                tasks.spawn(async move {
                    let _permit = permit;
                    job.one_run(todo).await
                });
            }
            while let Some(done) = tasks.try_join_next() {
                self.joined(done)?;
            }
        }
        drop(listed);
        while let Some(done) = tasks.join_next().await {
            self.joined(done)?;
        }
        Ok(())
    }

    /// A task has ended; a panic of one is a failure, not the end.
    fn joined(&self, done: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
        match done {
            Ok(result) => result,
            Err(e) => {
                self.failed(
                    "a worker",
                    &Error::new(ErrorKind::Unexpected, format!("a worker stopped: {e}")),
                );
                Ok(())
            }
        }
    }

    async fn list(
        &self,
        projects: Vec<Arc<SourceProject>>,
        send: mpsc::Sender<Named>,
    ) -> Result<()> {
        let mut left = self.selection.limit.unwrap_or(u64::MAX);
        let mut any = false;
        let mut refused = None;
        for project in projects {
            if left == 0 || self.stopped() {
                return Ok(());
            }
            let runs = Listing::new(self.source.runs(&project, &self.selection));
            let runs = stream::try_unfold(runs, |mut runs| async move {
                Ok::<_, Error>(runs.try_next().await?.map(|listed| (listed, runs)))
            });
            // An error waits for its turn.
            let asked = |listed| async { Ok::<_, Error>(self.asked_for(listed?).await) };
            let mut runs = pin!(runs.map(asked).buffered(ASKED).ready_chunks(TOGETHER));
            let mut goes_on = true;
            while goes_on && let Some(chunk) = runs.next().await {
                let mut named = Vec::new();
                for listed in chunk {
                    if left == 0 || self.stopped() {
                        break;
                    }
                    match listed {
                        Ok((Listed::Finding(finding), _)) => self.found(finding),
                        Ok((Listed::Item(run, changes), wanted)) => {
                            any = true;
                            if wanted {
                                left -= 1;
                                named.push((run, changes));
                            }
                        }
                        // A source that lists nothing at all is an error; else the rest goes on.
                        Err(e) if !any && may_help(&e) => return Err(e),
                        Err(e) => {
                            let what = format!("the listing of project {:?}", project.name);
                            self.failed(what, &e);
                            refused.get_or_insert(e);
                            goes_on = false;
                            break;
                        }
                    }
                }
                if !named.is_empty() {
                    self.observer.on(&Event::Listed(named.len() as u64));
                    if send.send(named).await.is_err() {
                        return Ok(());
                    }
                }
                if left == 0 || self.stopped() {
                    return Ok(());
                }
            }
        }
        if let Some(e) = refused.filter(|_| !any) {
            return Err(e);
        }
        self.observer.on(&Event::ListingDone);
        Ok(())
    }

    /// What is listed, and whether it is a run that is asked for.
    async fn asked_for(&self, listed: Listed<RunRef>) -> (Listed<RunRef>, bool) {
        let wanted = match &listed {
            Listed::Item(run, _) if self.selection.wants_run(run) => {
                let passes = filter::passes(&*self.source, &self.selection, run).await;
                passes.unwrap_or_else(|e| {
                    self.failed(&run.id, &e.context("ask the filter of it"));
                    false
                })
            }
            Listed::Item(..) => false,
            Listed::Finding(_) => false,
        };
        (listed, wanted)
    }

    async fn one_run(self: Arc<Self>, todo: Todo) -> Result<()> {
        let run = todo.run.clone();
        self.observer.on(&Event::RunStarted {
            id: run.id.clone(),
            name: run.name.clone(),
        });
        let work = run::import(&self, todo);
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = self.options.cancel.cancelled() => return Ok(()),
        };
        let (line, findings) = match outcome {
            Ok(done) => done,
            Err(e) => {
                let failure = self.failed(&run.id, &e);
                run::failed(&self, &run, failure).await
            }
        };
        self.run_done(line, findings);
        Ok(())
    }

    /// Tells of a run that is done, well or not.
    fn run_done(&self, line: RunLine, findings: Vec<Finding>) {
        self.count(Told {
            counts: line.counts.clone(),
            findings,
        });
        self.observer.on(&Event::RunDone(Box::new(line.clone())));
        self.report().runs.push(line);
    }
}

/// The message with its causes, one line, none of them twice.
pub(crate) fn full_message(e: &Error) -> String {
    let mut out = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(c) = cause {
        let text = c.to_string();
        if !out.contains(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
        cause = c.source();
    }
    out
}

/// Reads the files that the target has of a run.
pub(crate) async fn files_of(
    sink: &dyn Sink,
    run: &Run,
) -> Result<std::collections::BTreeMap<String, tracker_model::FileInfo>> {
    sink.files(&run.path)
        .map_ok(|f| (f.name.clone(), f))
        .boxed()
        .try_collect()
        .await
}
