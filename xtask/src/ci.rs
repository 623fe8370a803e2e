//! `cargo xtask ci`: what has to hold before a change is taken.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    steps::{Steps, cargo, root},
    test::Test,
    tidy,
};

/// The README's commands, in its order: the first thing that a visitor types, and the tests.
const COMMANDS: [&str; 2] = [
    "cargo run --release -- import examples/data/mlruns",
    "cargo xtask test",
];

pub(crate) fn run(steps: &mut Steps) -> Result<()> {
    steps.command("formatting", &mut cargo(["fmt", "--all", "--check"]))?;
    tidy::run(steps)?;
    steps.step("README", readme)?;
    steps.command(
        "clippy",
        &mut cargo([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    steps.command(
        "documentation",
        cargo(["doc", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    steps.command(
        "trackway as a library",
        cargo([
            "check",
            "--package",
            "trackway",
            "--no-default-features",
            "--features",
            "mlflow",
        ])
        .env("RUSTFLAGS", flags()),
    )?;
    Test::all().run(steps)?;
    steps.step("the README's first command", first_command)
}

/// The flags that the other steps have: cargo would build everything anew for others.
fn flags() -> String {
    std::env::var("RUSTFLAGS").unwrap_or_default()
}

fn readme() -> Result<()> {
    let text = fs::read_to_string(root().join("README.md")).context("read README.md")?;
    for command in COMMANDS {
        ensure!(
            text.lines().any(|line| line.trim() == command),
            "it does not have the line `{command}`"
        );
    }
    Ok(())
}

/// Types the README's first command, and believes its exit code and its receipt only.
fn first_command() -> Result<()> {
    let home = tempfile::tempdir()?;
    let receipt = home.path().join("receipt.json");
    let mut words = COMMANDS[0].split(' ').skip(1);
    let mut import = cargo(words.by_ref());
    import
        .env("TRACKWAY_HOME", home.path().join("store"))
        .arg("--report")
        .arg(&receipt);
    crate::steps::run(&mut import)?;
    let receipt: Value = serde_json::from_slice(&fs::read(&receipt).context("read the receipt")?)?;
    check(&receipt)?;
    // Once more: everything is there, so nothing is written.
    let again = home.path().join("again.json");
    let mut import: Command = cargo(COMMANDS[0].split(' ').skip(1));
    import
        .env("TRACKWAY_HOME", home.path().join("store"))
        .arg("--report")
        .arg(&again);
    crate::steps::run(&mut import)?;
    let again: Value =
        serde_json::from_slice(&fs::read(&again).context("read the second receipt")?)?;
    let runs = again["runs"]
        .as_array()
        .context("the second receipt has no runs")?;
    ensure!(
        runs.iter().all(|run| run["status"] == "unchanged"),
        "the second import does not leave every run as it is"
    );
    Ok(())
}

/// The receipt of the example: all of it arrived, and its sums add up.
fn check(receipt: &Value) -> Result<()> {
    ensure!(
        receipt["schema"] == "trackway.receipt/1",
        "the receipt has another schema: {}",
        receipt["schema"]
    );
    ensure!(
        receipt["failures"].as_array().is_some_and(Vec::is_empty),
        "something failed: {}",
        receipt["failures"]
    );
    ensure!(
        receipt["losses"].as_array().is_some_and(Vec::is_empty),
        "something was lost: {}",
        receipt["losses"]
    );
    let totals = receipt["totals"]
        .as_object()
        .context("the receipt has no totals")?;
    for (kind, counts) in totals {
        let count = |bucket: &str| counts[bucket].as_u64().unwrap_or_default();
        let sum = count("identical")
            + count("normalised")
            + count("lost")
            + count("unreadable")
            + count("skipped");
        ensure!(
            count("source") == sum,
            "the sums of {kind} do not add up: {counts}"
        );
    }
    let points = &receipt["totals"]["points"];
    ensure!(
        points["identical"].as_u64().is_some_and(|n| n > 3000),
        "too few points arrived: {points}"
    );
    ensure!(
        receipt["runs"]
            .as_array()
            .is_some_and(|runs| runs.len() == 13),
        "not 13 runs: {}",
        receipt["totals"]["runs"]
    );
    Ok(())
}
