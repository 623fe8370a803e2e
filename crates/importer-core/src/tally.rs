use std::{
    collections::BTreeMap,
    fmt,
    ops::{Index, IndexMut},
};

use serde::{Deserialize, Serialize};

use crate::{Finding, Outcome};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Projects (experiments).
    Projects,
    /// Runs.
    Runs,
    /// Points of histories.
    Points,
    /// Parameters: keys of the config.
    Params,
    /// Key-value tags of runs and projects.
    Tags,
    /// Keys of the summary.
    Summary,
    /// Dataset inputs.
    Inputs,
    /// Files of runs.
    Files,
    /// Collections of artifacts.
    Collections,
    /// Versions of artifacts.
    Artifacts,
    /// Files of versions of artifacts.
    Entries,
    /// Traces, one line each in their artifact.
    Traces,
    /// Relations between runs and artifacts.
    Lineage,
    /// Bytes of files and entries.
    Bytes,
}

impl Kind {
    /// All kinds, in the order of a receipt.
    pub const ALL: [Self; 14] = [
        Self::Projects,
        Self::Runs,
        Self::Points,
        Self::Params,
        Self::Tags,
        Self::Summary,
        Self::Inputs,
        Self::Files,
        Self::Collections,
        Self::Artifacts,
        Self::Entries,
        Self::Traces,
        Self::Lineage,
        Self::Bytes,
    ];

    /// The word in receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Projects => "projects",
            Self::Runs => "runs",
            Self::Points => "points",
            Self::Params => "params",
            Self::Tags => "tags",
            Self::Summary => "summary",
            Self::Inputs => "inputs",
            Self::Files => "files",
            Self::Collections => "collections",
            Self::Artifacts => "artifacts",
            Self::Entries => "entries",
            Self::Traces => "traces",
            Self::Lineage => "lineage",
            Self::Bytes => "bytes",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of the data of one kind. `source` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// What the source has.
    pub source: u64,
    /// What arrived as it was.
    pub identical: u64,
    /// What arrived, changed by a named rule.
    pub normalised: u64,
    /// What the target cannot hold.
    pub lost: u64,
    /// What the source cannot give.
    pub unreadable: u64,
    /// What was left alone: there already and unchanged, or not wanted.
    pub skipped: u64,
}

/// Counts by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tally(BTreeMap<Kind, Bucket>);

impl Tally {
    /// Nothing counted.
    pub fn new() -> Self {
        Self::default()
    }

    /// What became of the data of a kind.
    pub fn get(&self, kind: Kind) -> Bucket {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// The kinds of which there is something, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, Bucket)> {
        self.0.iter().map(|(k, b)| (*k, *b))
    }

    /// Counts data that arrived. Those of them that a rule changed are counted by the finding.
    pub fn arrived(&mut self, kind: Kind, count: u64) {
        if count > 0 {
            let bucket = &mut self[kind];
            bucket.source += count;
            bucket.identical = bucket.identical.wrapping_add(count);
        }
    }

    /// Counts data that were left alone.
    pub fn skipped(&mut self, kind: Kind, count: u64) {
        if count > 0 {
            self[kind].source += count;
            self[kind].skipped += count;
        }
    }

    /// Counts a finding. A normalised datum must be counted as arrived, before or after.
    pub fn found(&mut self, finding: &Finding) {
        let count = finding.count;
        let bucket = &mut self[finding.kind];
        match finding.outcome {
            Outcome::Normalised => {
                bucket.normalised += count;
                bucket.identical = bucket.identical.wrapping_sub(count);
            }
            Outcome::Lost => {
                bucket.source += count;
                bucket.lost += count;
            }
            Outcome::Unreadable => {
                bucket.source += count;
                bucket.unreadable += count;
            }
        }
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (kind, b) in other.iter() {
            let a = &mut self[kind];
            a.source += b.source;
            a.identical = a.identical.wrapping_add(b.identical);
            a.normalised += b.normalised;
            a.lost += b.lost;
            a.unreadable += b.unreadable;
            a.skipped += b.skipped;
        }
    }

    /// The same data, all of them left alone.
    #[must_use]
    pub fn as_skipped(&self) -> Self {
        Self(
            self.iter()
                .map(|(k, b)| {
                    (
                        k,
                        Bucket {
                            source: b.source,
                            skipped: b.source,
                            ..Bucket::default()
                        },
                    )
                })
                .collect(),
        )
    }

    /// Whether each `source` is the sum of the others.
    pub fn balances(&self) -> bool {
        self.iter().all(|(_, b)| {
            [b.normalised, b.lost, b.unreadable, b.skipped]
                .iter()
                .try_fold(b.identical, |sum, n| sum.checked_add(*n))
                .is_some_and(|sum| sum == b.source)
        })
    }

    /// Whether something was lost or could not be read.
    pub fn has_losses(&self) -> bool {
        self.iter().any(|(_, b)| b.lost + b.unreadable > 0)
    }
}

impl Index<Kind> for Tally {
    type Output = Bucket;
    fn index(&self, kind: Kind) -> &Bucket {
        const NONE: Bucket = Bucket {
            source: 0,
            identical: 0,
            normalised: 0,
            lost: 0,
            unreadable: 0,
            skipped: 0,
        };
        self.0.get(&kind).unwrap_or(&NONE)
    }
}

impl IndexMut<Kind> for Tally {
    fn index_mut(&mut self, kind: Kind) -> &mut Bucket {
        self.0.entry(kind).or_default()
    }
}
