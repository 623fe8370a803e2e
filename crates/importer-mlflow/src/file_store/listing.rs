//! The listing of experiments and runs.

use std::sync::Arc;

use importer_core::{Finding, Kind, RunRef, Selection, SourceItem, SourceProject};
use tracker_model::{Error, Result};

use super::{
    layout::{Child, Listed, META, Store},
    run::{RunFolder, read_run_meta},
    stamp,
    values::why,
};
use crate::{
    artifact_place::Place,
    blocking::{Feed, Filled},
};

/// The folder of an experiment that was listed.
pub(super) fn experiment_of(store: &Store, project: &SourceProject) -> Result<Child> {
    let path = store.experiment_folder(&project.id);
    let path = path.ok_or_else(|| Error::not_found(format_args!("experiment {}", project.id)))?;
    Ok(Child {
        name: project.id.clone(),
        path,
    })
}

/// The folder of a run that was listed.
pub(super) fn folder_of(store: &Store, run: &RunRef) -> Result<Arc<RunFolder>> {
    if let Some(folder) = run
        .detail
        .clone()
        .and_then(|d| d.downcast::<RunFolder>().ok())
    {
        return Ok(folder);
    }
    let experiment = experiment_of(store, &run.project)?;
    let folder = store
        .run_folder(&experiment, &run.id)
        .ok_or_else(|| Error::not_found(format_args!("run {:?}", run.id)))?;
    let (raw, _) = read_run_meta(&experiment, &folder)?;
    Ok(Arc::new(RunFolder {
        experiment,
        run: folder,
        id: run.id.clone(),
        artifact_uri: raw.artifact_uri,
    }))
}

pub(super) fn list_projects(
    store: &Store,
    selection: &Selection,
    feed: &mut Feed<SourceItem<SourceProject>>,
) -> Filled {
    for folder in store.experiment_folders(selection.include_deleted)? {
        let folder = match folder {
            Ok(folder) => folder,
            Err(finding) => {
                feed.item(SourceItem::Finding(finding))?;
                continue;
            }
        };
        let (project, findings) = match store.experiment(&folder) {
            Ok(read) => read,
            Err(e) => {
                lost_experiment(store, &folder, &e, feed)?;
                continue;
            }
        };
        if (project.deleted && !selection.include_deleted)
            || !selection.wants_project(&project.id, &project.name)
        {
            continue;
        }
        for finding in findings {
            feed.item(SourceItem::Finding(finding))?;
        }
        feed.item(SourceItem::Item(project))?;
    }
    Ok(())
}

/// An experiment whose `meta.yaml` is torn takes its runs with it.
fn lost_experiment(
    store: &Store,
    folder: &Child,
    error: &Error,
    feed: &mut Feed<SourceItem<SourceProject>>,
) -> Filled {
    let place = folder.path.display().to_string();
    let reason = format!("its meta.yaml cannot be read: {}", why(error));
    feed.item(SourceItem::Finding(Finding::unreadable(
        Kind::Projects,
        &place,
        reason,
    )))?;
    let is_run = |f: &Listed| f.as_ref().is_ok_and(|f| f.path.join(META).is_file());
    let runs = store
        .run_folders(&folder.path)
        .map_or(0, |folders| folders.filter(is_run).count());
    if runs == 0 {
        return Ok(());
    }
    let finding = Finding::unreadable(
        Kind::Runs,
        place,
        "the meta.yaml of its experiment cannot be read",
    );
    feed.item(SourceItem::Finding(finding.times(runs as u64)))
}

pub(super) fn list_run(
    store: &Store,
    project: &Arc<SourceProject>,
    experiment: &Child,
    folder: Child,
    selection: &Selection,
) -> Result<Option<SourceItem<RunRef>>> {
    let place = folder.path.display().to_string();
    let (mut raw, meta) = match read_run_meta(experiment, &folder) {
        Ok(read) => read,
        Err(e) => {
            let reason = format!("its meta.yaml cannot be read: {}", why(&e));
            return Ok(Some(SourceItem::Finding(Finding::unreadable(
                Kind::Runs,
                place,
                reason,
            ))));
        }
    };
    raw.run_id = store.run_id(experiment, &folder.name);
    let mut run = raw.to_ref(project, String::new());
    if !selection.wants_run(&run) {
        return Ok(None);
    }
    let folder = RunFolder {
        experiment: experiment.clone(),
        run: folder,
        id: raw.run_id,
        artifact_uri: raw.artifact_uri,
    };
    let artifacts = match store.run_artifacts(&folder)? {
        Place::Folder(artifacts) => Some(artifacts),
        Place::Empty | Place::Unreachable(_) => None,
    };
    run.fingerprint = stamp::run_fingerprint(&meta.bytes, &folder.run.path, artifacts.as_ref());
    run.detail = Some(Arc::new(folder));
    Ok(Some(SourceItem::Item(run)))
}
