use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use futures::TryStreamExt;
use importer_core::{
    CheckOptions, ErrorKind, ImportOptions, Kind, KindSet, Ledger, LedgerEntry, LedgerKey,
    MemoryLedger, Namespace, ProjectMap, Receipt, Result, RunStatus, Selection, Silent, Sink,
    Source, SourceItem, TrackerSink, TrackerSource, VerifyDepth, check, import,
};
use tracker_model::{
    Change, FileInfo, HistoryQuery, HistoryStream, ImportStamp, MemoryTracker, Precondition, Run,
    RunFilter, RunPatch, RunPath, RunQuery, SeriesHasher, Timestamp, Tracker,
};

use crate::{
    counting::CountingSink,
    receipt::balanced,
    scripted::{Script, ScriptRun, ScriptSource, T0, batches},
};

/// A source, and a store to import it into.
pub(crate) struct Bench {
    pub(crate) source: Arc<ScriptSource>,
    pub(crate) tracker: Arc<dyn Tracker>,
    pub(crate) ledger: Arc<dyn Ledger>,
}

impl Bench {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            source: Arc::new(script.into_source()),
            tracker: Arc::new(MemoryTracker::new()),
            ledger: Arc::new(MemoryLedger::new()),
        }
    }

    /// The same store, another state of the source.
    pub(crate) fn with(&self, script: Script) -> Self {
        Self {
            source: Arc::new(script.into_source()),
            tracker: Arc::clone(&self.tracker),
            ledger: Arc::clone(&self.ledger),
        }
    }

    pub(crate) fn try_import(
        &self,
        selection: Selection,
        options: ImportOptions,
    ) -> impl Future<Output = Result<Receipt>> + Send + use<> {
        let sink: Arc<dyn Sink> = Arc::new(TrackerSink::new(Arc::clone(&self.tracker)));
        let (source, ledger) = (self.source.clone(), self.ledger.clone());
        import(source, sink, ledger, selection, options, Arc::new(Silent))
    }

    pub(crate) async fn import(&self) -> Receipt {
        let receipt = self
            .try_import(Selection::new(), ImportOptions::default())
            .await
            .unwrap();
        balanced(&receipt);
        receipt
    }

    pub(crate) fn counting(&self) -> Arc<CountingSink> {
        let sink = TrackerSink::new(Arc::clone(&self.tracker));
        Arc::new(CountingSink::new(Arc::new(sink)))
    }

    /// Imports all of it through another sink.
    pub(crate) async fn import_into(
        &self,
        sink: &Arc<CountingSink>,
        options: ImportOptions,
    ) -> Result<Receipt> {
        let (source, ledger) = (self.source.clone(), self.ledger.clone());
        let sink = Arc::clone(sink);
        let selection = Selection::new();
        import(source, sink, ledger, selection, options, Arc::new(Silent)).await
    }

    /// Everything in the store that should not depend on how it came there.
    async fn contents(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let runs: Vec<Run> = self
            .tracker
            .find_runs(RunQuery::new().with_deleted(true))
            .try_collect()
            .await
            .unwrap();
        for mut run in runs {
            let path = run.path.clone();
            run.version = 0;
            let mut series = Vec::new();
            for stream in [HistoryStream::Metrics, HistoryStream::System] {
                for info in self.tracker.series(&path, stream).await.unwrap() {
                    let mut hasher = SeriesHasher::default();
                    let query = HistoryQuery::new().with_stream(stream);
                    let query = query.with_keys([info.key.as_str()]);
                    let mut batches = self.tracker.scan(&path, query);
                    while let Some(batch) = batches.try_next().await.unwrap() {
                        hasher.update(&batch);
                    }
                    series.push((stream, info, hasher.digest().to_string()));
                }
            }
            let files: Vec<FileInfo> = self.tracker.files(&path).try_collect().await.unwrap();
            // As text: a last value that is NaN is equal to itself.
            out.insert(path.to_string(), format!("{run:?} {series:?} {files:?}"));
        }
        out
    }
}

fn run(id: &str, points: usize) -> ScriptRun {
    ScriptRun {
        id: id.into(),
        project: "p".into(),
        series: BTreeMap::from([("loss".into(), (0..points).map(|i| i as f64).collect())]),
        ..ScriptRun::default()
    }
}

fn status(receipt: &Receipt, id: &str) -> RunStatus {
    receipt
        .runs
        .iter()
        .find(|r| r.source_id == id)
        .expect("a line for the run")
        .status
}

#[tokio::test]
async fn a_repeat_reads_and_writes_nothing() {
    let bench = Bench::new(Script::varied());
    let first = bench.import().await;
    assert_eq!(first.failures, []);
    assert_eq!(
        first.totals.get(Kind::Runs).identical,
        11,
        "one of twelve runs is deleted"
    );
    let before = bench.contents().await;
    let reads = bench.source.reads.load(Ordering::Relaxed);
    let second = bench.import().await;
    let running = 3;
    assert_eq!(
        bench.source.reads.load(Ordering::Relaxed) - reads,
        running,
        "only running runs are looked at again"
    );
    assert!(second.runs.iter().all(|r| r.status == RunStatus::Unchanged));
    assert_eq!(
        second.totals.get(Kind::Points).skipped,
        first.totals.get(Kind::Points).source()
    );
    assert_eq!(bench.contents().await, before);
}

#[tokio::test]
async fn system_metrics_go_from_store_to_store() {
    let mut with_system = run("r", 5);
    let values: Vec<f64> = (0..100).map(f64::from).collect();
    with_system.system = BTreeMap::from([
        ("loss".to_owned(), values[..3].to_vec()),
        ("gpu.0".to_owned(), values),
    ]);
    let first = Bench::new(Script::of(vec![with_system]));
    first.import().await;
    let copy: Arc<dyn Tracker> = Arc::new(MemoryTracker::new());
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let sink: Arc<dyn Sink> = Arc::new(TrackerSink::new(Arc::clone(&copy)));
    let source = Arc::new(TrackerSource::new(Arc::clone(&first.tracker)));
    let receipt = import(
        source.clone(),
        sink.clone(),
        ledger.clone(),
        Selection::new(),
        ImportOptions::default(),
        Arc::new(Silent),
    );
    let receipt = receipt.await.unwrap();
    assert_eq!(receipt.losses, []);
    assert_eq!(receipt.totals.get(Kind::Points).identical, 5 + 3 + 100);
    let checksums = receipt.runs[0].checksums.as_ref().unwrap();
    assert_eq!(checksums.points, 5);
    let counts: Vec<_> = checksums.system.values().map(|s| s.n).collect();
    assert_eq!(counts, [100, 3]);
    let path = "local/p/r".parse().unwrap();
    let there = copy.series(&path, HistoryStream::System).await.unwrap();
    let keys: Vec<_> = there.iter().map(|s| (s.key.as_str(), s.count)).collect();
    assert_eq!(keys, [("gpu.0", 100), ("loss", 3)]);

    let differences = || async {
        let report = check(
            source.clone(),
            sink.clone(),
            ledger.clone(),
            Selection::new(),
            CheckOptions::default(),
            Arc::new(Silent),
        );
        let report = report.await.unwrap();
        let all = report.runs.into_iter().flat_map(|run| run.differences);
        all.map(|d| d.what).collect::<Vec<_>>()
    };
    assert_eq!(differences().await, [""; 0]);
    let mut writer = copy
        .history_writer(&path, HistoryStream::System, "other")
        .await
        .unwrap();
    for batch in batches("loss", &[7.0, 8.0, 9.0], 10) {
        writer.write(0, batch).await.unwrap();
    }
    writer.commit().await.unwrap();
    assert_eq!(differences().await, ["system series \"loss\""]);
}

#[tokio::test]
async fn new_points_of_a_running_run_are_added_alone() {
    let running = |n| {
        Script::of(vec![ScriptRun {
            running: true,
            ..run("r", n)
        }])
    };
    let bench = Bench::new(running(100));
    bench.import().await;
    let receipt = bench.with(running(130)).import().await;
    assert_eq!(status(&receipt, "r"), RunStatus::Updated);
    let points = receipt.totals.get(Kind::Points);
    assert_eq!((points.identical, points.skipped), (30, 100));
    let fresh = Bench::new(running(130));
    fresh.import().await;
    assert_eq!(bench.contents().await, fresh.contents().await);
}

#[tokio::test]
async fn points_that_come_in_between_are_not_missed() {
    let mut other = run("r", 100);
    other.salt = 1;
    other.series.get_mut("loss").unwrap().insert(3, -1.0);
    let bench = Bench::new(Script::of(vec![run("r", 100)]));
    bench.import().await;
    let changed = bench.with(Script::of(vec![other.clone()]));
    let receipt = changed.import().await;
    assert_eq!(receipt.losses, []);
    let fresh = Bench::new(Script::of(vec![other]));
    fresh.import().await;
    assert_eq!(changed.contents().await, fresh.contents().await);
}

#[tokio::test]
async fn a_series_that_shrank_is_written_anew() {
    let bench = Bench::new(Script::of(vec![run("r", 100)]));
    bench.import().await;
    let shorter = || {
        Script::of(vec![ScriptRun {
            salt: 1,
            ..run("r", 60)
        }])
    };
    let changed = bench.with(shorter());
    changed.import().await;
    let fresh = Bench::new(shorter());
    fresh.import().await;
    assert_eq!(changed.contents().await, fresh.contents().await);
}

#[tokio::test]
async fn a_failed_run_stops_nothing_and_is_tried_again() {
    for broken in [
        ScriptRun {
            fails: Some(ErrorKind::Corrupt),
            ..run("bad", 50)
        },
        ScriptRun {
            fails_after: Some(2),
            ..run("bad", 50)
        },
    ] {
        let bench = Bench::new(Script::of(vec![run("a", 10), broken, run("z", 10)]));
        let receipt = bench.import().await;
        assert_eq!(receipt.failures.len(), 1);
        assert_eq!(receipt.failures[0].run, "bad");
        assert_eq!(status(&receipt, "bad"), RunStatus::Failed);
        assert_eq!(receipt.totals.get(Kind::Runs).unreadable, 1);
        assert_eq!(receipt.totals.get(Kind::Runs).identical, 2);
        let mended = bench.with(Script::of(vec![run("a", 10), run("bad", 50), run("z", 10)]));
        let receipt = mended.import().await;
        assert_eq!(receipt.failures, []);
        assert_eq!(status(&receipt, "bad"), RunStatus::Imported);
        assert_eq!(status(&receipt, "a"), RunStatus::Unchanged);
    }
}

#[tokio::test]
async fn what_is_torn_is_counted() {
    let mut broken = run("r", 10);
    broken.torn = 3;
    broken.files = BTreeMap::from([
        ("good".into(), b"1".to_vec()),
        ("lies".into(), b"22".to_vec()),
        ("gone".into(), b"333".to_vec()),
        ("../escapes".into(), b"4".to_vec()),
    ]);
    broken.lying_file = Some("lies".into());
    broken.missing_file = Some("gone".into());
    let bench = Bench::new(Script::of(vec![broken]));
    let receipt = bench.import().await;
    let points = receipt.totals.get(Kind::Points);
    assert_eq!(
        (points.source(), points.identical, points.unreadable),
        (13, 10, 3)
    );
    let files = receipt.totals.get(Kind::Files);
    assert_eq!(
        (
            files.source(),
            files.identical,
            files.unreadable,
            files.lost
        ),
        (4, 1, 2, 1)
    );
    // And three relations of artifacts to a run that is not there.
    assert_eq!(receipt.losses.iter().map(|l| l.count).sum::<u64>(), 9);
    assert!(
        receipt
            .losses
            .iter()
            .all(|l| !l.places.is_empty() && !l.reason.is_empty())
    );
}

#[tokio::test]
async fn projects_whose_names_collide_stay_apart() {
    let bench = Bench::new(Script::varied());
    let receipt = bench.import().await;
    let names: Vec<String> = bench
        .tracker
        .projects(None)
        .map_ok(|p| p.path.to_string())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(
        names.contains(&"local/alpha".to_owned()) && names.contains(&"local/beta-γ".to_owned()),
        "{names:?}"
    );
    let rule = receipt
        .rules
        .iter()
        .find(|r| r.name == "project-name")
        .expect("the rule is told");
    assert_eq!(rule.count, 2);
    let again = bench.import().await;
    assert_eq!(again.totals.get(Kind::Projects).skipped, 3);
}

#[tokio::test]
async fn namespace_and_map_say_where_things_go() {
    let bench = Bench::new(Script::of(vec![run("r", 1)]));
    let mut options = ImportOptions::default();
    options.namespace = Namespace::parse("team/all").unwrap();
    bench
        .try_import(Selection::new(), options.clone())
        .await
        .unwrap();
    options.map = ProjectMap::parse(["p=other/was-*"]).unwrap();
    bench.try_import(Selection::new(), options).await.unwrap();
    let paths: Vec<_> = bench.contents().await.into_keys().collect();
    assert_eq!(paths, ["other/was-p/r", "team/all/r"]);
}

#[tokio::test]
async fn a_run_of_somebody_else_is_not_written_over() {
    let bench = Bench::new(Script::of(vec![run("r", 1), run("s", 1)]));
    let path = "local/p/r".parse().unwrap();
    bench
        .tracker
        .upsert_run(&path, Default::default(), Default::default())
        .await
        .unwrap();
    let before = bench.tracker.run(&path).await.unwrap();
    let receipt = bench.import().await;
    assert_eq!(receipt.failures.len(), 1);
    assert!(
        receipt.failures[0]
            .hint
            .as_deref()
            .unwrap()
            .contains("--namespace")
    );
    assert_eq!(bench.tracker.run(&path).await.unwrap(), before);
    assert_eq!(status(&receipt, "s"), RunStatus::Imported);
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let bench = Bench::new(Script::varied());
    let mut options = ImportOptions::default();
    options.dry_run = true;
    let receipt = bench.try_import(Selection::new(), options).await.unwrap();
    balanced(&receipt);
    assert!(receipt.dry_run);
    assert_eq!(receipt.totals.get(Kind::Runs).source(), 11);
    assert!(bench.contents().await.is_empty());
    assert_eq!(bench.import().await.totals.get(Kind::Runs).identical, 11);
}

#[tokio::test]
async fn limits_and_kinds_are_obeyed_and_made_up_for() {
    let bench = Bench::new(Script::varied());
    let mut selection = Selection::new();
    selection.limit = Some(4);
    selection.kinds = KindSet::except(["files", "artifacts"]).unwrap();
    let receipt = bench
        .try_import(selection, ImportOptions::default())
        .await
        .unwrap();
    assert_eq!(receipt.runs.len(), 4);
    assert_eq!(receipt.totals.get(Kind::Files).source(), 0);
    let full = bench.import().await;
    assert_eq!(full.failures, []);
    let fresh = Bench::new(Script::varied());
    fresh.import().await;
    assert_eq!(bench.contents().await, fresh.contents().await);
}

#[tokio::test]
async fn a_filter_is_asked_before_the_limit_counts() {
    let script = || {
        Script::of(
            (0..20)
                .map(|i| run(&format!("r{i:02}"), i))
                .collect::<Vec<_>>(),
        )
    };
    let all = Bench::new(script());
    all.import().await;
    let listed = |bench: &Bench| {
        bench
            .tracker
            .find_runs(RunQuery::new())
            .try_collect::<Vec<Run>>()
    };
    let some = listed(&all).await.unwrap();
    let value = |run: &Run| run.summary.values().find_map(serde_json::Value::as_f64);
    let key = some
        .iter()
        .find_map(|run| run.summary.keys().next())
        .unwrap();
    let middle = value(&some[10]).unwrap();
    let filter: RunFilter = serde_json::json!({ format!("summary.{key}"): { "$gte": middle }, "name": { "$ne": "r15" } })
        .to_string()
        .parse()
        .unwrap();
    let mut wanted: Vec<_> = some.iter().filter(|run| filter.matches(run)).collect();
    wanted.sort_by(|a, b| a.path.cmp(&b.path));
    assert!((3..19).contains(&wanted.len()), "{}", wanted.len());
    for limit in [None, Some(2)] {
        let bench = Bench::new(script());
        let mut selection = Selection::new();
        selection.filter = Some(filter.clone());
        selection.limit = limit;
        let receipt = bench
            .try_import(selection, ImportOptions::default())
            .await
            .unwrap();
        balanced(&receipt);
        let mut there = listed(&bench).await.unwrap();
        there.sort_by(|a, b| a.path.cmp(&b.path));
        let end = limit.map_or(wanted.len(), |limit| limit as usize);
        let paths = |runs: &[&Run]| runs.iter().map(|r| r.path.clone()).collect::<Vec<_>>();
        assert_eq!(
            paths(&there.iter().collect::<Vec<_>>()),
            paths(&wanted[..end])
        );
    }
}

#[tokio::test]
async fn a_run_that_a_filter_cannot_be_asked_of_is_told_and_left_out() {
    let broken = ScriptRun {
        fails: Some(ErrorKind::Unavailable),
        ..run("broken", 1)
    };
    let bench = Bench::new(Script::of(vec![run("a", 1), broken, run("b", 1)]));
    let mut selection = Selection::new();
    selection.filter = Some("not name = b".parse().unwrap());
    let receipt = bench
        .try_import(selection, ImportOptions::default())
        .await
        .unwrap();
    let failed: Vec<&str> = receipt.failures.iter().map(|f| f.run.as_str()).collect();
    assert_eq!(failed, ["broken"]);
    assert!(receipt.failures[0].retryable);
    let there: Vec<_> = receipt
        .runs
        .iter()
        .map(|run| run.source_id.as_str())
        .collect();
    assert_eq!(there, ["a"]);
}

#[tokio::test]
async fn a_listing_that_breaks_is_told() {
    let mut script = Script::of(vec![run("a", 1), run("b", 1)]);
    script.listing_fails = true;
    let receipt = Bench::new(script).import().await;
    assert_eq!(receipt.failures.len(), 1);
    assert!(receipt.failures[0].error.contains("the listing broke"));
    assert_eq!(status(&receipt, "a"), RunStatus::Imported);
}

#[tokio::test]
async fn the_target_is_asked_once_for_what_many_versions_need() {
    let mut script = Script::of(vec![ScriptRun {
        files: (0..50).map(|i| (format!("f{i}"), vec![b'x'; i])).collect(),
        ..run("r", 3)
    }]);
    script.models_of_files = true;
    let bench = Bench::new(script);
    let sink = bench.counting();
    let first = bench
        .import_into(&sink, ImportOptions::default())
        .await
        .unwrap();
    assert_eq!(first.totals.get(Kind::Entries).identical, 3 * 50);
    let calls = sink.calls();
    // One listing of files reads the run back, one serves all entries.
    assert_eq!((calls["files"], calls["versions"]), (2, 1), "{calls:?}");
    assert_eq!(calls["put_collection"], 1, "{calls:?}");
    let second = bench
        .import_into(&sink, ImportOptions::default())
        .await
        .unwrap();
    assert_eq!(second.totals.get(Kind::Entries).skipped, 3 * 50);
    let calls = sink.calls();
    assert_eq!(calls["versions"], 1, "{calls:?}");
    let writes = calls
        .keys()
        .find(|c| c.starts_with("open") || c.starts_with("put"));
    assert_eq!(writes, None, "{calls:?}");
    let report = check(
        bench.source.clone(),
        sink.clone(),
        bench.ledger.clone(),
        Selection::new(),
        CheckOptions::default(),
        Arc::new(Silent),
    );
    assert!(report.await.unwrap().is_same());
    assert_eq!(sink.calls()["points"], 2, "each history is read once");
}

#[tokio::test]
async fn a_repeat_asks_about_many_runs_at_once() {
    let runs = (0..100).map(|i| run(&format!("r{i:03}"), 2)).collect();
    let bench = Bench::new(Script::of(runs));
    let sink = bench.counting();
    for status in [RunStatus::Imported, RunStatus::Unchanged] {
        sink.calls();
        let receipt = bench
            .import_into(&sink, ImportOptions::default())
            .await
            .unwrap();
        assert_eq!(receipt.runs.len(), 100);
        assert!(receipt.runs.iter().all(|r| r.status == status));
    }
    let calls = sink.calls();
    assert!(!calls.contains_key("run"), "{calls:?}");
    assert!(calls["stamps"] <= 10, "{calls:?}");
}

/// What is not this run's, or not all there, is not taken for an import that is done.
#[tokio::test]
async fn a_target_that_was_changed_is_not_trusted() {
    let bench = Bench::new(Script::of(vec![run("a", 5), run("b", 5), run("c", 5)]));
    bench.import().await;
    let path = |id: &str| -> RunPath { format!("local/p/{id}").parse().unwrap() };
    let stamp = |run: &Run| run.import.clone().unwrap();
    let half = ImportStamp {
        complete: false,
        ..stamp(&bench.tracker.run(&path("a")).await.unwrap())
    };
    let foreign = ImportStamp {
        run: "another".into(),
        ..stamp(&bench.tracker.run(&path("b")).await.unwrap())
    };
    for (id, import) in [("a", half), ("b", foreign)] {
        let mut patch = RunPatch::new();
        patch.import = Change::Set(import);
        bench
            .tracker
            .upsert_run(&path(id), patch, Precondition::None)
            .await
            .unwrap();
    }
    bench.tracker.delete_run(&path("c")).await.unwrap();
    let receipt = bench.import().await;
    assert_eq!(status(&receipt, "a"), RunStatus::Imported);
    assert_eq!(status(&receipt, "b"), RunStatus::Failed);
    assert_eq!(status(&receipt, "c"), RunStatus::Imported);
}

#[tokio::test]
async fn a_target_that_loses_files_is_found_out() {
    let files = BTreeMap::from([("a".to_owned(), b"1".to_vec())]);
    for verify in [VerifyDepth::Counts, VerifyDepth::Digest] {
        let bench = Bench::new(Script::of(vec![ScriptRun {
            files: files.clone(),
            ..run("r", 3)
        }]));
        let sink = bench.counting();
        sink.loses_files.store(true, Ordering::Relaxed);
        let mut options = ImportOptions::default();
        options.verify = verify;
        let receipt = bench.import_into(&sink, options).await.unwrap();
        assert_eq!(status(&receipt, "r"), RunStatus::Failed, "{verify:?}");
        assert!(receipt.failures[0].error.contains("its file \"a\""));
    }
}

/// What a later import leaves out stays as an earlier one left it.
#[tokio::test]
async fn kinds_that_are_left_out_later_stay() {
    let words = ["points", "params", "tags", "inputs", "files", "artifacts"];
    for word in words {
        let bench = Bench::new(Script::varied());
        bench.import().await;
        let before = bench.contents().await;
        let mut selection = Selection::new();
        selection.kinds = KindSet::only([word]).unwrap();
        for incremental in [true, false] {
            let mut options = ImportOptions::default();
            options.incremental = incremental;
            let receipt = bench.try_import(selection.clone(), options).await.unwrap();
            balanced(&receipt);
            assert_eq!(bench.contents().await, before, "only {word}");
            for (kind, _) in receipt.totals.iter() {
                let wanted = selection.kinds.contains(kind) || kind == Kind::Lineage;
                assert!(wanted, "only {word}: {kind} is counted");
            }
            let statuses: Vec<_> = receipt.runs.iter().map(|r| r.status).collect();
            assert!(
                statuses.iter().all(|s| *s == RunStatus::Unchanged),
                "only {word}: {statuses:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_project_that_may_not_be_listed_does_not_stop_the_others() {
    let mut other = run("b", 1);
    other.project = "q".into();
    let mut script = Script::of(vec![run("a", 1), other]);
    script.forbidden = Some("p".into());
    let receipt = Bench::new(script.clone()).import().await;
    assert_eq!(receipt.failures.len(), 1);
    assert!(receipt.failures[0].error.contains("not yours"));
    assert_eq!(status(&receipt, "b"), RunStatus::Imported);
    script.runs.pop();
    let alone = Bench::new(script).try_import(Selection::new(), ImportOptions::default());
    assert_eq!(alone.await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn an_artifact_that_hangs_can_be_cancelled() {
    let mut script = Script::of(vec![run("r", 1)]);
    script.models_hang = true;
    let bench = Bench::new(script);
    let options = ImportOptions::default();
    let cancel = options.cancel.clone();
    let import = tokio::spawn(bench.try_import(Selection::new(), options));
    tokio::time::sleep(Duration::from_millis(50)).await;
    cancel.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), import).await;
    let receipt = ended.expect("it ends").unwrap().unwrap();
    assert!(!receipt.complete);
    balanced(&receipt);
    assert_eq!(status(&receipt, "r"), RunStatus::Imported);
}

/// Polls a future so many times, then drops it.
async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(out) => Poll::Ready(Some(out)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn stopped_at_any_point_and_repeated_it_ends_the_same() {
    let mut script = Script::varied();
    for run in script.runs.iter_mut().step_by(4) {
        run.torn = 2;
    }
    let fresh = Bench::new(script.clone());
    let whole = fresh.import().await;
    let expected = fresh.contents().await;
    for checkpoint in [4_000_000, 40] {
        let mut options = ImportOptions::default();
        options.checkpoint = checkpoint;
        for stop in (0..60).chain([80, 120, 200, 400]) {
            let bench = Bench::new(script.clone());
            for _ in 0..3 {
                let import = bench.try_import(Selection::new(), options.clone());
                poll_times(import, stop).await;
            }
            let import = bench.try_import(Selection::new(), options.clone());
            let receipt = import.await.unwrap();
            balanced(&receipt);
            let case = format!("stopped after {stop} polls, checkpoints every {checkpoint}");
            assert_eq!(receipt.failures, [], "{case}");
            assert_eq!(bench.contents().await, expected, "{case}");
            for (kind, bucket) in whole.totals.iter() {
                let now = receipt.totals.get(kind);
                assert_eq!(now.source(), bucket.source(), "{case}: {kind}");
            }
        }
    }
}

/// What an import into one place had staged says nothing of another place.
#[tokio::test]
async fn a_cut_off_import_into_another_place_is_not_resumed() {
    let bench = Bench::new(Script::of(vec![run("r", 100)]));
    let selection = Selection::new();
    let projects: Vec<_> = bench
        .source
        .projects(&selection)
        .try_collect()
        .await
        .unwrap();
    let SourceItem::Item(project) = &projects[0] else {
        panic!("{projects:?}");
    };
    let runs = bench.source.runs(&Arc::new(project.clone()), &selection);
    let runs: Vec<_> = runs.try_collect().await.unwrap();
    let SourceItem::Item(listed) = &runs[0] else {
        panic!("{runs:?}");
    };
    let entry = LedgerEntry {
        target: "elsewhere/p/r".into(),
        fingerprint: listed.fingerprint.clone(),
        staged: vec!["loss".into()],
        ..LedgerEntry::default()
    };
    let key = LedgerKey::Run("r".into());
    bench
        .ledger
        .settle(bench.source.id(), &key, entry)
        .await
        .unwrap();
    let sink = TrackerSink::new(Arc::clone(&bench.tracker));
    let mut half = Run::new("local/p/r".parse().unwrap(), Timestamp::from_millis(T0));
    half.import = Some(ImportStamp {
        source: bench.source.id().to_string(),
        run: "r".into(),
        complete: false,
        fingerprint: listed.fingerprint.clone(),
    });
    let mut writer = sink
        .open_run(&half, None, &listed.fingerprint)
        .await
        .unwrap();
    let values: Vec<f64> = (0..10).map(f64::from).collect();
    let history = writer.history(HistoryStream::Metrics).await.unwrap();
    for batch in batches("loss", &values, 10) {
        history.points(0, batch).await.unwrap();
    }
    history.checkpoint().await.unwrap();
    drop(writer);
    let receipt = bench.import().await;
    assert_eq!(receipt.totals.get(Kind::Points).identical, 100);
    let fresh = Bench::new(Script::of(vec![run("r", 100)]));
    fresh.import().await;
    assert_eq!(bench.contents().await, fresh.contents().await);
}

#[tokio::test]
async fn cancelled_in_order_it_says_so() {
    let bench = Bench::new(Script::varied());
    let options = ImportOptions::default();
    options.cancel.cancel();
    let receipt = bench.try_import(Selection::new(), options).await.unwrap();
    assert!(!receipt.complete);
    balanced(&receipt);
    assert!(bench.import().await.complete);
}
