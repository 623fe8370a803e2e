use std::collections::BTreeMap;

use super::{METRICS, infos, part};
use crate::{
    ErrorKind, HistoryQuery, HistoryStream, MAX_ROW, RunPatch, Tracker, Value,
    conformance::support::{
        Point, batches, check_history, check_points, keeps_everything, kind, list_kind, new_run,
        point, ramp, read, run_path, scan, upsert, write,
    },
};

pub(super) async fn staging(tracker: &dyn Tracker) {
    let run = new_run(tracker, "staging").await;
    write(tracker, &run, &[("old", 0, ramp(0, 10))]).await;
    let mut writer = tracker.history_writer(&run, METRICS, "t1").await.unwrap();
    assert!(writer.staged().is_empty(), "nothing is staged yet");
    writer.write(10, part("old", 10, 20)).await.unwrap();
    writer.write(0, part("new", 0, 5)).await.unwrap();
    writer.checkpoint().await.unwrap();
    writer.write(20, part("old", 20, 30)).await.unwrap();
    writer.write(5, part("new", 5, 6)).await.unwrap();
    writer.write(0, part("lost", 0, 6)).await.unwrap();
    check_history(tracker, &run, [("old", ramp(0, 10))]).await;
    drop(writer);
    check_history(tracker, &run, [("old", ramp(0, 10))]).await;

    let writer = tracker.history_writer(&run, METRICS, "t1").await.unwrap();
    let staged: BTreeMap<String, u64> = writer
        .staged()
        .iter()
        .map(|s| (s.key.to_string(), s.count))
        .collect();
    let wanted = [("new".to_owned(), 5), ("old".to_owned(), 20)];
    assert_eq!(staged, wanted.into(), "what the checkpoint kept, no more");
    drop(writer);

    // Dropped without a checkpoint: nothing is lost of what was staged.
    let mut writer = tracker.history_writer(&run, METRICS, "t1").await.unwrap();
    assert_eq!(writer.staged().len(), 2);
    let gap = writer.write(21, part("old", 21, 22)).await;
    assert_eq!(
        kind(gap),
        ErrorKind::InvalidInput,
        "a gap after what is staged"
    );
    writer.write(20, part("old", 20, 40)).await.unwrap();
    // Part of what was staged is written again.
    let again: Vec<Point> = ramp(103, 108);
    writer
        .write(3, batches("new", &again, |_| false).remove(0))
        .await
        .unwrap();
    writer.commit().await.unwrap();
    let mut new = ramp(0, 3);
    new.extend(again);
    check_history(tracker, &run, [("new", new.clone()), ("old", ramp(0, 40))]).await;

    // A commit shows what was staged even if nothing is written after it.
    let mut writer = tracker.history_writer(&run, METRICS, "t2").await.unwrap();
    writer.write(40, part("old", 40, 41)).await.unwrap();
    writer.checkpoint().await.unwrap();
    drop(writer);
    let writer = tracker.history_writer(&run, METRICS, "t2").await.unwrap();
    writer.commit().await.unwrap();
    check_history(tracker, &run, [("new", new), ("old", ramp(0, 41))]).await;
    let writer = tracker.history_writer(&run, METRICS, "t2").await.unwrap();
    assert!(
        writer.staged().is_empty(),
        "nothing is staged after a commit"
    );
}

pub(super) async fn other_token(tracker: &dyn Tracker) {
    let run = new_run(tracker, "tokens").await;
    let mut writer = tracker.history_writer(&run, METRICS, "a").await.unwrap();
    writer.write(0, part("of a", 0, 5)).await.unwrap();
    writer.write(0, part("both", 0, 5)).await.unwrap();
    writer.checkpoint().await.unwrap();
    drop(writer);
    let mut writer = tracker.history_writer(&run, METRICS, "b").await.unwrap();
    assert!(writer.staged().is_empty(), "another token finds nothing");
    assert_eq!(
        kind(writer.write(5, part("both", 5, 6)).await),
        ErrorKind::InvalidInput,
        "and has dropped it"
    );
    drop(writer);
    let mut writer = tracker.history_writer(&run, METRICS, "b").await.unwrap();
    writer.write(0, part("both", 7, 9)).await.unwrap();
    writer.commit().await.unwrap();
    check_history(tracker, &run, [("both", ramp(7, 9))]).await;
    let writer = tracker.history_writer(&run, METRICS, "a").await.unwrap();
    assert!(
        writer.staged().is_empty(),
        "what was dropped does not come back"
    );
    writer.commit().await.unwrap();
    check_history(tracker, &run, [("both", ramp(7, 9))]).await;
}

pub(super) async fn one_writer(tracker: &dyn Tracker) {
    let run = new_run(tracker, "one-writer").await;
    let other = new_run(tracker, "another-writer").await;
    let mut writer = tracker.history_writer(&run, METRICS, "a").await.unwrap();
    writer.write(0, part("x", 0, 5)).await.unwrap();
    for token in ["a", "b"] {
        let second = tracker.history_writer(&run, METRICS, token).await;
        assert_eq!(kind(second), ErrorKind::Conflict, "a second writer");
    }
    let mut elsewhere = tracker.history_writer(&other, METRICS, "a").await.unwrap();
    elsewhere.write(0, part("y", 0, 1)).await.unwrap();
    elsewhere.commit().await.unwrap();
    writer.commit().await.unwrap();
    check_history(tracker, &run, [("x", ramp(0, 5))]).await;
    check_history(tracker, &other, [("y", ramp(0, 1))]).await;
    drop(
        tracker
            .history_writer(&run, METRICS, "b")
            .await
            .expect("a writer that is gone holds nothing"),
    );
}

pub(super) async fn extension(tracker: &dyn Tracker) {
    let run = new_run(tracker, "extension").await;
    for i in 0..12 {
        write(
            tracker,
            &run,
            &[("a", 3 * i as u64, ramp(3 * i, 3 * i + 3))],
        )
        .await;
    }
    write(tracker, &run, &[("b", 0, ramp(0, 1))]).await;
    check_history(tracker, &run, [("a", ramp(0, 36)), ("b", ramp(0, 1))]).await;
}

pub(super) async fn numbered_extension(tracker: &dyn Tracker) {
    let run = new_run(tracker, "numbered-extension").await;
    let numbered = |from: u64, to: u64| -> Vec<Point> {
        (from..to)
            .map(|i| point(Some(10 * i), 0, i as i64, Value::I64(i as i64)))
            .collect()
    };
    for i in 0..12_u64 {
        write(tracker, &run, &[("rows", i, numbered(i, i + 1))]).await;
    }
    check_history(tracker, &run, [("rows", numbered(0, 12))]).await;
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    let back = batches("rows", &numbered(11, 12), |_| false).remove(0);
    assert_eq!(
        kind(writer.write(12, back).await),
        ErrorKind::InvalidInput,
        "rows that do not ascend"
    );
}

pub(super) async fn replacement(tracker: &dyn Tracker) {
    let run = new_run(tracker, "replacement").await;
    let series = [
        ("a", 0, ramp(0, 100)),
        ("b", 0, ramp(0, 100)),
        ("c", 0, ramp(0, 10)),
    ];
    write(tracker, &run, &series).await;
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    let first = writer.write(40, part("a", 1_040, 1_050)).await;
    if !tracker.capabilities().rewrite_history {
        assert_eq!(kind(first), ErrorKind::Unsupported, "a replacement");
        drop(writer);
        check_history(tracker, &run, series.map(|(key, _, points)| (key, points))).await;
        return;
    }
    first.unwrap();
    writer.write(50, part("a", 1_050, 1_055)).await.unwrap();
    writer.write(0, part("b", 5, 300)).await.unwrap();
    check_history(tracker, &run, series.map(|(key, _, points)| (key, points))).await;
    writer.commit().await.unwrap();
    let mut a = ramp(0, 40);
    a.extend(ramp(1_040, 1_055));
    check_history(
        tracker,
        &run,
        [("a", a.clone()), ("b", ramp(5, 300)), ("c", ramp(0, 10))],
    )
    .await;
    if !keeps_everything(tracker) {
        return;
    }
    // Replaced again, by rows and another kind, and extended after that.
    let rows: Vec<Point> = (0..7)
        .map(|i| point(Some(i), 0, 0, Value::Bool(i % 2 == 0)))
        .collect();
    write(tracker, &run, &[("a", 10, rows.clone())]).await;
    write(tracker, &run, &[("a", 17, ramp(0, 2))]).await;
    a.truncate(10);
    a.extend(rows);
    a.extend(ramp(0, 2));
    check_history(
        tracker,
        &run,
        [("a", a.clone()), ("b", ramp(5, 300)), ("c", ramp(0, 10))],
    )
    .await;
    for from in [0, 9, 10, 11, 16, 17, 18, 19] {
        let query = HistoryQuery::new().with_keys(["a"]).with_from_index(from);
        let there = read(tracker, &run, query)
            .await
            .remove("a")
            .unwrap_or_default();
        check_points(&there, &a[from as usize..], "a series of three parts");
    }
}

pub(super) async fn gaps(tracker: &dyn Tracker) {
    let run = new_run(tracker, "gaps").await;
    write(tracker, &run, &[("a", 0, ramp(0, 10))]).await;
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    assert_eq!(
        kind(writer.write(11, part("a", 0, 1)).await),
        ErrorKind::InvalidInput,
        "a gap after the end"
    );
    assert_eq!(
        kind(writer.write(1, part("new", 0, 1)).await),
        ErrorKind::InvalidInput,
        "a gap before all"
    );
    writer.write(10, part("a", 10, 15)).await.unwrap();
    assert_eq!(
        kind(writer.write(16, part("a", 0, 1)).await),
        ErrorKind::InvalidInput,
        "a gap between batches"
    );
    assert_eq!(
        kind(writer.write(12, part("a", 0, 1)).await),
        ErrorKind::InvalidInput,
        "a batch that goes back"
    );
    writer
        .write(15, part("a", 15, 16))
        .await
        .expect("a refused batch leaves the writer whole");
    writer.commit().await.unwrap();
    check_history(tracker, &run, [("a", ramp(0, 16))]).await;
}

pub(super) async fn bad_batches(tracker: &dyn Tracker) {
    let run = new_run(tracker, "bad-batches").await;
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    let mut short = part("a", 0, 3);
    short.steps.pop();
    let mut untimed = part("a", 0, 3);
    untimed.times = Some(crate::Times::default());
    let mut back = part("a", 0, 3);
    back.rows = Some(vec![1, 3, 2]);
    let mut twice = part("a", 0, 3);
    twice.rows = Some(vec![1, 2, 2]);
    let mut far = part("a", 0, 3);
    far.rows = Some(vec![1, 2, MAX_ROW + 1]);
    for (what, batch) in [
        ("columns of different lengths", short),
        ("too few times", untimed),
        ("rows that go back", back),
        ("a row twice", twice),
        ("a row beyond all", far),
    ] {
        assert_eq!(
            kind(writer.write(0, batch).await),
            ErrorKind::InvalidInput,
            "{what}"
        );
    }
    writer.commit().await.unwrap();
    assert!(infos(tracker, "bad-batches").await.is_empty());
}

pub(super) async fn streams(tracker: &dyn Tracker) {
    let run = new_run(tracker, "streams").await;
    let mut metrics = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    let mut system = tracker
        .history_writer(&run, HistoryStream::System, "t")
        .await
        .unwrap();
    metrics.write(0, part("x", 0, 3)).await.unwrap();
    system.write(0, part("x", 10, 15)).await.unwrap();
    system.commit().await.unwrap();
    assert!(
        infos(tracker, "streams").await.is_empty(),
        "one history is not the other"
    );
    metrics.commit().await.unwrap();
    check_history(tracker, &run, [("x", ramp(0, 3))]).await;
    let system = read(
        tracker,
        &run,
        HistoryQuery::new().with_stream(HistoryStream::System),
    )
    .await;
    check_points(&system["x"], &ramp(10, 15), "the system history");
}

pub(super) async fn deletion(tracker: &dyn Tracker) {
    let missing = run_path("missing");
    assert_eq!(
        kind(tracker.history_writer(&missing, METRICS, "t").await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(tracker.series(&missing, METRICS).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        list_kind(tracker.scan(&missing, HistoryQuery::new())).await,
        ErrorKind::NotFound
    );

    let run = new_run(tracker, "deleted-history").await;
    write(tracker, &run, &[("a", 0, ramp(0, 10))]).await;
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    writer.write(0, part("b", 0, 5)).await.unwrap();
    writer.checkpoint().await.unwrap();
    drop(writer);
    tracker.delete_run(&run).await.unwrap();
    assert_eq!(
        kind(tracker.series(&run, METRICS).await),
        ErrorKind::NotFound
    );
    upsert(tracker, &run, RunPatch::new()).await;
    assert!(
        infos(tracker, "deleted-history").await.is_empty(),
        "a new run has no old history"
    );
    assert!(scan(tracker, &run, HistoryQuery::new()).await.is_empty());
    let writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    assert!(writer.staged().is_empty(), "nor anything staged");
}

/// A commit may make a change to the run, too; what it does not make it gives back.
pub(super) async fn with_change(tracker: &dyn Tracker) {
    let run = new_run(tracker, "with-change").await;
    for (i, (from, to)) in [(0u64, 10i64), (10, 10), (10, 20)].into_iter().enumerate() {
        let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
        if (from as i64) < to {
            writer
                .write(from, part("k", from as i64, to))
                .await
                .unwrap();
        }
        let name = format!("name {i}");
        let change = RunPatch::new().with_name(name.clone());
        if let Some(left) = writer.commit_with(change.clone()).await.unwrap() {
            assert_eq!(left, change, "what is given back is all of the change");
            upsert(tracker, &run, left).await;
        }
        assert_eq!(tracker.run(&run).await.unwrap().name, Some(name));
        check_history(tracker, &run, [("k", ramp(0, to))]).await;
    }
}
