use std::sync::Arc;

use tracker_model::{MemoryTracker, RecordStore, Tracker, conformance, tracker_conformance};

tracker_conformance!(|| async { Arc::new(MemoryTracker::new()) as Arc<dyn Tracker> });

#[tokio::test]
async fn records() {
    conformance::records(|| async { Arc::new(MemoryTracker::new()) as Arc<dyn RecordStore> }).await;
}
