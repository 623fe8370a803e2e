use futures::{StreamExt, TryStreamExt, executor::block_on, stream};
use proptest::prelude::*;

use super::*;
use crate::{BatchBuilder, ErrorKind, MAX_BATCH_POINTS, PointBatch, Result};

fn text(rows: &[HistoryRow]) -> String {
    format!("{rows:?}")
}

fn streamed(batches: Vec<PointBatch>) -> Result<Vec<HistoryRow>> {
    block_on(rows_of(stream::iter(batches).map(Ok).boxed()).try_collect())
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        any::<i64>().prop_map(Value::I64),
        any::<bool>().prop_map(Value::Bool),
        ".{0,3}".prop_map(Value::Str),
        Just(Value::Json("null".to_owned())),
    ]
}

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((-3i64..3, 0u32..2).prop_map(|(ms, sub)| Timestamp::from_parts(ms, sub)))
}

/// Rows with gaps, numbers that repeat with another time or step, and few keys.
fn rows() -> impl Strategy<Value = Vec<HistoryRow>> {
    let values = proptest::collection::btree_map("[a-d]", value(), 1..4);
    let row = (0u64..3, any::<i64>(), time(), values);
    proptest::collection::vec(row, 0..40).prop_map(|rows| {
        let mut number = 0;
        let row = |(gap, step, time, values): (
            u64,
            i64,
            _,
            std::collections::BTreeMap<String, Value>,
        )| {
            number += 1 + gap;
            let values = values
                .into_iter()
                .map(|(key, value)| (SeriesKey::from(key), value))
                .collect();
            HistoryRow {
                row: number,
                step,
                time,
                values,
            }
        };
        rows.into_iter().map(row).collect()
    })
}

/// Points of a few series, which meet often in time and step.
fn points() -> impl Strategy<Value = Vec<(String, i64, Option<Timestamp>, Value)>> {
    proptest::collection::vec(("[a-c]", -2i64..2, time(), value()), 0..60)
}

fn batches(points: &[(String, i64, Option<Timestamp>, Value)]) -> Vec<PointBatch> {
    let mut out = Vec::new();
    for (key, step, time, value) in points {
        let mut builder = BatchBuilder::new(key.into());
        builder.push(None, *step, *time, value.clone());
        out.extend(builder.take());
    }
    out
}

/// Checks what the contract says of a scan for rows.
fn check_order(batches: &[PointBatch]) {
    let mut first = 0;
    let mut last = std::collections::BTreeMap::new();
    for batch in batches {
        let rows = batch.rows.as_ref().unwrap();
        assert!(rows[0] >= first, "{rows:?} after {first}");
        first = rows[0];
        assert!(
            last.insert(batch.key.clone(), rows[rows.len() - 1])
                .is_none_or(|last| last < first)
        );
    }
}

proptest! {
    #[test]
    fn rows_split_and_merge_again(rows in rows()) {
        let batches = split_rows(rows.clone()).unwrap();
        for batch in &batches {
            batch.check().unwrap();
        }
        check_order(&batches);
        prop_assert_eq!(text(&streamed(batches.clone()).unwrap()), text(&rows));
        prop_assert_eq!(text(&group_rows(batches).unwrap()), text(&rows));
        let again = batches_of(stream::iter(rows.clone()).map(Ok).boxed());
        prop_assert_eq!(text(&block_on(rows_of(again).try_collect::<Vec<_>>()).unwrap()), text(&rows));
    }

    #[test]
    fn derived_rows_hold_every_point_once(points in points()) {
        let rows = group_rows(batches(&points)).unwrap();
        prop_assert!(rows.iter().enumerate().all(|(i, row)| row.row == i as u64));
        prop_assert!(rows.is_sorted_by_key(|row| (row.time, row.step)));
        // Within a series, points with the same time and step keep their order.
        for key in ["a", "b", "c"] {
            let mut mine: Vec<_> = points.iter().filter(|p| p.0 == key).map(|p| (p.2, p.1, &p.3)).collect();
            mine.sort_by_key(|(time, step, _)| (*time, *step));
            let of_rows: Vec<_> = rows
                .iter()
                .flat_map(|row| row.values.iter().map(move |(k, value)| (k, (row.time, row.step, value))))
                .filter(|(k, _)| k.as_str() == key)
                .map(|(_, point)| point)
                .collect();
            prop_assert_eq!(format!("{of_rows:?}"), format!("{mine:?}"));
        }
        // A row is followed by another of its time and step only if a series needs it.
        for pair in rows.windows(2) {
            if (pair[0].time, pair[0].step) == (pair[1].time, pair[1].step) {
                prop_assert!(pair[1].values.iter().all(|(k, _)| pair[0].values.iter().any(|(j, _)| j == k)));
            }
        }
    }

    #[test]
    fn the_interleaving_of_series_does_not_matter(points in points()) {
        let mut by_key = points.clone();
        by_key.sort_by(|a, b| a.0.cmp(&b.0));
        prop_assert_eq!(
            text(&group_rows(batches(&points)).unwrap()),
            text(&group_rows(batches(&by_key)).unwrap())
        );
    }
}

#[test]
fn groups_are_small_and_sparse_series_find_their_rows() {
    let row = |row: u64| {
        let mut values = vec![
            (SeriesKey::from("dense"), Value::I64(1)),
            ("other".into(), Value::F64(0.5)),
        ];
        if row % 50_000 == 7 {
            values.push(("sparse".into(), Value::Str("x".repeat(10))));
        }
        HistoryRow {
            row,
            step: 0,
            time: None,
            values,
        }
    };
    let mut splitter = RowSplitter::new();
    let mut groups = Vec::new();
    for n in 0..200_000 {
        groups.push(splitter.push(row(n)).unwrap());
    }
    groups.push(splitter.take());
    groups.retain(|group| !group.is_empty());
    assert!(groups.len() >= 400_000 / MAX_BATCH_POINTS);
    assert!(
        groups
            .iter()
            .all(|group| group.iter().map(PointBatch::len).sum::<usize>() <= MAX_BATCH_POINTS)
    );
    let rows = streamed(groups.into_iter().flatten().collect()).unwrap();
    assert_eq!(rows.len(), 200_000);
    assert!(rows.iter().enumerate().all(|(i, r)| *r == row(i as u64)));
}

#[test]
fn large_texts_make_small_groups() {
    let row = |row| HistoryRow {
        row,
        step: 0,
        time: None,
        values: vec![("table".into(), Value::Json("x".repeat(1 << 20)))],
    };
    let mut splitter = RowSplitter::new();
    let most = (0..20)
        .map(|n| {
            splitter
                .push(row(n))
                .unwrap()
                .iter()
                .map(PointBatch::len)
                .sum::<usize>()
        })
        .max();
    assert_eq!(most, Some(4));
}

#[test]
fn a_row_with_two_times_is_two_rows_with_one_number() {
    let batch = |key: &str, ms| {
        let mut builder = BatchBuilder::new(key.into());
        builder.push(Some(3), 1, Some(Timestamp::from_millis(ms)), Value::I64(ms));
        builder.take().unwrap()
    };
    let batches = vec![batch("a", 2), batch("b", 1), batch("c", 2)];
    let rows = streamed(batches.clone()).unwrap();
    assert_eq!(
        rows.iter()
            .map(|r| (r.row, r.values.len()))
            .collect::<Vec<_>>(),
        [(3, 1), (3, 2)]
    );
    assert_eq!(group_rows(batches).unwrap(), rows);
}

#[test]
fn numbered_rows_come_before_derived_ones() {
    let mut builder = BatchBuilder::new("a".into());
    let mut batches: Vec<_> = [Some(2), None, Some(9), None]
        .into_iter()
        .filter_map(|row| builder.push(row, 0, None, Value::Bool(true)))
        .collect();
    batches.extend(builder.take());
    let numbers: Vec<u64> = group_rows(batches)
        .unwrap()
        .iter()
        .map(|row| row.row)
        .collect();
    assert_eq!(numbers, [2, 9, 10, 11]);
}

#[test]
fn batches_of_another_kind_of_scan_are_refused() {
    let batch = |rows: Option<Vec<u64>>| {
        let mut builder = BatchBuilder::new("a".into());
        for i in 0..2 {
            builder.push(rows.as_ref().map(|r| r[i]), 0, None, Value::I64(0));
        }
        builder.take().unwrap()
    };
    for batches in [
        vec![batch(None)],
        vec![batch(Some(vec![5, 6])), batch(Some(vec![4, 7]))],
        vec![batch(Some(vec![2, 2]))],
    ] {
        assert_eq!(streamed(batches).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    let row = |row| HistoryRow {
        row,
        step: 0,
        time: None,
        values: vec![("a".into(), Value::I64(0))],
    };
    assert_eq!(
        split_rows([row(2), row(1)]).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        split_rows([row(2), row(2)]).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}
