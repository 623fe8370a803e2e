//! Processes that are killed while they write, and processes that write at once.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::Receiver,
    time::Duration,
};

use tracker_model::{
    ArtifactDraft, ArtifactStore, CollectionPatch, CollectionPath, CollectionStore, Content,
    EntryDraft, FileDraft, FileStore, HistoryStore, HistoryStream, JsonPatch, LogLine, LogStore,
    Precondition, RunPatch, RunPath, RunState, RunStore, SeriesDigest, Value, VersionRef, bytes_of,
    collect_bytes,
};
use tracker_store::{EmbeddedStore, GcOptions, StoreOptions};

use crate::{
    support::{Point, all, batches, run},
    upkeep::fsck,
};

const DIR: &str = "TRACKWAY_TEST_CRASH_DIR";
const NAME: &str = "TRACKWAY_TEST_CRASH_NAME";

fn noise(seed: u64) -> u64 {
    let hash = blake3::hash(&seed.to_le_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap())
}

fn contents(name: &str, size: usize) -> Vec<u8> {
    let mut out = vec![0; size];
    blake3::Hasher::new()
        .update(name.as_bytes())
        .finalize_xof()
        .fill(&mut out);
    out
}

fn point(row: Option<u64>, i: u64) -> Point {
    (
        row,
        i.cast_signed(),
        None,
        Value::I64(noise(i).cast_signed()),
    )
}

fn digest(points: impl IntoIterator<Item = Point>) -> SeriesDigest {
    let mut hasher = SeriesDigest::hasher();
    batches("x", points).iter().for_each(|b| hasher.update(b));
    hasher.digest()
}

/// What a child says when something is done: the kind, the name, and a number.
fn say(kind: &str, name: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\ndone {kind} {name} {number}").unwrap();
    out.flush().unwrap();
}

/// Writes until it is killed, or `rounds` times.
async fn work(dir: &Path, name: &str, rounds: u64) {
    let options = StoreOptions::new().with_history_buffer_bytes(1 << 20);
    let store = EmbeddedStore::open(dir, options).await.unwrap();
    for round in 0..rounds {
        let id = format!("{name}-{round}");
        let path: RunPath = format!("local/crash/{id}").parse().unwrap();
        let config =
            |n: u64| JsonPatch::Replace([("n".to_owned(), n.into())].into_iter().collect());
        for n in 1..=2 {
            let patch = RunPatch::new()
                .with_config(config(n))
                .with_state(RunState::Running);
            store
                .upsert_run(&path, patch, Precondition::None)
                .await
                .unwrap();
            say("run", &id, n);
        }
        // Live rows.
        for at in [0, 40, 80] {
            let rows = batches("live", (at..at + 40).map(|i| point(Some(i), i)));
            store
                .append(&path, HistoryStream::System, at, rows)
                .await
                .unwrap();
            say("append", &id, at + 40);
        }
        store.seal(&path).await.unwrap();
        // Some of them are taken back, and others come.
        say("append", &id, 90);
        let system = HistoryStream::System;
        store.truncate(&path, system, 90).await.unwrap();
        let rows = batches("live", (90..130).map(|i| point(Some(i), i)));
        store.append(&path, system, 90, rows).await.unwrap();
        say("append", &id, 130);
        for number in [0, 3, 3] {
            let lines = vec![LogLine::new(number, &id), LogLine::new(number + 1, "-")];
            store.write_log(&path, lines).await.unwrap();
            say("log", &id, number + 2);
        }
        // Much at once, half of it staged; more than fits in the catalog every other time.
        let n = if round % 2 == 0 { 500 } else { 20_000 };
        let mut writer = store
            .history_writer(&path, HistoryStream::Metrics, "t")
            .await
            .unwrap();
        writer
            .write(
                0,
                batches("bulk", (0..n / 2).map(|i| point(None, i))).remove(0),
            )
            .await
            .unwrap();
        writer.checkpoint().await.unwrap();
        say("stage", &id, n / 2);
        writer
            .write(
                n / 2,
                batches("bulk", (n / 2..n).map(|i| point(None, i))).remove(0),
            )
            .await
            .unwrap();
        writer.commit().await.unwrap();
        say("commit", &id, n);
        for size in [100, 40_000] {
            let file = format!("{id}/{size}.bin");
            store
                .put_file(
                    &path,
                    FileDraft::new(&file),
                    bytes_of(contents(&file, size)),
                )
                .await
                .unwrap();
            say("file", &id, size as u64);
        }
        let artifact = CollectionPath::new(path.project_path(), &id).unwrap();
        store
            .upsert_collection(&artifact, CollectionPatch::new())
            .await
            .unwrap();
        let mut writer = store
            .artifact_writer(&artifact, ArtifactDraft::new())
            .await
            .unwrap();
        for i in 0..5 {
            let size = if i == 3 { 30_000 } else { 30 };
            let body = contents(&format!("{id}{i}"), size);
            writer
                .add(
                    EntryDraft::new(i.to_string()),
                    Content::Bytes(bytes_of(body)),
                )
                .await
                .unwrap();
        }
        writer.commit().await.unwrap();
        say("artifact", &id, 5);
        if round % 3 == 0 {
            store
                .delete_file(&path, &format!("{id}/100.bin"))
                .await
                .unwrap();
            say("file", &id, 0);
        }
        store
            .upsert_run(
                &path,
                RunPatch::new().with_state(RunState::Finished),
                Precondition::None,
            )
            .await
            .unwrap();
        say("end", &id, 1);
    }
}

/// What the children run: does nothing unless it is told where.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let (Ok(dir), Ok(name)) = (std::env::var(DIR), std::env::var(NAME)) else {
        return;
    };
    let rounds = if name.starts_with("whole") {
        12
    } else {
        u64::MAX
    };
    work(Path::new(&dir), &name, rounds).await;
}

struct Worker {
    child: Child,
    lines: Receiver<String>,
}

fn start(dir: &Path, name: &str) -> Worker {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        out.lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    Worker { child, lines }
}

/// What was said to be done: kind and name, and the greatest or last number.
type Done = BTreeMap<(String, String), u64>;

fn collect(lines: impl IntoIterator<Item = String>, done: &mut Done) {
    for line in lines {
        if let ["done", kind, name, number] = line.split(' ').collect::<Vec<_>>()[..] {
            let number: u64 = number.parse().unwrap();
            done.insert((kind.to_owned(), name.to_owned()), number);
        }
    }
}

/// Checks that all that was said to be done is there.
async fn verify(store: &EmbeddedStore, done: &Done) {
    for ((kind, id), number) in done {
        let path = run(&format!("local/crash/{id}"));
        match kind.as_str() {
            "run" => {
                let run = store.run(&path).await.unwrap();
                assert!(run.config["n"].as_u64().unwrap() >= *number);
            }
            "log" => {
                assert!(store.log_length(&path).await.unwrap() >= *number);
                let lines = all(store.log_lines(&path, 0..u64::MAX)).await.concat();
                assert_eq!(lines.len() % 2, 0, "{id}: {lines:?}");
            }
            "end" => assert_eq!(store.run(&path).await.unwrap().state, RunState::Finished),
            "append" => {
                let info = store
                    .series(&path, HistoryStream::System)
                    .await
                    .unwrap()
                    .remove(0);
                assert!(
                    info.count >= *number,
                    "{id}: {} of {number} rows",
                    info.count
                );
                let points = all(store.scan(
                    &path,
                    tracker_model::HistoryQuery::new().with_stream(HistoryStream::System),
                ))
                .await;
                let rows: Vec<u64> = points
                    .iter()
                    .flat_map(|b| b.rows.clone().unwrap())
                    .collect();
                assert_eq!(rows, (0..info.count).collect::<Vec<_>>());
            }
            "stage" if !done.contains_key(&("commit".to_owned(), id.clone())) => {
                let committed = store.series(&path, HistoryStream::Metrics).await.unwrap();
                if committed.is_empty() {
                    let writer = store
                        .history_writer(&path, HistoryStream::Metrics, "t")
                        .await
                        .unwrap();
                    assert!(writer.staged()[0].count >= *number);
                    assert_eq!(
                        writer.staged()[0].digest,
                        Some(digest((0..*number).map(|i| point(None, i))))
                    );
                }
            }
            "commit" => {
                let info = store
                    .series(&path, HistoryStream::Metrics)
                    .await
                    .unwrap()
                    .remove(0);
                assert_eq!(info.count, *number);
                assert_eq!(
                    info.digest,
                    Some(digest((0..*number).map(|i| point(None, i))))
                );
            }
            "file" if *number > 0 => {
                let file = format!("{id}/{number}.bin");
                let size = usize::try_from(*number).unwrap();
                let body = store.open_file(&path, &file, None).await.unwrap();
                assert_eq!(
                    collect_bytes(body, size).await.unwrap(),
                    contents(&file, size)
                );
            }
            "artifact" => {
                let artifact = CollectionPath::new(path.project_path(), id).unwrap();
                let version = store
                    .version(&artifact, &VersionRef::Index(0))
                    .await
                    .unwrap();
                assert_eq!(version.entries, *number);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn killed_at_any_moment_it_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut done = Done::new();
    for round in 0..20u64 {
        let mut worker = start(dir.path(), &format!("killed-{round}"));
        // From the first acknowledgement on, so that the start of a process does not count.
        let first = worker.lines.recv_timeout(Duration::from_secs(60)).unwrap();
        std::thread::sleep(Duration::from_micros(noise(round) % 300_000));
        worker.child.kill().unwrap();
        worker.child.wait().unwrap();
        collect(std::iter::once(first).chain(worker.lines.iter()), &mut done);

        let store = EmbeddedStore::open_existing(dir.path(), StoreOptions::new())
            .await
            .unwrap();
        assert_eq!(fsck(&store, true).await.0, []);
        verify(&store, &done).await;
        // Nothing that a dead process left is in anybody's way.
        if round % 5 == 4 {
            store
                .gc(GcOptions::new().with_grace(Duration::ZERO))
                .await
                .unwrap();
            let (problems, report) = fsck(&store, true).await;
            assert_eq!(problems, []);
            assert_eq!((report.orphans, report.unused_blobs), (0, 0));
            verify(&store, &done).await;
        }
    }
    assert!(done.len() > 40, "{}", done.len());
    assert!(done.keys().any(|(kind, _)| kind == "artifact"));
}

#[tokio::test]
async fn processes_write_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // Both make the store, at the same time.
    let mut workers: Vec<Worker> = (0..3)
        .map(|i| start(dir.path(), &format!("whole-{i}")))
        .collect();
    let mut done = Done::new();
    let mut sweeps = 0;
    while workers
        .iter_mut()
        .any(|w| w.child.try_wait().unwrap().is_none())
    {
        if let Ok(store) = EmbeddedStore::open_existing(dir.path(), StoreOptions::new()).await {
            store.gc(GcOptions::new()).await.unwrap();
            assert_eq!(fsck(&store, true).await.0, []);
            sweeps += 1;
        }
    }
    for mut worker in workers {
        assert!(worker.child.wait().unwrap().success());
        collect(worker.lines.iter(), &mut done);
    }
    assert!(sweeps > 0);
    assert_eq!(done.keys().filter(|(kind, _)| kind == "end").count(), 36);
    let store = EmbeddedStore::open_existing(dir.path(), StoreOptions::new())
        .await
        .unwrap();
    verify(&store, &done).await;
    assert_eq!(fsck(&store, true).await.0, []);
    assert_eq!(
        all(store.find_runs(tracker_model::RunQuery::new()))
            .await
            .len(),
        36
    );
}
