use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use clap::Args;
use console::Style;
use importer_core::{CheckDepth, CheckOptions, CheckReport, RunCheck, TrackerSink, Verdict, check};

use crate::cli::{
    Shell,
    failure::{Exit, Result},
    open::{self, SourceArgs, Target},
    output::Format,
    progress::Progress,
    selection::{PlaceArgs, SelectionArgs},
    stop,
    text::{count, duration, one_line, shortened, thousands},
    whole_file,
};

use super::import::DepthArg;

/// Differences of one run that are told; the report has all.
const MOST_DIFFERENCES: usize = 10;

/// What to compare, and how closely.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway check ./mlruns                      is all of it in the store, unchanged?
  trackway check sqlite:///mlflow.db ./store --depth values
  trackway check http://localhost:5000 --experiment vision --report check.json

A line for each run that is not the same: * differs, + is missing in the store, - is only there,
! could not be read. Exit code 7 if there is one.")]
pub(crate) struct CheckArgs {
    /// The source, as for `import`
    #[arg(value_name = "SRC")]
    source: String,
    /// The store, a folder [default: the embedded store]
    #[arg(value_name = "DST")]
    target: Option<String>,
    /// How closely to look: counts, digest, values
    #[arg(long, value_enum, value_name = "DEPTH", hide_possible_values = true, default_value_t = DepthArg::Digest)]
    depth: DepthArg,
    /// Runs that are looked at at once
    #[arg(
        long,
        short,
        value_name = "N",
        env = "TRACKWAY_JOBS",
        hide_env_values = true
    )]
    jobs: Option<NonZeroUsize>,
    /// Write the report as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where imports were remembered [default: ledger.db in the store]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    ledger: Option<PathBuf>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    from: SourceArgs,
}

pub(super) async fn run(shell: &mut Shell, args: CheckArgs) -> Result<Exit> {
    let selection = args.selection.selection()?;
    if let Some(report) = args
        .report
        .as_deref()
        .filter(|path| path.as_os_str() != "-")
    {
        whole_file::check(report)?;
    }
    let mut options = CheckOptions::default();
    (options.namespace, options.map) = args.place.place(&shell.settings)?;
    options.jobs = args
        .jobs
        .or(shell.settings.jobs)
        .map_or(options.jobs, NonZeroUsize::get);
    options.depth = match args.depth {
        DepthArg::Counts => CheckDepth::Counts,
        DepthArg::Digest => CheckDepth::Digest,
        DepthArg::Values => CheckDepth::Values,
    };
    let progress = Arc::new(Progress::new(shell));
    let cancel = options.cancel.clone();
    let work = {
        let (shell, progress, stopped) = (&*shell, Arc::clone(&progress), cancel.clone());
        Box::pin(async move {
            let dir = open::target_dir(shell, args.target.as_deref())?;
            let target = Target::open_existing(&dir, args.ledger.as_deref()).await?;
            let opening = open::source(&args.source, &args.from, &progress);
            let (source, location) = stop::or_stop(&stopped, opening).await?;
            open::refuse_same(&location, &dir)?;
            let sink = Arc::new(TrackerSink::new(target.tracker));
            Ok(check(source, sink, target.ledger, selection, options, progress).await?)
        })
    };
    let done: Result<CheckReport> = stop::work(&shell.talk, &cancel, work).await?;
    progress.end();
    let report = done?;
    if let Some(path) = &args.report {
        whole_file::write_json(path, &report, &mut shell.out)?;
    }
    let to_stdout = args
        .report
        .as_deref()
        .is_some_and(|path| path.as_os_str() == "-");
    print(shell, &report, to_stdout)?;
    Ok(match report.complete {
        false => Exit::Interrupted,
        true if report.is_same() => Exit::Ok,
        true => Exit::Differs,
    })
}

fn print(shell: &mut Shell, report: &CheckReport, printed: bool) -> Result<()> {
    let format = shell.out.format;
    if !printed && format == Format::Json {
        shell.out.document(report)?;
    }
    for line in report
        .runs
        .iter()
        .chain(&report.artifacts)
        .filter(|line| line.verdict != Verdict::Same)
    {
        match format {
            _ if printed => {}
            Format::Json => {}
            Format::Jsonl => shell.out.document(line)?,
            _ => told(shell, line)?,
        }
    }
    let talk = &shell.talk;
    for failure in &report.failures {
        talk.warn(format!(
            "{}: {}",
            one_line(&failure.run),
            one_line(&failure.error)
        ));
        if let Some(hint) = &failure.hint {
            talk.note(format!("hint: {}", one_line(hint)));
        }
    }
    let said: Vec<_> = report
        .totals
        .iter()
        .map(|(verdict, n)| {
            let word = match verdict {
                Verdict::Same => "the same",
                Verdict::Differs => "different",
                Verdict::Missing => "missing in the store",
                Verdict::OnlyInTarget => "only in the store",
                Verdict::Unreadable => "unreadable",
            };
            format!("{} {word}", thousands(*n))
        })
        .collect();
    let runs = if said.is_empty() {
        "no runs".to_owned()
    } else {
        format!("runs: {}", said.join(", "))
    };
    let artifacts = match report.artifacts.len() as u64 {
        0 => String::new(),
        n => format!("; {} not the same", count(n, "artifact")),
    };
    let ms = report
        .finished_at
        .as_millis()
        .saturating_sub(report.started_at.as_millis());
    let stopped = if report.complete {
        ""
    } else {
        "; stopped before the end"
    };
    talk.note(format!("{runs}{artifacts}; {}{stopped}", duration(ms)));
    Ok(())
}

fn told(shell: &mut Shell, line: &RunCheck) -> Result<()> {
    let place = if line.target.is_empty() {
        &line.source_id
    } else {
        &line.target
    };
    let sign = Style::new()
        .bold()
        .force_styling(shell.out.colour)
        .apply_to(line.verdict.sign());
    shell.out.line(format!("{sign} {}", one_line(place)))?;
    for difference in line.differences.iter().take(MOST_DIFFERENCES) {
        let side = |text: &Option<String>| {
            text.as_deref()
                .map_or_else(|| "nothing".to_owned(), |t| shortened(&one_line(t), 60))
        };
        shell.out.line(format!(
            "    {}: {} at the source, {} in the store",
            one_line(&difference.what),
            side(&difference.source),
            side(&difference.target)
        ))?;
    }
    let more = line.differences.len().saturating_sub(MOST_DIFFERENCES);
    if more > 0 {
        shell
            .out
            .line(format!("    and {more} more; --report FILE has all"))?;
    }
    Ok(())
}
