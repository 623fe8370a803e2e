use std::{collections::BTreeMap, future::Future, sync::Arc};

use futures::{StreamExt, stream};

use super::support::{
    Point, Random, keeps_everything, list, list_kind, new_run, point, points_of, ramp, run_path,
    scan, write,
};
use crate::{
    ErrorKind, HistoryQuery, HistoryRow, HistoryStream, MAX_BATCH_POINTS, PointBatch, RunPath,
    SeriesKey, Timestamp, Tracker, Value, group_rows, rows_of, split_rows,
};

/// Scans that are asked for rows: numbered and derived ones, in bounded memory.
pub async fn history_rows<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let missing = tracker.scan(&run_path("missing"), HistoryQuery::new().with_rows(true));
    assert_eq!(list_kind(missing).await, ErrorKind::NotFound);
    plain_doubles(tracker).await;
    if !keeps_everything(tracker) {
        return;
    }
    numbered(tracker).await;
    derived(tracker).await;
    disordered(tracker).await;
    mixed(tracker).await;
    live(tracker).await;
    long(tracker).await;
}

/// What every tracker can put into rows.
async fn plain_doubles(tracker: &dyn Tracker) {
    let run = new_run(tracker, "plain-doubles").await;
    write(
        tracker,
        &run,
        &[("a", 0, ramp(0, 50)), ("b", 0, ramp(40, 60))],
    )
    .await;
    let rows = check_queries(tracker, &run, ["a", "b"]).await;
    assert_eq!(rows.iter().map(|row| row.values.len()).sum::<usize>(), 70);
    assert_eq!(rows.len(), 60);
}

/// Checks what the contract says of the batches of such a scan.
fn check_order(batches: &[PointBatch]) {
    let (mut first, mut held) = (0, Vec::<u64>::new());
    let mut ends: BTreeMap<SeriesKey, u64> = BTreeMap::new();
    let mut widest: BTreeMap<u64, usize> = BTreeMap::new();
    for row in batches
        .iter()
        .flat_map(|batch| batch.rows.as_deref().expect("every batch has rows"))
    {
        *widest.entry(*row).or_default() += 1;
    }
    let widest = widest.values().max().copied().unwrap_or_default();
    for batch in batches.iter().filter(|batch| !batch.is_empty()) {
        let rows = batch.rows.as_deref().unwrap();
        assert!(
            rows[0] >= first,
            "a batch begins at row {}, one before it at {first}",
            rows[0]
        );
        first = rows[0];
        let before = ends.insert(batch.key.clone(), rows[rows.len() - 1]);
        assert!(
            before.is_none_or(|end| end < first),
            "the rows of {:?} ascend",
            batch.key
        );
        held.retain(|row| *row >= first);
        held.extend(rows);
        assert!(
            held.len() <= MAX_BATCH_POINTS + widest,
            "{} points wait to become rows",
            held.len()
        );
    }
}

/// A row, to be compared bit by bit.
fn exact(row: &HistoryRow) -> (u64, Vec<(String, Point)>) {
    let HistoryRow {
        row,
        step,
        time,
        values,
    } = row;
    let point = |value: &Value| Point {
        row: Some(*row),
        step: *step,
        time: *time,
        value: value.clone(),
    };
    let mut values: Vec<_> = values
        .iter()
        .map(|(key, value)| (key.to_string(), point(value)))
        .collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    (*row, values)
}

/// Asks for rows, and compares them with those that the points of a plain scan make.
async fn check(tracker: &dyn Tracker, run: &RunPath, query: HistoryQuery) -> Vec<HistoryRow> {
    let batches = scan(tracker, run, query.clone().with_rows(true)).await;
    check_order(&batches);
    let rows = list(rows_of(stream::iter(batches).map(Ok).boxed())).await;
    let wanted = group_rows(scan(tracker, run, query.clone()).await).unwrap();
    for (there, wanted) in rows.iter().zip(&wanted) {
        assert_eq!(exact(there), exact(wanted), "{query:?}");
    }
    assert_eq!(rows.len(), wanted.len(), "how many rows {query:?} gives");
    rows
}

async fn check_queries(tracker: &dyn Tracker, run: &RunPath, keys: [&str; 2]) -> Vec<HistoryRow> {
    let all = check(tracker, run, HistoryQuery::new()).await;
    for query in [
        HistoryQuery::new().with_keys(keys),
        HistoryQuery::new().with_keys([keys[0], "no such key"]),
        HistoryQuery::new().with_steps(-2..=3),
        HistoryQuery::new().with_steps(7..=7).with_keys([keys[1]]),
        HistoryQuery::new().with_from_index(2),
        HistoryQuery::new()
            .with_from_index(1)
            .with_steps(0..=i64::MAX),
        HistoryQuery::new().with_from_index(u64::MAX),
        HistoryQuery::new().with_stream(HistoryStream::System),
    ] {
        check(tracker, run, query).await;
    }
    all
}

async fn numbered(tracker: &dyn Tracker) {
    let run = new_run(tracker, "numbered").await;
    let of = |rows: &[u64], value: fn(u64) -> Value| -> Vec<Point> {
        // Steps repeat and go back; time stands still.
        rows.iter()
            .map(|row| point(Some(*row), (*row % 9) as i64 - 3, 5, value(*row)))
            .collect()
    };
    let float = |row: u64| {
        if row == 4 {
            Value::F64(f64::NAN)
        } else {
            Value::F64(row as f64)
        }
    };
    let kinds = |row: u64| match row % 3 {
        0 => Value::I64(row as i64),
        1 => Value::Str(row.to_string()),
        _ => Value::Json("{}".to_owned()),
    };
    let series = [
        ("every", 0, of(&(0..40).collect::<Vec<_>>(), float)),
        ("gaps", 0, of(&[0, 1, 7, 39, 2_000], float)),
        ("kinds", 0, of(&(3..33).collect::<Vec<_>>(), kinds)),
        ("late", 0, of(&[5_000, 5_001, 1 << 60], float)),
    ];
    write(tracker, &run, &series).await;
    let rows = check_queries(tracker, &run, ["gaps", "late"]).await;
    assert_eq!(rows.len(), 44);
    assert_eq!(
        rows[7]
            .values
            .iter()
            .map(|(key, _)| key.as_str())
            .collect::<Vec<_>>(),
        ["every", "gaps", "kinds"]
    );
    assert_eq!(
        rows.last().map(|row| row.row),
        Some(1 << 60),
        "rows keep their numbers"
    );
}

async fn derived(tracker: &dyn Tracker) {
    let run = new_run(tracker, "derived").await;
    let at = |step: i64, ms: i64, value: f64| point(None, step, ms, Value::F64(value));
    let untimed = |step: i64, value: f64| Point {
        time: None,
        ..at(step, 0, value)
    };
    let fine = Point {
        time: Some(Timestamp::from_parts(10, 1)),
        ..at(1, 0, 0.5)
    };
    let series = [
        // Three points with the same time and step, two in the next series, one in the last.
        (
            "a",
            0,
            vec![
                at(1, 10, 1.0),
                at(1, 10, 2.0),
                at(0, 20, 3.0),
                at(1, 10, 4.0),
                untimed(9, 5.0),
            ],
        ),
        (
            "b",
            0,
            vec![
                at(0, 20, 1.0),
                at(1, 10, 2.0),
                at(1, 10, 3.0),
                at(-5, 10, 4.0),
            ],
        ),
        (
            "c",
            0,
            vec![fine, at(1, 10, 1.0), untimed(9, f64::NAN), untimed(-1, 0.0)],
        ),
    ];
    write(tracker, &run, &series).await;
    let rows = check_queries(tracker, &run, ["a", "c"]).await;
    let shape: Vec<(u64, i64, String)> = rows
        .iter()
        .map(|row| {
            (
                row.row,
                row.step,
                row.values.iter().map(|(key, _)| key.as_str()).collect(),
            )
        })
        .collect();
    let wanted = [
        (-1, "c"),
        (9, "ac"),
        (-5, "b"),
        (1, "abc"),
        (1, "ab"),
        (1, "a"),
        (1, "c"),
        (0, "ab"),
    ];
    let wanted = wanted
        .iter()
        .enumerate()
        .map(|(i, (step, keys))| (i as u64, *step, (*keys).to_owned()));
    assert_eq!(
        shape,
        wanted.collect::<Vec<_>>(),
        "rows by time, step and occurrence, numbered from 0"
    );
}

/// Points in no order, with many repetitions.
async fn disordered(tracker: &dyn Tracker) {
    let run = new_run(tracker, "disordered").await;
    let mut random = Random(7);
    let series: Vec<(String, Vec<Point>)> = (0..12)
        .map(|i| {
            let any = |_| {
                let time = random.below(8);
                let mut p = point(
                    None,
                    random.below(12) as i64 - 4,
                    time as i64,
                    Value::I64(random.below(1 << 31) as i64),
                );
                p.time = p.time.filter(|_| time > 0);
                p
            };
            (format!("s{i}"), (0..400).map(any).collect())
        })
        .collect();
    let writes: Vec<_> = series
        .iter()
        .map(|(key, points)| (key.as_str(), 0, points.clone()))
        .collect();
    write(tracker, &run, &writes).await;
    let rows = check_queries(tracker, &run, ["s3", "s11"]).await;
    assert_eq!(
        rows.iter().map(|row| row.values.len()).sum::<usize>(),
        12 * 400,
        "every point is in one row"
    );
    // Equal in all but their order: one series gives the occurrences.
    let same: Vec<Point> = (0..3_000)
        .map(|i| point(None, 0, 0, Value::I64(i)))
        .collect();
    let run = new_run(tracker, "all-equal").await;
    write(
        tracker,
        &run,
        &[("a", 0, same.clone()), ("b", 0, same[..1_000].to_vec())],
    )
    .await;
    let rows = check(tracker, &run, HistoryQuery::new()).await;
    assert_eq!(rows.len(), 3_000);
    assert!(
        rows.iter()
            .enumerate()
            .all(|(i, row)| row.values[0].1 == Value::I64(i as i64))
    );
}

/// Some points have rows and some have not, even in one series.
async fn mixed(tracker: &dyn Tracker) {
    let run = new_run(tracker, "mixed").await;
    let numbered = |rows: &[u64]| -> Vec<Point> {
        rows.iter()
            .map(|row| point(Some(*row), 2, 7, Value::I64(*row as i64)))
            .collect()
    };
    let mut both = numbered(&[1, 3]);
    both.extend(ramp(0, 3));
    both.extend(numbered(&[8]));
    write(
        tracker,
        &run,
        &[
            ("both", 0, both),
            ("none", 0, ramp(0, 4)),
            ("rows", 0, numbered(&[0, 3, 5])),
        ],
    )
    .await;
    let rows = check_queries(tracker, &run, ["both", "none"]).await;
    let numbers: Vec<u64> = rows.iter().map(|row| row.row).collect();
    assert_eq!(
        numbers,
        [0, 1, 3, 5, 8, 9, 10, 11, 12],
        "derived rows follow the numbered ones"
    );
    // A row whose points differ in time stays one number and several rows.
    let run = new_run(tracker, "two-times").await;
    let at = |ms| vec![point(Some(4), 1, ms, Value::I64(ms))];
    write(
        tracker,
        &run,
        &[("a", 0, at(2)), ("b", 0, at(1)), ("c", 0, at(2))],
    )
    .await;
    let rows = check(tracker, &run, HistoryQuery::new()).await;
    assert_eq!(
        rows.iter()
            .map(|row| (row.row, row.values.len()))
            .collect::<Vec<_>>(),
        [(4, 1), (4, 2)]
    );
}

/// Rows that were appended come back as they were.
async fn live(tracker: &dyn Tracker) {
    let run = new_run(tracker, "live").await;
    let row = |n: u64| HistoryRow {
        row: n,
        step: n as i64,
        time: Some(Timestamp::from_parts(n as i64, 250_000)),
        values: vec![
            ("a".into(), Value::F64(n as f64)),
            (format!("k{}", n % 5).as_str().into(), Value::Bool(true)),
        ],
    };
    for at in (0..60).step_by(6) {
        let batches = split_rows((at..at + 6).map(row)).unwrap();
        tracker
            .append(&run, HistoryStream::Metrics, at, batches)
            .await
            .unwrap();
    }
    let rows = check_queries(tracker, &run, ["a", "k3"]).await;
    assert_eq!(rows, (0..60).map(row).collect::<Vec<_>>());
}

/// More points than may wait at once, one dense series beside sparse ones.
async fn long(tracker: &dyn Tracker) {
    for derived in [false, true] {
        let run = new_run(
            tracker,
            if derived {
                "long-derived"
            } else {
                "long-numbered"
            },
        )
        .await;
        let every = |n: u64| -> Vec<Point> {
            (0..70_000_u64)
                .filter(|row| row % n == 0)
                .map(|row| {
                    point(
                        (!derived).then_some(row),
                        row as i64,
                        row as i64,
                        Value::I64(row as i64),
                    )
                })
                .collect()
        };
        write(
            tracker,
            &run,
            &[
                ("1", 0, every(1)),
                ("10000", 0, every(10_000)),
                ("3", 0, every(3)),
                ("2", 0, every(2)),
            ],
        )
        .await;
        let rows = check(tracker, &run, HistoryQuery::new()).await;
        assert_eq!(rows.len(), 70_000);
        assert_eq!(rows[30_000].values.len(), 4);
        // The stream itself, without waiting for its end.
        let mut some = rows_of(tracker.scan(&run, HistoryQuery::new().with_rows(true)));
        for wanted in &rows[..100] {
            let there = some.next().await.expect("a row").expect("a row");
            assert_eq!(exact(&there), exact(wanted));
        }
        drop(some);
        let end = list(tracker.scan(&run, HistoryQuery::new().with_from_index(69_999))).await;
        assert_eq!(end.iter().flat_map(points_of).count(), 1);
    }
}
