use std::{collections::BTreeMap, future::Future, sync::Arc};

use super::support::{
    Point, check_points, keeps_everything, kind, new_run, point, points_of, ramp, run_path, write,
};
use crate::{ErrorKind, HistoryStream, RunPath, SampleQuery, Timestamp, Tracker, Value};

/// Samples: few points, the ends and the extremes among them, the same ones each time.
pub async fn samples<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let run = new_run(tracker, "samples").await;
    let everything = keeps_everything(tracker);
    let mut curve = ramp(-100, 20_000);
    for (i, p) in curve.iter_mut().enumerate() {
        p.value = match i {
            7_777 => Value::F64(1e9),
            12_345 => Value::F64(-1e9),
            _ if i % 50 == 3 => Value::F64(f64::NAN),
            _ if i % 50 == 4 && everything => Value::I64(5),
            _ => Value::F64(f64::sin(i as f64 / 100.0)),
        };
    }
    let rowed = (0..500)
        .map(|i| point(Some(3 * i), i as i64, 0, Value::F64(i as f64)))
        .collect();
    let texts = (0..400_i64)
        .map(|i| Point {
            row: None,
            step: i,
            time: Some(Timestamp::from_parts(i, 3)),
            value: Value::Str(i.to_string()),
        })
        .collect();
    let mut series: Vec<(&str, u64, Vec<Point>)> = vec![
        ("curve", 0, curve),
        ("few", 0, ramp(0, 10)),
        ("one", 0, ramp(5, 6)),
        ("rows", 0, rowed),
        ("texts", 0, texts),
    ];
    if !everything {
        series.truncate(3);
    }
    write(tracker, &run, &series).await;
    let of = |key: &str| -> &[Point] {
        series
            .iter()
            .find(|(k, _, _)| *k == key)
            .map_or(&[], |(_, _, points)| points)
    };

    for samples in [2, 3, 4, 5, 10, 101, 1_000, 100_000] {
        let found = sample(tracker, &run, SampleQuery::new(samples)).await;
        let keys = series.iter().map(|(key, _, _)| *key);
        assert!(
            keys.eq(found.keys().map(String::as_str)),
            "the sampled series"
        );
        for (key, there) in &found {
            let all = of(key);
            let place = format!("{samples} samples of {key:?}");
            if all.len() <= samples {
                check_points(there, all, &place);
                continue;
            }
            assert!(there.len() <= samples, "{place} are {}", there.len());
            let mut rest = all.iter();
            assert!(
                there.iter().all(|p| rest.any(|q| p == q)),
                "{place} are points of the series, in order"
            );
            assert_eq!(
                (&there[0], &there[there.len() - 1]),
                (&all[0], &all[all.len() - 1]),
                "the ends in {place}"
            );
            if samples >= 4 && key == "curve" {
                for extreme in [&all[7_777], &all[12_345]] {
                    assert!(there.contains(extreme), "the extremes in {place}");
                }
            }
        }
        let again = sample(tracker, &run, SampleQuery::new(samples)).await;
        assert!(found == again, "{samples} samples twice");
    }

    let query = SampleQuery::new(50)
        .with_keys(["few", "no such key", "curve"])
        .with_steps(0..=3_000);
    let found = sample(tracker, &run, query).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["curve", "few"]);
    assert!(found["curve"].len() <= 50 && !found["curve"].is_empty());
    assert!(
        found["curve"].iter().all(|p| (0..=3_000).contains(&p.step)),
        "samples within the steps"
    );
    assert_eq!(
        found["curve"][0].step, 0,
        "the first point within the steps"
    );
    assert_eq!(
        found["curve"].last().map(|p| p.step),
        Some(3_000),
        "the last point within the steps"
    );
    let outside = sample(
        tracker,
        &run,
        SampleQuery::new(50).with_steps(1_000_000..=2_000_000),
    )
    .await;
    assert!(outside.is_empty(), "no points within the steps");
    assert!(
        sample(
            tracker,
            &run,
            SampleQuery::new(9).with_stream(HistoryStream::System)
        )
        .await
        .is_empty()
    );
    assert_eq!(
        kind(
            tracker
                .sample(&run_path("missing"), SampleQuery::new(5))
                .await
        ),
        ErrorKind::NotFound
    );
}

async fn sample(
    tracker: &dyn Tracker,
    run: &RunPath,
    query: SampleQuery,
) -> BTreeMap<String, Vec<Point>> {
    let mut out: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for batch in tracker.sample(run, query).await.expect("samples are taken") {
        batch.check().expect("a sample is sound");
        out.entry(batch.key.to_string())
            .or_default()
            .extend(points_of(&batch));
    }
    out.retain(|_, points| !points.is_empty());
    out
}
