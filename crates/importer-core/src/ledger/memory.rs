use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tracker_model::{ProjectPath, Result};

use super::{Ledger, LedgerEntry, LedgerKey};
use crate::SourceId;

/// A ledger that is forgotten with the process: every import is the first.
#[derive(Debug, Default)]
pub struct MemoryLedger(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    projects: BTreeMap<(SourceId, String), ProjectPath>,
    entries: BTreeMap<(SourceId, LedgerKey), LedgerEntry>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn project(&self, source: &SourceId, id: &str) -> Result<Option<ProjectPath>> {
        Ok(self
            .state()
            .projects
            .get(&(source.clone(), id.to_owned()))
            .cloned())
    }

    async fn bind_project(
        &self,
        source: &SourceId,
        id: &str,
        target: &ProjectPath,
    ) -> Result<bool> {
        let mut state = self.state();
        let taken = state
            .projects
            .iter()
            .any(|((s, i), t)| s == source && i != id && t == target);
        if !taken {
            state
                .projects
                .insert((source.clone(), id.to_owned()), target.clone());
        }
        Ok(!taken)
    }

    async fn entry(&self, source: &SourceId, key: &LedgerKey) -> Result<Option<LedgerEntry>> {
        Ok(self
            .state()
            .entries
            .get(&(source.clone(), key.clone()))
            .cloned())
    }

    async fn settle(&self, source: &SourceId, key: &LedgerKey, entry: LedgerEntry) -> Result<()> {
        self.state()
            .entries
            .insert((source.clone(), key.clone()), entry);
        Ok(())
    }
}
