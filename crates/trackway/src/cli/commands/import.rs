mod next;
mod summary;

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};
use importer_core::{ImportOptions, Ledger, Receipt, TrackerSink, VerifyDepth, import};

use crate::cli::{
    Shell,
    failure::{Exit, Result},
    open::{self, SourceArgs, Target},
    progress::Progress,
    selection::{PlaceArgs, SelectionArgs},
    stop, whole_file,
};

/// What to import, and how.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway import ./mlruns
  trackway import sqlite:///mlflow.db --experiment 'vision-*' --since 30d
  trackway import https://mlflow.example.org --map '*=team/*' --jobs 16 --report receipt.json
  trackway import databricks://prod --dry-run
  trackway import wandb+https://track.example.org/team

A repeat reads only what is new. Logins come from where MLflow's own client takes them:
MLFLOW_TRACKING_USERNAME, _PASSWORD, _TOKEN, ~/.mlflow/credentials, ~/.netrc, ~/.databrickscfg.")]
pub(crate) struct ImportArgs {
    /// ./mlruns, sqlite:///mlflow.db, http://HOST:PORT, databricks://PROFILE, wandb+http://HOST:PORT, local:DIR
    #[arg(value_name = "SRC")]
    source: String,
    /// The store to import into, a folder [default: the embedded store]
    #[arg(long, value_name = "DST")]
    to: Option<String>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    from: SourceArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How")]
struct HowArgs {
    /// Runs that are worked on at once
    #[arg(
        long,
        short,
        value_name = "N",
        env = "TRACKWAY_JOBS",
        hide_env_values = true
    )]
    jobs: Option<NonZeroUsize>,
    /// Read everything again, what has not changed too
    #[arg(long)]
    no_incremental: bool,
    /// Write nothing, and say what would be done
    #[arg(long)]
    dry_run: bool,
    /// How what arrived is proved: counts, digest, values
    #[arg(long, value_enum, value_name = "DEPTH", hide_possible_values = true, default_value_t = DepthArg::Digest)]
    verify: DepthArg,
    /// Exit with 3 for data that the store cannot hold, too
    #[arg(long)]
    strict: bool,
    /// Write the receipt as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where to remember what was imported [default: ledger.db in the store]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    ledger: Option<PathBuf>,
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DepthArg {
    /// Numbers of points and files
    Counts,
    /// Every point, parameter and tag, by digests
    Digest,
    /// The bytes of files are read back too
    Values,
}

pub(super) async fn run(shell: &mut Shell, args: ImportArgs) -> Result<Exit> {
    let selection = args.selection.selection()?;
    let (namespace, map) = args.place.place(&shell.settings)?;
    if let Some(report) = args
        .how
        .report
        .as_deref()
        .filter(|path| path.as_os_str() != "-")
    {
        whole_file::check(report)?;
    }
    let mut options = ImportOptions::default();
    (options.namespace, options.map) = (namespace, map);
    options.jobs = args
        .how
        .jobs
        .or(shell.settings.jobs)
        .map_or(options.jobs, NonZeroUsize::get);
    options.incremental = !args.how.no_incremental;
    options.dry_run = args.how.dry_run;
    options.verify = match args.how.verify {
        DepthArg::Counts => VerifyDepth::Counts,
        DepthArg::Digest => VerifyDepth::Digest,
        DepthArg::Values => VerifyDepth::Values,
    };

    let progress = Arc::new(Progress::new(shell));
    let cancel = options.cancel.clone();
    let work = {
        let (shell, progress, stopped) = (&*shell, Arc::clone(&progress), cancel.clone());
        Box::pin(async move {
            let dir = open::target_dir(shell, args.to.as_deref())?;
            let opening = open::source(&args.source, &args.from, &progress);
            let (source, location) = stop::or_stop(&stopped, opening).await?;
            open::refuse_same(&location, &dir)?;
            let target = Target::open(&dir, args.how.dry_run, args.how.ledger.as_deref()).await?;
            let sink = Arc::new(TrackerSink::new(target.tracker));
            let ledger: Arc<dyn Ledger> = target.ledger;
            let asked = Arc::clone(&source);
            let receipt = import(source, sink, ledger, selection, options, progress).await?;
            if receipt.complete {
                args.selection
                    .nothing_found(&*asked, &receipt.totals)
                    .await?;
            }
            Ok((receipt, dir))
        })
    };
    let done: Result<(Receipt, PathBuf)> = stop::work(&shell.talk, &cancel, work).await?;
    progress.end();
    let (receipt, dir) = done?;
    if let Some(report) = &args.how.report {
        whole_file::write_json(report, &receipt, &mut shell.out)?;
    }
    if shell.out.is_json()
        && args
            .how
            .report
            .as_deref()
            .is_none_or(|path| path.as_os_str() != "-")
    {
        shell.out.document(&receipt)?;
    }
    let exit = exit_of(&receipt, args.how.strict, cancel.is_cancelled());
    if shell.talk.is_quiet() && exit != Exit::Ok {
        shell.talk.failure(&summary::verdict(&receipt, exit));
    }
    summary::print(&shell.talk, &receipt);
    next::print(shell, &receipt, &dir, exit);
    Ok(exit)
}

/// What the receipt means for a script.
fn exit_of(receipt: &Receipt, strict: bool, cancelled: bool) -> Exit {
    let any = |count: fn(&importer_core::Bucket) -> u64| {
        receipt.totals.iter().any(|(_, bucket)| count(&bucket) > 0)
    };
    match receipt.complete {
        false if cancelled => Exit::Interrupted,
        false => Exit::Failed,
        true if !receipt.failures.is_empty() || any(|b| b.unreadable) => Exit::Partial,
        true if strict && any(|b| b.lost) => Exit::Partial,
        true => Exit::Ok,
    }
}
