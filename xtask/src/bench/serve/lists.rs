//! Pages of runs with all that belongs to them.

use std::{thread, time::Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use tests::peers::{Peers, Wandb};

use super::{Ours, Place, sdk};
use crate::{
    bench::{
        process::cpu_of,
        report::{Goal, Report},
    },
    steps::Steps,
};

const PROJECT: &str = "many";
const RUNS: usize = 10_000;
const PAGE: usize = 50;
/// Who makes them.
const CONNECTIONS: usize = 8;

/// Everything that a list of runs can be asked for.
const ASK: &str = "query Page($project: String!, $entity: String!, $after: String, $first: Int) {
  project(name: $project, entityName: $entity) {
    internalId
    runCount
    runs(after: $after, first: $first) {
      edges { cursor node {
        id name displayName tags sweepName state config group jobType commit readOnly createdAt heartbeatAt
        description notes systemMetrics summaryMetrics historyLineCount historyKeys projectId
        user { name username }
      } }
      pageInfo { endCursor hasNextPage }
    }
  }
}";

pub(super) fn measure(
    steps: &mut Steps,
    program: &std::path::Path,
    peers: &Peers,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let ours = Ours::start(program)?;
    steps.step("many runs", || make(&ours.place()))?;
    steps.step("pages of runs", || {
        let pages = (RUNS / PAGE) as f64;
        let (mut times, mut costs) = (vec![], vec![]);
        for round in 0..=rounds {
            let before = cpu_of(ours.serving.id())?;
            let start = Instant::now();
            read(&ours.place())?;
            let took = start.elapsed();
            let cpu = cpu_of(ours.serving.id())? - before;
            // The first round warms the caches.
            if round > 0 {
                times.push(took.as_secs_f64() * 1e3 / pages);
                costs.push(cpu.as_secs_f64() * 1e3 / pages);
            }
        }
        report.add("runs: a page of 50", "ms", &times, Goal::AtMost(5.0));
        report.add("runs: a page of 50, processor", "ms", &costs, Goal::None);
        for version in [Wandb::V0_31, Wandb::V0_28] {
            let python = peers.wandb(version)?;
            let before = cpu_of(ours.serving.id())?;
            let path = format!("local/{PROJECT}");
            let (_, runs) = sdk(&python, &ours.place(), &["runs", &path])?;
            ensure!(runs == RUNS as u64, "{runs} runs of {RUNS}");
            let cpu = (cpu_of(ours.serving.id())? - before).as_secs_f64() * 1e3 / pages;
            let name = format!("runs: a page for the SDK {}, processor", version.version());
            report.add(&name, "ms", &[cpu], Goal::AtMost(5.0));
        }
        Ok(())
    })
}

/// Makes runs with configs, summaries and a few rows.
fn make(place: &Place) -> Result<()> {
    thread::scope(|scope| {
        let makers: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                scope.spawn(move || -> Result<()> {
                    let mut connection = place.connect()?;
                    for run in (first..RUNS).step_by(CONNECTIONS) {
                        let name = format!("run{run}");
                        connection.post("/graphql", begin(&name, run).as_bytes())?;
                        let target = place.stream(PROJECT, &name);
                        connection.post(&target, logged(run).as_bytes())?;
                    }
                    Ok(())
                })
            })
            .collect();
        makers
            .into_iter()
            .try_for_each(|maker| maker.join().map_err(|_| anyhow!("a maker panicked"))?)
    })
}

fn begin(name: &str, number: usize) -> String {
    let config: serde_json::Map<String, Value> = (0..30)
        .map(|key| (format!("param{key}"), json!({"value": number * key})))
        .collect();
    let begin = "mutation Begin($name: String, $project: String, $config: JSONString) { upsertBucket(input: {name: $name, modelName: $project, config: $config, tags: [\"a\", \"b\"], displayName: $name}) { bucket { id } } }";
    let variables =
        json!({"name": name, "project": PROJECT, "config": Value::Object(config).to_string()});
    json!({"query": begin, "variables": variables}).to_string()
}

fn logged(number: usize) -> String {
    let row = |step: usize| {
        json!({"_step": step, "_timestamp": 1.7e9 + step as f64, "loss": 1.0 / (step + 1) as f64,
            "accuracy": step as f64 / 10.0, "epoch": step, "number": number})
        .to_string()
    };
    let event = json!({"_timestamp": 1.7e9, "system.cpu": 50.5, "system.memory_percent": 20.25});
    let summary: serde_json::Map<String, Value> = (0..30)
        .map(|key| {
            (
                format!("metric{key}"),
                json!(number as f64 / (key + 1) as f64),
            )
        })
        .collect();
    let files = json!({
        "wandb-history.jsonl": {"offset": 0, "content": (0..10).map(row).collect::<Vec<_>>()},
        "wandb-events.jsonl": {"offset": 0, "content": [event.to_string()]},
        "wandb-summary.json": {"offset": 0, "content": [Value::Object(summary).to_string()]},
    });
    json!({"files": files, "complete": true, "exitcode": 0}).to_string()
}

/// Reads all pages, one after the other.
fn read(place: &Place) -> Result<()> {
    let mut connection = place.connect()?;
    let (mut after, mut seen) = (Value::Null, 0);
    loop {
        let variables =
            json!({"project": PROJECT, "entity": place.entity, "after": after, "first": PAGE});
        let body = json!({"query": ASK, "variables": variables}).to_string();
        let said: Value = serde_json::from_slice(&connection.post("/graphql", body.as_bytes())?)?;
        let runs = said.pointer("/data/project/runs");
        let runs = runs.with_context(|| format!("no runs: {:.400}", said.to_string()))?;
        seen += runs["edges"].as_array().map_or(0, Vec::len);
        after = runs["pageInfo"]["endCursor"].clone();
        if runs["pageInfo"]["hasNextPage"] != true {
            break;
        }
    }
    ensure!(seen == RUNS, "{seen} runs were read of {RUNS}");
    Ok(())
}
