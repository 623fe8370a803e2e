//! The answers of a server without faults, in the form of MLflow 3.

use std::fmt::Write;

use serde_json::{Value, json};

use super::http::{Answer, Call};
use crate::mlruns::Shape;

/// When the first run starts, in milliseconds since 1970.
const START: i64 = 1_700_000_000_000;

/// The most points that the call for several runs answers.
const BULK_CAP: usize = 25_000;

pub(super) fn to(call: &Call, shape: Shape) -> Answer {
    let path = call.path.as_str();
    let document = match path.rsplit_once("/mlflow/").map_or(path, |(_, name)| name) {
        "/version" => {
            return Answer {
                media: "text/plain",
                ..Answer::json("3.17.2")
            };
        }
        "/health" => {
            return Answer {
                media: "text/plain",
                ..Answer::json("OK")
            };
        }
        "server-info" => json!({ "store_type": "SqlStore", "workspaces_enabled": false }),
        "experiments/search" => json!({ "experiments": [experiment()] }),
        "runs/search" => runs(&call.body, shape),
        "runs/get" => match number_of(call.field("run_id").unwrap_or_default(), shape) {
            Some(index) => json!({ "run": run(index, shape) }),
            None => return Answer::error(404, "RESOURCE_DOES_NOT_EXIST", "no such run"),
        },
        "metrics/get-history" => return history(call, shape),
        "metrics/get-history-bulk" => return bulk(call, shape),
        "artifacts/list" => artifacts(call, shape),
        "logged-models/search"
        | "registered-models/search"
        | "model-versions/search"
        | "traces/search"
        | "datasets/search" => json!({}),
        _ => match artifact(path, shape) {
            Some(body) => {
                return Answer {
                    media: "application/octet-stream",
                    ..Answer::json(body)
                };
            }
            None => return Answer::page(404, "Not Found"),
        },
    };
    Answer::json(document.to_string())
}

fn experiment() -> Value {
    json!({
        "experiment_id": "1", "name": "stand-in", "artifact_location": "mlflow-artifacts:/1",
        "lifecycle_stage": "active", "creation_time": START, "last_update_time": START,
    })
}

fn id(index: usize) -> String {
    format!("{index:032x}")
}

fn number_of(id: &str, shape: Shape) -> Option<usize> {
    let index = usize::from_str_radix(id, 16).ok()?;
    (index < shape.runs).then_some(index)
}

fn key(metric: usize) -> String {
    format!("train/m{metric}")
}

fn run(index: usize, shape: Shape) -> Value {
    let start = START + index as i64 * 60_000;
    let metrics: Vec<Value> = (0..shape.metrics)
        .filter(|_| shape.points > 0)
        .map(|metric| {
            let (time, step, value) = point(index, metric, shape.points - 1);
            json!({ "key": key(metric), "value": value, "timestamp": time, "step": step })
        })
        .collect();
    json!({
        "info": {
            "run_id": id(index), "run_uuid": id(index), "experiment_id": "1",
            "run_name": format!("run-{index}"), "user_id": "ada", "status": "FINISHED",
            "start_time": start, "end_time": start + 50_000, "lifecycle_stage": "active",
            "artifact_uri": format!("mlflow-artifacts:/1/{}/artifacts", id(index)),
        },
        "data": {
            "metrics": metrics,
            "params": [{ "key": "lr", "value": format!("0.{index}") }],
            "tags": [{ "key": "mlflow.runName", "value": format!("run-{index}") }],
        },
    })
}

/// A page of runs, in the order of their times.
fn runs(body: &Value, shape: Shape) -> Value {
    let from = offset(body["page_token"].as_str());
    let size = body["max_results"]
        .as_u64()
        .map_or(1000, |size| size as usize);
    let to = (from + size).min(shape.runs);
    let mut page = json!({ "runs": (from..to).map(|index| run(index, shape)).collect::<Vec<_>>() });
    if to < shape.runs {
        page["next_page_token"] = to.to_string().into();
    }
    page
}

fn offset(token: Option<&str>) -> usize {
    token
        .and_then(|token| token.parse().ok())
        .unwrap_or_default()
}

/// A point, in milliseconds since 1970, steps, and whatever.
fn point(run: usize, metric: usize, index: usize) -> (i64, i64, f64) {
    let time = START + run as i64 * 60_000 + index as i64 * 20;
    let noise = (run * 31 + metric * 7 + index).wrapping_mul(0x9e37_79b1) >> 7 & 0xf_ffff;
    (time, index as i64, noise as f64 / 8192.0)
}

fn history(call: &Call, shape: Shape) -> Answer {
    let Some((run, metric)) = series(call.field("run_id"), call, shape) else {
        return Answer::json("{}");
    };
    let from = offset(call.field("page_token"));
    let size = call
        .field("max_results")
        .map_or(shape.points, |size| offset(Some(size)));
    let to = from.saturating_add(size).min(shape.points);
    let mut page = String::from("{\n  \"metrics\": [");
    points(&mut page, run, metric, from..to, false);
    page.push_str("\n  ]");
    if to < shape.points {
        let _ = write!(page, ",\n  \"next_page_token\": \"{to}\"");
    }
    page.push_str("\n}");
    Answer::json(page)
}

/// Several runs at once, in order of their ids, cut off without a word.
fn bulk(call: &Call, shape: Shape) -> Answer {
    let runs = call.query.iter().filter(|(name, _)| name == "run_id");
    let mut runs: Vec<&str> = runs.map(|(_, id)| id.as_str()).collect();
    runs.sort_unstable();
    let mut page = String::from("{\"metrics\": [");
    let mut left = BULK_CAP;
    for id in runs {
        if let Some((run, metric)) = series(Some(id), call, shape) {
            let count = left.min(shape.points);
            points(&mut page, run, metric, 0..count, true);
            left -= count;
        }
    }
    page.push_str("]}");
    Answer::json(page)
}

fn series(run: Option<&str>, call: &Call, shape: Shape) -> Option<(usize, usize)> {
    let run = number_of(run?, shape)?;
    let metric = call
        .field("metric_key")?
        .strip_prefix("train/m")?
        .parse()
        .ok()?;
    (metric < shape.metrics).then_some((run, metric))
}

fn points(page: &mut String, run: usize, metric: usize, range: std::ops::Range<usize>, ids: bool) {
    for index in range {
        let (time, step, value) = point(run, metric, index);
        let comma = if page.ends_with('[') { "" } else { "," };
        let _ = write!(
            page,
            "{comma}\n    {{\n      \"key\": \"train/m{metric}\",\n      \"value\": {value:?},\n      \"timestamp\": {time},\n      \"step\": {step}"
        );
        if ids {
            let _ = write!(page, ",\n      \"run_id\": \"{run:032x}\"");
        }
        page.push_str("\n    }");
    }
}

/// All files lie in one folder.
fn artifacts(call: &Call, shape: Shape) -> Value {
    let Some(index) = number_of(call.field("run_id").unwrap_or_default(), shape) else {
        return json!({});
    };
    let root = format!("mlflow-artifacts:/1/{}/artifacts", id(index));
    let files: Vec<Value> = match call.field("path") {
        _ if shape.files == 0 => return json!({ "root_uri": root }),
        None | Some("") => vec![json!({ "path": "part", "is_dir": true })],
        Some("part") => (0..shape.files)
            .map(|file| json!({ "path": format!("part/file-{file}.txt"), "is_dir": false, "file_size": content(index, file).len() }))
            .collect(),
        Some(_) => return json!({ "root_uri": root }),
    };
    json!({ "root_uri": root, "files": files })
}

/// The bytes of an artifact that is asked for through the server.
fn artifact(path: &str, shape: Shape) -> Option<String> {
    let place = path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/1/")?;
    let (run, file) = place.split_once("/artifacts/part/file-")?;
    let file = file.strip_suffix(".txt")?.parse().ok()?;
    (file < shape.files).then_some(content(number_of(run, shape)?, file))
}

fn content(run: usize, file: usize) -> String {
    format!("run {run}, file {file}\n").repeat(50)
}
