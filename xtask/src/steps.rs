//! Work in steps, each with its time; the first that fails is the last.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

/// The steps so far.
#[derive(Debug)]
pub(crate) struct Steps {
    start: Instant,
    done: usize,
    skipped: Vec<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            done: 0,
            skipped: Vec::new(),
        }
    }

    /// Does a step.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("== {name}");
        let start = Instant::now();
        let result = work().with_context(|| format!("{name} failed after {}", seconds(start)))?;
        eprintln!("== {name}: ok, {}", seconds(start));
        self.done += 1;
        Ok(result)
    }

    /// Does a step that is a program.
    pub(crate) fn command(&mut self, name: &str, command: &mut Command) -> Result<()> {
        self.step(name, || run(command))
    }

    /// Leaves a step out and says so, now and at the end. Where everything has to be checked, this is a failure.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) -> Result<()> {
        ensure!(!in_ci(), "{name} cannot be left out here: {reason}");
        eprintln!("== {name}: SKIPPED: {reason}");
        self.skipped.push(format!("{name} ({reason})"));
        Ok(())
    }

    /// The last line, and the exit code.
    pub(crate) fn finish(self, result: Result<()>) -> ExitCode {
        for skipped in &self.skipped {
            eprintln!("== SKIPPED: {skipped}");
        }
        let time = seconds(self.start);
        match result {
            Ok(()) => {
                eprintln!(
                    "== all {} steps ok, {} skipped, {time}",
                    self.done,
                    self.skipped.len()
                );
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("== FAILED after {} steps, {time}: {error:#}", self.done);
                ExitCode::FAILURE
            }
        }
    }
}

fn seconds(start: Instant) -> String {
    format!("{:.1} s", start.elapsed().as_secs_f64())
}

/// Whether this is the run that decides about a change, in which nothing may be left out.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// The cargo that runs us, in the project's folder.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // An error that a test returns is told in words; only a panic has to say where it was.
    command
        .current_dir(root())
        .args(args)
        .env("RUST_LIB_BACKTRACE", "0");
    command
}

/// The project's folder.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Runs a program in sight of the user.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start {command:?}"))?;
    ensure!(status.success(), "{}: {status}", line(command));
    Ok(())
}

/// What a program prints on standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{}: {}",
        line(command),
        output.status
    );
    String::from_utf8(output.stdout).with_context(|| format!("{}: not UTF-8", line(command)))
}

/// A command as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let words = [program].into_iter().chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
