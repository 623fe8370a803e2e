use std::{collections::BTreeSet, sync::Arc};

use futures::TryStreamExt;
use importer_core::{Kind, Outcome, PointItem, PointsQuery, Source, conformance};
use importer_mlflow::{MlflowOptions, SqliteSource};
use rusqlite::params;
use serde_json::json;
use tracker_model::SeriesKey;

use super::database::{Database, Version, run_id};
use crate::read::{history, run};

#[tokio::test]
async fn series_come_whole_in_the_order_of_the_server() {
    let db = Database::new(Version::New);
    let id = db.finished(1);
    let long = "é".repeat(250);
    let points = [
        ("b", 3, 30, 1.0),
        ("a", 0, 20, f64::NAN),
        ("b", 1, 10, 2.0),
        ("a", 0, 20, 0.0),
        ("a", 0, 20, -1.0),
        ("a", -1, 20, 9.0),
        ("b", i64::MAX, i64::MAX, f64::MAX),
        ("b", i64::MIN, i64::MIN, f64::MIN),
        (long.as_str(), 0, 0, 5e-324),
        ("a", 5, 1, 1e22),
        ("", 0, 0, 1.0),
    ];
    for (key, step, time, value) in points {
        db.point(&id, key, step, time, value);
    }
    let (one, _) = run(&db.open(), &id).await;
    let source = db.open();
    let history = history(&source, &one).await;
    assert_eq!(
        history
            .points
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ["", "a", "b", &long]
    );
    let values = |key: &str| {
        history.points[key]
            .iter()
            .map(|p| (p.0, p.1, f64::from_bits(p.2)))
            .collect::<Vec<_>>()
    };
    let a = values("a");
    assert_eq!(
        a[..4],
        [(5, 1, 1e22), (-1, 20, 9.0), (0, 20, -1.0), (0, 20, 0.0)]
    );
    assert!(a[4].2.is_nan() && a.len() == 5);
    assert_eq!(
        values("b"),
        [
            (i64::MIN, i64::MIN, f64::MIN),
            (1, 10, 2.0),
            (3, 30, 1.0),
            (i64::MAX, i64::MAX, f64::MAX)
        ]
    );
    assert_eq!(values(&long), [(0, 0, 5e-324)]);
    assert_eq!(history.findings, []);
    conformance::source(Arc::new(source)).await;
}

/// The order in which series come is that of the bytes of their keys.
#[tokio::test]
async fn series_come_in_byte_order() {
    for version in [Version::Mid, Version::New] {
        let db = Database::new(version);
        let id = db.finished(1);
        for (i, key) in ["b", "a/b", "ü", "A", "a", "a b", "z"]
            .into_iter()
            .enumerate()
        {
            db.point(&id, key, 0, 0, 1.0);
            if i % 2 == 0 {
                db.latest(&id, key, 0, 0, 1.0);
            }
        }
        let source = db.open();
        let (one, _) = run(&source, &id).await;
        let items: Vec<_> = source
            .points(&one, PointsQuery::new())
            .try_collect()
            .await
            .unwrap();
        let keys: Vec<_> = items
            .iter()
            .filter_map(|i| match i {
                PointItem::Batch(batch) => Some(batch.key.to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(keys, ["A", "a", "a b", "a/b", "b", "z", "ü"]);
    }
}

#[tokio::test]
async fn odd_points_are_counted_and_the_rest_arrives() {
    let db = Database::new(Version::Mid);
    let id = db.finished(1);
    let insert = |key: &str, value: &str, time: &str, step: &str| {
        let sql = format!(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step) VALUES ({key}, {value}, {time}, '{id}', {step})"
        );
        db.run(&sql);
    };
    insert("'a'", "1", "'1'", "2");
    insert("'a'", "'2.5'", "2", "3.0");
    insert("'a'", "'nan'", "3", "0");
    insert("'a'", "NULL", "4", "0");
    insert("'a'", "9e999", "5", "0");
    insert("'a'", "'words'", "6", "0");
    insert("'a'", "'words'", "7", "0");
    insert("'a'", "1", "'late'", "0");
    insert("'a'", "1", "8", "1.5");
    insert("CAST(x'ff' AS TEXT)", "1", "8", "0");
    insert("CAST(x'ff' AS TEXT)", "2", "8", "0");
    let source = db.open();
    let (one, _) = run(&source, &id).await;
    let got = history(&source, &one).await;
    let values: Vec<_> = got.points["a"]
        .iter()
        .map(|p| (p.0, p.1, f64::from_bits(p.2)))
        .collect();
    assert_eq!(values[..2], [(2, 1, 1.0), (3, 2, 2.5)]);
    assert!(values[2].2.is_nan() && values[3].2.is_nan());
    assert_eq!(values[4], (0, 5, f64::INFINITY));
    assert_eq!(values.len(), 5);
    let mut found: Vec<_> = got
        .findings
        .iter()
        .map(|f| (f.outcome, f.reason.as_str(), f.count))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            (Outcome::Normalised, "null-to-nan", 1),
            (Outcome::Unreadable, "its step is not an integer", 1),
            (Outcome::Unreadable, "its time is not an integer", 1),
            (Outcome::Unreadable, "its value is not a number", 2),
            (Outcome::Unreadable, "the metric's name is not UTF-8", 2),
        ]
    );
    conformance::source(Arc::new(source)).await;
}

#[tokio::test]
async fn infinities_come_back_if_asked_for() {
    let db = Database::new(Version::New);
    let id = db.finished(1);
    for (step, value) in [(0, f64::MAX), (1, f64::MIN), (2, 1.0), (3, f64::MAX)] {
        db.point(&id, "x", step, step, value);
    }
    db.latest(&id, "x", 3, 3, f64::MAX);
    let options = MlflowOptions::new().with_restored_infinities(true);
    let source = SqliteSource::open(db.file(), &options).unwrap();
    let (one, record) = run(&source, &id).await;
    let got = history(&source, &one).await;
    let values: Vec<_> = got.points["x"]
        .iter()
        .map(|p| f64::from_bits(p.2))
        .collect();
    assert_eq!(
        values,
        [f64::INFINITY, f64::NEG_INFINITY, 1.0, f64::INFINITY]
    );
    let [finding] = &got.findings[..] else {
        panic!("{:?}", got.findings)
    };
    assert_eq!(
        (finding.kind, finding.outcome, finding.count),
        (Kind::Points, Outcome::Normalised, 3)
    );
    assert_eq!(finding.reason, "double-max-to-infinity");
    assert_eq!(record.run.summary["x"], json!("Infinity"));
    conformance::source(Arc::new(source)).await;
    let plain = db.open();
    let (one, record) = run(&plain, &id).await;
    assert_eq!(record.run.summary["x"], json!(f64::MAX));
    assert_eq!(history(&plain, &one).await.findings, []);
}

#[tokio::test]
async fn twelve_thousand_keys() {
    let db = Database::new(Version::New);
    let id = db.finished(1);
    db.run("BEGIN");
    for step in 0..2 {
        for key in 0..12_000 {
            db.point(
                &id,
                &format!("layer.{key}/weight"),
                step,
                step,
                f64::from(key),
            );
        }
    }
    db.run("COMMIT");
    let source = db.open();
    let (one, _) = run(&source, &id).await;
    let got = history(&source, &one).await;
    assert_eq!(got.points.len(), 12_000);
    assert!(got.points.values().all(|p| p.len() == 2));
    let mut only = PointsQuery::new();
    only.only = Some(BTreeSet::from([SeriesKey::from("layer.7/weight")]));
    let items: Vec<_> = source.points(&one, only).try_collect().await.unwrap();
    assert!(matches!(&items[..], [PointItem::Batch(batch)] if batch.len() == 2));
}

/// More points than are sorted in memory, logged in no order.
#[tokio::test]
async fn long_runs_are_sorted_on_disk() {
    const POINTS: i64 = 450_000;
    for version in [Version::Mid, Version::New] {
        let db = Database::new(version);
        // The primary key would be the slowest part of the test.
        db.run(
            "DROP TABLE metrics;
             CREATE TABLE metrics (key, value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32), step BIGINT, is_nan BOOLEAN);
             CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);",
        );
        let id = db.finished(1);
        db.run("BEGIN");
        let sql = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1) \
                   INSERT INTO metrics SELECT CASE i % 3 WHEN 0 THEN 'c' WHEN 1 THEN 'a' ELSE 'b' END, i * 0.5, \
                   (i * 7919) % ?1, ?2, i, 0 FROM n";
        db.c.execute(sql, params![POINTS, id]).unwrap();
        db.run("COMMIT");
        if version == Version::New {
            for key in ["a", "b", "c"] {
                db.latest(&id, key, 0, 0, 1.0);
            }
        }
        let source = db.open();
        let (one, _) = run(&source, &id).await;
        let mut items = source.points(&one, PointsQuery::new());
        let (mut keys, mut count, mut last) = (Vec::new(), 0, (i64::MIN, i64::MIN));
        while let Some(item) = items.try_next().await.unwrap() {
            let PointItem::Batch(batch) = item else {
                panic!("{item:?}")
            };
            if keys.last() != Some(&batch.key.to_string()) {
                keys.push(batch.key.to_string());
                last = (i64::MIN, i64::MIN);
            }
            for (time, step) in batch.times.unwrap().ms.into_iter().zip(batch.steps) {
                assert_eq!(time, step * 7919 % POINTS);
                assert!((time, step) > last);
                last = (time, step);
                count += 1;
            }
        }
        assert_eq!(count, POINTS);
        if version == Version::New {
            assert_eq!(keys, ["a", "b", "c"]);
        }
        assert_eq!(keys.len(), 3);
    }
}

#[tokio::test]
async fn a_run_without_points() {
    let db = Database::new(Version::New);
    let id = db.finished(1);
    let source = db.open();
    let (one, record) = run(&source, &run_id(1)).await;
    assert_eq!(record.run.path.run.as_str(), id);
    assert!(history(&source, &one).await.points.is_empty());
}
