//! The embedded store as a sink.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Result, ensure};
use importer_core::{
    CheckOptions, ImportOptions, Kind, Ledger, MemoryLedger, Selection, Silent, Sink, Source,
    TrackerSink, TrackerSource, check, conformance, import,
};
use tracker_model::{
    BatchBuilder, HistoryStore, HistoryStream, MemoryTracker, RunPatch, RunPath, RunState,
    RunStore, Timestamp, Value,
};
use tracker_store::{EmbeddedStore, StoreOptions};

/// Points of a series.
const POINTS: i64 = 3_000;

#[tokio::test]
async fn embedded_store_is_a_sink() {
    let folders = Mutex::new(Vec::new());
    let fresh = || async {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path().join("store"), StoreOptions::new())
            .await
            .unwrap();
        folders.lock().unwrap().push(folder);
        Arc::new(TrackerSink::new(Arc::new(store))) as Arc<dyn Sink>
    };
    conformance::sink(fresh).await;
}

/// Both histories of one run, some series each.
async fn source() -> Result<Arc<dyn Source>> {
    let tracker = MemoryTracker::new();
    let path: RunPath = "local/p/r".parse()?;
    let mut patch = RunPatch::new();
    patch.state = Some(RunState::Finished);
    tracker.upsert_run(&path, patch, Default::default()).await?;
    for stream in [HistoryStream::Metrics, HistoryStream::System] {
        let mut writer = tracker.history_writer(&path, stream, "").await?;
        for key in ["a", "b", "c"] {
            let mut batch = BatchBuilder::new(key.into());
            for step in 0..POINTS {
                let time = Timestamp::from_millis(1_700_000_000_000 + step);
                batch.push(None, step, Some(time), Value::F64(step as f64 / 3.0));
            }
            if let Some(batch) = batch.take() {
                writer.write(0, batch).await?;
            }
        }
        writer.commit().await?;
    }
    Ok(Arc::new(TrackerSource::new(Arc::new(tracker))))
}

/// Imports that are dropped between any two checkpoints, and started again, end as others do.
#[tokio::test(flavor = "multi_thread")]
async fn imports_that_are_dropped_anywhere_are_resumed() -> Result<()> {
    let source = source().await?;
    let mut options = ImportOptions::default();
    options.checkpoint = 500;
    for millis in (0..40).step_by(5) {
        let folder = tempfile::tempdir()?;
        let store = EmbeddedStore::open(folder.path().join("store"), StoreOptions::new()).await?;
        let sink: Arc<dyn Sink> = Arc::new(TrackerSink::new(Arc::new(store)));
        let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
        let again = || {
            let (source, sink, ledger) = (source.clone(), sink.clone(), ledger.clone());
            import(
                source,
                sink,
                ledger,
                Selection::new(),
                options.clone(),
                Arc::new(Silent),
            )
        };
        for _ in 0..2 {
            let _ = tokio::time::timeout(Duration::from_millis(millis), again()).await;
        }
        let receipt = again().await?;
        ensure!(receipt.failures.is_empty(), "{millis} ms: {receipt:?}");
        let points = receipt.totals.get(Kind::Points);
        ensure!(
            points.source() == 6 * POINTS.unsigned_abs(),
            "{millis} ms: {points:?}"
        );
        let report = check(
            source.clone(),
            sink,
            ledger,
            Selection::new(),
            CheckOptions::default(),
            Arc::new(Silent),
        )
        .await?;
        ensure!(report.is_same(), "{millis} ms: {report:?}");
    }
    Ok(())
}
