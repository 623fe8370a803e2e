use proptest::prelude::*;

use super::*;
use crate::{BatchBuilder, Timestamp, Value};

type Point = (Option<u64>, i64, Option<Timestamp>, Value);

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        any::<i64>().prop_map(Value::I64),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(Value::Str),
        Just(Value::Json("[1]".to_owned())),
    ]
}

/// Points with ascending rows, some without.
fn points() -> impl Strategy<Value = Vec<Point>> {
    let time = proptest::option::of((any::<i64>(), 0u32..3));
    let point = (proptest::option::of(1u64..9), any::<i64>(), time, value());
    proptest::collection::vec(point, 0..60).prop_map(|points| {
        let mut last = 0;
        let point = |(gap, step, time, value): (Option<u64>, i64, Option<(i64, u32)>, Value)| {
            let row = gap.map(|gap| {
                last += gap;
                last
            });
            (
                row,
                step,
                time.map(|(ms, sub)| Timestamp::from_parts(ms, sub)),
                value,
            )
        };
        points.into_iter().map(point).collect()
    })
}

fn batches(points: &[Point], mut cut: impl FnMut(usize) -> bool) -> Vec<PointBatch> {
    let mut builder = BatchBuilder::new("x".into());
    let mut out = Vec::new();
    for (i, (row, step, time, value)) in points.iter().enumerate() {
        if cut(i) {
            out.extend(builder.take());
        }
        out.extend(builder.push(*row, *step, *time, value.clone()));
    }
    out.extend(builder.take());
    out
}

fn digest(batches: &[PointBatch]) -> (u64, SeriesDigest) {
    let mut hasher = SeriesDigest::hasher();
    batches.iter().for_each(|batch| hasher.update(batch));
    (hasher.count(), hasher.digest())
}

proptest! {
    #[test]
    fn batches_do_not_matter(points in points(), cuts in proptest::collection::vec(any::<bool>(), 60)) {
        let whole = batches(&points, |_| false);
        let cut = batches(&points, |i| cuts[i]);
        for batch in whole.iter().chain(&cut) {
            batch.check().unwrap();
        }
        prop_assert_eq!(digest(&whole), digest(&cut));
        prop_assert_eq!(digest(&whole).0, points.len() as u64);
        // A batch whose times could say that no nanoseconds are there is the same.
        let padded: Vec<PointBatch> = whole
            .iter()
            .map(|batch| {
                let mut batch = batch.clone();
                if let Some(times) = &mut batch.times {
                    times.sub_ns.get_or_insert_with(|| vec![0; times.ms.len()]);
                }
                batch
            })
            .collect();
        prop_assert_eq!(digest(&padded), digest(&whole));
        // Slices of batches, and digests that are asked for on the way.
        let mut hasher = SeriesDigest::hasher();
        for batch in &whole {
            let middle = batch.len() / 2;
            hasher.update(&batch.slice(0, middle));
            hasher.digest();
            hasher.update_range(batch, middle, batch.len());
        }
        prop_assert_eq!(hasher.digest(), digest(&whole).1);
    }

    #[test]
    fn any_change_matters(points in points(), at: prop::sample::Index, what in 0..4) {
        prop_assume!(!points.is_empty());
        let mut changed = points.clone();
        let point = &mut changed[at.index(points.len())];
        match what {
            0 => point.1 = point.1.wrapping_add(1),
            1 => point.2 = point.2.map_or(Some(Timestamp::from_millis(0)), |_| None),
            2 => point.3 = match &point.3 {
                Value::F64(x) => Value::F64(f64::from_bits(x.to_bits() ^ 1)),
                Value::I64(x) => Value::I64(x ^ 1),
                Value::Bool(x) => Value::Bool(!x),
                Value::Str(x) => Value::Json(x.clone()),
                Value::Json(x) => Value::Str(x.clone()),
            },
            _ => drop(changed.remove(at.index(points.len()))),
        }
        let (a, b) = (batches(&points, |_| false), batches(&changed, |_| false));
        prop_assert_ne!(digest(&a).1, digest(&b).1);
    }

    #[test]
    fn text_round_trips(points in points()) {
        let (_, digest) = digest(&batches(&points, |_| false));
        prop_assert_eq!(digest.to_string().parse::<SeriesDigest>().unwrap(), digest);
    }
}

/// The bytes that the documentation promises, written by hand.
#[test]
fn the_format_is_what_is_documented() {
    let points = [
        (
            Some(1),
            -1,
            Some(Timestamp::from_parts(5, 6)),
            Value::F64(-0.0),
        ),
        (
            None,
            2,
            Some(Timestamp::from_millis(7)),
            Value::I64(i64::MIN),
        ),
        (None, 3, None, Value::Bool(true)),
        (None, 4, None, Value::Str("ü".to_owned())),
        (None, 5, None, Value::Json(String::new())),
    ];
    let mut bytes = vec![8 | 16 | 32];
    bytes.extend(1u64.to_le_bytes());
    bytes.extend((-1i64).to_le_bytes());
    bytes.extend(5i64.to_le_bytes());
    bytes.extend(6u32.to_le_bytes());
    bytes.extend((-0.0f64).to_le_bytes());
    bytes.push(1 | 16);
    bytes.extend(2i64.to_le_bytes());
    bytes.extend(7i64.to_le_bytes());
    bytes.extend(i64::MIN.to_le_bytes());
    bytes.push(2);
    bytes.extend(3i64.to_le_bytes());
    bytes.push(1);
    bytes.push(3);
    bytes.extend(4i64.to_le_bytes());
    bytes.extend([2, 0, 0, 0, 0xc3, 0xbc]);
    bytes.push(4);
    bytes.extend(5i64.to_le_bytes());
    bytes.extend([0; 4]);
    let expected = blake3::hash(&bytes).to_hex().to_string();
    assert_eq!(digest(&batches(&points, |_| false)).1.to_string(), expected);
    assert!("00".parse::<SeriesDigest>().is_err());
}
