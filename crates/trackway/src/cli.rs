//! The command line `trackway`: parse, run, exit code.

mod ask;
mod commands;
mod failure;
mod location;
mod open;
mod output;
mod plot;
mod progress;
mod resolve;
mod selection;
mod settings;
mod shape;
mod stop;
mod table;
mod talk;
mod text;
mod times;
mod which;
mod whole_file;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use commands::{Command, LogForm};
use failure::{Exit, Failure, Result};
use output::Output;
use settings::{GlobalArgs, Settings};
use talk::Talk;

/// Move, query and keep the experiments of machine learning teams.
#[derive(Debug, Parser)]
#[command(
    name = "trackway",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
#[command(after_help = "Examples:
  trackway import ./mlruns                     import an MLflow file store, with a receipt
  trackway import http://localhost:5000        import from a tracking server
  trackway runs                                list what is there
  trackway history RUN --plot                  look at its curves

Exit codes: 0 all well, 1 failed, 2 wrong usage, 3 finished but something was lost or failed,
4 not authorised, 5 not found, 6 refused, 7 a check found differences, 8 temporary, 130 interrupted")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) global: GlobalArgs,
    pub(crate) settings: Settings,
    pub(crate) out: Output,
    pub(crate) talk: Talk,
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(Talk::bug));
    std::panic::catch_unwind(invoke).unwrap_or(Exit::Failed.into())
}

fn invoke() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let exit = if e.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            // Nobody can be told that nobody listens.
            let _ = e.print();
            return exit.into();
        }
    };
    let early = Talk::new(
        &cli.global,
        cli.global.color.unwrap_or(settings::Color::Auto),
    );
    let (talk, done) = match start(cli) {
        Ok((mut shell, command)) => {
            let talk = shell.talk.clone();
            (talk, work(&mut shell, command))
        }
        Err(failure) => (early, Err(failure)),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            talk.failure(&failure);
            failure.exit().into()
        }
    }
}

fn start(cli: Cli) -> Result<(Shell, Command)> {
    let settings = Settings::read(&cli.global)?;
    let talk = Talk::new(&cli.global, settings.color);
    log(&cli.global, &cli.command);
    let out = Output::new(&cli.global, settings.color);
    Ok((
        Shell {
            global: cli.global,
            settings,
            out,
            talk,
        },
        cli.command,
    ))
}

fn work(shell: &mut Shell, command: Command) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::io("start the threads", &e))?;
    let done = runtime.block_on(Box::pin(command.run(shell)));
    // Reads that nobody waits for any more do not hold up the end.
    runtime.shutdown_background();
    let exit = done?;
    shell.out.flush()?;
    Ok(exit)
}

/// What libraries say, on standard error: nothing unless asked.
fn log(global: &GlobalArgs, command: &Command) {
    use tracing_subscriber::EnvFilter;
    let (verbose, form) = command.log(if global.quiet { 0 } else { global.verbose });
    let level = match verbose {
        0 => return,
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let ours = [
        "trackway",
        "tracker_model",
        "tracker_client",
        "tracker_http",
        "tracker_store",
        "tracker_server",
        "importer_core",
        "importer_mlflow",
    ];
    let filter = ours.map(|name| format!("{name}={level}")).join(",");
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr);
    match form {
        LogForm::Plain => log.without_time().init(),
        #[cfg(feature = "server")]
        LogForm::Timed => log.with_target(false).init(),
        #[cfg(feature = "server")]
        LogForm::Json => log.json().init(),
    }
}

/// The definition of the command line, for completions.
fn definition() -> clap::Command {
    Cli::command()
}

/// How the user calls this program, for hints: `trackway`, or through cargo.
pub(crate) fn program() -> &'static str {
    let through_cargo = std::env::var("CARGO_PKG_NAME")
        .is_ok_and(|name| name == env!("CARGO_PKG_NAME"))
        && std::env::var_os("CARGO_MANIFEST_DIR").is_some();
    match (through_cargo, cfg!(debug_assertions)) {
        (false, _) => "trackway",
        (true, true) => "cargo run --",
        (true, false) => "cargo run --release --",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{Cli, definition};

    #[test]
    fn the_command_line_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn every_command_is_understood() {
        for line in [
            "import ./mlruns --to x --namespace a/b --map a=b --experiment * --run 1 --since 7d --until 1d --limit 3 \
             --include points --include-deleted --jobs 2 --no-incremental --dry-run --verify values --strict \
             --report - --ledger l --artifacts-root r --restore-infinities --store s --json -q --no-progress",
            "check ./mlruns ./store --depth counts --jobs 2 --report x --exclude files,traces --no-artifacts -vv",
            "projects --entity e --include-deleted --from x --jsonl",
            "runs p --state failed --since 7d --until 1d --limit 2 --oldest-first --include-deleted --show name,user",
            "runs p --filter a --filter b --order -config.a --order +name --format markdown --limit 3",
            "runs p --count --state failed",
            "runs p --fields config.a,tags --format csv",
            "run r --from x --color never",
            "run show r --from x",
            "run rename r name",
            "run delete r s --yes",
            "run stop r",
            "compare a b c --section config --all --format latex",
            "compare a b --only-different --from x",
            "best p --metric m --goal min --filter x -n 3",
            "best --sweep p/s",
            "update r --set config.a=1 --rename summary.a=b --unset config.c --tag t --untag u --notes n \
             --name n --group g --job-type j --state failed --filter x --dry-run --yes",
            "sweeps p --format csv",
            "sweeps show p/s",
            "export history p --per-run -o d --filter x --order=-name --since 7d",
            "serve --listen 127.0.0.1:0 --public-url https://x.example --crash-after 60 --log-json --json",
            "user add ada --admin --api-key 12345678",
            "user add ada --new-key",
            "user ls",
            "user rm ada --yes",
            "user team vision ada --role viewer",
            "user team vision ada --remove",
            "files put r a b --root d",
            "files rm r *.png --yes",
            "history r -k a,b --all --stream system --min-step -5 --max-step 5 --from x",
            "history r --samples 10 --plot --log --x time --width 80 --height 9",
            "login http://localhost:8080 --api-key - --relogin",
            "filter --filter a=1 --order -a.b --order b --indices --lenient",
            "export runs p -o x.csv --format parquet --include-deleted",
            "export history p -k a --layout long --stream system -f jsonl",
            "files ls r *.csv",
            "files get r *.csv -o - --force",
            "artifacts ls p/a",
            "artifacts get p/a:v1 x -o d --force",
            "fsck ./store --read-data",
            "gc ./store --dry-run --grace 1h --staged-for 7d",
            "doctor http://localhost",
            "completions bash",
        ] {
            let words = std::iter::once("trackway").chain(line.split_whitespace());
            let parsed = Cli::try_parse_from(words);
            assert!(
                parsed.is_ok(),
                "{line}: {}",
                parsed.err().map(|e| e.to_string()).unwrap_or_default()
            );
        }
    }
}
