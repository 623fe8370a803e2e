//! Memory does not grow with what is imported: neither with the points of a run nor with the runs
//! of a project, from no kind of source.
//!
//! The tests that are always run are small, and allow as little memory as they are small; those
//! that `cargo xtask scale` runs are large.
#![cfg(target_os = "linux")]

mod readers;
mod server;

use std::{
    ffi::OsString,
    fs,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    mlruns::{self, Shape},
    stand_in::StandIn,
};

use crate::{database, trackway};

/// The most memory that an import may take, in megabytes.
const MOST: u64 = 300;
/// The same for a small source: little more than the buffers.
const MOST_SMALL: u64 = 150;

/// One series that is very long.
const ONE_SERIES: Shape = shape(1, 2, 300_000);
const ONE_SERIES_LARGE: Shape = shape(1, 1, 20_000_000);
/// One run with some long series.
const ONE_RUN: Shape = shape(1, 20, 20_000);
const ONE_RUN_LARGE: Shape = shape(1, 20, 1_000_000);
/// Many runs with next to nothing.
const MANY_RUNS: Shape = shape(1_000, 2, 3);
const MANY_RUNS_LARGE: Shape = shape(20_000, 2, 3);

const fn shape(runs: usize, metrics: usize, points: usize) -> Shape {
    Shape {
        runs,
        metrics,
        points,
        files: 0,
    }
}

/// A kind of source.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Folder,
    Database,
    Server,
}

macro_rules! sizes {
    ($($name:ident, $large:ident: $kind:ident, $shape:ident, $large_shape:ident;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            imports_within(Kind::$kind, $shape, MOST_SMALL)
        }

        #[test]
        #[ignore = "takes minutes and gigabytes: cargo xtask scale"]
        fn $large() -> Result<()> {
            imports_within(Kind::$kind, $large_shape, MOST)
        }
    )*};
}

sizes! {
    one_series_in_a_folder, large_one_series_in_a_folder: Folder, ONE_SERIES, ONE_SERIES_LARGE;
    one_run_in_a_folder, large_one_run_in_a_folder: Folder, ONE_RUN, ONE_RUN_LARGE;
    many_runs_in_a_folder, large_many_runs_in_a_folder: Folder, MANY_RUNS, MANY_RUNS_LARGE;
    one_series_in_a_database, large_one_series_in_a_database: Database, ONE_SERIES, ONE_SERIES_LARGE;
    one_run_in_a_database, large_one_run_in_a_database: Database, ONE_RUN, ONE_RUN_LARGE;
    many_runs_in_a_database, large_many_runs_in_a_database: Database, MANY_RUNS, MANY_RUNS_LARGE;
    one_series_on_a_server, large_one_series_on_a_server: Server, ONE_SERIES, ONE_SERIES_LARGE;
    one_run_on_a_server, large_one_run_on_a_server: Server, ONE_RUN, ONE_RUN_LARGE;
    many_runs_on_a_server, large_many_runs_on_a_server: Server, MANY_RUNS, MANY_RUNS_LARGE;
}

/// Imports a source of some kind and size, and looks at the memory that it takes.
#[expect(clippy::print_stdout, reason = "the figures are worth reading")]
fn imports_within(kind: Kind, shape: Shape, most: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (source, server): (OsString, Option<StandIn>) = match kind {
        Kind::Folder => {
            mlruns::write(folder.path(), shape)?;
            (folder.path().into(), None)
        }
        Kind::Database => {
            database::write(folder.path(), shape)?;
            fs::create_dir_all(folder.path().join("artifacts"))?;
            let path = folder.path().join("mlflow.db");
            (format!("sqlite:///{}", path.display()).into(), None)
        }
        Kind::Server => {
            let server = StandIn::of(shape)?;
            (format!("mlflow+{}", server.url()).into(), Some(server))
        }
    };
    let trackway = trackway()?;
    let report = folder.path().join("receipt.json");
    let mut import = trackway.command(["import".as_ref(), source.as_os_str()]);
    import.arg("--report").arg(&report);
    if let Kind::Database = kind {
        let artifacts = folder.path().join("artifacts");
        import.arg("--artifacts-root").arg(artifacts);
    }
    let start = Instant::now();
    let peak = peak_memory(&mut import)?;
    println!(
        "{kind:?} {shape:?}: {} MB at most, {:.1} s, {} calls",
        peak / 1_000_000,
        start.elapsed().as_secs_f64(),
        server.as_ref().map_or(0, StandIn::calls)
    );
    let receipt: Value = serde_json::from_slice(&fs::read(&report)?)?;
    let points = shape.runs * shape.metrics * shape.points;
    let arrived = &receipt["totals"]["points"]["identical"];
    ensure!(*arrived == points, "{arrived} points arrived of {points}");
    let runs = receipt["runs"].as_array().context("no runs")?.len();
    ensure!(runs == shape.runs, "{runs} runs arrived of {}", shape.runs);
    ensure!(
        peak < most * 1_000_000,
        "{} MB of memory, {most} are allowed",
        peak / 1_000_000
    );
    Ok(())
}

/// Runs a program and returns the most memory that it had, in bytes.
fn peak_memory(command: &mut std::process::Command) -> Result<u64> {
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(memory(status.as_ref()).unwrap_or_default());
                thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let output = child.wait_with_output()?;
        done.store(true, Ordering::Relaxed);
        ensure!(
            output.status.success(),
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        sampler.join().ok().context("nobody looked at the memory")
    })
}

/// The most memory that a process had so far, in bytes.
fn memory(status: &Path) -> Option<u64> {
    let status = fs::read_to_string(status).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}
