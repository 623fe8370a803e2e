//! The embedded store from outside.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod conformance;
mod crash;
mod files;
mod history;
mod open;
mod runs;
mod service;
mod support;
mod upkeep;
