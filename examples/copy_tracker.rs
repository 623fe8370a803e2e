//! Copies projects from one tracker to another, some of them under other names. A repeat copies only
//! what is new.
//!
//! `cargo run --bin copy_tracker -- FROM-STORE TO-STORE [OLD=NEW]…`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use trackway::{
    import::{
        ImportOptions, ProjectMap, RunStatus, Selection, Silent, SqliteLedger, TrackerSink,
        TrackerSource, import,
    },
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, rules @ ..] = &arguments[..] else {
        anyhow::bail!("usage: copy_tracker FROM-STORE TO-STORE [OLD=NEW]…");
    };
    let read_only = StoreOptions::new().with_read_only(true);
    let source = TrackerSource::new(Arc::new(EmbeddedStore::open_existing(from, read_only).await?));
    let store = Arc::new(EmbeddedStore::open(to, StoreOptions::new()).await?);
    // The ledger knows what arrived. `incremental = false` would read all of it again.
    let ledger = Arc::new(SqliteLedger::open(store.dir().join("ledger.db"))?);
    let sink = TrackerSink::new(store);

    let mut options = ImportOptions::default();
    options.map = ProjectMap::parse(rules)?;
    options.incremental = true;
    let (source, sink, selection) = (Arc::new(source), Arc::new(sink), Selection::new());
    let receipt = import(source, sink, ledger, selection, options, Arc::new(Silent)).await?;

    let copied = receipt.runs.iter().filter(|run| run.status == RunStatus::Imported).count();
    println!("{copied} copied, {} failed", receipt.failures.len());
    Ok(())
}
