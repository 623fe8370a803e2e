//! Sweeps, and the agents that run them.

use futures::TryStreamExt as _;
use serde_json::{Value as Json, json};
use tracker_model::RecordStore as _;

use crate::requests::{TestServer, Who};

const MAKE: &str = "mutation($config: String, $prior: JSONString) { upsertSweep(input: {entityName: \"local\", \
     projectName: \"p\", config: $config, priorRunsFilters: $prior}) { sweep { id name } } }";

async fn make(server: &TestServer, config: &Json, prior: Option<&str>) -> String {
    let variables = json!({"config": config.to_string(), "prior": prior});
    let made = server.data(MAKE, variables).await;
    let name = &made["upsertSweep"]["sweep"]["name"];
    name.as_str().unwrap().to_owned()
}

async fn agent(server: &TestServer, sweep: &str) -> Json {
    let query = "mutation($sweep: String!) { createAgent(input: {host: \"h\", entityName: \"local\", \
         projectName: \"p\", sweep: $sweep}) { agent { id } } }";
    let made = server.data(query, json!({"sweep": sweep})).await;
    made["createAgent"]["agent"]["id"].clone()
}

const HEARTBEAT: &str = "mutation($id: ID!) { agentHeartbeat(input: {id: $id, metrics: \"{}\", runState: \"{}\"}) { commands } }";

/// The first command of a heartbeat.
async fn command(server: &TestServer, agent: &Json) -> Json {
    let answer = server.data(HEARTBEAT, json!({"id": agent})).await;
    let commands = answer["agentHeartbeat"]["commands"].as_str().unwrap();
    serde_json::from_str::<Json>(commands).unwrap()[0].clone()
}

/// Runs what a command says, with this result.
async fn run(server: &TestServer, name: &str, sweep: Option<&str>, config: &Json, loss: f64) {
    let query = "mutation($run: String, $sweep: String, $config: JSONString) { upsertBucket(input: {name: $run, \
         modelName: \"p\", sweep: $sweep, config: $config, host: \"h\"}) { inserted } }";
    let variables = json!({"run": name, "sweep": sweep, "config": config.to_string()});
    server.data(query, variables).await;
    let summary = json!({"offset": 0, "content": [json!({"loss": loss}).to_string()]});
    let body = json!({"files": {"wandb-summary.json": summary}, "complete": true, "exitcode": 0});
    assert_eq!(server.stream(Who::Local, name, &body).await.status, 200);
}

#[tokio::test]
async fn bayes_learns_from_runs_of_its_own_and_others() {
    let server = TestServer::start().await;
    // All is known of the space but the place in the middle; that the right side is bad, too.
    let tried = |x: f64| json!({"x": {"value": x}});
    for (name, x, loss) in [
        ("a", 0.0, 0.2),
        ("b", 0.2, 0.1),
        ("c", 1.0, 9.0),
        ("d", 0.8, 7.0),
    ] {
        run(&server, name, None, &tried(x), loss).await;
    }
    let config = json!({"method": "bayes", "metric": {"name": "loss", "goal": "minimize"},
        "run_cap": 12, "parameters": {"x": {"min": 0.0, "max": 1.0}}});
    let prior = r#"{"$or": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}]}"#;
    let sweep = make(&server, &config, Some(prior)).await;
    let agent = agent(&server, &sweep).await;
    let mut right = 0;
    for _ in 0..12 {
        let command = command(&server, &agent).await;
        assert_eq!(command["type"], "run");
        let x = command["args"]["x"]["value"].as_f64().unwrap();
        right += usize::from(x > 0.5);
        let name = command["run_id"].as_str().unwrap();
        run(
            &server,
            name,
            Some(&sweep),
            &command["args"],
            (x - 0.1).abs(),
        )
        .await;
    }
    assert!(right <= 2, "{right}");
    assert_eq!(command(&server, &agent).await["type"], "exit");
    let query = "query($sweep: String!) { project(name: \"p\", entityName: \"local\") { sweep(sweepName: $sweep) \
         { method runCount runCountExpected bestLoss priorRuns { edges { node { name } } } } } }";
    let said = server.data(query, json!({"sweep": sweep})).await["project"]["sweep"].clone();
    assert_eq!(
        (&said["method"], &said["runCount"]),
        (&json!("bayes"), &json!(12))
    );
    assert_eq!(said["runCountExpected"], 12);
    assert!(said["bestLoss"].as_f64().unwrap() < 0.05, "{said}");
    let prior = said["priorRuns"]["edges"].as_array().unwrap();
    let mut prior: Vec<_> = prior
        .iter()
        .map(|edge| edge["node"]["name"].as_str().unwrap())
        .collect();
    prior.sort_unstable();
    assert_eq!(prior, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn agents_get_what_is_enqueued() {
    let server = TestServer::start().await;
    let config = json!({"method": "custom", "scheduler": {"engine": "mine"},
        "parameters": {"x": {"values": [1, 2]}}});
    let sweep = make(&server, &config, None).await;
    let agent = agent(&server, &sweep).await;
    let query = "query($sweep: String!) { project(name: \"p\", entityName: \"local\") { sweep(sweepName: $sweep) \
         { id state controllerRunName runs { edges { node { name displayName state config sweepName } } } } } }";
    let said = server.data(query, json!({"sweep": sweep})).await["project"]["sweep"].clone();
    assert_eq!(said["controllerRunName"], format!("{sweep}-controller"));
    // Nothing is made up while the scheduler thinks.
    assert_eq!(command(&server, &agent).await, Json::Null);
    let enqueue = "mutation($id: ID!, $config: JSONString!, $name: String) { \
         enqueueSweepRun(input: {id: $id, config: $config, displayName: $name}) { id } }";
    let mut made = Vec::new();
    for (x, name) in [(7, Some("seven")), (8, None)] {
        let args = json!({"x": {"value": x}}).to_string();
        let variables = json!({"id": said["id"], "config": args, "name": name});
        let answer = server.data(enqueue, variables).await;
        made.push(answer["enqueueSweepRun"]["id"].clone());
    }
    let said = server.data(query, json!({"sweep": sweep})).await;
    let runs = said["project"]["sweep"]["runs"]["edges"]
        .as_array()
        .unwrap()
        .clone();
    let seven = runs
        .iter()
        .find(|run| run["node"]["name"] == made[0])
        .unwrap();
    let node = json!({"name": made[0], "displayName": "seven", "state": "pending",
        "config": "{\"x\":{\"value\":7}}", "sweepName": sweep});
    assert_eq!(seven["node"], node);
    for (id, x) in made.iter().zip([7, 8]) {
        let command = command(&server, &agent).await;
        assert_eq!((&command["type"], &command["run_id"]), (&json!("run"), id));
        assert_eq!(command["args"], json!({"x": {"value": x}}));
        run(
            &server,
            id.as_str().unwrap(),
            Some(&sweep),
            &command["args"],
            0.5,
        )
        .await;
    }
    assert_eq!(command(&server, &agent).await, Json::Null);
    // Somebody else's sweep takes no runs.
    let variables = json!({"id": said["project"]["sweep"]["id"], "config": "{}"});
    let answer = server.query(Who::Eve, enqueue, variables).await;
    assert!(answer["errors"][0]["message"].is_string(), "{answer}");
}

#[tokio::test]
async fn a_controller_of_the_users_says_what_is_tried() {
    let server = TestServer::start().await;
    let config = json!({"method": "grid", "controller": {"type": "local"},
        "parameters": {"x": {"values": [1, 2]}}});
    let sweep = make(&server, &config, None).await;
    let (one, two) = (agent(&server, &sweep).await, agent(&server, &sweep).await);
    let read = "query($sweep: String!) { project(name: \"p\", entityName: \"local\") { sweep(sweepName: $sweep) \
         { id state scheduler } } }";
    let id = server.data(read, json!({"sweep": sweep})).await["project"]["sweep"]["id"].clone();
    let say = async |controller: Json| {
        let query = "mutation($id: ID, $said: JSONString) { upsertSweep(input: {id: $id, controller: $said}) { sweep { name } } }";
        let said = json!({"id": id, "said": controller.to_string()});
        server.data(query, said).await;
    };
    assert_eq!(command(&server, &one).await, Json::Null);
    let entry = |id: &str, args: Json| json!({"id": id, "data": {"args": args}});
    let seven = json!({"x": {"value": 7}});
    say(json!({"schedule": [entry("a", seven.clone())]})).await;
    let first = command(&server, &one).await;
    assert_eq!((&first["type"], &first["args"]), (&json!("run"), &seven));
    // It is one run, whoever asks.
    assert_eq!(command(&server, &two).await, Json::Null);
    let said = server.data(read, json!({"sweep": sweep})).await["project"]["sweep"].clone();
    let scheduled = json!({"scheduled": [{"id": "a", "runid": first["run_id"]}]});
    assert_eq!(said["scheduler"], scheduled.to_string());
    assert_eq!(said["state"], "RUNNING");
    // What it wants to end, ends.
    let name = first["run_id"].as_str().unwrap();
    say(json!({"schedule": [], "earlystop": [name]})).await;
    let variables = json!({"id": one, "state": json!({name: true}).to_string()});
    let beat = "mutation($id: ID!, $state: JSONString) { agentHeartbeat(input: {id: $id, runState: $state}) { commands } }";
    let answer = server.data(beat, variables).await;
    let stop = json!([{"type": "stop", "run_id": name}]);
    assert_eq!(answer["agentHeartbeat"]["commands"], stop.to_string());
    say(json!({"schedule": [entry("b", Json::Null)]})).await;
    assert_eq!(command(&server, &two).await["type"], "exit");
    let said = server.data(read, json!({"sweep": sweep})).await;
    assert_eq!(said["project"]["sweep"]["state"], "FINISHED");
}

#[tokio::test]
async fn what_a_sweep_cannot_be_is_told() {
    let server = TestServer::start().await;
    let parameters = json!({"x": {"values": [1, 2]}});
    for (config, prior, word) in [
        (
            json!({"method": "bayes", "parameters": parameters}),
            "{}",
            "metric",
        ),
        (
            json!({"method": "grid", "parameters": parameters}),
            "{\"$what\": 1}",
            "$what",
        ),
    ] {
        let variables = json!({"config": config.to_string(), "prior": prior});
        let answer = server.query(Who::Local, MAKE, variables).await;
        let told = answer["errors"][0]["message"].as_str().unwrap();
        assert!(told.contains(word), "{config}: {told}");
    }
}

#[tokio::test]
async fn an_agent_learns_that_it_is_not_known() {
    let server = TestServer::start().await;
    let config = json!({"method": "grid", "parameters": {"x": {"values": [1, 2]}}});
    let sweep = make(&server, &config, None).await;
    let agent = agent(&server, &sweep).await;
    assert_eq!(command(&server, &agent).await["type"], "run");
    let path = format!("local/p/{sweep}/");
    let record = server.tracker.records("agent", &path).try_next().await;
    let key = record.unwrap().unwrap().key;
    assert!(server.tracker.delete_record("agent", &key).await.unwrap());
    let body = json!({"query": HEARTBEAT, "variables": {"id": agent}}).to_string();
    let answer = server.ask(Who::Local, "POST", "/graphql", body).await;
    assert_eq!(answer.status, 404);
    assert!(
        answer.json()["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("agent")
    );
}
