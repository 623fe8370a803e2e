//! The source over REST, against servers that answer whatever they are told to.

mod connect;
mod databricks;
mod files;
mod history;
mod listing;
mod models;

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt;
use importer_core::{Finding, PointItem, PointsQuery, RunRef, Source};
use importer_mlflow::{MlflowOptions, ServerOptions, rest};
use serde_json::{Value as Json, json};
use tracker_http::{Method, RetryOptions};
use tracker_model::{PointBatch, Values};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

pub(crate) const SEARCH_EXPERIMENTS: &str = "/api/2.0/mlflow/experiments/search";
pub(crate) const SEARCH_RUNS: &str = "/api/2.0/mlflow/runs/search";
pub(crate) const HISTORY: &str = "/api/2.0/mlflow/metrics/get-history";
pub(crate) const BULK: &str = "/ajax-api/2.0/mlflow/metrics/get-history-bulk";
pub(crate) const LIST_ARTIFACTS: &str = "/api/2.0/mlflow/artifacts/list";

/// Patience of tests.
pub(crate) fn quick() -> ServerOptions {
    let retry = RetryOptions::default()
        .with_delays(Duration::from_millis(1), Duration::from_millis(5))
        .with_max_tries(4);
    ServerOptions::new().with_retry(retry)
}

/// A server of this version that knows no experiments.
pub(crate) async fn server(version: &str) -> MockServer {
    let server = MockServer::start().await;
    answer(
        &server,
        "GET",
        "/version",
        ResponseTemplate::new(200).set_body_string(version),
    )
    .await;
    answer(
        &server,
        "GET",
        "/health",
        ResponseTemplate::new(200).set_body_string("OK"),
    )
    .await;
    if version.starts_with('3') {
        let info = json!({ "store_type": "SqlStore", "workspaces_enabled": false });
        answer(&server, "GET", "/api/3.0/mlflow/server-info", json_of(info)).await;
    }
    server
}

/// A server with one experiment and these runs.
pub(crate) async fn server_with(version: &str, runs: Vec<Json>) -> MockServer {
    let server = server(version).await;
    experiments(&server).await;
    answer(
        &server,
        "POST",
        SEARCH_RUNS,
        json_of(json!({ "runs": runs })),
    )
    .await;
    server
}

pub(crate) async fn experiments(server: &MockServer) {
    let experiment = json!({
        "experiment_id": "1", "name": "vision", "lifecycle_stage": "active", "creation_time": 5,
        "tags": [{"key": "team", "value": "a"}],
    });
    answer(
        server,
        "POST",
        SEARCH_EXPERIMENTS,
        json_of(json!({ "experiments": [experiment] })),
    )
    .await;
}

pub(crate) async fn answer(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// Answers by a function of the request.
pub(crate) async fn reply<F>(server: &MockServer, verb: &str, at: &str, reply: F)
where
    F: Fn(&Request) -> ResponseTemplate + Send + Sync + 'static,
{
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(reply)
        .mount(server)
        .await;
}

pub(crate) fn json_of(body: Json) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// A finished run with the latest points `(key, step, time, value)`.
pub(crate) fn run(id: &str, latest: &[(&str, i64, i64, f64)]) -> Json {
    let metrics: Vec<_> = latest
        .iter()
        .map(|(key, step, time, value)| {
            json!({ "key": key, "step": step, "timestamp": time, "value": value })
        })
        .collect();
    json!({
        "info": {
            "run_id": id, "experiment_id": "1", "run_name": "bold", "status": "FINISHED",
            "start_time": 1000, "end_time": 2000, "lifecycle_stage": "active",
            "artifact_uri": format!("mlflow-artifacts:/1/{id}/artifacts"),
        },
        "data": {
            "metrics": metrics,
            "params": [{"key": "lr", "value": "0.1"}],
            "tags": [{"key": "mlflow.user", "value": "ada"}],
        },
        "inputs": {}, "outputs": {},
    })
}

pub(crate) async fn opened(server: &MockServer) -> Arc<dyn Source> {
    opened_with(server, MlflowOptions::new().with_server(quick())).await
}

pub(crate) async fn opened_with(server: &MockServer, options: MlflowOptions) -> Arc<dyn Source> {
    rest::open(&server.uri(), &options).await.unwrap()
}

/// The points of a run, series by series, and what was found.
pub(crate) async fn points(source: &dyn Source, run: &RunRef) -> (Vec<PointBatch>, Vec<Finding>) {
    let (mut batches, mut findings) = (Vec::<PointBatch>::new(), Vec::new());
    let items: Vec<_> = source
        .points(run, PointsQuery::new())
        .try_collect()
        .await
        .unwrap();
    for item in items {
        match item {
            PointItem::Batch(batch) => {
                batch.check().unwrap();
                batches.push(batch);
            }
            PointItem::Finding(finding) => findings.push(finding),
            PointItem::Summary(_) => panic!("there is no summary here"),
        }
    }
    (batches, findings)
}

pub(crate) fn values(batch: &PointBatch) -> &[f64] {
    match &batch.values {
        Values::F64(values) => values,
        other => panic!("{other:?}"),
    }
}

/// How often something was asked for.
pub(crate) async fn asked(server: &MockServer, at: &str) -> usize {
    requests(server)
        .await
        .iter()
        .filter(|r| r.url.path() == at)
        .count()
}

/// All requests, of which none may change anything.
pub(crate) async fn requests(server: &MockServer) -> Vec<Request> {
    let requests = server.received_requests().await.unwrap();
    for request in &requests {
        let path = request.url.path();
        let only_asks = request.method == Method::GET
            || (request.method == Method::POST
                && (path.ends_with("/search")
                    || path.contains("/credentials-for-")
                    || path == "/oidc/v1/token"));
        assert!(only_asks, "{} {path}", request.method);
    }
    requests
}

pub(crate) fn query(request: &Request, name: &str) -> Option<String> {
    let mut pairs = request.url.query_pairs();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
