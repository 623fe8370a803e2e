//! The command that started a run.
//!
//! `cargo run --bin run_command -- STORE PROJECT/RUN`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use trackway::{
    client::Api,
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, store, path] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: run_command STORE PROJECT/RUN");
    };
    let options = StoreOptions::new().with_read_only(true);
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, options).await?));
    let run = api.run(path).await?;

    // What the tracker knows of it, else the file that the W&B SDK leaves.
    let meta = run.metadata().await?.unwrap_or_default();
    let program = run.command().map(|words| words.join(" ")).or_else(|| {
        let arguments = meta.get("args")?.as_array()?.iter().filter_map(|word| word.as_str());
        let words: Vec<_> = [meta.get("program")?.as_str()?].into_iter().chain(arguments).collect();
        Some(words.join(" "))
    });
    println!("python {}", program.unwrap_or_default());
    Ok(())
}
