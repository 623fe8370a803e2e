//! Servers that do wrong.

use std::time::Duration;

use futures::TryStreamExt;
use serde_json::{Value, json};
use tracker_client::remote::{Parts, RemoteOptions, RemoteTracker};
use tracker_http::{HttpOptions, RetryOptions};
use tracker_model::{
    ArtifactContents, ArtifactDraft, ArtifactStore, ArtifactVersion, CollectionPatch,
    CollectionPath, CollectionStore, Content, Error, ErrorKind, HistoryQuery, HistoryStore,
    ProjectStore, RunPath, RunQuery, RunStore, bytes_of, collect_bytes,
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, body_string_contains, method, path as at},
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

fn data(json: Value) -> ResponseTemplate {
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
    assert!(
        error.message().starts_with("connect to http://127.0.0.1:9"),
        "{error}"
    );
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("WANDB_BASE_URL")),
        "{error:?}"
    );
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

fn model() -> CollectionPath {
    CollectionPath::new(path().project_path(), "model").unwrap()
}

async fn answers(server: &MockServer, asked: &str, answer: Value) {
    Mock::given(body_string_contains(asked))
        .respond_with(data(answer))
        .mount(server)
        .await;
}

/// A server of W&B that takes a version, once files are where they belong.
async fn taking_versions(server: &MockServer, files: Value) {
    let manifest = json!({ "id": "m", "file": { "uploadUrl": "/put/manifest" } });
    let version = json!({
        "id": "a", "versionIndex": 4, "digest": "d",
        "artifactSequence": { "name": "model", "project": { "name": "p", "entityName": "team" } },
    });
    answers(
        server,
        "query Collection(",
        json!({ "project": { "artifactCollection": null } }),
    )
    .await;
    answers(
        server,
        "mutation CreateArtifact(",
        json!({ "createArtifact": { "artifact": { "id": "a" } } }),
    )
    .await;
    answers(
        server,
        "mutation CreateArtifactManifest(",
        json!({ "createArtifactManifest": { "artifactManifest": manifest } }),
    )
    .await;
    let files = json!({ "files": { "edges": [{ "node": files }] } });
    answers(
        server,
        "mutation CreateArtifactFiles(",
        json!({ "createArtifactFiles": files }),
    )
    .await;
    answers(
        server,
        "mutation CommitArtifact(",
        json!({ "commitArtifact": { "artifact": { "id": "a" } } }),
    )
    .await;
    answers(server, "query Artifact(", json!({ "artifact": version })).await;
    answers(
        server,
        "mutation CompleteMultipart(",
        json!({ "completeMultipartUploadArtifact": { "digest": "x" } }),
    )
    .await;
    Mock::given(method("PUT"))
        .and(at("/put/manifest"))
        .respond_with(ResponseTemplate::new(200))
        .mount(server)
        .await;
}

async fn make(tracker: &RemoteTracker, body: Vec<u8>) -> tracker_model::Result<ArtifactVersion> {
    tracker
        .upsert_collection(&model(), CollectionPatch::new())
        .await?;
    let mut writer = tracker
        .artifact_writer(&model(), ArtifactDraft::new())
        .await?;
    writer
        .add("f".into(), Content::Bytes(bytes_of(body)))
        .await?;
    writer.commit().await
}

async fn bodies(server: &MockServer, asked: &str) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    let bodies = requests.iter().filter_map(|request| {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        body["query"].as_str()?.contains(asked).then_some(body)
    });
    bodies.collect()
}

#[tokio::test]
async fn large_files_are_sent_in_parts() {
    for on_disk in [false, true] {
        let server = server().await;
        let parts: Vec<Value> = (1..=3)
            .map(|n| json!({ "partNumber": n, "uploadUrl": format!("/put/{n}") }))
            .collect();
        taking_versions(
            &server,
            json!({
                "storagePath": "s", "uploadUrl": "/put/whole", "uploadHeaders": [],
                "uploadMultipartUrls": { "uploadID": "u", "uploadUrlParts": parts },
            }),
        )
        .await;
        for n in 1..=3 {
            Mock::given(method("PUT"))
                .and(at(format!("/put/{n}")))
                .respond_with(ResponseTemplate::new(200).insert_header("etag", format!("\"t{n}\"")))
                .expect(1)
                .mount(&server)
                .await;
        }
        let size: usize = if on_disk { 10_000_000 } else { 10_000 };
        let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let part = (size as u64 * 2 / 5).next_multiple_of(4096);
        let mut options = options(&server);
        options.parts = Parts::new(1_000, part);
        let tracker = RemoteTracker::connect(&options).await.unwrap();
        let made = make(&tracker, body.clone()).await.unwrap();
        assert_eq!(made.index, 4);
        let requests = server.received_requests().await.unwrap();
        let sent: Vec<u8> = (1..=3)
            .flat_map(|n| {
                let place = format!("/put/{n}");
                let put = requests
                    .iter()
                    .find(|request| request.url.path() == place)
                    .unwrap();
                assert!(put.headers.contains_key("content-md5"));
                assert!(
                    put.headers.get("authorization").is_none(),
                    "the URL is the permission"
                );
                put.body.clone()
            })
            .collect();
        assert!(sent == body, "the parts are the file");
        let done = bodies(&server, "mutation CompleteMultipart(").await;
        let input = &done[0]["variables"]["input"];
        assert_eq!(input["uploadID"], "u");
        let tags = input["completedParts"].as_array().unwrap();
        assert_eq!((tags.len(), &tags[2]["hexMD5"]), (3, &json!("\"t3\"")));
        let asked = bodies(&server, "mutation CreateArtifactFiles(").await;
        let parts = &asked[0]["variables"]["input"]["artifactFiles"][0]["uploadPartsInput"];
        assert_eq!(parts.as_array().map(Vec::len), Some(3));
    }
}

#[tokio::test]
async fn a_place_that_expired_is_asked_for_again() {
    let server = server().await;
    taking_versions(
        &server,
        json!({ "uploadUrl": "/put/f", "uploadHeaders": ["X-Some: thing"] }),
    )
    .await;
    Mock::given(method("PUT"))
        .and(at("/put/f"))
        .respond_with(ResponseTemplate::new(403))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(at("/put/f"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(at("/put/f"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    make(&tracker(&server).await, b"contents".to_vec())
        .await
        .unwrap();
    assert_eq!(
        bodies(&server, "mutation CreateArtifactFiles(").await.len(),
        2
    );
    let made = bodies(&server, "mutation CreateArtifact(").await;
    let input = &made[0]["variables"]["input"];
    // The MD5 of `wandb-artifact-manifest-v1\nf:` and the MD5 of the file in base64.
    assert_eq!(input["digest"], "a20737ee850b182a9a9f8f146f41157d");
    assert_eq!(input["artifactTypeName"], "artifact");
}

#[tokio::test]
async fn an_upload_that_is_refused_leaves_no_version() {
    let server = server().await;
    taking_versions(&server, json!({ "uploadUrl": "/put/f" })).await;
    Mock::given(method("PUT"))
        .and(at("/put/f"))
        .respond_with(ResponseTemplate::new(403))
        .mount(&server)
        .await;
    let refused = make(&tracker(&server).await, b"contents".to_vec()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(bodies(&server, "mutation CommitArtifact(").await.is_empty());
}

#[tokio::test]
async fn contents_that_are_others_than_promised_are_noticed() {
    for (said, body, wanted) in [
        ("mL99jBV4Two9YyBEQeHiqg==", "contents", None),
        (
            "mL99jBV4Two9YyBEQeHiqg==",
            "c0ntents",
            Some(ErrorKind::Corrupt),
        ),
        (
            "d1Wo+DYvsHJiZIUTL3IOhA==",
            "contents",
            Some(ErrorKind::Corrupt),
        ),
    ] {
        let server = server().await;
        let node = json!({ "name": "f", "directUrl": "/get/f", "sizeBytes": 8, "md5": said });
        let files = json!({ "files": { "edges": [{ "node": node }] } });
        let found = json!({ "project": { "artifactCollection": { "artifactMembership": files } } });
        answers(&server, "query Entries(", found).await;
        Mock::given(method("GET"))
            .and(at("/get/f"))
            .respond_with(ResponseTemplate::new(200).set_body_string(body))
            .mount(&server)
            .await;
        let opened = tracker(&server)
            .await
            .open_entry(&model(), 0, "f", None)
            .await
            .unwrap();
        let read = collect_bytes(opened, 100).await;
        match wanted {
            None => assert_eq!(read.unwrap(), body.as_bytes()),
            Some(kind) => assert_eq!(read.unwrap_err().kind(), kind, "{said} {body}"),
        }
    }
}
