use std::collections::BTreeSet;

use globset::{Glob, GlobSet, GlobSetBuilder};
use tracker_model::{Error, Result, RunFilter, Timestamp};

use crate::{Kind, RunRef};

/// What to import.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Selection {
    /// Only projects whose name or id matches one of these patterns; all if there is none.
    pub projects: Option<GlobSet>,
    /// Only runs with these ids; all if there is none.
    pub runs: BTreeSet<String>,
    /// Only runs that began at this time or later. A run without a time is taken.
    pub since: Option<Timestamp>,
    /// Only runs that began before this time. A run without a time is taken.
    pub until: Option<Timestamp>,
    /// Only runs of which this holds, as they will be in the target. A source may use it to list
    /// fewer runs; it is applied by the pipeline.
    pub filter: Option<RunFilter>,
    /// At most so many runs.
    pub limit: Option<u64>,
    /// Deleted runs and projects too.
    pub include_deleted: bool,
    /// Which kinds of data.
    pub kinds: KindSet,
}

impl Selection {
    /// Everything that is not deleted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only projects whose name or id matches one of the patterns: `*` and `?` match any
    /// characters, `[a-z]` one of them, `{a,b}` either.
    ///
    /// # Errors
    /// `InvalidInput` for a pattern that is not one.
    pub fn with_projects<S: AsRef<str>>(
        mut self,
        patterns: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let mut set = GlobSetBuilder::new();
        let mut any = false;
        for pattern in patterns {
            let pattern = pattern.as_ref();
            set.add(Glob::new(pattern).map_err(|e| {
                Error::invalid(format!("{pattern:?} is not a pattern: {}", e.kind()))
                    .with_hint("quote special characters as in '[*]'")
            })?);
            any = true;
        }
        let set = set
            .build()
            .map_err(|e| Error::invalid(format!("the patterns cannot be used together: {e}")))?;
        self.projects = any.then_some(set);
        Ok(self)
    }

    /// Whether a project with this id and name is asked for.
    pub fn wants_project(&self, id: &str, name: &str) -> bool {
        self.projects
            .as_ref()
            .is_none_or(|set| set.is_match(name) || set.is_match(id))
    }

    /// Whether the run is asked for; the filter and the limit aside.
    pub fn wants_run(&self, run: &RunRef) -> bool {
        (self.include_deleted || !run.deleted)
            && (self.runs.is_empty() || self.runs.contains(&run.id))
            && run.started_at.is_none_or(|t| {
                self.since.is_none_or(|s| t >= s) && self.until.is_none_or(|u| t < u)
            })
    }
}

/// Some of the kinds of data that can be left out: points, params, tags, inputs, files, artifacts
/// (with collections, entries and lineage) and traces. Projects and runs always come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindSet(BTreeSet<Kind>);

impl KindSet {
    /// The words on the command line.
    pub const WORDS: [&'static str; 7] = [
        "points",
        "params",
        "tags",
        "inputs",
        "files",
        "artifacts",
        "traces",
    ];

    fn expand(word: &str) -> Result<Vec<Kind>> {
        Ok(match word {
            "points" | "metrics" | "history" => vec![Kind::Points, Kind::Summary],
            "params" | "config" => vec![Kind::Params],
            "tags" => vec![Kind::Tags],
            "inputs" | "datasets" => vec![Kind::Inputs],
            "files" => vec![Kind::Files],
            "artifacts" | "models" => vec![
                Kind::Collections,
                Kind::Artifacts,
                Kind::Entries,
                Kind::Lineage,
            ],
            "traces" => vec![Kind::Traces],
            _ => {
                return Err(Error::invalid(format!("{word:?} is not a kind of data"))
                    .with_hint(format!("the kinds are {}", Self::WORDS.join(", "))));
            }
        })
    }

    /// Only these kinds.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown word.
    pub fn only<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut set = Self(BTreeSet::from([Kind::Projects, Kind::Runs, Kind::Bytes]));
        for word in words {
            set.0.extend(Self::expand(word.as_ref())?);
        }
        Ok(set)
    }

    /// All but these kinds.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown word.
    pub fn except<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut set = Self::default();
        for word in words {
            for kind in Self::expand(word.as_ref())? {
                set.0.remove(&kind);
            }
        }
        Ok(set)
    }

    /// Whether the kind is in the set.
    pub fn contains(&self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }
}

impl Default for KindSet {
    fn default() -> Self {
        Self(Kind::ALL.into_iter().collect())
    }
}
