//! What any server of W&B knows: our server, asked for nothing beyond it.

use std::sync::Arc;

use futures::TryStreamExt;
use serde_json::json;
use tracker_model::{
    ArtifactContents, ArtifactDraft, ArtifactStore, ArtifactUse, ArtifactVersion, Change,
    CollectionPatch, CollectionPath, CollectionStore, Content, EntryDraft, ErrorKind, HistoryQuery,
    HistoryRow, HistoryStore, HistoryStream, ImportStamp, JsonObject, JsonPatch, Lineage,
    LinkDraft, LogLine, LogStore, ManifestEntry, MemoryTracker, Precondition, Report, ReportPatch,
    ReportStore, Run, RunFilter, RunOrder, RunPatch, RunPath, RunQuery, RunState, RunStore,
    SeriesKey, SweepPatch, SweepState, SweepStore, Timestamp, Tracker, UseRole, Value, VersionLink,
    VersionPatch, VersionRef, bytes_of, collect_bytes, rows_of, split_rows,
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

fn collection(name: &str) -> CollectionPath {
    CollectionPath::new(path("r").project_path(), name).unwrap()
}

async fn make(
    tracker: &super::RemoteTracker,
    path: &CollectionPath,
    draft: ArtifactDraft,
    body: &'static str,
) -> tracker_model::Result<ArtifactVersion> {
    let mut writer = tracker.artifact_writer(path, draft).await?;
    let mut entry = EntryDraft::new("d/f.txt");
    entry.extras = object(json!({ "mlflow": { "n": 1 }, "wandb": { "extra": { "mine": true } } }));
    writer.add(entry, Content::Bytes(bytes_of(body))).await?;
    writer
        .add("empty".into(), Content::Bytes(bytes_of("")))
        .await?;
    let url = Content::Reference("s3://bucket/x".to_owned());
    writer.add("ref".into(), url).await?;
    let again = writer
        .add("ref".into(), Content::Bytes(bytes_of("x")))
        .await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::InvalidInput);
    writer.commit().await
}

fn whole_draft() -> ArtifactDraft {
    let mut draft = ArtifactDraft::new();
    draft.aliases = vec!["best".to_owned(), "ü".to_owned()];
    draft.tags = vec!["t".to_owned()];
    draft.description = Some("text".to_owned());
    draft.metadata = object(json!({ "acc": 0.5, "deep": [{ "x": null }] }));
    draft.ttl_seconds = Some(3_600);
    draft.created_at = Some(Timestamp::from_parts(1_700_000_000_000, 1));
    draft.logged_by = Some(path("maker"));
    draft.source_key = Some("key".to_owned());
    draft.extras = object(json!({ "mlflow": { "stage": "x" } }));
    draft
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_in_the_words_of_the_wire() {
    let tracker = plain().await;
    let can = tracker.capabilities();
    assert!(can.links && !can.stored_content && !can.contents && !can.version_indices);
    let model = collection("model");
    assert_eq!(
        tracker.collection(&model).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let absent = tracker.artifact_writer(&model, ArtifactDraft::new()).await;
    assert_eq!(absent.unwrap_err().kind(), ErrorKind::NotFound);
    for run in ["maker", "user"] {
        let patch = RunPatch::new();
        tracker
            .upsert_run(&path(run), patch, Precondition::None)
            .await
            .unwrap();
    }
    // What has no versions is known here alone.
    let mut patch = CollectionPatch::new();
    patch.kind = Some("model".to_owned());
    patch.description = Change::Set("of all".to_owned());
    tracker.upsert_collection(&model, patch).await.unwrap();
    let none: Vec<_> = tracker.versions(&model).try_collect().await.unwrap();
    assert!(none.is_empty());

    let made = make(&tracker, &model, whole_draft(), "contents")
        .await
        .unwrap();
    let there = tracker.collection(&model).await.unwrap();
    assert_eq!(
        (there.kind.as_str(), there.description.as_deref()),
        ("model", Some("of all"))
    );
    let draft = whole_draft();
    assert_eq!((made.index, made.entries, made.size), (0, 3, 8));
    assert_eq!((&made.aliases, &made.tags), (&draft.aliases, &draft.tags));
    assert_eq!(
        (&made.description, &made.metadata),
        (&draft.description, &draft.metadata)
    );
    assert_eq!(
        (
            made.ttl_seconds,
            made.created_at,
            &made.logged_by,
            &made.source_key
        ),
        (
            draft.ttl_seconds,
            draft.created_at.unwrap(),
            &draft.logged_by,
            &draft.source_key
        )
    );
    assert_eq!(made.extras["mlflow"], draft.extras["mlflow"]);
    let by_alias = tracker
        .version(&model, &VersionRef::Alias("ü".to_owned()))
        .await;
    assert_eq!(by_alias.unwrap(), made);

    let entries: Vec<ManifestEntry> = tracker.manifest(&model, 0).try_collect().await.unwrap();
    let names: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(names, ["d/f.txt", "empty", "ref"]);
    let digests = entries[0].digests.clone().unwrap();
    assert_eq!(
        (digests.size, digests.blake3.len(), digests.sha256.len()),
        (8, 64, 64)
    );
    assert_eq!(entries[0].extras["mlflow"], json!({ "n": 1 }));
    assert_eq!(entries[0].extras["wandb"]["extra"], json!({ "mine": true }));
    assert_eq!(entries[2].reference.as_deref(), Some("s3://bucket/x"));
    assert_eq!(tracker.entry(&model, 0, "empty").await.unwrap(), entries[1]);
    for (range, wanted) in [
        (None, "contents"),
        (Some(2..5), "nte"),
        (Some(6..99), "ts"),
        (Some(9..12), ""),
    ] {
        let body = tracker
            .open_entry(&model, 0, "d/f.txt", range)
            .await
            .unwrap();
        assert_eq!(collect_bytes(body, 100).await.unwrap(), wanted.as_bytes());
    }
    for (entry, wanted) in [
        ("ref", ErrorKind::Unsupported),
        ("none", ErrorKind::NotFound),
    ] {
        let opened = tracker.open_entry(&model, 0, entry, None).await;
        assert_eq!(opened.err().map(|e| e.kind()), Some(wanted), "{entry}");
    }

    // The same contents are another version, unless they are known by their key.
    let second = make(&tracker, &model, ArtifactDraft::new(), "contents")
        .await
        .unwrap();
    assert_eq!((second.index, &second.digest), (1, &made.digest));
    let mut again = whole_draft();
    again.description = Some("later".to_owned());
    again.aliases = vec!["new".to_owned()];
    let again = make(&tracker, &model, again, "contents").await.unwrap();
    assert_eq!(
        (again.index, again.description.as_deref()),
        (0, Some("later"))
    );
    assert_eq!(again.aliases, ["new"]);
    let other = make(&tracker, &model, whole_draft(), "other").await;
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Unsupported);
    let mut writer = tracker
        .artifact_writer(&model, ArtifactDraft::new())
        .await
        .unwrap();
    let stored = writer.add("x".into(), Content::Stored(digests)).await;
    assert_eq!(stored.unwrap_err().kind(), ErrorKind::Unsupported);

    let mut patch = VersionPatch::new();
    patch.metadata = JsonPatch::Merge {
        set: object(json!({ "new": 1 })),
        remove: vec!["deep".to_owned()],
    };
    patch.tags = Some(vec!["u".to_owned()]);
    patch.aliases = Some(vec!["new".to_owned(), "prod".to_owned()]);
    patch.ttl_seconds = Change::Clear;
    patch.description = Change::Clear;
    let changed = tracker.update_version(&model, 0, patch).await.unwrap();
    assert_eq!(changed.metadata, object(json!({ "acc": 0.5, "new": 1 })));
    assert_eq!(
        (&changed.tags[..], changed.ttl_seconds),
        (&["u".to_owned()][..], None)
    );
    assert_eq!(changed.aliases, ["new", "prod"]);
    assert_eq!(
        (
            changed.description.as_deref(),
            changed.source_key.as_deref()
        ),
        (None, Some("key"))
    );
    let listed: Vec<ArtifactVersion> = tracker.versions(&model).try_collect().await.unwrap();
    assert_eq!(listed[0], changed);
    assert_eq!(listed.len(), 2);
    let latest = tracker
        .version(&model, &VersionRef::Alias("latest".to_owned()))
        .await;
    assert_eq!(latest.unwrap().index, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_lineage_in_the_words_of_the_wire() {
    let tracker = plain().await;
    let (model, shown) = (collection("model"), collection("shown"));
    for run in ["maker", "user"] {
        let patch = RunPatch::new();
        tracker
            .upsert_run(&path(run), patch, Precondition::None)
            .await
            .unwrap();
    }
    tracker
        .upsert_collection(&model, CollectionPatch::new())
        .await
        .unwrap();
    let made = make(&tracker, &model, whole_draft(), "contents")
        .await
        .unwrap();
    let target = VersionLink {
        collection: model.clone(),
        index: 0,
    };
    let nowhere = tracker
        .link_version(&shown, &target, LinkDraft::new())
        .await;
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
    let mut patch = CollectionPatch::new();
    patch.portfolio = Some(true);
    tracker.upsert_collection(&shown, patch).await.unwrap();
    let draft = LinkDraft::new().with_aliases(["gold"]);
    let link = tracker.link_version(&shown, &target, draft).await.unwrap();
    assert_eq!((link.index, &link.link_of), (0, &Some(target.clone())));
    // A server of W&B may give the newest link one more.
    assert!(link.aliases.contains(&"gold".to_owned()) && link.digest == made.digest);
    assert!(tracker.collection(&shown).await.unwrap().portfolio);
    let mut patch = VersionPatch::new();
    patch.aliases = Some(vec!["silver".to_owned()]);
    let link = tracker.update_version(&shown, 0, patch).await.unwrap();
    assert_eq!(link.aliases, ["silver"]);
    let listed: Vec<ArtifactVersion> = tracker.versions(&shown).try_collect().await.unwrap();
    assert_eq!((listed.len(), &listed[0].link_of), (1, &Some(target)));
    let source = tracker
        .version(&model, &VersionRef::Index(0))
        .await
        .unwrap();
    assert_eq!(source.aliases, made.aliases);
    let body = tracker
        .open_entry(&shown, 0, "d/f.txt", None)
        .await
        .unwrap();
    assert_eq!(collect_bytes(body, 100).await.unwrap(), b"contents");

    let entry = |run: &str, role, step| ArtifactUse {
        run: path(run),
        collection: model.clone(),
        index: 0,
        role,
        step,
    };
    let used = entry("user", UseRole::Used, None);
    tracker.record_use(used.clone()).await.unwrap();
    let logged = entry("maker", UseRole::Logged, None);
    tracker.record_use(logged.clone()).await.unwrap();
    for refused in [
        entry("user", UseRole::Logged, None),
        entry("user", UseRole::Used, Some(3)),
    ] {
        let refused = tracker.record_use(refused).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let uses: Vec<_> = tracker
        .uses_of_version(&model, 0)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(uses, [logged.clone(), used.clone()]);
    let uses: Vec<_> = tracker
        .uses_of_run(&path("user"))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(uses, [used]);
    let uses: Vec<_> = tracker
        .uses_of_run(&path("maker"))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(uses, [logged]);

    tracker.delete_version(&shown, 0).await.unwrap();
    let gone = tracker.version(&shown, &VersionRef::Index(0)).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    tracker.delete_version(&model, 0).await.unwrap();
    let left: Vec<ArtifactVersion> = tracker.versions(&model).try_collect().await.unwrap();
    assert!(left.is_empty());
    tracker.delete_collection(&model).await.unwrap();
    tracker.delete_collection(&shown).await.unwrap();
    let project = path("r").project_path();
    let left: Vec<_> = tracker.collections(&project).try_collect().await.unwrap();
    assert!(left.is_empty());
}

/// What is there is changed; the ids of what is new are the server's to choose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_reports_and_rewinds_in_the_words_of_the_wire() {
    let memory = Arc::new(MemoryTracker::new());
    let tracker = super::serve(memory.clone(), memory.clone(), true).await;
    let project = path("r").project_path();
    let config =
        |method: &str| object(json!({ "method": method, "parameters": { "a": { "value": 1 } } }));

    let sweep = project.sweep("s1".parse().unwrap());
    let absent = tracker.upsert_sweep(&sweep, SweepPatch::new()).await;
    assert_eq!(absent.unwrap_err().kind(), ErrorKind::Unsupported);
    let mut patch = SweepPatch::new();
    patch.config = JsonPatch::Replace(config("grid"));
    memory.upsert_sweep(&sweep, patch).await.unwrap();
    let mut patch = SweepPatch::new();
    patch.name = Change::Set("rates".to_owned());
    patch.state = Some(SweepState::Paused);
    patch.config = JsonPatch::Replace(config("random"));
    let changed = tracker.upsert_sweep(&sweep, patch).await.unwrap();
    let there = memory.sweep(&sweep).await.unwrap();
    for seen in [&changed, &there] {
        assert_eq!(
            (seen.name.as_deref(), seen.state),
            (Some("rates"), SweepState::Paused)
        );
        assert_eq!(seen.config, config("random"));
    }
    let mut patch = SweepPatch::new();
    patch.user = Change::Set("ada".to_owned());
    let refused = tracker.upsert_sweep(&sweep, patch).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);

    let mut patch = ReportPatch::new();
    patch.title = Change::Set("old".to_owned());
    memory
        .upsert_report(&project.report("r1".parse().unwrap()), patch)
        .await
        .unwrap();
    let listed: Vec<Report> = tracker.reports(&project).try_collect().await.unwrap();
    let mut patch = ReportPatch::new();
    patch.title = Change::Set("new".to_owned());
    patch.spec = Some("{\"version\":5}".to_owned());
    let changed = tracker.upsert_report(&listed[0].path, patch).await.unwrap();
    assert_eq!(
        (changed.title.as_deref(), changed.spec.as_str()),
        (Some("new"), "{\"version\":5}")
    );
    let there = memory
        .report(&project.report("r1".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(
        (there.title.as_deref(), there.spec.as_str()),
        (Some("new"), "{\"version\":5}")
    );
    let absent = project.report("nothing".parse().unwrap());
    let absent = tracker.upsert_report(&absent, ReportPatch::new()).await;
    assert_eq!(absent.unwrap_err().kind(), ErrorKind::Unsupported);

    let run = path("r");
    tracker
        .upsert_run(&run, RunPatch::new(), Precondition::None)
        .await
        .unwrap();
    let row = |row: u64, step: i64| HistoryRow {
        row,
        step,
        time: None,
        values: vec![("a".into(), Value::I64(step + row as i64))],
    };
    let stream = HistoryStream::Metrics;
    let rows = split_rows((0..10).map(|n| row(n, 3 * n as i64))).unwrap();
    tracker.append(&run, stream, 0, rows).await.unwrap();
    let first = tracker.truncate(&run, stream, 0).await;
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Unsupported);
    tracker.truncate(&run, stream, 10).await.unwrap();
    assert_eq!(tracker.next_row(&run, stream).await.unwrap(), 10);
    tracker.truncate(&run, stream, 4).await.unwrap();
    assert_eq!(memory.next_row(&run, stream).await.unwrap(), 4);
    let again = split_rows([row(4, 9)]).unwrap();
    tracker.append(&run, stream, 4, again).await.unwrap();
    let twice = tracker.truncate(&run, stream, 4).await;
    assert_eq!(
        twice.unwrap_err().kind(),
        ErrorKind::Unsupported,
        "a step of two rows"
    );
}
