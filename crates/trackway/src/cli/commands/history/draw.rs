use std::path::{Path, PathBuf};

use clap::Args;
use tracker_client::{
    Run,
    chart::{Across, Chart},
};
use tracker_model::SeriesInfo;

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    plot::{self, LookArgs, MOST_LINES, Reading},
    whole_file,
};

/// Charts that are drawn unless keys are named.
const MOST_CHARTS: usize = 12;
/// Lines that one chart of an SVG can hold.
const MOST_SVG_LINES: usize = 40;

/// What is drawn, and how.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("drawn").args(["plot", "svg"]).multiple(true))]
pub(crate) struct PlotArgs {
    /// Draw line charts: those of --keys together in one, otherwise one for each series
    #[arg(long, short)]
    plot: bool,
    /// Draw the charts into this SVG file, `-` for standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    look: LookArgs,
}

impl PlotArgs {
    /// Whether anything is drawn.
    pub(super) fn drawn(&self) -> bool {
        self.plot || self.svg.is_some()
    }

    /// How many points of each series are read.
    pub(super) fn samples(&self, shell: &Shell) -> usize {
        self.look.samples(&shell.out, self.svg.is_some())
    }
}

/// Draws these series; `named`: the user chose them. `across` goes before what `args` say of it.
pub(super) async fn run(
    shell: &mut Shell,
    run: &Run,
    (mut series, named): (Vec<SeriesInfo>, bool),
    across: Option<Across>,
    reading: &Reading,
    args: &PlotArgs,
) -> Result<Exit> {
    if let Some(path) = args.svg.as_deref().filter(|path| *path != Path::new("-")) {
        whole_file::check(path)?;
    }
    if !named {
        series.retain(|s| across != Some(Across::Series(s.key.clone())));
    }
    let others = series.iter().filter(|s| !plot::has_numbers(s)).count();
    series.retain(plot::has_numbers);
    if others > 0 {
        shell.talk.note(format!(
            "{others} series of other values than numbers are not drawn"
        ));
    }
    if series.is_empty() {
        return Err(Failure::not_found(format!(
            "run {} has no numbers to draw",
            run.path()
        )));
    }
    let most = if args.plot {
        MOST_LINES
    } else {
        MOST_SVG_LINES
    };
    if named && series.len() > most {
        shell.talk.note(format!(
            "{} series are more than one chart can hold: one chart for each",
            series.len()
        ));
    }
    let together = named && series.len() <= most;
    if !together && series.len() > MOST_CHARTS {
        let more = series.len() - MOST_CHARTS;
        shell.talk.note(format!(
            "the first {MOST_CHARTS} series are drawn; --keys chooses among the other {more}"
        ));
        series.truncate(MOST_CHARTS);
    }
    let mut charts: Vec<Chart> = Vec::new();
    for part in series.chunks(if together { series.len() } else { 1 }) {
        let mut chart = args.look.chart(run.name());
        if let Some(across) = &across {
            chart = chart.with_across(across.clone());
        }
        for info in part {
            let line = plot::line(run, info.key.as_str(), info, &chart, reading).await?;
            chart = chart.with_line(line);
        }
        charts.push(chart);
    }
    if args.plot {
        for (i, chart) in charts.iter().enumerate() {
            if i > 0 {
                shell.out.line("")?;
            }
            plot::print(shell, chart, &args.look)?;
        }
    }
    if let Some(path) = &args.svg {
        plot::write_svg(shell, path, &charts)?;
    }
    Ok(Exit::Ok)
}
