//! The speed of lists of many runs.
//!
//! `cargo bench -p tracker-store --bench catalog [-- RUNS]` prints a table.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use futures::TryStreamExt;
use serde_json::json;
use tracker_model::{
    JsonPatch, Precondition, RunOrder, RunPatch, RunPath, RunQuery, RunStore, Timestamp,
};
use tracker_store::{EmbeddedStore, StoreOptions};

async fn list(what: &str, store: &EmbeddedStore, query: RunQuery) {
    let mut times = Vec::new();
    let mut count = 0;
    for _ in 0..5 {
        let start = Instant::now();
        count = store
            .find_runs(query.clone())
            .try_fold(0, |n, _| async move { Ok(n + 1) })
            .await
            .unwrap();
        times.push(start.elapsed());
    }
    let best = times.iter().min().unwrap();
    println!(
        "  {what:<44} {count:>8} runs {:10.2} ms",
        best.as_secs_f64() * 1e3
    );
}

fn main() {
    let runs: i64 = std::env::args()
        .filter_map(|n| n.parse().ok())
        .next()
        .unwrap_or(1_000_000);
    tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path(), StoreOptions::new()).await.unwrap();
        // A first run in each of ten projects, of which the others are copies.
        let config: serde_json::Map<_, _> = (0..40).map(|i| (format!("parameter_{i}"), json!(i))).collect();
        for project in 0..10 {
            let path: RunPath = format!("local/p{project}/first").parse().unwrap();
            let patch = RunPatch::new()
                .with_created_at(Timestamp::from_millis(project))
                .with_config(JsonPatch::Replace(config.clone()));
            store.upsert_run(&path, patch, Precondition::None).await.unwrap();
        }
        let start = Instant::now();
        let db = rusqlite::Connection::open(dir.path().join("trackway.db")).unwrap();
        db.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
             INSERT INTO run (project, run_id, name, state, created_ms, created_ns, deleted, version, config)
             SELECT 1 + i % 10, printf('r%08d', i), 'copy', 'finished', 1000 * (i / 3), 0, i % 100 = 0, 1,
                 (SELECT config FROM run WHERE id = 1) FROM n",
            [runs],
        )
        .unwrap();
        println!("{runs} runs in 10 projects, made in {:.1} s", start.elapsed().as_secs_f64());
        let project = "local/p3/x".parse::<RunPath>().unwrap().project_path();
        for order in [RunOrder::NewestFirst, RunOrder::OldestFirst] {
            list(&format!("first 50 of all, {order:?}"), &store, RunQuery::new().with_order(order.clone()).with_limit(50)).await;
            let query = RunQuery::of_project(&project).with_order(order.clone()).with_limit(50);
            list(&format!("first 50 of a project, {order:?}"), &store, query).await;
        }
        let path = "local/p3/r00000013".parse::<RunPath>().unwrap();
        list("one by its id in any project", &store, RunQuery::new().with_run(path.run)).await;
        list("all of a project", &store, RunQuery::of_project(&project)).await;
        for (what, query) in [("all", RunQuery::new()), ("a project", RunQuery::of_project(&project))] {
            let start = Instant::now();
            let count = store.count_runs(&query).await.unwrap();
            println!("  count of {what:<35} {count:>8} runs {:10.2} ms", start.elapsed().as_secs_f64() * 1e3);
        }
    });
}
