mod draw;
mod keys;
mod print;

use clap::{Args, ValueEnum};
use tracker_model::{HistoryQuery, HistoryStream, SampleQuery, SeriesInfo, group_rows, rows_of};

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    resolve, text,
};

pub(super) use keys::chosen;

/// Points of all series together that are sampled at most.
const MOST_SAMPLED: usize = 1_000_000;

/// Which history, and how much of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway history 62915c7a                    a sample of every series
  trackway history 62915c7a --keys 'val/*' --plot --log
  trackway history 62915c7a --all --jsonl      every row, for a program")]
pub(crate) struct HistoryArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    run: String,
    /// Only these series; patterns with * and ? too
    #[arg(long, short, value_name = "KEY,…", value_delimiter = ',')]
    keys: Vec<String>,
    /// Every point, not a sample
    #[arg(long, conflicts_with = "samples")]
    all: bool,
    /// At most so many points of each series: the first, the last, the extremes between
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(2..=10_000_000))]
    samples: u64,
    /// Which of the histories
    #[arg(long, value_enum, default_value_t = StreamArg::Metrics)]
    stream: StreamArg,
    /// Only points from this step on
    #[arg(long, value_name = "STEP", allow_negative_numbers = true)]
    min_step: Option<i64>,
    /// Only points up to this step
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
    let run = resolve::run(&*tracker, &args.run).await?;
    let stream = args.stream.into();
    let all = tracker.series(&run.path, stream).await?;
    if all.is_empty() {
        shell.talk.note(format!("run {} has no history", run.path));
        return Ok(Exit::Ok);
    }
    let series = chosen(all, &args.keys)?;
    let keys: Vec<_> = series.iter().map(|s| s.key.clone()).collect();

    if args.plot.plot {
        let mut query = SampleQuery::new(args.plot.samples(shell)).with_stream(stream);
        query.steps = steps;
        return draw::run(
            shell,
            &*tracker,
            &run,
            (series, !args.keys.is_empty()),
            query,
            &args.plot,
        )
        .await;
    }
    if args.all {
        let mut query = HistoryQuery::new()
            .with_stream(stream)
            .with_keys(keys.iter().map(|k| k.as_str()))
            .with_rows(true);
        query.steps = steps;
        print::rows(shell, &keys, rows_of(tracker.scan(&run.path, query))).await?;
        return Ok(Exit::Ok);
    }
    let samples = usize::try_from(args.samples)
        .unwrap_or(MOST_SAMPLED)
        .min(MOST_SAMPLED / keys.len().max(1))
        .max(2);
    let mut query = SampleQuery::new(samples)
        .with_stream(stream)
        .with_keys(keys.iter().map(|k| k.as_str()));
    query.steps = steps;
    let rows = group_rows(tracker.sample(&run.path, query).await?)?;
    say_sampled(shell, &series, samples);
    let rows = futures::stream::iter(rows.into_iter().map(Ok));
    print::rows(shell, &keys, Box::pin(rows)).await?;
    Ok(Exit::Ok)
}

fn say_sampled(shell: &Shell, series: &[SeriesInfo], samples: usize) {
    let thinned: Vec<_> = series.iter().filter(|s| s.count > samples as u64).collect();
    let points: u64 = series.iter().map(|s| s.count).sum();
    if !thinned.is_empty() {
        shell.talk.note(format!(
            "sampled: {} of {} series, at most {samples} points of each; --all prints all {}",
            thinned.len(),
            series.len(),
            text::count(points, "point")
        ));
    }
}
