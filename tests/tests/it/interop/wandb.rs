//! The W&B SDK as it comes from PyPI: it logs to our server, reads everything back and compares;
//! then the command line reads the same store.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    cli::{Serving, Trackway},
    peers::{Peers, Python, Wandb},
};

use crate::trackway;

/// Logs, reads, compares. Arguments: what to do, and the file for what was logged.
const SESSION: &str = include_str!("../../../peers/wandb_session.py");

/// Logs artifacts, reads, links, edits and deletes them, and prints what it saw.
const ARTIFACTS: &str = include_str!("../../../peers/wandb_artifacts.py");
/// What every SDK has to see.
const ARTIFACTS_SEEN: &str = include_str!("../../../peers/wandb_artifacts.json");

#[test]
#[ignore = "needs the W&B SDK: cargo xtask interop"]
fn wandb31_artifacts() -> Result<()> {
    artifacts(Wandb::V0_31)
}

#[test]
#[ignore = "needs the W&B SDK: cargo xtask interop"]
fn wandb28_artifacts() -> Result<()> {
    artifacts(Wandb::V0_28)
}

#[test]
#[ignore = "needs the W&B SDK: cargo xtask interop"]
fn wandb21_artifacts() -> Result<()> {
    artifacts(Wandb::V0_21)
}

#[test]
#[ignore = "needs the W&B SDK: cargo xtask interop"]
fn wandb31_session() -> Result<()> {
    session(Wandb::V0_31)
}

#[test]
#[ignore = "needs the W&B SDK: cargo xtask interop"]
fn wandb28_session() -> Result<()> {
    session(Wandb::V0_28)
}

#[test]
#[ignore = "needs the W&B SDK: cargo xtask interop"]
fn wandb21_session() -> Result<()> {
    session(Wandb::V0_21)
}

fn session(version: Wandb) -> Result<()> {
    let peer = Peer::start(version)?;
    for what in ["log", "read", "sweep", "offline"] {
        // Reading compares with what was logged.
        let truth = if what == "read" { "log" } else { what };
        peer.run(SESSION, &[what, &format!("{truth}.json")])?;
    }
    let truth = fs::read(peer.trackway.scratch().join("log.json"))?;
    let truth: Value = serde_json::from_slice(&truth)?;
    same_history(&peer.trackway, &truth)?;
    same_runs(&peer.trackway, &truth)
}

fn artifacts(version: Wandb) -> Result<()> {
    let peer = Peer::start(version)?;
    let mut seen: Value = serde_json::from_str(&peer.run(ARTIFACTS, &["shelves"])?)?;
    let sdk = seen.as_object_mut().and_then(|seen| seen.remove("sdk"));
    ensure!(
        sdk == Some(version.version().into()),
        "another SDK: {sdk:?}"
    );
    let wanted: Value = serde_json::from_str(ARTIFACTS_SEEN)?;
    ensure!(seen == wanted, "{seen:#}\nand not\n{wanted:#}");
    // The command line reads the same bytes.
    let trackway = &peer.trackway;
    let output = trackway.output(["artifacts", "get", "shelves/renamed:v1", "-o", "got"])?;
    // One entry is a reference, whose contents are elsewhere.
    ensure!(output.status.code() == Some(3), "{}", output.status);
    let got = fs::read(trackway.scratch().join("got/two.txt"))?;
    ensure!(got == b"two", "two.txt holds {got:?}");
    trackway.stdout(["fsck", "--read-data"])?;
    Ok(())
}

/// A server over an empty store, and an SDK that talks to it.
struct Peer {
    trackway: Trackway,
    server: Serving,
    python: Python,
}

impl Peer {
    fn start(version: Wandb) -> Result<Self> {
        let python = Peers::from_env()?.wandb(version)?;
        let trackway = trackway()?;
        let server = trackway.serve("127.0.0.1:0", None)?;
        Ok(Self {
            trackway,
            server,
            python,
        })
    }

    /// Runs a script to its good end, and answers what it prints.
    fn run(&self, script: &str, args: &[&str]) -> Result<String> {
        let folder = self.trackway.scratch();
        let file = folder.join("script.py");
        fs::write(&file, script)?;
        let mut command: Command = self.python.command(["-W", "ignore"]);
        command
            .arg(&file)
            .args(args)
            .current_dir(folder)
            .env("HOME", folder)
            .env("WANDB_BASE_URL", &self.server.url)
            .env("WANDB_API_KEY", &self.server.key)
            .env("WANDB_ERROR_REPORTING", "false");
        let output = command.output().context("start Python")?;
        let log = fs::read_to_string(folder.join("serve.log")).unwrap_or_default();
        ensure!(
            output.status.success(),
            "{args:?}: {}\n{}{}\nthe server said\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            log.lines().rev().take(40).collect::<Vec<_>>().join("\n")
        );
        String::from_utf8(output.stdout).context("Python prints UTF-8")
    }
}

/// Every row that was logged is a row that the command line prints.
fn same_history(trackway: &Trackway, truth: &Value) -> Result<()> {
    let runs = truth["runs"].as_object().context("no runs")?;
    for run in runs.values() {
        let id = run["id"].as_str().context("no id")?;
        let path = format!("session/{id}");
        let printed = trackway.stdout(["history", &path, "--all", "--jsonl"])?;
        let mut rows = Vec::new();
        for line in printed.lines() {
            let mut row: Value = serde_json::from_str(line)?;
            let members = row.as_object_mut().context("a row is no object")?;
            members.retain(|key, _| key != "_timestamp" && key != "_runtime");
            let media = members.values().any(|value| value.get("_type").is_some());
            if !media {
                rows.push(row);
            }
        }
        let wanted = run["rows"].as_array().context("no rows")?;
        ensure!(
            same(&Value::Array(rows.clone()), &Value::Array(wanted.clone())),
            "{id}: {rows:?}\nand not\n{wanted:?}"
        );
    }
    Ok(())
}

/// Equal, and an integer is the double of the same value: Python writes `1.0` as the SDK logs `1`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn same_runs(trackway: &Trackway, truth: &Value) -> Result<()> {
    let printed = trackway.stdout(["runs", "session", "--jsonl"])?;
    let main = printed
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?
        .into_iter()
        .find(|run| run["id"] == "main")
        .context("the main run is not listed")?;
    let wanted = &truth["runs"]["main"];
    for key in [
        "name", "state", "config", "tags", "notes", "group", "job_type",
    ] {
        ensure!(
            same(&main[key], &wanted[key]),
            "{key}: {} and not {}",
            main[key],
            wanted[key]
        );
    }
    ensure!(
        main["summary"]["final"] == 42,
        "summary: {}",
        main["summary"]
    );
    ensure!(main["user"] == "local", "user: {}", main["user"]);
    trackway.stdout(["files", "get", "session/main", "note.txt", "-o", "got"])?;
    let got = fs::read_to_string(trackway.scratch().join("got/note.txt"))?;
    ensure!(
        got == wanted["files"]["note.txt"],
        "note.txt holds {got:.40}"
    );
    // What was printed stays, with its streams.
    ensure!(
        trackway.stdout(["fsck", "--read-data"]).is_ok(),
        "the store is damaged"
    );
    Ok(())
}
