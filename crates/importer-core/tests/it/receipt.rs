//! Whatever a source finds, every datum is in one place of the receipt, the first time and later.

use std::collections::BTreeMap;

use importer_core::{
    Bucket, Finding, ImportOptions, Kind, KindSet, Outcome, Receipt, Selection, conformance,
};

use crate::{
    pipeline::Bench,
    scripted::{Place, Script, ScriptRun},
};

/// A run with some of everything.
fn run(id: &str, findings: BTreeMap<Place, Vec<Finding>>) -> ScriptRun {
    ScriptRun {
        id: id.into(),
        project: "p".into(),
        series: BTreeMap::from([("loss".into(), vec![1.0, 2.0, 3.0])]),
        files: BTreeMap::from([("a".into(), b"1".to_vec()), ("b".into(), b"22".to_vec())]),
        findings,
        ..ScriptRun::default()
    }
}

fn script(findings: BTreeMap<Place, Vec<Finding>>) -> Script {
    Script::of(vec![
        run("run-0", findings),
        run("run-3", BTreeMap::default()),
    ])
}

fn at(place: Place, findings: impl Into<Vec<Finding>>) -> BTreeMap<Place, Vec<Finding>> {
    BTreeMap::from([(place, findings.into())])
}

/// The receipt as it is written adds up, and tells a place and a reason of all that is missing.
pub(crate) fn balanced(receipt: &Receipt) {
    conformance::receipt(receipt);
    let written = serde_json::to_value(receipt).unwrap();
    let runs = written["runs"].as_array().unwrap();
    let tallies = runs.iter().map(|run| &run["counts"]);
    for tally in tallies.chain([&written["totals"]]) {
        for (kind, bucket) in tally.as_object().unwrap() {
            let field = |name: &str| bucket[name].as_u64().unwrap();
            let parts = ["identical", "normalised", "lost", "unreadable", "skipped"];
            let sum: u64 = parts.into_iter().map(field).sum();
            assert_eq!(field("source"), sum, "{kind}: {bucket}");
        }
    }
}

/// Imports, imports again, imports without looking at what is there, and imports after a change.
async fn four_times(findings: &BTreeMap<Place, Vec<Finding>>) -> [Receipt; 4] {
    let bench = Bench::new(script(findings.clone()));
    let first = bench.import().await;
    let second = bench.import().await;
    let mut options = ImportOptions::default();
    options.incremental = false;
    let third = bench.try_import(Selection::new(), options).await.unwrap();
    let mut changed = script(findings.clone());
    changed.runs[0].salt = 1;
    changed.runs[0].series.insert("new".into(), vec![4.0]);
    let fourth = bench.with(changed).import().await;
    [first, second, third, fourth]
}

async fn planned(findings: &BTreeMap<Place, Vec<Finding>>) -> Receipt {
    let mut options = ImportOptions::default();
    options.dry_run = true;
    let bench = Bench::new(script(findings.clone()));
    bench.try_import(Selection::new(), options).await.unwrap()
}

#[tokio::test]
async fn every_finding_of_every_kind_is_balanced() {
    let outcomes = [Outcome::Normalised, Outcome::Lost, Outcome::Unreadable];
    let shapes: [&[(&str, &str, u64)]; 4] = [
        &[("here", "one-reason", 1)],
        &[("here", "one-reason", 1), ("here", "another-reason", 1)],
        &[("here", "one-reason", 1), ("there", "one-reason", 1)],
        &[("here", "one-reason", 1000), ("here", "one-reason", 1)],
    ];
    for place in Place::ALL {
        for outcome in outcomes {
            for shape in shapes {
                let found = |kind| {
                    shape.iter().map(move |(place, reason, count)| Finding {
                        outcome,
                        ..Finding::lost(kind, *place, *reason).times(*count)
                    })
                };
                let findings = at(
                    place,
                    Kind::ALL.into_iter().flat_map(found).collect::<Vec<_>>(),
                );
                balanced(&planned(&findings).await);
                let receipts = four_times(&findings).await;
                receipts.iter().for_each(balanced);
                let [first, second, third, _] = receipts;
                for later in [&second, &third] {
                    for (kind, bucket) in first.totals.iter() {
                        let now = later.totals.get(kind);
                        assert_eq!(now.source(), bucket.source(), "{place:?} {kind}");
                        assert_eq!((now.identical, now.normalised), (0, 0), "{place:?} {kind}");
                    }
                }
            }
        }
    }
}

fn rules(receipt: &Receipt) -> Vec<(&str, u64)> {
    let rules = receipt.rules.iter();
    rules.map(|r| (r.name.as_str(), r.count)).collect()
}

#[tokio::test]
async fn a_thing_that_two_rules_changed_is_counted_once_and_both_are_named() {
    for (place, kind, source) in [
        (Place::Projects, Kind::Projects, 1),
        (Place::Runs, Kind::Runs, 2),
        (Place::Record, Kind::Runs, 2),
        (Place::Record, Kind::Params, 2),
        (Place::Record, Kind::Tags, 2),
        (Place::Files, Kind::Files, 4),
        (Place::Artifacts, Kind::Collections, 1),
        (Place::Artifacts, Kind::Artifacts, 3),
    ] {
        let both = at(
            place,
            [
                Finding::normalised(kind, "here", "b-rule"),
                Finding::normalised(kind, "here", "a-rule"),
            ],
        );
        let [first, second, ..] = four_times(&both).await;
        let expected = Bucket {
            identical: source - 1,
            normalised: 1,
            ..Bucket::default()
        };
        assert_eq!(first.totals.get(kind), expected, "{place:?} {kind}");
        assert_eq!(rules(&first), [("a-rule", 1), ("b-rule", 1)]);
        let expected = Bucket {
            skipped: source,
            ..Bucket::default()
        };
        assert_eq!(second.totals.get(kind), expected, "{place:?} {kind}");
        assert_eq!(rules(&second), [], "nothing was changed the second time");
    }
}

/// What a rule changed of a thing that was left alone must not make another thing a changed one.
#[tokio::test]
async fn a_rule_counts_only_with_its_thing() {
    for (place, kind) in [
        (Place::Projects, Kind::Projects),
        (Place::Runs, Kind::Runs),
        (Place::Files, Kind::Files),
    ] {
        let found = at(place, [Finding::normalised(kind, "here", "a-rule")]);
        let bench = Bench::new(script(found.clone()));
        bench.import().await;
        let mut more = script(found);
        if place == Place::Files {
            more.runs[0].salt = 1;
            more.runs[0].files.insert("c".into(), b"333".to_vec());
        }
        let mut new = run("new", BTreeMap::default());
        new.project = "q".into();
        more.runs.push(new);
        let receipt = bench.with(more).import().await;
        let bucket = receipt.totals.get(kind);
        assert!(bucket.identical > 0, "{place:?}: something is new");
        assert_eq!(bucket.normalised, 0, "{place:?}: {bucket:?}");
        assert_eq!(rules(&receipt), [], "{place:?}");
    }
}

#[tokio::test]
async fn what_is_not_wanted_is_not_found() {
    let mut selection = Selection::new();
    selection.kinds = KindSet::except(["tags", "params", "points", "files", "artifacts"]).unwrap();
    let findings = Place::ALL
        .map(|place| {
            let kinds = [Kind::Tags, Kind::Params, Kind::Points, Kind::Files];
            let found = kinds.map(|k| Finding::unreadable(k, "here", "why"));
            (place, found.to_vec())
        })
        .into_iter()
        .collect();
    let bench = Bench::new(script(findings));
    let options = ImportOptions::default();
    let receipt = bench.try_import(selection, options).await.unwrap();
    balanced(&receipt);
    assert_eq!(receipt.losses, []);
    assert_eq!(receipt.totals.get(Kind::Runs).identical, 2);
    let all = bench.import().await;
    assert!(all.losses.iter().any(|l| l.outcome == Outcome::Unreadable));
}
