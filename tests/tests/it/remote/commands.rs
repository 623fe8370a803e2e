//! Commands on the store of a server, with the key that `trackway login` keeps.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::cli::Trackway;
use tracker_model::{
    ArtifactDraft, ArtifactStore, Change, CollectionPatch, CollectionPath, CollectionStore,
    Content, JsonPatch, LinkDraft, LogLine, LogStore, Precondition, RunPatch, RunPath, RunState,
    RunStore, SweepPatch, SweepStore, VersionLink, bytes_of,
};
use tracker_store::{EmbeddedStore, StoreOptions};

use crate::trackway;

const MLRUNS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/mlruns");
const RUN: &str = "local/digits-mlp/f6831076022445fabd81783288b5c019";
const OTHER: &str = "local/digits-mlp/6fe25358fbb5463daf1735e23d7680e9";
const LIVE: &str = "local/digits-mlp/live";

#[test]
fn commands_read_and_change_what_a_server_has() -> Result<()> {
    let trackway = trackway()?;
    trackway.import([MLRUNS], 0)?;
    let local = trackway.stdout(["runs", "--json"])?;
    let serving = trackway.serve("127.0.0.1:0", None)?;
    let from = format!("wandb+{}", serving.url.trim_end_matches('/'));

    let refused = trackway.output(["runs", "--from", &from])?;
    ensure!(refused.status.code() == Some(4), "{refused:?}");
    let said = String::from_utf8(refused.stderr)?;
    ensure!(said.contains("trackway login"), "{said}");

    let netrc = trackway.scratch().join(".netrc");
    fs::write(&netrc, "machine other login x password y\n")?;
    let login = |key: &str, more: &[&str]| {
        let mut command = trackway.command(["login", &serving.url, "--api-key", "-"]);
        let mut child = command
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("standard input")?;
        writeln!(stdin, "{key}")?;
        drop(stdin);
        Ok::<_, anyhow::Error>(child.wait_with_output()?)
    };
    let wrong = login("not-the-key-of-anybody", &[])?;
    ensure!(wrong.status.code() == Some(4), "{wrong:?}");
    ensure!(
        !fs::read_to_string(&netrc)?.contains("not-the-key"),
        "a wrong key is not kept"
    );
    let right = login(&serving.key, &["--json"])?;
    ensure!(right.status.success(), "{right:?}");
    let said: Value = serde_json::from_slice(&right.stdout)?;
    ensure!(said["username"] == "local", "{said}");
    let kept = fs::read_to_string(&netrc)?;
    ensure!(
        kept.starts_with("machine other ") && kept.contains(&serving.key),
        "what is kept"
    );

    let there = trackway.stdout(["runs", "--json", "--from", &from])?;
    let (there, local): (Value, Value) =
        (serde_json::from_str(&there)?, serde_json::from_str(&local)?);
    ensure!(there == local, "the same runs, in the same words");
    let first = &local["runs"]
        .as_array()
        .or(local.as_array())
        .context("runs")?[0];
    let text = |key: &str| first[key].as_str().map(str::to_owned).context("a text");
    let run = format!("{}/{}/{}", text("entity")?, text("project")?, text("id")?);
    for command in [
        vec!["run", "show", &run],
        vec!["history", &run, "--jsonl", "--all"],
        vec!["history", &run, "--jsonl", "--samples", "5"],
        vec!["files", "ls", &run],
        vec!["projects"],
    ] {
        let here = trackway.stdout(&command)?;
        let there = trackway.stdout(command.iter().copied().chain(["--from", &from]))?;
        ensure!(here == there, "{command:?}\n{here}\n{there}");
    }
    trackway.stdout([
        "update",
        &run,
        "--tag",
        "from-afar",
        "--yes",
        "--from",
        &from,
    ])?;
    let shown = trackway.stdout(["run", "show", &run, "--json"])?;
    ensure!(shown.contains("from-afar"), "{shown}");

    // Only what is in the scope.
    let scope = format!("{from}/nobody");
    let none = trackway.stdout(["runs", "--count", "--from", &scope])?;
    ensure!(none.trim() == "0", "{none}");

    serving.kill()?;
    let gone = trackway.output(["runs", "--from", &from])?;
    ensure!(gone.status.code() == Some(8), "{gone:?}");
    Ok(())
}

/// Imported runs, a sweep, a run that goes on, files, artifacts and a link to one.
fn full_store() -> Result<Trackway> {
    let trackway = trackway()?;
    trackway.import([MLRUNS], 0)?;
    let files = trackway.scratch().join("files");
    fs::create_dir_all(files.join("sub"))?;
    for (name, text) in [
        ("notes.txt", "two\nlines\n"),
        ("sub/a b.json", "{}"),
        ("empty", ""),
    ] {
        fs::write(files.join(name), text)?;
        let file = files.join(name).display().to_string();
        let root = files.display().to_string();
        trackway.stdout(["files", "put", RUN, &file, "--root", &root])?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(fill(&trackway.store()))?;
    Ok(trackway)
}

async fn fill(dir: &Path) -> Result<()> {
    let store = EmbeddedStore::open(dir, StoreOptions::new()).await?;
    let run: RunPath = RUN.parse()?;
    let project = run.project_path();
    let mut sweep = SweepPatch::new();
    let config = json!({
        "method": "grid", "metric": {"name": "val/accuracy", "goal": "maximize"},
        "parameters": {"lr": {"values": [0.3, 0.03]}},
    });
    sweep.config = JsonPatch::Replace(config.as_object().cloned().context("an object")?);
    sweep.name = Change::Set("rates".to_owned());
    store
        .upsert_sweep(&project.sweep("s1".parse()?), sweep)
        .await?;
    for path in [RUN, OTHER] {
        let mut patch = RunPatch::new();
        patch.sweep = Change::Set("s1".parse()?);
        store
            .upsert_run(&path.parse()?, patch, Precondition::Present)
            .await?;
    }
    let live: RunPath = LIVE.parse()?;
    let mut patch = RunPatch::new().with_state(RunState::Running);
    patch.created_at = Some("2026-11-20T00:00:00Z".parse()?);
    store.upsert_run(&live, patch, Precondition::Absent).await?;
    store
        .write_log(&live, vec![LogLine::new(0, "begins")])
        .await?;

    let model = CollectionPath::new(project.clone(), "model")?;
    store
        .upsert_collection(&model, CollectionPatch::new())
        .await?;
    for (contents, alias) in [("weights", "first"), ("better", "best")] {
        let mut draft = ArtifactDraft::new();
        draft.aliases = vec![alias.to_owned()];
        draft.logged_by = Some(run.clone());
        draft.source_key = Some(contents.to_owned());
        let mut writer = store.artifact_writer(&model, draft).await?;
        writer
            .add("w.bin".into(), Content::Bytes(bytes_of(contents)))
            .await?;
        writer
            .add(
                "deep/ref".into(),
                Content::Reference("s3://bucket/x".to_owned()),
            )
            .await?;
        writer.commit().await?;
    }
    let shown = CollectionPath::new(project, "shown")?;
    let mut patch = CollectionPatch::new();
    patch.portfolio = Some(true);
    store.upsert_collection(&shown, patch).await?;
    let target = VersionLink {
        collection: model,
        index: 1,
    };
    let draft = LinkDraft::new().with_aliases(["prod"]);
    store.link_version(&shown, &target, draft).await?;
    Ok(())
}

#[test]
fn every_reading_command_prints_the_same_from_a_server() -> Result<()> {
    let trackway = full_store()?;
    let serving = trackway.serve("127.0.0.1:0", None)?;
    let from = trackway.login(&serving)?;
    let reads: [&[&str]; 33] = [
        &["projects", "--json"],
        &["runs", "--json"],
        &[
            "runs",
            "digits-mlp",
            "--jsonl",
            "--filter",
            "config.lr = \"0.3\"",
            "--order",
            "-summary.val/accuracy",
        ],
        &["runs", "--count", "--state", "running"],
        &["run", "show", RUN, "--json"],
        &["run", "show", RUN],
        &["run", "show", LIVE, "--json"],
        &["history", RUN, "--json", "--all"],
        &[
            "history",
            RUN,
            "--jsonl",
            "--samples",
            "7",
            "--keys",
            "train/*",
        ],
        &[
            "history",
            RUN,
            "--json",
            "--min-step",
            "100",
            "--max-step",
            "120",
        ],
        &["history", RUN, "--keys", "val/*", "--svg", "-"],
        &["compare", RUN, OTHER, "--json"],
        &["compare", RUN, OTHER, "--all", "--json"],
        &[
            "best",
            "digits-mlp",
            "--metric",
            "val/accuracy",
            "-n",
            "3",
            "--json",
        ],
        &["best", "--sweep", "digits-mlp/s1", "--json"],
        &["files", "ls", RUN, "--json"],
        &["files", "get", RUN, "notes.txt", "-o", "-"],
        &["files", "get", RUN, "sub/*", "-o", "-"],
        &["sweeps", "--json"],
        &["sweeps", "digits-mlp", "--json"],
        &["sweeps", "show", "digits-mlp/s1", "--json"],
        &["export", "runs", "digits-mlp", "-o", "-", "--format", "csv"],
        &[
            "export",
            "runs",
            "digits-mlp",
            "-o",
            "-",
            "--format",
            "jsonl",
        ],
        &["export", "history", RUN, "-o", "-", "--format", "csv"],
        &[
            "export",
            "history",
            "digits-mlp",
            "-o",
            "-",
            "--format",
            "jsonl",
        ],
        &["artifacts", "ls", "--json"],
        &["artifacts", "ls", "digits-mlp", "--json"],
        &["artifacts", "ls", "digits-mlp/model", "--json"],
        &["artifacts", "ls", "digits-mlp/shown", "--json"],
        &["artifacts", "ls", "digits-mlp/model:first", "--json"],
        &["artifacts", "ls", "digits-mlp/shown:prod", "--json"],
        &[
            "artifacts",
            "get",
            "digits-mlp/model:best",
            "w.bin",
            "-o",
            "-",
        ],
        &[
            "artifacts",
            "ls",
            "registered-models/digits-mlp:champion",
            "--json",
        ],
    ];
    for command in reads {
        // A comparison that finds differences ends with 7.
        let here = trackway.output(command)?;
        let there = trackway.output(command.iter().copied().chain(["--from", &from]))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(
            matches!(here.status.code(), Some(0 | 7)) && !here.stdout.is_empty(),
            "{command:?} says nothing: {}",
            text(&here.stderr)
        );
        ensure!(
            there.status == here.status && there.stdout == here.stdout,
            "{command:?}\n{}\nfrom the server\n{}{}",
            text(&here.stdout),
            text(&there.stdout),
            text(&there.stderr)
        );
    }
    for missing in [
        &["run", "show", "digits-mlp/nothing"][..],
        &["artifacts", "ls", "digits-mlp/no"],
    ] {
        let here = trackway.output(missing)?;
        let there = trackway.output(missing.iter().copied().chain(["--from", &from]))?;
        ensure!(
            here.status.code() == Some(5) && there.status.code() == Some(5),
            "{missing:?} {there:?}"
        );
    }
    Ok(())
}

#[test]
fn every_editing_command_does_the_same_to_a_server() -> Result<()> {
    let (local, remote) = (full_store()?, full_store()?);
    let serving = remote.serve("127.0.0.1:0", None)?;
    let from = remote.login(&serving)?;
    let file = local.scratch().join("new.bin");
    fs::write(&file, [0, 159, 146, 150])?;
    let file = file.display().to_string();
    let edits: [&[&str]; 9] = [
        &[
            "update",
            RUN,
            "--set",
            "config.extra=[1,2]",
            "--unset",
            "config.seed",
            "--tag",
            "x",
            "--notes",
            "n",
            "--yes",
            "--json",
        ],
        &[
            "update",
            RUN,
            "--set",
            "summary.best=0.5",
            "--rename",
            "config.lr=rate",
            "--yes",
            "--json",
        ],
        &[
            "update",
            "digits-mlp",
            "--filter",
            "config.lr = \"0.3\"",
            "--group",
            "g",
            "--yes",
            "--json",
        ],
        &["run", "rename", RUN, "another name", "--json"],
        &["run", "stop", LIVE, "--json"],
        &["run", "delete", OTHER, "--yes", "--json"],
        &["files", "put", RUN, &file, "--json"],
        &["files", "rm", RUN, "sub/*", "--yes", "--json"],
        &["run", "delete", OTHER, "--yes", "--json"],
    ];
    // When something ended or was put there is another time on each side.
    let said = |output: &std::process::Output| -> Result<Value> {
        fn timeless(value: &mut Value) {
            match value {
                Value::Object(members) => {
                    for name in ["ended_at", "modified_at", "runtime"] {
                        members.remove(name);
                    }
                    members.values_mut().for_each(timeless);
                }
                Value::Array(items) => items.iter_mut().for_each(timeless),
                _ => {}
            }
        }
        let mut value = match output.stdout.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&output.stdout)?,
        };
        timeless(&mut value);
        Ok(value)
    };
    for command in edits {
        let here = local.output(command)?;
        let there = remote.output(command.iter().copied().chain(["--from", &from]))?;
        ensure!(
            here.status == there.status && said(&here)? == said(&there)?,
            "{command:?}\n{here:?}\nfrom the server\n{there:?}"
        );
    }
    for command in [
        &["runs", "--json"][..],
        &["run", "show", RUN, "--json"],
        &["run", "show", LIVE, "--json"],
        &["files", "ls", RUN, "--json"],
    ] {
        let (here, there) = (local.output(command)?, remote.output(command)?);
        ensure!(
            here.status.success() && there.status.success(),
            "{command:?}"
        );
        ensure!(
            said(&here)? == said(&there)?,
            "{command:?}\n{here:?}\n{there:?}"
        );
    }
    Ok(())
}

#[test]
fn a_server_is_imported_from_and_a_repeat_finds_nothing_new() -> Result<()> {
    let (source, target) = (full_store()?, trackway()?);
    let serving = source.serve("127.0.0.1:0", None)?;
    let from = target.login(&serving)?;
    let bucket = |receipt: &Value, kind: &str, what: &str| receipt["totals"][kind][what].as_u64();
    // Logs are not carried, which the receipt says.
    let first = target.import([&from], 0)?;
    for kind in ["runs", "points", "artifacts"] {
        let (all, kept) = (
            bucket(&first, kind, "source"),
            bucket(&first, kind, "identical"),
        );
        ensure!(all.is_some_and(|all| all > 0), "{kind}: {first:#}");
        ensure!(kept == all || kind != "points", "{kind}: {first:#}");
    }
    let lost = |kind: &str| bucket(&first, kind, "lost").unwrap_or(0);
    ensure!(
        ["runs", "points", "params", "artifacts"]
            .iter()
            .all(|kind| lost(kind) == 0),
        "{first:#}"
    );
    for command in [
        &["history", RUN, "--json", "--all"][..],
        &["artifacts", "ls", "digits-mlp/model:first", "--json"],
        &[
            "artifacts",
            "get",
            "digits-mlp/shown:prod",
            "w.bin",
            "-o",
            "-",
        ],
        &["files", "get", RUN, "notes.txt", "-o", "-"],
        &["runs", "--count"],
    ] {
        ensure!(
            source.stdout(command)? == target.stdout(command)?,
            "{command:?}"
        );
    }
    let second = target.import([&from], 0)?;
    for kind in ["points", "params", "artifacts", "entries"] {
        let (all, skipped) = (
            bucket(&second, kind, "source"),
            bucket(&second, kind, "skipped"),
        );
        ensure!(
            all.is_some_and(|all| all > 0) && skipped == all,
            "{kind}: {second:#}"
        );
    }
    let runs = second["runs"].as_array().context("runs")?;
    // A run that goes on is looked at again.
    let ended = runs.iter().filter(|run| run["target"] != LIVE);
    for run in ended {
        ensure!(run["status"] == "unchanged", "{run:#}");
    }
    Ok(())
}

#[test]
fn a_server_does_not_listen_at_nonsense() -> Result<()> {
    let trackway = trackway()?;
    for listen in ["nonsense", "127.0.0.1", "127.0.0.1:99999", ":"] {
        let output = trackway.output(["serve", "--listen", listen])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2), "{listen}: {output:?}");
        ensure!(
            said.contains("hint:") && said.contains("127.0.0.1:8080"),
            "{said}"
        );
        ensure!(
            !trackway.store().exists(),
            "nothing is made for a server that cannot be"
        );
    }
    Ok(())
}
