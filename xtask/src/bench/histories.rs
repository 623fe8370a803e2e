//! Histories that commands read: a run of ten series of a million points each, whole processes.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::{
    answers, built, example,
    process::{self, Cost},
    report::{Figure, Goal, Report},
};
use crate::steps::{Steps, output, target};

const RUN: &str = "local/speed/run";
/// The series of [`RUN`] that is asked for alone.
const KEY: &str = "train/metric3";
const POINTS: u64 = 10_000_000;
const ROUNDS: usize = 5;

pub(super) fn measure(steps: &mut Steps, folder: &Path, report: &mut Report) -> Result<()> {
    let filling = example(steps, "tracker-store", "history_speed")?;
    built(steps, None)?;
    let folder = folder.join("history");
    steps.step("samples and exports of a history", || {
        answers::clear(&folder)?;
        fs::create_dir_all(&folder)?;
        sample(&filling, &folder, report)?;
        exports(&folder, report)
    })
}

/// The sample of a series beside a plain file of the same series that is read to its end.
fn sample(filling: &Path, folder: &Path, report: &mut Report) -> Result<()> {
    let said = output(Command::new(filling).arg(folder))?;
    let plain: Figure =
        serde_json::from_str(said.trim()).with_context(|| format!("understand {said}"))?;
    let args = ["history", RUN, "--keys", KEY, "--samples", "500"];
    let ours = answers::rounds(&folder.join("store"), &args)?;
    report.add("history: 500 samples of 1M rows", "ms", &ours, Goal::None);
    report.add(
        "history: plain Parquet, all rows",
        "ms",
        &plain.rounds,
        Goal::None,
    );
    let ratios = answers::ratios(&ours, &plain.rounds);
    let name = "history: samples, the whole process / plain Parquet, within one";
    report.add(name, "× time", &ratios, Goal::AtMost(2.0));
    Ok(())
}

fn exports(folder: &Path, report: &mut Report) -> Result<()> {
    let scratch = tempfile::tempdir_in(folder)?;
    for (format, layout, goal) in [
        ("parquet", "wide", Goal::AtLeast(5e6)),
        ("parquet", "long", Goal::AtLeast(5e6)),
        ("csv", "wide", Goal::AtLeast(1e6)),
    ] {
        let export = || -> Result<Cost> {
            let file = scratch.path().join("exported");
            let mut command = Command::new(target().join("release").join("trackway"));
            command
                .args(["export", "history", RUN])
                .args(["--layout", layout, "--format", format, "--output"])
                .arg(&file)
                .env("TRACKWAY_HOME", folder.join("store"));
            let (cost, _) = process::measure(&mut command)?;
            fs::remove_file(file)?;
            Ok(cost)
        };
        export()?;
        let costs = (0..ROUNDS).map(|_| export()).collect::<Result<Vec<_>>>()?;
        let name = format!("export history: {format}, {layout}");
        report.costs(&name, &costs, POINTS, goal);
    }
    Ok(())
}
