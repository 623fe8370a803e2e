//! Yardsticks written in Python.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use tests::peers::Python;

use super::process::Cost;
use crate::steps::{output, root};

/// Runs one of the scripts beside the tests, which prints its seconds of wall and processor time
/// and how many points it read.
pub(super) fn measure(python: &Python, script: &str, args: &[&str], points: u64) -> Result<Cost> {
    let script = root().join("tests").join("peers").join(script);
    let mut command: Command = python.command([&script]);
    let said = output(command.args(args))?;
    let mut words = said.split_whitespace();
    let mut next = || words.next().context("too few words from a script");
    let (wall, cpu, read): (f64, f64, u64) = (next()?.parse()?, next()?.parse()?, next()?.parse()?);
    ensure!(read == points, "{read} points read, {points} are there");
    Ok(Cost {
        wall: Duration::from_secs_f64(wall),
        cpu: Duration::from_secs_f64(cpu),
        peak: 0,
    })
}
