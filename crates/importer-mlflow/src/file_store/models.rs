//! The logged models and the model registry of a file store.

use std::{collections::BTreeMap, fs, path::Path};

use importer_core::{Finding, Kind};
use tracker_model::Result;

use super::{
    layout::{Child, META, METRICS, MODELS, PARAMS, Store, TAGS},
    lines::{Line, LineReader},
    meta::{
        LoggedModelMeta, ModelVersionMeta, RegisteredModelMeta, model_status, number, read_meta,
        required,
    },
    metric_line::{MetricLine, dataset},
    tree::{Leaf, walk_values},
    values::{Budget, read_values, why},
};
use crate::mapping::{RawLoggedModel, RawModelMetric, RawModelVersion, RawRegisteredModel};

/// Values of one logged model that are read into memory.
const MAX_METRICS: usize = 100_000;

/// The logged models of an experiment, each with its folder, sorted as they must come.
pub(super) fn logged_models(
    store: &Store,
    experiment: &Child,
    findings: &mut Vec<Finding>,
) -> Result<Vec<(RawLoggedModel, Child)>> {
    let folder = experiment.path.join(MODELS);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for child in store.folders(&folder, Kind::Artifacts, &[])? {
        match child {
            Ok(child) => match logged_model(experiment, &child, findings) {
                Ok(model) => out.push((model, child)),
                Err(e) => findings.push(torn(Kind::Artifacts, &child.path, &e)),
            },
            Err(finding) => findings.push(finding),
        }
    }
    out.sort_by(|(a, _), (b, _)| RawLoggedModel::order(a, b));
    Ok(out)
}

fn torn(kind: Kind, path: &Path, error: &tracker_model::Error) -> Finding {
    let reason = format!("its {META} cannot be read: {}", why(error));
    Finding::unreadable(kind, path.display().to_string(), reason)
}

fn logged_model(
    experiment: &Child,
    folder: &Child,
    findings: &mut Vec<Finding>,
) -> Result<RawLoggedModel> {
    let (meta, _) = read_meta::<LoggedModelMeta>(&folder.path.join(META))?;
    required("model_id", &meta.model_id)?;
    let mut budget = Budget::new();
    let mut values = |part: &str| {
        read_values(
            &folder.path.join(part),
            Kind::Artifacts,
            &mut budget,
            findings,
        )
    };
    let (params, tags) = (values(PARAMS), values(TAGS));
    Ok(RawLoggedModel {
        model_id: folder.name.clone(),
        experiment_id: experiment.name.clone(),
        status: Some(model_status(required("status", &meta.status)?)),
        name: meta.name,
        status_message: meta.status_message,
        lifecycle_stage: meta.lifecycle_stage,
        model_type: meta.model_type,
        source_run_id: meta.source_run_id,
        artifact_uri: meta.artifact_location,
        creation_time: number("creation_timestamp", meta.creation_timestamp.as_deref())?,
        last_updated_time: number(
            "last_updated_timestamp",
            meta.last_updated_timestamp.as_deref(),
        )?,
        params,
        tags,
        metrics: model_metrics(&folder.path.join(METRICS), findings),
        ..RawLoggedModel::default()
    })
}

/// `TIME VALUE STEP RUN [DATASET DIGEST]`.
fn model_metrics(folder: &Path, findings: &mut Vec<Finding>) -> Vec<RawModelMetric> {
    let mut out: Vec<RawModelMetric> = Vec::new();
    let mut reader = LineReader::new();
    let done: Result<(), std::convert::Infallible> =
        walk_values(folder, Kind::Artifacts, &mut |leaf| {
            let (key, path) = match leaf {
                Leaf::File { key, path, .. } => (key, path),
                Leaf::Odd(path, ()) => {
                    let place = path.display().to_string();
                    findings.push(Finding::unreadable(
                        Kind::Artifacts,
                        place,
                        "the metric's name is not UTF-8",
                    ));
                    return Ok(());
                }
                Leaf::Finding(finding) => {
                    findings.push(finding);
                    return Ok(());
                }
            };
            let mut bad = 0;
            let read = fs::File::open(&path).and_then(|mut file| {
                reader.read(&mut file, |line| {
                    match line {
                        Line::Whole(text) if text.trim_ascii().is_empty() => {}
                        Line::Whole(text) if out.len() < MAX_METRICS => {
                            match model_metric(&key, text.trim_ascii()) {
                                Some(metric) => out.push(metric),
                                None => bad += 1,
                            }
                        }
                        _ => bad += 1,
                    }
                    Ok::<(), ()>(())
                })
            });
            let place = path.display().to_string();
            if let Err(e) = read {
                let reason = format!("the model's metric cannot be read: {}", e.kind());
                findings.push(Finding::unreadable(Kind::Artifacts, place, reason));
            } else if bad > 0 {
                let reason = "lines of the model's metric are malformed, incomplete or too many";
                findings.push(Finding::unreadable(Kind::Artifacts, place, reason).times(bad));
            }
            Ok(())
        });
    let Ok(()) = done;
    out
}

fn model_metric(key: &str, line: &[u8]) -> Option<RawModelMetric> {
    let point = MetricLine::parse(line)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let (run, rest) = match point.rest {
        None => (None, None),
        Some(rest) => match rest.iter().position(|b| *b == b' ') {
            None => (Some(text(rest)?), None),
            Some(at) => {
                let (run, rest) = rest.split_at_checked(at)?;
                (Some(text(run)?), Some(dataset(rest.get(1..)?)?))
            }
        },
    };
    let (dataset_name, dataset_digest) = match rest {
        Some((name, digest)) => (Some(text(name)?), Some(text(digest)?)),
        None => (None, None),
    };
    Some(RawModelMetric {
        key: key.to_owned(),
        value: point.value,
        timestamp: point.time,
        step: point.step,
        run_id: run,
        dataset_name,
        dataset_digest,
    })
}

/// The registered models, each with its versions by number.
pub(super) fn registered_models(
    store: &Store,
    findings: &mut Vec<Finding>,
) -> Result<Vec<(RawRegisteredModel, Vec<RawModelVersion>)>> {
    let folder = store.root.join(MODELS);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for child in store.folders(&folder, Kind::Collections, &[])? {
        match child {
            Ok(child) => match registered_model(&child, findings) {
                Ok(model) => out.push((model, versions(store, &child, findings)?)),
                Err(e) => findings.push(torn(Kind::Collections, &child.path, &e)),
            },
            Err(finding) => findings.push(finding),
        }
    }
    Ok(out)
}

fn registered_model(folder: &Child, findings: &mut Vec<Finding>) -> Result<RawRegisteredModel> {
    let (meta, _) = read_meta::<RegisteredModelMeta>(&folder.path.join(META))?;
    let mut budget = Budget::new();
    let mut values = |part: &str| {
        read_values(
            &folder.path.join(part),
            Kind::Collections,
            &mut budget,
            findings,
        )
    };
    let (tags, aliases) = (values(TAGS), values("aliases"));
    let mut pointers = BTreeMap::new();
    for (alias, version) in aliases {
        match version.trim().parse() {
            Ok(version) => drop(pointers.insert(alias, version)),
            Err(_) => findings.push(Finding::unreadable(
                Kind::Collections,
                format!("{}: alias {alias:?}", folder.path.display()),
                "the alias does not hold the number of a version",
            )),
        }
    }
    Ok(RawRegisteredModel {
        name: required("name", &meta.name)?.to_owned(),
        description: meta.description,
        creation_time: number("creation_timestamp", meta.creation_timestamp.as_deref())?,
        last_updated_time: number(
            "last_updated_timestamp",
            meta.last_updated_timestamp.as_deref(),
        )?,
        workspace: meta.workspace,
        tags,
        aliases: pointers,
    })
}

fn versions(
    store: &Store,
    model: &Child,
    findings: &mut Vec<Finding>,
) -> Result<Vec<RawModelVersion>> {
    let mut out = Vec::new();
    for child in store.folders(&model.path, Kind::Artifacts, &[TAGS, "aliases"])? {
        let child = match child {
            Ok(child) if child.name.starts_with("version-") => child,
            Ok(_) => continue,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        match version(&child, findings) {
            Ok(version) => out.push(version),
            Err(e) => findings.push(torn(Kind::Artifacts, &child.path, &e)),
        }
    }
    out.sort_by_key(|v| v.version);
    out.dedup_by_key(|v| v.version);
    Ok(out)
}

fn version(folder: &Child, findings: &mut Vec<Finding>) -> Result<RawModelVersion> {
    let (meta, _) = read_meta::<ModelVersionMeta>(&folder.path.join(META))?;
    let number_of = folder.name.strip_prefix("version-");
    let mut budget = Budget::new();
    Ok(RawModelVersion {
        version: number("version", number_of)?.unwrap_or(0),
        description: meta.description,
        creation_time: number("creation_timestamp", meta.creation_timestamp.as_deref())?,
        last_updated_time: number(
            "last_updated_timestamp",
            meta.last_updated_timestamp.as_deref(),
        )?,
        user_id: meta.user_id,
        current_stage: meta.current_stage,
        source: meta.source,
        run_id: meta.run_id,
        run_link: meta.run_link,
        model_id: meta.model_id,
        status: meta.status,
        status_message: meta.status_message,
        tags: read_values(
            &folder.path.join(TAGS),
            Kind::Artifacts,
            &mut budget,
            findings,
        ),
    })
}

/// The address of the artifacts of a logged model, if there is such a model; it may have none.
pub(super) fn artifact_location(model: &Child) -> Option<Option<String>> {
    let (meta, _) = read_meta::<LoggedModelMeta>(&model.path.join(META)).ok()?;
    Some(meta.artifact_location)
}

/// The source of a version of a registered model that is not deleted.
pub(super) fn source_of_version(root: &Path, name: &str, version: u64) -> Option<String> {
    let folder = Child {
        name: format!("version-{version}"),
        path: root
            .join(MODELS)
            .join(name)
            .join(format!("version-{version}")),
    };
    let version = self::version(&folder, &mut Vec::new()).ok()?;
    (!version.is_deleted()).then_some(version.source).flatten()
}
