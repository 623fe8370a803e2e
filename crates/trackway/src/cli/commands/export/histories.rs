use std::sync::Arc;

use futures::{TryStreamExt, stream::BoxStream};
use tracker_model::{Project, RunParts, RunPath, RunQuery, SeriesInfo, Tracker};

use super::{
    HistoryArgs, Layout, Written, long,
    target::{Folder, Target},
    wide, within,
};
use crate::cli::{
    commands::history::chosen,
    failure::{Exit, Failure, Result},
    resolve,
};

/// Which runs are exported.
pub(super) enum Scope {
    /// One.
    Run(RunPath),
    /// Those of a project.
    Runs(RunQuery),
}

/// What is exported.
pub(super) struct Job<'a> {
    pub(super) tracker: &'a Arc<dyn Tracker>,
    pub(super) args: &'a HistoryArgs,
    pub(super) scope: Scope,
}

/// Where the rows go.
pub(super) enum Targets {
    /// All of them into one file.
    One(Target),
    /// Those of each run into a file of its own.
    PerRun(Folder),
}

/// Writes all points of a run or of the runs of a project that the query asks for.
pub(super) async fn export(
    tracker: &Arc<dyn Tracker>,
    args: &HistoryArgs,
    query: RunQuery,
    targets: Targets,
) -> Result<(Scope, Written)> {
    let scope = scope(&**tracker, args, query).await?;
    let job = Job {
        tracker,
        args,
        scope,
    };
    let written = match targets {
        Targets::One(target) => job.write(target).await?,
        Targets::PerRun(folder) => {
            let mut written = Written::default();
            let mut runs = job.runs();
            let many = job.is_project();
            while let Some(run) = runs.try_next().await? {
                // A run without what is asked for is no error among many.
                if many && job.series(&run).await?.is_empty() {
                    continue;
                }
                let one = Job {
                    tracker,
                    args,
                    scope: Scope::Run(run.clone()),
                };
                written.add(&one.write(folder.target(&run)?).await?);
            }
            written
        }
    };
    Ok((job.scope, written))
}

/// A project if there is one of this name, else a run.
async fn scope(tracker: &dyn Tracker, args: &HistoryArgs, query: RunQuery) -> Result<Scope> {
    let text = &args.what;
    let default = format!("{}/{text}", resolve::DEFAULT_ENTITY);
    let projects: Vec<Project> = tracker.projects(None).try_collect().await?;
    let named = |p: &Project| {
        let path = p.path.to_string();
        path == *text || path == default || p.path.project.as_str() == text
    };
    if projects.iter().any(named) {
        let path = resolve::project(tracker, text).await?;
        let parts = RunParts::NONE;
        return Ok(Scope::Runs(within(query, &path).with_parts(parts)));
    }
    if query.filter.is_some() {
        return Err(Failure::not_found(format!("there is no project {text:?}"))
            .with_hint("a filter chooses runs of a project; `trackway projects` lists them"));
    }
    match resolve::run(tracker, text).await {
        Ok(run) => Ok(Scope::Run(run.path)),
        Err(e) if e.exit() == Exit::NotFound => {
            // A hint of either search is better than none.
            let hint = match (e, resolve::project(tracker, text).await) {
                (
                    _,
                    Err(Failure::Told {
                        hint: Some(hint), ..
                    }),
                ) if hint.starts_with("did you mean") => Some(hint),
                (
                    Failure::Told {
                        hint: Some(hint), ..
                    },
                    _,
                ) if hint.starts_with("did you mean") => Some(hint),
                (Failure::Told { .. }, _) => {
                    Some("`trackway projects` and `trackway runs` list what there is".to_owned())
                }
                _ => None,
            };
            Err(
                Failure::not_found(format!("there is no project and no run {text:?}"))
                    .with_hint_if(hint),
            )
        }
        Err(e) => Err(e),
    }
}

impl Job<'_> {
    async fn write(&self, target: Target) -> Result<Written> {
        match self.args.layout {
            Layout::Wide => wide::export(self, target).await,
            Layout::Long => long::export(self, target).await,
        }
    }

    /// Whether there may be several runs, so that each row names its own.
    pub(super) fn is_project(&self) -> bool {
        matches!(self.scope, Scope::Runs(_))
    }

    /// The addresses of the runs, in the same order each time.
    pub(super) fn runs(&self) -> BoxStream<'static, tracker_model::Result<RunPath>> {
        match &self.scope {
            Scope::Run(run) => Box::pin(futures::stream::iter([Ok(run.clone())])),
            Scope::Runs(query) => {
                Box::pin(self.tracker.find_runs(query.clone()).map_ok(|run| run.path))
            }
        }
    }

    /// The series of a run that are asked for; none is an error for one run, not among many.
    pub(super) async fn series(&self, run: &RunPath) -> Result<Vec<SeriesInfo>> {
        let all = self.tracker.series(run, self.args.stream.into()).await?;
        if self.is_project() {
            let each = |pattern: &String| {
                chosen(all.clone(), std::slice::from_ref(pattern)).unwrap_or_default()
            };
            if self.args.keys.is_empty() {
                return Ok(all);
            }
            let mut found: Vec<SeriesInfo> = self.args.keys.iter().flat_map(each).collect();
            found.sort_by(|a, b| a.key.cmp(&b.key));
            found.dedup_by(|a, b| a.key == b.key);
            return Ok(found);
        }
        chosen(all, &self.args.keys)
    }
}
