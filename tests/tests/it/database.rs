//! MLflow databases, as large as a test wants them, without MLflow.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use rusqlite::{Connection, Transaction, params};
use tests::mlruns::{Numbers, Shape};

/// The tables that hold runs, as recent versions of MLflow have them.
const SCHEMA: &str = "
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('dc11669786a5');
CREATE TABLE experiments (
    experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256) NOT NULL, artifact_location VARCHAR(256),
    lifecycle_stage VARCHAR(32), creation_time BIGINT, last_update_time BIGINT, workspace VARCHAR(63) DEFAULT 'default' NOT NULL);
CREATE TABLE experiment_tags (
    key VARCHAR(250) NOT NULL, value VARCHAR(5000), experiment_id INTEGER NOT NULL, PRIMARY KEY (key, experiment_id));
CREATE TABLE runs (
    run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250), source_type VARCHAR(20), source_name VARCHAR(500),
    entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(9), start_time BIGINT, end_time BIGINT,
    source_version VARCHAR(50), lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200), experiment_id INTEGER, deleted_time BIGINT);
CREATE TABLE metrics (
    key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL, run_uuid VARCHAR(32) NOT NULL,
    step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
    PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, key, step);
CREATE TABLE latest_metrics (
    key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, step BIGINT NOT NULL, is_nan BOOLEAN NOT NULL,
    run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE TABLE params (
    key VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL, run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE TABLE tags (
    key VARCHAR(250) NOT NULL, value VARCHAR(8000), run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);
CREATE INDEX index_params_run_uuid ON params (run_uuid);
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
";

/// When the first run starts, in milliseconds since 1970.
const START: i64 = 1_700_000_000_000;

/// Writes `mlflow.db` and the folder `artifacts` into an empty folder.
pub(crate) fn write(folder: &Path, shape: Shape) -> Result<()> {
    let mut db = Connection::open(folder.join("mlflow.db"))?;
    // Nobody needs what a loss of power would leave of a test.
    db.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;")?;
    let transaction = db.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT INTO experiments VALUES (1, 'generated', 'mlflow-artifacts:/1', 'active', ?1, ?1, 'default')",
        [START],
    )?;
    for index in 0..shape.runs {
        run(&transaction, &folder.join("artifacts"), index, shape)
            .with_context(|| format!("write run {index} of a database"))?;
    }
    transaction.commit()?;
    Ok(())
}

fn run(db: &Transaction<'_>, artifacts: &Path, index: usize, shape: Shape) -> Result<()> {
    let mut numbers = Numbers::of_seed(index as u64);
    let id = format!("{:016x}{:016x}", numbers.integer(), numbers.integer());
    let (name, start) = (format!("run-{index}"), START + index as i64 * 60_000);
    db.prepare_cached(
        "INSERT INTO runs VALUES (?1, ?2, 'LOCAL', '', '', 'ada', 'FINISHED', ?3, ?4, '', 'active', ?5, 1, NULL)",
    )?
    .execute(params![
        id,
        name,
        start,
        start + 50_000,
        format!("mlflow-artifacts:/1/{id}/artifacts")
    ])?;
    db.prepare_cached("INSERT INTO params VALUES ('lr', ?1, ?2)")?
        .execute(params![numbers.fraction().to_string(), id])?;
    db.prepare_cached("INSERT INTO tags VALUES ('mlflow.runName', ?1, ?2)")?
        .execute(params![name, id])?;
    let mut point = db.prepare_cached("INSERT INTO metrics VALUES (?1, ?2, ?3, ?4, ?5, 0)")?;
    let mut latest =
        db.prepare_cached("INSERT INTO latest_metrics VALUES (?1, ?2, ?3, ?4, 0, ?5)")?;
    for metric in 0..shape.metrics {
        let key = format!("train/m{metric}");
        let mut value = 2.0 + numbers.fraction();
        let time = |step: usize| start + step as i64 * 20;
        for step in 0..shape.points {
            value = value * 0.999 + 0.01 * (numbers.fraction() - 0.5);
            point.execute(params![key, value, time(step), id, step as i64])?;
        }
        if let Some(last) = shape.points.checked_sub(1) {
            latest.execute(params![key, value, time(last), last as i64, id])?;
        }
    }
    for file in 0..shape.files {
        let folder = artifacts.join(format!("1/{id}/artifacts/part-{}", file % 3));
        fs::create_dir_all(&folder)?;
        let text = format!("{:016x}\n", numbers.integer()).repeat(200);
        fs::write(folder.join(format!("file-{file}.txt")), text)?;
    }
    Ok(())
}
