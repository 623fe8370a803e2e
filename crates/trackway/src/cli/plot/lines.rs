//! From histories to charts.

use std::{ops::RangeInclusive, path::Path};

use clap::{Args, ValueEnum};
use tracker_client::{
    HistoryRequest, Join, Run,
    chart::{Across, Chart, Line, short_number, svg},
};
use tracker_model::{HistoryStream, SeriesInfo, ValueKind};

use super::Look;
use crate::cli::{Shell, failure::Result, output::Output, text, whole_file::WholeFile};

/// Lines that one chart in a terminal can hold.
pub(crate) const MOST_LINES: usize = 6;

/// Points of each line of an SVG, two for each of its columns.
const SVG_POINTS: usize = 2000;

/// How a chart is drawn. A command has a group `drawn` of what makes it draw.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// A logarithmic vertical axis
    #[arg(long, requires = "drawn")]
    log: bool,
    /// What runs along the horizontal axis
    #[arg(long, value_enum, default_value_t = AcrossArg::Step, requires = "drawn")]
    x: AcrossArg,
    /// Columns of the chart [default: the width of the terminal]
    #[arg(long, value_name = "N", requires = "drawn", value_parser = clap::value_parser!(u16).range(20..))]
    width: Option<u16>,
    /// Lines of the chart
    #[arg(long, value_name = "N", requires = "drawn", default_value_t = 15, value_parser = clap::value_parser!(u16).range(3..=500))]
    height: u16,
}

/// What runs along the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AcrossArg {
    /// The step
    Step,
    /// The time since the first point
    Time,
}

impl LookArgs {
    /// An empty chart.
    pub(crate) fn chart(&self, title: &str) -> Chart {
        let across = match self.x {
            AcrossArg::Step => Across::Step,
            AcrossArg::Time => Across::Time,
        };
        Chart::new(title).with_across(across).with_log(self.log)
    }

    /// How it looks on this terminal.
    pub(crate) fn look(&self, out: &Output) -> Look {
        Look {
            width: self.columns(out),
            height: self.height.into(),
            colour: out.colour,
        }
    }

    /// Points of each line that fill the chart.
    pub(crate) fn samples(&self, out: &Output, as_svg: bool) -> usize {
        if as_svg {
            SVG_POINTS
        } else {
            (self.columns(out) * 4).max(500)
        }
    }

    fn columns(&self, out: &Output) -> usize {
        self.width.map_or(out.width.min(120), usize::from)
    }
}

/// Which points of a series are read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// At most so many.
    pub(crate) samples: usize,
    /// Of which history.
    pub(crate) stream: HistoryStream,
    /// With steps in this range.
    pub(crate) steps: Option<RangeInclusive<i64>>,
}

/// Whether a series has something to draw.
pub(crate) fn has_numbers(info: &SeriesInfo) -> bool {
    info.kinds.contains(ValueKind::F64) || info.kinds.contains(ValueKind::I64)
}

/// Reads the line of a series of a run for a chart.
pub(crate) async fn line(
    run: &Run,
    name: &str,
    info: &SeriesInfo,
    chart: &Chart,
    reading: &Reading,
) -> Result<Line> {
    let mut request = HistoryRequest::new()
        .with_samples(reading.samples)
        .with_stream(reading.stream)
        .with_keys([info.key.clone()])
        .with_join(Join::Inner);
    request.steps.clone_from(&reading.steps);
    if let Across::Series(x) = &chart.across {
        request = request.with_x_axis(x.clone());
    }
    let rows = run.history(request).await?.rows;
    let line = Line::of_rows(name, &info.key, &rows, &chart.across);
    let about = about(info, &line, chart.log);
    Ok(line.with_about(about))
}

fn about(info: &SeriesInfo, line: &Line, log: bool) -> String {
    let mut about = vec![text::count(info.count, "point")];
    let last = info.last.as_ref().and_then(|v| v.to_json().as_f64());
    about.extend(last.map(|x| format!("last {}", short_number(x))));
    let range = info.range;
    about.extend(
        range.map(|(low, high)| format!("{} to {}", short_number(low), short_number(high))),
    );
    let mut heights = line.points.iter().map(|(_, y)| *y);
    if heights.any(|y| !y.is_finite() || (log && y <= 0.0)) {
        let gaps = if log {
            "gaps where not above 0"
        } else {
            "gaps where not finite"
        };
        about.push(gaps.to_owned());
    }
    about.join(", ")
}

/// Writes charts into an SVG file, or to standard output for `-`.
pub(crate) fn write_svg(shell: &mut Shell, path: &Path, charts: &[Chart]) -> Result<()> {
    use std::io::Write as _;
    let drawing = svg(charts);
    if path == Path::new("-") {
        return shell.out.text(drawing);
    }
    let file = WholeFile::new(path)?;
    let mut to = file.writer()?;
    to.write_all(drawing.as_bytes())
        .and_then(|()| to.flush())
        .map_err(|e| file.failed(&e))?;
    drop(to);
    file.end()
}
