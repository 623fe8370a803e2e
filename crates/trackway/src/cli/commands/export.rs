mod histories;
mod long;
mod runs;
mod target;
mod wide;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tracker_model::RunQuery;

use crate::cli::{
    Shell,
    commands::history::StreamArg,
    failure::{Exit, Result},
    open::{self, FromArgs},
    resolve, text,
};

use target::{Form, Target};

/// What to export.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway export runs digits -o runs.csv              a line a run, config and summary in columns
  trackway export history digits/62915c7a -o run.parquet
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
  trackway export runs digits -o digits.jsonl --include-deleted")]
    Runs(RunsArgs),
    /// Every point of a run, or of all runs of a project
    #[command(after_help = "Examples:
  trackway export history digits/62915c7a -o run.csv   a row for what was logged together
  trackway export history digits -o all.parquet        all runs, the column `run` first
  trackway export history digits -o all.csv --layout long --keys 'val/*'

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

pub(super) async fn run(shell: &mut Shell, args: ExportArgs) -> Result<Exit> {
    let started = std::time::Instant::now();
    let (out, written) = match args.what {
        What::Runs(args) => {
            let target = Target::new(&args.out)?;
            let tracker = open::reader(shell, &args.out.from).await?;
            let query = match &args.project {
                Some(text) => RunQuery::of_project(&resolve::project(&*tracker, text).await?),
                None => RunQuery::new(),
            };
            let written = runs::export(
                &*tracker,
                query.with_deleted(args.out.include_deleted),
                target,
            )
            .await?;
            (args.out, written)
        }
        What::History(args) => {
            let target = Target::new(&args.out)?;
            let tracker = open::reader(shell, &args.out.from).await?;
            let written = histories::export(&tracker, &args, target).await?;
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
