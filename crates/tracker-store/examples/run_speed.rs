//! Fills a store with runs, to measure how they are asked for: `run_speed DOCUMENTS STORE`, where
//! each line of the documents is a run as JSON.
#![allow(clippy::unwrap_used, reason = "a measurement")]

use std::{
    fs::File,
    io::{BufRead, BufReader},
};

use futures::TryStreamExt;
use serde_json::Value as Json;
use tracker_model::{
    Change, Error, JsonPatch, Precondition, RunPatch, RunPath, RunStore, Timestamp,
};
use tracker_store::{Durability, EmbeddedStore, StoreOptions};

/// Runs that are written at once.
const AT_ONCE: usize = 64;

fn run(document: &Json) -> (RunPath, RunPatch) {
    let text = |key: &str| document[key].as_str().map(str::to_owned);
    let object = |key: &str| JsonPatch::Replace(document[key].as_object().unwrap().clone());
    let path = format!("local/bench/{}", text("name").unwrap());
    let created: Timestamp = serde_json::from_value(document["created_at"].clone()).unwrap();
    let mut patch = RunPatch::new()
        .with_name(text("display_name").unwrap())
        .with_state(serde_json::from_value(document["state"].clone()).unwrap())
        .with_created_at(created)
        .with_tags(serde_json::from_value(document["tags"].clone()).unwrap())
        .with_config(object("config"))
        .with_summary(object("summary_metrics"));
    patch.user = Change::of(text("username"));
    patch.group = Change::of(text("group"));
    patch.job_type = Change::of(text("job_type"));
    (path.parse().unwrap(), patch)
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let (documents, store) = (args.next().unwrap(), args.next().unwrap());
    let options = StoreOptions::new().with_durability(Durability::Process);
    let store = EmbeddedStore::open(store, options).await.unwrap();
    let lines = BufReader::new(File::open(documents).unwrap()).lines();
    let runs =
        lines.map(|line| Ok::<_, Error>(run(&serde_json::from_str(&line.unwrap()).unwrap())));
    futures::stream::iter(runs)
        .try_for_each_concurrent(AT_ONCE, |(path, patch)| {
            let store = store.clone();
            async move {
                let written = store.upsert_run(&path, patch, Precondition::None);
                written.await.map(drop)
            }
        })
        .await
        .unwrap();
}
