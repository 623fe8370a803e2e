use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tracker_model::Timestamp;

use super::CheckDepth;
use crate::{Checksums, Failure, Sink, Source};

/// How a run or an artifact of the source compares with that of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// The same.
    #[serde(rename = "=")]
    Same,
    /// Not the same.
    #[serde(rename = "*")]
    Differs,
    /// Missing in the target.
    #[serde(rename = "+")]
    Missing,
    /// Only in the target.
    #[serde(rename = "-")]
    OnlyInTarget,
    /// Could not be read.
    #[serde(rename = "!")]
    Unreadable,
}

impl Verdict {
    /// The character in lists.
    pub fn sign(self) -> char {
        match self {
            Self::Same => '=',
            Self::Differs => '*',
            Self::Missing => '+',
            Self::OnlyInTarget => '-',
            Self::Unreadable => '!',
        }
    }
}

/// One thing that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What: a field, a series, a file.
    pub what: String,
    /// As the source has it; `None` if it has not.
    pub source: Option<String>,
    /// As the target has it; `None` if it has not.
    pub target: Option<String>,
}

/// A run (or an artifact) of the source and its counterpart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunCheck {
    /// Its identity at the source.
    pub source_id: String,
    /// Where it is in the target.
    pub target: String,
    /// How they compare.
    pub verdict: Verdict,
    /// What is not the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The checksums of what is in the target, if that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<Checksums>,
}

impl RunCheck {
    pub(super) fn new(source_id: String, target: String, verdict: Verdict) -> Self {
        Self {
            source_id,
            target,
            verdict,
            differences: Vec::new(),
            checksums: None,
        }
    }

    /// Notes a difference; the verdict follows.
    pub(super) fn differs(
        &mut self,
        what: impl Into<String>,
        source: Option<String>,
        target: Option<String>,
    ) {
        self.verdict = Verdict::Differs;
        self.differences.push(Difference {
            what: what.into(),
            source,
            target,
        });
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// `trackway.check/1`.
    pub schema: String,
    /// The source.
    pub source: String,
    /// The target.
    pub target: String,
    /// `counts`, `digest` or `values`.
    pub depth: String,
    /// When the check began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Whether all that was selected was looked at.
    pub complete: bool,
    /// How many runs have each verdict.
    pub totals: BTreeMap<Verdict, u64>,
    /// The runs.
    pub runs: Vec<RunCheck>,
    /// The versions of artifacts that are not the same.
    pub artifacts: Vec<RunCheck>,
    /// What could not be read.
    pub failures: Vec<Failure>,
}

impl CheckReport {
    pub(super) fn new(
        source: &dyn Source,
        sink: &dyn Sink,
        depth: CheckDepth,
        started_at: Timestamp,
        complete: bool,
    ) -> Self {
        let depth = match depth {
            CheckDepth::Counts => "counts",
            CheckDepth::Digest => "digest",
            CheckDepth::Values => "values",
        };
        Self {
            schema: "trackway.check/1".to_owned(),
            source: source.id().to_string(),
            target: sink.to_string(),
            depth: depth.to_owned(),
            started_at,
            finished_at: Timestamp::now(),
            complete,
            totals: BTreeMap::new(),
            runs: Vec::new(),
            artifacts: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub(super) fn with(
        mut self,
        runs: Vec<RunCheck>,
        artifacts: Vec<RunCheck>,
        failures: Vec<Failure>,
    ) -> Self {
        for run in &runs {
            *self.totals.entry(run.verdict).or_default() += 1;
        }
        (self.runs, self.artifacts, self.failures) = (runs, artifacts, failures);
        self
    }

    /// Whether everything is the same and could be read.
    pub fn is_same(&self) -> bool {
        self.failures.is_empty()
            && self.artifacts.is_empty()
            && self.totals.keys().all(|v| *v == Verdict::Same)
    }
}
