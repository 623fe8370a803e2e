//! How fast rows are appended to the histories of runs that log at the same time.
//!
//! append_speed [ROUNDS]
//!
//! Prints one JSON document a line: `name`, `unit`, and the figure of each of the `rounds`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use std::time::Instant;

use tracker_model::{
    HistoryRow, HistoryStore, HistoryStream, PointBatch, Precondition, RunPatch, RunPath, RunStore,
    Timestamp, Value, split_rows,
};
use tracker_store::{EmbeddedStore, StoreOptions};

/// Runs that log at once, rows of a call, values of a row beside its `_runtime`.
const RUNS: usize = 8;
const ROWS: u64 = 500;
const KEYS: usize = 10;
const CALLS: u64 = 100;

#[tokio::main]
async fn main() {
    let mut rounds = Vec::new();
    let wanted = std::env::args().nth(1);
    for _ in 0..wanted.map_or(5, |rounds| rounds.parse().unwrap()) {
        rounds.push(measure().await);
    }
    println!("{{\"name\":\"append\",\"unit\":\"rows/s\",\"rounds\":{rounds:?}}}");
}

/// Rows a second.
async fn measure() -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path().join("store"), StoreOptions::new())
        .await
        .unwrap();
    let mut work = Vec::new();
    for run in 0..RUNS {
        let path: RunPath = format!("local/speed/run{run}").parse().unwrap();
        store
            .upsert_run(&path, RunPatch::new(), Precondition::None)
            .await
            .unwrap();
        let calls: Vec<_> = (0..CALLS).map(|call| rows(run as u64, call)).collect();
        work.push((path, calls));
    }
    let start = Instant::now();
    let tasks = work.into_iter().map(|(path, calls)| {
        let store = store.clone();
        tokio::spawn(async move {
            for batches in calls {
                let appended = store.append(&path, HistoryStream::Metrics, 0, batches);
                appended.await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    (RUNS as u64 * CALLS * ROWS) as f64 / start.elapsed().as_secs_f64()
}

/// The rows of one call, as points.
fn rows(run: u64, call: u64) -> Vec<PointBatch> {
    let rows = (call * ROWS..(call + 1) * ROWS).map(|row| {
        let mut noise = (run << 32 | row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut values: Vec<_> = (0..KEYS)
            .map(|key| {
                noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let value = (noise >> 11) as f64 / (1u64 << 53) as f64;
                (format!("train/m{key}").as_str().into(), Value::F64(value))
            })
            .collect();
        values.push(("_runtime".into(), Value::F64(row as f64 * 0.25)));
        HistoryRow {
            row,
            step: row.cast_signed(),
            time: Some(Timestamp::from_millis(
                1_700_000_000_000 + row.cast_signed() * 250,
            )),
            values,
        }
    });
    split_rows(rows).unwrap()
}
