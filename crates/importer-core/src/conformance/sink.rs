use std::{future::Future, sync::Arc};

use futures::TryStreamExt;
use tracker_model::{
    ArtifactDraft, ArtifactUse, BatchBuilder, CollectionPatch, CollectionPath, Content, FileDraft,
    HistoryStream::{self, Metrics, System},
    ImportStamp, PointBatch, ProjectPatch, ProjectPath, Run, RunPath, RunState, SeriesHasher,
    Timestamp, UseRole, Value, bytes_of,
};

use crate::{RunWriter, Sink};

/// Runs the suite on fresh sinks.
pub async fn sink<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Sink>>,
{
    projects(&*factory().await).await;
    one_run(&*factory().await).await;
    growing_run(&*factory().await).await;
    abandoned_run(&*factory().await).await;
    if factory().await.capabilities().artifacts {
        artifacts(&*factory().await).await;
    }
}

fn path() -> RunPath {
    "local/conformance/run1".parse().unwrap()
}

fn whole_run() -> Run {
    let mut run = Run::new(path(), Timestamp::from_millis(1_700_000_000_000));
    run.name = Some("ünï name".to_owned());
    run.state = RunState::Finished;
    run.started_at = Some(Timestamp::from_millis(1_700_000_000_000));
    run.ended_at = Some(Timestamp::from_millis(1_699_999_999_000));
    run.config.insert("lr".to_owned(), "0.1".into());
    run.summary.insert("loss".to_owned(), 0.25.into());
    run.extras
        .insert("x".to_owned(), serde_json::json!({ "tags": { "a": "b" } }));
    run.import = Some(ImportStamp {
        source: "x:here".to_owned(),
        run: "run1".to_owned(),
        complete: true,
        fingerprint: "f1".to_owned(),
    });
    run
}

fn points(key: &str, from: i64, to: i64) -> PointBatch {
    let mut batch = BatchBuilder::new(key.into());
    for i in from..to {
        let value = if i % 7 == 3 { f64::NAN } else { i as f64 / 3.0 };
        batch.push(
            None,
            i - 5,
            Some(Timestamp::from_millis(1_700_000_000_000 + i)),
            Value::F64(value),
        );
    }
    batch.take().unwrap()
}

async fn projects(sink: &dyn Sink) {
    let path: ProjectPath = "local/conformance".parse().unwrap();
    assert_eq!(
        sink.project(&path).await.unwrap(),
        None,
        "a fresh sink is empty"
    );
    let mut patch = ProjectPatch::new();
    patch.description = tracker_model::Change::Set("notes".to_owned());
    sink.put_project(&path, patch.clone()).await.unwrap();
    sink.put_project(&path, patch).await.unwrap();
    if sink.capabilities().read_back {
        let project = sink
            .project(&path)
            .await
            .unwrap()
            .expect("the project is there");
        assert_eq!(project.description.as_deref(), Some("notes"));
    }
}

async fn digest(sink: &dyn Sink, stream: HistoryStream, key: &str) -> (u64, String) {
    let mut hasher = SeriesHasher::default();
    let mut series = sink.series(&path(), stream).await.unwrap();
    series.retain(|series| series.key.as_str() == key);
    let mut batches = sink.points(&path(), stream, series);
    while let Some(batch) = batches.try_next().await.unwrap() {
        hasher.update(&batch);
    }
    (hasher.count(), hasher.digest().to_string())
}

fn expected(batch: &PointBatch) -> (u64, String) {
    let mut hasher = SeriesHasher::default();
    hasher.update(batch);
    (hasher.count(), hasher.digest().to_string())
}

async fn open(sink: &dyn Sink, run: &Run, token: &str) -> Box<dyn RunWriter> {
    let there = sink.run(&run.path).await.unwrap();
    sink.open_run(run, there.as_ref(), token).await.unwrap()
}

async fn one_run(sink: &dyn Sink) {
    let run = whole_run();
    assert_eq!(
        sink.run(&run.path).await.unwrap(),
        None,
        "a fresh sink is empty"
    );
    let mut writer = open(sink, &run, "f1").await;
    let history = writer.history(Metrics).await.unwrap();
    assert!(
        history.committed().is_empty() && history.staged().is_empty(),
        "nothing is there before"
    );
    history.points(0, points("a", 0, 10)).await.unwrap();
    let system = writer.history(System).await.unwrap();
    system.points(0, points("a", 7, 9)).await.unwrap();
    let history = writer.history(Metrics).await.unwrap();
    history.points(10, points("a", 10, 2000)).await.unwrap();
    history.points(0, points("b/c", 0, 1)).await.unwrap();
    let info = writer
        .file(FileDraft::new("dir/ü .txt"), bytes_of("hello"))
        .await
        .unwrap();
    assert_eq!(info.digests.size, 5);
    writer
        .file(FileDraft::new("empty"), bytes_of(""))
        .await
        .unwrap();
    if let Some(now) = sink.run(&run.path).await.unwrap() {
        assert!(
            now.import.is_none_or(|stamp| !stamp.complete),
            "an import that runs is not complete"
        );
    }
    writer.commit(run.clone()).await.unwrap();
    if !sink.capabilities().read_back {
        return;
    }
    let there = sink
        .run(&run.path)
        .await
        .unwrap()
        .expect("the run is there");
    assert_eq!(
        there,
        Run {
            version: there.version,
            ..run
        },
        "the run reads back as it was written"
    );
    assert_eq!(
        digest(sink, Metrics, "a").await,
        expected(&points("a", 0, 2000)),
        "points read back as they were written"
    );
    assert_eq!(
        digest(sink, System, "a").await,
        expected(&points("a", 7, 9)),
        "system metrics are a history of their own"
    );
    let mut keys = Vec::new();
    let series = sink.series(&path(), Metrics).await.unwrap();
    let mut batches = sink.points(&path(), Metrics, series);
    while let Some(batch) = batches.try_next().await.unwrap() {
        keys.push(batch.key.to_string());
    }
    keys.dedup();
    assert_eq!(
        keys,
        ["a", "b/c"],
        "series come one after the other, by key"
    );
    let files: Vec<_> = sink.files(&path()).try_collect().await.unwrap();
    assert_eq!(
        files.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        ["dir/ü .txt", "empty"]
    );
    let mut body = sink.open_file(&path(), "dir/ü .txt").await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = body.try_next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes, b"hello");
}

async fn growing_run(sink: &dyn Sink) {
    let run = whole_run();
    let mut writer = open(sink, &run, "f1").await;
    let history = writer.history(Metrics).await.unwrap();
    history.points(0, points("a", 0, 100)).await.unwrap();
    writer.commit(run.clone()).await.unwrap();
    let mut writer = open(sink, &run, "f2").await;
    assert_eq!(
        writer
            .history(Metrics)
            .await
            .unwrap()
            .committed()
            .iter()
            .map(|s| s.count)
            .collect::<Vec<_>>(),
        [100],
        "what is there is told"
    );
    let history = writer.history(Metrics).await.unwrap();
    history.points(100, points("a", 100, 150)).await.unwrap();
    writer.commit(run.clone()).await.unwrap();
    if !sink.capabilities().read_back {
        return;
    }
    assert_eq!(
        digest(sink, Metrics, "a").await,
        expected(&points("a", 0, 150)),
        "new points come behind the old"
    );
    if sink.capabilities().rewrite_history {
        let mut writer = open(sink, &run, "f3").await;
        let history = writer.history(Metrics).await.unwrap();
        history.points(0, points("a", 50, 60)).await.unwrap();
        writer.commit(run).await.unwrap();
        assert_eq!(
            digest(sink, Metrics, "a").await,
            expected(&points("a", 50, 60)),
            "a series can be written anew"
        );
    }
}

async fn abandoned_run(sink: &dyn Sink) {
    let run = whole_run();
    let mut writer = open(sink, &run, "f1").await;
    let history = writer.history(Metrics).await.unwrap();
    history.points(0, points("a", 0, 100)).await.unwrap();
    history.checkpoint().await.unwrap();
    history.points(100, points("a", 100, 200)).await.unwrap();
    drop(writer);
    let mut writer = open(sink, &run, "f1").await;
    let history = writer.history(Metrics).await.unwrap();
    let staged: u64 = history.staged().iter().map(|s| s.count).sum();
    assert!(
        staged == 0 || staged >= 100,
        "a checkpoint is kept whole or not at all"
    );
    let staged = i64::try_from(staged).unwrap();
    if staged < 250 {
        history
            .points(staged.unsigned_abs(), points("a", staged, 250))
            .await
            .unwrap();
    }
    writer.commit(run).await.unwrap();
    if sink.capabilities().read_back {
        assert_eq!(
            digest(sink, Metrics, "a").await,
            expected(&points("a", 0, 250)),
            "nothing is lost and nothing is twice"
        );
    }
}

async fn artifacts(sink: &dyn Sink) {
    let run = whole_run();
    open(sink, &run, "f1")
        .await
        .commit(run.clone())
        .await
        .unwrap();
    let path = CollectionPath::new(run.path.project_path(), "model ü").unwrap();
    let mut patch = CollectionPatch::new();
    patch.kind = Some("model".to_owned());
    sink.put_collection(&path, patch).await.unwrap();
    let mut draft = ArtifactDraft::new();
    draft.aliases = vec!["best".to_owned()];
    draft.source_key = Some("key-1".to_owned());
    draft.index = Some(3);
    for _ in 0..2 {
        let mut writer = sink.open_version(&path, draft.clone()).await.unwrap();
        writer
            .add("weights.bin".into(), Content::Bytes(bytes_of("0123")))
            .await
            .unwrap();
        writer
            .add(
                "far".into(),
                Content::Reference("s3://bucket/far".to_owned()),
            )
            .await
            .unwrap();
        let version = writer.commit().await.unwrap();
        assert_eq!(version.source_key.as_deref(), Some("key-1"));
        let entry = ArtifactUse {
            run: run.path.clone(),
            collection: path.clone(),
            index: version.index,
            role: UseRole::Logged,
            step: Some(7),
        };
        sink.put_use(entry).await.unwrap();
    }
    let versions: Vec<_> = sink.versions(&path).try_collect().await.unwrap();
    let [version] = &versions[..] else {
        panic!("a version that is opened twice is one: {versions:?}");
    };
    assert_eq!(version.source_key.as_deref(), Some("key-1"));
    assert_eq!(version.aliases, ["best"]);
    let other = CollectionPath::new(run.path.project_path(), "no model").unwrap();
    let none: Vec<_> = sink.versions(&other).try_collect().await.unwrap();
    assert_eq!(none, [], "a collection that is not there has no versions");
    let entries: Vec<_> = sink
        .manifest(&path, version.index)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        entries.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
        ["far", "weights.bin"]
    );
}
