//! The ground truth that the generator of the MLflow corpus writes.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// What a generated store holds.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    /// The experiments, by id.
    pub experiments: BTreeMap<String, Experiment>,
    /// The runs, by id.
    pub runs: BTreeMap<String, Run>,
    /// The logged models, by id.
    pub logged_models: BTreeMap<String, LoggedModel>,
    /// The registered models, by name.
    pub registered_models: BTreeMap<String, RegisteredModel>,
    /// The traces: `count`, `spans` and `experiment_id`; empty when none were made.
    pub traces: BTreeMap<String, Value>,
    /// What the server refused to take, and which is therefore nowhere.
    pub refused: Vec<Value>,
}

/// An experiment.
#[derive(Debug, Clone, Deserialize)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// `active` or `deleted`.
    pub lifecycle: String,
    /// How many runs it has, the deleted ones included.
    pub runs: u64,
}

/// A run.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    /// What it is for, unique in the corpus.
    pub key: String,
    /// The experiment's id.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// `FINISHED`, `FAILED`, `KILLED`, `RUNNING` or `SCHEDULED`.
    pub status: String,
    /// Milliseconds since 1970.
    pub start_time: i64,
    /// Milliseconds since 1970.
    pub end_time: Option<i64>,
    /// `active` or `deleted`.
    pub lifecycle: String,
    /// The parent's id.
    pub parent: Option<String>,
    /// How many points the store keeps.
    pub points_stored: u64,
    /// Their checksum.
    pub points_sha_stored: String,
    /// The series that the store keeps, by key.
    pub metrics: BTreeMap<String, Series>,
    /// How many parameters.
    pub params: u64,
    /// Their checksum.
    pub params_sha: String,
    /// How many tags.
    pub tags: u64,
    /// Their checksum.
    pub tags_sha: String,
    /// The artifacts, by path.
    pub artifacts: BTreeMap<String, File>,
    /// How many dataset inputs.
    pub datasets: u64,
}

/// One series.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Series {
    /// How many points.
    pub n: u64,
    /// Their checksum.
    pub sha: String,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct File {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

/// A logged model.
#[derive(Debug, Clone, Deserialize)]
pub struct LoggedModel {
    /// Its name.
    pub name: String,
    /// `READY` or `PENDING`.
    pub status: String,
    /// Its files, by path.
    pub artifacts: BTreeMap<String, File>,
}

/// A registered model.
#[derive(Debug, Clone, Deserialize)]
pub struct RegisteredModel {
    /// The numbers of its versions.
    pub versions: Vec<String>,
    /// The number of the version that each alias names.
    pub aliases: BTreeMap<String, String>,
}

impl Truth {
    /// Reads what the generator wrote.
    ///
    /// # Errors
    /// The file is missing or of another form.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("understand {}", path.display()))
    }

    /// The run that was made for a purpose.
    ///
    /// # Errors
    /// There is none.
    pub fn run(&self, key: &str) -> Result<(&String, &Run)> {
        let found = self.runs.iter().find(|(_, run)| run.key == key);
        found.with_context(|| format!("no run of the corpus is for {key:?}"))
    }

    /// How many points the store keeps.
    pub fn points(&self) -> u64 {
        self.runs.values().map(|run| run.points_stored).sum()
    }
}
