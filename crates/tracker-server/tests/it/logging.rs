//! What a program logs, and how it comes back.

use serde_json::{Value as Json, json};
use tracker_model::{RunState, RunStore as _};

use crate::requests::{TestServer, Who};

fn lines(offset: u64, lines: &[&str]) -> Json {
    json!({"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}})
}

/// The time since the run began: the server adds it where the program does not say it.
fn runtime(row: &str) -> String {
    let from = row.find("\"_runtime\"").unwrap();
    let to = from + row[from..].find(',').unwrap() + 1;
    row[from..to].to_owned()
}

#[tokio::test]
async fn a_run_from_its_beginning_to_its_end() {
    let server = TestServer::start().await;
    let begun = server.begin("r").await;
    assert_eq!(
        (&begun["inserted"], &begun["bucket"]["state"]),
        (&json!(true), &json!("running"))
    );
    assert_eq!(begun["bucket"]["project"]["entity"]["name"], "local");
    let sent = [
        r#"{"_step":0,"_timestamp":1.5,"loss":0.5,"nan":NaN}"#,
        r#"{"_step":1,"a":{"b":[1]}}"#,
    ];
    assert_eq!(
        server
            .stream(Who::Local, "r", &lines(0, &sent))
            .await
            .status,
        200
    );
    let rest = json!({
        "files": {
            "wandb-history.jsonl": {"offset": 2, "content": [r#"{"_step":2,"loss":0.25}"#]},
            "wandb-summary.json": {"offset": 0, "content": [r#"{"loss":0.25,"inf":-Infinity}"#]},
            "output.log": {"offset": 0, "content": ["2026-11-21T07:36:00.388850 said", "plain"]},
            "wandb-events.jsonl": {"offset": 0, "content": [r#"{"_wandb":true,"_timestamp":2,"system.cpu":7}"#]},
        },
        "complete": true, "exitcode": 1,
    });
    assert_eq!(server.stream(Who::Local, "r", &rest).await.status, 200);
    let rows = server.rows("r").await;
    assert_eq!(
        rows[0].replace(&runtime(&rows[0]), ""),
        r#"{"_step":0,"_timestamp":1.5,"loss":0.5,"nan":NaN}"#
    );
    assert_eq!(
        rows[1..],
        [r#"{"_step":1,"a":{"b":[1]}}"#, r#"{"_step":2,"loss":0.25}"#]
    );
    let query = "{ project(name: \"p\", entityName: \"local\") { run(name: \"r\") { state exitcode summaryMetrics \
         systemMetrics historyLineCount eventsLineCount logLineCount logLines(last: 5) { edges { node { number timestamp line } } } \
         events(samples: 5) historyKeys wandbConfig(keys: [\"t\"]) } } }";
    let run = server.data(query, json!({})).await["project"]["run"].clone();
    assert_eq!(
        (&run["state"], &run["exitcode"]),
        (&json!("failed"), &json!(1))
    );
    assert_eq!(run["summaryMetrics"], r#"{"inf":"-Infinity","loss":0.25}"#);
    assert_eq!(run["systemMetrics"], r#"{"system.cpu":7}"#);
    let counts =
        ["historyLineCount", "eventsLineCount", "logLineCount"].map(|key| run[key].as_i64());
    assert_eq!(counts, [Some(3), Some(1), Some(2)]);
    let said = &run["logLines"]["edges"][0]["node"];
    assert_eq!(
        (&said["line"], &said["timestamp"]),
        (&json!("said"), &json!("2026-11-21T07:36:00.38885Z"))
    );
    assert_eq!(run["historyKeys"]["lastStep"], 2);
    assert_eq!(
        run["historyKeys"]["keys"]["loss"]["typeCounts"][0],
        json!({"type": "number", "count": 2})
    );
}

#[tokio::test]
async fn lines_that_come_again_are_there_once() {
    let server = TestServer::start().await;
    server.begin("r").await;
    let rows: Vec<String> = (0..6)
        .map(|i| format!("{{\"_step\":{i},\"_timestamp\":{i},\"x\":{i}}}"))
        .collect();
    let part = |range: std::ops::Range<usize>| {
        let content: Vec<&str> = rows[range.clone()].iter().map(String::as_str).collect();
        lines(range.start as u64, &content)
    };
    // Repeated, overlapping, and after a gap.
    for range in [0..3, 0..3, 1..4, 2..4, 4..6, 0..6] {
        assert_eq!(
            server.stream(Who::Local, "r", &part(range)).await.status,
            200
        );
    }
    assert_eq!(server.rows("r").await.len(), 6);
    // The same run sent anew counts on from what is there.
    let anew: Vec<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(
        server
            .stream(Who::Local, "r", &lines(6, &anew))
            .await
            .status,
        200
    );
    assert_eq!(server.rows("r").await.len(), 6);
    // What is new in it is taken.
    let more = [rows[5].as_str(), r#"{"_step":6,"_timestamp":6,"x":6}"#];
    assert_eq!(
        server
            .stream(Who::Local, "r", &lines(6, &more))
            .await
            .status,
        200
    );
    assert_eq!(server.rows("r").await.len(), 7);
}

#[tokio::test]
async fn progress_bars_write_over_their_lines() {
    let server = TestServer::start().await;
    server.begin("r").await;
    for (offset, text) in [(0, "10%"), (0, "50%"), (1, "done"), (0, "100%")] {
        let body = json!({"files": {"output.log": {"offset": offset, "content": [text]}}});
        assert_eq!(server.stream(Who::Local, "r", &body).await.status, 200);
    }
    let query = "{ project(name: \"p\", entityName: \"local\") { run(name: \"r\") { logLines(first: 9) { edges { node { line } } } } } }";
    let lines = server.data(query, json!({})).await["project"]["run"]["logLines"]["edges"].clone();
    assert_eq!(
        lines,
        json!([{"node": {"line": "100%"}}, {"node": {"line": "done"}}])
    );
}

#[tokio::test]
async fn silent_runs_crash_and_speak_again() {
    let mut options = tracker_server::Options::new();
    options.heartbeat_timeout = std::time::Duration::from_millis(30);
    let server = TestServer::with(options).await;
    server.begin("r").await;
    let path = "local/p/r".parse().unwrap();
    assert_eq!(server.server.mark_crashed().await.unwrap(), 0);
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    assert_eq!(server.server.mark_crashed().await.unwrap(), 1);
    assert_eq!(
        server.tracker.run(&path).await.unwrap().state,
        RunState::Crashed
    );
    assert_eq!(server.stream(Who::Local, "r", &json!({})).await.status, 200);
    assert_eq!(
        server.tracker.run(&path).await.unwrap().state,
        RunState::Running
    );
}

#[tokio::test]
async fn a_run_learns_that_it_shall_stop() {
    let server = TestServer::start().await;
    let id = server.begin("r").await["bucket"]["id"].clone();
    let calm = server.stream(Who::Local, "r", &json!({})).await.json();
    assert_eq!(calm.get("stopped"), None);
    server
        .data(
            "mutation($id: ID!) { stopRun(input: {id: $id}) { success } }",
            json!({"id": id}),
        )
        .await;
    // What it says of itself while it runs does not matter.
    let config = "mutation { upsertBucket(input: {name: \"r\", modelName: \"p\", config: \"{}\"}) { inserted } }";
    server.data(config, json!({})).await;
    let told = server.stream(Who::Local, "r", &json!({})).await.json();
    assert_eq!(told["stopped"], true);
    // Whoever starts it again means it to run.
    server.begin("r").await;
    let calm = server.stream(Who::Local, "r", &json!({})).await.json();
    assert_eq!(calm.get("stopped"), None);
}

#[tokio::test]
async fn states_that_clients_may_say() {
    let server = TestServer::start().await;
    let id = server.begin("r").await["bucket"]["id"].clone();
    let say = async |id: &Json, state: &str| {
        let query =
            "mutation($input: UpdateRunStateInput!) { updateRunState(input: $input) { success } }";
        let variables = json!({"input": {"id": id, "state": state}});
        let answer = server.query(Who::Local, query, variables).await;
        let told = answer["errors"][0]["message"].as_str();
        told.unwrap_or("done").to_owned()
    };
    assert!(
        say(&id, "finished")
            .await
            .contains("invalid state transition")
    );
    assert_eq!(say(&id, "failed").await, "done");
    assert!(
        say(&id, "failed")
            .await
            .contains("invalid state transition")
    );
    let path = "local/p/r".parse().unwrap();
    assert!(server.tracker.run(&path).await.unwrap().ended_at.is_some());
    assert_eq!(say(&id, "pending").await, "done");
    let run = server.tracker.run(&path).await.unwrap();
    assert_eq!((run.state, run.ended_at), (RunState::Pending, None));
    // The state of a sweep's run is what its agent does.
    let begin = "mutation { upsertBucket(input: {name: \"s\", modelName: \"p\", sweep: \"w\"}) { bucket { id } } }";
    let begun = server.data(begin, json!({})).await;
    let id = &begun["upsertBucket"]["bucket"]["id"];
    assert!(say(id, "failed").await.contains("sweep"));
}

#[tokio::test]
async fn a_run_may_be_deleted_twice() {
    let server = TestServer::start().await;
    let id = server.begin("r").await["bucket"]["id"].clone();
    let delete = "mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId success } }";
    for _ in 0..2 {
        let deleted = server.data(delete, json!({"id": id})).await;
        assert_eq!(deleted["deleteRun"]["success"], true);
    }
    let query = "{ project(name: \"p\", entityName: \"local\") { run(name: \"r\") { id } } }";
    let run = &server.data(query, json!({})).await["project"]["run"];
    assert_eq!(*run, Json::Null);
}

#[tokio::test]
async fn files_go_up_and_come_down() {
    let server = TestServer::start().await;
    server.begin("r").await;
    let query = "mutation { createRunFiles(input: {entityName: \"local\", projectName: \"p\", runName: \"r\", files: [\"a b/ü.txt\", \"zero\"]}) \
         { files { name uploadUrl } } }";
    let made = server.data(query, json!({})).await["createRunFiles"]["files"].clone();
    assert_eq!(
        (&made[0]["name"], &made[1]["name"]),
        (&json!("a b/ü.txt"), &json!("zero"))
    );
    for (file, contents) in [(&made[0], "hello"), (&made[1], "")] {
        let url = TestServer::path_of(file["uploadUrl"].as_str().unwrap());
        assert_eq!(
            server.ask(Who::Nobody, "PUT", url, contents).await.status,
            200
        );
    }
    let query = "{ project(name: \"p\", entityName: \"local\") { run(name: \"r\") { fileCount files(pattern: \"a%\") { edges { node { name sizeBytes md5 url directUrl } } } } } }";
    let run = server.data(query, json!({})).await["project"]["run"].clone();
    assert_eq!(run["fileCount"], 2);
    let file = &run["files"]["edges"][0]["node"];
    assert_eq!(
        (&file["sizeBytes"], &file["md5"]),
        (&json!(5), &json!("XUFAKrxLKna5cZ2REBfFkg=="))
    );
    let url = TestServer::path_of(file["url"].as_str().unwrap());
    assert_eq!(server.ask(Who::Local, "GET", url, "").await.text(), "hello");
    assert_eq!(server.ask(Who::Nobody, "GET", url, "").await.status, 401);
    assert_eq!(server.ask(Who::Eve, "GET", url, "").await.status, 404);
    let direct = TestServer::path_of(file["directUrl"].as_str().unwrap());
    let head = server.ask(Who::Nobody, "HEAD", direct, "").await;
    assert_eq!(
        (
            head.headers["content-length"].to_str().unwrap(),
            head.body.len()
        ),
        ("5", 0)
    );
    let request = axum::http::Request::get(direct).header("range", "bytes=1-2");
    let part = server
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert_eq!((part.status.as_u16(), part.text().as_str()), (206, "el"));
    assert_eq!(part.headers["content-range"], "bytes 1-2/5");
}
