//! What any server of W&B knows: our server, asked for nothing beyond it.

use std::sync::Arc;

use futures::TryStreamExt;
use serde_json::json;
use tracker_model::{
    Change, ErrorKind, HistoryQuery, HistoryRow, HistoryStore, HistoryStream, ImportStamp,
    JsonObject, JsonPatch, LogLine, LogStore, MemoryTracker, Precondition, Run, RunFilter,
    RunOrder, RunPatch, RunPath, RunQuery, RunState, RunStore, SeriesKey, Timestamp, Tracker,
    Value, rows_of, split_rows,
};

async fn plain() -> super::RemoteTracker {
    let memory = Arc::new(MemoryTracker::new());
    super::serve(memory.clone(), memory, true).await
}

fn object(json: serde_json::Value) -> JsonObject {
    json.as_object().cloned().unwrap()
}

fn path(id: &str) -> RunPath {
    format!("local/plain/{id}").parse().unwrap()
}

fn whole_run() -> Run {
    let mut run = Run::new(path("r"), Timestamp::from_parts(-1, 7));
    run.name = Some("a run".to_owned());
    run.state = RunState::Failed;
    run.started_at = Some(Timestamp::from_parts(1_700_000_000_000, 1));
    run.ended_at = Some(Timestamp::from_millis(1_700_000_001_000));
    run.user = Some("somebody".to_owned());
    run.host = Some("host".to_owned());
    run.program = Some("train.py".to_owned());
    run.args = vec!["--lr".to_owned(), String::new()];
    run.group = Some("g".to_owned());
    run.tags = vec!["b".to_owned(), "a".to_owned()];
    run.notes = Some("two\nlines".to_owned());
    run.config = object(json!({ "lr": 0.1, "n": "NaN", "deep": { "value": 1 } }));
    run.summary = object(json!({ "loss": 0.5 }));
    run.parent = Some("other".parse().unwrap());
    run.extras = object(json!({ "mlflow": { "tags": { "a.b": "c" } } }));
    run.import = Some(ImportStamp {
        source: "s".to_owned(),
        run: "1".to_owned(),
        complete: true,
        fingerprint: "f".to_owned(),
    });
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_wire_has_not_survives() {
    let tracker = plain().await;
    assert!(!tracker.capabilities().atomic_changes && !tracker.capabilities().sweeps);
    let mut wanted = whole_run();
    let patch = RunPatch::replacing_all(&wanted);
    let versioned = tracker
        .upsert_run(&wanted.path, patch.clone(), Precondition::Version(1))
        .await;
    assert_eq!(versioned.unwrap_err().kind(), ErrorKind::Unsupported);
    let made = tracker
        .upsert_run(&wanted.path, patch, Precondition::Absent)
        .await
        .unwrap();
    wanted.version = 1;
    assert_eq!(made, wanted);
    assert_eq!(tracker.run(&wanted.path).await.unwrap(), wanted);
    let again = tracker
        .upsert_run(&wanted.path, RunPatch::new(), Precondition::Absent)
        .await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);

    let mut patch = RunPatch::new().with_config(JsonPatch::Merge {
        set: object(json!({ "new": [null] })),
        remove: vec!["n".to_owned()],
    });
    patch.parent = Change::Clear;
    let changed = tracker
        .upsert_run(&wanted.path, patch.clone(), Precondition::Present)
        .await;
    patch.apply(&mut wanted);
    wanted.version = 2;
    assert_eq!(
        changed.unwrap(),
        wanted,
        "what a change does not name stays"
    );
    let query = || RunQuery::of_project(&wanted.path.project_path());
    let listed: Vec<Run> = tracker.find_runs(query()).try_collect().await.unwrap();
    assert_eq!(listed, [wanted.clone()]);

    let deleted = RunPatch::new().with_deleted(true);
    tracker
        .upsert_run(&wanted.path, deleted, Precondition::None)
        .await
        .unwrap();
    assert_eq!(tracker.count_runs(&query()).await.unwrap(), 0);
    assert_eq!(
        tracker
            .count_runs(&query().with_deleted(true))
            .await
            .unwrap(),
        1
    );
    tracker.delete_run(&wanted.path).await.unwrap();
    assert_eq!(
        tracker.run(&wanted.path).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

/// Filters and orders that the server does not know are decided here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_by_what_only_the_model_has() {
    let tracker = plain().await;
    for i in 0..7_i64 {
        let mut patch = RunPatch::new().with_config(JsonPatch::Replace(object(json!({ "i": i }))));
        patch.program = Change::Set(format!("p{}", i % 2));
        patch.extras = JsonPatch::Replace(object(json!({ "x": { "n": 10 - i } })));
        patch.created_at = Some(Timestamp::from_millis(i));
        tracker
            .upsert_run(&path(&format!("r{i}")), patch, Precondition::None)
            .await
            .unwrap();
    }
    let ids = async |filter: &str, order: &str, limit| {
        let query = RunQuery::of_project(&path("r").project_path())
            .with_filter(RunFilter::parse(filter).unwrap())
            .with_order(RunOrder::parse([order]).unwrap())
            .with_limit(limit);
        let count = tracker.count_runs(&query).await.unwrap();
        let runs: Vec<Run> = tracker.find_runs(query).try_collect().await.unwrap();
        let ids: Vec<_> = runs
            .into_iter()
            .map(|run| run.path.run.to_string())
            .collect();
        (ids.join(" "), count)
    };
    let said = |text: &str, count| (text.to_owned(), count);
    assert_eq!(
        ids("program = p1", "+extras.x.n", 9).await,
        said("r5 r3 r1", 3)
    );
    assert_eq!(ids("program = p1", "-config.i", 2).await, said("r5 r3", 3));
    assert_eq!(
        ids("config.i > 3", "+extras.x.n", 2).await,
        said("r6 r5", 3)
    );
    assert_eq!(ids("config.i > 3", "+config.i", 2).await, said("r4 r5", 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_and_logs_as_rows_and_lines() {
    let tracker = plain().await;
    let run = path("history");
    tracker
        .upsert_run(&run, RunPatch::new(), Precondition::None)
        .await
        .unwrap();
    // Times are doubles on the wire: these are exact ones.
    let row = |n: u64| HistoryRow {
        row: n,
        step: 3 * n as i64,
        time: Some(Timestamp::from_millis(1_700_000_000_000 + 125 * n as i64)),
        values: [
            (
                "a",
                Some(Value::F64(if n == 4 { f64::NAN } else { n as f64 / 3.0 })),
            ),
            ("b", n.is_multiple_of(2).then(|| Value::Str(n.to_string()))),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((SeriesKey::from(key), value?)))
        .collect(),
    };
    for (at, to) in [(0, 600), (590, 1_200)] {
        let batches = split_rows((at..to).map(row)).unwrap();
        let next = tracker
            .append(&run, HistoryStream::Metrics, at, batches)
            .await;
        assert_eq!(next.unwrap(), to);
    }
    assert_eq!(
        tracker
            .next_row(&run, HistoryStream::Metrics)
            .await
            .unwrap(),
        1_200
    );
    let gap = split_rows([row(1_300)]).unwrap();
    let gap = tracker
        .append(&run, HistoryStream::Metrics, 1_300, gap)
        .await;
    assert_eq!(gap.unwrap_err().kind(), ErrorKind::InvalidInput);
    let rows = async |query: HistoryQuery| {
        let rows = rows_of(tracker.scan(&run, query.with_rows(true)));
        rows.try_collect::<Vec<HistoryRow>>().await.unwrap()
    };
    let all = rows(HistoryQuery::new().with_keys(["a", "b"])).await;
    assert_eq!(all.len(), 1_200);
    for (there, wanted) in all.iter().zip((0..).map(row)) {
        assert_eq!(format!("{there:?}"), format!("{wanted:?}"));
    }
    let some = HistoryQuery::new()
        .with_keys(["b"])
        .with_steps(30..=60)
        .with_from_index(6);
    let steps: Vec<i64> = rows(some).await.into_iter().map(|row| row.step).collect();
    assert_eq!(steps, [36, 42, 48, 54, 60]);
    let series = tracker.series(&run, HistoryStream::Metrics).await.unwrap();
    let counts: Vec<_> = series
        .iter()
        .filter(|info| info.key.as_str() != "_runtime")
        .map(|info| (info.key.as_str(), info.count))
        .collect();
    assert_eq!(counts, [("a", 1_200), ("b", 600)]);
    let writer = tracker
        .history_writer(&run, HistoryStream::Metrics, "t")
        .await;
    assert_eq!(writer.unwrap_err().kind(), ErrorKind::Unsupported);

    let mut line = LogLine::new(2, "two");
    line.time = Some(Timestamp::from_millis(1_700_000_000_000));
    tracker
        .write_log(&run, vec![LogLine::new(0, "zero"), line.clone()])
        .await
        .unwrap();
    assert_eq!(tracker.log_length(&run).await.unwrap(), 3);
    let lines: Vec<Vec<LogLine>> = tracker.log_lines(&run, 0..9).try_collect().await.unwrap();
    assert_eq!(
        lines.concat(),
        [LogLine::new(0, "zero"), LogLine::new(1, ""), line]
    );
}
