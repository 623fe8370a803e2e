use clap::{Args, ValueEnum};
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::Number;
use tracker_client::{Api, Best, Runs};
use tracker_model::{Goal, RunParts, RunQuery};

use super::{runs::short_id, sweeps};
use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    output::{Format, FormatArg, Listing, left, right},
    resolve,
    shape::RunShape,
    text,
    which::{FilterArgs, why_none},
};

/// Of which runs, and what is good.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway best digits --metric val/accuracy
  trackway best digits --metric val/loss --goal min -n 5 --filter 'state = finished'
  trackway best --sweep digits/k2jx81              by the metric of the sweep
  trackway files get \"$(trackway best digits --metric val_acc --format tsv | cut -f1)\" model.h5

Runs without a number at the key do not count.")]
pub(crate) struct BestArgs {
    /// ENTITY/PROJECT or PROJECT
    #[arg(required_unless_present = "sweep")]
    project: Option<String>,
    /// Of this sweep: ENTITY/PROJECT/SWEEP or PROJECT/SWEEP
    #[arg(long, conflicts_with = "project")]
    sweep: Option<String>,
    /// A key of the summary [default: that of the sweep]
    #[arg(long, value_name = "KEY", required_unless_present = "sweep")]
    metric: Option<String>,
    /// Whether less or more is better [default: that of the sweep, else max]
    #[arg(long, value_enum)]
    goal: Option<GoalArg>,
    /// So many
    #[arg(short, value_name = "N", default_value_t = 1)]
    n: usize,
    #[command(flatten)]
    filter: FilterArgs,
    /// The form of the list [default: a table, in a pipe tsv]
    #[arg(long, value_enum, conflicts_with_all = ["json", "jsonl"])]
    format: Option<FormatArg>,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GoalArg {
    /// Less is better
    #[value(alias = "minimize")]
    Min,
    /// More is better
    #[value(alias = "maximize")]
    Max,
}

#[derive(Serialize)]
struct Shape<'a> {
    metric: &'a str,
    value: &'a Number,
    #[serde(flatten)]
    run: RunShape<'a>,
}

pub(super) async fn run(shell: &mut Shell, args: BestArgs) -> Result<Exit> {
    if let Some(format) = args.format {
        shell.out.format = format.into();
    }
    let filter = args.filter.filter()?;
    let goal = args.goal.map(|goal| match goal {
        GoalArg::Min => Goal::Minimize,
        GoalArg::Max => Goal::Maximize,
    });
    let metric = args.metric.as_deref().map(|key| {
        let bare = key.strip_prefix("summary.");
        bare.unwrap_or(key).to_owned()
    });
    let tracker = open::reader(shell, &args.from).await?;
    let api = Api::new(tracker.clone());
    let (runs, metric, goal) = match (&args.sweep, &args.project) {
        (Some(text), _) => {
            let sweep = sweeps::handle(&api, text).await?;
            let (key, own) = match (metric, sweep.metric()) {
                (Some(key), Some((own, goal))) if key == own => (key, goal),
                (Some(key), _) => (key, Goal::Maximize),
                (None, Some((key, goal))) => (key.to_owned(), goal),
                (None, None) => {
                    return Err(Failure::usage(format!(
                        "the config of sweep {} names no metric",
                        sweep.path()
                    ))
                    .with_hint("name a key of the summary with --metric"));
                }
            };
            (sweep.runs()?, key, goal.unwrap_or(own))
        }
        (None, Some(text)) => {
            let path = resolve::project(&*tracker, text).await?;
            let runs = api.find_runs(RunQuery::of_project(&path));
            (
                runs,
                metric.unwrap_or_default(),
                goal.unwrap_or(Goal::Maximize),
            )
        }
        (None, None) => return Err(Failure::usage("name a project or a sweep")),
    };
    let runs = match filter {
        Some(filter) => runs.filter(filter)?,
        None => runs,
    };
    if list(shell, &runs, &metric, goal, args.n).await? > 0 || args.n == 0 {
        return Ok(Exit::Ok);
    }
    runs.check_key(&metric).await?;
    for line in why_none(&*tracker, runs.query()).await? {
        shell.talk.warn(line);
    }
    Err(Failure::not_found(format!(
        "no run that fits has a number at summary.{metric}"
    )))
}

async fn list(
    shell: &mut Shell,
    runs: &Runs,
    metric: &str,
    goal: Goal,
    most: usize,
) -> Result<u64> {
    let people = shell.out.format == Format::Table;
    let parts = match shell.out.is_json() {
        true => RunParts::ALL,
        false => RunParts {
            summary: true,
            ..RunParts::NONE
        },
    };
    let mut listing = Listing::new(&mut shell.out, &[left("RUN"), left("NAME"), right("VALUE")]);
    let runs = runs.clone().per_page(most.clamp(1, 50)).parts(parts);
    let mut best = runs.best_first(metric, goal)?;
    let mut left = most;
    while left > 0
        && let Some(Best { run, value, .. }) = best.try_next().await?
    {
        left -= 1;
        let shape = Shape {
            metric,
            value: &value,
            run: RunShape(run.record()),
        };
        listing.row(&shape, || {
            let name = run.record().name.as_deref().unwrap_or_default();
            match people {
                true => vec![
                    short_id(run.record()),
                    text::shortened(name, 40),
                    value.to_string(),
                ],
                false => vec![run.path().to_string(), name.to_owned(), value.to_string()],
            }
        })?;
    }
    listing.end()
}
