//! The tables of an SQLite database, read directly and read-only, safe beside a live server.

mod address;
mod assessments;
mod cells;
mod database;
mod experiments;
mod losses;
mod models;
mod points;
mod python;
mod run_data;
mod runs;
mod schema;
mod series;
mod traces;

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use futures::stream::BoxStream;
use importer_core::{
    EntryContent, Finding, Kind, PointItem, PointsQuery, RunRecord, RunRef, Selection, Source,
    SourceArtifact, SourceCapabilities, SourceEntry, SourceFile, SourceId, SourceItem,
    SourceProject,
};
use tracker_model::{ByteStream, Error, Result};

use self::{database::Database, runs::RunDetail};
use crate::{
    MlflowOptions,
    artifact_place::{ArtifactPlaces, Place},
    blocking::{blocking, filled_by},
    local_entries::{Files, file_of},
    local_files::{Met, as_file},
    mapping::{KIND, TRACES_FILE},
};
pub(crate) use address::path_of;

/// The SQLite database of an MLflow server as a source.
///
/// Every transaction is short, so that a server which is writing meanwhile goes on. Nothing is
/// written to the database or beside it. A database without indices over runs, as those of MLflow
/// before 1.25, is read as it was when it was opened: from an indexed copy in the folder for
/// temporary files.
#[derive(Debug)]
pub struct SqliteSource {
    id: SourceId,
    store: Arc<Store>,
}

#[derive(Debug)]
struct Store {
    database: Database,
    places: ArtifactPlaces,
    restore_infinities: bool,
}

/// What the entries of a version are made of.
#[derive(Debug)]
enum Detail {
    Files(Files),
    Traces { experiment: String },
}

impl SqliteSource {
    /// Opens the database in a file. Of the options those for artifacts and infinities count.
    ///
    /// # Errors
    /// `NotFound` if there is no such file; `InvalidInput` if it is not a database of MLflow;
    /// `Corrupt` if it is damaged; those of the file system.
    pub fn open(file: impl AsRef<Path>, options: &MlflowOptions) -> Result<Self> {
        let file = file.as_ref();
        if let Some(artifacts) = options.artifacts_root.as_ref().filter(|a| !a.is_dir()) {
            return Err(Error::not_found(format_args!(
                "the artifacts root {}",
                artifacts.display()
            )));
        }
        let database = Database::open(file)?;
        let location = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let base = location.parent().unwrap_or(&location);
        let places = ArtifactPlaces::new(base, options.artifacts_root.clone());
        let id = SourceId {
            kind: KIND.to_owned(),
            location: location.display().to_string(),
        };
        let store = Store {
            database,
            places,
            restore_infinities: options.restore_infinities,
        };
        Ok(Self {
            id,
            store: Arc::new(store),
        })
    }
}

impl fmt::Display for SqliteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MLflow database {}", self.id.location)
    }
}

#[async_trait]
impl Source for SqliteSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn capabilities(&self) -> SourceCapabilities {
        let mut capabilities = SourceCapabilities::default();
        capabilities.series_in_turn = true;
        // The row of the newest point proves that there is no newer one.
        capabilities.exact_fingerprints = self.store.database.schema().metrics_by_run.is_some();
        capabilities.artifacts = true;
        capabilities
    }

    fn projects(
        &self,
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceProject>>> {
        let (store, selection) = (Arc::clone(&self.store), selection.clone());
        filled_by(move |feed| experiments::list(&store.database, &selection, feed))
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
        filled_by(move |feed| {
            runs::list(&store.database, &store.places, &project, &selection, feed)
        })
    }

    async fn run(&self, run: &RunRef) -> Result<RunRecord> {
        let (store, run) = (Arc::clone(&self.store), run.clone());
        blocking(move || runs::read(&store.database, &run, store.restore_infinities)).await
    }

    fn points(&self, run: &RunRef, query: PointsQuery) -> BoxStream<'static, Result<PointItem>> {
        let (store, run_id) = (Arc::clone(&self.store), run.id.clone());
        filled_by(move |feed| {
            points::read(
                &store.database,
                &run_id,
                &query,
                store.restore_infinities,
                feed,
            )
        })
    }

    fn files(&self, run: &RunRef) -> BoxStream<'static, Result<SourceItem<SourceFile>>> {
        let (store, run) = (Arc::clone(&self.store), run.clone());
        filled_by(move |feed| {
            let uri = run
                .detail
                .as_ref()
                .and_then(|d| d.downcast_ref::<RunDetail>()?.artifact_uri.as_deref());
            match runs::artifacts(&store.places, &run.id, uri)? {
                Place::Folder(artifacts) => artifacts.walk("", Kind::Files, &mut |met| {
                    feed.item(match met {
                        Met::File(file) => SourceItem::Item(file.into_source_file()),
                        Met::Finding(finding) => SourceItem::Finding(finding),
                    })
                }),
                Place::Empty => Ok(()),
                Place::Unreachable(reason) => {
                    let place = uri.unwrap_or_default();
                    feed.item(SourceItem::Finding(Finding::unreadable(
                        Kind::Files,
                        place,
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
            for project in projects.iter().filter(|_| kinds.contains(Kind::Artifacts)) {
                models::list_logged(&store, project, &selection, feed)?;
            }
            for project in projects.iter().filter(|_| kinds.contains(Kind::Traces)) {
                traces::list(&store, project, feed)?;
            }
            if kinds.contains(Kind::Artifacts) {
                models::list_registered(&store, feed)?;
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
        let experiment = match &*detail {
            Detail::Files(files) => return files.clone().entries(),
            Detail::Traces { experiment } => experiment.clone(),
        };
        let store = Arc::clone(&self.store);
        filled_by(move |feed| {
            traces::gaps(&store, &experiment, &mut |finding| {
                feed.item(SourceItem::Finding(finding))
            })?;
            feed.item(SourceItem::Item(SourceEntry {
                path: TRACES_FILE.to_owned(),
                extras: Default::default(),
                size: None,
                content: EntryContent::Source(Arc::new(())),
            }))
        })
    }

    async fn open_entry(
        &self,
        artifact: &SourceArtifact,
        entry: &SourceEntry,
    ) -> Result<ByteStream> {
        match detail_of(artifact).as_deref() {
            Some(Detail::Traces { experiment }) => {
                Ok(traces::lines(Arc::clone(&self.store), experiment.clone()))
            }
            _ => file_of(&entry.content)?.open().await,
        }
    }
}

fn detail_of(artifact: &SourceArtifact) -> Option<Arc<Detail>> {
    artifact.detail.clone()?.downcast().ok()
}
