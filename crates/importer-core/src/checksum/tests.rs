use proptest::prelude::*;
use tracker_model::Times;

use super::*;

fn batch(key: &str, points: &[(i64, i64, f64)]) -> PointBatch {
    PointBatch {
        key: key.into(),
        rows: None,
        steps: points.iter().map(|p| p.0).collect(),
        times: Some(Times::from_millis(points.iter().map(|p| p.1).collect())),
        values: Values::F64(points.iter().map(|p| p.2).collect()),
    }
}

/// The rule, word for word.
fn by_the_rule(points: &[(String, i64, i64, f64)]) -> String {
    let mut lines: Vec<Vec<u8>> = points
        .iter()
        .map(|(k, s, t, v)| format!("{k}\t{s}\t{t}\t{:016x}\n", double_bits(*v)).into_bytes())
        .collect();
    lines.sort();
    hex::encode(Sha256::digest(lines.concat()))
}

fn ours(points: &[(String, i64, i64, f64)]) -> Checksums {
    let mut by_key: BTreeMap<SeriesKey, Vec<(i64, i64, f64)>> = BTreeMap::new();
    for (k, s, t, v) in points {
        by_key.entry(k.into()).or_default().push((*s, *t, *v));
    }
    let mut sum = PointsChecksum::for_keys(by_key.keys());
    for (key, points) in &by_key {
        for part in points.chunks(3) {
            sum.update(&batch(key.as_str(), part)).unwrap();
        }
    }
    sum.finish().unwrap()
}

#[test]
fn nothing_is_the_hash_of_nothing() {
    assert_eq!(
        ours(&[]).points_sha,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn more_points_than_fit_in_memory() {
    for least in [0, -1000] {
        let point = |i: i64| {
            let step = (i * 7919) % 15_013 + least;
            ("loss".to_owned(), step, i / 3, i as f64)
        };
        let points: Vec<_> = (0..30_000).map(point).collect();
        assert_eq!(ours(&points).points_sha, by_the_rule(&points));
    }
}

/// The bytes of a line after its key are the same by both ways.
fn same_line(step: i64, ms: i64, bits: u64) {
    let point = Point {
        step,
        ms: Some(ms),
        sub_ns: 0,
        value: Text::Bits(bits),
    };
    let mut rest = Vec::new();
    push_rest(&mut rest, &point);
    assert_eq!(PlainLine::new(step, ms, bits).as_bytes(), rest);
    assert_eq!(rest, format!("{step}\t{ms}\t{bits:016x}\n").as_bytes());
}

#[test]
fn lines_of_the_longest_numbers() {
    let around = |n: i64| [n - 1, n, n + 1, -n];
    let powers = (0..19).flat_map(|digits| around(10i64.pow(digits)));
    for n in powers.chain([i64::MAX, i64::MIN]) {
        same_line(n, i64::MIN, u64::MAX);
        same_line(i64::MIN, n, 0);
    }
}

#[test]
fn every_digit_in_every_place() {
    for digit in 0..16u64 {
        for place in 0..16 {
            let bits = digit << (4 * place);
            assert_eq!(hex_digits(bits), format!("{bits:016x}").as_bytes());
        }
    }
    for n in (0..100_000_000).step_by(997).chain(0..20_000) {
        assert_eq!(eight_digits(n), format!("{n:08}").as_bytes());
    }
}

proptest! {
    #[test]
    fn lines_of_any_numbers(step: i64, ms: i64, bits: u64) {
        same_line(step, ms, bits);
    }

    #[test]
    fn equals_the_rule(points in prop::collection::vec(
        ("[a-c/\t\n\u{1}é]{0,3}",
         prop_oneof![any::<i64>(), -20i64..200, Just(i64::MIN), Just(i64::MAX)],
         prop_oneof![any::<i64>(), 0i64..20],
         prop_oneof![any::<f64>(), Just(f64::NAN), Just(-0.0), Just(f64::INFINITY)]),
        0..60,
    )) {
        let sums = ours(&points);
        prop_assert_eq!(&sums.points_sha, &by_the_rule(&points));
        prop_assert_eq!(sums.points, points.len() as u64);
        for (key, sum) in &sums.series {
            let own: Vec<_> = points.iter().filter(|p| p.0 == key.as_str()).cloned().collect();
            prop_assert_eq!(&sum.sha, &by_the_rule(&own));
        }
    }

    #[test]
    fn ranks_order_as_texts(
        a: i64,
        b: i64,
        small in -1000i64..1000,
        usual in 0i64..100_000_000_000_000_000,
    ) {
        prop_assert!(short_rank(usual).is_some());
        for (x, y) in [(a, b), (a, small), (small, b), (usual, small), (usual, usual / 10)] {
            let texts = format!("{x}\t").cmp(&format!("{y}\t"));
            prop_assert_eq!(decimal_rank(x).cmp(&decimal_rank(y)), texts);
            if let (Some(x), Some(y)) = (short_rank(x), short_rank(y)) {
                prop_assert_eq!(x.cmp(&y), texts);
            }
        }
    }
}

#[test]
fn pairs_are_escaped_and_sorted() {
    let sum = key_value_checksum([("b", "x\ty\n"), ("a", "\\")]);
    assert_eq!(sum, hex::encode(Sha256::digest(b"a\t\\\\\nb\tx\\ty\\n\n")));
}
