use std::{future::Future, sync::Arc};

use futures::{FutureExt, StreamExt, TryStreamExt, future::join_all};

use super::{
    artifacts::{collection, make},
    support::{
        bytes, check_history, keeps_everything, list, new_run, point, ramp, run_path, turns,
        upsert, write,
    },
};
use crate::{
    ArtifactDraft, ErrorKind, FileDraft, HistoryQuery, HistoryRow, HistoryStream, JsonPatch,
    Precondition, RunPatch, RunQuery, Tracker, Value, bytes_of, split_rows,
};

/// Many calls at once, and calls and streams that are dropped midway.
pub async fn concurrency<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    if tracker.capabilities().atomic_changes {
        merges(tracker).await;
        races(tracker).await;
        counting(tracker).await;
    }
    if keeps_everything(tracker) {
        appends(tracker).await;
    }
    files(tracker).await;
    versions(tracker).await;
    dropped_calls(tracker).await;
    dropped_streams(tracker).await;
    streams_alone(factory().await).await;
}

/// Merges by two writers at once lose nothing.
async fn merges(tracker: &dyn Tracker) {
    let path = new_run(tracker, "merges").await;
    let writer = |writer: usize| {
        let path = path.clone();
        async move {
            for i in 0..40 {
                let set = [
                    (format!("w{writer}/{i}"), i.into()),
                    ("last".to_owned(), writer.into()),
                ];
                let merge = |remove| JsonPatch::Merge {
                    set: set.clone().into_iter().collect(),
                    remove,
                };
                let gone = if i == 0 {
                    Vec::new()
                } else {
                    vec![format!("w{writer}/{}", i - 1)]
                };
                let patch = RunPatch::new()
                    .with_config(merge(Vec::new()))
                    .with_summary(merge(gone));
                upsert(tracker, &path, patch).await;
            }
        }
    };
    join_all([writer(0), writer(1)]).await;
    let run = tracker.run(&path).await.unwrap();
    assert_eq!(run.config.len(), 81, "every key that was set");
    assert_eq!(run.summary.len(), 3, "every key that was removed");
    assert_eq!(run.version, 81, "every change counts");
}

async fn races(tracker: &dyn Tracker) {
    let path = run_path("races");
    let tries = (0..16).map(|i| {
        let patch = RunPatch::new().with_name(i.to_string());
        tracker.upsert_run(&path, patch, Precondition::Absent)
    });
    let mut winner = None;
    for made in join_all(tries).await {
        match made {
            Ok(run) => assert!(winner.replace(run).is_none(), "only one makes the run"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::AlreadyExists),
        }
    }
    assert_eq!(winner.as_ref(), Some(&tracker.run(&path).await.unwrap()));
}

/// Read, change, write: with the version as the condition nothing is lost.
async fn counting(tracker: &dyn Tracker) {
    let path = new_run(tracker, "counting").await;
    let count = || async {
        for _ in 0..10 {
            loop {
                let run = tracker.run(&path).await.unwrap();
                turns(1).await;
                let n = run
                    .config
                    .get("n")
                    .and_then(serde_json::Value::as_u64)
                    .unwrap_or_default();
                let config = [("n".to_owned(), (n + 1).into())].into_iter().collect();
                let patch = RunPatch::new().with_config(JsonPatch::Replace(config));
                match tracker
                    .upsert_run(&path, patch, Precondition::Version(run.version))
                    .await
                {
                    Ok(_) => break,
                    Err(e) => assert_eq!(e.kind(), ErrorKind::Conflict),
                }
            }
        }
    };
    join_all((0..4).map(|_| count())).await;
    assert_eq!(tracker.run(&path).await.unwrap().config["n"], 40);
}

async fn appends(tracker: &dyn Tracker) {
    let ids: Vec<String> = (0..6).map(|i| format!("appends{i}")).collect();
    let row = |n: u64| HistoryRow {
        row: n,
        step: n as i64,
        time: Some(crate::Timestamp::from_millis(n as i64)),
        values: vec![("x".into(), Value::I64(n as i64))],
    };
    let log = |id: &str| {
        let path = run_path(id);
        async move {
            upsert(tracker, &path, RunPatch::new()).await;
            for n in 0..30 {
                let batches = split_rows([row(n)]).unwrap();
                tracker
                    .append(&path, HistoryStream::Metrics, n, batches)
                    .await
                    .unwrap();
                let read = list(tracker.scan(&path, HistoryQuery::new())).await;
                let points: usize = read.iter().map(crate::PointBatch::len).sum();
                assert_eq!(points as u64, n + 1, "what was acknowledged is seen");
            }
        }
    };
    join_all(ids.iter().map(|id| log(id))).await;
    // The same rows by several clients at once, as after a lost answer.
    let path = new_run(tracker, "same-rows").await;
    let batches = split_rows((0..30).map(row)).unwrap();
    let same = (0..4).map(|_| tracker.append(&path, HistoryStream::Metrics, 0, batches.clone()));
    assert!(
        join_all(same)
            .await
            .into_iter()
            .all(|next| next.unwrap() == 30)
    );
    let wanted: Vec<_> = (0..30)
        .map(|n| point(Some(n), n as i64, n as i64, Value::I64(n as i64)))
        .collect();
    for id in ids.iter().map(String::as_str).chain(["same-rows"]) {
        check_history(tracker, &run_path(id), [("x", wanted.clone())]).await;
    }
}

async fn files(tracker: &dyn Tracker) {
    let path = new_run(tracker, "files").await;
    let body = |i: usize| vec![u8::try_from(i).unwrap(); 50_000 + i];
    let put = |i: usize, name: String| {
        let path = path.clone();
        async move {
            tracker
                .put_file(&path, FileDraft::new(name), bytes_of(body(i)))
                .await
                .unwrap()
        }
    };
    join_all((0..10).map(|i| put(i, "one".to_owned()))).await;
    join_all((0..10).map(|i| put(i, format!("f{i}")))).await;
    let there = bytes(tracker.open_file(&path, "one", None).await).await;
    assert!(
        (0..10).any(|i| there == body(i)),
        "a file is one of those that were put, whole"
    );
    for i in 0..10 {
        assert!(bytes(tracker.open_file(&path, &format!("f{i}"), None).await).await == body(i));
    }
    assert_eq!(list(tracker.files(&path)).await.len(), 11);
}

async fn versions(tracker: &dyn Tracker) {
    let path = collection(tracker, "versions").await;
    let made = join_all((0..10).map(|_| make(tracker, &path, ArtifactDraft::new(), "x"))).await;
    let mut indices: Vec<u64> = made
        .into_iter()
        .map(|version| version.unwrap().index)
        .collect();
    indices.sort_unstable();
    assert_eq!(
        indices,
        (0..10).collect::<Vec<_>>(),
        "each version has an index of its own"
    );
    let keyed = || ArtifactDraft {
        source_key: Some("k".to_owned()),
        aliases: vec!["a".to_owned()],
        ..ArtifactDraft::new()
    };
    let made = join_all((0..6).map(|_| make(tracker, &path, keyed(), "y"))).await;
    assert!(
        made.into_iter().all(|version| version.unwrap().index == 10),
        "one key is one version"
    );
    let versions = list(tracker.versions(&path)).await;
    assert_eq!(versions.len(), 11);
    assert_eq!(
        versions
            .iter()
            .filter(|v| v.aliases.contains(&"a".to_owned()))
            .count(),
        1
    );
}

/// A call that is dropped has had its effect or not, and harms nothing.
async fn dropped_calls(tracker: &dyn Tracker) {
    let path = new_run(tracker, "dropped-calls").await;
    let row = HistoryRow {
        row: 0,
        step: 0,
        time: None,
        values: vec![("x".into(), Value::F64(1.0))],
    };
    for _ in 0..20 {
        drop(
            tracker
                .upsert_run(
                    &path,
                    RunPatch::new().with_name("dropped"),
                    Precondition::None,
                )
                .now_or_never(),
        );
        drop(
            tracker
                .put_file(&path, FileDraft::new("f"), bytes_of("x"))
                .now_or_never(),
        );
        let batches = split_rows([row.clone()]).unwrap();
        drop(
            tracker
                .append(&path, HistoryStream::Metrics, 0, batches)
                .now_or_never(),
        );
        drop(
            tracker
                .history_writer(&path, HistoryStream::System, "t")
                .now_or_never(),
        );
    }
    let run = upsert(tracker, &path, RunPatch::new().with_notes("after")).await;
    assert!(run.name.is_none_or(|name| name == "dropped"));
    let next = tracker
        .append(&path, HistoryStream::Metrics, 0, split_rows([row]).unwrap())
        .await
        .unwrap();
    assert_eq!(next, 1);
    let mut writer = writer_when_free(tracker, &path).await;
    let batch = super::support::batches("y", &ramp(0, 100), |_| false).remove(0);
    drop(writer.write(0, batch).now_or_never());
    drop(writer.checkpoint().now_or_never());
    drop(writer.commit().now_or_never());
    // The next writer finds all of it, committed or staged, or nothing.
    let writer = writer_when_free(tracker, &path).await;
    let staged = writer.staged().iter().map(|s| s.count).sum::<u64>();
    drop(writer);
    let system = tracker.series(&path, HistoryStream::System).await.unwrap();
    let committed = system.iter().map(|s| s.count).sum::<u64>();
    assert!(
        [0, 100].contains(&(staged.max(committed))),
        "{staged} staged, {committed} committed"
    );
}

/// A writer whose making was dropped may take a moment to be gone.
async fn writer_when_free(
    tracker: &dyn Tracker,
    path: &crate::RunPath,
) -> Box<dyn crate::HistoryWriter> {
    for _ in 0..10_000 {
        match tracker
            .history_writer(path, HistoryStream::System, "t")
            .await
        {
            Ok(writer) => return writer,
            Err(e) => assert_eq!(e.kind(), ErrorKind::Conflict),
        }
        // Some work, so that there is time for others.
        drop(tracker.run(path).await);
    }
    panic!("a writer that was dropped still holds the history of {path}");
}

async fn dropped_streams(tracker: &dyn Tracker) {
    let path = new_run(tracker, "dropped-streams").await;
    write(
        tracker,
        &path,
        &[("a", 0, ramp(0, 70_000)), ("b", 0, ramp(0, 70_000))],
    )
    .await;
    tracker
        .put_file(&path, FileDraft::new("f"), bytes_of(vec![0; 500_000]))
        .await
        .unwrap();
    for by_rows in [false, true] {
        for _ in 0..10 {
            drop(tracker.scan(&path, HistoryQuery::new().with_rows(by_rows)));
            let mut scan = tracker.scan(&path, HistoryQuery::new().with_rows(by_rows));
            assert!(scan.try_next().await.unwrap().is_some());
            drop(scan);
            let mut file = tracker.open_file(&path, "f", None).await.unwrap();
            assert!(file.try_next().await.unwrap().is_some());
            drop(file);
            let mut runs = tracker.find_runs(RunQuery::new());
            assert!(runs.try_next().await.unwrap().is_some());
        }
    }
    check_history(
        tracker,
        &path,
        [("a", ramp(0, 70_000)), ("b", ramp(0, 70_000))],
    )
    .await;
}

/// Streams live on without the handle that made them.
async fn streams_alone(tracker: Arc<dyn Tracker>) {
    let path = new_run(&*tracker, "alone").await;
    write(&*tracker, &path, &[("a", 0, ramp(0, 70_000))]).await;
    tracker
        .put_file(&path, FileDraft::new("f"), bytes_of("contents"))
        .await
        .unwrap();
    let points = tracker.scan(&path, HistoryQuery::new());
    let (runs, files) = (tracker.find_runs(RunQuery::new()), tracker.files(&path));
    let file = tracker.open_file(&path, "f", None).await;
    drop(tracker);
    let count = points
        .map(|batch| batch.unwrap().len())
        .fold(0, |a, b| async move { a + b })
        .await;
    assert_eq!(count, 70_000);
    assert_eq!((list(runs).await.len(), list(files).await.len()), (1, 1));
    assert_eq!(bytes(file).await, b"contents");
}
