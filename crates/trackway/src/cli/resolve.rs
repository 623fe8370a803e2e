//! Which run or project is meant.

use futures::TryStreamExt;
use tracker_model::{
    EntityName, ErrorKind, Project, ProjectName, ProjectPath, Run, RunId, RunParts, RunPath,
    RunQuery, Tracker,
};

use super::{
    failure::{Failure, Result},
    text::{Nearest, did_you_mean, one_line},
};

/// The entity of what has none.
pub(crate) const DEFAULT_ENTITY: &str = "local";

/// The beginning of an id that is enough to name a run.
const SHORTEST_PREFIX: usize = 4;

/// Candidates that are named when a run is not clear.
const MOST_NAMED: usize = 5;

/// Finds a run by `ENTITY/PROJECT/RUN`, `PROJECT/RUN` or `RUN`, where `RUN` is an id, the
/// beginning of one (at least four characters), or a display name.
pub(crate) async fn run(tracker: &dyn Tracker, text: &str) -> Result<Run> {
    let parts: Vec<&str> = text.split('/').collect();
    let found = match parts[..] {
        [run] => among(tracker, RunQuery::new(), run).await?,
        [project, run] => match ProjectName::new(project) {
            Ok(project) => {
                let query = RunQuery::new().with_project(project);
                let mine = query.clone().with_entity(default_entity()?);
                match among(tracker, mine, run).await? {
                    Found::None(_) => among(tracker, query, run).await?,
                    found => found,
                }
            }
            Err(_) => Found::None(Vec::new()),
        },
        [entity, project, run] => match (EntityName::new(entity), ProjectName::new(project)) {
            (Ok(entity), Ok(project)) => {
                among(
                    tracker,
                    RunQuery::of_project(&ProjectPath::new(entity, project)),
                    run,
                )
                .await?
            }
            _ => Found::None(Vec::new()),
        },
        _ => Found::None(Vec::new()),
    };
    // A display name may hold slashes.
    let found = match found {
        Found::None(near) if parts.len() > 1 => {
            match among(tracker, RunQuery::new(), text).await? {
                Found::None(_) => Found::None(elsewhere(tracker, near, parts.last()).await?),
                found => found,
            }
        }
        found => found,
    };
    match found {
        // What was looked through has no config and no summary.
        Found::One(path) => Ok(tracker.run(&path).await?),
        Found::Many(paths) => Err(Failure::usage(format!(
            "{:?} may be any of several runs",
            one_line(text)
        ))
        .with_hint(did_you_mean(&paths).unwrap_or_default())),
        Found::None(near) => Err(Failure::not_found(format!(
            "there is no run {:?}",
            one_line(text)
        ))
        .with_hint(
            did_you_mean(&near).unwrap_or_else(|| "`trackway runs` lists all runs".to_owned()),
        )),
    }
}

/// Runs of other projects that are meant perhaps, if none of this one is near.
async fn elsewhere(
    tracker: &dyn Tracker,
    near: Vec<String>,
    run: Option<&&str>,
) -> Result<Vec<String>> {
    let Some(run) = run.filter(|_| near.is_empty()) else {
        return Ok(near);
    };
    Ok(match among(tracker, RunQuery::new(), run).await? {
        Found::One(path) => vec![path.to_string()],
        Found::Many(paths) => paths,
        Found::None(_) => near,
    })
}

enum Found {
    One(RunPath),
    Many(Vec<String>),
    /// Nothing, but these are near.
    None(Vec<String>),
}

async fn among(tracker: &dyn Tracker, query: RunQuery, text: &str) -> Result<Found> {
    let query = query.with_deleted(true).with_parts(RunParts::NONE);
    if let Ok(id) = RunId::new(text) {
        let by_id: Vec<Run> = match &query {
            RunQuery {
                entity: Some(entity),
                project: Some(project),
                ..
            } => {
                let path = RunPath::new(entity.clone(), project.clone(), id);
                match tracker.run(&path).await {
                    Ok(run) => vec![run],
                    Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
                    Err(e) => return Err(e.into()),
                }
            }
            _ => {
                let query = query.clone().with_run(id).with_limit(MOST_NAMED as u64 + 1);
                tracker.find_runs(query).try_collect().await?
            }
        };
        if let Some(found) = chosen(by_id) {
            return Ok(found);
        }
    }
    let (mut by_prefix, mut by_name, mut near) = (Vec::new(), Vec::new(), Nearest::new(text));
    let mut runs = tracker.find_runs(query);
    while let Some(run) = runs.try_next().await? {
        if text.chars().count() >= SHORTEST_PREFIX && run.path.run.as_str().starts_with(text) {
            keep(&mut by_prefix, run);
        } else if run.name.as_deref() == Some(text) {
            keep(&mut by_name, run);
        } else {
            let id = run.path.run.as_str();
            near.offer(id.get(..text.len()).unwrap_or(id), run.path.to_string());
            if let Some(name) = &run.name {
                near.offer(name, run.path.to_string());
            }
        }
    }
    let mut near = near.into_best();
    near.dedup();
    Ok(chosen(by_prefix)
        .or_else(|| chosen(by_name))
        .unwrap_or(Found::None(near)))
}

/// Remembers enough to say that there are many.
fn keep(runs: &mut Vec<Run>, run: Run) {
    // A deleted run gives way to one that is not.
    if !run.deleted {
        runs.retain(|other| !other.deleted);
    } else if runs.iter().any(|other| !other.deleted) {
        return;
    }
    if runs.len() <= MOST_NAMED {
        runs.push(run);
    }
}

fn chosen(mut runs: Vec<Run>) -> Option<Found> {
    match runs.len() {
        0 => None,
        1 => runs.pop().map(|run| Found::One(run.path)),
        _ => Some(Found::Many(
            runs.iter()
                .take(MOST_NAMED)
                .map(|run| run.path.to_string())
                .collect(),
        )),
    }
}

/// Finds a project by `ENTITY/PROJECT` or `PROJECT`.
pub(crate) async fn project(tracker: &dyn Tracker, text: &str) -> Result<ProjectPath> {
    let projects: Vec<Project> = tracker.projects(None).try_collect().await?;
    let exact = |text: &str| {
        projects
            .iter()
            .find(|p| p.path.to_string() == text)
            .map(|p| p.path.clone())
    };
    if let Some(path) = exact(text).or_else(|| exact(&format!("{DEFAULT_ENTITY}/{text}"))) {
        return Ok(path);
    }
    let mut named = projects.iter().filter(|p| p.path.project.as_str() == text);
    match (named.next(), named.next()) {
        (Some(one), None) => Ok(one.path.clone()),
        (Some(one), Some(other)) => Err(Failure::usage(format!(
            "{text:?} may be any of several projects"
        ))
        .with_hint(format!("did you mean {} or {}?", one.path, other.path))),
        (None, _) => {
            let mut near = Nearest::new(text);
            for project in &projects {
                near.offer(&project.path.to_string(), project.path.to_string());
                near.offer(project.path.project.as_str(), project.path.to_string());
            }
            let mut near = near.into_best();
            near.dedup();
            let or_else = if projects.is_empty() {
                "the store is empty; `trackway import` fills it"
            } else {
                "`trackway projects` lists all projects"
            };
            Err(
                Failure::not_found(format!("there is no project {:?}", one_line(text)))
                    .with_hint(did_you_mean(&near).unwrap_or_else(|| or_else.to_owned())),
            )
        }
    }
}

fn default_entity() -> Result<EntityName> {
    Ok(EntityName::new(DEFAULT_ENTITY)?)
}
