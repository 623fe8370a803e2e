use std::{any::Any, cmp::Ordering, collections::BTreeMap, sync::Arc};

use importer_core::{SourceArtifact, SourceProject, SourceUse};
use serde_json::Value as Json;
use tracker_model::{ArtifactDraft, CollectionPatch, JsonObject, Timestamp, UseRole, Value};

use super::{Fingerprint, pairs, put, put_text, registry::legal_collection, under_name};

/// A logged model as MLflow keeps it. Times are milliseconds since 1970, UTC.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawLoggedModel {
    pub(crate) model_id: String,
    pub(crate) experiment_id: String,
    pub(crate) name: Option<String>,
    /// `PENDING`, `READY` or `FAILED`.
    pub(crate) status: Option<String>,
    pub(crate) status_message: Option<String>,
    /// `active` or `deleted`; servers do not show deleted ones.
    pub(crate) lifecycle_stage: Option<String>,
    pub(crate) model_type: Option<String>,
    pub(crate) source_run_id: Option<String>,
    pub(crate) artifact_uri: Option<String>,
    pub(crate) creation_time: Option<i64>,
    pub(crate) last_updated_time: Option<i64>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) metrics: Vec<RawModelMetric>,
    /// The ids of the runs that read it.
    pub(crate) used_by: Vec<String>,
    /// The ids of the runs that made it, each with the step.
    pub(crate) output_of: Vec<(String, i64)>,
}

/// A value that was measured of a logged model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawModelMetric {
    pub(crate) key: String,
    pub(crate) value: f64,
    pub(crate) timestamp: i64,
    pub(crate) step: i64,
    pub(crate) run_id: Option<String>,
    pub(crate) dataset_name: Option<String>,
    pub(crate) dataset_digest: Option<String>,
}

impl RawModelMetric {
    fn to_json(&self) -> Json {
        let mut out = JsonObject::new();
        put(&mut out, "key", Some(self.key.as_str()));
        put(&mut out, "value", Some(Value::F64(self.value).to_json()));
        put(&mut out, "timestamp", Some(self.timestamp));
        put(&mut out, "step", Some(self.step));
        put_text(&mut out, "run_id", self.run_id.as_deref());
        put_text(&mut out, "dataset_name", self.dataset_name.as_deref());
        put_text(&mut out, "dataset_digest", self.dataset_digest.as_deref());
        out.into()
    }
}

impl RawLoggedModel {
    /// Whether it was deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.lifecycle_stage.as_deref() == Some("deleted")
    }

    /// The version that it becomes. The collection is named as the model is; `detail` is for
    /// `Source::entries`.
    ///
    /// `files` is a hash over the model's files if the way knows one without reading them: with it
    /// an equal fingerprint proves equal contents.
    pub(crate) fn into_artifact(
        mut self,
        project: &Arc<SourceProject>,
        files: Option<&str>,
        detail: Option<Arc<dyn Any + Send + Sync>>,
    ) -> SourceArtifact {
        self.metrics.sort_by(|a, b| {
            (
                &a.key,
                a.timestamp,
                a.step,
                a.value.to_bits(),
                &a.run_id,
                &a.dataset_name,
                &a.dataset_digest,
            )
                .cmp(&(
                    &b.key,
                    b.timestamp,
                    b.step,
                    b.value.to_bits(),
                    &b.run_id,
                    &b.dataset_name,
                    &b.dataset_digest,
                ))
        });
        let mut uses: Vec<SourceUse> = (self.output_of.iter())
            .map(|(run, step)| SourceUse {
                run: run.clone(),
                role: UseRole::Logged,
                step: Some(*step),
            })
            .chain(self.used_by.iter().map(|run| SourceUse {
                run: run.clone(),
                role: UseRole::Used,
                step: None,
            }))
            .collect();
        uses.sort_by(|a, b| (&a.run, a.role, a.step).cmp(&(&b.run, b.role, b.step)));
        uses.dedup();

        let mut facts = JsonObject::new();
        put(&mut facts, "model_id", Some(self.model_id.as_str()));
        put_text(&mut facts, "experiment_id", Some(&self.experiment_id));
        put_text(&mut facts, "name", self.name.as_deref());
        put_text(&mut facts, "status", self.status.as_deref());
        put_text(&mut facts, "status_message", self.status_message.as_deref());
        let deleted = self
            .lifecycle_stage
            .as_deref()
            .filter(|stage| *stage == "deleted");
        put_text(&mut facts, "lifecycle_stage", deleted);
        put_text(&mut facts, "model_type", self.model_type.as_deref());
        put_text(&mut facts, "source_run_id", self.source_run_id.as_deref());
        put_text(&mut facts, "artifact_uri", self.artifact_uri.as_deref());
        put(&mut facts, "last_updated_timestamp", self.last_updated_time);
        put(&mut facts, "params", Some(pairs(&self.params)));
        put(&mut facts, "tags", Some(pairs(&self.tags)));
        put(
            &mut facts,
            "metrics",
            Some(
                self.metrics
                    .iter()
                    .map(RawModelMetric::to_json)
                    .collect::<Vec<_>>(),
            ),
        );

        let mut hash = Fingerprint::new();
        hash.field(Json::Object(facts.clone()).to_string())
            .optional_number(self.creation_time)
            .optional(files);
        for u in &uses {
            hash.field(&u.run)
                .number(u.role as i64)
                .optional_number(u.step);
        }

        let mut version = ArtifactDraft::new();
        version.source_key = Some(format!("logged-model:{}", self.model_id));
        version.aliases = vec![self.model_id.clone()];
        version.metadata = under_name(facts);
        version.created_at = self.creation_time.map(Timestamp::from_millis);
        let mut patch = CollectionPatch::new();
        patch.kind = Some("model".to_owned());
        let named = self
            .name
            .as_deref()
            .filter(|n| !n.is_empty())
            .unwrap_or(&self.model_id);
        SourceArtifact {
            link: None,
            project: Some(Arc::clone(project)),
            project_name: project.name.clone(),
            collection: legal_collection(named).0,
            patch,
            version: Some(version),
            fingerprint: hash.finish(),
            immutable: files.is_some(),
            logged_by: self.source_run_id.filter(|id| !id.is_empty()),
            uses,
            detail,
        }
    }

    /// The order in which models come: that of their creation.
    pub(crate) fn order(a: &Self, b: &Self) -> Ordering {
        (a.creation_time, &a.model_id).cmp(&(b.creation_time, &b.model_id))
    }
}
