//! The runs of a sweep, the best of them, and its model.
//!
//! `cargo run --bin sweep_best -- STORE PROJECT/SWEEP FILE FOLDER`
#![allow(clippy::print_stdout)]

use std::{path::Path, sync::Arc};

use futures::TryStreamExt;
use trackway::{
    client::Api,
    model::Goal,
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, store, path, file, folder] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: sweep_best STORE PROJECT/SWEEP FILE FOLDER");
    };
    let options = StoreOptions::new().with_read_only(true);
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, options).await?));
    let sweep = api.sweep(path).await?;

    let mut runs = sweep.runs()?.stream();
    while let Some(run) = runs.try_next().await? {
        println!("run {}", run.name());
    }
    // As the metric in the sweep's config says.
    if let Some(best) = sweep.best_run().await? {
        println!("best run {} with {}", best.run.name(), best.value);
    }
    // By a metric of one's own. A run without it, or with NaN, is not the best.
    let mut by_accuracy = sweep.runs()?.best_first("val/accuracy", Goal::Maximize)?;
    if let Some(best) = by_accuracy.try_next().await? {
        println!("Best run {} with {}% val accuracy", best.run.name(), best.value);
        let model = best.run.file(file).await?.download(Path::new(folder), true).await?;
        println!("Best model saved to {}", model.file_name().unwrap_or_default().display());
    }
    Ok(())
}
