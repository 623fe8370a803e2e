use clap::{Args, ValueEnum};
use tracker_model::{PointBatch, Run, SampleQuery, SeriesInfo, Tracker, ValueKind, Values};

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    plot::{Line, Look, chart, short},
    text,
};

/// Charts that are drawn unless keys are named.
const MOST_CHARTS: usize = 12;
/// Lines that one chart can hold.
const MOST_LINES: usize = 6;

/// How a chart is drawn.
#[derive(Debug, Args)]
pub(crate) struct PlotArgs {
    /// Draw line charts: those of --keys together in one, otherwise one for each series
    #[arg(long, short)]
    pub(super) plot: bool,
    /// A logarithmic vertical axis
    #[arg(long, requires = "plot")]
    log: bool,
    /// What runs along the horizontal axis
    #[arg(long, value_enum, default_value_t = Across::Step, requires = "plot")]
    x: Across,
    /// Columns of the chart [default: the width of the terminal]
    #[arg(long, value_name = "N", requires = "plot", value_parser = clap::value_parser!(u16).range(20..))]
    width: Option<u16>,
    /// Lines of the chart
    #[arg(long, value_name = "N", requires = "plot", default_value_t = 15, value_parser = clap::value_parser!(u16).range(3..=500))]
    height: u16,
}

/// What runs along the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Across {
    /// The step
    Step,
    /// The time since the first point
    Time,
}

impl PlotArgs {
    fn columns(&self, shell: &Shell) -> usize {
        self.width.map_or(shell.out.width.min(120), usize::from)
    }

    /// Points of each series that fill the chart: the extremes of each column of dots.
    pub(super) fn samples(&self, shell: &Shell) -> usize {
        (self.columns(shell) * 4).max(500)
    }
}

pub(super) async fn run(
    shell: &mut Shell,
    tracker: &dyn Tracker,
    run: &Run,
    (mut series, named): (Vec<SeriesInfo>, bool),
    query: SampleQuery,
    args: &PlotArgs,
) -> Result<Exit> {
    let numbers =
        |s: &SeriesInfo| s.kinds.contains(ValueKind::F64) || s.kinds.contains(ValueKind::I64);
    let others = series.iter().filter(|s| !numbers(s)).count();
    series.retain(numbers);
    if others > 0 {
        shell.talk.note(format!(
            "{others} series of other values than numbers are not drawn"
        ));
    }
    if series.is_empty() {
        return Err(Failure::not_found(format!(
            "run {} has no numbers to draw",
            run.path
        )));
    }
    if named && series.len() > MOST_LINES {
        shell.talk.note(format!(
            "{} series are more than one chart can hold: one chart for each",
            series.len()
        ));
    }
    let together = named && series.len() <= MOST_LINES;
    if !together && series.len() > MOST_CHARTS {
        let more = series.len() - MOST_CHARTS;
        shell.talk.note(format!(
            "the first {MOST_CHARTS} series are drawn; --keys chooses among the other {more}"
        ));
        series.truncate(MOST_CHARTS);
    }
    let look = Look {
        width: args.columns(shell),
        height: args.height.into(),
        log: args.log,
        seconds: args.x == Across::Time,
        colour: shell.out.colour,
    };
    let mut first = true;
    for part in series.chunks(if together { series.len() } else { 1 }) {
        let query = query.clone().with_keys(part.iter().map(|s| s.key.as_str()));
        let batches = tracker.sample(&run.path, query).await?;
        let lines: Vec<Line> = part.iter().map(|info| line(info, &batches, args)).collect();
        if !std::mem::take(&mut first) {
            shell.out.line("")?;
        }
        for text in chart(&lines, &look) {
            shell.out.line(text)?;
        }
    }
    Ok(Exit::Ok)
}

/// The points of one series among those of several.
fn line(info: &SeriesInfo, batches: &[PointBatch], args: &PlotArgs) -> Line {
    let mine = || batches.iter().filter(|b| b.key == info.key);
    let start = mine()
        .filter_map(|b| b.times.as_ref()?.ms.iter().min())
        .min()
        .copied()
        .unwrap_or(0);
    let mut points = Vec::new();
    for batch in mine() {
        for i in 0..batch.len() {
            points.push((across(batch, i, start, args.x), height(&batch.values, i)));
        }
    }
    let hidden = points
        .iter()
        .filter(|(_, y)| !y.is_finite() || (args.log && *y <= 0.0))
        .count();
    let mut about = vec![text::count(info.count, "point")];
    about.extend(
        info.last
            .as_ref()
            .and_then(|v| v.to_json().as_f64())
            .map(|x| format!("last {}", short(x))),
    );
    about.extend(
        info.range
            .map(|(low, high)| format!("{} to {}", short(low), short(high))),
    );
    if hidden > 0 {
        about.push(
            if args.log {
                "gaps where not above 0"
            } else {
                "gaps where not finite"
            }
            .to_owned(),
        );
    }
    Line {
        name: info.key.to_string(),
        about: about.join(", "),
        points,
    }
}

#[allow(clippy::cast_precision_loss, reason = "a drawing")]
fn across(batch: &PointBatch, i: usize, start: i64, x: Across) -> f64 {
    match (x, &batch.times) {
        (Across::Step, _) => batch.steps.get(i).map_or(f64::NAN, |step| *step as f64),
        (Across::Time, Some(times)) => times.ms.get(i).map_or(f64::NAN, |ms| {
            (i128::from(*ms) - i128::from(start)) as f64 / 1000.0
        }),
        (Across::Time, None) => f64::NAN,
    }
}

#[allow(clippy::cast_precision_loss, reason = "a drawing")]
fn height(values: &Values, i: usize) -> f64 {
    match values {
        Values::F64(v) => v.get(i).copied().unwrap_or(f64::NAN),
        Values::I64(v) => v.get(i).map_or(f64::NAN, |n| *n as f64),
        Values::Bool(v) => v.get(i).map_or(f64::NAN, |b| f64::from(u8::from(*b))),
        _ => f64::NAN,
    }
}
