//! Databricks.

use futures::TryStreamExt;
use importer_mlflow::{DatabricksOptions, MlflowOptions, ServerOptions, databricks};
use serde_json::json;
use tracker_model::{ErrorKind, collect_bytes};
use wiremock::{MockServer, ResponseTemplate, matchers::header};

use super::{
    BULK, HISTORY, LIST_ARTIFACTS, SEARCH_EXPERIMENTS, SEARCH_RUNS, answer, asked, json_of, points,
    query, quick, reply, requests,
};
use crate::read::{projects, runs};

fn options(databricks: DatabricksOptions) -> MlflowOptions {
    let server: ServerOptions = quick().with_databricks(databricks);
    MlflowOptions::new().with_server(server)
}

fn with_token(server: &MockServer) -> MlflowOptions {
    options(
        DatabricksOptions::default()
            .with_host(server.uri())
            .with_token("canary-token"),
    )
}

/// A workspace with one run that has points and a file.
async fn workspace() -> MockServer {
    let server = MockServer::start().await;
    let experiment = json!({ "experiment_id": "77", "name": "/Users/ada@example.org/vision", "creation_time": "1700000000000" });
    answer(
        &server,
        "POST",
        SEARCH_EXPERIMENTS,
        json_of(json!({ "experiments": [experiment] })),
    )
    .await;
    let run = json!({
        "info": {
            "run_id": "a", "experiment_id": "77", "status": "FINISHED", "start_time": "1000", "end_time": "2000",
            "artifact_uri": "dbfs:/databricks/mlflow-tracking/77/a/artifacts",
        },
        "data": { "metrics": [{ "key": "loss", "value": 0.5, "timestamp": "9007199254740993", "step": "2" }] },
    });
    answer(
        &server,
        "POST",
        SEARCH_RUNS,
        json_of(json!({ "runs": [run] })),
    )
    .await;
    // In no order, as nothing is known of it.
    let point = |step: &str, time: &str| json!({ "key": "loss", "value": 0.5, "timestamp": time, "step": step });
    let page = json!({ "metrics": [point("2", "9007199254740993"), point("1", "5")] });
    answer(&server, "GET", HISTORY, json_of(page)).await;
    reply(&server, "GET", LIST_ARTIFACTS, |r| {
        json_of(match query(r, "page_token").as_deref() {
            None => {
                json!({ "files": [{ "path": "x.txt", "file_size": "2" }], "next_page_token": "p2" })
            }
            Some(_) => json!({ "files": [{ "path": "100%25.txt", "file_size": "2" }] }),
        })
    })
    .await;
    server
}

#[tokio::test]
async fn runs_points_and_signed_files() {
    let (server, cloud) = (workspace().await, MockServer::start().await);
    let signed = format!(
        "{}/bucket/x.txt?X-Amz-Signature=canary-signature",
        cloud.uri()
    );
    let credential = json!({ "signed_uri": signed, "headers": [{ "name": "x-ms-blob", "value": "canary-header" }] });
    let infos = json!({ "credential_infos": [credential] });
    answer(
        &server,
        "POST",
        "/api/2.0/mlflow/artifacts/credentials-for-read",
        json_of(infos),
    )
    .await;
    answer(
        &cloud,
        "GET",
        "/bucket/x.txt",
        ResponseTemplate::new(200).set_body_string("hi"),
    )
    .await;
    let source = databricks::open("databricks", &with_token(&server))
        .await
        .unwrap();
    assert_eq!(source.id().location, server.uri());
    assert_eq!(
        projects(&*source).await.0[0].name,
        "/Users/ada@example.org/vision"
    );
    let run = runs(&*source).await.0.remove(0);
    let (batches, findings) = points(&*source, &run).await;
    assert_eq!(batches[0].steps, [1, 2]);
    assert_eq!(
        batches[0].times.as_ref().unwrap().ms,
        [5, 9_007_199_254_740_993]
    );
    assert!(findings.is_empty());
    // It has no calls for browsers.
    assert_eq!(asked(&server, BULK).await, 0);

    let items: Vec<_> = source.files(&run).try_collect().await.unwrap();
    let (files, _) = crate::read::split(items);
    let names: Vec<_> = files.iter().map(|f| f.draft.name.as_str()).collect();
    assert_eq!(names, ["x.txt", "100%25.txt"]);
    let body = source.open_file(&run, &files[0]).await.unwrap();
    assert_eq!(collect_bytes(body, 10).await.unwrap(), b"hi");
    for request in requests(&server).await {
        assert_eq!(request.headers["authorization"], "Bearer canary-token");
    }
    let download = &requests(&cloud).await[0];
    assert!(download.headers.get("authorization").is_none());
    assert_eq!(download.headers["x-ms-blob"], "canary-header");

    // A refusal does not show the address.
    cloud.reset().await;
    answer(&cloud, "GET", "/bucket/x.txt", ResponseTemplate::new(403)).await;
    let Err(error) = source.open_file(&run, &files[0]).await else {
        panic!("it was given")
    };
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(
        !format!("{error} {error:?}").contains("canary"),
        "{error:?}"
    );
}

#[tokio::test]
async fn tokens_of_a_service_principal() {
    for (life, tokens) in [(3600, 1), (30, 3)] {
        let server = workspace().await;
        let token =
            json!({ "access_token": "canary-access", "token_type": "Bearer", "expires_in": life });
        wiremock::Mock::given(wiremock::matchers::path("/oidc/v1/token"))
            .and(header("authorization", "Basic aWQ6Y2FuYXJ5"))
            .respond_with(json_of(token))
            .mount(&server)
            .await;
        let login = DatabricksOptions::default()
            .with_host(server.uri())
            .with_client("id", "canary");
        let source = databricks::open("databricks", &options(login))
            .await
            .unwrap();
        assert_eq!(runs(&*source).await.0.len(), 1);
        assert_eq!(
            asked(&server, "/oidc/v1/token").await,
            tokens,
            "a token of {life} s"
        );
        for request in requests(&server)
            .await
            .iter()
            .filter(|r| r.url.path() == SEARCH_RUNS)
        {
            assert_eq!(request.headers["authorization"], "Bearer canary-access");
        }
        assert!(!format!("{source:?} {source}").contains("canary"));
    }
}

#[tokio::test]
async fn a_login_that_is_refused() {
    let server = MockServer::start().await;
    let refused = ResponseTemplate::new(401).set_body_json(
        json!({ "error": "invalid_client", "error_description": "canary is wrong" }),
    );
    answer(&server, "POST", "/oidc/v1/token", refused).await;
    let login = DatabricksOptions::default()
        .with_host(server.uri())
        .with_client("id", "canary");
    let error = databricks::open("databricks", &options(login))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(
        error.hint().is_some() && !format!("{error} {error:?}").contains("canary"),
        "{error:?}"
    );
}
