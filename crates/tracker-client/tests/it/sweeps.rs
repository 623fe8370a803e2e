use std::sync::Arc;

use futures::TryStreamExt;
use serde_json::{Value as Json, json};
use tracker_client::Api;
use tracker_model::{
    Change, ErrorKind, JsonPatch, MemoryTracker, Precondition, RunPatch, RunStore, SweepPatch,
    SweepState, SweepStore, Timestamp,
};

use super::object;

async fn with_sweep(config: Json) -> (Arc<MemoryTracker>, Api) {
    let tracker = Arc::new(MemoryTracker::new());
    let mut patch = SweepPatch::new();
    patch.config = JsonPatch::Replace(object(config));
    patch.state = Some(SweepState::Running);
    let path = "local/p/s1".parse().unwrap();
    tracker.upsert_sweep(&path, patch).await.unwrap();
    (tracker.clone(), Api::new(tracker))
}

async fn put(tracker: &MemoryTracker, id: &str, at: i64, sweep: &str, summary: Json) {
    let mut patch = RunPatch::new().with_summary(JsonPatch::Replace(object(summary)));
    patch.sweep = Change::Set(sweep.to_owned());
    patch.created_at = Some(Timestamp::from_millis(at));
    let path = format!("local/p/{id}").parse().unwrap();
    let put = tracker.upsert_run(&path, patch, Precondition::None);
    put.await.unwrap();
}

#[tokio::test]
async fn the_runs_of_a_sweep_and_its_best() {
    let metric = json!({ "name": "val_acc", "goal": "maximize" });
    let (tracker, api) = with_sweep(json!({ "name": "big", "metric": metric })).await;
    let sweep = api.sweep("p/s1").await.unwrap();
    assert_eq!((sweep.id(), sweep.name()), ("s1", "big"));
    assert!(sweep.best_run().await.unwrap().is_none(), "it has no runs");
    put(&tracker, "none", 1, "s1", json!({})).await;
    put(&tracker, "text", 2, "s1", json!({ "val_acc": "no" })).await;
    api.flush();
    assert!(
        sweep.best_run().await.unwrap().is_none(),
        "no run has a number"
    );
    put(&tracker, "low", 3, "s1", json!({ "val_acc": 0.1 })).await;
    put(&tracker, "high", 4, "s1", json!({ "val_acc": 0.9 })).await;
    put(&tracker, "other", 5, "s2", json!({ "val_acc": 1.0 })).await;
    api.flush();
    let best = sweep.best_run().await.unwrap().unwrap();
    assert_eq!((best.run.id(), best.value.as_f64()), ("high", Some(0.9)));
    let runs: Vec<_> = sweep.runs().unwrap().stream().try_collect().await.unwrap();
    let ids: Vec<_> = runs.iter().map(tracker_client::Run::id).collect();
    assert_eq!(ids, ["text", "high", "low", "none"]);
}

#[tokio::test]
async fn a_sweep_without_a_metric() {
    let (tracker, api) = with_sweep(json!({ "method": "random" })).await;
    put(&tracker, "a", 1, "s1", json!({ "loss": 1 })).await;
    put(&tracker, "b", 2, "s1", json!({ "loss": 2 })).await;
    let sweep = api.sweep("local/p/sweeps/s1").await.unwrap();
    let error = sweep.best_run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("names no metric"), "{error}");
    let first = sweep.runs().unwrap().first().await.unwrap();
    assert_eq!(first.unwrap().id(), "b", "newest first");
}

#[tokio::test]
async fn sweeps_are_listed_and_change_their_state() {
    let (tracker, api) = with_sweep(json!({})).await;
    let mut sweeps: Vec<_> = api.sweeps("p").unwrap().try_collect().await.unwrap();
    let sweep = sweeps.first_mut().unwrap();
    assert_eq!(sweep.state(), SweepState::Running);
    sweep.set_state(SweepState::Canceled).await.unwrap();
    sweep.set_state(SweepState::Canceled).await.unwrap();
    let now = tracker.sweep(sweep.path()).await.unwrap();
    assert_eq!((now.state, now.version), (SweepState::Canceled, 2));
    assert_eq!(*sweep.record(), now);
    let none = api.sweep("p/s9").await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    assert!(api.sweep("s1").await.is_err());
}
