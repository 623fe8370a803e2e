//! Addresses, logins, and what is no MLflow server.

use std::io::Write;

use importer_core::SourceItem;
use importer_mlflow::{MlflowOptions, ServerOptions, rest};
use serde_json::json;
use tracker_model::{Error, ErrorKind};
use wiremock::{MockServer, ResponseTemplate};

use super::{
    SEARCH_EXPERIMENTS, answer, experiments, json_of, opened_with, quick, reply, requests, server,
};
use crate::read::projects;

async fn refused(uri: &str, options: ServerOptions) -> Error {
    let options = MlflowOptions::new().with_server(options);
    let error = rest::open(uri, &options).await.unwrap_err();
    assert!(error.hint().is_some(), "{error:?}");
    assert!(!error.to_string().contains('\n'));
    error
}

#[tokio::test]
async fn what_is_no_server_gets_one_clear_error() {
    let html = || {
        ResponseTemplate::new(200).set_body_raw("<html><title>Sign in</title></html>", "text/html")
    };
    for (reply, kind, words) in [
        (
            html(),
            ErrorKind::Corrupt,
            "the server answered HTML, not JSON",
        ),
        (
            ResponseTemplate::new(401),
            ErrorKind::Unauthenticated,
            "401",
        ),
        (
            ResponseTemplate::new(403),
            ErrorKind::PermissionDenied,
            "403",
        ),
        (ResponseTemplate::new(404), ErrorKind::NotFound, "404"),
        (
            ResponseTemplate::new(503),
            ErrorKind::Unavailable,
            "after 4 tries",
        ),
        (
            json_of(json!({})),
            ErrorKind::Unsupported,
            "not as an MLflow tracking server does",
        ),
        (json_of(json!("no")), ErrorKind::Corrupt, "not as expected"),
    ] {
        let server = MockServer::start().await;
        answer(&server, "POST", SEARCH_EXPERIMENTS, reply).await;
        let error = refused(&server.uri(), quick()).await;
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = refused(&uri, quick()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no connection"), "{error}");
}

#[tokio::test]
async fn an_address_that_is_none() {
    let error = refused("http://", quick()).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn the_path_of_the_address_is_a_prefix() {
    let server = MockServer::start().await;
    let found = json!({ "experiments": [{ "experiment_id": "1", "name": "e" }] });
    answer(
        &server,
        "POST",
        &format!("/team/mlflow{SEARCH_EXPERIMENTS}"),
        json_of(found),
    )
    .await;
    let uri = format!("mlflow+{}/team/mlflow/", server.uri());
    let options = MlflowOptions::new().with_server(quick());
    let source = rest::open(&uri, &options).await.unwrap();
    assert_eq!(
        source.id().location,
        format!("{}/team/mlflow", server.uri())
    );
    assert_eq!(projects(&*source).await.0.len(), 1);
}

/// The `Authorization` headers that a server got.
async fn authorizations(
    uri_of: impl Fn(&MockServer) -> String,
    options: ServerOptions,
) -> Vec<String> {
    let server = server("3.17.2").await;
    experiments(&server).await;
    let options = MlflowOptions::new().with_server(options);
    let source = rest::open(&uri_of(&server), &options).await.unwrap();
    for text in [
        source.to_string(),
        format!("{source:?} {options:?}"),
        source.id().to_string(),
    ] {
        assert!(!text.contains("canary") && !text.contains("me@"), "{text}");
    }
    let mut headers: Vec<String> = requests(&server)
        .await
        .iter()
        .filter_map(|r| Some(r.headers.get("authorization")?.to_str().unwrap().to_owned()))
        .collect();
    headers.dedup();
    headers
}

#[tokio::test]
async fn who_asks() {
    let plain = |server: &MockServer| server.uri();
    let with_user = |server: &MockServer| server.uri().replace("://", "://me:canary@");
    let both = quick().with_basic("me", "canary").with_token("canary2");
    assert_eq!(authorizations(plain, quick()).await, Vec::<String>::new());
    // The user beats the token.
    assert_eq!(authorizations(plain, both).await, ["Basic bWU6Y2FuYXJ5"]);
    assert_eq!(
        authorizations(plain, quick().with_token("canary2")).await,
        ["Bearer canary2"]
    );
    // The address beats both.
    let other = quick().with_basic("other", "canary3");
    assert_eq!(
        authorizations(with_user, other).await,
        ["Basic bWU6Y2FuYXJ5"]
    );
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn files_with_logins() {
    let plain = |server: &MockServer| server.uri();
    let netrc = file("machine 127.0.0.1 login me password canary");
    let mut options = quick();
    options.netrc_file = Some(netrc.path().to_owned());
    assert_eq!(
        authorizations(plain, options.clone()).await,
        ["Basic bWU6Y2FuYXJ5"]
    );
    let credentials =
        file("[mlflow]\nmlflow_tracking_username = other\nmlflow_tracking_password = canary\n");
    options.credentials_file = Some(credentials.path().to_owned());
    // What is given beats the file, field by field.
    options.username = Some("me".to_owned());
    assert_eq!(authorizations(plain, options).await, ["Basic bWU6Y2FuYXJ5"]);
}

#[tokio::test]
async fn a_password_that_the_server_repeats_is_hidden() {
    let server = MockServer::start().await;
    let body = json!({ "error_code": "X", "message": "no user me:canary" });
    answer(
        &server,
        "POST",
        SEARCH_EXPERIMENTS,
        ResponseTemplate::new(401).set_body_json(body),
    )
    .await;
    let error = refused(&server.uri(), quick().with_basic("me", "canary")).await;
    assert!(
        !format!("{error} {error:?}").contains("canary"),
        "{error:?}"
    );
}

#[tokio::test]
async fn all_workspaces_are_read_each_in_its_own() {
    let server = MockServer::start().await;
    let info = json!({ "store_type": "SqlStore", "workspaces_enabled": true });
    answer(&server, "GET", "/api/3.0/mlflow/server-info", json_of(info)).await;
    answer(
        &server,
        "GET",
        "/version",
        ResponseTemplate::new(200).set_body_string("3.17.2"),
    )
    .await;
    let workspaces = json!({ "workspaces": [{ "name": "default" }, { "name": "team" }] });
    answer(
        &server,
        "GET",
        "/api/3.0/mlflow/workspaces",
        json_of(workspaces),
    )
    .await;
    let workspace = |r: &wiremock::Request| {
        r.headers
            .get("x-mlflow-workspace")
            .map_or("default", |v| v.to_str().unwrap())
            .to_owned()
    };
    reply(&server, "POST", SEARCH_EXPERIMENTS, move |r| {
        let name = workspace(r);
        let id = if name == "team" { "2" } else { "1" };
        json_of(json!({ "experiments": [{ "experiment_id": id, "name": "e", "workspace": name }] }))
    })
    .await;
    reply(&server, "POST", super::SEARCH_RUNS, move |r| {
        json_of(json!({ "runs": [{ "info": { "run_id": workspace(r), "status": "FINISHED" } }] }))
    })
    .await;
    let all = opened_with(&server, MlflowOptions::new().with_server(quick())).await;
    let mut found = Vec::new();
    for project in projects(&*all).await.0 {
        let selection = crate::read::everything();
        let runs: Vec<_> = futures::TryStreamExt::try_collect(all.runs(&project, &selection))
            .await
            .unwrap();
        let Some(SourceItem::Item(run)) = runs.into_iter().next() else {
            panic!("no run")
        };
        found.push((project.id.clone(), run.id));
    }
    assert_eq!(
        found,
        [("1".into(), "default".into()), ("2".into(), "team".into())]
    );
    let team = MlflowOptions::new().with_server(quick().with_workspace("team"));
    let team = opened_with(&server, team).await;
    assert_eq!(projects(&*team).await.0.len(), 1);
    assert!(team.id().location.ends_with("?workspace=team"));
}
