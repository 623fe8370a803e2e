//! From a database, beside Python's `sqlite3` that only fetches the same rows.

use std::{ffi::OsString, path::Path};

use anyhow::{Context, Result};

use super::{
    corpus::Corpus,
    importing::Program,
    process::Cost,
    python,
    report::{Goal, Report},
};

pub(super) fn measure(
    program: &Program,
    corpus: &Corpus,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let database = corpus.database();
    let path = database.to_str().context("a path that is not UTF-8")?;
    let points = corpus.size.total();
    let mut pairs = Vec::new();
    for round in 0..=rounds {
        let target = program.target()?;
        let ours = target.import(args(&database, &corpus.artifacts()), points)?;
        let theirs = python::measure(&corpus.mlflow, "bench_sqlite.py", &[path], points)?;
        // The first round warms the caches.
        if round > 0 {
            pairs.push((ours, theirs));
        }
    }
    report.pairs(
        "sqlite: import / Python's sqlite3 fetching",
        &pairs,
        Goal::AtMost(1.0),
    );
    let costs: Vec<Cost> = pairs.iter().map(|(ours, _)| *ours).collect();
    report.costs("sqlite: import", &costs, points, Goal::AtLeast(1e6));
    Ok(())
}

/// What tells the program to read a database.
pub(super) fn args(database: &Path, artifacts: &Path) -> Vec<OsString> {
    vec![
        format!("sqlite:///{}", database.display()).into(),
        "--artifacts-root".into(),
        artifacts.into(),
    ]
}
