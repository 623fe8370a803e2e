//! Whole invocations of the program.

use std::{env, ffi::OsStr, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::process::{Cost, measure};

/// The built program.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
}

/// A store in a folder of its own, and the imports into it.
#[derive(Debug)]
pub(super) struct Target<'a> {
    program: &'a Program,
    folder: TempDir,
}

impl Program {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// A new store.
    pub(super) fn target(&self) -> Result<Target<'_>> {
        Ok(Target {
            program: self,
            folder: TempDir::with_prefix("trackway-bench-")?,
        })
    }
}

impl Target<'_> {
    /// Imports, and makes sure that as many points arrived as there are.
    pub(super) fn import(
        &self,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        points: u64,
    ) -> Result<Cost> {
        let (cost, receipt) = self.run(args)?;
        let arrived = runs(&receipt)?
            .iter()
            .map(|run| run["checksums"]["points"].as_u64())
            .sum::<Option<u64>>()
            .context("a run without checksums: nothing was verified")?;
        ensure!(
            arrived == points,
            "{arrived} points arrived, {points} are there"
        );
        Ok(cost)
    }

    /// Imports once more, and makes sure that nothing was found to be new.
    pub(super) fn repeat(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Cost> {
        let (cost, receipt) = self.run(args)?;
        for run in runs(&receipt)? {
            ensure!(
                run["status"] == "unchanged",
                "a run that has not changed is {}",
                run["status"]
            );
        }
        Ok(cost)
    }

    fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<(Cost, Value)> {
        let receipt = self.folder.path().join("receipt.json");
        let mut command = Command::new(&self.program.path);
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if ["TRACKWAY_", "MLFLOW_"].iter().any(|p| text.starts_with(p)) {
                command.env_remove(&name);
            }
        }
        command
            .arg("import")
            .args(args)
            .arg("--report")
            .arg(&receipt)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("TRACKWAY_HOME", self.folder.path().join("store"));
        let (cost, _) = measure(&mut command)?;
        let receipt = fs::read(&receipt).context("read the receipt")?;
        Ok((cost, serde_json::from_slice(&receipt)?))
    }
}

fn runs(receipt: &Value) -> Result<&Vec<Value>> {
    receipt["runs"].as_array().context("a receipt without runs")
}
