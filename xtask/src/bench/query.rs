//! Filters over documents: parsed ones beside mingo, text beside SQLite's own scan, what is pushed
//! down beside SQL by hand, and a whole store beside MongoDB.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::{
    answers, example, histories,
    report::{Figure, Goal, Report},
};
use crate::{
    interop,
    steps::{Steps, output, root, run, target},
};

/// The version of mingo, the fastest evaluator for JavaScript.
const MINGO: &str = "mingo@7.2.6";
/// The filters, and how many documents of the whole corpus each one finds.
const FOUND: [(&str, usize); 5] = [
    ("f1_eq_range", 36071),
    ("f2_metric_gt", 10011),
    ("f3_tags_in", 10738),
    ("f4_or_regex", 33917),
    ("f5_and_mix", 10549),
];

/// What to measure filters with.
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Where the figures are appended, one JSON document a line.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Filters over documents in memory.
    Filters,
    /// Whole commands over a store of runs.
    Store,
    /// Whole commands over a long history.
    Histories,
}

/// What mingo says of a filter.
#[derive(Deserialize)]
struct Theirs {
    found: usize,
    rounds: Vec<f64>,
}

impl Query {
    pub(super) fn run(&self, steps: &mut Steps) -> Result<()> {
        let json = self.json.as_ref().map_or_else(
            || target().join("bench").join("query.jsonl"),
            |path| root().join(path),
        );
        let mut report = Report::new(json);
        let folder = interop::folder().join("bench").join("query");
        steps.step("documents", || corpus(&folder))?;
        let wanted = |part| self.only.is_empty() || self.only.contains(&part);
        if wanted(Part::Filters) {
            let speed = example(steps, "query-dsl", "filter_speed")?;
            let ours = steps.step("filters", || ours(&speed, &folder, &mut report))?;
            match available("npm").and_then(|()| available("node")) {
                Ok(()) => steps.step("filters by mingo", || mingo(&folder, &ours, &mut report))?,
                Err(reason) => steps.skip("filters by mingo", &format!("{reason:#}"))?,
            }
        }
        if wanted(Part::Store) {
            answers::measure(steps, &folder, &mut report)?;
        }
        if wanted(Part::Histories) {
            histories::measure(steps, &folder, &mut report)?;
        }
        report.finish()
    }
}

fn available(program: &str) -> Result<()> {
    let mut command = Command::new(program);
    let said = command.arg("--version").stdin(Stdio::null()).output();
    let said = said.with_context(|| format!("there is no {program}"))?;
    ensure!(said.status.success(), "{program} does not start");
    Ok(())
}

/// Makes the documents and the filters, unless they are there.
fn corpus(folder: &Path) -> Result<()> {
    if folder.join("filters.json").exists() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let script = root().join("tests").join("peers").join("query_corpus.py");
    run(Command::new("python3").arg(script).arg(folder))
}

/// Runs our measurement; gives the best speed over parsed documents for each filter.
fn ours(speed: &Path, folder: &Path, report: &mut Report) -> Result<BTreeMap<String, f64>> {
    let said = output(Command::new(speed).arg(folder))?;
    let mut parsed = BTreeMap::new();
    for line in said.lines() {
        let figure: Figure =
            serde_json::from_str(line).with_context(|| format!("understand {line}"))?;
        let (what, filter) = figure.name.split_once(": ").unwrap_or((&figure.name, ""));
        let goal = match what {
            "found" => {
                let (_, expected) = FOUND
                    .iter()
                    .find(|(name, _)| *name == filter)
                    .with_context(|| format!("{filter} is no filter"))?;
                ensure!(
                    figure.rounds == [*expected as f64],
                    "we find {:?} documents by {filter}, not {expected}",
                    figure.rounds
                );
                continue;
            }
            "parsed" => {
                parsed.insert(filter.to_owned(), greatest(&figure.rounds));
                Goal::AtLeast(if filter == "f5_and_mix" { 1.5e6 } else { 3e6 })
            }
            "text / SQLite's scan" => Goal::AtLeast(6.0),
            "pushed down / SQL by hand" => Goal::AtMost(1.05),
            _ => Goal::None,
        };
        report.add(
            &format!("filters: {}", figure.name),
            &figure.unit,
            &figure.rounds,
            goal,
        );
    }
    Ok(parsed)
}

fn mingo(folder: &Path, ours: &BTreeMap<String, f64>, report: &mut Report) -> Result<()> {
    let packages = interop::folder().join("mingo");
    if !packages.join("node_modules").join("mingo").exists() {
        fs::create_dir_all(&packages)?;
        let mut install = Command::new("npm");
        install.args(["install", "--no-save", "--prefix"]);
        run(install.arg(&packages).arg(MINGO))?;
    }
    let script = root().join("tests").join("peers").join("query_mingo.mjs");
    let mut node = Command::new("node");
    node.arg("--max-old-space-size=8192").arg(script);
    let said = output(node.arg(&packages).arg(folder))?;
    let theirs: BTreeMap<String, Theirs> = serde_json::from_str(&said).context("understand it")?;
    for (filter, expected) in FOUND {
        let theirs = theirs.get(filter).context("mingo lacks a filter")?;
        ensure!(
            theirs.found == expected,
            "mingo finds {} documents by {filter}, not {expected}",
            theirs.found
        );
        report.add(
            &format!("mingo: {filter}"),
            "docs/s",
            &theirs.rounds,
            Goal::None,
        );
        let ours = ours.get(filter).context("a filter was not measured")?;
        report.add(
            &format!("filters: parsed / mingo: {filter}"),
            "× speed",
            &[ours / greatest(&theirs.rounds)],
            Goal::AtLeast(10.0),
        );
    }
    Ok(())
}

fn greatest(rounds: &[f64]) -> f64 {
    rounds.iter().copied().fold(0.0, f64::max)
}
