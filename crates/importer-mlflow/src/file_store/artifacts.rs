//! The listing of logged models, traces and the model registry.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use importer_core::{Finding, Selection, SourceArtifact, SourceItem, SourceProject};
use tracker_model::Result;

use super::{
    Detail,
    layout::{Child, MODELS, Store, single_name},
    listing::experiment_of,
    models,
    run::{self, RunFolder, read_run_meta},
    stamp::files_fingerprint,
    traces,
};
use crate::{
    artifact_place::Place,
    blocking::{Feed, Filled},
    local_entries::{Files, Places},
    local_files::LocalFolder,
    mapping::{RawLoggedModel, traces_artifact},
};

/// Which runs have to do with a logged model.
#[derive(Debug, Default)]
struct ModelRuns {
    used_by: Vec<String>,
    output_of: Vec<(String, i64)>,
}

fn model_runs(
    store: &Store,
    experiment: &Child,
    selection: &Selection,
) -> Result<BTreeMap<String, ModelRuns>> {
    let mut out: BTreeMap<String, ModelRuns> = BTreeMap::new();
    for run in store.run_folders(&experiment.path)?.filter_map(|f| f.ok()) {
        let folder = RunFolder {
            experiment: experiment.clone(),
            id: store.run_id(experiment, &run.name),
            run,
            artifact_uri: None,
        };
        // What is wrong with them is told where the run is read.
        let links = run::links(&folder, &mut Vec::new());
        if links.inputs.is_empty() && links.outputs.is_empty() {
            continue;
        }
        let deleted = read_run_meta(experiment, &folder.run).is_ok_and(|(raw, _)| raw.is_deleted());
        if deleted && !selection.include_deleted {
            continue;
        }
        for model in links.inputs {
            out.entry(model)
                .or_default()
                .used_by
                .push(folder.id.clone());
        }
        for output in links.outputs {
            out.entry(output.model_id)
                .or_default()
                .output_of
                .push((folder.id.clone(), output.step));
        }
    }
    Ok(out)
}

pub(super) fn list_models(
    store: &Store,
    projects: &[Arc<SourceProject>],
    selection: &Selection,
    feed: &mut Feed<SourceItem<SourceArtifact>>,
) -> Filled {
    let experiments: Vec<_> = projects
        .iter()
        .filter_map(|p| Some((p, experiment_of(store, p).ok()?)))
        .collect();
    if !experiments
        .iter()
        .any(|(_, e)| e.path.join(MODELS).is_dir())
    {
        return Ok(());
    }
    let mut runs: BTreeMap<String, ModelRuns> = BTreeMap::new();
    for (_, experiment) in &experiments {
        for (model, found) in model_runs(store, experiment, selection)? {
            let all = runs.entry(model).or_default();
            all.used_by.extend(found.used_by);
            all.output_of.extend(found.output_of);
        }
    }
    for (project, experiment) in &experiments {
        let mut findings = Vec::new();
        let models = models::logged_models(store, experiment, &mut findings)?;
        send_all(findings, feed)?;
        for (mut model, folder) in models {
            if model.is_deleted() && !selection.include_deleted {
                continue;
            }
            let found = runs.remove(&model.model_id).unwrap_or_default();
            (model.used_by, model.output_of) = (found.used_by, found.output_of);
            feed.item(SourceItem::Item(model_artifact(
                store, project, experiment, model, &folder,
            )?))?;
        }
    }
    Ok(())
}

fn model_artifact(
    store: &Store,
    project: &Arc<SourceProject>,
    experiment: &Child,
    model: RawLoggedModel,
    folder: &Child,
) -> Result<SourceArtifact> {
    let uri = model.artifact_uri.clone().unwrap_or_default();
    let place = store.model_artifacts(experiment, folder, model.artifact_uri.as_deref())?;
    let files = Files::of_place(place, "", None, &uri);
    let hash = files_hash(&files);
    Ok(model.into_artifact(
        project,
        hash.as_deref(),
        Some(Arc::new(Detail::Files(files))),
    ))
}

/// A hash over files that proves that they are the same.
pub(crate) fn files_hash(files: &Files) -> Option<String> {
    match files {
        Files::Local { folder, .. } => Some(files_fingerprint(folder)),
        Files::None => Some("none".to_owned()),
        Files::Elsewhere { .. } => None,
    }
}

pub(super) fn list_traces(
    store: &Store,
    projects: &[Arc<SourceProject>],
    feed: &mut Feed<SourceItem<SourceArtifact>>,
) -> Filled {
    for project in projects {
        let experiment = experiment_of(store, project)?;
        let traces = traces::list(store, &experiment)?;
        send_all(traces.findings, feed)?;
        if !traces.all.is_empty() {
            let count = traces.all.len() as u64;
            let detail = Detail::Traces {
                experiment,
                traces: traces.all,
            };
            let artifact = traces_artifact(
                project,
                count,
                traces.fingerprint,
                true,
                Some(Arc::new(detail)),
            );
            feed.item(SourceItem::Item(artifact))?;
        }
    }
    Ok(())
}

pub(super) fn list_registry(
    store: &Store,
    selection: &Selection,
    feed: &mut Feed<SourceItem<SourceArtifact>>,
) -> Filled {
    let mut findings = Vec::new();
    let models = models::registered_models(store, &mut findings)?;
    send_all(findings, feed)?;
    for (model, mut versions) in models {
        versions.retain(|v| selection.include_deleted || !v.is_deleted());
        send_all(model.finding(), feed)?;
        if versions.is_empty() {
            feed.item(SourceItem::Item(model.to_artifact(
                None,
                Some("none"),
                None,
            )))?;
        }
        for version in &versions {
            let files = Files::of_version(version.source.as_deref().unwrap_or_default(), store)?;
            let hash = files_hash(&files);
            let detail = Arc::new(Detail::Files(files));
            feed.item(SourceItem::Item(model.to_artifact(
                Some(version),
                hash.as_deref(),
                Some(detail),
            )))?;
        }
    }
    Ok(())
}

fn send_all<T>(
    findings: impl IntoIterator<Item = Finding>,
    feed: &mut Feed<SourceItem<T>>,
) -> Filled {
    findings
        .into_iter()
        .try_for_each(|finding| feed.item(SourceItem::Finding(finding)))
}

impl Places for Store {
    fn of_run(&self, run_id: &str) -> Result<Option<Place>> {
        for experiment in self.experiment_folders(true)?.filter_map(|f| f.ok()) {
            let Some(run) = self.run_folder(&experiment, run_id) else {
                continue;
            };
            if let Ok((raw, _)) = read_run_meta(&experiment, &run) {
                return Ok(Some(self.run_artifacts(&RunFolder {
                    experiment,
                    run,
                    id: run_id.to_owned(),
                    artifact_uri: raw.artifact_uri,
                })?));
            }
        }
        Ok(None)
    }

    fn of_model(&self, model_id: &str) -> Result<Option<Place>> {
        let Some(name) = single_name(model_id) else {
            return Ok(None);
        };
        for experiment in self.experiment_folders(true)?.filter_map(|f| f.ok()) {
            let model = Child {
                name: name.to_owned(),
                path: experiment.path.join(MODELS).join(name),
            };
            if let Some(uri) = models::artifact_location(&model) {
                return Ok(Some(self.model_artifacts(
                    &experiment,
                    &model,
                    uri.as_deref(),
                )?));
            }
        }
        Ok(None)
    }

    fn source_of_version(&self, name: &str, version: u64) -> Result<Option<String>> {
        Ok(single_name(name).and_then(|name| models::source_of_version(&self.root, name, version)))
    }

    fn own_folder(&self, path: &Path) -> Result<Option<LocalFolder>> {
        Ok(LocalFolder::open(path)?.filter(|folder| folder.path().starts_with(&self.root)))
    }
}
