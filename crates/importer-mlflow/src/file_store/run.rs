//! One run of a file store.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use importer_core::{Finding, Kind};
use tracker_model::{Error, ErrorKind, Result};

use super::{
    layout::{
        ARTIFACTS, Child, DATASETS, INPUTS, META, MODELS, OUTPUTS, PARAMS, Store, TAGS, single_name,
    },
    meta::{DatasetMeta, LinkMeta, RunMeta, number, read_meta, required, run_status, source_type},
    values::{Budget, read_values, why},
};
use crate::{
    artifact_place::{Place, folder_below, parts_of},
    local_files::{read_small, sorted_entries},
    mapping::{RawDatasetInput, RawModelOutput, RawRun, rule},
};

/// Names of runs have at most 250 characters in MLflow.
const MAX_NAME: u64 = 64 << 10;

/// Where a run is.
#[derive(Debug, Clone)]
pub(super) struct RunFolder {
    /// The folder of its experiment.
    pub(super) experiment: Child,
    /// Its own folder.
    pub(super) run: Child,
    /// Its id, as [`Store::run_id`] says.
    pub(super) id: String,
    /// The address of its artifacts, as its `meta.yaml` says.
    pub(super) artifact_uri: Option<String>,
}

impl RunFolder {
    /// A folder of the run.
    pub(super) fn join(&self, part: &str) -> PathBuf {
        self.run.path.join(part)
    }
}

/// The `meta.yaml` of a run.
#[derive(Debug)]
pub(super) struct RunFile {
    pub(super) bytes: Vec<u8>,
    /// The id that it says; the run's identity is the name of its folder.
    id: String,
    /// The experiment that it says.
    pub(super) experiment_id: Option<String>,
}

/// What the `meta.yaml` of a run says. The name may be that of the tag.
///
/// # Errors
/// `NotFound` and `Corrupt`.
pub(super) fn read_run_meta(experiment: &Child, run: &Child) -> Result<(RawRun, RunFile)> {
    let (meta, bytes) = read_meta::<RunMeta>(&run.path.join(META))?;
    let id = required("run_id", &meta.run_id.or(meta.run_uuid))?.to_owned();
    let named = |name: Option<String>| name.filter(|n| !n.is_empty());
    let mut run_name = named(meta.run_name).or_else(|| named(meta.name));
    if run_name.is_none() {
        let tag = read_small(&run.path.join(TAGS).join("mlflow.runName"), MAX_NAME).ok();
        run_name = tag.and_then(|bytes| String::from_utf8(bytes).ok());
    }
    let raw = RawRun {
        run_id: run.name.clone(),
        experiment_id: experiment.name.clone(),
        run_name,
        status: Some(run_status(required("status", &meta.status)?)),
        start_time: number("start_time", meta.start_time.as_deref())?,
        end_time: number("end_time", meta.end_time.as_deref())?,
        deleted_time: number("deleted_time", meta.deleted_time.as_deref())?,
        lifecycle_stage: meta.lifecycle_stage,
        user_id: meta.user_id,
        source_type: meta.source_type.as_deref().map(source_type),
        source_name: meta.source_name,
        source_version: meta.source_version,
        entry_point_name: meta.entry_point_name,
        artifact_uri: meta.artifact_uri,
        ..RawRun::default()
    };
    let file = RunFile {
        bytes,
        id,
        experiment_id: meta.experiment_id,
    };
    Ok((raw, file))
}

/// All of a run but its history and artifacts.
///
/// # Errors
/// `NotFound` and `Corrupt`, for its `meta.yaml` alone.
pub(super) fn read_run(folder: &RunFolder) -> Result<(RawRun, Vec<Finding>)> {
    let (mut raw, file) = read_run_meta(&folder.experiment, &folder.run)?;
    let mut findings = Vec::new();
    let rules = [
        (file.id != folder.run.name, rule::RUN_ID_FROM_FOLDER),
        (folder.id != folder.run.name, rule::RUN_ID_OF_COPY),
    ];
    for (_, rule) in rules.into_iter().filter(|(applies, _)| *applies) {
        let place = folder.run.path.display().to_string();
        findings.push(Finding::normalised(Kind::Runs, place, rule));
    }
    raw.run_id.clone_from(&folder.id);
    let mut budget = Budget::new();
    raw.params = read_values(
        &folder.join(PARAMS),
        Kind::Params,
        &mut budget,
        &mut findings,
    );
    raw.tags = read_values(&folder.join(TAGS), Kind::Tags, &mut budget, &mut findings);
    let links = links(folder, &mut findings);
    raw.model_inputs = links.inputs;
    raw.model_outputs = links.outputs;
    for (dataset, tags) in links.datasets {
        let place = folder.join(INPUTS).display().to_string();
        match read_dataset(&folder.experiment.path, &dataset) {
            Ok(input) => raw.dataset_inputs.push(RawDatasetInput { tags, ..input }),
            Err(e) => {
                let reason = format!("the dataset cannot be read: {}", why(&e));
                findings.push(Finding::unreadable(
                    Kind::Inputs,
                    format!("{place}: dataset {dataset:?}"),
                    reason,
                ));
            }
        }
    }
    Ok((raw, findings))
}

fn read_dataset(experiment: &Path, id: &str) -> Result<RawDatasetInput> {
    let id = single_name(id)
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "its id is not the name of a folder"))?;
    let (meta, _) = read_meta::<DatasetMeta>(&experiment.join(DATASETS).join(id).join(META))?;
    Ok(RawDatasetInput {
        name: required("name", &meta.name)?.to_owned(),
        digest: required("digest", &meta.digest)?.to_owned(),
        source_type: meta.source_type,
        source: meta.source,
        schema: meta.schema,
        profile: meta.profile,
        ..RawDatasetInput::default()
    })
}

/// What a run read and made.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Ids of datasets, with the tags of the input.
    pub(super) datasets: Vec<(String, BTreeMap<String, String>)>,
    /// Ids of logged models.
    pub(super) inputs: Vec<String>,
    /// Logged models with the step.
    pub(super) outputs: Vec<RawModelOutput>,
}

/// Reads what a run read and made.
pub(super) fn links(folder: &RunFolder, findings: &mut Vec<Finding>) -> Links {
    let mut out = Links::default();
    for part in [INPUTS, OUTPUTS] {
        let Ok(entries) = sorted_entries(&folder.join(part)) else {
            continue;
        };
        for entry in entries.iter().filter(|e| e.kind.is_dir()) {
            let path = folder.join(part).join(&entry.name);
            let (meta, _) = match read_meta::<LinkMeta>(&path.join(META)) {
                Ok(meta) => meta,
                Err(e) => {
                    let kind = if part == INPUTS {
                        Kind::Inputs
                    } else {
                        Kind::Lineage
                    };
                    let reason = format!("its meta.yaml cannot be read: {}", why(&e));
                    findings.push(Finding::unreadable(
                        kind,
                        path.display().to_string(),
                        reason,
                    ));
                    continue;
                }
            };
            out.add(part, meta, &path, findings);
        }
    }
    out
}

impl Links {
    fn add(&mut self, part: &str, meta: LinkMeta, path: &Path, findings: &mut Vec<Finding>) {
        let place = || path.display().to_string();
        let kind = meta.source_type.as_deref().unwrap_or("DATASET");
        // In inputs the destination repeats the source: the run is the folder that it lies in.
        match (part, kind, meta.source_id, meta.destination_id) {
            (INPUTS, "DATASET", Some(id), _) => {
                let tags = meta.tags.unwrap_or_default();
                self.datasets.push((
                    id,
                    tags.into_iter()
                        .map(|(k, v)| (k, v.unwrap_or_default()))
                        .collect(),
                ));
            }
            (INPUTS, "MODEL" | "MODEL_INPUT" | "RUN_INPUT", source, destination) => {
                let model = [source, destination]
                    .into_iter()
                    .flatten()
                    .find(|id| id.starts_with("m-"));
                self.inputs.extend(model);
            }
            (OUTPUTS, _, _, Some(model_id)) => {
                let step = number("step", meta.step.as_deref())
                    .ok()
                    .flatten()
                    .unwrap_or(0);
                self.outputs.push(RawModelOutput { model_id, step });
            }
            _ => findings.push(Finding::lost(
                Kind::Inputs,
                place(),
                format!("inputs of the kind {kind:?} are not known"),
            )),
        }
    }
}

impl Store {
    /// The artifacts of a run: those beside its `meta.yaml` if the address is that place, wherever
    /// the store was when it was written; else what the address says.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn run_artifacts(&self, folder: &RunFolder) -> Result<Place> {
        let own = folder.join(ARTIFACTS);
        let tail = [folder.run.name.as_str(), ARTIFACTS];
        self.artifacts(
            &own,
            folder.artifact_uri.as_deref(),
            &tail,
            &folder.experiment.name,
        )
    }

    /// The artifacts of a logged model; see [`Store::run_artifacts`].
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn model_artifacts(
        &self,
        experiment: &Child,
        model: &Child,
        uri: Option<&str>,
    ) -> Result<Place> {
        let own = model.path.join(ARTIFACTS);
        self.artifacts(
            &own,
            uri,
            &[MODELS, &model.name, ARTIFACTS],
            &experiment.name,
        )
    }

    pub(super) fn artifacts(
        &self,
        own: &Path,
        uri: Option<&str>,
        tail: &[&str],
        experiment: &str,
    ) -> Result<Place> {
        let Some(uri) = uri.filter(|uri| !uri.is_empty()) else {
            return Ok(folder_below(own, tail, &self.root)?.unwrap_or(Place::Empty));
        };
        let (scheme, path) = parts_of(uri);
        let here: PathBuf = std::iter::once(experiment)
            .chain(tail.iter().copied())
            .collect();
        if !matches!(scheme.as_str(), "" | "file") || !path.ends_with(here) {
            return self.places.resolve(uri, tail);
        }
        if let Some(found) = folder_below(own, tail, &self.root)? {
            return Ok(found);
        }
        Ok(match self.places.resolve(uri, tail)? {
            // Version control and the like do not keep empty folders.
            Place::Unreachable(_) => Place::Empty,
            place => place,
        })
    }
}
