//! The runs of a project as a CSV file: their names, configs and summaries.
//!
//! `cargo run --bin runs_to_csv -- STORE PROJECT FILE.csv`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use futures::TryStreamExt;
use trackway::{
    client::{Api, values::TypedValue},
    model::JsonObject,
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, store, project, file] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: runs_to_csv STORE PROJECT FILE.csv");
    };
    let options = StoreOptions::new().with_read_only(true);
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, options).await?));

    let mut table = csv::Writer::from_path(file)?;
    table.write_record(["summary", "config", "name"])?;
    let mut runs = api.runs(project)?.stream();
    while let Some(run) = runs.try_next().await? {
        let mut summary = JsonObject::new();
        for (key, value) in run.summary() {
            // Histograms and media are left out.
            if TypedValue::read(value)?.is_none() {
                summary.insert(key.clone(), value.clone());
            }
        }
        let config = run.config().iter().filter(|(key, _)| !key.starts_with('_'));
        let config: JsonObject = config.map(|(k, v)| (k.clone(), v.clone())).collect();
        let texts = (serde_json::to_string(&summary)?, serde_json::to_string(&config)?);
        table.write_record([texts.0.as_str(), &texts.1, run.name()])?;
    }
    table.flush()?;
    println!("wrote {} runs", api.runs(project)?.len().await?);
    Ok(())
}
