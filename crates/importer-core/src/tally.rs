use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{Finding, KindSet, Outcome};

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

/// What became of the data of one kind: each datum is in one field. Written down, it has their sum
/// too, as `source`; what is read back must add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WrittenBucket", try_from = "WrittenBucket")]
pub struct Bucket {
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

impl Bucket {
    /// What the source has: the sum of all.
    pub fn source(&self) -> u64 {
        [self.normalised, self.lost, self.unreadable, self.skipped]
            .into_iter()
            .fold(self.identical, u64::saturating_add)
    }

    /// A rule changed so many of those that arrived as they were; no more than there are.
    fn change(&mut self, count: u64) {
        let changed = count.min(self.identical);
        self.identical -= changed;
        self.normalised = self.normalised.saturating_add(changed);
    }
}

#[derive(Serialize, Deserialize)]
struct WrittenBucket {
    source: u64,
    identical: u64,
    normalised: u64,
    lost: u64,
    unreadable: u64,
    skipped: u64,
}

impl From<Bucket> for WrittenBucket {
    fn from(b: Bucket) -> Self {
        Self {
            source: b.source(),
            identical: b.identical,
            normalised: b.normalised,
            lost: b.lost,
            unreadable: b.unreadable,
            skipped: b.skipped,
        }
    }
}

impl TryFrom<WrittenBucket> for Bucket {
    type Error = String;

    fn try_from(written: WrittenBucket) -> Result<Self, String> {
        let bucket = Self {
            identical: written.identical,
            normalised: written.normalised,
            lost: written.lost,
            unreadable: written.unreadable,
            skipped: written.skipped,
        };
        if bucket.source() == written.source {
            Ok(bucket)
        } else {
            Err(format!(
                "the counts add up to {}, not to {}",
                bucket.source(),
                written.source
            ))
        }
    }
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

    /// Counts data that arrived. Those of them that a rule changed are told by [`Tally::found`],
    /// afterwards.
    pub fn arrived(&mut self, kind: Kind, count: u64) {
        if count > 0 {
            let bucket = self.bucket(kind);
            bucket.identical = bucket.identical.saturating_add(count);
        }
    }

    /// Counts data that were left alone.
    pub fn skipped(&mut self, kind: Kind, count: u64) {
        if count > 0 {
            let bucket = self.bucket(kind);
            bucket.skipped = bucket.skipped.saturating_add(count);
        }
    }

    /// Counts all findings of one piece of work (a run, a project, a version), after what arrived
    /// of it.
    ///
    /// A datum that rules changed is one of those that arrived, and is counted once however many
    /// rules did so: findings of one datum each with the same kind and place are of the same datum.
    /// Points have no places of their own, and each of them is in one finding.
    pub fn found<'a>(&mut self, findings: impl IntoIterator<Item = &'a Finding>) {
        let mut changed = BTreeSet::new();
        for finding in findings {
            let Finding { kind, count, .. } = *finding;
            if count == 0 {
                continue;
            }
            match finding.outcome {
                Outcome::Normalised => {
                    let apart = kind == Kind::Points || count > 1;
                    if apart || changed.insert((kind, finding.place.as_str())) {
                        self.bucket(kind).change(count);
                    }
                }
                Outcome::Lost => {
                    let bucket = self.bucket(kind);
                    bucket.lost = bucket.lost.saturating_add(count);
                }
                Outcome::Unreadable => {
                    let bucket = self.bucket(kind);
                    bucket.unreadable = bucket.unreadable.saturating_add(count);
                }
            }
        }
        self.0.retain(|_, bucket| *bucket != Bucket::default());
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (kind, b) in other.iter() {
            let a = self.bucket(kind);
            a.identical = a.identical.saturating_add(b.identical);
            a.normalised = a.normalised.saturating_add(b.normalised);
            a.lost = a.lost.saturating_add(b.lost);
            a.unreadable = a.unreadable.saturating_add(b.unreadable);
            a.skipped = a.skipped.saturating_add(b.skipped);
        }
    }

    /// The same data, all of them left alone.
    #[must_use]
    pub fn as_skipped(&self) -> Self {
        let skipped = |b: Bucket| Bucket {
            skipped: b.source(),
            ..Bucket::default()
        };
        Self(self.iter().map(|(k, b)| (k, skipped(b))).collect())
    }

    /// Forgets the kinds that are not wanted.
    pub(crate) fn retain(&mut self, kinds: &KindSet) {
        self.0.retain(|kind, _| kinds.contains(*kind));
    }

    /// Whether something was lost or could not be read.
    pub fn has_losses(&self) -> bool {
        self.iter().any(|(_, b)| b.lost > 0 || b.unreadable > 0)
    }

    fn bucket(&mut self, kind: Kind) -> &mut Bucket {
        self.0.entry(kind).or_default()
    }
}

#[cfg(test)]
mod tests;
