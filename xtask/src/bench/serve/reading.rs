//! All rows of a run: by the SDK, and by our client.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use tests::peers::{Peers, Wandb};

use super::{Ours, logging::Load, sdk};
use crate::{
    bench::{
        example,
        process::cpu_of,
        report::{Goal, Report},
    },
    steps::{Steps, output},
};

/// Rows of the run.
const ROWS: u64 = 1_000_000;

pub(super) fn measure(
    steps: &mut Steps,
    program: &Path,
    peers: &Peers,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let scanning = example(steps, "tracker-client", "scan_speed")?;
    let ours = Ours::start(program)?;
    let run = steps.step("a long run", || Load::one(&ours.place(), ROWS))?;
    steps.step("all rows", || {
        let mut rates = Vec::new();
        for _ in 0..rounds {
            rates.push(client(&scanning, &ours, &run)?);
        }
        report.add("scan: our client", "rows/s", &rates, Goal::None);
        for version in [Wandb::V0_31, Wandb::V0_28] {
            let python = peers.wandb(version)?;
            let before = cpu_of(ours.serving.id())?;
            let (took, rows) = sdk(&python, &ours.place(), &["scan", &run])?;
            ensure!(rows == ROWS, "{rows} rows of {ROWS}");
            let cpu = (cpu_of(ours.serving.id())? - before).as_secs_f64();
            let (version, rate) = (version.version(), rows as f64 / took);
            report.add(
                &format!("scan: SDK {version}"),
                "rows/s",
                &[rate],
                Goal::None,
            );
            report.add(
                &format!("scan: server's processor / time of the SDK {version}"),
                "×",
                &[cpu / took],
                Goal::AtMost(0.1),
            );
            let beside: Vec<f64> = rates.iter().map(|ours| ours / rate).collect();
            report.add(
                &format!("scan: speed of our client / SDK {version}"),
                "×",
                &beside,
                Goal::AtLeast(20.0),
            );
        }
        Ok(())
    })
}

/// Rows a second of our client.
fn client(scanning: &Path, ours: &Ours, run: &str) -> Result<f64> {
    let mut scan = Command::new(scanning);
    let place = ours.place();
    let said = output(scan.args([&place.url, &place.key]).arg(run))?;
    let (took, rows) = said.trim().split_once(' ').context("two words")?;
    ensure!(rows == ROWS.to_string(), "{rows} rows of {ROWS}");
    Ok(ROWS as f64 / took.parse::<f64>()?)
}
