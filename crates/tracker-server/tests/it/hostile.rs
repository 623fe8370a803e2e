//! What clients must not be able to do.

use std::io::Write as _;

use axum::{body::Body, http::Request};
use serde_json::json;
use tracker_model::{FileStore as _, RunStore as _};
use tracker_server::Options;

use crate::requests::{TestServer, Who};

#[tokio::test]
async fn nothing_without_a_key() {
    let server = TestServer::start().await;
    server.begin("r").await;
    for (method, path) in [
        ("POST", "/graphql"),
        ("POST", "/files/local/p/r/file_stream"),
        ("GET", "/files/local/p/r/output.log"),
        ("GET", "/metrics"),
    ] {
        let answer = server.ask(Who::Nobody, method, path, "{}").await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(
        server.ask(Who::Nobody, "GET", "/healthz", "").await.text(),
        "ok"
    );
    assert_eq!(
        server.ask(Who::Nobody, "GET", "/ready", "").await.text(),
        "ready"
    );
    for authorization in [
        "Basic YXBpOndyb25nLXdyb25n",
        "Bearer wrong-wrong",
        "Basic ?",
        "",
    ] {
        let request = Request::post("/graphql").header("authorization", authorization);
        let answer = server.send(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(answer.status, 401, "{authorization}");
    }
}

#[tokio::test]
async fn other_entities_are_not_there() {
    let server = TestServer::start().await;
    let id = server.begin("r").await["bucket"]["id"].clone();
    let project = server
        .query(
            Who::Eve,
            "{ project(name: \"p\", entityName: \"local\") { id runs { edges { node { id } } } } }",
            json!({}),
        )
        .await;
    assert_eq!(project["data"]["project"], json!(null));
    let models = server
        .query(
            Who::Eve,
            "{ models(entityName: \"local\") { edges { node { name } } } }",
            json!({}),
        )
        .await;
    assert_eq!(models["data"]["models"]["edges"], json!([]));
    for query in [
        "mutation($id: ID!) { deleteRun(input: {id: $id}) { success } }",
        "mutation($id: ID!) { stopRun(input: {id: $id}) { success } }",
        "mutation($id: ID!) { updateRunState(input: {id: $id, state: \"failed\"}) { success } }",
        "mutation($id: ID!) { upsertBucket(input: {id: $id, notes: \"mine\"}) { inserted } }",
        "mutation($id: ID!) { a: upsertBucket(input: {name: \"r\", modelName: \"p\", entityName: \"local\"}) { inserted } b: deleteFiles(input: {files: [$id]}) { success } }",
        "mutation { createRunFiles(input: {entityName: \"local\", projectName: \"p\", runName: \"r\", files: [\"x\"]}) { files { uploadUrl } } }",
        "mutation { upsertSweep(input: {config: \"{method: grid, parameters: {a: {values: [1]}}}\", entityName: \"local\", projectName: \"p\"}) { sweep { name } } }",
        "mutation { upsertView(input: {entityName: \"local\", projectName: \"p\", spec: \"{}\"}) { inserted } }",
        "mutation { createInvite(input: {entityName: \"local\", username: \"eve\", admin: true}) { invite { id } } }",
        "mutation { createTeam(input: {teamName: \"t\", teamAdminUserName: \"local\"}) { entity { name } } }",
    ] {
        let answer = server.query(Who::Eve, query, json!({"id": id})).await;
        assert!(
            answer["errors"][0]["message"].is_string(),
            "{query}: {answer}"
        );
    }
    assert_eq!(server.stream(Who::Eve, "r", &json!({})).await.status, 404);
    let run = server
        .tracker
        .run(&"local/p/r".parse().unwrap())
        .await
        .unwrap();
    assert_eq!((run.notes, run.state.as_str()), (None, "running"));
}

#[tokio::test]
async fn names_stay_where_they_belong() {
    let server = TestServer::start().await;
    server.begin("r").await;
    for name in [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "..",
        "",
        "a/./b",
        "nul\u{0}",
    ] {
        let query = "mutation($f: [String!]!) { createRunFiles(input: {entityName: \"local\", projectName: \"p\", runName: \"r\", files: $f}) { files { uploadUrl } } }";
        let answer = server.query(Who::Local, query, json!({"f": [name]})).await;
        assert!(answer["errors"].is_array(), "{name:?}: {answer}");
    }
    for path in [
        "/files/local/p/r/..%2f..%2fsecret",
        "/files/local/p/r/%2e%2e/%2e%2e/secret",
        "/files/local/p/..%2fr/file_stream",
        "/files/local/p%2f..%2fq/r/file_stream",
    ] {
        let method = if path.ends_with("file_stream") {
            "POST"
        } else {
            "GET"
        };
        let status = server.ask(Who::Local, method, path, "{}").await.status;
        assert!(status.is_client_error(), "{path}: {status}");
    }
    for run in ["a/b", "..", "a:b", "", &"x".repeat(600)] {
        let query = "mutation($run: String) { upsertBucket(input: {name: $run, modelName: \"p\", host: \"h\"}) { inserted } }";
        let answer = server.query(Who::Local, query, json!({"run": run})).await;
        assert!(answer["errors"].is_array(), "{run:?}: {answer}");
    }
}

#[tokio::test]
async fn urls_cannot_be_forged() {
    let server = TestServer::start().await;
    server.begin("r").await;
    let query = "mutation { createRunFiles(input: {entityName: \"local\", projectName: \"p\", runName: \"r\", files: [\"x\"]}) { files { uploadUrl } } }";
    let made = server.data(query, json!({})).await;
    let url = made["createRunFiles"]["files"][0]["uploadUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = TestServer::path_of(&url);
    let token = path.split('/').nth(2).unwrap();
    let (claim, mac) = token.split_once('.').unwrap();
    let upper = claim.to_uppercase();
    for forged in [
        format!("{upper}.{mac}"),
        format!("{claim}."),
        claim.to_owned(),
        format!("{claim}.{mac}A"),
    ] {
        let answer = server
            .ask(Who::Local, "PUT", &format!("/storage/{forged}/x"), "evil")
            .await;
        assert_eq!(answer.status, 403, "{forged}");
    }
    assert_eq!(server.ask(Who::Nobody, "GET", path, "").await.status, 405);
    let mut options = Options::new();
    options.url_lifetime = std::time::Duration::ZERO;
    let server = TestServer::with(options).await;
    server.begin("r").await;
    let made = server.data(query, json!({})).await;
    let url = made["createRunFiles"]["files"][0]["uploadUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        server
            .ask(Who::Local, "PUT", TestServer::path_of(&url), "late")
            .await
            .status,
        403
    );
    let run = "local/p/r".parse().unwrap();
    assert!(server.tracker.open_file(&run, "x", None).await.is_err());
}

#[tokio::test]
async fn uploads_that_lie_leave_nothing() {
    let server = TestServer::start().await;
    server.begin("r").await;
    let query = "mutation { createRunFiles(input: {entityName: \"local\", projectName: \"p\", runName: \"r\", files: [\"x\"]}) { files { uploadUrl } } }";
    let made = server.data(query, json!({})).await;
    let url = made["createRunFiles"]["files"][0]["uploadUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    for digest in ["AAAAAAAAAAAAAAAAAAAAAA==", "short", ""] {
        let request = Request::put(TestServer::path_of(&url)).header("content-md5", digest);
        let answer = server
            .send(request.body(Body::from("hello")).unwrap())
            .await;
        assert_eq!(answer.status, 400, "{digest}");
    }
    let broken = futures::stream::iter([
        Ok(bytes::Bytes::from("half")),
        Err(std::io::Error::other("the line went dead")),
    ]);
    let request = Request::put(TestServer::path_of(&url))
        .body(Body::from_stream(broken))
        .unwrap();
    assert_eq!(server.send(request).await.status, 400);
    let run = "local/p/r".parse().unwrap();
    assert!(server.tracker.open_file(&run, "x", None).await.is_err());
}

#[tokio::test]
async fn queries_that_are_none() {
    let server = TestServer::start().await;
    server.begin("r").await;
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"query\":1}",
        "\u{0}",
        "{\"query\":\"{viewer{id}\"}",
    ] {
        let answer = server
            .ask(Who::Local, "POST", "/graphql", body.to_owned())
            .await;
        assert!(answer.status.as_u16() < 500, "{body}: {}", answer.status);
        assert!(answer.json()["errors"][0]["message"].is_string(), "{body}");
    }
    let invalid = server
        .ask(Who::Local, "POST", "/graphql", vec![b'{', 0xff, b'}'])
        .await;
    assert_eq!(invalid.status, 400);
    let unknown = server
        .query(Who::Local, "{ viewer { shoeSize } }", json!({}))
        .await;
    let message = unknown["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("shoeSize"), "{message}");
    let mut deep = "{ project(name: \"p\") { run(name: \"r\") { ".to_owned();
    deep.push_str(&"project { run(name: \"r\") { ".repeat(200));
    deep.push_str("id ");
    deep.push_str(&"} }".repeat(201));
    deep.push('}');
    let wide: String = (0..20_000)
        .map(|i| format!("a{i}: viewer {{ id }} "))
        .collect();
    let bomb: String = (0..25)
        .map(|i| format!("fragment f{i} on Query {{ a: viewer {{ id }} ...f{n} b: viewer {{ id }} ...f{n} }} ", n = i + 1))
        .collect();
    let bomb = format!("{{ ...f0 }} {bomb} fragment f25 on Query {{ viewer {{ id }} }}");
    let cycle = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }";
    for query in [
        deep,
        format!("{{ {wide} }}"),
        bomb,
        cycle.to_owned(),
        "x".repeat(300 << 10),
    ] {
        let answer = server.query(Who::Local, &query, json!({})).await;
        assert!(answer["errors"][0]["message"].is_string(), "{query:.60}");
    }
    // Inputs of a later age are passed over; undeclared variables too.
    let later = "mutation($i: UpsertBucketInput!) { upsertBucket(input: $i) { inserted } }";
    let answer = server
        .query(
            Who::Local,
            later,
            json!({"i": {"name": "r", "modelName": "p", "moonPhase": 3}, "spare": true}),
        )
        .await;
    assert_eq!(
        answer["data"]["upsertBucket"]["inserted"], false,
        "{answer}"
    );
}

#[tokio::test]
async fn bodies_have_an_end() {
    let mut options = Options::new();
    options.max_body = 100_000;
    let server = TestServer::with(options).await;
    server.begin("r").await;
    let large = "x".repeat(200_000);
    assert_eq!(
        server
            .ask(Who::Local, "POST", "/graphql", large)
            .await
            .status,
        413
    );
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 50_000_000]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 100_000);
    let post = |encoding: &str, body: Vec<u8>| {
        Request::post("/files/local/p/r/file_stream")
            .header("authorization", server.authorization(Who::Local).unwrap())
            .header("content-encoding", encoding)
            .body(Body::from(body))
            .unwrap()
    };
    assert_eq!(server.send(post("gzip", bomb)).await.status, 413);
    assert_eq!(
        server.send(post("gzip", b"no gzip".to_vec())).await.status,
        400
    );
    assert_eq!(server.send(post("br", Vec::new())).await.status, 415);
    let mut fine = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    fine.write_all(br#"{"files":{"wandb-history.jsonl":{"offset":0,"content":["{\"x\":1}"]}}}"#)
        .unwrap();
    assert_eq!(
        server
            .send(post("gzip", fine.finish().unwrap()))
            .await
            .status,
        200
    );
    assert_eq!(server.rows("r").await.len(), 1);
}

#[tokio::test]
async fn lines_that_are_none_change_nothing() {
    let server = TestServer::start().await;
    server.begin("r").await;
    for body in [
        "[]",
        "{\"files\":1}",
        "{\"files\":{\"wandb-history.jsonl\":{\"offset\":-1,\"content\":[\"{}\"]}}}",
        "{\"files\":{\"wandb-history.jsonl\":{\"offset\":18446744073709551615,\"content\":[\"{}\",\"{}\"]}}}",
        "{\"files\":{\"wandb-history.jsonl\":{\"offset\":0,\"content\":[\"{\\\"a\\\":1}\",\"oops\"]}}}",
        "{\"files\":{\"wandb-summary.json\":{\"offset\":0,\"content\":[\"[]\"]}}}",
        "{\"files\":{\"output.log\":{\"offset\":18446744073709551615,\"content\":[\"a\"]}}}",
    ] {
        let answer = server
            .ask(Who::Local, "POST", "/files/local/p/r/file_stream", body)
            .await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(server.rows("r").await, Vec::<String>::new());
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let body = json!({"files": {"wandb-history.jsonl": {"offset": 0, "content": [deep]}}});
    let status = server.stream(Who::Local, "r", &body).await.status;
    assert!(status.as_u16() < 500, "{status}");
    assert_eq!(
        server.stream(Who::Local, "nobody", &json!({})).await.status,
        404
    );
}

#[tokio::test]
async fn too_many_requests_are_told_so() {
    let mut options = Options::new();
    options.max_requests = 1;
    let server = TestServer::with(options).await;
    server.begin("r").await;
    let never = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let slow = Request::post("/graphql")
        .header("authorization", server.authorization(Who::Local).unwrap())
        .body(Body::from_stream(never))
        .unwrap();
    let mut first = std::pin::pin!(server.send(slow));
    assert!(futures::poll!(first.as_mut()).is_pending());
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(futures::poll!(first.as_mut()).is_pending());
    let refused = server.stream(Who::Local, "r", &json!({})).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(
        server.ask(Who::Nobody, "GET", "/healthz", "").await.status,
        200
    );
}
