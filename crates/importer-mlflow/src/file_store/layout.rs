//! What lies where in a file store.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use importer_core::{Finding, Kind, SourceProject};
use tracker_model::Result;

use super::{
    copies::Copies,
    meta::{ExperimentMeta, number, read_meta, required},
    tree::is_debris,
    values::{Budget, read_values},
};
use crate::{
    artifact_place::ArtifactPlaces,
    blocking::io_error,
    local_files::{Entry, sorted_entries},
    mapping::RawExperiment,
};

const TRASH: &str = ".trash";
/// The registry's folder among the experiments, and the logged models' among the runs.
pub(super) const MODELS: &str = "models";
pub(super) const TAGS: &str = "tags";
pub(super) const PARAMS: &str = "params";
pub(super) const METRICS: &str = "metrics";
pub(super) const INPUTS: &str = "inputs";
pub(super) const OUTPUTS: &str = "outputs";
pub(super) const DATASETS: &str = "datasets";
pub(super) const TRACES: &str = "traces";
pub(super) const ARTIFACTS: &str = "artifacts";
pub(super) const META: &str = "meta.yaml";
/// What lies beside the runs of an experiment.
const RESERVED: [&str; 4] = [TAGS, DATASETS, TRACES, MODELS];

/// A file store on this machine.
#[derive(Debug)]
pub(super) struct Store {
    /// Without symbolic links.
    pub(super) root: PathBuf,
    pub(super) places: ArtifactPlaces,
    copies: OnceLock<Copies>,
}

/// A folder below another one.
#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// A folder, or what is wrong with it.
pub(super) type Listed = std::result::Result<Child, Finding>;

impl Store {
    pub(super) fn new(root: PathBuf, places: ArtifactPlaces) -> Self {
        Self {
            root,
            places,
            copies: OnceLock::new(),
        }
    }

    /// The id of the run in a folder of an experiment: the folder's name, unless another experiment
    /// has a run of that name.
    pub(super) fn run_id(&self, experiment: &Child, folder: &str) -> String {
        let copies = self.copies.get_or_init(|| Copies::find(self));
        copies.run_id(experiment, folder)
    }

    /// The folder of a run of an experiment.
    pub(super) fn run_folder(&self, experiment: &Child, id: &str) -> Option<Child> {
        let copied = id.strip_suffix(&format!("-{}", experiment.name));
        let mut names = std::iter::once(id).chain(copied).filter_map(single_name);
        let name = names.find(|name| {
            self.run_id(experiment, name) == id && experiment.path.join(name).is_dir()
        })?;
        Some(Child {
            name: name.to_owned(),
            path: experiment.path.join(name),
        })
    }

    /// The folders of experiments, those in the trash last.
    ///
    /// # Errors
    /// Those of the store's own folder.
    pub(super) fn experiment_folders(
        &self,
        include_deleted: bool,
    ) -> Result<impl Iterator<Item = Listed>> {
        let trash = self.root.join(TRASH);
        let live = self.folders(&self.root, Kind::Projects, &[MODELS])?;
        let deleted = match include_deleted && trash.is_dir() {
            true => Some(self.folders(&trash, Kind::Projects, &[])?),
            false => None,
        };
        Ok(live.chain(deleted.into_iter().flatten()))
    }

    /// The folders of the runs of an experiment.
    ///
    /// # Errors
    /// Those of the experiment's folder.
    pub(super) fn run_folders(&self, experiment: &Path) -> Result<impl Iterator<Item = Listed>> {
        self.folders(experiment, Kind::Runs, &RESERVED)
    }

    /// The folder of an experiment, in the trash or not.
    pub(super) fn experiment_folder(&self, id: &str) -> Option<PathBuf> {
        let id = single_name(id)?;
        [self.root.join(id), self.root.join(TRASH).join(id)]
            .into_iter()
            .find(|path| path.join(META).is_file())
    }

    /// The folders below a folder of the store, in order of their names. A link to a folder of the
    /// store is as good as one; names with a dot in front are nobody's unless they hold a
    /// `meta.yaml`.
    ///
    /// # Errors
    /// Those of the folder.
    pub(super) fn folders(
        &self,
        parent: &Path,
        kind: Kind,
        except: &'static [&'static str],
    ) -> Result<impl Iterator<Item = Listed> + use<>> {
        let entries = sorted_entries(parent).map_err(|e| io_error("listing", parent, e))?;
        let (root, parent) = (self.root.clone(), parent.to_owned());
        Ok(entries.into_iter().filter_map(move |entry| {
            let path = parent.join(&entry.name);
            let ours = !except.iter().any(|name| entry.name == OsStr::new(name))
                && !is_debris(&entry.name);
            if !ours || entry.kind.is_file() || is_private(&entry, &path) {
                return None;
            }
            let found = |(path, reason): (PathBuf, _)| {
                Finding::unreadable(kind, path.display().to_string(), reason)
            };
            Some(child(&root, &entry, path).map_err(found))
        }))
    }

    /// An experiment with its tags. Its identity is the name of its folder.
    ///
    /// # Errors
    /// `NotFound` and `Corrupt`: its `meta.yaml` is missing, torn or something else.
    pub(super) fn experiment(&self, folder: &Child) -> Result<(SourceProject, Vec<Finding>)> {
        let (meta, _) = read_meta::<ExperimentMeta>(&folder.path.join(META))?;
        let id = required("experiment_id", &meta.experiment_id)?.to_owned();
        let mut findings = Vec::new();
        let mut budget = Budget::new();
        let tags = read_values(
            &folder.path.join(TAGS),
            Kind::Tags,
            &mut budget,
            &mut findings,
        );
        let experiment = RawExperiment {
            id: folder.name.clone(),
            name: required("name", &meta.name)?.to_owned(),
            creation_time: number("creation_time", meta.creation_time.as_deref())?,
            last_update_time: number("last_update_time", meta.last_update_time.as_deref())?,
            artifact_location: meta.artifact_location,
            lifecycle_stage: meta.lifecycle_stage,
            workspace: meta.workspace,
            tags,
        };
        Ok((experiment.to_project_saying(&id), findings))
    }
}

fn is_private(entry: &Entry, path: &Path) -> bool {
    entry.name.as_encoded_bytes().first() == Some(&b'.') && !path.join(META).exists()
}

fn child(
    root: &Path,
    entry: &Entry,
    path: PathBuf,
) -> std::result::Result<Child, (PathBuf, &'static str)> {
    let Some(name) = entry.name.to_str().map(str::to_owned) else {
        return Err((path, "the folder's name is not UTF-8"));
    };
    if entry.kind.is_dir() {
        return Ok(Child { name, path });
    }
    match fs::canonicalize(&path) {
        Ok(real) if entry.kind.is_symlink() && real.is_dir() && real.starts_with(root) => {
            Ok(Child { name, path: real })
        }
        _ => Err((
            path,
            "it is not a folder, or a symbolic link that leaves the store and is not followed",
        )),
    }
}

/// A name that stays in its folder.
pub(super) fn single_name(name: &str) -> Option<&str> {
    let legal =
        !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
    legal.then_some(name)
}

/// Whether a folder looks like a file store: it holds an experiment or a registry.
///
/// # Errors
/// Those of the folder.
pub(super) fn looks_like_store(root: &Path) -> io::Result<bool> {
    for parent in [root.to_owned(), root.join(TRASH)] {
        let entries = match fs::read_dir(&parent) {
            Ok(entries) => entries,
            Err(e) if parent != root && e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        for entry in entries {
            let path = entry?.path();
            if path.join(META).is_file()
                || path.file_name() == Some(OsStr::new(MODELS)) && holds_meta(&path)
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn holds_meta(registry: &Path) -> bool {
    fs::read_dir(registry).is_ok_and(|entries| {
        entries
            .filter_map(io::Result::ok)
            .any(|e| e.path().join(META).is_file())
    })
}
