//! From a file store, beside a bare loop that reads and splits the same lines.

use std::{
    fs,
    hint::black_box,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tests::digest::walk;

use super::{
    corpus::Corpus,
    importing::Program,
    process::{Cost, measure_here},
    report::{Goal, Report},
};

pub(super) fn measure(
    program: &Program,
    corpus: &Corpus,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let mlruns = corpus.mlruns();
    let points = corpus.size.total();
    let (mut splitting, mut parsing) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let target = program.target()?;
        let ours = target.import([&mlruns], points)?;
        let split = bare(&mlruns, points, split_line)?;
        let parsed = bare(&mlruns, points, parse_line)?;
        // The first round warms the caches.
        if round > 0 {
            splitting.push((ours, split));
            parsing.push((ours, parsed));
        }
    }
    report.pairs(
        "file: import / bare loop that splits lines",
        &splitting,
        Goal::AtMost(1.5),
    );
    report.pairs(
        "file: import / bare loop that also parses",
        &parsing,
        Goal::None,
    );
    let costs: Vec<Cost> = splitting.iter().map(|(ours, _)| *ours).collect();
    report.costs("file: import", &costs, points, Goal::AtLeast(2e6));
    let bare: Vec<Cost> = parsing.iter().map(|(_, bare)| *bare).collect();
    report.costs(
        "file: bare loop that also parses",
        &bare,
        points,
        Goal::None,
    );
    Ok(())
}

/// Reads all metric files of a store in one thread.
fn bare(mlruns: &Path, points: u64, line: fn(&str) -> Result<()>) -> Result<Cost> {
    let (cost, lines) = measure_here(|| {
        let mut lines = 0;
        let mut text = String::new();
        for path in metric_files(mlruns)? {
            let mut reader = BufReader::new(fs::File::open(&path)?);
            while reader.read_line(&mut text)? > 0 {
                line(&text).with_context(|| format!("read {}", path.display()))?;
                text.clear();
                lines += 1;
            }
        }
        Ok(lines)
    })?;
    ensure!(
        lines == points,
        "{lines} lines in the file store, {points} points"
    );
    Ok(cost)
}

fn split_line(line: &str) -> Result<()> {
    let mut words = line.split_ascii_whitespace();
    black_box((words.next(), words.next(), words.next()));
    Ok(())
}

fn parse_line(line: &str) -> Result<()> {
    let mut words = line.split_ascii_whitespace();
    let mut next = || words.next().context("too few words in a line");
    let (time, value, step): (i64, f64, i64) =
        (next()?.parse()?, next()?.parse()?, next()?.parse()?);
    black_box((time, value, step));
    Ok(())
}

fn metric_files(mlruns: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for experiment in folders(mlruns)? {
        for run in folders(&experiment)? {
            let metrics = run.join("metrics");
            if metrics.is_dir() {
                files.extend(walk(&metrics)?.into_iter().filter(|path| path.is_file()));
            }
        }
    }
    Ok(files)
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}
