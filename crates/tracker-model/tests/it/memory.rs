use std::sync::Arc;

use tracker_model::{MemoryTracker, Tracker, tracker_conformance};

tracker_conformance!(|| async { Arc::new(MemoryTracker::new()) as Arc<dyn Tracker> });
