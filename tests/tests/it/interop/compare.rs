//! A receipt beside the ground truth: every run, point, param, tag and file.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tests::{
    digest,
    truth::{Run, Truth},
};

/// Compares a receipt of a first import with the truth.
pub(super) fn with_truth(receipt: &Value, truth: &Truth) -> Result<()> {
    ensure!(
        receipt["schema"] == "trackway.receipt/1",
        "schema {}",
        receipt["schema"]
    );
    ensure!(receipt["complete"] == true, "the import was stopped");
    ensure!(
        list(receipt, "failures")?.is_empty(),
        "failures: {}",
        receipt["failures"]
    );
    sums_add_up(receipt)?;

    let mut differences = Vec::new();
    let lines: BTreeMap<&str, &Value> = list(receipt, "runs")?
        .iter()
        .map(|line| (line["source_id"].as_str().unwrap_or_default(), line))
        .collect();
    for id in lines.keys().filter(|id| !truth.runs.contains_key(**id)) {
        differences.push(format!("run {id} is in the receipt and nowhere else"));
    }
    for (id, run) in &truth.runs {
        match lines.get(id.as_str()) {
            None => differences.push(format!("{} {id}: not in the receipt", run.key)),
            Some(line) => differences
                .extend(run_differs(line, run).map(|what| format!("{} {id}: {what}", run.key))),
        }
    }
    let total = differences.len();
    differences.truncate(40);
    ensure!(
        total == 0,
        "{total} differences\n{}\nlosses: {}",
        differences.join("\n"),
        receipt["losses"]
    );
    totals(receipt, truth)
}

fn run_differs<'a>(line: &'a Value, run: &'a Run) -> impl Iterator<Item = String> + use<'a> {
    let sums = &line["checksums"];
    let files = run.artifacts.iter();
    let expected_files =
        digest::files(files.map(|(name, file)| (name.as_str(), file.size, file.sha256.as_str())));
    let pairs = [
        ("status", line["status"].clone(), Value::from("imported")),
        (
            "points",
            sums["points"].clone(),
            Value::from(run.points_stored),
        ),
        (
            "points_sha",
            sums["points_sha"].clone(),
            Value::from(run.points_sha_stored.as_str()),
        ),
        (
            "params_sha",
            sums["params_sha"].clone(),
            Value::from(run.params_sha.as_str()),
        ),
        (
            "tags_sha",
            sums["tags_sha"].clone(),
            Value::from(run.tags_sha.as_str()),
        ),
        (
            "files_sha",
            sums["files_sha"].clone(),
            Value::from(expected_files),
        ),
    ];
    let fields = pairs
        .into_iter()
        .filter(|(_, got, want)| got != want)
        .map(|(name, got, want)| format!("{name} is {got}, not {want}"));
    let got = sums["series"].as_object();
    let keys: BTreeSet<&str> = run
        .metrics
        .keys()
        .map(String::as_str)
        .chain(got.into_iter().flat_map(|g| g.keys().map(String::as_str)))
        .collect();
    let series = keys.into_iter().filter_map(move |key| {
        let got = got
            .and_then(|g| g.get(key))
            .map(|s| (s["n"].as_u64(), s["sha"].as_str()));
        let want = run
            .metrics
            .get(key)
            .map(|s| (Some(s.n), Some(s.sha.as_str())));
        (got != want).then(|| format!("series {key:?} is {got:?}, not {want:?}"))
    });
    fields.chain(series)
}

/// Every datum is in one bucket.
pub(super) fn sums_add_up(receipt: &Value) -> Result<()> {
    let totals = receipt["totals"].as_object().context("no totals")?;
    for (kind, bucket) in totals {
        let count = |name: &str| {
            bucket[name]
                .as_u64()
                .with_context(|| format!("{kind}.{name} is {}", bucket[name]))
        };
        let parts = ["identical", "normalised", "lost", "unreadable", "skipped"];
        let sum = parts.into_iter().map(count).sum::<Result<u64>>()?;
        ensure!(count("source")? == sum, "{kind} do not add up: {bucket}");
    }
    Ok(())
}

/// The totals are those of the corpus, and nothing is lost.
fn totals(receipt: &Value, truth: &Truth) -> Result<()> {
    let runs = || truth.runs.values();
    let traces = truth
        .traces
        .get("count")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let logged = truth.logged_models.len();
    let registered = truth.registered_models.values();
    let versions: usize = registered.map(|model| model.versions.len()).sum();
    // All traces of an experiment are one artifact.
    let of_traces = usize::from(traces > 0);
    let expected = [
        ("runs", truth.runs.len() as u64),
        ("points", truth.points()),
        ("params", runs().map(|run| run.params).sum()),
        ("inputs", runs().map(|run| run.datasets).sum()),
        ("files", runs().map(|run| run.artifacts.len() as u64).sum()),
        ("traces", traces),
        (
            "collections",
            (logged + truth.registered_models.len() + of_traces) as u64,
        ),
        ("artifacts", (logged + versions + of_traces) as u64),
    ];
    for (kind, want) in expected {
        let bucket = &receipt["totals"][kind];
        if bucket.is_null() && want == 0 {
            continue;
        }
        ensure!(
            bucket["source"] == want,
            "the source has {want} {kind}: {bucket}"
        );
        let arrived =
            bucket["identical"].as_u64().unwrap_or(0) + bucket["normalised"].as_u64().unwrap_or(0);
        ensure!(
            arrived == want,
            "{want} {kind} can arrive: {bucket}; losses: {}",
            receipt["losses"]
        );
    }
    ensure!(
        list(receipt, "losses")?.is_empty(),
        "losses: {}",
        receipt["losses"]
    );
    Ok(())
}

/// A second import of what has not changed leaves everything alone.
pub(super) fn unchanged(receipt: &Value, truth: &Truth) -> Result<()> {
    sums_add_up(receipt)?;
    let runs = list(receipt, "runs")?;
    ensure!(
        runs.len() == truth.runs.len(),
        "{} runs of {}",
        runs.len(),
        truth.runs.len()
    );
    match runs.iter().find(|line| line["status"] != "unchanged") {
        Some(line) => bail!("a second import says {line}"),
        None => Ok(()),
    }
}

fn list<'a>(receipt: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    receipt[field]
        .as_array()
        .with_context(|| format!("the receipt's {field} is no list"))
}
