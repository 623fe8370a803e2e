use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use proptest::prelude::*;
use tracker_client::{History, HistoryRequest, Join, Run, ScanRequest};
use tracker_model::{
    ErrorKind, HistoryRow, HistoryStore, HistoryStream, PointBatch, SeriesKey, Times, Timestamp,
    Value, Values, group_rows, split_rows,
};

use super::with_run;

/// A run with these rows.
async fn with_rows(stream: HistoryStream, rows: &[HistoryRow]) -> Run {
    let (tracker, run) = with_run().await;
    let points = split_rows(rows.to_vec()).unwrap();
    tracker.append(run.path(), stream, 0, points).await.unwrap();
    run
}

/// A run with these points, which have no row numbers.
async fn with_points(points: Vec<PointBatch>) -> Run {
    let (tracker, run) = with_run().await;
    let stream = HistoryStream::Metrics;
    let mut writer = tracker
        .history_writer(run.path(), stream, "t")
        .await
        .unwrap();
    for batch in points {
        writer.write(0, batch).await.unwrap();
    }
    writer.commit().await.unwrap();
    run
}

fn row(row: u64, step: i64, values: &[(&str, Value)]) -> HistoryRow {
    let ms = 1_700_000_000_000 + 250 * i64::try_from(row).unwrap();
    HistoryRow {
        row,
        step,
        time: Some(Timestamp::from_millis(ms)),
        values: values
            .iter()
            .map(|(k, v)| ((*k).into(), v.clone()))
            .collect(),
    }
}

/// Only the values of these keys, and only rows that have one.
fn only(rows: &[HistoryRow], keys: &[&str], join: Join) -> Vec<HistoryRow> {
    let all = |row: &HistoryRow| row.values.len() == keys.len();
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.values.retain(|(key, _)| keys.contains(&key.as_str()));
    }
    rows.retain(|row| !row.values.is_empty() && (join == Join::Outer || all(row)));
    rows
}

fn number(row: &HistoryRow, key: &str) -> Option<f64> {
    let (_, value) = row.values.iter().find(|(k, _)| k.as_str() == key)?;
    match value {
        Value::F64(x) => Some(*x),
        Value::I64(x) => Some(*x as f64),
        _ => None,
    }
}

fn has(row: &HistoryRow, key: &str) -> bool {
    row.values.iter().any(|(k, _)| k.as_str() == key)
}

/// The extremes that must be in a sample of these rows: of every bucket, for every key, the rows
/// with the least and the greatest number; or the first with the key, if there is no number.
fn extremes(rows: &[HistoryRow], keys: &[&str], samples: usize) -> BTreeSet<u64> {
    let most = (samples - 2) / (2 * keys.len());
    let mut out = BTreeSet::new();
    if most == 0 {
        return out;
    }
    let mut width = 1;
    while rows.len().div_ceil(width) > most {
        width *= 2;
    }
    for bucket in rows.chunks(width) {
        for key in keys {
            let numbers = || {
                let rows = bucket.iter();
                rows.filter_map(|r| Some((number(r, key).filter(|x| !x.is_nan())?, r.row)))
            };
            let first = bucket.iter().find(|r| has(r, key)).map(|r| r.row);
            let least = numbers().reduce(|a, b| if b.0 < a.0 { b } else { a });
            let greatest = numbers().reduce(|a, b| if b.0 > a.0 { b } else { a });
            match (least, greatest) {
                (Some(a), Some(b)) => out.extend([a.1, b.1]),
                _ => out.extend(first),
            }
        }
    }
    out
}

/// What holds for every sample.
fn check(rows: &[HistoryRow], keys: &[&str], samples: usize, history: &History) {
    assert_eq!(history.total, rows.len() as u64);
    assert_eq!(history.sampled, rows.len() > samples);
    if rows.len() <= samples {
        assert_eq!(history.rows, rows, "all of them fit");
        return;
    }
    assert_eq!(history.rows.len(), samples, "all of the room is used");
    assert!(history.rows.is_sorted_by_key(|r| r.row));
    assert_eq!(history.rows.first(), rows.first());
    assert_eq!(history.rows.last(), rows.last());
    let by_number: BTreeMap<u64, &HistoryRow> = rows.iter().map(|r| (r.row, r)).collect();
    for row in &history.rows {
        assert_eq!(by_number.get(&row.row), Some(&row), "whole rows");
    }
    let kept: BTreeSet<u64> = history.rows.iter().map(|r| r.row).collect();
    let missing: Vec<_> = extremes(rows, keys, samples)
        .difference(&kept)
        .copied()
        .collect();
    assert!(missing.is_empty(), "extremes at rows {missing:?}");
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (-50i64..50).prop_map(|x| Value::F64(x as f64 / 4.0)),
        2 => any::<i64>().prop_map(Value::I64),
        1 => Just(Value::F64(f64::NAN)),
        1 => Just(Value::F64(f64::INFINITY)),
        1 => Just(Value::Json("{}".to_owned())),
    ]
}

/// Rows of the keys a, b and c, with gaps between their numbers.
fn rows() -> impl Strategy<Value = Vec<HistoryRow>> {
    let cells = prop::array::uniform3(prop::option::weighted(0.7, value()));
    prop::collection::vec((1u64..3, -5i64..5, cells), 0..150).prop_map(|all| {
        let mut next = 0;
        let rows = all.into_iter().filter_map(|(gap, step, cells)| {
            let cells: Vec<_> = ["a", "b", "c"]
                .into_iter()
                .zip(cells)
                .filter_map(|(k, v)| Some((k, v?)))
                .collect();
            next += gap;
            (!cells.is_empty()).then(|| row(next, step, &cells))
        });
        rows.collect()
    })
}

fn same(a: &[HistoryRow], b: &[HistoryRow]) -> bool {
    // NaN is not equal to itself.
    format!("{a:?}") == format!("{b:?}")
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Rows without NaN can be compared.
fn comparable(rows: &[HistoryRow]) -> Vec<HistoryRow> {
    let mut rows = rows.to_vec();
    for (_, value) in rows.iter_mut().flat_map(|r| &mut r.values) {
        if matches!(value, Value::F64(x) if x.is_nan()) {
            *value = Value::Str("NaN".to_owned());
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn samples_keep_what_matters(rows in rows(), samples in 2usize..60, n in 1usize..4, inner: bool) {
        block_on(async {
            let keys = ["a", "b", "c"].into_iter().take(n).collect::<Vec<_>>();
            let join = if inner { Join::Inner } else { Join::Outer };
            let run = with_rows(HistoryStream::Metrics, &rows).await;
            let request = HistoryRequest::new()
                .with_samples(samples)
                .with_keys(keys.iter())
                .with_join(join);
            let mut history = run.history(request.clone()).await.unwrap();
            let again = run.history(request).await.unwrap();
            assert!(same(&history.rows, &again.rows), "the same again");
            let wanted = only(&rows, &keys, join);
            history.rows = comparable(&history.rows);
            check(&comparable(&wanted), &keys, samples, &history);
        });
    }

    #[test]
    fn scans_give_every_row(rows in rows(), page in 1usize..20, low in -6i64..6, high in -6i64..6) {
        block_on(async {
            let run = with_rows(HistoryStream::Metrics, &rows).await;
            let all: Vec<_> = run.scan_history(ScanRequest::new()).try_collect().await.unwrap();
            assert!(same(&all, &rows));
            let request = ScanRequest::new()
                .with_keys(["a", "c"])
                .with_min_step(low)
                .with_max_step(high)
                .with_page_size(page);
            let pages: Vec<_> = run.scan_pages(request.clone()).try_collect().await.unwrap();
            assert!(pages.iter().rev().skip(1).all(|p| p.len() == page), "whole pages");
            assert!(pages.last().is_none_or(|p| (1..=page).contains(&p.len())));
            let mut wanted = only(&rows, &["a", "c"], Join::Outer);
            wanted.retain(|r| low <= r.step && r.step < high);
            assert!(same(&pages.concat(), &wanted));
            let both: Vec<_> = run.scan_history(request.with_join(Join::Inner)).try_collect().await.unwrap();
            wanted.retain(|r| r.values.len() == 2);
            assert!(same(&both, &wanted));
        });
    }

    #[test]
    fn points_without_rows_are_sampled_as_rows(
        points in prop::collection::vec((0i64..4, 0i64..4, -9i64..9), 1..60),
        samples in 2usize..20,
        sorted: bool,
    ) {
        block_on(async {
            let mut points = points;
            if sorted {
                points.sort();
            }
            let batch = PointBatch {
                key: "a".into(),
                rows: None,
                steps: points.iter().map(|p| p.1).collect(),
                times: Some(Times::from_millis(points.iter().map(|p| p.0).collect())),
                values: Values::I64(points.iter().map(|p| p.2).collect()),
            };
            let wanted = group_rows([batch.clone()]).unwrap();
            let run = with_points(vec![batch]).await;
            let request = HistoryRequest::new().with_samples(samples).with_keys(["a"]);
            check(&wanted, &["a"], samples, &run.history(request).await.unwrap());
        });
    }
}

#[tokio::test]
async fn everything_by_default() {
    let rows: Vec<_> = (0..600)
        .map(|i| {
            row(
                i,
                7,
                &[("a", Value::I64(i as i64)), ("b", Value::Bool(true))],
            )
        })
        .collect();
    let run = with_rows(HistoryStream::Metrics, &rows).await;
    let history = run.history(HistoryRequest::new()).await.unwrap();
    check(&rows, &["a", "b"], 500, &history);
    let whole = run
        .history(HistoryRequest::new().with_samples(600))
        .await
        .unwrap();
    assert_eq!((whole.rows, whole.sampled), (rows, false));
}

#[tokio::test]
async fn steps_are_a_range() {
    let rows: Vec<_> = (0..100)
        .map(|i| row(i, i as i64, &[("a", Value::I64(1))]))
        .collect();
    let run = with_rows(HistoryStream::Metrics, &rows).await;
    let request = HistoryRequest::new().with_samples(10).with_steps(40..=49);
    for request in [request.clone(), request.with_keys(["a"])] {
        let history = run.history(request).await.unwrap();
        assert_eq!(history.rows, rows[40..50]);
        assert!(!history.sampled);
    }
    let none = ScanRequest::new().with_max_step(i64::MIN);
    let none: Vec<_> = run.scan_history(none).try_collect().await.unwrap();
    assert_eq!(none, []);
}

#[tokio::test]
async fn the_axis_is_in_every_row() {
    let rows = [
        row(0, 0, &[("epoch", Value::I64(0))]),
        row(1, 1, &[("loss", Value::F64(0.5))]),
        row(
            2,
            2,
            &[("epoch", Value::I64(1)), ("loss", Value::F64(0.25))],
        ),
    ];
    let run = with_rows(HistoryStream::Metrics, &rows).await;
    let loss = HistoryRequest::new().with_keys(["loss"]);
    let by_epoch = loss.clone().with_x_axis("epoch");
    assert_eq!(run.history(by_epoch).await.unwrap().rows, rows[2..]);
    for of_every_row in ["_step", "_timestamp", "_runtime"] {
        let request = loss.clone().with_x_axis(of_every_row);
        let history = run.history(request).await.unwrap();
        assert_eq!(history.rows, only(&rows, &["loss"], Join::Outer));
    }
    let without_keys = HistoryRequest::new().with_x_axis("epoch");
    let history = run.history(without_keys).await.unwrap();
    assert_eq!(history.rows, [rows[0].clone(), rows[2].clone()]);
}

#[tokio::test]
async fn system_metrics_are_a_history_of_their_own() {
    let rows = [row(0, 0, &[("system.cpu", Value::F64(3.5))])];
    let run = with_rows(HistoryStream::System, &rows).await;
    let system = run.system_metrics(HistoryRequest::new()).await.unwrap();
    assert_eq!(system.rows, rows);
    let metrics = run.history(HistoryRequest::new()).await.unwrap();
    assert_eq!((metrics.rows, metrics.total), (Vec::new(), 0));
    let scan = ScanRequest::new().with_stream(HistoryStream::System);
    let scan: Vec<_> = run.scan_history(scan).try_collect().await.unwrap();
    assert_eq!(scan, rows);
}

#[tokio::test]
async fn a_key_that_is_not_there_has_no_rows() {
    let rows = [row(0, 0, &[("a", Value::F64(3.5))])];
    let run = with_rows(HistoryStream::Metrics, &rows).await;
    for keys in [vec!["none"], vec!["none", "a"]] {
        let request = HistoryRequest::new().with_keys(keys).with_join(Join::Inner);
        assert_eq!(run.history(request).await.unwrap().rows, []);
    }
    let both: Vec<SeriesKey> = vec!["none".into(), "a".into()];
    let outer = HistoryRequest::new().with_keys(both.iter().map(SeriesKey::as_str));
    assert_eq!(run.history(outer).await.unwrap().rows, rows);
}

#[tokio::test]
async fn a_history_of_a_run_that_is_gone() {
    let run = with_rows(HistoryStream::Metrics, &[]).await;
    run.clone().delete().await.unwrap();
    for request in [
        HistoryRequest::new(),
        HistoryRequest::new().with_keys(["a"]),
    ] {
        let error = run.history(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    let pages: Result<Vec<_>, _> = run.scan_pages(ScanRequest::new()).try_collect().await;
    assert_eq!(pages.unwrap_err().kind(), ErrorKind::NotFound);
}
