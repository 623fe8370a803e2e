//! The stores are what the ground truth says, as far as the database alone can tell: a difference
//! that an import shows is then the import's.

use anyhow::{Result, ensure};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tests::{
    digest::{self, Point},
    peers::{Layout, Mlflow, Peers},
};

#[test]
#[ignore = "needs MLflow: cargo xtask interop"]
fn mlflow2_database_is_as_generated() -> Result<()> {
    database_is_as_generated(Mlflow::Two)
}

#[test]
#[ignore = "needs MLflow: cargo xtask interop"]
fn mlflow3_database_is_as_generated() -> Result<()> {
    database_is_as_generated(Mlflow::Three)
}

fn database_is_as_generated(version: Mlflow) -> Result<()> {
    let corpus = Peers::from_env()?.corpus(version, Layout::Database)?;
    let truth = corpus.truth()?;
    ensure!(
        truth.experiments.values().any(|e| e.runs > 1000),
        "no experiment has more runs than a page"
    );
    let db = Connection::open_with_flags(corpus.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut points = db.prepare(
        "SELECT key, step, timestamp, CAST(value AS REAL), is_nan FROM metrics WHERE run_uuid = ?",
    )?;
    for (id, run) in &truth.runs {
        let got: Vec<Point> = points
            .query_map([id], |row| {
                let value = if row.get(4)? { f64::NAN } else { row.get(3)? };
                Ok(Point {
                    key: row.get(0)?,
                    step: row.get(1)?,
                    millis: row.get(2)?,
                    value,
                })
            })?
            .collect::<Result<_, _>>()?;
        ensure!(
            digest::points(&got) == run.points_sha_stored,
            "{} {id}: {} points differ",
            run.key,
            got.len()
        );
    }
    let count = |sql: &str| -> Result<u64> {
        let count: i64 = db.query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(count)?)
    };
    let stored = count("SELECT count(*) FROM metrics")?;
    ensure!(
        stored == truth.points(),
        "{stored} points in the database, {} in the truth",
        truth.points()
    );
    let traces = truth.traces.get("count").and_then(Value::as_u64);
    let ended = count("SELECT count(*) FROM trace_info WHERE status = 'OK'")?;
    ensure!(
        traces == Some(ended),
        "{ended} traces have ended, of {traces:?}"
    );
    Ok(())
}
