use std::sync::Arc;

use importer_core::{Sink, TrackerSink, TrackerSource, conformance};
use tracker_model::MemoryTracker;

use crate::{pipeline::Bench, scripted::Script};

#[tokio::test]
async fn scripted_source_keeps_the_contract() {
    conformance::source(Arc::new(Script::varied().into_source())).await;
}

#[tokio::test]
async fn any_tracker_is_a_source() {
    let bench = Bench::new(Script::varied());
    bench.import().await;
    conformance::source(Arc::new(TrackerSource::new(bench.tracker.clone()))).await;
}

#[tokio::test]
async fn any_tracker_is_a_sink() {
    let fresh =
        || async { Arc::new(TrackerSink::new(Arc::new(MemoryTracker::new()))) as Arc<dyn Sink> };
    conformance::sink(fresh).await;
}
