//! Every point of a metric, and every row in pages: nothing is sampled, memory stays small.
//!
//! `cargo run --bin scan_history -- STORE PROJECT/RUN KEY`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use futures::TryStreamExt;
use trackway::{
    client::{Api, ScanRequest},
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, store, path, key] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: scan_history STORE PROJECT/RUN KEY");
    };
    let options = StoreOptions::new().with_read_only(true);
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, options).await?));
    let run = api.run(path).await?;

    let mut losses = Vec::new();
    let mut rows = run.scan_history(ScanRequest::new().with_keys([key.as_str()]));
    while let Some(row) = rows.try_next().await? {
        losses.extend(row.values.into_iter().map(|(_, value)| value.to_json()));
    }
    println!("{} points of {key}, the last is {}", losses.len(), losses[losses.len() - 1]);

    let request = ScanRequest::new().with_page_size(100);
    let pages: Vec<_> = run.scan_pages(request).try_collect().await?;
    let sizes: Vec<_> = pages.iter().map(Vec::len).collect();
    println!("pages of {sizes:?} rows");
    Ok(())
}
