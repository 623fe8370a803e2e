//! Rows a second through file streams: programs that log at once, each answer waited for.

use std::{
    fmt::Write as _,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::{mlruns::Numbers, peers::Peers};

use super::{Ours, Place, other::OpenWandb};
use crate::{
    bench::{
        example,
        process::cpu_of,
        report::{Goal, Report},
    },
    steps::{Steps, output},
};

/// Programs that log at once, rows of a request, values of a row.
const PROGRAMS: usize = 8;
const ROWS: u64 = 500;
const KEYS: usize = 10;
/// Requests of each program; fewer where they take longer.
const REQUESTS: u64 = 100;
const REQUESTS_OF_OTHER: u64 = 6;

const PROJECT: &str = "speed";

/// What the store's own measurement says.
#[derive(Deserialize)]
struct Alone {
    rounds: Vec<f64>,
}

pub(super) fn measure(
    steps: &mut Steps,
    program: &Path,
    peers: &Peers,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let appending = example(steps, "tracker-store", "append_speed")?;
    let load = Load::new(REQUESTS);
    let other_load = Load::new(REQUESTS_OF_OTHER);
    steps.step("file streams", || {
        let other = OpenWandb::start(peers)?;
        let (mut rates, mut theirs, mut costs, mut alone) = (vec![], vec![], vec![], vec![]);
        for round in 0..=rounds {
            let ours = Ours::start(program)?;
            let before = cpu_of(ours.serving.id())?;
            let took = load.log(&ours.place(), round).context("log to us")?;
            let cpu = cpu_of(ours.serving.id())? - before;
            load.check(&ours.place(), round)?;
            let took_other = other_load.log(&other.place(), round);
            let took_other = took_other.context("log to openwandb")?;
            other.check(other_load.values() * (round as u64 + 1))?;
            let store = store_alone(&appending)?;
            // The first round warms the caches.
            if round > 0 {
                rates.push(load.rows() / took.as_secs_f64());
                costs.push(cpu.as_secs_f64() * 1e6 / load.rows());
                theirs.push(other_load.rows() / took_other.as_secs_f64());
                alone.push(store);
            }
        }
        report.add("log: rows", "rows/s", &rates, Goal::None);
        report.add("log: server's processor", "µs/row", &costs, Goal::None);
        report.add("log: openwandb", "rows/s", &theirs, Goal::None);
        report.add("log: store alone", "rows/s", &alone, Goal::None);
        let ratios = |of: &[f64]| -> Vec<f64> {
            let pairs = rates.iter().zip(of);
            pairs.map(|(ours, other)| ours / other).collect()
        };
        let beside = ratios(&theirs);
        report.add("log: speed / openwandb", "×", &beside, Goal::AtLeast(10.0));
        let beside = ratios(&alone);
        report.add("log: speed / store alone", "×", &beside, Goal::AtLeast(0.5));
        Ok(())
    })
}

/// Rows a second that the store takes in one process, without a server.
fn store_alone(appending: &Path) -> Result<f64> {
    let said = output(Command::new(appending).arg("1"))?;
    let alone: Alone = serde_json::from_str(said.trim())?;
    alone
        .rounds
        .first()
        .copied()
        .context("no figure of the store")
}

/// The bodies of the requests of each program.
pub(super) struct Load {
    bodies: Vec<Vec<Vec<u8>>>,
}

impl Load {
    fn new(requests: u64) -> Self {
        let program = |number: usize| {
            let mut numbers = Numbers::of_seed(number as u64);
            (0..requests)
                .map(|at| body(&mut numbers, at * ROWS))
                .collect()
        };
        Self {
            bodies: (0..PROGRAMS).map(program).collect(),
        }
    }

    /// Logs a run of so many rows, and ends it; answers its path.
    pub(super) fn one(place: &Place, rows: u64) -> Result<String> {
        let name = "long";
        place.begin(PROJECT, name)?;
        let mut connection = place.connect()?;
        let target = place.stream(PROJECT, name);
        let mut numbers = Numbers::of_seed(1);
        for offset in (0..rows).step_by(usize::try_from(ROWS)?) {
            connection.post(&target, &body(&mut numbers, offset))?;
        }
        let end = json!({"complete": true, "exitcode": 0}).to_string();
        connection.post(&target, end.as_bytes())?;
        Ok(format!("{}/{PROJECT}/{name}", place.entity))
    }

    /// All values but the times.
    fn values(&self) -> u64 {
        let requests: usize = self.bodies.iter().map(Vec::len).sum();
        requests as u64 * ROWS * KEYS as u64
    }

    fn rows(&self) -> f64 {
        let requests: usize = self.bodies.iter().map(Vec::len).sum();
        requests as f64 * ROWS as f64
    }

    /// Logs everything, to runs of this round.
    fn log(&self, place: &Place, round: usize) -> Result<Duration> {
        for program in 0..PROGRAMS {
            place.begin(PROJECT, &run(round, program))?;
        }
        let start = Instant::now();
        thread::scope(|scope| {
            let programs: Vec<_> = (0..).zip(&self.bodies).collect();
            let programs: Vec<_> = programs
                .into_iter()
                .map(|(program, bodies)| {
                    scope.spawn(move || -> Result<()> {
                        let mut connection = place.connect()?;
                        let target = place.stream(PROJECT, &run(round, program));
                        for body in bodies {
                            connection.post(&target, body)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            programs.into_iter().try_for_each(|program| {
                program.join().map_err(|_| anyhow!("a program panicked"))?
            })
        })?;
        Ok(start.elapsed())
    }

    /// Makes sure that the rows are there.
    fn check(&self, place: &Place, round: usize) -> Result<()> {
        let ask = "query Lines($name: String!, $project: String!, $entity: String!) { project(name: $project, entityName: $entity) { run(name: $name) { historyLineCount } } }";
        for (program, bodies) in self.bodies.iter().enumerate() {
            let names =
                json!({"name": run(round, program), "project": PROJECT, "entity": place.entity});
            let said = place.ask(ask, &names)?;
            let lines = said
                .pointer("/project/run/historyLineCount")
                .and_then(Value::as_u64);
            let sent = bodies.len() as u64 * ROWS;
            ensure!(lines == Some(sent), "{lines:?} rows are there of {sent}");
        }
        Ok(())
    }
}

fn run(round: usize, program: usize) -> String {
    format!("round{round}program{program}")
}

/// A request with rows from this line on.
fn body(numbers: &mut Numbers, offset: u64) -> Vec<u8> {
    let line = |row: u64, numbers: &mut Numbers| {
        let seconds = 1_700_000_000.0 + row as f64 * 0.25;
        let mut line = format!(
            "{{\"_step\":{row},\"_timestamp\":{seconds:e},\"_runtime\":{}",
            row as f64 * 0.25
        );
        for key in 0..KEYS {
            let _ = write!(line, ",\"train/m{key}\":{}", numbers.fraction());
        }
        line.push('}');
        line
    };
    let lines: Vec<String> = (offset..offset + ROWS)
        .map(|row| line(row, numbers))
        .collect();
    let chunk = json!({"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}});
    chunk.to_string().into_bytes()
}
