//! Requests that are nearly right: none makes the server fail, hang or forget what it keeps.
//!
//! `SERVER_FUZZ_SECONDS` says how long to go on, and `SERVER_FUZZ_SEED` where to begin.

use std::{
    env,
    io::Write as _,
    time::{Duration, Instant},
};

use axum::http::{Method, StatusCode};
use flate2::{Compression, write::GzEncoder};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::json;

use crate::{
    artifacts::{commit, log, md5},
    support::{Client, World},
};

/// How many inputs are tried when nobody says how long.
const INPUTS: usize = 1500;
/// No input takes longer, on a machine that has other things to do too.
const LONGEST: Duration = Duration::from_secs(10);

/// What is sent.
#[derive(Debug, Clone)]
enum Input {
    Request {
        method: Method,
        path: Vec<u8>,
        header: (&'static str, Vec<u8>),
        body: Vec<u8>,
        zipped: bool,
    },
    /// A manifest, uploaded as its digest says and committed.
    Manifest(Vec<u8>),
    /// What a sweep is to try.
    Sweep(Vec<u8>),
}

/// A part of an input that is made wrong.
#[derive(Debug, Clone, Copy)]
enum Part {
    Path,
    Header,
    Body,
}

/// What is made of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Cut,
    Remove(usize),
    Flip(u32),
    Byte(u8),
    Insert(&'static str),
    Repeat(usize, usize),
}

/// What parsers have special words for.
const WORDS: [&str; 36] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\ud800",
    ":",
    ",",
    ".",
    "..",
    "/",
    "%2f",
    "%00",
    "?",
    "&",
    "=",
    "$",
    "@",
    "...",
    "!",
    "null",
    "true",
    "NaN",
    "-Infinity",
    "-",
    "1e999",
    "0",
    "99999999999999999999",
    "-9223372036854775809",
    "é",
    "\0",
    "\r",
    "\u{1b}[A",
    "__typename ",
    "{\"$regex\":\"(a*)*\"}",
];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Cut),
        (1..9_usize).prop_map(Change::Remove),
        (0..8_u32).prop_map(Change::Flip),
        any::<u8>().prop_map(Change::Byte),
        select(&WORDS[..]).prop_map(Change::Insert),
        (1..12_usize, 2..200_usize).prop_map(|(length, times)| Change::Repeat(length, times)),
    ]
}

/// Where each change is made, and in which part.
fn changes() -> impl Strategy<Value = Vec<(Part, Index, Change)>> {
    let part = prop_oneof![1 => Just(Part::Path), 1 => Just(Part::Header), 8 => Just(Part::Body)];
    vec((part, any::<Index>(), change()), 1..5)
}

fn apply(bytes: &mut Vec<u8>, at: Index, change: &Change) {
    let at = at.index(bytes.len() + 1);
    let end = |length: usize| (at + length).min(bytes.len());
    match *change {
        Change::Cut => bytes.truncate(at),
        Change::Remove(length) => drop(bytes.drain(at..end(length))),
        Change::Flip(bit) => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        Change::Byte(new) => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = new;
            }
        }
        Change::Insert(word) => drop(bytes.splice(at..at, word.bytes())),
        Change::Repeat(length, times) => {
            let part = bytes[at..end(length)].repeat(times);
            drop(bytes.splice(at..at, part));
        }
    }
}

impl Input {
    fn changed(&self, changes: &[(Part, Index, Change)]) -> Self {
        let mut out = self.clone();
        for (part, at, change) in changes {
            let bytes = match &mut out {
                Self::Manifest(text) | Self::Sweep(text) => text,
                Self::Request {
                    path, header, body, ..
                } => match part {
                    Part::Path => path,
                    Part::Header => &mut header.1,
                    Part::Body => body,
                },
            };
            apply(bytes, *at, change);
        }
        out
    }
}

fn request(method: Method, path: &str, body: impl Into<Vec<u8>>) -> Input {
    Input::Request {
        method,
        path: path.into(),
        header: ("x-wandb-attempt", b"1".to_vec()),
        body: body.into(),
        zipped: false,
    }
}

fn query(text: &str, variables: &serde_json::Value) -> Input {
    let body = json!({"query": text, "variables": variables}).to_string();
    request(Method::POST, "/graphql", body)
}

/// Requests that are right, one for each parser.
async fn seeds(client: &Client) -> Vec<Input> {
    let announce = "mutation { createRunFiles(input: {entityName: \"ada\", projectName: \"p\", runName: \"r\", files: [\"x.txt\"]}) { files { uploadUrl } } }";
    let made = client.ask(announce, json!({})).await;
    let url = made["createRunFiles"]["files"][0]["uploadUrl"].as_str();
    let upload = url.unwrap().strip_prefix("http://server").unwrap();
    let lines = json!({
        "files": {
            "wandb-history.jsonl": {"offset": 0, "content": ["{\"_step\":0,\"loss\":0.5,\"a\":{\"b\":NaN}}", "{\"_step\":1,\"loss\":1e-3}"]},
            "wandb-events.jsonl": {"offset": 0, "content": ["{\"system.cpu\":1.5,\"_runtime\":3}"]},
            "wandb-summary.json": {"offset": 0, "content": ["{\"loss\":{\"min\":1},\"_wandb\":{}}"]},
            "output.log": {"offset": 0, "content": ["2026-01-02T03:04:05.678 a\r b\u{1b}[A\n", "ERROR 2026-01-02T03:04:05.678 c"]},
        },
        "uploaded": ["x.txt"], "complete": false, "exitcode": 0, "dropped": 0,
    })
    .to_string();
    let mut seeds = vec![
        query(
            "query Runs($filters: JSONString, $order: String, $all: Boolean = true) { project(name: \"p\", entityName: \"ada\") {
                runs(filters: $filters, order: $order, first: 5) { edges { node { ...Parts history @include(if: $all) } cursor } pageInfo { hasNextPage } } } }
             fragment Parts on Run { id name config summaryMetrics historyKeys sampled: sampledHistory(specs: [\"{\\\"keys\\\": [\\\"loss\\\"], \\\"samples\\\": 4}\"]) }",
            &json!({"filters": "{\"$and\": [{\"config.lr\": {\"$gt\": 0.1}}, {\"tags\": {\"$in\": [\"a\"]}}, {\"createdAt\": {\"$lt\": \"2030-01-01\"}}]}", "order": "-summary_metrics.loss"}),
        ),
        query(
            "mutation($input: UpsertBucketInput!) { upsertBucket(input: $input) { bucket { id displayName config summaryMetrics tags } inserted } }",
            &json!({"input": {"name": "r2", "modelName": "p", "entityName": "ada", "config": "{\"lr\": {\"value\": 0.1}}", "summaryMetrics": "{\"acc\": 1}", "tags": ["a"], "state": "running", "notes": "n", "sweep": null, "commit": "c", "host": "h"}}),
        ),
        query(
            "query { project(name: \"p\", entityName: \"ada\") { run(name: \"r\") { files(first: 3, names: [\"x.txt\"]) { edges { node { name url(upload: false) sizeBytes } } } logLines(first: 10) { edges { node { line } } } events(samples: 5) } artifactTypes { edges { node { artifactCollections { edges { node { artifacts { edges { node { id digest } } } } } } } } } } }",
            &json!({}),
        ),
        request(Method::POST, "/files/ada/p/r/file_stream", lines.clone()),
        Input::Request {
            method: Method::POST,
            path: b"/files/ada/p/r/file_stream".to_vec(),
            header: ("content-encoding", b"gzip".to_vec()),
            body: lines.into(),
            zipped: true,
        },
        Input::Request {
            method: Method::PUT,
            path: upload.into(),
            header: ("content-md5", md5(b"hello").into_bytes()),
            body: b"hello".to_vec(),
            zipped: false,
        },
        Input::Request {
            method: Method::GET,
            path: b"/files/ada/p/r/x.txt".to_vec(),
            header: ("range", b"bytes=1-3".to_vec()),
            body: Vec::new(),
            zipped: false,
        },
        Input::Request {
            method: Method::GET,
            path: b"/ada/p?filter=config.lr%20%3E%200.1&order=-summary.loss&columns=loss&cursor=abc".to_vec(),
            header: ("cookie", b"trackway=ada.1.abc".to_vec()),
            body: Vec::new(),
            zipped: false,
        },
        request(Method::POST, "/login", "key=0123456789&next=/ada"),
    ];
    seeds.push(Input::Sweep(
        b"method: bayes\nname: s\nmetric: {name: loss, goal: minimize}\nearly_terminate: {type: hyperband, min_iter: 3}\nparameters:\n  lr: {distribution: log_uniform_values, min: 1e-5, max: 0.1}\n  b: {values: [1, 2], probabilities: [0.3, 0.7]}\n  n: {parameters: {q: {distribution: q_normal, mu: 0, sigma: 1, q: 0.5}}}\n".to_vec(),
    ));
    seeds.push(Input::Manifest(
        json!({"version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {"storageLayout": "V2"}, "contents": {
            "a.txt": {"digest": md5(b"a"), "size": 1},
            "far": {"digest": "e", "ref": "s3://bucket/key", "size": 12, "extra": {"etag": "e"}},
        }})
        .to_string()
        .into_bytes(),
    ));
    seeds
}

/// Sends an input. What the answer is does not matter, as long as it is one of a server in health.
async fn send(client: &Client, input: &Input) {
    match input {
        Input::Request {
            method,
            path,
            header,
            body,
            zipped,
        } => {
            // What a client of HTTP cannot send does not get to the server.
            let Some(path) = str::from_utf8(path)
                .ok()
                .filter(|path| path.starts_with('/') && path.parse::<axum::http::Uri>().is_ok())
            else {
                return;
            };
            let Some(value) = str::from_utf8(&header.1)
                .ok()
                .filter(|value| axum::http::HeaderValue::from_str(value).is_ok())
            else {
                return;
            };
            let body = if *zipped {
                let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
                zip.write_all(body).unwrap();
                zip.finish().unwrap()
            } else {
                body.clone()
            };
            let answer = client
                .send(method.clone(), path, body, &[(header.0, value)])
                .await;
            assert!(
                !answer.status.is_server_error() || answer.status == StatusCode::NOT_IMPLEMENTED,
                "{}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
            if answer.status.is_client_error() && !matches!(*method, Method::GET) {
                let kind = answer.headers.get("content-type");
                let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
                if kind.starts_with("application/json") {
                    assert!(answer.json()["errors"][0]["message"].is_string());
                }
            }
        }
        Input::Sweep(config) => {
            let text = String::from_utf8_lossy(config);
            let query = "mutation($config: String!) { upsertSweep(input: {config: $config, entityName: \"ada\", projectName: \"p\"}) { sweep { id name } } }";
            if let Ok(made) = client.try_ask(query, json!({"config": text})).await {
                let sweep = &made["upsertSweep"]["sweep"]["name"];
                let query = "mutation($sweep: String!) { createAgent(input: {sweep: $sweep, entityName: \"ada\", projectName: \"p\", host: \"h\"}) { agent { id } } }";
                if let Ok(agent) = client.try_ask(query, json!({"sweep": sweep})).await {
                    let id = &agent["createAgent"]["agent"]["id"];
                    let query = "mutation($id: ID!) { agentHeartbeat(input: {agentId: $id, metrics: \"{}\", runState: \"{}\"}) { commands } }";
                    drop(client.try_ask(query, json!({"id": id})).await);
                }
            }
        }
        Input::Manifest(text) => {
            let query = "mutation($digest: String!) { createArtifact(input: {entityName: \"ada\", projectName: \"p\", runName: \"r\", artifactTypeName: \"data\", artifactCollectionName: \"fuzz\", digest: $digest}) { artifact { id state } } }";
            let digest = json!({"digest": md5(text)});
            let begun = client.ask(query, digest.clone()).await;
            let artifact = &begun["createArtifact"]["artifact"];
            let id = artifact["id"].as_str().unwrap();
            let query = "mutation($id: ID!, $digest: String!) { createArtifactManifest(input: {artifactID: $id, name: \"m.json\", digest: $digest, type: FULL}) { artifactManifest { file { uploadUrl } } } }";
            let variables = json!({"id": id, "digest": md5(text)});
            if let Ok(made) = client.try_ask(query, variables).await
                && let Some(url) =
                    made["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"].as_str()
            {
                let status = client.put(url, text).await;
                assert!(!status.is_server_error(), "{status}");
                drop(commit(client, id).await);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nearly_right_requests() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (seconds, seed) = (number("SERVER_FUZZ_SECONDS"), number("SERVER_FUZZ_SEED"));
    let world = World::new().await;
    let (ada, witness) = (world.user("ada").await, world.user("witness").await);
    let begin = "mutation { upsertBucket(input: {name: \"r\", modelName: \"p\"}) { inserted } }";
    ada.ask(begin, json!({})).await;
    log(&ada, "fuzz", &[("a.txt", "a")].into(), &["latest"]).await;
    witness.ask(begin, json!({})).await;
    let ask = "{ project(name: \"p\", entityName: \"witness\") { runs { edges { node { name config summaryMetrics historyLineCount } } } } }";
    let before = witness.ask(ask, json!({})).await;

    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.unwrap_or(1).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let seeds = seeds(&ada).await;
    for seed in &seeds {
        send(&ada, seed).await;
    }
    let inputs = (select(seeds), changes()).prop_map(|(seed, changes)| seed.changed(&changes));
    let start = Instant::now();
    for count in 0.. {
        let done = match seconds {
            Some(seconds) => start.elapsed() > Duration::from_secs(seconds),
            None => count >= INPUTS,
        };
        if done {
            break;
        }
        let input = inputs.new_tree(&mut runner).unwrap().current();
        let answered = tokio::spawn({
            let (ada, input) = (ada.clone(), input.clone());
            async move { tokio::time::timeout(LONGEST, send(&ada, &input)).await }
        });
        assert!(
            matches!(answered.await, Ok(Ok(()))),
            "input {count}: {input:?}"
        );
    }
    assert_eq!(witness.ask(ask, json!({})).await, before);
}
