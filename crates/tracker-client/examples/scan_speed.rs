//! How long it takes to read all rows of a run on a server.
//!
//! scan_speed URL KEY ENTITY/PROJECT/RUN
//!
//! Prints the seconds that it took, and how many rows these were.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement"
)]

use std::time::Instant;

use futures::TryStreamExt;
use tracker_client::remote::{RemoteOptions, RemoteTracker};
use tracker_model::{HistoryQuery, HistoryStore, RunPath, rows_of};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, key, run] = &args[..] else {
        panic!("scan_speed URL KEY ENTITY/PROJECT/RUN");
    };
    let options = RemoteOptions::new(url, key.clone()).unwrap();
    let tracker = RemoteTracker::connect(&options).await.unwrap();
    let run: RunPath = run.parse().unwrap();
    let start = Instant::now();
    let mut rows = rows_of(tracker.scan(&run, HistoryQuery::new().with_rows(true)));
    let mut count = 0u64;
    while rows.try_next().await.unwrap().is_some() {
        count += 1;
    }
    println!("{} {count}", start.elapsed().as_secs_f64());
}
