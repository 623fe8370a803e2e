//! A large file in and out, beside a copy of it on the same disk.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    mlruns::Numbers,
    peers::{Peers, Wandb},
};

use super::{Ours, Place, sdk};
use crate::{
    bench::{
        process::memory_of,
        report::{Goal, Report},
    },
    steps::{Steps, run},
};

/// Bytes of the file.
const SIZE: u64 = 2 << 30;
const NAME: &str = "large.bin";
const PROJECT: &str = "speed";

pub(super) fn measure(
    steps: &mut Steps,
    program: &Path,
    peers: &Peers,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let folder = TempDir::with_prefix("trackway-bench-")?;
    let file = folder.path().join(NAME);
    steps.step("a large file", || make(&file))?;
    steps.step("a large file in and out", || {
        let mut ratios: [Vec<f64>; 4] = Default::default();
        let (mut copies, mut peaks) = (vec![], vec![]);
        let python = peers.wandb(Wandb::V0_31)?;
        for _ in 0..rounds {
            let ours = Ours::start(program)?;
            let place = ours.place();
            place.begin(PROJECT, "run")?;
            let copy = copied(&file, &folder.path().join("copy"))?;
            let up = upload(&place, &file)?;
            let down = download(&place, &folder.path().join("down"))?;
            let path = file.to_str().context("the path is no text")?;
            let (sdk_up, _) = sdk(&python, &place, &["put", PROJECT, path])?;
            let back = folder.path().join("back");
            let to = back.to_str().context("the path is no text")?;
            let project = format!("{}/{PROJECT}", place.entity);
            let (sdk_down, bytes) = sdk(&python, &place, &["get", &project, to])?;
            ensure!(bytes == SIZE, "{bytes} bytes came back of {SIZE}");
            fs::remove_dir_all(back)?;
            let copy = copy.as_secs_f64();
            let times = [up.as_secs_f64(), down.as_secs_f64(), sdk_up, sdk_down];
            for (ratios, time) in ratios.iter_mut().zip(times) {
                ratios.push(copy / time);
            }
            copies.push(SIZE as f64 / 1e6 / copy);
            peaks.push(memory_of(ours.serving.id())?.1 as f64 / 1e6);
        }
        report.add("2 GB: copy on the disk", "MB/s", &copies, Goal::None);
        let names = [
            "uploaded",
            "downloaded",
            "uploaded by the SDK",
            "downloaded by the SDK",
        ];
        for (name, ratios) in names.into_iter().zip(&ratios) {
            let name = format!("2 GB: {name}, speed / copy");
            report.add(&name, "×", ratios, Goal::AtLeast(0.7));
        }
        report.add("2 GB: server", "MB at most", &peaks, Goal::AtMost(500.0));
        Ok(())
    })
}

/// Bytes that do not compress and are no two times the same.
fn make(path: &Path) -> Result<()> {
    let mut numbers = Numbers::of_seed(7);
    let mut file = io::BufWriter::with_capacity(1 << 20, File::create(path)?);
    for _ in 0..SIZE / 8 {
        file.write_all(&numbers.integer().to_le_bytes())?;
    }
    file.into_inner()?.sync_all()?;
    Ok(())
}

fn copied(from: &Path, to: &Path) -> Result<Duration> {
    let start = Instant::now();
    run(Command::new("cp").arg("--reflink=never").args([from, to]))?;
    File::open(to)?.sync_all()?;
    let took = start.elapsed();
    fs::remove_file(to)?;
    Ok(took)
}

/// Sends the file to a signed URL; it is on the disk when the server answers.
fn upload(place: &Place, path: &Path) -> Result<Duration> {
    let ask = "mutation Put($entity: String!, $project: String!, $files: [String!]!) { createRunFiles(input: {entityName: $entity, projectName: $project, runName: \"run\", files: $files}) { files { uploadUrl } } }";
    let which = json!({"entity": place.entity, "project": PROJECT, "files": [NAME]});
    let said = place.ask(ask, &which)?;
    let url = said.pointer("/createRunFiles/files/0/uploadUrl");
    let url = url.and_then(Value::as_str).context("no URL to upload to")?;
    let start = Instant::now();
    let (mut stream, target) = open(url)?;
    write!(
        stream,
        "PUT {target} HTTP/1.1\r\nHost: bench\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n"
    )?;
    copy(&mut File::open(path)?, &mut stream)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(start.elapsed())
}

/// Fetches the file, to the disk.
fn download(place: &Place, to: &Path) -> Result<Duration> {
    let ask = "query Get($entity: String!, $project: String!, $files: [String]) { project(name: $project, entityName: $entity) { run(name: \"run\") { files(names: $files) { edges { node { directUrl } } } } } }";
    let which = json!({"entity": place.entity, "project": PROJECT, "files": [NAME]});
    let said = place.ask(ask, &which)?;
    let url = said.pointer("/project/run/files/edges/0/node/directUrl");
    let url = url.and_then(Value::as_str).context("no URL to load from")?;
    let start = Instant::now();
    let (mut stream, target) = open(url)?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    )?;
    let mut stream = BufReader::with_capacity(256 << 10, stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line.trim_end() != "" {
        line.clear();
        stream.read_line(&mut line)?;
    }
    let mut file = File::create(to)?;
    copy(&mut stream, &mut file)?;
    file.sync_all()?;
    let took = start.elapsed();
    ensure!(fs::metadata(to)?.len() == SIZE, "the file was cut off");
    fs::remove_file(to)?;
    Ok(took)
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => to.write_all(buffer.get(..n).unwrap_or_default())?,
        }
    }
}

/// Connects to the server of a URL; answers what is to be asked for there.
fn open(url: &str) -> Result<(TcpStream, String)> {
    let rest = url.strip_prefix("http://").context("not an http address")?;
    let (address, target) = rest.split_once('/').context("no path")?;
    Ok((TcpStream::connect(address)?, format!("/{target}")))
}
