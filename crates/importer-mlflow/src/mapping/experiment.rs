use std::collections::BTreeMap;

use importer_core::SourceProject;
use tracker_model::{Change, JsonObject, JsonPatch, ProjectPatch, Timestamp};

use super::{pairs, put, put_text, under_name};

/// The tag that holds the description of an experiment or a run.
pub(super) const NOTE: &str = "mlflow.note.content";

/// An experiment as MLflow keeps it. Times are milliseconds since 1970, UTC.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawExperiment {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) artifact_location: Option<String>,
    /// `active` or `deleted`.
    pub(crate) lifecycle_stage: Option<String>,
    pub(crate) creation_time: Option<i64>,
    pub(crate) last_update_time: Option<i64>,
    pub(crate) workspace: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl RawExperiment {
    /// Whether it was deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.lifecycle_stage.as_deref() == Some("deleted")
    }

    /// The project that it becomes.
    pub(crate) fn to_project(&self) -> SourceProject {
        self.to_project_saying(&self.id)
    }

    /// The project that it becomes, where the store's own record says another id: that is kept
    /// among the extras.
    pub(crate) fn to_project_saying(&self, id: &str) -> SourceProject {
        let mut extras = JsonObject::new();
        put(&mut extras, "experiment_id", Some(id));
        put(&mut extras, "name", Some(self.name.as_str()));
        put_text(
            &mut extras,
            "artifact_location",
            self.artifact_location.as_deref(),
        );
        put_text(
            &mut extras,
            "lifecycle_stage",
            self.lifecycle_stage.as_deref(),
        );
        put_text(&mut extras, "workspace", self.workspace.as_deref());
        put(&mut extras, "tags", Some(pairs(&self.tags)));

        let mut patch = ProjectPatch::new();
        patch.description = Change::of(self.tags.get(NOTE).cloned());
        patch.created_at = self.creation_time.map(Timestamp::from_millis);
        patch.updated_at = Change::of(self.last_update_time.map(Timestamp::from_millis));
        patch.deleted = Some(self.is_deleted());
        patch.extras = JsonPatch::Replace(under_name(extras));
        SourceProject {
            id: self.id.clone(),
            name: self.name.clone(),
            patch,
            tags: self.tags.len() as u64,
            deleted: self.is_deleted(),
        }
    }
}
