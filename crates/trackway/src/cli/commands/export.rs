mod histories;
mod long;
mod runs;
mod target;
mod wide;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tracker_model::{ProjectPath, RunQuery, Tracker};

use crate::cli::{
    Shell,
    commands::history::StreamArg,
    failure::{Exit, Result},
    open::{self, FromArgs},
    resolve, text,
    which::{FilterArgs, OrderArgs, why_none},
};

use histories::{Scope, Targets};
use target::{Folder, Form, Target};

/// What to export.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway export runs digits -o runs.csv              a line a run, config and summary in columns
  trackway export history digits/62915c7a -o run.parquet
  trackway export history digits --filter 'state = finished' -o rows.csv
  trackway export history digits -o all.parquet --layout long")]
pub(crate) struct ExportArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What is said of runs: a row a run
    #[command(after_help = "Examples:
  trackway export runs -o runs.parquet
  trackway export runs digits --format csv | head
  trackway export runs digits --filter 'summary.acc > 0.9' --order=-summary.acc -o best.csv
  trackway export runs digits -o digits.jsonl --include-deleted")]
    Runs(RunsArgs),
    /// Every point of a run, or of all runs of a project
    #[command(after_help = "Examples:
  trackway export history digits/62915c7a -o run.csv   a row for what was logged together
  trackway export history digits -o all.parquet        all runs, the column `run` first
  trackway export history digits -o all.csv --layout long --keys 'val/*'
  trackway export history digits --per-run -o folder   a file a run: folder/RUN.csv
  trackway export history digits --stream system -o sys_metrics.csv

Layouts: wide has a column for each series, long has a row for each point. Series named _step or
_timestamp get one more underscore. Values of several kinds share a column as JSON text.")]
    History(HistoryArgs),
}

#[derive(Debug, Args)]
struct OutArgs {
    /// The file to write; seen only when it is complete [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The form of the file [default: by its name, else csv]
    #[arg(long, short, value_enum)]
    format: Option<Form>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    order: OrderArgs,
    /// Deleted runs too
    #[arg(long)]
    include_deleted: bool,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Args)]
struct RunsArgs {
    /// ENTITY/PROJECT or PROJECT; all without it
    project: Option<String>,
    #[command(flatten)]
    out: OutArgs,
}

#[derive(Debug, Args)]
struct HistoryArgs {
    /// A run (ENTITY/PROJECT/RUN, PROJECT/RUN, an id or a name) or a project (ENTITY/PROJECT, PROJECT)
    what: String,
    /// Only these series; patterns with * and ? too
    #[arg(long, short, value_name = "KEY,…", value_delimiter = ',')]
    keys: Vec<String>,
    /// A column for each series, or a row for each point
    #[arg(long, value_enum, default_value_t = Layout::Wide)]
    layout: Layout,
    /// Which of the histories
    #[arg(long, value_enum, default_value_t = StreamArg::Metrics)]
    stream: StreamArg,
    /// Write a file for each run, named after its id, into the folder of -o
    #[arg(long, requires = "output")]
    per_run: bool,
    #[command(flatten)]
    out: OutArgs,
}

/// How points become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layout {
    /// A column for each series
    Wide,
    /// A row for each point
    Long,
}

/// What was written.
#[derive(Debug, Default)]
struct Written {
    runs: u64,
    rows: u64,
    points: u64,
    /// Times whose part below the millisecond the form cannot hold.
    cut_times: u64,
}

impl Written {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.rows += other.rows;
        self.points += other.points;
        self.cut_times += other.cut_times;
    }
}

impl OutArgs {
    /// Which runs, of all or of those that are named otherwise.
    fn query(&self, query: RunQuery) -> Result<RunQuery> {
        let mut query = query
            .with_deleted(self.include_deleted)
            .with_order(self.order.order()?);
        query.filter = self.filter.filter()?;
        Ok(query)
    }
}

/// Only those of a project.
fn within(query: RunQuery, project: &ProjectPath) -> RunQuery {
    query
        .with_entity(project.entity.clone())
        .with_project(project.project.clone())
}

/// Says why there are no runs, if there are none.
async fn none(
    shell: &Shell,
    tracker: &dyn Tracker,
    query: &RunQuery,
    written: &Written,
) -> Result<()> {
    if written.runs == 0 {
        for line in why_none(tracker, query).await? {
            shell.talk.warn(line);
        }
    }
    Ok(())
}

pub(super) async fn run(shell: &mut Shell, args: ExportArgs) -> Result<Exit> {
    let started = std::time::Instant::now();
    let (out, written) = match args.what {
        What::Runs(args) => {
            let query = args.out.query(RunQuery::new())?;
            let target = Target::new(&args.out)?;
            let tracker = open::reader(shell, &args.out.from).await?;
            let query = match &args.project {
                Some(text) => within(query, &resolve::project(&*tracker, text).await?),
                None => query,
            };
            let written = runs::export(&*tracker, query.clone(), target).await?;
            none(shell, &*tracker, &query, &written).await?;
            (args.out, written)
        }
        What::History(args) => {
            let query = args.out.query(RunQuery::new())?;
            let targets = match args.per_run {
                true => Targets::PerRun(Folder::new(&args.out)?),
                false => Targets::One(Target::new(&args.out)?),
            };
            let tracker = open::reader(shell, &args.out.from).await?;
            let (scope, written) = histories::export(&tracker, &args, query, targets).await?;
            if let Scope::Runs(query) = &scope {
                none(shell, &*tracker, query, &written).await?;
            }
            (args.out, written)
        }
    };
    if written.cut_times > 0 {
        shell.talk.warn(format!(
            "{} outside the years 1678 to 2261 made the file keep milliseconds: {} lost their part below; csv and jsonl keep it",
            "times",
            text::count(written.cut_times, "time")
        ));
    }
    let to = out.output.map_or_else(
        || "standard output".to_owned(),
        |path| path.display().to_string(),
    );
    let points = if written.points > 0 {
        format!(", {}", text::count(written.points, "point"))
    } else {
        String::new()
    };
    let ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    shell.talk.note(format!(
        "{}, {}{points} in {} to {to}",
        text::count(written.runs, "run"),
        text::count(written.rows, "row"),
        text::duration(ms)
    ));
    Ok(Exit::Ok)
}
