//! Imports from MLflow inside a program, and reads the receipt.
//!
//! `cargo run --bin import_mlflow -- examples/data/mlruns STORE`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use trackway::{
    import::{ImportOptions, Selection, Silent, SqliteLedger, TrackerSink, import},
    mlflow::{self, MlflowOptions},
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, from, target] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: import_mlflow SOURCE STORE");
    };
    let store = Arc::new(EmbeddedStore::open(target, StoreOptions::new()).await?);
    let ledger = Arc::new(SqliteLedger::open(store.dir().join("ledger.db"))?);
    // A folder, a database, a server or Databricks: the same from here on.
    let source = mlflow::open(from, &MlflowOptions::default()).await?;
    let sink = Arc::new(TrackerSink::new(store));

    let (selection, options) = (Selection::new(), ImportOptions::default());
    let receipt = import(source, sink, ledger, selection, options, Arc::new(Silent)).await?;

    for (kind, n) in receipt.totals.iter() {
        println!("{kind}: {} of {} arrived as they were, {} lost", n.identical, n.source(), n.lost);
    }
    for run in &receipt.runs {
        let sum = run.checksums.as_ref().map_or("", |sums| sums.points_sha.as_str());
        println!("{} {:?} {sum}", run.target, run.status);
    }
    anyhow::ensure!(receipt.failures.is_empty(), "{} runs failed", receipt.failures.len());
    Ok(())
}
