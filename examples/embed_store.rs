//! A store inside a program: log a run, read it back. No account, no server.
//!
//! `cargo run --bin embed_store`
#![allow(clippy::print_stdout)]

use futures::TryStreamExt;
use trackway::{
    model::{
        BatchBuilder, FileDraft, FileStore, HistoryQuery, HistoryStore, HistoryStream, JsonPatch,
        Precondition, RunPatch, RunPath, RunQuery, RunState, RunStore, Timestamp, Value, bytes_of,
    },
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = EmbeddedStore::open(folder.path().join("store"), StoreOptions::new()).await?;

    // A run is made by its first change.
    let run: RunPath = "local/demo/first".parse()?;
    let config = serde_json::json!({ "lr": 0.1, "optimizer": "sgd" });
    let patch = RunPatch::new().with_state(RunState::Running).with_name("first try").with_config(
        JsonPatch::Merge {
            set: config.as_object().cloned().unwrap_or_default(),
            remove: Vec::new(),
        },
    );
    store.upsert_run(&run, patch, Precondition::Absent).await?;

    // Points are appended as they are made; what was answered is durable.
    let mut next = 0;
    for step in 0..100u32 {
        let mut loss = BatchBuilder::new("loss".into());
        loss.push(
            Some(next),
            step.into(),
            Some(Timestamp::now()),
            Value::F64((-f64::from(step) / 20.0).exp()),
        );
        next = store
            .append(&run, HistoryStream::Metrics, next, loss.take().into_iter().collect())
            .await?;
    }
    store.put_file(&run, FileDraft::new("notes/hello.txt"), bytes_of("it works\n")).await?;
    store
        .upsert_run(&run, RunPatch::new().with_state(RunState::Finished), Precondition::Present)
        .await?;

    // And read back, as streams.
    let mut runs = store.find_runs(RunQuery::new());
    while let Some(run) = runs.try_next().await? {
        println!("{} {} {}", run.path, run.state, serde_json::Value::Object(run.config));
    }
    let mut points = store.scan(&run, HistoryQuery::new().with_keys(["loss"]));
    let (mut count, mut last) = (0, None);
    while let Some(batch) = points.try_next().await? {
        count += batch.len();
        last = batch.values.get(batch.len() - 1);
    }
    println!("{count} points of loss, the last of them {last:?}");
    for file in store.files(&run).try_collect::<Vec<_>>().await? {
        println!("{} sha256:{}", file.name, file.digests.sha256);
    }
    Ok(())
}
