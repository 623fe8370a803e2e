//! The file store of MLflow: an `mlruns` folder, read without MLflow.

mod artifacts;
mod copies;
mod layout;
mod lines;
mod listing;
mod meta;
mod metric_line;
mod models;
mod points;
mod run;
mod stamp;
mod traces;
mod tree;
mod values;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use importer_core::{
    EntryContent, Finding, Kind, PointItem, PointsQuery, RunRecord, RunRef, Selection, Source,
    SourceArtifact, SourceCapabilities, SourceEntry, SourceFile, SourceId, SourceItem,
    SourceProject,
};
use tracker_model::{ByteStream, Error, Result};

pub(crate) use self::{artifacts::files_hash, meta::model_status, stamp::files_fingerprint};
use self::{
    artifacts::{list_models, list_registry, list_traces},
    layout::{Child, Listed, META, METRICS, Store, looks_like_store},
    listing::{experiment_of, folder_of, list_projects, list_run},
    run::read_run,
    traces::TraceFolder,
};
use crate::{
    artifact_place::{ArtifactPlaces, Place},
    blocking::{blocking, filled_by, io_error},
    local_entries::{Files, file_of},
    local_files::{Met, as_file},
    mapping::{KIND, TRACES_FILE},
};

/// Folders of runs that one thread looks at, one after the other, and threads that do so.
const LISTED_TOGETHER: usize = 16;
const LISTERS: usize = 4;

/// How a file store is opened.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FileStoreOptions {
    /// See [`crate::MlflowOptions::artifacts_root`].
    pub artifacts_root: Option<PathBuf>,
}

/// An `mlruns` folder as a source.
#[derive(Debug)]
pub struct FileStoreSource {
    id: SourceId,
    store: Arc<Store>,
}

/// What the entries of a version are made of.
#[derive(Debug)]
enum Detail {
    Files(Files),
    Traces {
        experiment: Child,
        traces: Vec<TraceFolder>,
    },
}

impl FileStoreSource {
    /// Opens the store in a folder. Only its top is looked at.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder; `InvalidInput` if it is not a file store; those of
    /// the file system.
    pub fn open(folder: impl AsRef<Path>, options: &FileStoreOptions) -> Result<Self> {
        let folder = folder.as_ref();
        let doing = "opening the MLflow file store";
        let root = fs::canonicalize(folder).map_err(|e| {
            io_error(doing, folder, e)
                .with_hint("name the folder that holds the experiments, such as ./mlruns")
        })?;
        if !root.is_dir() {
            return Err(Error::invalid(format!(
                "{} is a file, not the folder of a file store",
                folder.display()
            ))
            .with_hint("name a folder like mlruns; for a database use sqlite:///FILE"));
        }
        if !looks_like_store(&root).map_err(|e| io_error(doing, folder, e))? {
            let inner = root.join("mlruns");
            let nested = looks_like_store(&inner).unwrap_or(false);
            let hint = if nested {
                format!("{} is one", inner.display())
            } else if root.join("mlflow.db").is_file() {
                format!(
                    "beside it lies a database: use sqlite:///{}",
                    root.join("mlflow.db").display()
                )
            } else {
                "a file store holds folders of experiments, each with a meta.yaml; a server with a database keeps \
                 only artifacts in mlruns: import from the server or its database"
                    .to_owned()
            };
            return Err(Error::invalid(format!(
                "{} is not an MLflow file store",
                folder.display()
            ))
            .with_hint(hint));
        }
        if let Some(artifacts) = options.artifacts_root.as_ref().filter(|a| !a.is_dir()) {
            return Err(Error::not_found(format_args!(
                "the artifacts root {}",
                artifacts.display()
            )));
        }
        let base = root.parent().unwrap_or(&root).to_owned();
        let id = SourceId {
            kind: KIND.to_owned(),
            location: root.display().to_string(),
        };
        let places = ArtifactPlaces::new(&base, options.artifacts_root.clone());
        Ok(Self {
            id,
            store: Arc::new(Store::new(root, places)),
        })
    }
}

impl fmt::Display for FileStoreSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MLflow file store {}", self.id.location)
    }
}

#[async_trait]
impl Source for FileStoreSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn capabilities(&self) -> SourceCapabilities {
        let mut capabilities = SourceCapabilities::default();
        capabilities.series_in_turn = true;
        capabilities.exact_fingerprints = true;
        capabilities.artifacts = true;
        capabilities
    }

    fn projects(
        &self,
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceProject>>> {
        let (store, selection) = (Arc::clone(&self.store), selection.clone());
        filled_by(move |feed| list_projects(&store, &selection, feed))
    }

    fn runs(
        &self,
        project: &Arc<SourceProject>,
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<RunRef>>> {
        let (store, project, selection) = (
            Arc::clone(&self.store),
            Arc::clone(project),
            selection.clone(),
        );
        let (list, of) = (Arc::clone(&store), Arc::clone(&project));
        let folders = blocking(move || {
            let experiment = experiment_of(&list, &of)?;
            let folders: Vec<Listed> = list.run_folders(&experiment.path)?.collect();
            Ok((Arc::new(experiment), folders))
        });
        let look = move |(experiment, folders): (Arc<Child>, Vec<Listed>)| {
            let (store, project, selection) = (store.clone(), project.clone(), selection.clone());
            stream::iter(folders)
                .chunks(LISTED_TOGETHER)
                .map(move |folders| {
                    let (store, project) = (store.clone(), project.clone());
                    let (experiment, selection) = (experiment.clone(), selection.clone());
                    blocking(move || {
                        let one = |folder| match folder {
                            Ok(folder) => {
                                list_run(&store, &project, &experiment, folder, &selection)
                            }
                            Err(finding) => Ok(Some(SourceItem::Finding(finding))),
                        };
                        let found = folders.into_iter().map(one);
                        let found = found.filter_map(Result::transpose);
                        Ok(stream::iter(found.collect::<Vec<_>>()))
                    })
                })
                .buffered(LISTERS)
                .try_flatten()
        };
        stream::once(folders).map_ok(look).try_flatten().boxed()
    }

    async fn run(&self, run: &RunRef) -> Result<RunRecord> {
        let (store, run) = (Arc::clone(&self.store), run.clone());
        blocking(move || {
            let folder = folder_of(&store, &run)?;
            let (raw, findings) = read_run(&folder)
                .map_err(|e| e.context(format_args!("reading {}", folder.join(META).display())))?;
            let mut record = raw.into_record(&run.project);
            record.findings.extend(findings);
            Ok(record)
        })
        .await
    }

    fn points(&self, run: &RunRef, query: PointsQuery) -> BoxStream<'static, Result<PointItem>> {
        let (store, run) = (Arc::clone(&self.store), run.clone());
        filled_by(move |feed| {
            let folder = folder_of(&store, &run)?;
            points::read_points(&folder.join(METRICS), &query, feed)?;
            // A run that somebody deletes meanwhile has not simply fewer points.
            match folder.join(META).is_file() {
                true => Ok(()),
                false => Err(Error::not_found(format_args!("run {}", run.id)).into()),
            }
        })
    }

    fn files(&self, run: &RunRef) -> BoxStream<'static, Result<SourceItem<SourceFile>>> {
        let (store, run) = (Arc::clone(&self.store), run.clone());
        filled_by(move |feed| {
            let folder = folder_of(&store, &run)?;
            match store.run_artifacts(&folder)? {
                Place::Folder(artifacts) => artifacts.walk("", Kind::Files, &mut |met| {
                    feed.item(match met {
                        Met::File(file) => SourceItem::Item(file.into_source_file()),
                        Met::Finding(finding) => SourceItem::Finding(finding),
                    })
                }),
                Place::Empty => Ok(()),
                Place::Unreachable(reason) => {
                    let uri = folder.artifact_uri.clone().unwrap_or_default();
                    feed.item(SourceItem::Finding(Finding::unreadable(
                        Kind::Files,
                        uri,
                        reason,
                    )))
                }
            }
        })
    }

    async fn open_file(&self, _run: &RunRef, file: &SourceFile) -> Result<ByteStream> {
        as_file(file.detail.as_deref())?.open().await
    }

    fn artifacts(
        &self,
        projects: &[Arc<SourceProject>],
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceArtifact>>> {
        let (store, projects, selection) = (
            Arc::clone(&self.store),
            projects.to_vec(),
            selection.clone(),
        );
        filled_by(move |feed| {
            let kinds = &selection.kinds;
            if kinds.contains(Kind::Artifacts) {
                list_models(&store, &projects, &selection, feed)?;
            }
            if kinds.contains(Kind::Traces) {
                list_traces(&store, &projects, feed)?;
            }
            if kinds.contains(Kind::Artifacts) {
                list_registry(&store, &selection, feed)?;
            }
            Ok(())
        })
    }

    fn entries(
        &self,
        artifact: &SourceArtifact,
    ) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
        let Some(detail) = detail_of(artifact) else {
            return Files::None.entries();
        };
        if let Detail::Files(files) = &*detail {
            return files.clone().entries();
        }
        let store = Arc::clone(&self.store);
        filled_by(move |feed| {
            let Detail::Traces { experiment, traces } = &*detail else {
                return Ok(());
            };
            traces::gaps(&store, experiment, traces, &mut |finding| {
                feed.item(SourceItem::Finding(finding))
            })?;
            let content = EntryContent::Source(Arc::new(()));
            feed.item(SourceItem::Item(SourceEntry {
                path: TRACES_FILE.to_owned(),
                extras: Default::default(),
                size: None,
                content,
            }))
        })
    }

    async fn open_entry(
        &self,
        artifact: &SourceArtifact,
        entry: &SourceEntry,
    ) -> Result<ByteStream> {
        match detail_of(artifact).as_deref() {
            Some(Detail::Traces { experiment, traces }) => Ok(traces::lines(
                Arc::clone(&self.store),
                experiment.clone(),
                traces.clone(),
            )),
            _ => file_of(&entry.content)?.open().await,
        }
    }
}

fn detail_of(artifact: &SourceArtifact) -> Option<Arc<Detail>> {
    artifact.detail.clone()?.downcast().ok()
}
