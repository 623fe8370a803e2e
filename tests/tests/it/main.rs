//! Tests that cross crates.

mod crash;
mod database;
mod embedded_sink;
mod faults;
mod interop;
mod remote;
mod scale;

use anyhow::Result;
use tests::cli::Trackway;

/// The program under test and an empty store.
fn trackway() -> Result<Trackway> {
    Trackway::at(env!("CARGO_BIN_EXE_trackway-under-test"))
}
