use std::{future::Future, sync::Arc};

use super::support::{
    Point, Random, check_history, keeps_everything, kind, new_run, point, ramp, read, run_path,
    write,
};
use crate::{
    ErrorKind, HistoryQuery, HistoryRow, HistoryStream, PointBatch, RunPath, Timestamp, Tracker,
    Value, split_rows,
};

const METRICS: HistoryStream = HistoryStream::Metrics;

/// History that grows row by row: repeated calls, overlaps, gaps.
pub async fn history_append<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    plain_doubles(tracker).await;
    if !keeps_everything(tracker) {
        return;
    }
    replays(tracker).await;
    refusals(tracker).await;
    after_a_writer(tracker).await;
    many_calls(tracker).await;
    deletion(tracker).await;
}

/// Row `n` of a run: `even` and `odd` are not in every row, `all` is.
fn row(n: u64) -> HistoryRow {
    let value = Value::I64(n as i64);
    let side = if n.is_multiple_of(2) { "even" } else { "odd" };
    let values = vec![
        ("all".into(), Value::F64(n as f64 / 3.0)),
        (side.into(), value),
    ];
    HistoryRow {
        row: n,
        step: n as i64 / 2,
        time: Some(Timestamp::from_parts(n as i64, 7)),
        values,
    }
}

fn rows(from: u64, to: u64) -> Vec<PointBatch> {
    split_rows((from..to).map(row)).unwrap()
}

fn series(to: u64) -> Vec<(&'static str, Vec<Point>)> {
    let of = |key: &str| -> Vec<Point> {
        let points = (0..to).map(row).flat_map(|r| {
            let mine = r.values.into_iter().filter(|(k, _)| k.as_str() == key);
            mine.map(move |(_, value)| Point {
                row: Some(r.row),
                step: r.step,
                time: r.time,
                value,
            })
            .collect::<Vec<_>>()
        });
        points.collect()
    };
    let all = ["all", "even", "odd"].map(|key| (key, of(key)));
    all.into_iter()
        .filter(|(_, points)| !points.is_empty())
        .collect()
}

async fn append(tracker: &dyn Tracker, run: &RunPath, at: u64, batches: Vec<PointBatch>) -> u64 {
    tracker
        .append(run, METRICS, at, batches)
        .await
        .expect("rows are appended")
}

/// What every tracker can append.
async fn plain_doubles(tracker: &dyn Tracker) {
    let run = new_run(tracker, "plain-doubles").await;
    let numbered = |from: i64, to: i64| -> Vec<PointBatch> {
        let rows = ramp(from, to).into_iter().zip(from as u64..);
        let row = |(p, row): (Point, u64)| HistoryRow {
            row,
            step: p.step,
            time: p.time,
            values: vec![("x".into(), p.value)],
        };
        split_rows(rows.map(row)).unwrap()
    };
    for (from, to) in [(0, 5), (0, 5), (3, 9), (9, 12)] {
        assert_eq!(
            append(tracker, &run, from as u64, numbered(from, to)).await,
            to as u64
        );
    }
    let gap = tracker.append(&run, METRICS, 13, numbered(13, 14)).await;
    assert_eq!(kind(gap), ErrorKind::InvalidInput);
    let there = read(tracker, &run, HistoryQuery::new()).await;
    let steps: Vec<i64> = there["x"].iter().map(|p| p.step).collect();
    assert_eq!(steps, (0..12).collect::<Vec<_>>());
}

async fn replays(tracker: &dyn Tracker) {
    let run = new_run(tracker, "replays").await;
    assert_eq!(
        append(tracker, &run, 0, Vec::new()).await,
        0,
        "nothing appended to nothing"
    );
    assert_eq!(append(tracker, &run, 0, rows(0, 5)).await, 5);
    check_history(tracker, &run, series(5)).await;
    assert_eq!(
        append(tracker, &run, 0, rows(0, 5)).await,
        5,
        "the same call again"
    );
    assert_eq!(
        append(tracker, &run, 2, rows(2, 4)).await,
        5,
        "a part of it"
    );
    check_history(tracker, &run, series(5)).await;
    assert_eq!(
        append(tracker, &run, 3, rows(3, 9)).await,
        9,
        "an overlap adds what is new"
    );
    check_history(tracker, &run, series(9)).await;
    let mut other = rows(0, 9);
    other.iter_mut().for_each(|batch| batch.steps.fill(77));
    assert_eq!(
        append(tracker, &run, 0, other).await,
        9,
        "rows that are there are left alone"
    );
    assert_eq!(append(tracker, &run, 9, Vec::new()).await, 9, "nothing");
    assert_eq!(
        append(tracker, &run, 9, vec![rows(9, 10)[0].slice(0, 0)]).await,
        9,
        "a batch without points"
    );
    check_history(tracker, &run, series(9)).await;
    // Rows may have gaps inside a call.
    let sparse = split_rows([row(10), row(13)]).unwrap();
    assert_eq!(append(tracker, &run, 9, sparse).await, 14);
    assert_eq!(
        append(tracker, &run, 9, rows(9, 14)).await,
        14,
        "a row in a gap comes too late"
    );
    let all = read(tracker, &run, HistoryQuery::new()).await;
    let there: Vec<_> = all["all"].iter().filter_map(|p| p.row).collect();
    assert_eq!(there, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 13]);
    assert_eq!(
        tracker
            .append(&run, HistoryStream::System, 0, rows(0, 1))
            .await
            .unwrap(),
        1,
        "another history"
    );
}

async fn refusals(tracker: &dyn Tracker) {
    let run = new_run(tracker, "refusals").await;
    append(tracker, &run, 0, rows(0, 5)).await;
    let refused = |at, batches| tracker.append(&run, METRICS, at, batches);
    assert_eq!(
        kind(refused(6, rows(6, 7)).await),
        ErrorKind::InvalidInput,
        "a gap"
    );
    assert_eq!(
        kind(refused(6, Vec::new()).await),
        ErrorKind::InvalidInput,
        "a gap before nothing"
    );
    let mut unnumbered = rows(5, 6);
    unnumbered[0].rows = None;
    assert_eq!(
        kind(refused(5, unnumbered).await),
        ErrorKind::InvalidInput,
        "no row numbers"
    );
    assert_eq!(
        kind(refused(5, rows(4, 6)).await),
        ErrorKind::InvalidInput,
        "a row before the first"
    );
    let mut good_then_bad = rows(5, 7);
    good_then_bad[1].steps.push(1);
    assert_eq!(
        kind(refused(5, good_then_bad).await),
        ErrorKind::InvalidInput,
        "uneven columns"
    );
    let twice = [rows(5, 6), rows(5, 6)].concat();
    assert_eq!(
        kind(refused(5, twice).await),
        ErrorKind::InvalidInput,
        "a row twice in one series"
    );
    check_history(tracker, &run, series(5)).await;
    assert_eq!(
        append(tracker, &run, 5, rows(5, 7)).await,
        7,
        "and it goes on"
    );
    check_history(tracker, &run, series(7)).await;
}

async fn after_a_writer(tracker: &dyn Tracker) {
    let run = new_run(tracker, "after-a-writer").await;
    let numbered: Vec<Point> = (0..6)
        .map(|n| point(Some(n * n), 0, 0, Value::F64(0.5)))
        .collect();
    write(
        tracker,
        &run,
        &[("all", 0, numbered.clone()), ("plain", 0, ramp(0, 4))],
    )
    .await;
    assert_eq!(
        append(tracker, &run, 0, rows(0, 27)).await,
        27,
        "the rows after those of the writer"
    );
    let there = read(tracker, &run, HistoryQuery::new()).await;
    assert_eq!(
        there["all"]
            .iter()
            .filter_map(|p| p.row)
            .collect::<Vec<_>>(),
        [0, 1, 4, 9, 16, 25, 26]
    );
    assert_eq!(there["plain"].len(), 4);
    assert_eq!(
        there["even"]
            .iter()
            .filter_map(|p| p.row)
            .collect::<Vec<_>>(),
        [26]
    );
    // And a writer goes on after what was appended.
    write(
        tracker,
        &run,
        &[("all", 7, vec![point(Some(30), 1, 1, Value::F64(1.0))])],
    )
    .await;
    assert_eq!(append(tracker, &run, 31, rows(31, 32)).await, 32);
    let there = read(tracker, &run, HistoryQuery::new().with_from_index(6)).await;
    assert_eq!(
        there["all"]
            .iter()
            .filter_map(|p| p.row)
            .collect::<Vec<_>>(),
        [26, 30, 31]
    );
}

/// Many small calls, some of them repeated from an earlier row on, as clients do that lost an answer.
async fn many_calls(tracker: &dyn Tracker) {
    let run = new_run(tracker, "many-calls").await;
    let (mut next, mut random) = (0, Random(1));
    while next < 1_000 {
        let at = next - random.below(4).min(next);
        let to = at + random.below(12);
        let answered = append(tracker, &run, at, rows(at, to)).await;
        next = next.max(to);
        assert_eq!(answered, next);
    }
    check_history(tracker, &run, series(next)).await;
}

async fn deletion(tracker: &dyn Tracker) {
    let missing = tracker
        .append(&run_path("missing"), METRICS, 0, rows(0, 1))
        .await;
    assert_eq!(kind(missing), ErrorKind::NotFound);
    let run = new_run(tracker, "deleted-tail").await;
    append(tracker, &run, 0, rows(0, 5)).await;
    tracker.delete_run(&run).await.unwrap();
    new_run(tracker, "deleted-tail").await;
    assert!(read(tracker, &run, HistoryQuery::new()).await.is_empty());
    assert_eq!(
        append(tracker, &run, 0, rows(0, 1)).await,
        1,
        "rows begin again"
    );
}
