mod writers;

use std::{future::Future, ops::RangeInclusive, sync::Arc};

use super::support::{
    Point, Random, batches, check_history, check_points, keeps_everything, kind, new_run, point,
    ramp, read, read_one, run_path, write,
};
use crate::{
    ErrorKind, HistoryQuery, HistoryStream, MAX_BATCH_POINTS, MAX_ROW, PointBatch, SeriesInfo,
    Timestamp, Tracker, Value,
};

const METRICS: HistoryStream = HistoryStream::Metrics;

/// History that is written at once: any value, step, time and key, staging, extension, replacement.
pub async fn history_bulk<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    if keeps_everything(tracker) {
        values(tracker).await;
        rows(tracker).await;
        writers::numbered_extension(tracker).await;
    }
    refused_kinds(tracker).await;
    keys(tracker).await;
    many_keys(tracker).await;
    queries(tracker).await;
    long_series(tracker).await;
    any_batches(tracker).await;
    empty_batches(tracker).await;
    writers::staging(tracker).await;
    writers::other_token(tracker).await;
    writers::one_writer(tracker).await;
    writers::extension(tracker).await;
    writers::replacement(tracker).await;
    writers::gaps(tracker).await;
    writers::bad_batches(tracker).await;
    writers::streams(tracker).await;
    writers::deletion(tracker).await;
    writers::with_change(tracker).await;
}

async fn infos(tracker: &dyn Tracker, id: &str) -> Vec<SeriesInfo> {
    tracker
        .series(&run_path(id), METRICS)
        .await
        .expect("the series are listed")
}

/// One batch of the steps from `from` to `to`.
fn part(key: &str, from: i64, to: i64) -> PointBatch {
    batches(key, &ramp(from, to), |_| false).remove(0)
}

async fn values(tracker: &dyn Tracker) {
    let run = new_run(tracker, "values").await;
    let doubles = [
        0.0,
        -0.0,
        1.0,
        0.1,
        1.0 / 3.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        5e-324,
        -5e-324,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        f64::EPSILON,
        1e15 + 0.5,
        9_007_199_254_740_993.0,
    ];
    let steps = [
        0,
        i64::MIN,
        i64::MAX,
        -1,
        0,
        0,
        7,
        7,
        -3,
        i64::MAX,
        i64::MIN,
        1,
        1,
        1,
        2,
        0,
    ];
    let times = [
        (0, 0),
        (i64::MIN, 0),
        (i64::MAX, 999_999),
        (-1, 999_999),
        (0, 1),
        (0, 0),
        (-1, 0),
        (1_700_000_000_123, 456_789),
        (5, 0),
        (5, 0),
        (4, 0),
        (i64::MIN, 1),
        (i64::MAX, 0),
        (0, 0),
        (1, 1),
        (2, 2),
    ];
    let doubles: Vec<Point> = (0..doubles.len())
        .map(|i| Point {
            row: None,
            step: steps[i],
            time: Some(Timestamp::from_parts(times[i].0, times[i].1)),
            value: Value::F64(doubles[i]),
        })
        .collect();
    let untimed = |value| Point {
        row: None,
        step: 1,
        time: None,
        value,
    };
    let integers =
        [0, 1, -1, i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1].map(|x| untimed(Value::I64(x)));
    let texts = [
        "",
        "NaN",
        "a\u{0}b",
        "ünï 实验 \u{1f600}",
        "'\"\\\n\r\t",
        "1",
    ];
    let texts: Vec<Point> = texts
        .iter()
        .map(|text| untimed(Value::Str((*text).to_owned())))
        .chain([untimed(Value::Str("x".repeat(1 << 20)))])
        .collect();
    let json = [
        "null",
        "{}",
        "[1, 1.0,\t-0.0]",
        r#"{"b":1,"a":2,"_type":"histogram"}"#,
        "\"\\u0000\"",
        "1e400",
    ];
    let json: Vec<Point> = json
        .iter()
        .map(|text| untimed(Value::Json((*text).to_owned())))
        .collect();
    let mixed: Vec<Point> = (0..60)
        .map(|i| {
            let value = match i % 6 {
                0 | 1 => Value::F64(f64::NAN),
                2 => Value::I64(i),
                3 => Value::Bool(i % 4 == 1),
                4 => Value::Str("1".to_owned()),
                _ => Value::Json("1".to_owned()),
            };
            let time = (i % 4 > 1).then(|| Timestamp::from_parts(i, u32::from(i % 8 > 5)));
            Point {
                row: None,
                step: i / 3,
                time,
                value,
            }
        })
        .collect();
    let all = [
        ("doubles", doubles),
        ("integers", integers.to_vec()),
        (
            "booleans",
            [true, false, true]
                .map(|x| untimed(Value::Bool(x)))
                .to_vec(),
        ),
        ("texts", texts),
        ("json", json),
        ("mixed", mixed),
        ("nan", vec![untimed(Value::F64(f64::NAN)); 3]),
    ];
    write(
        tracker,
        &run,
        &all.clone().map(|(key, points)| (key, 0, points)),
    )
    .await;
    check_history(tracker, &run, all).await;
}

async fn keys(tracker: &dyn Tracker) {
    let run = new_run(tracker, "keys").await;
    let long = format!("long/{}", "\u{5b9e}".repeat(245));
    let keys = [
        "",
        " ",
        " a",
        "a ",
        "a",
        "A",
        "a/",
        "a/b",
        "a/b/c",
        "ab",
        "a\u{0}",
        "\n",
        "\t",
        "%",
        "_",
        "*",
        "\\",
        "'",
        "\"",
        "..",
        "/",
        "a.b",
        "-",
        "\u{e9}",
        "e\u{301}",
        "\u{1f600}",
        "\u{ffff}",
        "\u{10ffff}",
        "_step",
        "NaN",
        "null",
        &long,
    ];
    // As many points as the place in the list, so that no two can be exchanged.
    let series = keys
        .iter()
        .enumerate()
        .map(|(i, key)| (*key, ramp(i as i64, 2 * i as i64 + 1)));
    let series: Vec<_> = series.collect();
    let writes: Vec<_> = series
        .iter()
        .map(|(key, points)| (*key, 0, points.clone()))
        .collect();
    write(tracker, &run, &writes).await;
    check_history(tracker, &run, series.clone()).await;
    for (key, points) in &series {
        check_points(
            &read_one(tracker, &run, key).await,
            points,
            &format!("the key {key:?} alone"),
        );
    }
}

async fn many_keys(tracker: &dyn Tracker) {
    let run = new_run(tracker, "many-keys").await;
    let key = |i: usize| format!("layer/{i:04}/grad");
    let points = |i: usize| ramp(i as i64, i as i64 + 3);
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    // Row by row, as a server of rows sends them.
    for at in 0..3_usize {
        for i in (0..1_500).rev() {
            let batch = batches(&key(i), &points(i)[at..=at], |_| false).remove(0);
            writer.write(at as u64, batch).await.unwrap();
        }
    }
    writer.commit().await.unwrap();
    let infos = infos(tracker, "many-keys").await;
    assert_eq!(infos.len(), 1_500);
    assert!(
        infos.is_sorted_by(|a, b| a.key < b.key),
        "the series by key"
    );
    let all = read(tracker, &run, HistoryQuery::new()).await;
    assert_eq!(all.len(), 1_500);
    for (i, (name, there)) in all.iter().enumerate() {
        assert_eq!(name.as_str(), key(i));
        check_points(there, &points(i), &key(i));
    }
    let some = [
        key(0),
        key(777),
        key(1_499),
        "layer/".to_owned(),
        "no such key".to_owned(),
        key(777),
    ];
    let found = read(tracker, &run, HistoryQuery::new().with_keys(&some)).await;
    assert_eq!(found.len(), 3, "the keys that are there, each once");
    check_points(
        &found[key(777).as_str()],
        &points(777),
        "a key that was asked for twice",
    );
    assert!(
        read(tracker, &run, HistoryQuery::new().with_keys(["layer"]))
            .await
            .is_empty(),
        "a prefix is no key"
    );
    let none: [&str; 0] = [];
    assert!(
        read(tracker, &run, HistoryQuery::new().with_keys(none))
            .await
            .is_empty(),
        "no keys give nothing"
    );
}

async fn refused_kinds(tracker: &dyn Tracker) {
    let run = new_run(tracker, "refused-kinds").await;
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    for value in [
        Value::F64(1.0),
        Value::I64(1),
        Value::Bool(true),
        Value::Str("1".to_owned()),
        Value::Json("1".to_owned()),
    ] {
        let batch = batches("x", &[point(None, 1, 1, value)], |_| false).remove(0);
        let kind_of = batch.values.kind();
        if !tracker.capabilities().value_kinds.contains(kind_of) {
            assert_eq!(
                kind(writer.write(0, batch).await),
                ErrorKind::Unsupported,
                "{kind_of:?}"
            );
        }
    }
    writer.commit().await.unwrap();
    assert!(infos(tracker, "refused-kinds").await.is_empty());
}

async fn rows(tracker: &dyn Tracker) {
    let run = new_run(tracker, "rows").await;
    let numbers = |rows: &[u64]| -> Vec<Point> {
        rows.iter()
            .map(|row| point(Some(*row), 1, 5, Value::I64(*row as i64)))
            .collect()
    };
    let mut mixed = numbers(&[1, 4]);
    mixed.extend(ramp(0, 2));
    mixed.extend(numbers(&[5, 100]));
    let series = [
        ("dense", numbers(&(0..500).collect::<Vec<_>>())),
        ("gaps", numbers(&[0, 3, 4, 1_000, 1_000_000, MAX_ROW])),
        ("late", numbers(&[499])),
        ("mixed", mixed),
        ("none", ramp(0, 5)),
    ];
    write(
        tracker,
        &run,
        &series.clone().map(|(key, points)| (key, 0, points)),
    )
    .await;
    check_history(tracker, &run, series).await;
}

async fn queries(tracker: &dyn Tracker) {
    let run = new_run(tracker, "queries").await;
    let mut zigzag = ramp(0, 300);
    zigzag
        .iter_mut()
        .enumerate()
        .for_each(|(i, p)| p.step = (i as i64 * 37) % 101 - 50);
    let series = [
        ("a", ramp(0, 1_000)),
        ("b", ramp(-500, -490)),
        ("zigzag", zigzag),
    ];
    write(
        tracker,
        &run,
        &series.clone().map(|(key, points)| (key, 0, points)),
    )
    .await;
    let ranges = [
        None,
        Some(0..=0),
        Some(-50..=50),
        Some(i64::MIN..=i64::MAX),
        Some(2_000..=3_000),
        Some(RangeInclusive::new(5, 4)),
    ];
    for from in [0, 1, 9, 10, 299, 999, 1_000, 5_000, u64::MAX] {
        for steps in &ranges {
            let mut query = HistoryQuery::new().with_from_index(from);
            query.steps = steps.clone();
            let there = read(tracker, &run, query).await;
            for (key, points) in &series {
                let skip = usize::try_from(from).unwrap_or(usize::MAX);
                let wanted: Vec<Point> = points.iter().skip(skip).cloned().collect();
                let within = |p: &&Point| steps.as_ref().is_none_or(|s| s.contains(&p.step));
                let wanted: Vec<Point> = wanted.iter().filter(within).cloned().collect();
                let there = there.get(*key).cloned().unwrap_or_default();
                check_points(
                    &there,
                    &wanted,
                    &format!("series {key:?} from {from}, steps {steps:?}"),
                );
            }
        }
    }
}

async fn long_series(tracker: &dyn Tracker) {
    let run = new_run(tracker, "long").await;
    let points = ramp(-50_000, 150_000);
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    // Larger than a batch should be.
    let whole = batches("x", &points[..60_000], |_| false).remove(0);
    let mut large = whole.clone();
    let rest = batches("x", &points[60_000..120_000], |_| false).remove(0);
    large.steps.extend(&rest.steps);
    if let (Some(times), Some(more)) = (&mut large.times, &rest.times) {
        times.ms.extend(&more.ms);
    }
    if let (crate::Values::F64(values), crate::Values::F64(more)) =
        (&mut large.values, &rest.values)
    {
        values.extend(more);
    }
    assert!(large.len() > MAX_BATCH_POINTS);
    writer.write(0, large).await.unwrap();
    writer.checkpoint().await.unwrap();
    let mut at = 120_000;
    for batch in batches("x", &points[120_000..], |i| i % 7_001 == 0) {
        let next = at + batch.len() as u64;
        writer.write(at, batch).await.unwrap();
        at = next;
    }
    writer.commit().await.unwrap();
    check_history(tracker, &run, [("x", points.clone())]).await;
    let query = HistoryQuery::new().with_from_index(199_990);
    check_points(
        &read(tracker, &run, query).await["x"],
        &points[199_990..],
        "the end of a long series",
    );
}

/// How points are cut into batches, and how series interleave, makes no difference.
async fn any_batches(tracker: &dyn Tracker) {
    let mut numbered = ramp(0, 400);
    numbered
        .iter_mut()
        .enumerate()
        .for_each(|(i, p)| p.row = Some(2 * i as u64));
    let mut kinds = ramp(0, 300);
    kinds
        .iter_mut()
        .skip(100)
        .step_by(9)
        .for_each(|p| p.value = Value::Str("x".to_owned()));
    let mut series = vec![("a", numbered), ("b", kinds), ("c", ramp(0, 777))];
    if !keeps_everything(tracker) {
        series = vec![("b", ramp(0, 300)), ("c", ramp(0, 777))];
    }
    let mut digests = Vec::new();
    for seed in 0..4 {
        let id = format!("cut{seed}");
        let run = new_run(tracker, &id).await;
        let mut random = Random(seed);
        let mut waiting: Vec<(u64, std::collections::VecDeque<PointBatch>)> = series
            .iter()
            .map(|(key, points)| {
                (
                    0,
                    batches(key, points, |_| seed > 0 && random.below(8 * seed) == 0).into(),
                )
            })
            .collect();
        let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
        while !waiting.is_empty() {
            let turn = random.below(waiting.len() as u64) as usize;
            let (at, batches) = &mut waiting[turn];
            match batches.pop_front() {
                Some(batch) => {
                    let next = *at + batch.len() as u64;
                    writer.write(*at, batch).await.unwrap();
                    *at = next;
                }
                None => drop(waiting.remove(turn)),
            }
            if random.below(16) == 0 {
                writer.checkpoint().await.unwrap();
            }
        }
        writer.commit().await.unwrap();
        check_history(tracker, &run, series.clone()).await;
        digests.push(
            infos(tracker, &id)
                .await
                .into_iter()
                .map(|info| info.digest)
                .collect::<Vec<_>>(),
        );
    }
    assert!(
        digests.windows(2).all(|pair| pair[0] == pair[1]),
        "equal points have equal digests"
    );
}

async fn empty_batches(tracker: &dyn Tracker) {
    let run = new_run(tracker, "empty-batches").await;
    let empty = |key: &str| part(key, 0, 1).slice(0, 0);
    let mut writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    writer.write(0, empty("a")).await.unwrap();
    writer.write(0, part("a", 0, 5)).await.unwrap();
    writer.write(5, empty("a")).await.unwrap();
    writer.write(5, part("a", 5, 6)).await.unwrap();
    writer.write(0, empty("nothing")).await.unwrap();
    writer.checkpoint().await.unwrap();
    writer.commit().await.unwrap();
    check_history(tracker, &run, [("a", ramp(0, 6))]).await;
    assert!(
        read(tracker, &run, HistoryQuery::new().with_keys(["nothing"]))
            .await
            .is_empty()
    );
    let writer = tracker.history_writer(&run, METRICS, "t").await.unwrap();
    writer.commit().await.unwrap();
    check_history(tracker, &run, [("a", ramp(0, 6))]).await;
}
