//! The commands, a module each.

mod artifacts;
mod best;
mod check;
mod compare;
mod completions;
mod doctor;
mod export;
mod files;
mod filter;
mod fsck;
mod gc;
mod history;
mod import;
mod login;
mod projects;
mod run;
mod runs;
#[cfg(feature = "server")]
mod serve;
mod sweeps;
mod update;
#[cfg(feature = "server")]
mod user;

use clap::Subcommand;

use super::{
    Shell,
    failure::{Exit, Result},
};

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogForm {
    /// For somebody who looks at one invocation.
    Plain,
    /// For something that runs for long.
    #[cfg(feature = "server")]
    Timed,
    /// For programs.
    #[cfg(feature = "server")]
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Copy runs into a store, and prove that all of them arrived
    Import(import::ImportArgs),
    /// Compare a source with a store, without writing
    Check(check::CheckArgs),
    /// List projects
    Projects(projects::ProjectsArgs),
    /// List runs
    Runs(runs::RunsArgs),
    /// Show, rename, stop or delete runs
    Run(run::RunArgs),
    /// Put runs side by side: config and summary
    Compare(compare::CompareArgs),
    /// Find the best runs of a project or a sweep
    Best(best::BestArgs),
    /// Change what is said of runs: config, summary, tags, notes, names
    Update(update::UpdateArgs),
    /// List sweeps, or show one
    Sweeps(sweeps::SweepsArgs),
    /// Print or draw the history of a run
    History(history::HistoryArgs),
    /// Pick and sort lines of JSON on standard input by filters and orders
    Filter(filter::FilterArgs),
    /// Write runs or histories to a file: csv, jsonl, parquet
    Export(export::ExportArgs),
    /// List or get the files of a run
    Files(files::FilesArgs),
    /// List or get artifacts: models, traces, datasets
    Artifacts(artifacts::ArtifactsArgs),
    /// Keep the key for a W&B server, after asking the server whose it is
    Login(login::LoginArgs),
    /// Serve a store: programs log to it and read from it with the wandb SDK
    #[cfg(feature = "server")]
    Serve(serve::ServeArgs),
    /// Say who may use a server
    #[cfg(feature = "server")]
    User(user::UserArgs),
    /// Look for damage in a store
    Fsck(fsck::FsckArgs),
    /// Remove from a store what nothing uses any more
    Gc(gc::GcArgs),
    /// Look for what may be wrong with this machine, the store or a source
    Doctor(doctor::DoctorArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// What libraries say is told from this verbosity on, and how: a server keeps a log.
    pub(crate) fn log(&self, verbose: u8) -> (u8, LogForm) {
        match self {
            #[cfg(feature = "server")]
            Self::Serve(args) if args.log_json => (verbose + 1, LogForm::Json),
            #[cfg(feature = "server")]
            Self::Serve(_) => (verbose + 1, LogForm::Timed),
            _ => (verbose, LogForm::Plain),
        }
    }

    /// Does it.
    pub(crate) async fn run(self, shell: &mut Shell) -> Result<Exit> {
        match self {
            Self::Import(args) => import::run(shell, args).await,
            Self::Check(args) => check::run(shell, args).await,
            Self::Projects(args) => projects::run(shell, args).await,
            Self::Runs(args) => runs::run(shell, args).await,
            Self::Run(args) => run::run(shell, args).await,
            Self::Compare(args) => compare::run(shell, args).await,
            Self::Best(args) => best::run(shell, args).await,
            Self::Update(args) => update::run(shell, args).await,
            Self::Sweeps(args) => sweeps::run(shell, args).await,
            Self::History(args) => history::run(shell, args).await,
            Self::Filter(args) => filter::run(shell, &args),
            Self::Export(args) => export::run(shell, args).await,
            Self::Files(args) => files::run(shell, args).await,
            Self::Artifacts(args) => artifacts::run(shell, args).await,
            Self::Login(args) => Box::pin(login::run(shell, args)).await,
            #[cfg(feature = "server")]
            Self::Serve(args) => Box::pin(serve::run(shell, args)).await,
            #[cfg(feature = "server")]
            Self::User(args) => user::run(shell, args).await,
            Self::Fsck(args) => fsck::run(shell, args).await,
            Self::Gc(args) => gc::run(shell, args).await,
            Self::Doctor(args) => doctor::run(shell, args).await,
            Self::Completions(args) => completions::run(shell, &args),
        }
    }
}
