//! The JSON of MLflow's REST interface, as far as it is read. What is unset is left out there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::number::{Double, Int};
use crate::mapping::{
    RawDatasetInput, RawExperiment, RawLoggedModel, RawModelMetric, RawModelOutput,
    RawModelVersion, RawRegisteredModel, RawRun,
};

#[derive(Debug, Serialize)]
pub(super) struct SearchExperiments<'a> {
    pub(super) max_results: usize,
    pub(super) view_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) page_token: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(super) struct SearchRuns<'a> {
    pub(super) experiment_ids: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<&'a str>,
    pub(super) run_view_type: &'static str,
    pub(super) max_results: usize,
    pub(super) order_by: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) page_token: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(super) struct SearchLoggedModels<'a> {
    pub(super) experiment_ids: &'a [&'a str],
    pub(super) max_results: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) page_token: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Experiments {
    pub(super) experiments: Vec<Experiment>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Experiment {
    experiment_id: String,
    name: String,
    artifact_location: Option<String>,
    lifecycle_stage: Option<String>,
    creation_time: Option<Int>,
    last_update_time: Option<Int>,
    workspace: Option<String>,
    tags: Vec<Pair>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pair {
    key: String,
    value: String,
}

/// The last of equal keys counts, as in a map.
fn pairs(pairs: Vec<Pair>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|p| (p.key, p.value)).collect()
}

fn int(value: Option<Int>) -> Option<i64> {
    value.map(|v| v.0)
}

impl From<Experiment> for RawExperiment {
    fn from(e: Experiment) -> Self {
        Self {
            id: e.experiment_id,
            name: e.name,
            artifact_location: e.artifact_location,
            lifecycle_stage: e.lifecycle_stage,
            creation_time: int(e.creation_time),
            last_update_time: int(e.last_update_time),
            workspace: e.workspace,
            tags: pairs(e.tags),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Runs {
    pub(super) runs: Vec<Run>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GetRun {
    pub(super) run: Run,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    info: RunInfo,
    data: RunData,
    inputs: RunInputs,
    outputs: RunOutputs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RunInfo {
    run_id: String,
    run_uuid: String,
    experiment_id: String,
    run_name: Option<String>,
    user_id: Option<String>,
    status: Option<String>,
    start_time: Option<Int>,
    end_time: Option<Int>,
    artifact_uri: Option<String>,
    lifecycle_stage: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RunData {
    metrics: Vec<Metric>,
    params: Vec<Pair>,
    tags: Vec<Pair>,
}

/// The latest point of a metric.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metric {
    pub(super) key: String,
    pub(super) value: Double,
    pub(super) timestamp: Int,
    pub(super) step: Int,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RunInputs {
    dataset_inputs: Vec<DatasetInput>,
    model_inputs: Vec<ModelLink>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RunOutputs {
    model_outputs: Vec<ModelLink>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelLink {
    model_id: String,
    step: Int,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DatasetInput {
    tags: Vec<Pair>,
    dataset: Dataset,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Dataset {
    name: String,
    digest: String,
    source_type: Option<String>,
    source: Option<String>,
    schema: Option<String>,
    profile: Option<String>,
}

impl Run {
    /// The run, and the latest points of its metrics.
    pub(super) fn split(self) -> (RawRun, Vec<Metric>) {
        let Self {
            info,
            data,
            inputs,
            outputs,
        } = self;
        let mut metrics = data.metrics;
        metrics.sort_by(|a, b| a.key.cmp(&b.key));
        metrics.dedup_by(|a, b| a.key == b.key);
        let raw = RawRun {
            run_id: if info.run_id.is_empty() {
                info.run_uuid
            } else {
                info.run_id
            },
            experiment_id: info.experiment_id,
            run_name: info.run_name,
            status: info.status,
            start_time: int(info.start_time),
            end_time: int(info.end_time),
            lifecycle_stage: info.lifecycle_stage,
            user_id: info.user_id,
            artifact_uri: info.artifact_uri,
            params: pairs(data.params),
            tags: pairs(data.tags),
            latest: metrics.iter().map(|m| (m.key.clone(), m.value.0)).collect(),
            dataset_inputs: inputs.dataset_inputs.into_iter().map(Into::into).collect(),
            model_inputs: inputs
                .model_inputs
                .into_iter()
                .map(|m| m.model_id)
                .collect(),
            model_outputs: (outputs.model_outputs.into_iter())
                .map(|m| RawModelOutput {
                    model_id: m.model_id,
                    step: m.step.0,
                })
                .collect(),
            ..RawRun::default()
        };
        (raw, metrics)
    }

    /// The ids of the logged models that the run read.
    pub(super) fn into_model_inputs(self) -> Vec<String> {
        self.inputs
            .model_inputs
            .into_iter()
            .map(|m| m.model_id)
            .collect()
    }
}

impl From<DatasetInput> for RawDatasetInput {
    fn from(d: DatasetInput) -> Self {
        Self {
            name: d.dataset.name,
            digest: d.dataset.digest,
            source_type: d.dataset.source_type,
            source: d.dataset.source,
            schema: d.dataset.schema,
            profile: d.dataset.profile,
            tags: pairs(d.tags),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Files {
    pub(super) files: Vec<File>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) is_dir: bool,
    pub(super) file_size: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Workspaces {
    pub(super) workspaces: Vec<Workspace>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Workspace {
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoggedModels {
    pub(super) models: Vec<LoggedModel>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoggedModel {
    info: ModelInfo,
    data: ModelData,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelInfo {
    model_id: String,
    experiment_id: String,
    name: Option<String>,
    creation_timestamp_ms: Option<Int>,
    last_updated_timestamp_ms: Option<Int>,
    artifact_uri: Option<String>,
    status: Option<String>,
    status_message: Option<String>,
    model_type: Option<String>,
    source_run_id: Option<String>,
    tags: Vec<Pair>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelData {
    params: Vec<Pair>,
    metrics: Vec<ModelMetric>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelMetric {
    key: String,
    value: Double,
    timestamp: Int,
    step: Int,
    run_id: Option<String>,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

impl From<LoggedModel> for RawLoggedModel {
    fn from(m: LoggedModel) -> Self {
        let word = m
            .info
            .status
            .as_deref()
            .map(|s| s.strip_prefix("LOGGED_MODEL_").unwrap_or(s));
        let status = word.map(|w| if w == "UPLOAD_FAILED" { "FAILED" } else { w }.to_owned());
        Self {
            model_id: m.info.model_id,
            experiment_id: m.info.experiment_id,
            name: m.info.name,
            status,
            status_message: m.info.status_message,
            model_type: m.info.model_type,
            source_run_id: m.info.source_run_id,
            artifact_uri: m.info.artifact_uri,
            creation_time: int(m.info.creation_timestamp_ms),
            last_updated_time: int(m.info.last_updated_timestamp_ms),
            params: pairs(m.data.params),
            tags: pairs(m.info.tags),
            metrics: m.data.metrics.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

impl From<ModelMetric> for RawModelMetric {
    fn from(m: ModelMetric) -> Self {
        Self {
            key: m.key,
            value: m.value.0,
            timestamp: m.timestamp.0,
            step: m.step.0,
            run_id: m.run_id,
            dataset_name: m.dataset_name,
            dataset_digest: m.dataset_digest,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RegisteredModels {
    pub(super) registered_models: Vec<RegisteredModel>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RegisteredModel {
    name: String,
    description: Option<String>,
    creation_timestamp: Option<Int>,
    last_updated_timestamp: Option<Int>,
    workspace: Option<String>,
    tags: Vec<Pair>,
    aliases: Vec<Alias>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Alias {
    alias: String,
    version: Int,
}

impl RegisteredModel {
    /// Whether it is a prompt, and comes with the prompts.
    pub(super) fn is_prompt(&self) -> bool {
        self.tags.iter().any(|tag| {
            tag.key == "mlflow.prompt.is_prompt" && tag.value.eq_ignore_ascii_case("true")
        })
    }
}

impl From<RegisteredModel> for RawRegisteredModel {
    fn from(m: RegisteredModel) -> Self {
        let number = |version: Int| u64::try_from(version.0).unwrap_or_default();
        Self {
            name: m.name,
            description: m.description,
            creation_time: int(m.creation_timestamp),
            last_updated_time: int(m.last_updated_timestamp),
            workspace: m.workspace,
            tags: pairs(m.tags),
            aliases: m
                .aliases
                .into_iter()
                .map(|a| (a.alias, number(a.version)))
                .collect(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelVersions {
    pub(super) model_versions: Vec<ModelVersion>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelVersion {
    pub(super) name: String,
    version: Int,
    description: Option<String>,
    creation_timestamp: Option<Int>,
    last_updated_timestamp: Option<Int>,
    user_id: Option<String>,
    current_stage: Option<String>,
    source: Option<String>,
    run_id: Option<String>,
    run_link: Option<String>,
    model_id: Option<String>,
    status: Option<String>,
    status_message: Option<String>,
    tags: Vec<Pair>,
}

impl From<ModelVersion> for RawModelVersion {
    fn from(v: ModelVersion) -> Self {
        Self {
            version: u64::try_from(v.version.0).unwrap_or_default(),
            description: v.description,
            creation_time: int(v.creation_timestamp),
            last_updated_time: int(v.last_updated_timestamp),
            user_id: v.user_id,
            current_stage: v.current_stage,
            source: v.source,
            run_id: v.run_id,
            run_link: v.run_link,
            model_id: v.model_id,
            status: v.status,
            status_message: v.status_message,
            tags: pairs(v.tags),
        }
    }
}
