//! Memory of the server does not grow with what programs log to it and read from it.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use tests::{
    cli::{Serving, Trackway},
    client::Client,
};

use super::{memory, readers};
use crate::trackway;

/// The most memory that the server may take, in megabytes, and the same for little work: not much
/// more than the program and its buffers. Many requests at once take their part however small.
const MOST: u64 = 500;
const MOST_SMALL: u64 = 250;

macro_rules! sizes {
    ($($name:ident, $large:ident: $work:ident($small_size:expr, $large_size:expr), $most:ident;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            $work($small_size, $most)
        }

        #[test]
        #[ignore = "takes minutes and gigabytes: cargo xtask scale"]
        fn $large() -> Result<()> {
            $work($large_size, MOST)
        }
    )*};
}

sizes! {
    programs_that_log_at_once, large_programs_that_log_at_once: programs(2, 40), MOST;
    rows_of_ten_thousand_keys, large_rows_of_ten_thousand_keys: wide(2, 100), MOST_SMALL;
    a_long_run_on_the_server, large_a_long_run_on_the_server: long(60_000, 5_000_000), MOST_SMALL;
    a_large_file, large_a_large_file: file(16 << 20, 2 << 30), MOST_SMALL;
    an_artifact_of_many_files, large_an_artifact_of_many_files: artifact(300, 50_000), MOST_SMALL;
    a_large_summary, large_a_large_summary: summary(2 << 20, 20 << 20), MOST_SMALL;
    a_project_of_many_runs, large_a_project_of_many_runs: runs(2_000, 100_000), MOST_SMALL;
}

/// A server over a store of its own.
struct World {
    serving: Serving,
    client: Client,
    start: Instant,
    /// Goes after the server.
    trackway: Trackway,
}

impl World {
    fn start() -> Result<Self> {
        Self::over(trackway()?)
    }

    fn over(trackway: Trackway) -> Result<Self> {
        let serving = trackway.serve("127.0.0.1:0", None)?;
        Ok(Self {
            client: Client::new(&serving.url, &serving.key)?,
            serving,
            start: Instant::now(),
            trackway,
        })
    }

    fn begin(&self, run: &str) -> Result<()> {
        let begin = "mutation($run: String) { upsertBucket(input: {name: $run, modelName: \"p\"}) { inserted } }";
        self.client.query(begin, &json!({"run": run})).map(drop)
    }

    /// Sends a request of a file stream.
    fn stream(&self, run: &str, body: &Value) -> Result<()> {
        let target = format!("/files/local/p/{run}/file_stream");
        let body = body.to_string();
        let (status, said) = self.client.send("POST", &target, body.as_bytes())?;
        ensure!(status == 200, "{status} {}", String::from_utf8_lossy(&said));
        Ok(())
    }

    /// What is said of a run of the project.
    fn of_run(&self, run: &str, fields: &str) -> Result<Value> {
        let query = format!(
            "{{ project(name: \"p\", entityName: \"local\") {{ run(name: \"{run}\") {{ {fields} }} }} }}"
        );
        let mut said = self.client.query(&query, &json!({}))?;
        Ok(said["project"]["run"].take())
    }

    /// Looks at the memory that the server took at most.
    #[expect(clippy::print_stdout, reason = "the figures are worth reading")]
    fn end(self, what: &str, most: u64) -> Result<()> {
        let status = format!("/proc/{}/status", self.serving.id());
        let peak = memory(status.as_ref()).context("no memory in /proc")?;
        println!(
            "{what}: {} MB at most, {:.1} s",
            peak / 1_000_000,
            self.start.elapsed().as_secs_f64()
        );
        self.serving.kill()?;
        self.trackway.stdout(["fsck"])?;
        ensure!(
            peak < most * 1_000_000,
            "{what}: {} MB of memory, {most} are allowed",
            peak / 1_000_000
        );
        Ok(())
    }
}

fn lines(offset: u64, lines: Vec<String>) -> Value {
    json!({"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}})
}

/// Fifty programs log at once, so many requests each.
fn programs(requests: u64, most: u64) -> Result<()> {
    const PROGRAMS: u64 = 50;
    const ROWS: u64 = 200;
    let world = World::start()?;
    thread::scope(|scope| {
        let work = |program: u64| {
            let (world, run) = (&world, format!("run{program}"));
            move || -> Result<()> {
                world.begin(&run)?;
                for request in 0..requests {
                    let first = request * ROWS;
                    let rows = first..first + ROWS;
                    let rows = rows.map(|row| {
                        let mut line = format!("{{\"_step\":{row},\"_timestamp\":{row}");
                        for key in 0..10 {
                            let _ = write!(line, ",\"train/m{key}\":{}.5", row * program + key);
                        }
                        line + "}"
                    });
                    world.stream(&run, &lines(first, rows.collect()))?;
                }
                Ok(())
            }
        };
        let programs: Vec<_> = (0..PROGRAMS)
            .map(|program| scope.spawn(work(program)))
            .collect();
        programs
            .into_iter()
            .try_for_each(|program| program.join().map_err(|_| anyhow!("a program panicked"))?)
    })?;
    for program in 0..PROGRAMS {
        let said = world.of_run(&format!("run{program}"), "historyLineCount")?;
        ensure!(said["historyLineCount"] == requests * ROWS, "{said}");
    }
    world.end("programs", most)
}

/// So many rows of ten thousand keys.
fn wide(rows: u64, most: u64) -> Result<()> {
    const KEYS: u64 = 10_000;
    let world = World::start()?;
    world.begin("wide")?;
    for row in 0..rows {
        let mut line = format!("{{\"_step\":{row}");
        for key in 0..KEYS {
            let _ = write!(line, ",\"layer{key}/norm\":{}.25", row * key);
        }
        world.stream("wide", &lines(row, vec![line + "}"]))?;
    }
    let end = json!({"complete": true, "exitcode": 0});
    world.stream("wide", &end)?;
    let said = world.of_run("wide", "history(minStep: 0, maxStep: 1000) historyKeys")?;
    let read = said["history"].as_array().context("no rows")?;
    ensure!(read.len() as u64 == rows, "{} rows of {rows}", read.len());
    for (number, row) in (0..).zip(read) {
        let row: Value = serde_json::from_str(row.as_str().context("no text")?)?;
        let value = (number * (KEYS - 1)) as f64 + 0.25;
        ensure!(
            row[format!("layer{}/norm", KEYS - 1)] == value,
            "row {number}"
        );
    }
    let keys = said["historyKeys"]["keys"].as_object().context("no keys")?;
    ensure!(keys.len() as u64 >= KEYS, "{} keys", keys.len());
    world.end("wide rows", most)
}

/// A run of so many rows: logged, read window by window, sampled.
fn long(rows: u64, most: u64) -> Result<()> {
    const REQUEST: u64 = 5_000;
    const WINDOW: u64 = 1_000;
    let world = World::start()?;
    world.begin("long")?;
    for first in (0..rows).step_by(REQUEST as usize) {
        let some = first..rows.min(first + REQUEST);
        let some = some.map(|row| {
            format!(
                "{{\"_step\":{row},\"_timestamp\":{row}.5,\"loss\":{row}.25,\"epoch\":{}}}",
                row / 1_000
            )
        });
        world.stream("long", &lines(first, some.collect()))?;
    }
    world.stream("long", &json!({"complete": true, "exitcode": 0}))?;
    let query = "query($from: Int64, $to: Int64) { project(name: \"p\", entityName: \"local\") { run(name: \"long\") { history(minStep: $from, maxStep: $to) } } }";
    for from in (0..rows).step_by(WINDOW as usize) {
        let said = world
            .client
            .query(query, &json!({"from": from, "to": from + WINDOW}))?;
        let read = said["project"]["run"]["history"]
            .as_array()
            .context("no rows")?;
        let wanted = WINDOW.min(rows - from);
        ensure!(
            read.len() as u64 == wanted,
            "{} rows from {from} on",
            read.len()
        );
        let last: Value = serde_json::from_str(read.last().and_then(Value::as_str).unwrap_or(""))?;
        let step = from + wanted - 1;
        ensure!(
            last["_step"] == step && last["loss"] == step as f64 + 0.25,
            "{last}"
        );
    }
    let said = world.of_run("long", "history(samples: 500) historyLineCount")?;
    let sampled = said["history"].as_array().map_or(0, Vec::len);
    ensure!((250..=500).contains(&sampled), "{sampled} rows of a sample");
    ensure!(
        said["historyLineCount"] == rows,
        "{}",
        said["historyLineCount"]
    );
    world.end("a long run", most)
}

/// A piece of a file at a place, which is no two times the same.
fn piece(at: u64) -> Vec<u8> {
    (at..at + PIECE)
        .step_by(8)
        .flat_map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

const PIECE: u64 = 1 << 20;

/// A file of so many bytes, up and down.
fn file(size: u64, most: u64) -> Result<()> {
    let world = World::start()?;
    world.begin("run")?;
    let query = "mutation { createRunFiles(input: {entityName: \"local\", projectName: \"p\", runName: \"run\", files: [\"a.bin\"]}) { files { uploadUrl } } }";
    let said = world.client.query(query, &json!({}))?;
    let url = said["createRunFiles"]["files"][0]["uploadUrl"].as_str();
    let (mut stream, target) = open(url.context("no URL")?)?;
    write!(
        stream,
        "PUT {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    )?;
    for at in (0..size).step_by(PIECE as usize) {
        stream.write_all(&piece(at))?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let said = world.of_run(
        "run",
        "files(names: [\"a.bin\"]) { edges { node { directUrl sizeBytes } } }",
    )?;
    let url = said["files"]["edges"][0]["node"]["directUrl"].as_str();
    let (mut stream, target) = open(url.context("no URL")?)?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line.trim_end() != "" {
        line.clear();
        stream.read_line(&mut line)?;
    }
    let mut read = vec![0; PIECE as usize];
    for at in (0..size).step_by(PIECE as usize) {
        stream.read_exact(&mut read)?;
        ensure!(read == piece(at), "the bytes from {at} on are others");
    }
    world.end("a large file", most)
}

/// Connects to the server of a URL; answers what is to be asked for there.
fn open(url: &str) -> Result<(TcpStream, String)> {
    let rest = url.strip_prefix("http://").context("not an http address")?;
    let (address, target) = rest.split_once('/').context("no path")?;
    Ok((TcpStream::connect(address)?, format!("/{target}")))
}

/// An artifact of so many files: made, listed, loaded.
fn artifact(files: usize, most: u64) -> Result<()> {
    const AT_ONCE: usize = 1_000;
    let world = World::start()?;
    world.begin("run")?;
    let names: Vec<String> = (0..files)
        .map(|file| format!("part-{:02}/{file:06}.txt", file % 50))
        .collect();
    let digest = |name: &str| STANDARD.encode(Md5::digest(name));
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    let mut whole = "wandb-artifact-manifest-v1\n".to_owned();
    for name in &sorted {
        let _ = writeln!(whole, "{name}:{}", digest(name));
    }
    let query = "mutation($digest: String!) { createArtifact(input: {entityName: \"local\", projectName: \"p\", artifactTypeName: \"data\", \
         artifactCollectionName: \"many\", runName: \"run\", digest: $digest, digestAlgorithm: MANIFEST_MD5}) { artifact { id } } }";
    let made = world
        .client
        .query(query, &json!({"digest": hex::encode(Md5::digest(whole))}))?;
    let id = made["createArtifact"]["artifact"]["id"].clone();
    let contents: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| {
            (
                name.clone(),
                json!({"digest": digest(name), "size": name.len(), "birthArtifactID": id}),
            )
        })
        .collect();
    let manifest = json!({"version": 1, "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"}, "contents": contents})
    .to_string();
    let query = "mutation($id: ID!, $digest: String!) { createArtifactManifest(input: {artifactID: $id, digest: $digest, name: \"wandb_manifest.json\", \
         entityName: \"local\", projectName: \"p\", runName: \"run\", type: FULL}) { artifactManifest { id file { uploadUrl } } } }";
    let made = world
        .client
        .query(query, &json!({"id": id, "digest": digest(&manifest)}))?;
    let made = &made["createArtifactManifest"]["artifactManifest"];
    let query = "mutation($files: [CreateArtifactFileSpecInput!]!) { createArtifactFiles(input: {artifactFiles: $files, storageLayout: V2}) \
         { files { edges { node { uploadUrl } } } } }";
    for some in names.chunks(AT_ONCE) {
        let asked: Vec<Value> = some
            .iter()
            .map(|name| json!({"artifactID": id, "artifactManifestID": made["id"], "name": name, "md5": digest(name)}))
            .collect();
        let said = world.client.query(query, &json!({"files": asked}))?;
        let urls = said["createArtifactFiles"]["files"]["edges"].as_array();
        let urls = urls.context("no URLs")?;
        ensure!(urls.len() == some.len(), "{} URLs", urls.len());
        for (name, edge) in some.iter().zip(urls) {
            put(&world, &edge["node"]["uploadUrl"], name.as_bytes())?;
        }
    }
    put(&world, &made["file"]["uploadUrl"], manifest.as_bytes())?;
    let query =
        "mutation($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }";
    world.client.query(query, &json!({"id": id}))?;

    let query = "query($after: String) { project(name: \"p\", entityName: \"local\") { artifact(name: \"many:v0\") { fileCount \
         files(first: 5000, after: $after) { pageInfo { hasNextPage endCursor } edges { node { name directUrl } } } } } }";
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let said = world.client.query(query, &json!({"after": after}))?;
        let page = &said["project"]["artifact"]["files"];
        seen.extend(
            page["edges"]
                .as_array()
                .context("no files")?
                .iter()
                .map(|edge| edge["node"].clone()),
        );
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] != true {
            break;
        }
    }
    let listed: Vec<&str> = seen
        .iter()
        .filter_map(|file| file["name"].as_str())
        .collect();
    ensure!(listed == sorted, "{} files are listed", listed.len());
    for file in seen.iter().step_by(seen.len().div_ceil(50)) {
        let (status, body) =
            world
                .client
                .send("GET", file["directUrl"].as_str().unwrap_or(""), b"")?;
        ensure!(
            status == 200 && Some(&*body) == file["name"].as_str().map(str::as_bytes),
            "{file}"
        );
    }
    world.end("an artifact of many files", most)
}

fn put(world: &World, url: &Value, body: &[u8]) -> Result<()> {
    let url = url.as_str().context("no URL to upload to")?;
    let (status, said) = world.client.send("PUT", url, body)?;
    ensure!(status == 200, "{status} {}", String::from_utf8_lossy(&said));
    Ok(())
}

/// A summary of so many bytes.
fn summary(bytes: usize, most: u64) -> Result<()> {
    let world = World::start()?;
    world.begin("run")?;
    let text = "0123456789".repeat(100);
    let members = (0..bytes / text.len()).map(|i| (format!("key{i}"), Value::from(&*text)));
    let summary = Value::Object(members.collect());
    for offset in 0..2 {
        let line = summary.to_string();
        let body = json!({"files": {"wandb-summary.json": {"offset": offset, "content": [line]}}});
        world.stream("run", &body)?;
    }
    let said = world.of_run("run", "summaryMetrics")?;
    let read: Value = serde_json::from_str(said["summaryMetrics"].as_str().context("no text")?)?;
    ensure!(read == summary, "the summary is another one");
    world.end("a large summary", most)
}

/// A project of so many runs: pages of the list, filters, the page for people.
fn runs(count: i64, most: u64) -> Result<()> {
    let trackway = trackway()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(readers::fill(&trackway.store(), count, 1))?;
    drop(runtime);
    let world = World::over(trackway)?;
    let page = "query($after: String, $filters: JSONString, $order: String) { project(name: \"many\", entityName: \"local\") { runCount(filters: $filters) \
         runs(first: 50, after: $after, filters: $filters, order: $order) { edges { node { name config summaryMetrics historyKeys } } pageInfo { endCursor hasNextPage } } } }";
    let half = json!({"config.seed": {"$lt": 5}}).to_string();
    for (filters, order, wanted) in [
        (None, None, count),
        (Some(&half), None, count / 2),
        (Some(&half), Some("-summary_metrics.acc"), count / 2),
    ] {
        let mut after = Value::Null;
        for _ in 0..20 {
            let asked = json!({"after": after, "filters": filters, "order": order});
            let said = world.client.query(page, &asked)?;
            let project = &said["project"];
            ensure!(
                project["runCount"] == wanted,
                "{} runs",
                project["runCount"]
            );
            let runs = project["runs"]["edges"].as_array().map_or(0, Vec::len);
            ensure!(runs == 50, "{runs} runs on a page");
            after = project["runs"]["pageInfo"]["endCursor"].clone();
        }
    }
    let cookie = log_in(&world)?;
    for target in [
        "/local/many",
        "/local/many?filter=config.seed%20%3C%205",
        "/",
    ] {
        let said = browse(&world, target, &cookie)?;
        ensure!(said.starts_with("HTTP/1.1 200"), "{target}: {:.300}", said);
    }
    world.end("a project of many runs", most)
}

/// The cookie of a browser that is logged in.
fn log_in(world: &World) -> Result<String> {
    let body = format!("key={}", world.serving.key);
    let head = format!(
        "Content-Length: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        body.len()
    );
    let said = exchange(world, &format!("POST /login HTTP/1.1\r\n{head}"), &body)?;
    let cookie = said.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let cookie = value.split(';').next()?;
        name.eq_ignore_ascii_case("set-cookie")
            .then(|| cookie.to_owned())
    });
    cookie.with_context(|| format!("no cookie: {said}"))
}

fn browse(world: &World, target: &str, cookie: &str) -> Result<String> {
    exchange(
        world,
        &format!("GET {target} HTTP/1.1\r\nAccept: text/html\r\nCookie: {cookie}\r\n"),
        "",
    )
}

fn exchange(world: &World, head: &str, body: &str) -> Result<String> {
    let address = world.client.address();
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{head}Host: {address}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}
