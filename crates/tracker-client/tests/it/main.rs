//! The handles over a tracker in memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod comparing;
mod editing;
mod files;
mod history;
mod listing;
mod reading;
mod sweeps;
mod values;

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tracker_client::{Api, File, Folder, HistoryRequest, Patterns, Run, Runs, Sweep};
use tracker_model::{
    JsonObject, JsonPatch, MemoryTracker, Precondition, RunPatch, RunState, RunStore,
};

fn object(json: Json) -> JsonObject {
    json.as_object().cloned().unwrap()
}

/// A tracker with the run `local/vision/run1`.
async fn with_run() -> (Arc<MemoryTracker>, Run) {
    let tracker = Arc::new(MemoryTracker::new());
    let config = object(json!({ "lr": 0.1, "opt": { "name": "adam", "beta": [1, 2] }, "a.b": 1 }));
    let summary = object(json!({ "loss": 0.5, "acc": 0.9 }));
    let mut patch = RunPatch::new()
        .with_state(RunState::Finished)
        .with_name("first")
        .with_tags(vec!["old".to_owned()])
        .with_config(JsonPatch::Replace(config))
        .with_summary(JsonPatch::Replace(summary));
    patch.args = Some(vec!["--fast".to_owned()]);
    patch.program = tracker_model::Change::Set("train.py".to_owned());
    let path = "local/vision/run1".parse().unwrap();
    tracker
        .upsert_run(&path, patch, Precondition::None)
        .await
        .unwrap();
    let run = Api::new(tracker.clone()).run("vision/run1").await.unwrap();
    (tracker, run)
}

/// Handles can be shared, and what they do can be done by any thread.
#[test]
fn what_handles_do_can_be_sent() {
    fn sent<T: Send>(_: impl FnOnce(Run) -> T) {}
    fn shared<T: Clone + Send + Sync>() {}
    shared::<Api>();
    shared::<Run>();
    shared::<Runs>();
    shared::<Sweep>();
    shared::<File>();
    sent(|run| async move { run.history(HistoryRequest::new()).await });
    sent(|run| async move { run.logs().await });
    fn asked<T: Send>(_: impl FnOnce(Runs) -> T) {}
    asked(|runs| async move { (runs.len().await, runs.get(1).await) });
    sent(|mut run| async move { run.stop().await });
    sent(|run| async move {
        let all = Patterns::new([""; 0])?;
        let folder = Folder::open("x").await?;
        run.download_files(&all, &folder).await?;
        run.delete_files(&all).await
    });
}
