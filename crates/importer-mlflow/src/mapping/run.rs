use std::{collections::BTreeMap, sync::Arc};

use importer_core::{Finding, Kind, RunRecord, RunRef, SourceProject};
use serde_json::Value as Json;
use tracker_model::{
    DatasetInput, EntityName, Git, JsonObject, ProjectName, Run, RunId, RunPath, RunState,
    Timestamp, Value,
};

use super::{Fingerprint, experiment::NOTE, put, put_text, rule, under_name};

/// A run as MLflow keeps it, without its history and files. Times are milliseconds since 1970,
/// UTC.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawRun {
    pub(crate) run_id: String,
    pub(crate) experiment_id: String,
    pub(crate) run_name: Option<String>,
    /// `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
    pub(crate) status: Option<String>,
    pub(crate) start_time: Option<i64>,
    pub(crate) end_time: Option<i64>,
    pub(crate) deleted_time: Option<i64>,
    /// `active` or `deleted`.
    pub(crate) lifecycle_stage: Option<String>,
    pub(crate) user_id: Option<String>,
    /// `NOTEBOOK`, `JOB`, `PROJECT`, `LOCAL` or `UNKNOWN`.
    pub(crate) source_type: Option<String>,
    pub(crate) source_name: Option<String>,
    pub(crate) source_version: Option<String>,
    pub(crate) entry_point_name: Option<String>,
    pub(crate) artifact_uri: Option<String>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// The latest value of each metric, where the way has it before the points are read.
    pub(crate) latest: BTreeMap<String, f64>,
    pub(crate) dataset_inputs: Vec<RawDatasetInput>,
    /// The ids of the logged models that it read.
    pub(crate) model_inputs: Vec<String>,
    pub(crate) model_outputs: Vec<RawModelOutput>,
}

/// A dataset that a run read, with the tags of the input.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RawDatasetInput {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) source_type: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A logged model that a run made.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RawModelOutput {
    pub(crate) model_id: String,
    pub(crate) step: i64,
}

impl RawRun {
    /// Whether it was deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.lifecycle_stage.as_deref() == Some("deleted")
    }

    /// What it is doing; what is not one of MLflow's words, by whether it has ended.
    fn state(&self) -> (RunState, bool) {
        match self.status.as_deref() {
            Some("RUNNING") | None => (RunState::Running, true),
            Some("SCHEDULED") => (RunState::Pending, true),
            Some("FINISHED") => (RunState::Finished, true),
            Some("FAILED") => (RunState::Failed, true),
            Some("KILLED") => (RunState::Killed, true),
            Some(_) if self.end_time.is_some() => (RunState::Finished, false),
            Some(_) => (RunState::Running, false),
        }
    }

    /// The name: its own, or that of the tag in stores that keep it there alone.
    fn name(&self) -> Option<&str> {
        self.run_name
            .as_deref()
            .filter(|n| !n.is_empty())
            .or_else(|| self.tags.get("mlflow.runName").map(String::as_str))
            .filter(|n| !n.is_empty())
    }

    /// The run in a listing. The caller adds to the fingerprint what the run itself does not say.
    pub(crate) fn to_ref(&self, project: &Arc<SourceProject>, fingerprint: String) -> RunRef {
        RunRef {
            project: Arc::clone(project),
            id: self.run_id.clone(),
            name: self.name().map(str::to_owned),
            started_at: self.start_time.map(Timestamp::from_millis),
            deleted: self.is_deleted(),
            ended: self.state().0.is_terminal(),
            fingerprint,
            detail: None,
        }
    }

    /// Hashes all that is known of the run.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Fingerprint::new();
        hash.field(&self.run_id)
            .field(&self.experiment_id)
            .optional(self.run_name.as_ref())
            .optional(self.status.as_ref())
            .optional_number(self.start_time)
            .optional_number(self.end_time)
            .optional(self.lifecycle_stage.as_ref())
            .optional(self.user_id.as_ref())
            .optional(self.artifact_uri.as_ref())
            .pairs(&self.params)
            .pairs(&self.tags);
        for (key, value) in &self.latest {
            hash.field(key).field(value.to_bits().to_le_bytes());
        }
        for input in &self.dataset_inputs {
            hash.field(&input.name)
                .field(&input.digest)
                .pairs(&input.tags);
        }
        for output in &self.model_outputs {
            hash.field(&output.model_id).number(output.step);
        }
        for input in &self.model_inputs {
            hash.field(input);
        }
        hash
    }

    /// The run that it becomes.
    pub(crate) fn into_record(mut self, project: &SourceProject) -> RunRecord {
        let mut findings = Vec::new();
        let place = format!("run {}", self.run_id);
        let id = RunId::legalised(&self.run_id);
        if id.as_str() != self.run_id {
            findings.push(Finding::normalised(
                Kind::Runs,
                &place,
                rule::RUN_ID_LEGALISED,
            ));
        }
        let (state, known) = self.state();
        if !known {
            findings.push(Finding::normalised(
                Kind::Runs,
                &place,
                rule::RUN_STATUS_UNKNOWN,
            ));
        }
        let created_at = self
            .start_time
            .map(Timestamp::from_millis)
            .or(project.patch.created_at);
        let path = RunPath::new(
            EntityName::legalised("local"),
            ProjectName::legalised(&project.name),
            id,
        );
        let mut run = Run::new(path, created_at.unwrap_or(Timestamp::from_millis(0)));
        let tag = |key: &str| self.tags.get(key).filter(|v| !v.is_empty()).cloned();

        run.name = self.name().map(str::to_owned);
        run.state = state;
        run.started_at = self.start_time.map(Timestamp::from_millis);
        run.ended_at = self.end_time.map(Timestamp::from_millis);
        run.deleted = self.is_deleted();
        run.user = self
            .user_id
            .clone()
            .filter(|u| !u.is_empty())
            .or_else(|| tag("mlflow.user"));
        run.program = tag("mlflow.source.name");
        run.notes = tag(NOTE);
        run.parent = tag("mlflow.parentRunId").and_then(|id| RunId::new(id).ok());
        let git = Git {
            commit: tag("mlflow.source.git.commit"),
            remote: tag("mlflow.source.git.repoURL"),
            branch: tag("mlflow.source.git.branch"),
        };
        run.git = (git != Git::default()).then_some(git);
        run.extras = self.extras();
        run.summary = self
            .latest
            .iter()
            .map(|(k, v)| (k.clone(), Value::F64(*v).to_json()))
            .collect();
        run.config = std::mem::take(&mut self.params)
            .into_iter()
            .map(|(k, v)| (k, Json::String(v)))
            .collect();
        self.dataset_inputs.sort();
        run.inputs = self
            .dataset_inputs
            .into_iter()
            .map(RawDatasetInput::into_input)
            .collect();
        RunRecord {
            run,
            tags: self.tags,
            findings,
        }
    }

    fn extras(&mut self) -> JsonObject {
        let mut extras = JsonObject::new();
        put(&mut extras, "run_id", Some(self.run_id.as_str()));
        put_text(&mut extras, "experiment_id", Some(&self.experiment_id));
        put_text(&mut extras, "status", self.status.as_deref());
        put_text(&mut extras, "user_id", self.user_id.as_deref());
        put_text(&mut extras, "source_type", self.source_type.as_deref());
        put_text(&mut extras, "source_name", self.source_name.as_deref());
        put_text(
            &mut extras,
            "source_version",
            self.source_version.as_deref(),
        );
        put_text(
            &mut extras,
            "entry_point_name",
            self.entry_point_name.as_deref(),
        );
        put_text(&mut extras, "artifact_uri", self.artifact_uri.as_deref());
        put(&mut extras, "deleted_time", self.deleted_time);
        if !self.model_inputs.is_empty() {
            self.model_inputs.sort();
            let inputs = self
                .model_inputs
                .iter()
                .map(|id| serde_json::json!({ "model_id": id }));
            put(
                &mut extras,
                "model_inputs",
                Some(inputs.collect::<Vec<_>>()),
            );
        }
        if !self.model_outputs.is_empty() {
            self.model_outputs.sort();
            let outputs = self
                .model_outputs
                .iter()
                .map(|o| serde_json::json!({ "model_id": o.model_id, "step": o.step }));
            put(
                &mut extras,
                "model_outputs",
                Some(outputs.collect::<Vec<_>>()),
            );
        }
        under_name(extras)
    }
}

impl RawDatasetInput {
    fn into_input(self) -> DatasetInput {
        DatasetInput {
            name: self.name,
            digest: self.digest,
            source_type: self.source_type,
            source: self.source,
            schema: self.schema,
            profile: self.profile,
            context: self.tags.get("mlflow.data.context").cloned(),
            tags: self
                .tags
                .into_iter()
                .map(|(k, v)| (k, Json::String(v)))
                .collect(),
        }
    }
}
