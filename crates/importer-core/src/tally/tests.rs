use proptest::prelude::*;

use super::*;

const POINT_RULE: &str = "double-max-to-infinity";

fn counted(kind: Kind, arrived: u64, findings: &[Finding]) -> Bucket {
    let mut tally = Tally::new();
    tally.arrived(kind, arrived);
    tally.found(findings);
    tally.get(kind)
}

#[test]
fn a_thing_that_two_rules_changed_is_counted_once() {
    for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::Points) {
        let both = [
            Finding::normalised(kind, "here", "one-rule"),
            Finding::normalised(kind, "here", "another-rule"),
            Finding::normalised(kind, "there", "one-rule"),
        ];
        let bucket = counted(kind, 3, &both);
        assert_eq!((bucket.identical, bucket.normalised), (1, 2), "{kind}");
    }
    // One place holds many points: each finding is of other ones.
    let both = [
        Finding::normalised(Kind::Points, "run 1, loss", POINT_RULE),
        Finding::normalised(Kind::Points, "run 1, loss", "null-to-nan"),
    ];
    let bucket = counted(Kind::Points, 3, &both);
    assert_eq!((bucket.identical, bucket.normalised), (1, 2));
}

#[test]
fn no_more_is_changed_than_arrived() {
    let many = [Finding::normalised(Kind::Params, "run 1", "a-rule").times(7)];
    assert_eq!(counted(Kind::Params, 0, &many), Bucket::default());
    let bucket = counted(Kind::Params, 2, &many);
    assert_eq!((bucket.source(), bucket.normalised), (2, 2));
}

#[test]
fn what_is_written_tells_the_sum_and_must_add_up() {
    let mut tally = Tally::new();
    tally.arrived(Kind::Files, 2);
    tally.found(&[Finding::lost(Kind::Files, "here", "why")]);
    let text = serde_json::to_string(&tally).unwrap();
    assert_eq!(
        text,
        r#"{"files":{"source":3,"identical":2,"normalised":0,"lost":1,"unreadable":0,"skipped":0}}"#
    );
    assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), tally);
    let wrong = text.replace(r#""source":3"#, r#""source":4"#);
    let refused = serde_json::from_str::<Tally>(&wrong).unwrap_err();
    assert!(refused.to_string().contains("add up to 3"), "{refused}");
}

fn finding() -> impl Strategy<Value = Finding> {
    let count = prop_oneof![0..5u64, Just(u64::MAX)];
    (0..3u8, 0..Kind::ALL.len(), "[ab]", count).prop_map(|(outcome, kind, place, count)| {
        let make = [Finding::normalised, Finding::lost, Finding::unreadable][outcome as usize];
        make(Kind::ALL[kind], place, "why".to_owned()).times(count)
    })
}

proptest! {
    /// As it is written, so that it is the receipt that adds up.
    #[test]
    fn adds_up_whatever_is_found(
        arrived in prop::collection::vec((0..Kind::ALL.len(), 0..4u64), 0..9),
        skipped in prop::collection::vec((0..Kind::ALL.len(), 0..4u64), 0..9),
        findings in prop::collection::vec(finding(), 0..12),
    ) {
        let mut tally = Tally::new();
        for (kind, count) in arrived {
            tally.arrived(Kind::ALL[kind], count);
        }
        for (kind, count) in skipped {
            tally.skipped(Kind::ALL[kind], count);
        }
        let before = tally.clone();
        tally.found(&findings);
        for (kind, bucket) in tally.iter() {
            let there = before.get(kind);
            prop_assert_eq!(bucket.identical + bucket.normalised, there.identical);
            prop_assert_eq!(bucket.skipped, there.skipped);
        }
        for tally in [&tally, &tally.as_skipped()] {
            let written = serde_json::to_value(tally).unwrap();
            for (_, bucket) in written.as_object().unwrap() {
                let field = |name: &str| u128::from(bucket[name].as_u64().unwrap());
                let parts = ["identical", "normalised", "lost", "unreadable", "skipped"];
                let sum: u128 = parts.into_iter().map(field).sum();
                prop_assert_eq!(field("source"), sum.min(u128::from(u64::MAX)));
            }
        }
    }
}
