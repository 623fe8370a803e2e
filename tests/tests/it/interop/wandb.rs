//! The W&B SDK as it comes from PyPI: it logs to our server, reads everything back and compares;
//! then the command line reads the same store.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use serde_json::{Value, json};
use tests::{
    cli::{Serving, Trackway},
    peers::{Peers, Python, Wandb},
};
use tracker_client::{
    RowShape,
    remote::{RemoteOptions, RemoteTracker},
};
use tracker_model::{
    FileStore, HistoryQuery, HistoryRow, HistoryStore, ProjectPath, Run, RunQuery, RunStore,
    collect_bytes, rows_of,
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
    let trackway = &peer.trackway;
    let from = trackway.login(&peer.server)?;
    // The store, and the server over it.
    for place in [&[][..], &["--from", from.as_str()]] {
        same_history(trackway, place, &truth)?;
        same_runs(trackway, place, &truth)?;
    }
    trackway.stdout(["fsck", "--read-data"])?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    for plain in [false, true] {
        let same = same_tracker(&peer.server, plain, trackway.scratch(), &truth);
        let place = format!("as a server of {}", if plain { "W&B" } else { "ours" });
        runtime.block_on(same).context(place)?;
    }
    Ok(())
}

/// What was logged is what the remote tracker reads, asked as a server of ours or as any.
async fn same_tracker(server: &Serving, plain: bool, scratch: &Path, truth: &Value) -> Result<()> {
    let options = RemoteOptions::new(&server.url, server.key.clone())?;
    let options = options.with_plain(plain).with_spool(scratch.join("unsent"));
    let tracker = RemoteTracker::connect(&options).await?;
    let project: ProjectPath = "local/session".parse()?;
    let found: Vec<Run> = tracker
        .find_runs(RunQuery::of_project(&project))
        .try_collect()
        .await?;
    let runs = truth["runs"].as_object().context("no runs")?;
    for wanted in runs.values() {
        let id = wanted["id"].as_str().context("no id")?;
        let path = project.run(id.parse()?);
        ensure!(
            found.iter().any(|run| run.path == path),
            "{id} is not listed"
        );
        let rows = rows_of(tracker.scan(&path, HistoryQuery::new().with_rows(true)));
        let rows: Vec<HistoryRow> = rows.try_collect().await?;
        let rows = rows.iter().map(|row| RowShape::new().to_json(row));
        let rows: Vec<Value> = rows.filter_map(logged).collect();
        let wanted = wanted["rows"].clone();
        ensure!(
            same(&Value::Array(rows.clone()), &wanted),
            "{id}: {rows:?}\nand not\n{wanted:?}"
        );
    }
    let wanted = &runs["main"];
    let main = tracker.run(&project.run("main".parse()?)).await?;
    let state = main.state.as_str();
    let there = json!({
        "name": main.name, "state": state, "config": main.config, "tags": main.tags,
        "notes": main.notes, "group": main.group, "job_type": main.job_type,
    });
    for (key, there) in there.as_object().context("an object")? {
        let wanted = &wanted[key];
        ensure!(same(there, wanted), "{key}: {there} and not {wanted}");
    }
    let file = tracker.open_file(&main.path, "note.txt", None).await?;
    let file = collect_bytes(file, 1 << 20).await?;
    ensure!(
        wanted["files"]["note.txt"].as_str().map(str::as_bytes) == Some(&file[..]),
        "note.txt holds {file:?}"
    );
    Ok(())
}

/// The members of a row that a program logged; none for media, which the SDK writes in its own way.
fn logged(mut row: serde_json::Map<String, Value>) -> Option<Value> {
    row.retain(|key, _| key != "_timestamp" && key != "_runtime");
    let media = row.values().any(|value| value.get("_type").is_some());
    (!media).then_some(Value::Object(row))
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
    // The command line reads the same bytes, from the store and from the server.
    let trackway = &peer.trackway;
    let from = trackway.login(&peer.server)?;
    for (folder, place) in [("got", &[][..]), ("there", &["--from", from.as_str()])] {
        let command = ["artifacts", "get", "shelves/renamed:v1", "-o", folder];
        let output = trackway.output(command.iter().chain(place))?;
        // One entry is a reference, whose contents are elsewhere.
        ensure!(output.status.code() == Some(3), "{}", output.status);
        let got = fs::read(trackway.scratch().join(folder).join("two.txt"))?;
        ensure!(got == b"two", "two.txt holds {got:?}");
    }
    for what in ["shelves", "shelves/renamed", "shelves/renamed:v1"] {
        let command = ["artifacts", "ls", what, "--json"];
        let here = trackway.stdout(command)?;
        let there = trackway.stdout(command.iter().chain(&["--from", from.as_str()]))?;
        ensure!(here == there, "{what}: {here}\nfrom the server\n{there}");
    }
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
fn same_history(trackway: &Trackway, place: &[&str], truth: &Value) -> Result<()> {
    let runs = truth["runs"].as_object().context("no runs")?;
    for run in runs.values() {
        let id = run["id"].as_str().context("no id")?;
        let path = format!("session/{id}");
        let command = ["history", &path, "--all", "--jsonl"];
        let printed = trackway.stdout(command.iter().chain(place))?;
        let mut rows = Vec::new();
        for line in printed.lines() {
            rows.extend(logged(serde_json::from_str(line)?));
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

fn same_runs(trackway: &Trackway, place: &[&str], truth: &Value) -> Result<()> {
    let printed = trackway.stdout(["runs", "session", "--jsonl"].iter().chain(place))?;
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
    let command = ["files", "get", "session/main", "note.txt", "-o", "-"];
    let got = trackway.stdout(command.iter().chain(place))?;
    ensure!(
        got == wanted["files"]["note.txt"],
        "note.txt holds {got:.40}"
    );
    Ok(())
}
