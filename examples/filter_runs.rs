//! Runs by filters, in MongoDB's language or the short form, in an order.
//!
//! `cargo run --bin filter_runs -- STORE PROJECT FILTER [ORDER]`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use futures::TryStreamExt;
use trackway::{
    client::Api,
    model::RunOrder,
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, project, filter, order @ ..] = &arguments[..] else {
        anyhow::bail!("usage: filter_runs STORE PROJECT FILTER [ORDER]");
    };
    let options = StoreOptions::new().with_read_only(true);
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, options).await?));

    // A list that reads itself as far as it is looked at, newest first without an order.
    let runs = api.runs(project)?.filter(filter.parse()?)?;
    let runs = runs.order(RunOrder::parse(order)?).per_page(20);
    println!("Found {} runs", runs.len().await?);
    let mut all = runs.stream();
    while let Some(run) = all.try_next().await? {
        println!("{} {}", run.created_at(), run.name());
    }
    if let Some(second) = runs.get(1).await? {
        println!("the second is {}", second.id());
    }
    Ok(())
}
