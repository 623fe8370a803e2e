//! In which hyperparameters two runs differ.
//!
//! `cargo run --bin compare_runs -- STORE PROJECT/RUN PROJECT/RUN`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use serde_json::Value as Json;
use trackway::{
    client::{Api, Comparison, Section},
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, store, first, second] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: compare_runs STORE PROJECT/RUN PROJECT/RUN");
    };
    let options = StoreOptions::new().with_read_only(true);
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, options).await?));
    let runs = [api.run(first).await?, api.run(second).await?];

    println!("\t{}\t{}", runs[0].name(), runs[1].name());
    for row in Comparison::of(&runs).only_differing().rows() {
        if row.section == Section::Config {
            let text = |value: &Option<Json>| value.clone().unwrap_or_default().to_string();
            println!("{}\t{}\t{}", row.key(), text(&row.values[0]), text(&row.values[1]));
        }
    }
    Ok(())
}
