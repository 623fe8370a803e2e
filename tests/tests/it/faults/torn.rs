//! File stores whose files were cut off, or written by something else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tests::mlruns;

use super::{Outcome, SMALL, import, runs_that_are, tells, total};

const POINTS: u64 = (SMALL.runs * SMALL.metrics * SMALL.points) as u64;

/// Spoils the first run of a store and imports it.
fn import_spoiled(spoil: impl FnOnce(&Path) -> Result<()>) -> Result<(Outcome, String)> {
    let folder = tempfile::tempdir()?;
    mlruns::write(folder.path(), SMALL)?;
    let mut runs: Vec<PathBuf> = fs::read_dir(folder.path().join("1"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    runs.retain(|path| path.is_dir());
    runs.sort();
    let run = runs.first().context("no run")?;
    spoil(run)?;
    let id = run
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok((import([folder.path()])?, id))
}

#[test]
fn a_torn_run() -> Result<()> {
    let (outcome, id) = import_spoiled(|run| {
        let meta = run.join("meta.yaml");
        let text = fs::read_to_string(&meta)?;
        fs::write(&meta, &text[..text.len() / 3])?;
        Ok(())
    })?;
    let receipt = outcome.went_on(3)?;
    ensure!(
        runs_that_are(receipt, &["imported"]) == SMALL.runs - 1,
        "{receipt:#}"
    );
    ensure!(tells(receipt, &[&id]), "{receipt:#}");
    Ok(())
}

#[test]
fn an_empty_run() -> Result<()> {
    let (outcome, id) = import_spoiled(|run| Ok(fs::write(run.join("meta.yaml"), "")?))?;
    let receipt = outcome.went_on(3)?;
    ensure!(
        runs_that_are(receipt, &["imported"]) == SMALL.runs - 1,
        "{receipt:#}"
    );
    ensure!(tells(receipt, &[&id]), "{receipt:#}");
    Ok(())
}

#[test]
fn a_torn_experiment() -> Result<()> {
    let (outcome, _) = import_spoiled(|run| {
        let experiment = run.parent().context("no experiment")?;
        Ok(fs::write(experiment.join("meta.yaml"), "artifact_loc")?)
    })?;
    let receipt = outcome.went_on(3)?;
    ensure!(tells(receipt, &["meta.yaml"]), "{receipt:#}");
    Ok(())
}

#[test]
fn half_a_line() -> Result<()> {
    let (outcome, id) = import_spoiled(|run| {
        let metric = run.join("metrics/train/m0");
        let text = fs::read_to_string(&metric)?;
        let whole = text.trim_end().rfind('\n').context("one line")?;
        fs::write(&metric, &text[..whole + 8])?;
        Ok(())
    })?;
    let receipt = outcome.went_on(3)?;
    ensure!(
        runs_that_are(receipt, &["imported"]) == SMALL.runs,
        "{receipt:#}"
    );
    ensure!(total(receipt, "points", "unreadable") == 1, "{receipt:#}");
    ensure!(
        total(receipt, "points", "identical") == POINTS - 1,
        "{receipt:#}"
    );
    ensure!(tells(receipt, &[&id, "m0"]), "{receipt:#}");
    Ok(())
}

#[test]
fn lines_of_something_else() -> Result<()> {
    let (outcome, id) = import_spoiled(|run| {
        let metric = run.join("metrics/train/m1");
        let mut bytes = fs::read(&metric)?;
        bytes.extend_from_slice(b"loss went down\n1700000000000 NaN? 3\n\xff\xfe\x00\n");
        bytes.extend(std::iter::repeat_n(b'7', 3 << 20));
        Ok(fs::write(&metric, bytes)?)
    })?;
    let receipt = outcome.went_on(3)?;
    ensure!(total(receipt, "points", "unreadable") == 4, "{receipt:#}");
    ensure!(
        total(receipt, "points", "identical") == POINTS,
        "{receipt:#}"
    );
    ensure!(tells(receipt, &[&id, "m1"]), "{receipt:#}");
    Ok(())
}

#[test]
fn yaml_that_means_harm() -> Result<()> {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
    let (outcome, id) = import_spoiled(|run| Ok(fs::write(run.join("meta.yaml"), bomb)?))?;
    let receipt = outcome.went_on(3)?;
    ensure!(
        runs_that_are(receipt, &["imported"]) == SMALL.runs - 1,
        "{receipt:#}"
    );
    ensure!(tells(receipt, &[&id]), "{receipt:#}");
    Ok(())
}

#[test]
fn a_run_whose_id_leads_elsewhere() -> Result<()> {
    let (outcome, _) = import_spoiled(|run| {
        let meta = run.join("meta.yaml");
        let id = run.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&meta)?
            .replace(&format!("run_id: {id}"), "run_id: ../../../../escaped");
        Ok(fs::write(&meta, text)?)
    })?;
    let receipt = outcome.went_on(outcome.code.unwrap_or(-1))?;
    ensure!(
        runs_that_are(receipt, &["imported"]) >= SMALL.runs - 1,
        "{receipt:#}"
    );
    Ok(())
}
