use std::sync::Arc;

use serde_json::{Value as Json, json};
use tracker_client::{Api, Comparison, ComparisonRow, Run, Section};
use tracker_model::{JsonPatch, MemoryTracker, Precondition, RunPatch, RunStore};

use super::object;

async fn runs(all: &[(Json, Json)]) -> Vec<Run> {
    let tracker = Arc::new(MemoryTracker::new());
    let api = Api::new(tracker.clone());
    let mut runs = Vec::new();
    for (i, (config, summary)) in all.iter().enumerate() {
        let path = format!("local/p/r{i}");
        let patch = RunPatch::new()
            .with_config(JsonPatch::Replace(object(config.clone())))
            .with_summary(JsonPatch::Replace(object(summary.clone())));
        let place = path.parse().unwrap();
        let made = tracker.upsert_run(&place, patch, Precondition::None);
        made.await.unwrap();
        runs.push(api.run(&path).await.unwrap());
    }
    runs
}

fn texts(rows: &[ComparisonRow]) -> Vec<String> {
    let text = |row: &ComparisonRow| {
        let values = row.values.iter();
        let values: Vec<_> = values
            .map(|v| v.as_ref().map_or("-".to_owned(), Json::to_string))
            .collect();
        format!(
            "{}.{} {}",
            row.section.as_str(),
            row.key(),
            values.join(" ")
        )
    };
    rows.iter().map(text).collect()
}

#[tokio::test]
async fn runs_side_by_side() {
    let runs = runs(&[
        (
            json!({ "lr": 1, "opt": { "name": "adam", "betas": [0.5, 1] }, "none": {}, "z": null }),
            json!({ "loss": 0.5 }),
        ),
        (
            json!({ "lr": 1.0, "opt": { "name": "sgd", "betas": [0.5, 1.0] }, "none": {} }),
            json!({ "loss": 0.25, "acc": 1 }),
        ),
        (
            json!({ "lr": 1, "opt": 7, "none": {} }),
            json!({ "loss": 0.5 }),
        ),
    ])
    .await;
    let all = Comparison::of(&runs);
    let paths: Vec<_> = all.runs().iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["local/p/r0", "local/p/r1", "local/p/r2"]);
    assert_eq!(
        texts(all.rows()),
        [
            "config.lr 1 1.0 1",
            "config.none {} {} {}",
            "config.opt - - 7",
            "config.opt.betas [0.5,1] [0.5,1.0] -",
            "config.opt.name \"adam\" \"sgd\" -",
            "config.z null - -",
            "summary.acc - 1 -",
            "summary.loss 0.5 0.25 0.5",
        ]
    );
    let two = Comparison::of(&runs[..2]).only_differing();
    assert_eq!(
        texts(two.rows()),
        [
            "config.opt.name \"adam\" \"sgd\"",
            "config.z null -",
            "summary.acc - 1",
            "summary.loss 0.5 0.25",
        ]
    );
    assert_eq!(Comparison::of(&runs[..1]).only_differing().rows(), []);
    assert_eq!(Comparison::of(&[]).rows(), []);
}

#[tokio::test]
async fn keys_with_dots_are_not_objects() {
    let runs = runs(&[
        (json!({ "a.b": 1 }), json!({})),
        (json!({ "a": { "b": 1 } }), json!({})),
    ])
    .await;
    let rows = Comparison::of(&runs).only_differing().rows().to_vec();
    assert_eq!(texts(&rows), ["config.a.b - 1", "config.a.b 1 -"]);
    assert_eq!(rows[0].keys, ["a", "b"]);
    assert_eq!(rows[0].section, Section::Config);
}

#[tokio::test]
async fn differences_of_numbers() {
    let summary = |x: Json| (json!({}), json!({ "x": x }));
    let runs = runs(&[
        summary(json!(0.5)),
        summary(json!(2)),
        summary(json!("2")),
        summary(json!(i64::MAX)),
        summary(json!(i64::MAX - 1)),
        (json!({}), json!({})),
    ])
    .await;
    let comparison = Comparison::of(&runs);
    let row = &comparison.rows()[0];
    assert_eq!(row.difference(0, 1), Some(1.5));
    assert_eq!(row.difference(1, 0), Some(-1.5));
    assert_eq!(row.difference(4, 3), Some(1.0));
    for (from, to) in [(0, 2), (2, 0), (0, 5), (0, 99)] {
        assert_eq!(row.difference(from, to), None);
    }
}
