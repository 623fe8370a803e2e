//! The built `trackway`, run against a store of its own.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// An empty embedded store and the program to work on it.
#[derive(Debug)]
pub struct Trackway {
    program: PathBuf,
    folder: TempDir,
}

impl Trackway {
    /// A store in a temporary folder, for the program at a path.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn at(program: &str) -> Result<Self> {
        Ok(Self {
            program: program.into(),
            folder: TempDir::new()?,
        })
    }

    /// The store's folder.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A folder for whatever belongs to the test.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The program with some arguments, with nothing of the caller's settings.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if ["TRACKWAY_", "MLFLOW_", "WANDB_", "DATABRICKS_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(&name);
            }
        }
        command
            .env("TRACKWAY_HOME", self.store())
            .env("HOME", self.folder.path())
            .env("NO_COLOR", "1");
        command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn output(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
        self.command(args).output().context("start trackway")
    }

    /// What it prints.
    ///
    /// # Errors
    /// It does not succeed.
    pub fn stdout(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
        let mut command = self.command(args);
        let output = command.output().context("start trackway")?;
        ensure!(
            output.status.success(),
            "{command:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).context("trackway prints UTF-8")
    }

    /// Imports and returns the receipt. `expected` is the exit code.
    ///
    /// # Errors
    /// It exits otherwise, or leaves no receipt.
    pub fn import(
        &self,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        expected: i32,
    ) -> Result<Value> {
        let receipt = self.folder.path().join("receipt.json");
        let mut command = self.command(["import"]);
        command.args(args).arg("--report").arg(&receipt);
        let output = command.output().context("start trackway")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(expected),
            "{command:?}: {}, expected {expected}\n{said}",
            output.status
        );
        let text = fs::read(&receipt)
            .with_context(|| format!("read the receipt; trackway said\n{said}"))?;
        serde_json::from_slice(&text).context("understand the receipt")
    }
}
