//! From a server: its processor is the limit, so what counts is how little is added to it.

use std::ffi::OsString;

use anyhow::{Context, Result, ensure};
use tests::{peers::Server, proxy::Proxy};

use super::{
    corpus::Corpus,
    importing::Program,
    process::Cost,
    puller::pull,
    python,
    report::{Goal, Report},
};

/// The connections of the yardstick.
const CONNECTIONS: usize = 8;

pub(super) fn measure(
    program: &Program,
    corpus: &Corpus,
    runs: u64,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let server = corpus.serve(scratch.path())?;
    let runs = runs.min(corpus.size.runs);
    let points = runs * corpus.size.metrics * corpus.size.points;
    let pages = pages(program, &server, runs, points)?;
    report.add(
        "rest: requests for history and artifacts",
        "requests",
        &[pages.len() as f64],
        Goal::None,
    );
    let (mut costs, mut rates, mut against_client) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let cost = program
            .target()?
            .import(args(&server.url(), runs), points)?;
        let (plain, _) = pull(&server.address(), &pages, CONNECTIONS)?;
        let client = python::measure(
            &corpus.mlflow,
            "bench_client.py",
            &[&server.url(), &runs.to_string()],
            points,
        )?;
        rates.push(plain.as_secs_f64() / cost.wall.as_secs_f64());
        against_client.push(client.wall.as_secs_f64() / cost.wall.as_secs_f64());
        costs.push(cost);
    }
    report.add(
        "rest: rate / 8 plain connections, same pages",
        "×",
        &rates,
        Goal::AtLeast(0.95),
    );
    report.add(
        "rest: rate / MlflowClient, one thread",
        "×",
        &against_client,
        Goal::AtLeast(3.0),
    );
    report.costs("rest: import", &costs, points, Goal::None);
    let micros = |cost: &Cost| cost.cpu.as_secs_f64() * 1e6 / points as f64;
    report.add(
        "rest: own processor",
        "µs/point",
        &costs.iter().map(micros).collect::<Vec<_>>(),
        Goal::AtMost(5.0),
    );
    Ok(())
}

/// What tells the program to read some runs of a server.
pub(super) fn args(url: &str, runs: u64) -> Vec<OsString> {
    vec![
        format!("mlflow+{url}").into(),
        "--limit".into(),
        runs.to_string().into(),
    ]
}

/// The pages that an import asks for.
fn pages(program: &Program, server: &Server, runs: u64, points: u64) -> Result<Vec<String>> {
    let proxy = Proxy::before(server.address())?;
    program
        .target()?
        .import(args(&proxy.url(), runs), points)
        .context("import through a proxy that takes notes")?;
    let requests = proxy.take().into_iter();
    let pages: Vec<String> = requests
        .filter(|request| request.method == "GET")
        .map(|request| request.target)
        .filter(|target| target.contains("/metrics/") || target.contains("artifact"))
        .collect();
    ensure!(!pages.is_empty(), "the import asked for no page of history");
    Ok(pages)
}
