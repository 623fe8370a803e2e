//! Imports some runs of MLflow, without their artifacts, into a project of one's own.
//!
//! `cargo run --bin import_some -- examples/data/mlruns STORE '{"config.lr": "0.3"}' team/vision`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use trackway::{
    import::{
        ImportOptions, KindSet, Namespace, Selection, Silent, SqliteLedger, TrackerSink, import,
    },
    mlflow::{self, MlflowOptions},
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, from, target, filter, namespace] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: import_some SOURCE STORE FILTER ENTITY[/PROJECT]");
    };
    let store = Arc::new(EmbeddedStore::open(target, StoreOptions::new()).await?);
    let ledger = Arc::new(SqliteLedger::open(store.dir().join("ledger.db"))?);
    let source = mlflow::open(from, &MlflowOptions::default()).await?;

    let mut selection = Selection::new();
    selection.filter = Some(filter.parse()?);
    selection.kinds = KindSet::except(["files", "artifacts"])?;
    let mut options = ImportOptions::default();
    options.namespace = Namespace::parse(namespace)?;

    let sink = Arc::new(TrackerSink::new(store));
    let receipt = import(source, sink, ledger, selection, options, Arc::new(Silent)).await?;
    for run in &receipt.runs {
        println!("{} {:?}", run.target, run.status);
    }
    Ok(())
}
