//! One run: its attributes, and a metric of it with times.
//!
//! `cargo run --bin read_run -- STORE PROJECT/RUN KEY`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use trackway::{
    client::{Api, HistoryRequest},
    model::{RunState, Timestamp},
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, store, path, key] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: read_run STORE PROJECT/RUN KEY");
    };
    let options = StoreOptions::new().with_read_only(true);
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, options).await?));

    // What was read is remembered; `api.flush()` forgets it. Errors have a kind, causes and a hint.
    let run = match api.run(path).await {
        Ok(run) => run,
        Err(e) => {
            println!("{:?}: {e}; {}", e.kind(), e.hint().unwrap_or("no hint"));
            return Ok(());
        }
    };
    println!("id {}, name {}, state {}", run.id(), run.name(), run.state());
    println!("created {}, commit {}", run.created_at(), run.commit().unwrap_or("unknown"));
    println!("command {:?}", run.command());
    println!("config {}", serde_json::to_string(run.config())?);
    println!("summary {}", serde_json::to_string(run.summary())?);

    if run.state() == RunState::Finished {
        let history = run.history(HistoryRequest::new().with_keys([key.as_str()])).await?;
        for row in &history.rows {
            let time = row.time.map(Timestamp::to_decimal_seconds).unwrap_or_default();
            let value = row.values.first().map(|(_, value)| value.to_json());
            println!("{time} {}", value.unwrap_or_default());
        }
        println!("{} of {} rows", history.rows.len(), history.total);
    }
    Ok(())
}
