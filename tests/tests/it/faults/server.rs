//! Servers that answer something else than they should.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::stand_in::{Answer, StandIn};

use super::{SMALL, import, runs_that_are, server, tells, total};
use crate::trackway;

fn address(server: &StandIn) -> [String; 1] {
    [format!("mlflow+{}", server.url())]
}

#[test]
fn a_server_without_faults_gives_everything() -> Result<()> {
    let server = StandIn::of(SMALL)?;
    let outcome = import(address(&server))?;
    let receipt = outcome.went_on(0)?;
    ensure!(runs_that_are(receipt, &["imported"]) == SMALL.runs);
    let points = SMALL.runs * SMALL.metrics * SMALL.points;
    ensure!(
        total(receipt, "points", "identical") == points as u64,
        "{receipt:#}"
    );
    Ok(())
}

#[test]
fn a_wrong_password() -> Result<()> {
    let server = server(|_| {
        Some(Answer::error(
            401,
            "UNAUTHENTICATED",
            "You are not authenticated.",
        ))
    })?;
    let outcome = import([format!(
        "mlflow+{}",
        server.url().replace("http://", "http://ada:s3cret@")
    )])?;
    ensure!(!outcome.said.contains("s3cret"), "{}", outcome.said);
    outcome.refused(4, &["127.0.0.1"])
}

#[test]
fn a_forbidden_server() -> Result<()> {
    let server = server(|_| Some(Answer::error(403, "PERMISSION_DENIED", "Permission denied")))?;
    import(address(&server))?.refused(4, &["127.0.0.1"])
}

#[test]
fn a_server_of_web_pages() -> Result<()> {
    let server = server(|_| Some(Answer::page(200, "Welcome to nginx!")))?;
    import(address(&server))?.refused(1, &["HTML"])
}

#[test]
fn a_path_that_the_server_does_not_have() -> Result<()> {
    let server = server(|_| Some(Answer::page(404, "Not Found")))?;
    import(address(&server))?.refused(5, &["404"])
}

#[test]
fn a_server_that_is_down() -> Result<()> {
    let server = server(|_| Some(Answer::page(503, "Service Unavailable")))?;
    import(address(&server))?.refused(8, &["503"])
}

#[test]
fn a_server_that_was_down_for_a_moment() -> Result<()> {
    let seen = AtomicU64::new(0);
    let server = server(move |call| {
        let first =
            call.path.ends_with("/runs/search") && seen.fetch_add(1, Ordering::Relaxed) == 0;
        first.then(|| Answer::page(503, "Service Unavailable"))
    })?;
    let outcome = import(address(&server))?;
    ensure!(runs_that_are(outcome.went_on(0)?, &["imported"]) == SMALL.runs);
    Ok(())
}

#[test]
fn a_server_that_asks_to_wait() -> Result<()> {
    let seen = AtomicU64::new(0);
    let server = server(move |call| {
        let first = call.path.contains("/get-history") && seen.fetch_add(1, Ordering::Relaxed) == 0;
        first.then(|| {
            Answer::error(429, "REQUEST_LIMIT_EXCEEDED", "slow down").with("retry-after", "2")
        })
    })?;
    let start = Instant::now();
    let outcome = import(address(&server))?;
    ensure!(runs_that_are(outcome.went_on(0)?, &["imported"]) == SMALL.runs);
    let took = start.elapsed().as_secs_f64();
    ensure!(took >= 2.0, "it was asked to wait 2 s and took {took} s");
    Ok(())
}

/// Who looks on is told, before the wait and not after it.
#[test]
fn a_wait_that_a_server_asks_for_is_told() -> Result<()> {
    let server = server(|call| {
        call.path.ends_with("/runs/search").then(|| {
            Answer::error(429, "REQUEST_LIMIT_EXCEEDED", "slow down").with("retry-after", "30")
        })
    })?;
    let trackway = trackway()?;
    let start = Instant::now();
    let mut import = trackway
        .command(["import"])
        .args(address(&server))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let said = BufReader::new(import.stderr.take().context("its words")?);
    let told = said
        .lines()
        .map_while(std::io::Result::ok)
        .find(|line| line.contains("waiting 30 s: "));
    import.kill()?;
    import.wait()?;
    ensure!(told.is_some(), "nothing is told of the wait");
    ensure!(start.elapsed().as_secs() < 25, "it is told too late");
    Ok(())
}

#[test]
fn a_list_of_runs_that_never_ends() -> Result<()> {
    let server = server(|call| {
        let runs = json!({ "runs": [], "next_page_token": "again" });
        call.path
            .ends_with("/runs/search")
            .then(|| Answer::json(runs.to_string()))
    })?;
    let outcome = import(address(&server))?;
    ensure!(outcome.code != Some(0), "{outcome:?}");
    ensure!(server.calls() < 100, "{} calls", server.calls());
    let told = outcome
        .receipt
        .as_ref()
        .is_some_and(|receipt| tells(receipt, &["page"]));
    ensure!(told || outcome.said.contains("page"), "{outcome:?}");
    Ok(())
}

#[test]
fn a_history_that_never_ends() -> Result<()> {
    let server = server(|call| {
        let point = json!({ "key": "train/m0", "value": 1.5, "timestamp": 1, "step": 0 });
        let page = json!({ "metrics": [point], "next_page_token": "again" });
        let first = call.field("run_id") == Some(&"0".repeat(32));
        match call.path.rsplit('/').next() {
            Some("get-history-bulk") => Some(Answer::page(404, "Not Found")),
            Some("get-history") if first => Some(Answer::json(page.to_string())),
            _ => None,
        }
    })?;
    let outcome = import(address(&server))?;
    let receipt = outcome.went_on(3)?;
    ensure!(
        runs_that_are(receipt, &["imported"]) >= SMALL.runs - 1,
        "{receipt:#}"
    );
    ensure!(
        tells(receipt, &["00000000000000000000000000000000"]),
        "{receipt:#}"
    );
    Ok(())
}

#[test]
fn an_answer_that_breaks_off() -> Result<()> {
    let server = server(|call| {
        let last = call
            .query
            .iter()
            .any(|(_, value)| *value == format!("{:032x}", 2));
        let whole = r#"{"metrics": [{"key": "train/m0", "value": 1.5, "timesta"#;
        let cut = Answer {
            told_length: Some(5000),
            ..Answer::json(whole)
        };
        (last && call.path.contains("/get-history")).then_some(cut)
    })?;
    let outcome = import(address(&server))?;
    let receipt = outcome.went_on(3)?;
    ensure!(
        runs_that_are(receipt, &["imported"]) == SMALL.runs - 1,
        "{receipt:#}"
    );
    ensure!(
        tells(receipt, &["00000000000000000000000000000002"]),
        "{receipt:#}"
    );
    Ok(())
}

#[test]
fn half_a_document() -> Result<()> {
    let server = server(|call| {
        let wanted = call
            .query
            .iter()
            .any(|(_, value)| *value == format!("{:032x}", 3));
        let half = Answer::json(r#"{"metrics": [{"key": "train/m0", "va"#);
        (wanted && call.path.contains("/get-history")).then_some(half)
    })?;
    let outcome = import(address(&server))?;
    let receipt = outcome.went_on(3)?;
    ensure!(
        runs_that_are(receipt, &["imported"]) == SMALL.runs - 1,
        "{receipt:#}"
    );
    ensure!(
        tells(receipt, &["00000000000000000000000000000003"]),
        "{receipt:#}"
    );
    Ok(())
}

#[test]
fn an_artifact_that_is_listed_and_not_given() -> Result<()> {
    let server = server(|call| {
        let gone = Answer::error(404, "RESOURCE_DOES_NOT_EXIST", "no such artifact");
        let bytes =
            call.path.contains("/mlflow-artifacts/") || call.path.ends_with("/get-artifact");
        let wanted = call.path.contains("file-1.txt")
            || call
                .field("path")
                .is_some_and(|path| path.contains("file-1.txt"));
        (bytes && wanted).then_some(gone)
    })?;
    let outcome = import(address(&server))?;
    let receipt = outcome.went_on(3)?;
    let runs = SMALL.runs as u64;
    ensure!(total(receipt, "files", "unreadable") == runs, "{receipt:#}");
    ensure!(
        total(receipt, "files", "identical") == runs * (SMALL.files as u64 - 1),
        "{receipt:#}"
    );
    ensure!(tells(receipt, &["file-1.txt"]), "{receipt:#}");
    ensure!(
        runs_that_are(receipt, &["imported"]) == SMALL.runs,
        "{receipt:#}"
    );
    Ok(())
}

#[test]
fn names_that_lead_out_of_the_store() -> Result<()> {
    let server = server(|call| {
        let wanted = call.path.ends_with("/artifacts/list") && call.field("path").is_none();
        let root = format!(
            "mlflow-artifacts:/1/{}/artifacts",
            call.field("run_id").unwrap_or_default()
        );
        let file = |path: &str| json!({ "path": path, "is_dir": false, "file_size": 4 });
        let names = [
            "../../../../escaped.txt",
            "/tmp/escaped.txt",
            "a/../../escaped.txt",
            "nul\u{0}.txt",
        ];
        let list = json!({ "root_uri": root, "files": names.map(file) });
        let bytes = call.path.contains("escaped")
            || call
                .query
                .iter()
                .any(|(_, value)| value.contains("escaped"));
        match (wanted, bytes) {
            (true, _) => Some(Answer::json(list.to_string())),
            (_, true) => Some(Answer::json("evil")),
            _ => None,
        }
    })?;
    // The store declares that it cannot hold them: only the strict mind.
    let [address] = address(&server);
    import([&address, "--strict"])?.went_on(3)?;
    let outcome = import([&address])?;
    let receipt = outcome.went_on(0)?;
    ensure!(
        runs_that_are(receipt, &["imported"]) == SMALL.runs,
        "{receipt:#}"
    );
    ensure!(total(receipt, "files", "identical") == 0, "{receipt:#}");
    ensure!(tells(receipt, &["escaped.txt"]), "{receipt:#}");
    Ok(())
}

#[test]
fn a_run_that_is_not_one() -> Result<()> {
    let server = server(|call| {
        let mut odd = json!({ "runs": [{ "info": { "run_id": "../../x", "experiment_id": "1" } }, { "info": 7 }] });
        odd["runs"][1] =
            json!({ "info": { "run_id": "fine", "experiment_id": "1", "status": "FINISHED" } });
        call.path
            .ends_with("/runs/search")
            .then(|| Answer::json(odd.to_string()))
    })?;
    let outcome = import(address(&server))?;
    let receipt = outcome.receipt.as_ref().context("no receipt")?;
    ensure!(runs_that_are(receipt, &["imported"]) >= 1, "{receipt:#}");
    Ok(())
}
