//! Databases made by hand, with the tables of several versions of MLflow.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use importer_mlflow::{MlflowOptions, SqliteSource};
use rusqlite::{Connection, params};

/// As of version 0.9: no steps, no NaN, nothing but runs.
const OLD: &str = "
CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256) NOT NULL UNIQUE,
    artifact_location VARCHAR(256), lifecycle_stage VARCHAR(32));
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250), source_type VARCHAR(20),
    source_name VARCHAR(500), entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(20), start_time BIGINT,
    end_time BIGINT, source_version VARCHAR(50), lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200),
    experiment_id INTEGER);
CREATE TABLE tags (key VARCHAR(250) NOT NULL, value VARCHAR(250), run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE TABLE params (key VARCHAR(250) NOT NULL, value VARCHAR(250), run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE TABLE metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL, run_uuid VARCHAR(32) NOT NULL,
    PRIMARY KEY (key, timestamp, run_uuid, value));
";

/// What came until version 2: steps, NaN, latest metrics, a registry, datasets.
const MID: &str = "
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256) NOT NULL UNIQUE,
    artifact_location VARCHAR(256), lifecycle_stage VARCHAR(32), creation_time BIGINT, last_update_time BIGINT);
CREATE TABLE experiment_tags (key VARCHAR(250) NOT NULL, value VARCHAR(5000), experiment_id INTEGER NOT NULL,
    PRIMARY KEY (key, experiment_id));
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250), source_type VARCHAR(20),
    source_name VARCHAR(500), entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(9), start_time BIGINT,
    end_time BIGINT, source_version VARCHAR(50), lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200),
    experiment_id INTEGER, deleted_time BIGINT);
CREATE TABLE tags (key VARCHAR(250) NOT NULL, value VARCHAR(5000), run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
CREATE TABLE params (key VARCHAR(250) NOT NULL, value VARCHAR(8000), run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE INDEX index_params_run_uuid ON params (run_uuid);
CREATE TABLE metrics (key VARCHAR(250) NOT NULL, value FLOAT, timestamp BIGINT NOT NULL, run_uuid VARCHAR(32) NOT NULL,
    step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
    PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE TABLE latest_metrics (key VARCHAR(250) NOT NULL, value FLOAT, timestamp BIGINT, step BIGINT NOT NULL,
    is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);
CREATE TABLE datasets (dataset_uuid VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL, name VARCHAR(500) NOT NULL,
    digest VARCHAR(36) NOT NULL, dataset_source_type VARCHAR(36) NOT NULL, dataset_source TEXT NOT NULL, dataset_schema TEXT,
    dataset_profile TEXT, PRIMARY KEY (experiment_id, name, digest));
CREATE INDEX index_datasets_dataset_uuid ON datasets (dataset_uuid);
CREATE TABLE inputs (input_uuid VARCHAR(36) NOT NULL, source_type VARCHAR(36) NOT NULL, source_id VARCHAR(36) NOT NULL,
    destination_type VARCHAR(36) NOT NULL, destination_id VARCHAR(36) NOT NULL,
    PRIMARY KEY (source_type, source_id, destination_type, destination_id));
CREATE INDEX index_inputs_destination ON inputs (destination_type, destination_id, source_type);
CREATE TABLE input_tags (input_uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, value VARCHAR(500) NOT NULL,
    PRIMARY KEY (input_uuid, name));
CREATE TABLE registered_models (name VARCHAR(256) NOT NULL PRIMARY KEY, creation_time BIGINT, last_updated_time BIGINT,
    description VARCHAR(5000));
CREATE TABLE registered_model_tags (key VARCHAR(250) NOT NULL, value VARCHAR(5000), name VARCHAR(256) NOT NULL,
    PRIMARY KEY (key, name));
CREATE TABLE registered_model_aliases (alias VARCHAR(256) NOT NULL, version INTEGER NOT NULL, name VARCHAR(256) NOT NULL,
    PRIMARY KEY (name, alias));
CREATE TABLE model_versions (name VARCHAR(256) NOT NULL, version INTEGER NOT NULL, creation_time BIGINT,
    last_updated_time BIGINT, description VARCHAR(5000), user_id VARCHAR(256), current_stage VARCHAR(20), source VARCHAR(500),
    run_id VARCHAR(32), status VARCHAR(20), status_message VARCHAR(500), run_link VARCHAR(500), storage_location VARCHAR(500),
    PRIMARY KEY (name, version));
CREATE TABLE model_version_tags (key VARCHAR(250) NOT NULL, value TEXT, name VARCHAR(256) NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (key, name, version));
";

/// What came with version 3: logged models, traces and spans, workspaces, and much of the server's own.
const NEW: &str = "
CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, key, step);
ALTER TABLE experiments ADD COLUMN workspace VARCHAR(63) DEFAULT 'default' NOT NULL;
ALTER TABLE registered_models ADD COLUMN workspace VARCHAR(63) DEFAULT 'default' NOT NULL;
ALTER TABLE registered_model_tags ADD COLUMN workspace VARCHAR(63) DEFAULT 'default' NOT NULL;
ALTER TABLE registered_model_aliases ADD COLUMN workspace VARCHAR(63) DEFAULT 'default' NOT NULL;
ALTER TABLE model_versions ADD COLUMN workspace VARCHAR(63) DEFAULT 'default' NOT NULL;
ALTER TABLE model_version_tags ADD COLUMN workspace VARCHAR(63) DEFAULT 'default' NOT NULL;
ALTER TABLE inputs ADD COLUMN step BIGINT DEFAULT '0' NOT NULL;
CREATE TABLE logged_models (model_id VARCHAR(36) NOT NULL PRIMARY KEY, experiment_id INTEGER NOT NULL, name VARCHAR(500) NOT NULL,
    artifact_location VARCHAR(1000) NOT NULL, creation_timestamp_ms BIGINT NOT NULL, last_updated_timestamp_ms BIGINT NOT NULL,
    status INTEGER NOT NULL, lifecycle_stage VARCHAR(32), model_type VARCHAR(500), source_run_id VARCHAR(32),
    status_message VARCHAR(1000));
CREATE TABLE logged_model_metrics (model_id VARCHAR(36) NOT NULL, metric_name VARCHAR(500) NOT NULL,
    metric_timestamp_ms BIGINT NOT NULL, metric_step BIGINT NOT NULL, metric_value FLOAT, experiment_id INTEGER NOT NULL,
    run_id VARCHAR(32) NOT NULL, dataset_uuid VARCHAR(36), dataset_name VARCHAR(500), dataset_digest VARCHAR(36),
    PRIMARY KEY (model_id, metric_name, metric_timestamp_ms, metric_step, run_id));
CREATE TABLE logged_model_params (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL, param_key VARCHAR(255) NOT NULL,
    param_value TEXT NOT NULL, PRIMARY KEY (model_id, param_key));
CREATE TABLE logged_model_tags (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL, tag_key VARCHAR(255) NOT NULL,
    tag_value TEXT NOT NULL, PRIMARY KEY (model_id, tag_key));
CREATE TABLE trace_info (request_id VARCHAR(50) NOT NULL PRIMARY KEY, experiment_id INTEGER NOT NULL, timestamp_ms BIGINT NOT NULL,
    execution_time_ms BIGINT, status VARCHAR(50) NOT NULL, client_request_id VARCHAR(50), request_preview VARCHAR(1000),
    response_preview VARCHAR(1000), db_payload_generation INTEGER DEFAULT '0' NOT NULL, trace_name VARCHAR(4096),
    session_id VARCHAR(250), input_tokens BIGINT, output_tokens BIGINT, total_tokens BIGINT, cache_read_input_tokens BIGINT,
    cache_creation_input_tokens BIGINT, cache_creation_input_tokens_above_1hr BIGINT, input_cost FLOAT, output_cost FLOAT,
    total_cost FLOAT);
CREATE INDEX index_trace_info_experiment_id_timestamp_ms ON trace_info (experiment_id, timestamp_ms);
CREATE TABLE trace_tags (key VARCHAR(250) NOT NULL, value VARCHAR(8000), request_id VARCHAR(50) NOT NULL,
    PRIMARY KEY (key, request_id));
CREATE TABLE trace_request_metadata (key VARCHAR(250) NOT NULL, value VARCHAR(8000), request_id VARCHAR(50) NOT NULL,
    PRIMARY KEY (key, request_id));
CREATE TABLE spans (trace_id VARCHAR(50) NOT NULL, experiment_id INTEGER NOT NULL, span_id VARCHAR(50) NOT NULL,
    parent_span_id VARCHAR(50), name TEXT, type VARCHAR(500), status VARCHAR(50) NOT NULL, start_time_unix_nano BIGINT NOT NULL,
    end_time_unix_nano BIGINT, content TEXT NOT NULL, PRIMARY KEY (trace_id, span_id));
CREATE TABLE assessments (assessment_id VARCHAR(50) NOT NULL PRIMARY KEY, trace_id VARCHAR(50) NOT NULL, name VARCHAR(250) NOT NULL,
    assessment_type VARCHAR(20) NOT NULL, value TEXT NOT NULL, error TEXT, created_timestamp BIGINT NOT NULL,
    last_updated_timestamp BIGINT NOT NULL, source_type VARCHAR(50) NOT NULL, source_id VARCHAR(250), run_id VARCHAR(32),
    span_id VARCHAR(50), rationale TEXT, overrides VARCHAR(50), valid BOOLEAN NOT NULL, assessment_metadata TEXT);
CREATE TABLE evaluation_datasets (dataset_id VARCHAR(36) NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL);
CREATE TABLE webhooks (webhook_id VARCHAR(256) NOT NULL PRIMARY KEY, secret VARCHAR(1000));
CREATE TABLE workspaces (name VARCHAR(63) NOT NULL PRIMARY KEY, description TEXT);
CREATE TABLE scheduler_leases (lease_key VARCHAR(255) NOT NULL PRIMARY KEY);
INSERT INTO workspaces VALUES ('default', NULL);
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Old,
    Mid,
    New,
}

/// A folder with a database.
pub(crate) struct Database {
    dir: tempfile::TempDir,
    pub(crate) c: Connection,
}

/// The id of the run with a number.
pub(crate) fn run_id(n: u32) -> String {
    format!("{n:032x}")
}

impl Database {
    /// With one experiment, number 1.
    pub(crate) fn new(version: Version) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let c = Connection::open(dir.path().join("mlflow.db")).unwrap();
        c.execute_batch("PRAGMA synchronous = OFF").unwrap();
        c.execute_batch(if version == Version::Old { OLD } else { MID })
            .unwrap();
        if version == Version::New {
            c.execute_batch(NEW).unwrap();
        }
        let database = Self { dir, c };
        database.experiment(1, "first", "active");
        database
    }

    pub(crate) fn base(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.base().join("mlflow.db")
    }

    pub(crate) fn run(&self, sql: &str) {
        self.c.execute_batch(sql).unwrap();
    }

    pub(crate) fn experiment(&self, id: u32, name: &str, stage: &str) {
        self.c
            .execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) VALUES (?1, ?2, ?3, ?4)",
                params![id, name, format!("mlflow-artifacts:/{id}"), stage],
            )
            .unwrap();
    }

    /// A run that has ended.
    pub(crate) fn finished(&self, n: u32) -> String {
        self.with_status(n, 1, "FINISHED", "active")
    }

    pub(crate) fn with_status(&self, n: u32, experiment: u32, status: &str, stage: &str) -> String {
        let id = run_id(n);
        self.c
            .execute(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, \
                 end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) \
                 VALUES (?1, ?2, 'LOCAL', '', '', 'ann', ?3, 1700000000000, 1700000060000, '', ?4, ?5, ?6)",
                params![id, format!("run {n}"), status, stage, format!("mlflow-artifacts:/{experiment}/{id}/artifacts"), experiment],
            )
            .unwrap();
        id
    }

    pub(crate) fn pair(&self, table: &str, run: &str, key: &str, value: &str) {
        let sql = format!("INSERT INTO {table} (key, value, run_uuid) VALUES (?1, ?2, ?3)");
        self.c.execute(&sql, params![key, value, run]).unwrap();
    }

    /// A point as MLflow writes it, a NaN as 0.
    pub(crate) fn point(&self, run: &str, key: &str, step: i64, time: i64, value: f64) {
        let is_nan = value.is_nan();
        let value = if is_nan { 0.0 } else { value };
        let sql = "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.c
            .prepare_cached(sql)
            .unwrap()
            .execute(params![key, value, time, run, step, is_nan])
            .unwrap();
    }

    pub(crate) fn latest(&self, run: &str, key: &str, step: i64, time: i64, value: f64) {
        let is_nan = value.is_nan();
        let value = if is_nan { 0.0 } else { value };
        let sql = "INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.c
            .prepare_cached(sql)
            .unwrap()
            .execute(params![key, value, time, run, step, is_nan])
            .unwrap();
    }

    /// Writes a file below the folder of the database.
    pub(crate) fn write(&self, path: &str, contents: &str) {
        let path = self.base().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    pub(crate) fn open(&self) -> SqliteSource {
        SqliteSource::open(self.file(), &MlflowOptions::new()).unwrap()
    }

    /// Closes the connection, and leaves the files.
    pub(crate) fn close(self) -> tempfile::TempDir {
        self.c.close().unwrap();
        self.dir
    }
}

/// The names, contents and times of all files in a folder.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    let files = entries.filter(|e| e.file_type().unwrap().is_file());
    files
        .map(|e| {
            let modified = e.metadata().unwrap().modified().unwrap();
            (
                e.file_name().into_string().unwrap(),
                (fs::read(e.path()).unwrap(), modified),
            )
        })
        .collect()
}
