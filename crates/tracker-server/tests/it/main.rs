//! The router over a tracker in memory.

#![allow(clippy::unwrap_used)]

mod artifacts;
mod support;
