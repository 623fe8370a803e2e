//! Suites that every source and every sink passes. For tests: a broken rule is a panic that says
//! which.
//!
//! ```
//! # use std::sync::Arc;
//! # use importer_core::{Sink, Source, TrackerSink, TrackerSource, conformance};
//! # use tracker_model::MemoryTracker;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let source: Arc<dyn Source> = Arc::new(TrackerSource::new(Arc::new(MemoryTracker::new())));
//! conformance::source(source).await;
//! conformance::sink(|| async { Arc::new(TrackerSink::new(Arc::new(MemoryTracker::new()))) as Arc<dyn Sink> }).await;
//! # });
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc
)]

mod sink;
mod source;

pub use sink::sink;
pub use source::{receipt, source};
