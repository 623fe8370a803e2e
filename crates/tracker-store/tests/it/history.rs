use std::time::Duration;

use tracker_model::{
    ErrorKind, HistoryQuery, HistoryStore, HistoryStream, RunStore, SeriesDigest, SeriesInfo,
    SeriesKey, Timestamp, Value,
};

use tracker_store::GcOptions;

use crate::{
    support::{Point, all, batches, points, series, store, text, with_run, write},
    upkeep::files,
};

fn number(i: u64) -> Point {
    #[allow(clippy::cast_precision_loss)]
    (
        None,
        i.cast_signed(),
        Some(Timestamp::from_millis(
            1_700_000_000_000 + i.cast_signed() * 7,
        )),
        Value::F64(i as f64 * 0.1),
    )
}

/// Points of every kind and form, the odd ones among them.
fn nasty() -> Vec<Point> {
    let at = |ms, ns| Some(Timestamp::from_parts(ms, ns));
    vec![
        (
            None,
            i64::MIN,
            None,
            Value::F64(f64::from_bits(0x7ff8_0000_dead_beef)),
        ),
        (None, i64::MAX, at(i64::MIN, 0), Value::F64(-0.0)),
        (
            None,
            0,
            at(i64::MAX, 999_999),
            Value::F64(f64::NEG_INFINITY),
        ),
        (None, 0, at(0, 1), Value::F64(f64::INFINITY)),
        (None, 0, at(0, 0), Value::F64(f64::MIN_POSITIVE / 2.0)),
        (Some(3), -1, None, Value::I64(i64::MIN)),
        (Some(9), -1, at(5, 0), Value::I64(i64::MAX)),
        (Some(10), -1, at(5, 7), Value::Bool(true)),
        (Some(11), -1, at(5, 7), Value::Bool(false)),
        (Some(u64::MAX / 2), -1, at(5, 7), Value::Str(String::new())),
        (None, -1, None, Value::Str("ü\u{0}🦀".repeat(500))),
        (None, -1, None, Value::Json("{\"a\": [1, NaN".into())),
        (None, -1, None, Value::Json("null".into())),
    ]
}

#[tokio::test]
async fn every_value_comes_back_bit_by_bit() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/.hidden ü").await;
    write(&place.store, &run, "key/ü", 0, nasty()).await;
    let expected: Vec<String> = nasty().iter().map(text).collect();
    assert_eq!(series(&place.store, &run, "key/ü").await, expected);

    let info = place
        .store
        .series(&run, HistoryStream::Metrics)
        .await
        .unwrap()
        .remove(0);
    let mut observed = SeriesInfo::new(SeriesKey::from("key/ü"));
    let mut hasher = SeriesDigest::hasher();
    for batch in batches("key/ü", nasty()) {
        observed.observe(&batch);
        hasher.update(&batch);
    }
    observed.digest = Some(hasher.digest());
    assert_eq!(format!("{info:?}"), format!("{observed:?}"));
}

#[tokio::test]
async fn a_long_last_value_is_read_from_the_history() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    let long = Value::Str("x".repeat(100_000));
    write(
        &place.store,
        &run,
        "k",
        0,
        vec![number(0), (None, 1, None, long.clone())],
    )
    .await;
    let info = place
        .store
        .series(&run, HistoryStream::Metrics)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(info.last, Some(long));
}

#[tokio::test]
async fn series_are_extended_and_rewritten() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    let mut expected: Vec<Point> = (0..1000).map(number).collect();
    write(&place.store, &run, "a", 0, expected.clone()).await;
    write(&place.store, &run, "b", 0, vec![number(7)]).await;
    let steps: [(u64, u64); 6] = [
        (1000, 1200),
        (600, 610),
        (610, 900),
        (100, 101),
        (0, 50),
        (50, 60),
    ];
    for (at, end) in steps {
        let new: Vec<Point> = (at..end).map(|i| number(i * 1000 + end)).collect();
        expected.truncate(usize::try_from(at).unwrap());
        expected.extend(new.clone());
        write(&place.store, &run, "a", at, new).await;
        let lines: Vec<String> = expected.iter().map(text).collect();
        assert_eq!(series(&place.store, &run, "a").await, lines);
        assert_eq!(series(&place.store, &run, "b").await, [text(&number(7))]);

        let info = place
            .store
            .series(&run, HistoryStream::Metrics)
            .await
            .unwrap()
            .remove(0);
        let mut observed = SeriesInfo::new(SeriesKey::from("a"));
        let mut hasher = SeriesDigest::hasher();
        for batch in batches("a", expected.clone()) {
            observed.observe(&batch);
            hasher.update(&batch);
        }
        observed.digest = Some(hasher.digest());
        assert_eq!(info, observed);
    }
    let query = HistoryQuery::new()
        .with_keys(["a"])
        .with_from_index(55)
        .with_steps(0..=56 * 1000 + 60);
    let lines: Vec<String> = all(place.store.scan(&run, query))
        .await
        .iter()
        .flat_map(points)
        .map(|p| text(&p))
        .collect();
    assert_eq!(lines, expected[55..57].iter().map(text).collect::<Vec<_>>());
}

#[tokio::test]
async fn gaps_and_falling_rows_are_refused() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    let one = |row| batches("k", [(row, 0, None, Value::Bool(true))]).remove(0);
    let mut writer = place
        .store
        .history_writer(&run, HistoryStream::Metrics, "t")
        .await
        .unwrap();
    assert_eq!(
        writer.write(1, one(None)).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    writer.write(0, one(Some(5))).await.unwrap();
    assert_eq!(
        writer.write(2, one(Some(6))).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        writer.write(0, one(Some(6))).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        writer.write(1, one(Some(5))).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    writer.write(1, one(Some(6))).await.unwrap();
    writer.commit().await.unwrap();
    let mut writer = place
        .store
        .history_writer(&run, HistoryStream::Metrics, "t")
        .await
        .unwrap();
    assert_eq!(
        writer.write(2, one(Some(6))).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        writer.write(3, one(Some(7))).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    writer.write(2, one(Some(7))).await.unwrap();
    writer.commit().await.unwrap();
    assert_eq!(series(&place.store, &run, "k").await.len(), 3);
}

#[tokio::test]
async fn one_writer_at_a_time_and_staged_points_are_met_again() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    let open = |token: &'static str| {
        place
            .store
            .history_writer(&run, HistoryStream::Metrics, token)
    };
    let batch = |from, to| batches("k", (from..to).map(number)).remove(0);

    let mut writer = open("one").await.unwrap();
    assert_eq!(open("one").await.unwrap_err().kind(), ErrorKind::Conflict);
    assert!(
        place
            .store
            .history_writer(&run, HistoryStream::System, "one")
            .await
            .is_ok()
    );
    writer.write(0, batch(0, 10)).await.unwrap();
    writer.checkpoint().await.unwrap();
    writer.write(10, batch(10, 20)).await.unwrap();
    writer.checkpoint().await.unwrap();
    writer.write(20, batch(20, 30)).await.unwrap();
    drop(writer);
    assert!(series(&place.store, &run, "k").await.is_empty());

    let mut writer = open("one").await.unwrap();
    assert_eq!(writer.staged().len(), 1);
    assert_eq!(writer.staged()[0].count, 20);
    writer.write(20, batch(20, 25)).await.unwrap();
    writer.commit().await.unwrap();
    let expected: Vec<String> = (0..25).map(|i| text(&number(i))).collect();
    assert_eq!(series(&place.store, &run, "k").await, expected);

    let mut writer = open("two").await.unwrap();
    assert!(writer.staged().is_empty());
    writer.write(25, batch(0, 5)).await.unwrap();
    writer.checkpoint().await.unwrap();
    drop(writer);
    let writer = open("three").await.unwrap();
    assert!(writer.staged().is_empty());
    writer.commit().await.unwrap();
    assert!(open("two").await.unwrap().staged().is_empty());
    assert_eq!(series(&place.store, &run, "k").await, expected);
}

#[tokio::test]
async fn many_series_interleaved_in_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let options = tracker_store::StoreOptions::new().with_history_buffer_bytes(1 << 20);
    let store = tracker_store::EmbeddedStore::open(dir.path(), options)
        .await
        .unwrap();
    let run = with_run(&store, "local/p/r").await;
    let mut writer = store
        .history_writer(&run, HistoryStream::Metrics, "t")
        .await
        .unwrap();
    let (keys, rounds, step) = (300u64, 40u64, 10u64);
    let point = |key: u64, i: u64| -> Point {
        (
            Some(i),
            i.cast_signed(),
            None,
            Value::I64((key * 1_000_000 + i).cast_signed()),
        )
    };
    for round in 0..rounds {
        for key in 0..keys {
            let batch = batches(
                &format!("k{key:03}"),
                (round * step..(round + 1) * step).map(|i| point(key, i)),
            )
            .remove(0);
            writer.write(round * step, batch).await.unwrap();
        }
    }
    writer.commit().await.unwrap();
    let infos = store.series(&run, HistoryStream::Metrics).await.unwrap();
    assert_eq!(infos.len() as u64, keys);
    for (key, info) in (0..keys).zip(infos) {
        let expected: Vec<Point> = (0..rounds * step).map(|i| point(key, i)).collect();
        let mut hasher = SeriesDigest::hasher();
        batches("x", expected.clone())
            .iter()
            .for_each(|b| hasher.update(b));
        assert_eq!(info.count, rounds * step);
        assert_eq!(info.digest, Some(hasher.digest()));
        if key % 50 == 0 {
            let lines: Vec<String> = expected.iter().map(text).collect();
            assert_eq!(series(&store, &run, &format!("k{key:03}")).await, lines);
        }
    }
    // All of them at once come in order too.
    let mut next = std::collections::BTreeMap::<SeriesKey, i64>::new();
    for batch in all(store.scan(&run, HistoryQuery::new())).await {
        for step in &batch.steps {
            let next = next.entry(batch.key.clone()).or_default();
            assert_eq!(step, next);
            *next += 1;
        }
    }
    assert!(next.values().all(|n| n.cast_unsigned() == rounds * step));
}

#[tokio::test]
async fn a_deleted_run_takes_its_history_along() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    write(
        &place.store,
        &run,
        "k",
        0,
        (0..60_000).map(number).collect(),
    )
    .await;
    let mut writer = place
        .store
        .history_writer(&run, HistoryStream::Metrics, "t")
        .await
        .unwrap();
    writer
        .write(60_000, batches("k", [number(1)]).remove(0))
        .await
        .unwrap();
    place.store.delete_run(&run).await.unwrap();
    assert_eq!(
        writer.commit().await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        place
            .store
            .series(&run, HistoryStream::Metrics)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    let files = walk(&place.dir.path().join("history"));
    assert!(files.is_empty(), "{files:?}");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries
        .flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] })
        .collect()
}

/// Rows 0 to `to`, from `from` on, with two or three keys each.
fn rows(from: u64, to: u64) -> Vec<tracker_model::PointBatch> {
    let point = |i: u64| -> Point { (Some(i), i.cast_signed() * 10, number(i).2, number(i).3) };
    let mut out = batches("a", (from..to).map(point));
    out.extend(batches("b", (from..to).filter(|i| i % 3 == 0).map(point)));
    out.extend(batches(
        "text",
        (from..to).map(|i| (Some(i), 0, None, Value::Str(format!("line {i}")))),
    ));
    out
}

async fn content(
    store: &tracker_store::EmbeddedStore,
    run: &tracker_model::RunPath,
) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    for key in ["a", "b", "text"] {
        out.push(series(store, run, key).await);
    }
    out
}

fn expected(to: u64) -> Vec<Vec<String>> {
    let all = rows(0, to);
    let of = |key: &str| {
        all.iter()
            .filter(|b| b.key.as_str() == key)
            .flat_map(points)
            .map(|p| text(&p))
            .collect()
    };
    ["a", "b", "text"].map(of).into()
}

#[tokio::test]
async fn live_rows_are_seen_at_once_and_sealed_at_the_end() {
    let place = store().await;
    let store = &place.store;
    let run = with_run(store, "local/p/r").await;
    let append = |at, batches| store.append(&run, HistoryStream::Metrics, at, batches);
    assert_eq!(append(0, rows(0, 5)).await.unwrap(), 5);
    assert_eq!(append(5, rows(5, 7)).await.unwrap(), 7);
    // The same again, and with new rows behind.
    assert_eq!(append(0, rows(0, 5)).await.unwrap(), 7);
    assert_eq!(append(3, rows(3, 9)).await.unwrap(), 9);
    assert_eq!(
        append(10, rows(10, 11)).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        append(9, batches("a", [number(1)]))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(content(store, &run).await, expected(9));

    let infos = |digests: bool| async move {
        let mut infos = store
            .series(&run_path(), HistoryStream::Metrics)
            .await
            .unwrap();
        if !digests {
            infos.iter_mut().for_each(|info| info.digest = None);
        }
        infos
    };
    let before = infos(true).await;
    assert!(before.iter().all(|i| i.digest.is_some()));
    store.seal(&run).await.unwrap();
    assert_eq!(infos(true).await, before);
    assert_eq!(content(store, &run).await, expected(9));

    // Sealed and live together.
    assert_eq!(append(9, rows(9, 20)).await.unwrap(), 20);
    assert_eq!(append(0, rows(0, 9)).await.unwrap(), 20);
    assert_eq!(content(store, &run).await, expected(20));
    let query = HistoryQuery::new()
        .with_keys(["a"])
        .with_from_index(8)
        .with_steps(0..=100);
    let steps: Vec<i64> = all(store.scan(&run, query))
        .await
        .iter()
        .flat_map(|b| b.steps.clone())
        .collect();
    assert_eq!(steps, [80, 90, 100]);
    let live = infos(false).await;
    let patch = tracker_model::RunPatch::new().with_state(tracker_model::RunState::Finished);
    store
        .upsert_run(&run, patch, tracker_model::Precondition::Present)
        .await
        .unwrap();
    let sealed = infos(true).await;
    assert!(sealed.iter().all(|i| i.digest.is_some()));
    assert_eq!(infos(false).await, live);
    let db = rusqlite::Connection::open(place.dir.path().join("trackway.db")).unwrap();
    let tail: i64 = db
        .query_row("SELECT count(*) FROM tail", [], |r| r.get(0))
        .unwrap();
    assert_eq!(tail, 0);
    assert_eq!(content(store, &run).await, expected(20));

    // A writer goes on where the rows end.
    write(
        store,
        &run,
        "a",
        20,
        vec![(Some(50), 0, None, Value::F64(0.0))],
    )
    .await;
    assert_eq!(append(51, rows(51, 52)).await.unwrap(), 52);
}

fn run_path() -> tracker_model::RunPath {
    crate::support::run("local/p/r")
}

#[tokio::test]
async fn much_is_sealed_by_itself() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    let each = 40_000;
    for i in 0..4 {
        let points =
            (i * each..(i + 1) * each).map(|i| (Some(i), 0, None, Value::Bool(i % 7 == 0)));
        for batch in batches("k", points) {
            let at = batch.rows.as_ref().unwrap()[0];
            place
                .store
                .append(&run, HistoryStream::Metrics, at, vec![batch])
                .await
                .unwrap();
        }
    }
    let db = rusqlite::Connection::open(place.dir.path().join("trackway.db")).unwrap();
    let number = |sql: &str| db.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    assert!(number("SELECT coalesce(sum(points), 0) FROM tail") < 65_536);
    assert_eq!(number("SELECT count(*) FROM segment"), 2);
    assert_eq!(series(&place.store, &run, "k").await.len(), 160_000);
}

#[tokio::test]
async fn small_segments_have_no_file() {
    let place = store().await;
    let db = rusqlite::Connection::open(place.dir.path().join("trackway.db")).unwrap();
    let sealed = |name: &str| {
        let sql = "SELECT s.bytes, s.path IS NULL FROM segment s JOIN run r ON r.id = s.run WHERE r.run_id = ?1";
        db.query_row(sql, [name], |r| {
            Ok((r.get::<_, u64>(0)?, r.get::<_, bool>(1)?))
        })
        .unwrap()
    };
    // Values that no compression makes smaller: 8 bytes each.
    let odd = |i: u64| {
        let (row, step, time, _) = number(i);
        let hash = blake3::hash(&i.to_le_bytes());
        let bytes = hash.as_bytes().first_chunk().unwrap();
        (row, step, time, Value::F64(f64::from_le_bytes(*bytes)))
    };
    for (name, points, inline) in [("small", 12_000, true), ("large", 20_000, false)] {
        let run = with_run(&place.store, &format!("local/p/{name}")).await;
        write(&place.store, &run, "k", 0, (0..points).map(odd).collect()).await;
        let (bytes, is_inline) = sealed(name);
        assert_eq!(bytes < 128 << 10, inline, "{name}: {bytes}");
        assert_eq!(is_inline, inline, "{name}: {bytes}");
        let expected: Vec<String> = (0..points).map(odd).map(|p| text(&p)).collect();
        assert_eq!(series(&place.store, &run, "k").await, expected);
    }
}

#[tokio::test]
async fn segments_stay_few() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    let each = 100u64;
    let db = rusqlite::Connection::open(place.dir.path().join("trackway.db")).unwrap();
    let number = |sql: &str| db.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    for i in 0..60 {
        let next = place
            .store
            .append(
                &run,
                HistoryStream::Metrics,
                i * each,
                rows(i * each, (i + 1) * each),
            )
            .await;
        assert_eq!(next.unwrap(), (i + 1) * each);
        place.store.seal(&run).await.unwrap();
        let segments = number("SELECT count(*) FROM segment");
        assert!((1..=12).contains(&segments), "{segments}");
    }
    let files = walk(&place.dir.path().join("history")).len();
    assert_eq!(
        i64::try_from(files).unwrap(),
        number("SELECT count(*) FROM segment WHERE path IS NOT NULL")
    );
    assert_eq!(content(&place.store, &run).await, expected(60 * each));
    let mut hasher = SeriesDigest::hasher();
    rows(0, 60 * each)
        .iter()
        .filter(|b| b.key.as_str() == "a")
        .for_each(|b| hasher.update(b));
    let info = place
        .store
        .series(&run, HistoryStream::Metrics)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(info.digest, Some(hasher.digest()));
}

#[tokio::test]
async fn rows_come_together() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    // Once in memory, once sorted on disk.
    for n in [100u64, 40_000] {
        let next = place
            .store
            .series(&run, HistoryStream::Metrics)
            .await
            .unwrap()
            .first()
            .map_or(0, |i| i.count);
        place
            .store
            .append(&run, HistoryStream::Metrics, next, rows(next, n))
            .await
            .unwrap();
        let query = HistoryQuery::new().with_rows(true);
        let got = all(tracker_model::rows_of(place.store.scan(&run, query))).await;
        // The text has no time and another step: a row of its own with the same number.
        assert_eq!(got.len() as u64, 2 * n);
        assert!(
            got.iter()
                .all(|row| row.values.len()
                    == 1 + usize::from(row.time.is_some() && row.row % 3 == 0))
        );
        assert!(got.is_sorted_by_key(|row| row.row));
    }
}

#[tokio::test]
async fn rows_are_derived_where_there_are_none() {
    let place = store().await;
    let n = 40_000u64;
    let own = |i: u64, shift: u64| -> Point {
        (
            None,
            i.cast_signed(),
            Some(Timestamp::from_millis((i / 3 * 10 + shift).cast_signed())),
            Value::I64(1),
        )
    };
    let ordered: [Vec<Point>; 2] = [
        (0..n).map(|i| own(i, 0)).collect(),
        (0..n).map(|i| own(i, i % 2)).collect(),
    ];
    let mut falling = ordered.clone();
    falling[0].swap(100, 20_000);
    let mut mixed = ordered.clone();
    for (i, point) in mixed[1].iter_mut().enumerate() {
        point.0 = Some(i as u64 * 2);
    }
    for (name, series) in [("ordered", ordered), ("falling", falling), ("mixed", mixed)] {
        let run = with_run(&place.store, &format!("local/p/{name}")).await;
        for (key, points) in ["a", "b"].into_iter().zip(&series) {
            write(&place.store, &run, key, 0, points.clone()).await;
        }
        let all_points = all(place.store.scan(&run, HistoryQuery::new())).await;
        let expected = tracker_model::group_rows(all_points).unwrap();
        let scan = place.store.scan(&run, HistoryQuery::new().with_rows(true));
        let rows = all(tracker_model::rows_of(scan)).await;
        assert_eq!(rows.len(), expected.len(), "{name}");
        assert!(rows == expected, "{name}");
    }
}

#[tokio::test]
async fn thousands_of_series_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let options = tracker_store::StoreOptions::new().with_history_buffer_bytes(1 << 20);
    let store = tracker_store::EmbeddedStore::open(dir.path(), options)
        .await
        .unwrap();
    let run = with_run(&store, "local/p/r").await;
    let mut writer = store
        .history_writer(&run, HistoryStream::Metrics, "t")
        .await
        .unwrap();
    let (keys, rows) = (3000u64, 30u64);
    for row in 0..rows {
        for key in 0..keys {
            let batch = batches(
                &format!("k{key:04}"),
                [(
                    Some(row),
                    0,
                    None,
                    Value::I64((row * keys + key).cast_signed()),
                )],
            );
            writer
                .write(row, batch.into_iter().next().unwrap())
                .await
                .unwrap();
        }
    }
    writer.commit().await.unwrap();
    let infos = store.series(&run, HistoryStream::Metrics).await.unwrap();
    assert_eq!(infos.len() as u64, keys);
    for (key, info) in (0..keys).zip(infos) {
        let points = (0..rows).map(|row| -> Point {
            (
                Some(row),
                0,
                None,
                Value::I64((row * keys + key).cast_signed()),
            )
        });
        let mut hasher = SeriesDigest::hasher();
        batches("x", points).iter().for_each(|b| hasher.update(b));
        assert_eq!(info.digest, Some(hasher.digest()));
    }
    assert_eq!(crate::upkeep::fsck(&store, true).await.0, []);
}

#[tokio::test]
async fn rows_are_taken_back_from_sealed_and_live_history() {
    let place = store().await;
    let s = &place.store;
    let run = with_run(s, "local/p/r").await;
    let rows = |key: &str, from: u64, to: u64| {
        // Numbers that take their room.
        let mixed = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7).wrapping_mul(i * i);
        let value = |i: u64| Value::I64(mixed(i).cast_signed());
        batches(key, (from..to).map(|i| (Some(i), 0, None, value(i))))
    };
    // Some of it large enough for files, some in the catalog, some in the tail.
    for (from, to) in [(0, 70_000), (70_000, 70_100), (70_100, 70_200)] {
        let batches = [rows("a", from, to), rows("b", from, to)].concat();
        s.append(&run, HistoryStream::Metrics, from, batches)
            .await
            .unwrap();
        if to < 70_200 {
            s.seal(&run).await.unwrap();
        }
    }
    let parquet = || files(&place.dir.path().join("history")).len();
    assert!(parquet() > 0);
    for left in [70_150, 70_050, 69_999, 100, 0] {
        s.truncate(&run, HistoryStream::Metrics, left)
            .await
            .unwrap();
        let infos = s.series(&run, HistoryStream::Metrics).await.unwrap();
        assert_eq!(infos.len(), if left > 0 { 2 } else { 0 });
        for info in infos {
            assert_eq!((info.count, info.rows), (left, true));
            assert!(info.digest.is_some() || left > 70_100);
        }
        let points = all(s.scan(&run, HistoryQuery::new().with_keys(["b"]))).await;
        let there: Vec<u64> = points
            .iter()
            .flat_map(|b| b.rows.clone().unwrap())
            .collect();
        assert!(there.into_iter().eq(0..left));
        assert_eq!(
            s.next_row(&run, HistoryStream::Metrics).await.unwrap(),
            left
        );
        assert_eq!(crate::upkeep::fsck(s, true).await.0, []);
        assert_eq!(
            s.gc(GcOptions::new().with_grace(Duration::ZERO))
                .await
                .unwrap()
                .orphans,
            0
        );
    }
    assert_eq!(parquet(), 0, "what is replaced is removed");
}
