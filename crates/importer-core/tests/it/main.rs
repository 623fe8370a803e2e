//! The pipeline, over sources and trackers in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod counting;
mod links;
mod pipeline;
mod receipt;
mod scripted;
mod suites;
