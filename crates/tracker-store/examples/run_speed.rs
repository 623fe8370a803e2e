#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a measurement"
)]
use std::{io::BufRead, time::Instant};

use futures::TryStreamExt;
use serde_json::Value as Json;
use tracker_model::{
    Change, JsonPatch, Precondition, RunFilter, RunOrder, RunParts, RunPatch, RunPath, RunQuery,
    RunStore, Timestamp,
};
use tracker_store::{EmbeddedStore, StoreOptions};

fn patch(doc: &Json) -> (RunPath, RunPatch) {
    let text = |key: &str| doc[key].as_str().map(str::to_owned);
    let path = format!("local/bench/{}", doc["name"].as_str().unwrap())
        .parse()
        .unwrap();
    let time: Timestamp = serde_json::from_value(doc["created_at"].clone()).unwrap();
    let mut patch = RunPatch::new()
        .with_name(text("display_name").unwrap())
        .with_state(serde_json::from_value(doc["state"].clone()).unwrap())
        .with_created_at(time)
        .with_tags(serde_json::from_value(doc["tags"].clone()).unwrap())
        .with_config(JsonPatch::Replace(
            doc["config"].as_object().unwrap().clone(),
        ))
        .with_summary(JsonPatch::Replace(
            doc["summary_metrics"].as_object().unwrap().clone(),
        ));
    patch.user = Change::of(text("username"));
    patch.group = Change::of(text("group"));
    patch.job_type = Change::of(text("job_type"));
    (path, patch)
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "fill" {
        let store = EmbeddedStore::open(
            &args[3],
            StoreOptions::new().with_durability(tracker_store::Durability::Process),
        )
        .await
        .unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&args[2]).unwrap());
        let start = Instant::now();
        let docs = file.lines().map(|line| {
            Ok::<_, tracker_model::Error>(patch(&serde_json::from_str(&line.unwrap()).unwrap()))
        });
        futures::stream::iter(docs)
            .try_for_each_concurrent(64, |(path, patch)| {
                let store = store.clone();
                async move {
                    store
                        .upsert_run(&path, patch, Precondition::None)
                        .await
                        .map(drop)
                }
            })
            .await
            .unwrap();
        println!("filled in {:?}", start.elapsed());
        return;
    }
    let filters: serde_json::Map<String, Json> =
        serde_json::from_str(&std::fs::read_to_string(&args[3]).unwrap()).unwrap();
    let store = EmbeddedStore::open(&args[2], StoreOptions::new())
        .await
        .unwrap();
    for (name, filter) in filters {
        let filter: RunFilter = filter.to_string().parse().unwrap();
        let query = RunQuery::of_project(&"local/bench".parse().unwrap()).with_filter(filter);
        let queries = [
            ("ids", query.clone().with_parts(RunParts::NONE)),
            (
                "by acc, 50",
                query
                    .clone()
                    .with_order(RunOrder::parse(["-summary.acc"]).unwrap())
                    .with_limit(50),
            ),
            ("whole", query.clone()),
        ];
        let mut best = [f64::MAX; 4];
        if args.len() > 4 {
            for _ in 0..20 {
                store.count_runs(&query).await.unwrap();
            }
            continue;
        }
        let mut n = 0;
        for _ in 0..4 {
            let start = Instant::now();
            n = store.count_runs(&query).await.unwrap();
            best[0] = best[0].min(start.elapsed().as_secs_f64() * 1e3);
            for (i, (_, query)) in queries.iter().enumerate() {
                let start = Instant::now();
                let mut runs = store.find_runs(query.clone());
                while let Some(run) = runs.try_next().await.unwrap() {
                    std::hint::black_box(run);
                }
                best[i + 1] = best[i + 1].min(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        println!(
            "{name:<14} {n:>6} runs: count {:6.1} ms, ids {:6.1} ms, 50 by acc {:6.1} ms, whole {:6.1} ms",
            best[0], best[1], best[2], best[3]
        );
    }
}
