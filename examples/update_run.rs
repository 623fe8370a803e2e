//! Changes a run after the fact: its summary, a histogram in it, the name of a metric, its config.
//!
//! `cargo run --bin update_run -- STORE PROJECT/RUN`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use trackway::{
    client::{Api, RunEdit, values::Histogram},
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, store, path] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: update_run STORE PROJECT/RUN");
    };
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, StoreOptions::new()).await?));
    let mut run = api.run(path).await?;

    let numbers: Vec<f64> = (0..1000).map(|i| f64::from(i).sin()).collect();
    let edit = RunEdit::new()
        .summary("accuracy", 0.9)
        .summary("accuracy_histogram", Histogram::of(&numbers)?);
    run.edit(edit).await?;

    // A key with a slash is one key; several steps of keys are `["nested", "key"]`.
    run.edit(RunEdit::new().rename_summary(["val/loss"], ["validation loss"])).await?;
    run.edit(RunEdit::new().config("architecture", "perceptron").add_tag("checked")).await?;

    println!("summary {}", serde_json::to_string(run.summary())?);
    println!("config {}, tags {:?}", serde_json::to_string(run.config())?, run.tags());
    Ok(())
}
