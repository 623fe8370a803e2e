use serde::{Deserialize, Serialize};

use crate::{Change, JsonObject, JsonPatch, ReportPath, Timestamp};

/// A page that people make of runs: text, charts, filters. Its spec belongs to whoever draws it and
/// is kept as it is. Source: W&B view (report, workspace).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The address.
    pub path: ReportPath,
    /// What it is, such as `runs` (a report) or `runs/draft`. Source: W&B view `type`.
    pub kind: String,
    /// The title. Source: W&B view `displayName`.
    pub title: Option<String>,
    /// The name that programs find it by. Source: W&B view `name`.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Who created it.
    pub user: Option<String>,
    /// What is on the page: JSON as it was written, byte for byte.
    pub spec: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed at its source.
    pub updated_at: Option<Timestamp>,
    /// What the source says that this model has no name for, verbatim, under the source's name.
    pub extras: JsonObject,
    /// How often the report was changed in this tracker, from 1.
    pub version: u64,
}

impl Report {
    /// An empty report.
    pub fn new(path: ReportPath, created_at: Timestamp) -> Self {
        Self {
            path,
            kind: "runs".to_owned(),
            title: None,
            name: None,
            description: None,
            user: None,
            spec: "{}".to_owned(),
            created_at,
            updated_at: None,
            extras: JsonObject::new(),
            version: 0,
        }
    }
}

/// A change to a report: what it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ReportPatch {
    /// See [`Report::kind`]; a new report without it is of the kind `runs`.
    pub kind: Option<String>,
    /// See [`Report::title`].
    pub title: Change<String>,
    /// See [`Report::name`].
    pub name: Change<String>,
    /// See [`Report::description`].
    pub description: Change<String>,
    /// See [`Report::user`].
    pub user: Change<String>,
    /// See [`Report::spec`]; that of a new report without it is `{}`.
    pub spec: Option<String>,
    /// See [`Report::created_at`]. A new report without it is created now.
    pub created_at: Option<Timestamp>,
    /// See [`Report::updated_at`].
    pub updated_at: Change<Timestamp>,
    /// See [`Report::extras`].
    pub extras: JsonPatch,
}

impl ReportPatch {
    /// A change that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the change. The version is the tracker's to count.
    pub fn apply(self, report: &mut Report) {
        if let Some(kind) = self.kind {
            report.kind = kind;
        }
        self.title.apply(&mut report.title);
        self.name.apply(&mut report.name);
        self.description.apply(&mut report.description);
        self.user.apply(&mut report.user);
        if let Some(spec) = self.spec {
            report.spec = spec;
        }
        report.created_at = self.created_at.unwrap_or(report.created_at);
        self.updated_at.apply(&mut report.updated_at);
        self.extras.apply(&mut report.extras);
    }
}
