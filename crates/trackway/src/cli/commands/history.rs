mod draw;
mod keys;
mod print;

use clap::{Args, ValueEnum};
use tracker_client::{Api, HistoryRequest, Join, ScanRequest, chart::Across};
use tracker_model::{HistoryStream, SeriesKey};

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    plot::Reading,
    resolve, text,
};

pub(super) use keys::chosen;

/// Which history, and how much of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway history 62915c7a                    a sample of its rows
  trackway history 62915c7a --keys 'val/*' --plot --log
  trackway history 62915c7a --keys 'val/*' --svg val.svg
  trackway history 62915c7a --all --jsonl      every row, for a program")]
pub(crate) struct HistoryArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    run: String,
    /// Only these series, and only rows with one of them; patterns with * and ? too
    #[arg(long, short, value_name = "KEY,…", value_delimiter = ',')]
    keys: Vec<String>,
    /// Which rows come with --keys
    #[arg(long, value_enum, default_value_t = JoinArg::Outer, requires = "keys")]
    join: JoinArg,
    /// Only rows that have this series, too; with --plot or --svg it runs along the horizontal axis
    #[arg(long, value_name = "KEY", conflicts_with = "x")]
    x_axis: Option<String>,
    /// Every row, not a sample
    #[arg(long, conflicts_with = "samples")]
    all: bool,
    /// At most so many rows: the first, the last, those with the extremes of the series between
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(2..=10_000_000))]
    samples: u64,
    /// Which of the histories
    #[arg(long, value_enum, default_value_t = StreamArg::Metrics)]
    stream: StreamArg,
    /// Only rows from this step on
    #[arg(long, value_name = "STEP", allow_negative_numbers = true)]
    min_step: Option<i64>,
    /// Only rows up to this step
    #[arg(long, value_name = "STEP", allow_negative_numbers = true)]
    max_step: Option<i64>,
    #[command(flatten)]
    plot: draw::PlotArgs,
    #[command(flatten)]
    from: FromArgs,
}

/// A history of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamArg {
    /// What the program logged
    Metrics,
    /// What was measured of the machine
    #[value(alias = "events")]
    System,
}

/// Which rows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JoinArg {
    /// Those with at least one of the keys
    Outer,
    /// Those with all of them
    Inner,
}

impl From<JoinArg> for Join {
    fn from(join: JoinArg) -> Self {
        match join {
            JoinArg::Outer => Self::Outer,
            JoinArg::Inner => Self::Inner,
        }
    }
}

impl From<StreamArg> for HistoryStream {
    fn from(stream: StreamArg) -> Self {
        match stream {
            StreamArg::Metrics => Self::Metrics,
            StreamArg::System => Self::System,
        }
    }
}

pub(super) async fn run(shell: &mut Shell, args: HistoryArgs) -> Result<Exit> {
    let steps = match (args.min_step, args.max_step) {
        (None, None) => None,
        (low, high) => Some(low.unwrap_or(i64::MIN)..=high.unwrap_or(i64::MAX)),
    };
    if steps.as_ref().is_some_and(|steps| steps.is_empty()) {
        return Err(Failure::usage("--min-step is after --max-step"));
    }
    let tracker = open::reader(shell, &args.from).await?;
    let record = resolve::run(&*tracker, &args.run).await?;
    let run = Api::new(tracker).run_of(record);
    let stream = args.stream.into();
    let all = run.series(stream).await?;
    if all.is_empty() {
        shell
            .talk
            .note(format!("run {} has no history", run.path()));
        return Ok(Exit::Ok);
    }
    let across = match args.x_axis.as_deref() {
        None => None,
        // These are parts of every row.
        Some("_step") => Some(Across::Step),
        Some("_timestamp" | "_runtime") => Some(Across::Time),
        Some(key) => Some(Across::Series(keys::one(&all, key)?)),
    };
    let mut columns: Vec<SeriesKey> = all.iter().map(|s| s.key.clone()).collect();
    let named = !args.keys.is_empty();
    let series = chosen(all, &args.keys)?;

    if args.plot.drawn() {
        let reading = Reading {
            samples: args.plot.samples(shell),
            stream,
            steps,
        };
        return draw::run(shell, &run, (series, named), across, &reading, &args.plot).await;
    }
    let x = across.and_then(|across| match across {
        Across::Series(key) => Some(key),
        _ => None,
    });
    let wanted: Vec<SeriesKey> = series.into_iter().map(|s| s.key).collect();
    columns.retain(|key| x.as_ref() == Some(key) || wanted.contains(key));
    if args.all {
        let mut request = ScanRequest::new()
            .with_stream(stream)
            .with_join(args.join.into());
        request.min_step = args.min_step;
        // The last step of all has none behind it.
        request.max_step = args.max_step.and_then(|step| step.checked_add(1));
        request.keys = named.then_some(wanted);
        if let Some(x) = x {
            request = request.with_x_axis(x);
        }
        print::rows(shell, &columns, run.scan_history(request)).await?;
        return Ok(Exit::Ok);
    }
    let samples = usize::try_from(args.samples).unwrap_or(usize::MAX);
    let mut request = HistoryRequest::new()
        .with_samples(samples)
        .with_stream(stream)
        .with_join(args.join.into());
    request.steps = steps;
    request.keys = named.then_some(wanted);
    if let Some(x) = x {
        request = request.with_x_axis(x);
    }
    let history = run.history(request).await?;
    if history.sampled {
        shell.talk.note(format!(
            "{} of {}; --all for every one",
            text::thousands(history.rows.len() as u64),
            text::count(history.total, "row")
        ));
    }
    let rows = futures::stream::iter(history.rows.into_iter().map(Ok));
    print::rows(shell, &columns, Box::pin(rows)).await?;
    Ok(Exit::Ok)
}
