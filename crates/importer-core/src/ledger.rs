//! What has been imported: the memory of the pipeline.

mod memory;
mod sqlite;

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tracker_model::{JsonObject, ProjectPath, Result, RunPath};

use crate::{Checksums, Failure, SourceId, Tally};

pub use memory::MemoryLedger;
pub use sqlite::SqliteLedger;

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerKey {
    /// A run, by its id at the source.
    Run(String),
    /// A version of an artifact, by its source key, or a collection without one, by its name.
    Artifact(String),
}

/// What became of a run or an artifact the last time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerEntry {
    /// Where it is in the target: a run's address, or that of a collection.
    pub target: String,
    /// What it looked like at the source; see [`crate::RunRef::fingerprint`].
    pub fingerprint: String,
    /// Whether all of it that can be is in the target, and proved.
    pub done: bool,
    /// The kinds of data that were wanted, as a list of words; others were not looked at.
    pub kinds: String,
    /// What became of its data.
    pub tally: Tally,
    /// The checksums of what is in the target.
    pub checksums: Option<Checksums>,
    /// Why it is not done.
    pub failure: Option<Failure>,
    /// The series that were staged whole before the import was cut off.
    pub staged: Vec<String>,
    /// What came of the summary with them.
    pub summary: JsonObject,
}

impl LedgerEntry {
    /// Where the run is in the target.
    pub fn run_path(&self) -> Option<RunPath> {
        self.target.parse().ok()
    }
}

/// The memory of imports into one target. Implementor's contract. Writes are durable when they
/// answer. Any number of imports may use it at once.
#[async_trait]
pub trait Ledger: Display + Debug + Send + Sync + 'static {
    /// The project of the target that a project of the source goes to, if that was decided.
    async fn project(&self, source: &SourceId, id: &str) -> Result<Option<ProjectPath>>;

    /// Decides where a project of the source goes. Answers with `false`, and decides nothing, if
    /// another project of this source goes there already.
    async fn bind_project(&self, source: &SourceId, id: &str, target: &ProjectPath)
    -> Result<bool>;

    /// The entry of a run or artifact.
    async fn entry(&self, source: &SourceId, key: &LedgerKey) -> Result<Option<LedgerEntry>>;

    /// The entries of runs and artifacts, in the same order. Ledgers where one question about many
    /// costs less than many questions have their own.
    async fn entries(
        &self,
        source: &SourceId,
        keys: &[LedgerKey],
    ) -> Result<Vec<Option<LedgerEntry>>> {
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            entries.push(self.entry(source, key).await?);
        }
        Ok(entries)
    }

    /// Sets the entry of a run or artifact.
    async fn settle(&self, source: &SourceId, key: &LedgerKey, entry: LedgerEntry) -> Result<()>;
}
