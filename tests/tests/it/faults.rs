//! What goes wrong at sources and on disks: each gets one clear line, the right exit code and its
//! place in the receipt, the rest arrives, and nothing is written outside the store.

mod disk;
mod places;
mod server;
mod torn;

use std::{collections::BTreeSet, ffi::OsStr, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    cli::Trackway,
    digest::walk,
    mlruns::Shape,
    stand_in::{Answer, Call, StandIn},
};

use crate::trackway;

/// A few runs of everything.
const SMALL: Shape = Shape {
    runs: 6,
    metrics: 2,
    points: 50,
    files: 3,
};

/// An import that went wrong.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    said: String,
    receipt: Option<Value>,
}

/// Imports into a new store, without patience for servers that are down.
fn import(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Outcome> {
    import_into(&trackway()?, args)
}

fn import_into(
    trackway: &Trackway,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Outcome> {
    let receipt = trackway.scratch().join("receipt.json");
    let mut command = trackway.command(["import"]);
    command
        .args(args)
        .arg("--report")
        .arg(&receipt)
        .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        .env("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0");
    let before = around(trackway)?;
    let output = command.output().context("start trackway")?;
    let outcome = Outcome {
        code: output.status.code(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
        receipt: fs::read(&receipt)
            .ok()
            .map(|text| serde_json::from_slice(&text))
            .transpose()?,
    };
    ensure!(!outcome.said.contains("panicked"), "{outcome:?}");
    ensure!(
        outcome.code.is_some(),
        "ended by a signal: {}\n{}",
        output.status,
        outcome.said
    );
    let mut after = around(trackway)?;
    after.remove(&receipt);
    ensure!(
        before == after,
        "written outside of the store: {:?}",
        after.symmetric_difference(&before)
    );
    Ok(outcome)
}

/// A server that answers some calls in its own way.
fn server(fault: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static) -> Result<StandIn> {
    StandIn::with(SMALL, std::time::Duration::ZERO, fault)
}

/// Everything beside the store.
fn around(trackway: &Trackway) -> Result<BTreeSet<PathBuf>> {
    let mut found = walk(trackway.scratch())?;
    found.retain(|path| !path.starts_with(trackway.store()));
    Ok(found.into_iter().collect())
}

impl Outcome {
    /// The whole import ended with one line and a hint.
    fn refused(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(
            self.code == Some(code),
            "not exit code {code} but {:?}: {}",
            self.code,
            self.said
        );
        let lines: Vec<&str> = self.said.lines().collect();
        let errors = lines.iter().filter(|line| line.starts_with("error: "));
        ensure!(errors.count() == 1, "not one line: {}", self.said);
        ensure!(
            lines.iter().any(|line| line.starts_with("hint: ")),
            "no hint: {}",
            self.said
        );
        self.says(words)
    }

    /// The import went on to its end, and tells what it had to leave.
    fn went_on(&self, code: i32) -> Result<&Value> {
        ensure!(
            self.code == Some(code),
            "not exit code {code} but {:?}: {}",
            self.code,
            self.said
        );
        let receipt = self.receipt.as_ref().context("no receipt")?;
        ensure!(receipt["complete"] == true, "{receipt:#}");
        for (kind, bucket) in receipt["totals"].as_object().context("no totals")? {
            let count = |name: &str| bucket[name].as_u64().unwrap_or_default();
            let names = ["identical", "normalised", "lost", "unreadable", "skipped"];
            let sum: u64 = names.iter().map(|name| count(name)).sum();
            ensure!(sum == count("source"), "{kind} does not add up: {bucket}");
        }
        Ok(receipt)
    }

    fn says(&self, words: &[&str]) -> Result<()> {
        for word in words {
            ensure!(
                self.said.contains(word),
                "nothing of {word:?}: {}",
                self.said
            );
        }
        Ok(())
    }
}

/// How many runs of a receipt have a status.
fn runs_that_are(receipt: &Value, statuses: &[&str]) -> usize {
    let runs = receipt["runs"].as_array().into_iter().flatten();
    runs.filter(|run| statuses.iter().any(|status| run["status"] == *status))
        .count()
}

/// How many of a kind ended in a bucket.
fn total(receipt: &Value, kind: &str, bucket: &str) -> u64 {
    receipt["totals"][kind][bucket].as_u64().unwrap_or_default()
}

/// Whether the receipt speaks of something, as a loss or as a failure, with a reason.
fn tells(receipt: &Value, words: &[&str]) -> bool {
    let part = |name: &str| receipt[name].as_array().into_iter().flatten();
    part("losses")
        .chain(part("failures"))
        .map(Value::to_string)
        .any(|text| words.iter().all(|word| text.contains(word)))
}
