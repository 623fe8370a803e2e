use std::sync::Arc;

use futures::TryStreamExt;
use serde_json::json;
use tracker_client::{Api, KeySearch, RunEdit, best_of, value_at};
use tracker_model::{
    ErrorKind, Goal, JsonPatch, MemoryTracker, Precondition, RunFilter, RunOrder, RunParts,
    RunPatch, RunQuery, RunStore, Timestamp,
};

use super::object;

/// Puts a run into a project of `local`; the later ones are newer.
async fn put(tracker: &MemoryTracker, path: &str, at: i64, summary: serde_json::Value) {
    let mut patch = RunPatch::new()
        .with_config(JsonPatch::Replace(object(
            json!({ "lr": at, "odd": at % 2 }),
        )))
        .with_summary(JsonPatch::Replace(object(summary)));
    patch.created_at = Some(Timestamp::from_millis(at));
    let path = path.parse().unwrap();
    let put = tracker.upsert_run(&path, patch, Precondition::None);
    put.await.unwrap();
}

/// Runs `r0` to `r{n - 1}` of the project `local/p`.
async fn many(n: i64) -> (Arc<MemoryTracker>, Api) {
    let tracker = Arc::new(MemoryTracker::new());
    for i in 0..n {
        put(&tracker, &format!("local/p/r{i}"), i, json!({ "acc": i })).await;
    }
    (tracker.clone(), Api::new(tracker))
}

async fn ids(runs: &tracker_client::Runs) -> Vec<String> {
    let runs: Vec<_> = runs.stream().try_collect().await.unwrap();
    runs.iter().map(|run| run.id().to_owned()).collect()
}

#[tokio::test]
async fn a_list_is_read_as_far_as_it_is_looked_at() {
    let (tracker, api) = many(7).await;
    let runs = api.runs("p").unwrap().per_page(2);
    assert_eq!(runs.get(2).await.unwrap().unwrap().id(), "r4");
    // Behind what was read; before it, and behind the end, nothing changes.
    put(&tracker, "local/p/r9", 9, json!({})).await;
    assert_eq!(runs.first().await.unwrap().unwrap().id(), "r6");
    assert_eq!(ids(&runs).await, ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]);
    assert!(runs.get(7).await.unwrap().is_none());
    assert!(runs.get(700).await.unwrap().is_none());
    assert_eq!(runs.len().await.unwrap(), 7, "it is as long as it was read");
    assert_eq!(runs.get(5).await.unwrap().unwrap().id(), "r1");
    assert!(!runs.is_empty().await.unwrap());
}

#[tokio::test]
async fn its_length_is_asked_once() {
    let (tracker, api) = many(3).await;
    let runs = api.runs("p").unwrap();
    let clone = runs.clone();
    assert_eq!(runs.len().await.unwrap(), 3);
    put(&tracker, "local/p/r9", 9, json!({})).await;
    assert_eq!(
        (runs.len().await.unwrap(), clone.len().await.unwrap()),
        (3, 3)
    );
}

#[tokio::test]
async fn what_is_not_kept_is_read_again() {
    let (_, api) = many(5000).await;
    let runs = api.runs("p").unwrap().per_page(100);
    assert_eq!(ids(&runs).await.len(), 5000);
    for index in [0, 4999, 1, 2500, 0] {
        let run = runs.get(index).await.unwrap().unwrap();
        assert_eq!(run.id(), format!("r{}", 4999 - index));
    }
    assert!(runs.get(5000).await.unwrap().is_none());
    let one_page = api.runs("p").unwrap().per_page(10_000);
    assert_eq!(one_page.get(4999).await.unwrap().unwrap().id(), "r0");
}

#[tokio::test]
async fn filters_orders_and_parts() {
    let (tracker, api) = many(6).await;
    let filter = |text: &str| RunFilter::parse(text).unwrap();
    let runs = api.runs("p").unwrap();
    let odd = runs.clone().filter(filter("config.odd = 1")).unwrap();
    assert_eq!(ids(&odd).await, ["r5", "r3", "r1"]);
    let few = odd.clone().filter(filter("summary.acc < 4")).unwrap();
    let few = few.order(RunOrder::parse(["+summary.acc"]).unwrap());
    assert_eq!(ids(&few).await, ["r1", "r3"]);
    assert_eq!(few.len().await.unwrap(), 2);
    // What a tracker leaves out is up to it; that it is told is not.
    let bare = runs.clone().parts(RunParts::NONE);
    assert_eq!(bare.query().parts, RunParts::NONE);
    assert_eq!(bare.first().await.unwrap().unwrap().id(), "r5");
    let patch = RunPatch::new().with_deleted(true);
    let path = "local/p/r0".parse().unwrap();
    let delete = tracker.upsert_run(&path, patch, Precondition::None);
    delete.await.unwrap();
    assert_eq!(runs.len().await.unwrap(), 5);
    assert_eq!(runs.include_deleted(true).len().await.unwrap(), 6);
}

#[tokio::test]
async fn a_project_that_is_not_there() {
    let (tracker, api) = many(0).await;
    put(&tracker, "acme/q/r", 0, json!({})).await;
    put(&tracker, "beta/q/r", 0, json!({})).await;
    let runs = api.runs("q").unwrap();
    let errors = [
        runs.len().await.unwrap_err(),
        runs.first().await.unwrap_err(),
        runs.stream().try_collect::<Vec<_>>().await.unwrap_err(),
        best_of(&api, "q", "acc", Goal::Maximize, None)
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.hint(), Some("did you mean acme/q or beta/q?"));
    }
    let none = api.runs("none").unwrap().len().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    let filter = RunFilter::parse("state = failed").unwrap();
    let empty = api.runs("acme/q").unwrap().filter(filter).unwrap();
    assert_eq!(empty.len().await.unwrap(), 0);
    assert!(empty.is_empty().await.unwrap());
    assert_eq!(
        api.runs("a/b/c").unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let no_run = api.run("q").await.unwrap_err();
    assert_eq!(no_run.kind(), ErrorKind::InvalidInput);
    let no_run = api.run("q/r").await.unwrap_err();
    assert_eq!(no_run.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_was_read_is_remembered_until_it_is_flushed() {
    let (tracker, api) = many(2).await;
    assert_eq!(api.run("p/r1").await.unwrap().summary()["acc"], 1);
    assert_eq!(ids(&api.runs("p").unwrap()).await, ["r1", "r0"]);
    put(&tracker, "local/p/r1", 1, json!({ "acc": 7 })).await;
    put(&tracker, "local/p/r2", 2, json!({})).await;
    let fresh = Api::new(tracker).without_cache();
    for (api, acc, count) in [(&api, 1, 2), (&fresh, 7, 3)] {
        assert_eq!(api.run("p/r1").await.unwrap().summary()["acc"], acc);
        assert_eq!(ids(&api.runs("p").unwrap()).await.len(), count);
    }
    // Other arguments are another list.
    assert_eq!(ids(&api.runs("p").unwrap().per_page(9)).await.len(), 3);
    api.clone().flush();
    assert_eq!(api.run("p/r1").await.unwrap().summary()["acc"], 7);
    assert_eq!(ids(&api.runs("p").unwrap()).await.len(), 3);
}

#[tokio::test]
async fn own_edits_are_seen_at_once() {
    let (tracker, api) = many(3).await;
    let good = || {
        let good = RunFilter::parse("summary.acc >= 2").unwrap();
        api.runs("p").unwrap().filter(good).unwrap()
    };
    let before = good();
    assert_eq!(ids(&before).await, ["r2"]);
    let mut run = api.run("p/r0").await.unwrap();
    run.edit(RunEdit::new().summary("acc", 5)).await.unwrap();
    assert_eq!(api.run("p/r0").await.unwrap().summary()["acc"], 5);
    assert_eq!(ids(&good()).await, ["r2", "r0"]);
    let mut listed = before.first().await.unwrap().unwrap();
    listed
        .edit(RunEdit::new().notes(Some("n".to_owned())))
        .await
        .unwrap();
    let seen = before.first().await.unwrap().unwrap();
    assert_eq!(seen.notes(), Some("n"));
    // Reading anew tells the API, too.
    put(&tracker, "local/p/r1", 1, json!({ "acc": 9 })).await;
    api.run("p/r1").await.unwrap().reload().await.unwrap();
    assert_eq!(ids(&good()).await, ["r2", "r1", "r0"]);
    run.delete().await.unwrap();
    let gone = api.run("p/r0").await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert_eq!(ids(&good()).await, ["r2", "r1"]);
}

#[tokio::test]
async fn the_best_run_of_a_project() {
    let tracker = Arc::new(MemoryTracker::new());
    let api = Api::new(tracker.clone());
    let summaries = [
        json!({ "val/acc": 0.5, "eval": { "loss": 3 } }),
        json!({ "val/acc": 0.9, "eval": { "loss": 2 } }),
        json!({ "val/acc": "NaN", "eval.loss": 1 }),
        json!({ "val/acc": "great" }),
        json!({ "val/acc": [7] }),
        json!({ "val/acc": true }),
        json!({}),
    ];
    for (i, summary) in summaries.into_iter().enumerate() {
        put(
            &tracker,
            &format!("local/p/r{i}"),
            i64::try_from(i).unwrap(),
            summary,
        )
        .await;
    }
    for (key, goal, filter, wanted) in [
        ("val/acc", Goal::Maximize, None, Some("r1 0.9")),
        ("val/acc", Goal::Minimize, None, Some("r0 0.5")),
        ("eval.loss", Goal::Minimize, None, Some("r2 1")),
        ("eval.loss", Goal::Maximize, None, Some("r0 3")),
        (
            "val/acc",
            Goal::Maximize,
            Some("config.lr < 1"),
            Some("r0 0.5"),
        ),
        ("val/acc", Goal::Maximize, Some("config.lr > 5"), None),
    ] {
        let filter = filter.map(|text| RunFilter::parse(text).unwrap());
        let best = best_of(&api, "p", key, goal, filter).await.unwrap();
        let best = best.map(|best| format!("{} {}", best.run.id(), best.value));
        assert_eq!(best.as_deref(), wanted, "{key} {goal}");
    }
    let wrong = best_of(&api, "p", "val/ac", Goal::Maximize, None).await;
    let wrong = wrong.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::NotFound);
    assert_eq!(wrong.to_string(), "no run has summary.val/ac");
    assert_eq!(wrong.hint(), Some("did you mean summary.val/acc?"));
}

#[tokio::test]
async fn keys_that_no_run_has() {
    let (tracker, _) = many(2).await;
    let missing = async |filter: &str| {
        let search = KeySearch::new().of_filter(&RunFilter::parse(filter).unwrap());
        let missing = search.missing(&*tracker, &RunQuery::new()).await.unwrap();
        let missing = missing.into_iter();
        missing
            .map(|m| format!("{}: {}", m.key, m.near.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    assert_eq!(missing("config.lrr > 1").await, ["config.lrr: config.lr"]);
    assert_eq!(missing("summary.lr > 1").await, ["summary.lr: config.lr"]);
    assert_eq!(
        missing(r#"{"$or": [{"config.none.value": 1}, {"config.lr": 77}]}"#).await,
        ["config.none: "]
    );
    for there in [
        "config.lr = 77",
        "state = finished",
        r#"{"config.none": {"$exists": false}}"#,
        r#"{"config.none": null}"#,
        r#"{"$nor": [{"config.none": 1}]}"#,
    ] {
        assert!(missing(there).await.is_empty(), "{there}");
    }
    let order = RunOrder::parse(["-summary.ac"]).unwrap();
    let search = KeySearch::new().of_order(&order);
    assert_eq!(
        search
            .missing(&*tracker, &RunQuery::new())
            .await
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn values_at_keys() {
    let object = object(json!({ "a.b": 1, "a": { "b": 2, "c.d": { "e": 3 } }, "x": 4 }));
    let at = |key: &str| value_at(&object, key).and_then(serde_json::Value::as_i64);
    assert_eq!(at("a.b"), Some(1));
    assert_eq!(at("a.c.d.e"), Some(3));
    assert_eq!(at("x"), Some(4));
    for none in ["", ".", "x.y", "a.c", "a.", "b"] {
        assert_eq!(at(none), None, "{none}");
    }
}
