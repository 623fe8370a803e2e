//! A server that is killed at any moment has, when it is back, everything that it said it had, and
//! nothing twice.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use tests::{cli::Trackway, client::Client};

use crate::trackway;

/// Kills by the test that is always run, and by `cargo xtask crash`.
const FEW: u64 = 5;
const MANY: u64 = 30;
/// Programs that log at once.
const PROGRAMS: usize = 4;
/// Rows of a request.
const ROWS: u64 = 40;
/// How long a program tries again.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_killed_server_keeps_what_it_acknowledged() -> Result<()> {
    survives(FEW)
}

#[test]
#[ignore = "takes a minute: cargo xtask crash"]
fn a_server_killed_often_keeps_what_it_acknowledged() -> Result<()> {
    survives(MANY)
}

fn survives(kills: u64) -> Result<()> {
    let trackway = trackway()?;
    // The same address after each start, as the programs know only one.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut server = trackway.serve(&address, None)?;
    let client = Client::new(&server.url, &server.key)?;
    let key = server.key.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let programs: Vec<_> = (0..PROGRAMS)
        .map(|number| {
            let (client, stop) = (client.clone(), stop.clone());
            thread::spawn(move || Program::new(client, number).work(&stop))
        })
        .collect();
    let mut seed = 0x7a11;
    for _ in 0..kills {
        seed = next(seed);
        thread::sleep(Duration::from_millis(60 + seed % 400));
        server.kill()?;
        server = trackway.serve(&address, Some(&key))?;
    }
    thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    let mut logged = Vec::new();
    for program in programs {
        logged.push(
            program
                .join()
                .map_err(|_| anyhow::anyhow!("a program panicked"))??,
        );
    }
    for logged in &logged {
        check(&trackway, logged)?;
    }
    ensure!(
        logged
            .iter()
            .all(|logged| logged.rows > 0 && logged.versions > 0),
        "too little was logged to tell anything: {logged:?}"
    );
    drop(server);
    trackway.stdout(["fsck", "--read-data"])?;
    Ok(())
}

fn next(seed: u64) -> u64 {
    seed.wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
        >> 1
}

/// What the server acknowledged.
#[derive(Debug)]
struct Logged {
    run: String,
    rows: u64,
    files: u64,
    versions: u64,
}

/// Logs as the SDK does: each request is sent again until it is answered well.
struct Program {
    client: Client,
    logged: Logged,
}

impl Program {
    fn new(client: Client, number: usize) -> Self {
        Self {
            client,
            logged: Logged {
                run: format!("run{number}"),
                rows: 0,
                files: 0,
                versions: 0,
            },
        }
    }

    fn work(mut self, stop: &AtomicBool) -> Result<Logged> {
        let begin = "mutation($run: String) { upsertBucket(input: {name: $run, modelName: \"p\", host: \"h\"}) { inserted } }";
        self.query(begin, &json!({"run": self.logged.run}))?;
        let mut round = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            self.rows()?;
            if round.is_multiple_of(3) {
                self.file()?;
            }
            if round.is_multiple_of(4) {
                self.artifact()?;
            }
            round += 1;
        }
        Ok(self.logged)
    }

    /// Does it until it is done.
    fn until_done<T>(&self, what: &str, ask: impl Fn() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) if began.elapsed() > PATIENCE => {
                    return Err(error.context(what.to_owned()));
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn query(&self, query: &str, variables: &Value) -> Result<Value> {
        self.until_done(query, || self.client.query(query, variables))
    }

    fn put(&self, url: &str, body: &[u8]) -> Result<()> {
        self.until_done("put", || {
            let (status, said) = self.client.send("PUT", url, body)?;
            ensure!(status == 200, "{status} {}", String::from_utf8_lossy(&said));
            Ok(())
        })
    }

    fn rows(&mut self) -> Result<()> {
        let from = self.logged.rows;
        let rows: Vec<String> = (from..from + ROWS)
            .map(|i| json!({"_step": i, "_timestamp": i, "x": i, "y": i * 2}).to_string())
            .collect();
        let said: Vec<String> = (from..from + ROWS).map(|i| format!("line {i}")).collect();
        let body = json!({"files": {
            "wandb-history.jsonl": {"offset": from, "content": rows},
            "output.log": {"offset": from, "content": said},
            "wandb-summary.json": {"offset": 0, "content": [json!({"x": from + ROWS - 1}).to_string()]},
        }})
        .to_string();
        let path = format!("/files/local/p/{}/file_stream", self.logged.run);
        self.until_done("rows", || {
            let (status, said) = self.client.send("POST", &path, body.as_bytes())?;
            ensure!(status == 200, "{status} {}", String::from_utf8_lossy(&said));
            Ok(())
        })?;
        self.logged.rows += ROWS;
        Ok(())
    }

    fn file(&mut self) -> Result<()> {
        let name = format!("file{}.txt", self.logged.files);
        let query = "mutation($run: String!, $name: String!) { createRunFiles(input: {entityName: \"local\", projectName: \"p\", runName: $run, files: [$name]}) { files { uploadUrl } } }";
        let made = self.query(query, &json!({"run": self.logged.run, "name": name}))?;
        let url = made["createRunFiles"]["files"][0]["uploadUrl"]
            .as_str()
            .context("no URL")?;
        self.put(url, name.repeat(5_000).as_bytes())?;
        self.logged.files += 1;
        Ok(())
    }

    /// A new version, with one file that has never been there.
    fn artifact(&mut self) -> Result<()> {
        let contents = format!("{} {}", self.logged.run, self.logged.versions).repeat(2_000);
        let listed = STANDARD.encode(Md5::digest(&contents));
        let whole = format!("wandb-artifact-manifest-v1\ndata.txt:{listed}\n");
        let hex = hex::encode(Md5::digest(whole));
        let query = "mutation($digest: String!, $run: String!) { createArtifact(input: {entityName: \"local\", projectName: \"p\", \
             artifactTypeName: \"data\", artifactCollectionName: $run, runName: $run, digest: $digest, digestAlgorithm: MANIFEST_MD5, \
             enableDigestDeduplication: true}) { artifact { id state } } }";
        let made = self.query(query, &json!({"digest": hex, "run": self.logged.run}))?;
        let id = made["createArtifact"]["artifact"]["id"]
            .as_str()
            .context("no id")?
            .to_owned();
        let manifest = json!({"version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {"storageLayout": "V2"},
            "contents": {"data.txt": {"digest": listed, "size": contents.len(), "birthArtifactID": id}}})
        .to_string();
        let query = "mutation($id: ID!, $digest: String!, $run: String!) { createArtifactManifest(input: {artifactID: $id, digest: $digest, \
             name: \"wandb_manifest.json\", entityName: \"local\", projectName: \"p\", runName: $run, type: FULL}) \
             { artifactManifest { id file { uploadUrl } } } }";
        let listed_digest = STANDARD.encode(Md5::digest(&manifest));
        let made = self.query(
            query,
            &json!({"id": id, "digest": listed_digest, "run": self.logged.run}),
        )?;
        let made = &made["createArtifactManifest"]["artifactManifest"];
        let upload = made["file"]["uploadUrl"]
            .as_str()
            .context("no URL")?
            .to_owned();
        let query = "mutation($id: ID!, $manifest: ID, $md5: String!) { createArtifactFiles(input: {artifactFiles: \
             [{artifactID: $id, artifactManifestID: $manifest, name: \"data.txt\", md5: $md5}], storageLayout: V2}) \
             { files { edges { node { uploadUrl } } } } }";
        let files = self.query(
            query,
            &json!({"id": id, "manifest": made["id"], "md5": listed}),
        )?;
        let url = files["createArtifactFiles"]["files"]["edges"][0]["node"]["uploadUrl"].clone();
        self.put(url.as_str().context("no URL")?, contents.as_bytes())?;
        self.put(&upload, manifest.as_bytes())?;
        let query =
            "mutation($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }";
        self.query(query, &json!({"id": id}))?;
        self.logged.versions += 1;
        Ok(())
    }
}

/// The store has what was acknowledged, once. One request more may be there whose answer was lost.
fn check(trackway: &Trackway, logged: &Logged) -> Result<()> {
    let run = format!("local/p/{}", logged.run);
    let printed = trackway.stdout(["history", &run, "--all", "--jsonl"])?;
    let mut count = 0;
    for (i, line) in printed.lines().enumerate() {
        let row: Value = serde_json::from_str(line)?;
        ensure!(
            row["x"] == i && row["y"] == 2 * i,
            "row {i} of {run} is {row}"
        );
        count += 1;
    }
    ensure!(
        (logged.rows..=logged.rows + ROWS).contains(&count),
        "{run} has {count} rows, and {} were acknowledged",
        logged.rows
    );
    let printed = trackway.stdout(["files", "ls", &run, "--jsonl"])?;
    for file in 0..logged.files {
        let name = format!("file{file}.txt");
        let size = name.len() * 5_000;
        let found = printed
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let sizes: Vec<Value> = found
            .filter(|file: &Value| file["name"] == *name)
            .map(|file| file["size"].clone())
            .collect();
        ensure!(sizes == [size], "{name} of {run}: {sizes:?}");
    }
    let printed = trackway.stdout(["artifacts", "ls", "local/p", "--jsonl"])?;
    let collections = printed
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let versions = collections
        .filter(|collection| collection["name"] == *logged.run)
        .find_map(|collection| collection["versions"].as_u64())
        .unwrap_or(0);
    ensure!(
        (logged.versions..=logged.versions + 1).contains(&versions),
        "{run} has {versions} versions, and {} were acknowledged: {printed}",
        logged.versions
    );
    Ok(())
}
