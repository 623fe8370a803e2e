use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::Value as Json;
use tracker_client::{Api, Sweep};
use tracker_model::{Goal, JsonObject, Project, SweepState, Timestamp};

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    output::{Format, FormatArg, Listing, left, right},
    resolve,
    text::{self, Nearest, did_you_mean, one_line},
};

/// Which sweeps.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  trackway sweeps                              of all projects
  trackway sweeps digits --json
  trackway sweeps show digits/k2jx81           config, runs so far, the best of them
  trackway runs digits --filter 'sweep = k2jx81'")]
pub(crate) struct SweepsArgs {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show one sweep
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// ENTITY/PROJECT or PROJECT; all without it
    project: Option<String>,
    /// The form of the list [default: a table, in a pipe tsv]
    #[arg(long, value_enum, conflicts_with_all = ["json", "jsonl"])]
    format: Option<FormatArg>,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// ENTITY/PROJECT/SWEEP or PROJECT/SWEEP
    sweep: String,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Serialize)]
struct Shape<'a> {
    entity: &'a str,
    project: &'a str,
    id: &'a str,
    name: &'a str,
    state: SweepState,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    user: Option<&'a str>,
    method: Option<&'a str>,
    metric: Option<&'a str>,
    goal: Option<Goal>,
    runs: u64,
    expected_runs: Option<u64>,
    description: Option<&'a str>,
    config: &'a JsonObject,
}

/// A sweep with its runs.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    sweep: Shape<'a>,
    runs_by_state: &'a BTreeMap<&'static str, u64>,
    best: Option<BestShape>,
}

#[derive(Serialize)]
struct BestShape {
    run: String,
    name: Option<String>,
    value: serde_json::Number,
}

impl<'a> Shape<'a> {
    fn new(sweep: &'a Sweep, runs: u64) -> Self {
        let record = sweep.record();
        let metric = sweep.metric();
        Self {
            entity: record.path.entity.as_str(),
            project: record.path.project.as_str(),
            id: sweep.id(),
            name: sweep.name(),
            state: record.state,
            created_at: record.created_at,
            updated_at: record.updated_at,
            user: record.user.as_deref(),
            method: record.config.get("method").and_then(Json::as_str),
            metric: metric.map(|(key, _)| key),
            goal: metric.map(|(_, goal)| goal),
            runs,
            expected_runs: sweep.expected_run_count(),
            description: record.description.as_deref(),
            config: &record.config,
        }
    }

    fn metric(&self) -> String {
        match (self.metric, self.goal) {
            (Some(key), Some(goal)) => format!("{goal} {key}"),
            _ => String::new(),
        }
    }

    fn runs(&self) -> String {
        match self.expected_runs {
            Some(all) => format!("{} of {all}", self.runs),
            None => self.runs.to_string(),
        }
    }
}

pub(super) async fn run(shell: &mut Shell, args: SweepsArgs) -> Result<Exit> {
    match args.what {
        Some(What::Show(args)) => show(shell, args).await,
        None => list(shell, args.list).await,
    }
}

async fn list(shell: &mut Shell, args: ListArgs) -> Result<Exit> {
    if let Some(format) = args.format {
        shell.out.format = format.into();
    }
    let tracker = open::reader(shell, &args.from).await?;
    let api = Api::new(tracker.clone());
    let projects = match &args.project {
        Some(text) => vec![resolve::project(&*tracker, text).await?],
        None => {
            let projects: Vec<Project> = tracker.projects(None).try_collect().await?;
            projects.into_iter().map(|project| project.path).collect()
        }
    };
    let people = shell.out.format == Format::Table;
    let columns = [
        left("SWEEP"),
        left("NAME"),
        left("STATE"),
        left("CREATED (UTC)"),
        left("METRIC"),
        right("RUNS"),
    ];
    let mut listing = Listing::new(&mut shell.out, &columns);
    for project in projects {
        let mut sweeps = api.sweeps_at(&project);
        while let Some(sweep) = sweeps.try_next().await? {
            let shape = Shape::new(&sweep, sweep.runs()?.len().await?);
            listing.row(&shape, || {
                vec![
                    sweep.path().to_string(),
                    sweep.name().to_owned(),
                    shape.state.to_string(),
                    text::time_cell(shape.created_at, people),
                    shape.metric(),
                    shape.runs(),
                ]
            })?;
        }
    }
    if listing.end()? == 0 {
        shell.talk.note(match args.project {
            Some(project) => format!("there are no sweeps in {project}"),
            None => "there are no sweeps".to_owned(),
        });
    }
    Ok(Exit::Ok)
}

async fn show(shell: &mut Shell, args: ShowArgs) -> Result<Exit> {
    let tracker = open::reader(shell, &args.from).await?;
    let sweep = handle(&Api::new(tracker), &args.sweep).await?;
    let mut states = BTreeMap::new();
    let mut runs = sweep.runs()?.parts(tracker_model::RunParts::NONE).stream();
    while let Some(run) = runs.try_next().await? {
        *states.entry(run.state().as_str()).or_insert(0) += 1;
    }
    let best = match sweep.metric() {
        Some(_) => sweep.best_run().await?,
        None => None,
    };
    let best = best.map(|best| BestShape {
        run: best.run.path().to_string(),
        name: best.run.record().name.clone(),
        value: best.value,
    });
    let shape = Shape::new(&sweep, states.values().sum());
    if shell.out.is_json() {
        shell.out.document(&Shown {
            sweep: shape,
            runs_by_state: &states,
            best,
        })?;
        return Ok(Exit::Ok);
    }
    let mut facts = vec![
        ("sweep", sweep.path().to_string()),
        ("name", sweep.name().to_owned()),
        ("state", shape.state.to_string()),
        ("created", format!("{} UTC", text::time(shape.created_at))),
        ("user", shape.user.unwrap_or_default().to_owned()),
        ("metric", shape.metric()),
        ("runs", shape.runs()),
    ];
    for (state, count) in &states {
        facts.push((state, count.to_string()));
    }
    if let Some(best) = best {
        let name = best
            .name
            .map(|name| format!(" ({name})"))
            .unwrap_or_default();
        facts.push(("best", format!("{}{name}: {}", best.run, best.value)));
    }
    facts.push((
        "description",
        shape.description.unwrap_or_default().to_owned(),
    ));
    facts.retain(|(_, value)| !value.is_empty());
    super::run::pairs(
        &mut shell.out,
        facts.iter().map(|(what, value)| (*what, value.as_str())),
    )?;
    super::run::keys(&mut shell.out, "config", shape.config)?;
    Ok(Exit::Ok)
}

/// The sweep that is named as people do.
pub(super) async fn handle(api: &Api, text: &str) -> Result<Sweep> {
    let path = api.sweep_path(text)?;
    let missing = match api.sweep_at(&path).await {
        Err(e) if e.kind() == tracker_model::ErrorKind::NotFound => e,
        other => return Ok(other?),
    };
    let id = path.sweep.as_str();
    let mut near = Nearest::new(id);
    let mut projects = api.tracker().projects(None);
    while let Some(project) = projects.try_next().await? {
        let mut sweeps = api.tracker().sweeps(&project.path);
        while let Some(sweep) = sweeps.try_next().await? {
            near.offer(sweep.path.sweep.as_str(), sweep.path.to_string());
        }
    }
    let hint = did_you_mean(&near.into_best());
    Err(Failure::not_found(one_line(&missing.to_string()))
        .with_hint(hint.unwrap_or_else(|| "`trackway sweeps` lists all sweeps".to_owned())))
}
