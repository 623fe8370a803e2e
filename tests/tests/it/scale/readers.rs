//! Memory does not grow with what is read: neither with the runs of a project nor with the points
//! of a run.

use std::{path::Path, time::Instant};

use anyhow::{Result, ensure};
use tracker_model::{
    HistoryStore, HistoryStream, JsonPatch, PointBatch, Precondition, RunPatch, RunPath, RunState,
    RunStore, Times, Timestamp, Values,
};
use tracker_store::{Durability, EmbeddedStore, StoreOptions};

use super::{MOST, MOST_SMALL, peak_memory};
use crate::trackway;

/// Points that are written at once.
const BATCH: usize = 50_000;
/// Runs that are written at once.
const AT_ONCE: i64 = 500;

#[test]
fn readers() -> Result<()> {
    read_within(5_000, 100_000, MOST_SMALL)
}

#[test]
#[ignore = "takes minutes and gigabytes: cargo xtask scale"]
fn large_readers() -> Result<()> {
    read_within(1_000_000, 10_000_000, MOST)
}

/// Asks a store of so many runs, one of which has so many points, in all ways that there are.
#[expect(clippy::print_stdout, reason = "the figures are worth reading")]
fn read_within(runs: i64, points: usize, most: u64) -> Result<()> {
    let trackway = trackway()?;
    tokio::runtime::Runtime::new()?.block_on(fill(&trackway.store(), runs, points))?;
    let out = |name: &str| trackway.scratch().join(name).display().to_string();
    let (csv, parquet, long, chart) = (
        out("a.csv"),
        out("a.parquet"),
        out("b.parquet"),
        out("c.svg"),
    );
    let half = r#"{"config.i": {"$mod": [2, 0]}, "config.word": {"$regex": "^w.*[02468]$"}}"#;
    let commands: [&[&str]; 14] = [
        &["runs", "many", "--jsonl"],
        &["runs", "many", "--filter", half, "--jsonl"],
        &["runs", "many", "--filter", half, "--count"],
        &["runs", "many", "--order=-summary.acc", "--jsonl"],
        &["runs", "many", "--order", "+config.word", "--filter", half],
        &[
            "runs",
            "many",
            "--order",
            "+config.word",
            "--limit",
            "50",
            "--json",
        ],
        &["best", "many", "--metric", "acc"],
        &["export", "runs", "many", "--output", &csv],
        &["export", "runs", "many", "--output", &parquet],
        &[
            "history",
            "long/run",
            "--keys",
            "a",
            "--samples",
            "500",
            "--jsonl",
        ],
        &["history", "long/run", "--samples", "500", "--jsonl"],
        &["history", "long/run", "--all", "--jsonl"],
        &["history", "long/run", "--keys", "a,b", "--svg", &chart],
        &["export", "history", "long/run", "--output", &long],
    ];
    let mut worst = 0;
    for args in commands {
        let start = Instant::now();
        let peak = peak_memory(&mut trackway.command(args))?;
        println!(
            "{args:?}: {} MB at most, {:.1} s",
            peak / 1_000_000,
            start.elapsed().as_secs_f64()
        );
        worst = worst.max(peak);
    }
    ensure!(
        worst < most * 1_000_000,
        "{} MB of memory, {most} are allowed",
        worst / 1_000_000
    );
    Ok(())
}

pub(super) async fn fill(folder: &Path, runs: i64, points: usize) -> Result<()> {
    let options = StoreOptions::new().with_durability(Durability::Process);
    let store = EmbeddedStore::open(folder, options).await?;
    let mut first = 0;
    while first < runs {
        let some = (first..runs.min(first + AT_ONCE)).map(|i| one_run(&store, i));
        futures::future::try_join_all(some).await?;
        first += AT_ONCE;
    }
    long_run(&store, points).await
}

async fn one_run(store: &EmbeddedStore, i: i64) -> Result<()> {
    let path: RunPath = format!("local/many/r{i:07}").parse()?;
    let object = |json: serde_json::Value| match json {
        serde_json::Value::Object(object) => JsonPatch::Replace(object),
        _ => JsonPatch::Keep,
    };
    let patch = RunPatch::new()
        .with_created_at(Timestamp::from_millis(1_700_000_000_000 + i * 7_919 % 1_000_003))
        .with_name(format!("run {i}"))
        .with_state(RunState::Finished)
        .with_config(object(serde_json::json!({
            "i": i, "word": format!("w{}", i * 31 % 100_003), "lr": 0.001, "layers": [1, 2, 3], "seed": i % 10,
        })))
        .with_summary(object(serde_json::json!({ "acc": f64::from(u16::try_from(i % 9_973)?) / 9_973.0, "_step": i })));
    store.upsert_run(&path, patch, Precondition::None).await?;
    Ok(())
}

async fn long_run(store: &EmbeddedStore, points: usize) -> Result<()> {
    let path: RunPath = "local/long/run".parse()?;
    store
        .upsert_run(&path, RunPatch::new(), Precondition::None)
        .await?;
    let mut writer = store
        .history_writer(&path, HistoryStream::Metrics, "fill")
        .await?;
    for from in (0..points).step_by(BATCH) {
        let until = points.min(from + BATCH);
        for key in ["a", "b"] {
            let numbers = from..until;
            let batch = PointBatch {
                key: key.into(),
                rows: Some(numbers.clone().map(|i| i as u64).collect()),
                steps: numbers.clone().map(|i| i as i64).collect(),
                times: Some(Times::from_millis(
                    numbers.clone().map(|i| i as i64 * 10).collect(),
                )),
                values: Values::F64(numbers.map(|i| (i as f64 / 1e4).sin()).collect()),
            };
            writer.write(from as u64, batch).await?;
        }
    }
    Ok(writer.commit().await?)
}
