//! Servers that do wrong.

use std::time::Duration;

use futures::TryStreamExt;
use serde_json::json;
use tracker_client::remote::{RemoteOptions, RemoteTracker};
use tracker_http::{HttpOptions, RetryOptions};
use tracker_model::{
    Error, ErrorKind, HistoryQuery, HistoryStore, ProjectStore, RunPath, RunQuery, RunStore,
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, body_string_contains},
};

const KEY: &str = "canary-key-of-a-test";

fn options(server: &MockServer) -> RemoteOptions {
    let retry = RetryOptions::default()
        .with_max_tries(3)
        .with_delays(Duration::from_millis(1), Duration::from_millis(5));
    RemoteOptions::new(&server.uri(), KEY.to_owned())
        .unwrap()
        .with_http(HttpOptions::default().with_retry(retry))
}

fn data(json: serde_json::Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "data": json }))
}

fn refusal(message: &str) -> ResponseTemplate {
    let body = json!({ "data": null, "errors": [{ "message": message }] });
    ResponseTemplate::new(200).set_body_json(body)
}

/// A server of W&B, which knows nothing of ours.
async fn server() -> MockServer {
    let server = MockServer::start().await;
    let viewer = json!({ "viewer": { "username": "ada", "entity": "team", "more": 1 } });
    for (asked, answer) in [
        ("query Viewer", data(viewer)),
        (
            "query Extension",
            refusal("Cannot query field \"trackway\" on type \"Query\"."),
        ),
    ] {
        Mock::given(body_string_contains(asked))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    server
}

async fn tracker(server: &MockServer) -> RemoteTracker {
    RemoteTracker::connect(&options(server)).await.unwrap()
}

fn path() -> RunPath {
    "team/p/r".parse().unwrap()
}

async fn connecting_to(answer: ResponseTemplate) -> Error {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let error = RemoteTracker::connect(&options(&server)).await.unwrap_err();
    let shown = format!("{error} {error:?} {:?}", options(&server));
    assert!(!shown.contains(KEY), "{shown}");
    error
}

#[tokio::test]
async fn what_is_no_server_of_this_kind_is_told() {
    let html =
        ResponseTemplate::new(200).set_body_raw("<html><title>Hi</title></html>", "text/html");
    let kinds = [
        (
            html,
            &[
                ErrorKind::Corrupt,
                ErrorKind::InvalidInput,
                ErrorKind::Unexpected,
            ][..],
        ),
        (ResponseTemplate::new(404), &[ErrorKind::NotFound]),
        (ResponseTemplate::new(401), &[ErrorKind::Unauthenticated]),
        (
            data(json!({ "viewer": null })),
            &[ErrorKind::Unauthenticated],
        ),
        (data(json!([1])), &[ErrorKind::Corrupt]),
        (ResponseTemplate::new(503), &[ErrorKind::Unavailable]),
    ];
    for (answer, wanted) in kinds {
        let error = connecting_to(answer).await;
        assert!(wanted.contains(&error.kind()), "{error:?}");
        if error.kind() == ErrorKind::Unauthenticated {
            assert!(
                error.hint().is_some_and(|hint| hint.contains("login")),
                "{error:?}"
            );
        }
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_temporary() {
    let options = RemoteOptions::new("http://127.0.0.1:9", KEY.to_owned()).unwrap();
    let http = HttpOptions::default().with_retry(RetryOptions::never());
    let error = RemoteTracker::connect(&options.with_http(http))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn who_is_told_to_wait_asks_again() {
    let server = server().await;
    let slow = ResponseTemplate::new(429).insert_header("retry-after", "0.01");
    Mock::given(body_string_contains("query Run("))
        .respond_with(slow)
        .up_to_n_times(2)
        .mount(&server)
        .await;
    let run = json!({ "project": { "run": { "name": "r", "state": "odd", "later": {} } } });
    Mock::given(body_string_contains("query Run("))
        .respond_with(data(run))
        .mount(&server)
        .await;
    let tracker = tracker(&server).await;
    assert_eq!(tracker.viewer().username, "ada");
    let run = tracker.run(&path()).await.unwrap();
    assert_eq!(run.path, path());
}

#[tokio::test]
async fn errors_of_other_servers_have_their_kinds() {
    for (message, kind) in [
        (
            "permission denied to access team/p",
            ErrorKind::PermissionDenied,
        ),
        ("could not find project team/p", ErrorKind::NotFound),
        (
            "Cannot query field \"x\" on type \"Run\".",
            ErrorKind::Unsupported,
        ),
        ("something else", ErrorKind::Unexpected),
    ] {
        let server = server().await;
        Mock::given(body_string_contains("query Run("))
            .respond_with(refusal(message))
            .mount(&server)
            .await;
        let error = tracker(&server).await.run(&path()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{message}");
    }
    let server = server().await;
    let answer = data(json!({ "project": null }));
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let tracker = tracker(&server).await;
    assert_eq!(
        tracker.run(&path()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let project = path().project_path();
    assert_eq!(
        tracker.project(&project).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let history: Result<Vec<_>, _> = tracker
        .scan(&path(), HistoryQuery::new())
        .try_collect()
        .await;
    assert_eq!(history.unwrap_err().kind(), ErrorKind::NotFound);
    let query = RunQuery::of_project(&project);
    assert_eq!(tracker.count_runs(&query).await.unwrap(), 0);
    assert!(tracker.find_runs(query).try_next().await.unwrap().is_none());
}
