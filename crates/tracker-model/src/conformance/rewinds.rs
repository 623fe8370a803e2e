use std::{future::Future, sync::Arc};

use super::support::{
    Point, check_history, keeps_everything, kind, new_run, point, ramp, run_path, write,
};
use crate::{ErrorKind, HistoryRow, HistoryStream, RunPath, Timestamp, Tracker, Value, split_rows};

const METRICS: HistoryStream = HistoryStream::Metrics;

/// The number of the next row, and rows that are taken back.
pub async fn rewinds<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let nobody = run_path("nobody");
    assert_eq!(
        kind(tracker.next_row(&nobody, METRICS).await),
        ErrorKind::NotFound
    );
    let run = new_run(tracker, "rewinds").await;
    assert_eq!(tracker.next_row(&run, METRICS).await.unwrap(), 0);
    if !tracker.capabilities().rewrite_history {
        let cut = tracker.truncate(&run, METRICS, 0).await;
        assert_eq!(kind(cut), ErrorKind::Unsupported);
        return;
    }
    let cut = tracker.truncate(&nobody, METRICS, 0).await;
    assert_eq!(kind(cut), ErrorKind::NotFound);
    if !keeps_everything(tracker) {
        return;
    }
    tracker.truncate(&run, METRICS, 0).await.unwrap();
    appended(tracker, &run).await;
    written(tracker).await;
    beside_a_writer(tracker).await;
}

/// Row `n`: `all` is in each, `even` in every other, `late` from 50 on.
fn row(n: u64) -> HistoryRow {
    let mut values = vec![("all".into(), Value::I64(n as i64))];
    if n.is_multiple_of(2) {
        values.push(("even".into(), Value::F64(n as f64 / 3.0)));
    }
    if n >= 50 {
        values.push(("late".into(), Value::Str(format!("{n}"))));
    }
    HistoryRow {
        row: n,
        step: 10 * n as i64,
        time: Some(Timestamp::from_parts(n as i64, 7)),
        values,
    }
}

async fn append(tracker: &dyn Tracker, run: &RunPath, from: u64, to: u64) -> u64 {
    let rows = split_rows((from..to).map(row)).unwrap();
    tracker.append(run, METRICS, from, rows).await.unwrap()
}

/// The series that so many rows make.
fn series(to: u64) -> Vec<(&'static str, Vec<Point>)> {
    let of = |key: &str| {
        let rows = (0..to).map(row);
        rows.filter_map(|r| {
            let value = r.values.into_iter().find(|(k, _)| k.as_str() == key)?.1;
            Some(Point {
                row: Some(r.row),
                step: r.step,
                time: r.time,
                value,
            })
        })
        .collect::<Vec<_>>()
    };
    let all = ["all", "even", "late"].map(|key| (key, of(key)));
    all.into_iter().filter(|(_, p)| !p.is_empty()).collect()
}

async fn appended(tracker: &dyn Tracker, run: &RunPath) {
    assert_eq!(append(tracker, run, 0, 60).await, 60);
    assert_eq!(tracker.next_row(run, METRICS).await.unwrap(), 60);
    let system = HistoryStream::System;
    assert_eq!(tracker.next_row(run, system).await.unwrap(), 0);
    tracker.truncate(run, system, 0).await.unwrap();
    tracker.truncate(run, METRICS, 60).await.unwrap();
    check_history(tracker, run, series(60)).await;
    // A series ends earlier, another one vanishes.
    tracker.truncate(run, METRICS, 41).await.unwrap();
    check_history(tracker, run, series(41)).await;
    assert_eq!(tracker.next_row(run, METRICS).await.unwrap(), 41);
    let gap = split_rows([row(42)]).unwrap();
    let gap = tracker.append(run, METRICS, 42, gap).await;
    assert_eq!(kind(gap), ErrorKind::InvalidInput);
    assert_eq!(append(tracker, run, 41, 80).await, 80);
    check_history(tracker, run, series(80)).await;
    // Rows that had gone come again, and others go.
    tracker.truncate(run, METRICS, 70).await.unwrap();
    tracker.truncate(run, METRICS, 70).await.unwrap();
    check_history(tracker, run, series(70)).await;
    // With a gap below, it goes on after the last row that is left.
    let far = split_rows([row(100)]).unwrap();
    tracker.append(run, METRICS, 0, far).await.unwrap();
    assert_eq!(tracker.next_row(run, METRICS).await.unwrap(), 101);
    tracker.truncate(run, METRICS, 90).await.unwrap();
    assert_eq!(tracker.next_row(run, METRICS).await.unwrap(), 70);
    tracker.truncate(run, METRICS, 0).await.unwrap();
    check_history(tracker, run, []).await;
    assert_eq!(tracker.next_row(run, METRICS).await.unwrap(), 0);
    assert_eq!(append(tracker, run, 0, 3).await, 3);
    check_history(tracker, run, series(3)).await;
}

/// What a writer has committed, with and without row numbers, and rows that were appended to it.
async fn written(tracker: &dyn Tracker) {
    let run = new_run(tracker, "written").await;
    let numbered = |to: u64| -> Vec<Point> {
        (0..to)
            .map(|i| point(Some(3 * i), i as i64, 5, Value::I64(i as i64)))
            .collect()
    };
    // Points without rows before, between and after those that have one.
    let mixed = |to: u64| -> Vec<Point> {
        let rows = (10..to).map(|i| point(Some(i), 7, 7, Value::F64(0.5)));
        ramp(0, 20)
            .into_iter()
            .chain(rows)
            .chain(ramp(30, 40))
            .collect()
    };
    let plain = ramp(0, 3_000);
    write(
        tracker,
        &run,
        &[
            ("mixed", 0, mixed(4_000)),
            ("numbered", 0, numbered(30_000)),
            ("plain", 0, plain.clone()),
        ],
    )
    .await;
    assert_eq!(tracker.next_row(&run, METRICS).await.unwrap(), 89_998);
    let tail = split_rows((89_998..90_000).map(row)).unwrap();
    tracker.append(&run, METRICS, 89_998, tail).await.unwrap();
    tracker.truncate(&run, METRICS, 3_000).await.unwrap();
    let left = [
        ("mixed", mixed(3_000)),
        ("numbered", numbered(1_000)),
        ("plain", plain.clone()),
    ];
    check_history(tracker, &run, left).await;
    assert_eq!(tracker.next_row(&run, METRICS).await.unwrap(), 3_000);
    let more = split_rows([row(3_000)]).unwrap();
    tracker.append(&run, METRICS, 3_000, more).await.unwrap();
    tracker.truncate(&run, METRICS, 0).await.unwrap();
    let left = [("mixed", mixed(0)), ("plain", plain)];
    check_history(tracker, &run, left).await;
    assert_eq!(tracker.next_row(&run, METRICS).await.unwrap(), 0);
}

async fn beside_a_writer(tracker: &dyn Tracker) {
    let run = new_run(tracker, "beside").await;
    append(tracker, &run, 0, 10).await;
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    assert_eq!(tracker.next_row(&run, METRICS).await.unwrap(), 10);
    let cut = tracker.truncate(&run, METRICS, 5).await;
    assert_eq!(kind(cut), ErrorKind::Conflict);
    let batch = split_rows([row(10)]).unwrap().remove(0);
    writer.write(10, batch).await.unwrap();
    writer.checkpoint().await.unwrap();
    drop(writer);
    // What was staged was to go on from rows that are gone.
    tracker.truncate(&run, METRICS, 5).await.unwrap();
    let writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    assert!(writer.staged().is_empty());
    writer.commit().await.unwrap();
    check_history(tracker, &run, series(5)).await;
}
