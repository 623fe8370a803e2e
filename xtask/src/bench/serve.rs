//! The server: what it takes in, and what it answers, beside another server, the SDK's own work, the
//! store without a server, and the disk.

mod contents;
mod lists;
mod logging;
mod other;
mod reading;
mod starting;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tests::{
    cli::{Serving, Trackway},
    client::Client,
    peers::{Peers, Python},
};

use super::{built, connection::Connection, report::Report};
use crate::{
    interop,
    steps::{Steps, output, root, target},
};

/// What to measure of the server, and on how much.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How often each thing is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The program, if it is built already.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where the figures are appended, one JSON document a line.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Rows by file streams, beside another server and the store alone.
    Log,
    /// Pages of 10,000 runs.
    Runs,
    /// A run of a million rows, by the SDK and by our client.
    Scan,
    /// The time to the first answer, and the memory without work.
    Start,
    /// A file of 2 GB, beside a copy on the disk.
    Files,
}

impl Serve {
    pub(super) fn run(&self, steps: &mut Steps) -> Result<()> {
        let program = built(steps, self.program.as_deref())?;
        let json = self.json.as_ref().map_or_else(
            || target().join("bench").join("serve.jsonl"),
            |path| root().join(path),
        );
        let peers = Peers::at(interop::folder());
        let mut report = Report::new(json);
        if self.wants(Part::Log) {
            logging::measure(steps, &program, &peers, self.rounds, &mut report)?;
        }
        if self.wants(Part::Runs) {
            lists::measure(steps, &program, &peers, self.rounds, &mut report)?;
        }
        if self.wants(Part::Scan) {
            reading::measure(steps, &program, &peers, self.rounds, &mut report)?;
        }
        if self.wants(Part::Start) {
            starting::measure(steps, &program, &mut report)?;
        }
        if self.wants(Part::Files) {
            // Each round moves ten gigabytes.
            let rounds = self.rounds.div_ceil(2);
            contents::measure(steps, &program, &peers, rounds, &mut report)?;
        }
        report.finish()
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Our server over a store of its own.
struct Ours {
    serving: Serving,
    /// Goes after the server.
    trackway: Trackway,
}

impl Ours {
    fn start(program: &Path) -> Result<Self> {
        let program = program.to_str().context("the program's path is no text")?;
        let trackway = Trackway::at(program)?;
        let serving = trackway.serve("127.0.0.1:0", None)?;
        Ok(Self { serving, trackway })
    }

    fn place(&self) -> Place {
        Place::of(&self.serving)
    }
}

/// Where a server is, and whose runs are logged.
#[derive(Debug, Clone)]
struct Place {
    url: String,
    key: String,
    entity: String,
}

impl Place {
    fn of(serving: &Serving) -> Self {
        Self {
            url: serving.url.clone(),
            key: serving.key.clone(),
            entity: "local".to_owned(),
        }
    }

    fn connect(&self) -> Result<Connection> {
        let client = Client::new(&self.url, &self.key)?;
        let authorization = format!("Authorization: Basic {}\r\n", client.authorization());
        Connection::with_headers(client.address(), authorization)
    }

    /// Makes a run.
    fn begin(&self, project: &str, run: &str) -> Result<()> {
        let begin = "mutation Begin($name: String, $project: String, $entity: String) { upsertBucket(input: {name: $name, modelName: $project, entityName: $entity}) { bucket { id } } }";
        let names = json!({"name": run, "project": project, "entity": self.entity});
        let made = self.ask(begin, &names)?;
        made.pointer("/upsertBucket/bucket/id")
            .map(drop)
            .context("no run was made")
    }

    /// Asks a GraphQL query and takes the data out of the answer.
    fn ask(&self, query: &str, variables: &Value) -> Result<Value> {
        let body = json!({"query": query, "variables": variables}).to_string();
        let said = self.connect()?.post("/graphql", body.as_bytes())?;
        let mut said: Value = serde_json::from_slice(&said)?;
        ensure!(said.get("errors").is_none(), "{}: {said}", self.url);
        Ok(said["data"].take())
    }

    /// The target of a run's file stream.
    fn stream(&self, project: &str, run: &str) -> String {
        format!("/files/{}/{project}/{run}/file_stream", self.entity)
    }
}

/// Lets the SDK do something: the seconds that it took, and how many things these were.
fn sdk(python: &Python, place: &Place, args: &[&str]) -> Result<(f64, u64)> {
    let folder = tempfile::tempdir()?;
    let script = root().join("tests").join("peers").join("bench_wandb.py");
    let mut command: Command = python.command(["-W", "ignore"]);
    command
        .arg(script)
        .args(args)
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("WANDB_SILENT", "true")
        .env("WANDB_ERROR_REPORTING", "false")
        .env("WANDB_BASE_URL", &place.url)
        .env("WANDB_API_KEY", &place.key);
    let said = output(&mut command)?;
    let last = said.lines().last().context("the SDK says nothing")?;
    let (took, count) = last.split_once(' ').context("two words")?;
    Ok((took.parse()?, count.parse()?))
}
