use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tracker_model::{RunPath, SeriesKey, Timestamp};

use crate::{Finding, Kind, Outcome, Tally};

/// The name and version of the form below.
pub(crate) const SCHEMA: &str = "trackway.receipt/1";

/// How many examples of findings with one reason a receipt keeps.
const MAX_PLACES: usize = 20;

/// What an import did: every datum of the source is counted once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// `trackway.receipt/1`.
    pub schema: String,
    /// The source.
    pub source: String,
    /// The target.
    pub target: String,
    /// When the import began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The version of Trackway.
    pub version: String,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// Whether all that was selected was dealt with; otherwise the import was stopped.
    pub complete: bool,
    /// What became of the data, by kind.
    pub totals: Tally,
    /// The rules that changed data, by name.
    pub rules: Vec<RuleUse>,
    /// What was lost or could not be read, by kind and reason.
    pub losses: Vec<Loss>,
    /// The runs that failed, and what else failed.
    pub failures: Vec<Failure>,
    /// The runs. Empty for those that a streamed receipt has sent on already.
    pub runs: Vec<RunLine>,
}

/// A rule that changed data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleUse {
    /// The rule's name.
    pub name: String,
    /// How often it was used.
    pub count: u64,
    /// Where, for one of the times.
    pub example: String,
}

/// Data that did not arrive, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What it was.
    pub kind: Kind,
    /// Whether the target cannot hold it, or the source cannot give it.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// Where, at most 20 of the places.
    #[serde(rename = "where")]
    pub places: Vec<String>,
}

/// Something that failed as a whole. The next import tries it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The run's id at the source, or what else failed.
    pub run: String,
    /// What went wrong.
    pub error: String,
    /// What can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether trying again may help.
    pub retryable: bool,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It is in the target now, all of it that can be.
    Imported,
    /// It was there, and what was new has been added.
    Updated,
    /// It is there and has not changed.
    Unchanged,
    /// It would be imported, were this not a dry run.
    Planned,
    /// It failed.
    Failed,
}

/// One run of a receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunLine {
    /// The run's id at the source.
    pub source_id: String,
    /// Where it is in the target.
    pub target: RunPath,
    /// What became of it.
    pub status: RunStatus,
    /// The checksums of what is in the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<Checksums>,
    /// What became of its data.
    pub counts: Tally,
}

/// The checksums of a run as it is in the target, read back from there.
///
/// They follow rules that any program can follow. SHA-256, in hexadecimal digits, over lines that
/// are sorted as bytes and concatenated. A point is
/// `KEY \t STEP \t MILLISECONDS \t BITS \n`: the step and the time in decimal, the 16 hexadecimal
/// digits of the value's IEEE-754 bits, all NaN as `7ff8000000000000`. A parameter or tag is
/// `KEY \t VALUE \n`, where a backslash, tab, line feed and carriage return are written `\\`,
/// `\t`, `\n` and `\r`. A file is `NAME \t SIZE \t SHA256 \n`, its name written likewise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    /// How many points.
    pub points: u64,
    /// Over all points. Values that are not doubles are written as their JSON, and a time below
    /// the millisecond as `MILLISECONDS.NANOSECONDS`, six digits behind the point.
    pub points_sha: String,
    /// Over the parameters; values that are not strings are written as their JSON.
    pub params_sha: String,
    /// Over the key-value tags.
    pub tags_sha: String,
    /// Over the files.
    pub files_sha: String,
    /// Over each series, by key.
    pub series: BTreeMap<SeriesKey, SeriesChecksum>,
    /// Over each series of the system metrics, which are not in the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub system: BTreeMap<SeriesKey, SeriesChecksum>,
}

/// The checksum of one series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesChecksum {
    /// How many points.
    pub n: u64,
    /// As [`Checksums::points_sha`], over the points of this series.
    pub sha: String,
}

/// Adds findings up by reason.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    rules: BTreeMap<String, RuleUse>,
    losses: BTreeMap<(Kind, Outcome, String), Loss>,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: &Finding) {
        if finding.outcome == Outcome::Normalised {
            let rule = self
                .rules
                .entry(finding.reason.clone())
                .or_insert_with(|| RuleUse {
                    name: finding.reason.clone(),
                    count: 0,
                    example: finding.place.clone(),
                });
            rule.count = rule.count.saturating_add(finding.count);
            return;
        }
        let key = (finding.kind, finding.outcome, finding.reason.clone());
        let loss = self.losses.entry(key).or_insert_with(|| Loss {
            kind: finding.kind,
            outcome: finding.outcome,
            reason: finding.reason.clone(),
            count: 0,
            places: Vec::new(),
        });
        loss.count = loss.count.saturating_add(finding.count);
        if loss.places.len() < MAX_PLACES {
            loss.places.push(finding.place.clone());
        }
    }

    pub(crate) fn into_parts(self) -> (Vec<RuleUse>, Vec<Loss>) {
        (
            self.rules.into_values().collect(),
            self.losses.into_values().collect(),
        )
    }
}
