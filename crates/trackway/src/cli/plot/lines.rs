//! From histories to charts.

use std::{collections::BTreeSet, path::Path};

use clap::{Args, ValueEnum};
use tracker_client::{
    Run,
    chart::{Across, Chart, Reading, has_numbers, line, svg},
};
use tracker_model::{HistoryStream, SeriesInfo, SeriesKey};

use super::{Look, drawn};
use crate::cli::{
    Shell,
    failure::{Failure, Result},
    output::Output,
    text,
    whole_file::WholeFile,
};

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
    fn look(&self, out: &Output) -> Look {
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

/// A chart of one series of several runs: a line for each run that has numbers there, under these
/// names.
pub(crate) async fn runs_of_key(
    shell: &Shell,
    runs: &[(String, Run)],
    key: &str,
    args: &LookArgs,
    as_svg: bool,
) -> Result<Chart> {
    let reading = Reading {
        samples: args.samples(&shell.out, as_svg),
        stream: HistoryStream::Metrics,
        steps: None,
    };
    let mut chart = args.chart(key);
    let mut others = BTreeSet::new();
    for (name, run) in runs {
        let series = run.series(reading.stream).await?;
        let mine = |info: &&SeriesInfo| info.key.as_str() == key && has_numbers(info);
        if let Some(info) = series.iter().find(mine) {
            let line = line(run, name, info, &chart, &reading).await?;
            chart = chart.with_line(line);
        } else {
            let (name, key) = (text::one_line(name), text::one_line(key));
            shell.talk.note(format!("{name} has no numbers in {key:?}"));
            others.extend(series.into_iter().filter(has_numbers).map(|s| s.key));
        }
    }
    if chart.lines.is_empty() {
        let near = text::nearest(key, others.iter().map(SeriesKey::as_str));
        let message = format!("no run has numbers in {:?}", text::one_line(key));
        return Err(Failure::not_found(message).with_hint_if(text::did_you_mean(&near)));
    }
    Ok(chart)
}

/// Prints a chart in the terminal.
pub(crate) fn print(shell: &mut Shell, chart: &Chart, args: &LookArgs) -> Result<()> {
    let look = args.look(&shell.out);
    for text in drawn(chart, &look) {
        shell.out.line(text)?;
    }
    Ok(())
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
