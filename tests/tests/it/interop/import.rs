//! One corpus, read by every way that there is: the server, its database, file stores.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use tests::{
    cli::Trackway,
    digest,
    peers::{Corpus, Layout, Mlflow, Peers},
    proxy::{Proxy, Request},
    truth::Truth,
};

use super::{compare, printed};
use crate::trackway;

#[test]
#[ignore = "needs MLflow: cargo xtask interop"]
fn mlflow3_server() -> Result<()> {
    from_server(Mlflow::Three)
}

#[test]
#[ignore = "needs MLflow: cargo xtask interop"]
fn mlflow2_server() -> Result<()> {
    from_server(Mlflow::Two)
}

#[test]
#[ignore = "needs MLflow: cargo xtask interop"]
fn mlflow3_database() -> Result<()> {
    from_database(Mlflow::Three)
}

#[test]
#[ignore = "needs MLflow: cargo xtask interop"]
fn mlflow2_database() -> Result<()> {
    from_database(Mlflow::Two)
}

/// The data of the database once more, in the other layout.
#[test]
#[ignore = "needs MLflow: cargo xtask interop"]
fn mlflow3_converted_folder() -> Result<()> {
    let corpus = Peers::from_env()?.corpus(Mlflow::Three, Layout::Database)?;
    let mut truth = corpus.truth_of_mlruns()?;
    // The conversion leaves them out.
    truth.traces.clear();
    truth.logged_models.clear();
    truth.registered_models.clear();
    from_folder(&corpus, &truth)
}

/// A file store of MLflow's own: infinities, negative zeros and repeated points included.
#[test]
#[ignore = "needs MLflow: cargo xtask interop"]
fn mlflow3_folder() -> Result<()> {
    let corpus = Peers::from_env()?.corpus(Mlflow::Three, Layout::Folder)?;
    from_folder(&corpus, &corpus.truth_of_mlruns()?)
}

fn from_server(version: Mlflow) -> Result<()> {
    let corpus = Peers::from_env()?.corpus(version, Layout::Database)?;
    let truth = corpus.truth()?;
    let trackway = trackway()?;
    let server = corpus.serve(trackway.scratch())?;
    let proxy = Proxy::before(server.address())?;
    let source = format!("mlflow+{}", proxy.url());
    check(&trackway, &[&source], &truth)?;
    let asked = proxy.take();
    only_reads(&asked)?;

    unchanged(&trackway, &[&source], &truth)?;
    let asked_again = proxy.take();
    only_reads(&asked_again)?;
    ensure!(
        asked_again.len() * 20 < asked.len(),
        "{} requests for a second import, {} for the first",
        asked_again.len(),
        asked.len()
    );
    Ok(())
}

fn from_database(version: Mlflow) -> Result<()> {
    let corpus = Peers::from_env()?.corpus(version, Layout::Database)?;
    let truth = corpus.truth()?;
    let trackway = trackway()?;
    // A copy, for nobody else to look at while its bytes are compared.
    let folder = trackway.scratch().join("source");
    fs::create_dir(&folder)?;
    let database = folder.join("mlflow.db");
    fs::copy(corpus.database(), &database)?;
    let before = digest::folder(&folder)?;
    let source = format!("sqlite:///{}", database.display());
    let artifacts = corpus.artifacts();
    let root = artifacts.to_str().context("a folder whose name is text")?;
    let args = [source.as_str(), "--artifacts-root", root];
    check(&trackway, &args, &truth)?;
    unchanged(&trackway, &args, &truth)?;
    ensure!(
        digest::folder(&folder)? == before,
        "the import left traces in the database's folder"
    );
    Ok(())
}

fn from_folder(corpus: &Corpus, truth: &Truth) -> Result<()> {
    let trackway = trackway()?;
    let mlruns = corpus.mlruns();
    let before = digest::folder(&mlruns)?;
    let source = mlruns.to_str().context("a folder whose name is text")?;
    check(&trackway, &[source], truth)?;
    unchanged(&trackway, &[source], truth)?;
    ensure!(
        digest::folder(&mlruns)? == before,
        "the import left traces in the file store"
    );
    Ok(())
}

/// Imports everything into an empty store and compares it with the truth.
fn check(trackway: &Trackway, source: &[&str], truth: &Truth) -> Result<()> {
    let receipt = trackway.import(source.iter().chain(&["--include-deleted"]), 0)?;
    compare::with_truth(&receipt, truth)?;
    printed::with_truth(trackway, truth)?;
    filtered(trackway, source, truth)?;
    trackway.stdout(["fsck", "--read-data"]).map(drop)
}

/// A filter picks the same runs of the source, by whatever way it is asked, as of the store that
/// has all of them.
fn filtered(trackway: &Trackway, source: &[&str], truth: &Truth) -> Result<()> {
    let mut starts: Vec<i64> = truth.runs.values().map(|run| run.start_time).collect();
    starts.sort_unstable();
    let middle = printed::rfc3339(starts[starts.len() / 2]);
    let measured = truth.runs.values().find(|run| !run.metrics.is_empty());
    let measured = measured.context("a run with metrics")?;
    let key = measured.metrics.keys().next().context("a metric")?;
    let filters = [
        "state = finished".to_owned(),
        "not state in [finished, killed]".to_owned(),
        format!("started_at >= {middle}"),
        format!("created_at > {middle} and display_name ~ /[aeiou]/"),
        serde_json::json!({ "display_name": measured.name }).to_string(),
        serde_json::json!({ format!("summary.{key}"): { "$gt": 0, "$lte": 0.5 } }).to_string(),
        serde_json::json!({ format!("summary.{key}"): { "$exists": false } }).to_string(),
    ];
    let mut picked = 0;
    for filter in &filters {
        let select = ["--include-deleted", "--filter", filter];
        let of_store = trackway.stdout(["runs", "--jsonl"].iter().chain(&select))?;
        let of_store = of_store.lines().map(|line| {
            let run: serde_json::Value = serde_json::from_str(line)?;
            Ok(run["id"].as_str().context("an id")?.to_owned())
        });
        let of_store = of_store.collect::<Result<BTreeSet<_>>>()?;
        let args = source.iter().chain(&select).chain(&["--dry-run"]);
        let receipt = trackway.import(args, 0)?;
        let runs = receipt["runs"].as_array().context("runs in the receipt")?;
        let of_source: BTreeSet<String> = runs
            .iter()
            .filter_map(|run| Some(run["source_id"].as_str()?.to_owned()))
            .collect();
        ensure!(
            of_source == of_store,
            "{filter}: {} runs of the source, {} of the store",
            of_source.len(),
            of_store.len()
        );
        picked += usize::from(!of_source.is_empty() && of_source.len() < truth.runs.len());
    }
    ensure!(picked >= 5, "only {picked} of the filters pick some runs");
    Ok(())
}

/// Imports once more: nothing is written.
fn unchanged(trackway: &Trackway, source: &[&str], truth: &Truth) -> Result<()> {
    let history = trackway.store().join("history");
    let before = (digest::folder(&history)?, blobs(&trackway.store())?);
    let receipt = trackway.import(source.iter().chain(&["--include-deleted"]), 0)?;
    compare::unchanged(&receipt, truth)?;
    ensure!(
        (digest::folder(&history)?, blobs(&trackway.store())?) == before,
        "a second import wrote"
    );
    Ok(())
}

fn blobs(store: &Path) -> Result<usize> {
    Ok(digest::walk(&store.join("blobs"))?.len())
}

fn only_reads(requests: &[Request]) -> Result<()> {
    ensure!(!requests.is_empty(), "the proxy saw no request");
    match requests.iter().find(|request| !request.reads()) {
        Some(request) => anyhow::bail!("the import sent {} {}", request.method, request.target),
        None => Ok(()),
    }
}
