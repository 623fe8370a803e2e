use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tracker_model::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, ByteStream, Change, Collection, CollectionPatch,
    CollectionPath, Digests, Error, FileDraft, FileInfo, HistoryQuery, JsonPatch, Project,
    ProjectPatch, ProjectPath, Result, Run, RunPath, RunQuery, Tracker, VersionLink, VersionRef,
};

use crate::{
    EntryContent, Finding, Kind, PointItem, PointsQuery, RunRecord, RunRef, Selection, Source,
    SourceArtifact, SourceCapabilities, SourceEntry, SourceFile, SourceId, SourceItem, SourceLink,
    SourceProject, SourceUse,
};

/// Any tracker as a source.
#[derive(Debug, Clone)]
pub struct TrackerSource {
    tracker: Arc<dyn Tracker>,
    id: SourceId,
}

impl TrackerSource {
    /// Imports come from this tracker.
    pub fn new(tracker: Arc<dyn Tracker>) -> Self {
        let id = SourceId {
            kind: "trackway".to_owned(),
            location: tracker.to_string(),
        };
        Self { tracker, id }
    }
}

impl fmt::Display for TrackerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tracker)
    }
}

/// What the listing knew of a thing.
fn detail<T: Send + Sync + 'static>(
    detail: &Option<Arc<dyn std::any::Any + Send + Sync>>,
    what: impl fmt::Display,
) -> Result<Arc<T>> {
    let found = detail.clone().and_then(|d| d.downcast::<T>().ok());
    found.ok_or_else(|| Error::invalid(format!("{what} was not listed by this source")))
}

fn project_of(project: Project) -> SourceProject {
    SourceProject {
        id: project.path.to_string(),
        name: project.path.project.to_string(),
        tags: 0,
        deleted: project.deleted,
        patch: {
            let mut patch = ProjectPatch::new();
            patch.description = Change::of(project.description);
            patch.created_at = Some(project.created_at);
            patch.updated_at = Change::of(project.updated_at);
            patch.deleted = Some(project.deleted);
            patch.extras = JsonPatch::Replace(project.extras);
            patch
        },
    }
}

fn run_ref(project: &Arc<SourceProject>, run: Run) -> RunRef {
    RunRef {
        project: Arc::clone(project),
        id: run.path.run.to_string(),
        name: run.name.clone(),
        started_at: run.started_at,
        deleted: run.deleted,
        ended: run.state.is_terminal(),
        fingerprint: format!("v{}", run.version),
        detail: Some(Arc::new(run)),
    }
}

#[async_trait]
impl Source for TrackerSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities {
            series_in_turn: true,
            exact_fingerprints: false,
            artifacts: true,
            system: true,
        }
    }

    fn projects(
        &self,
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceProject>>> {
        let include_deleted = selection.include_deleted;
        self.tracker
            .projects(None)
            .try_filter(move |p| std::future::ready(include_deleted || !p.deleted))
            .map_ok(|p| SourceItem::Item(project_of(p)))
            .boxed()
    }

    fn runs(
        &self,
        project: &Arc<SourceProject>,
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<RunRef>>> {
        let path: ProjectPath = match project.id.parse() {
            Ok(path) => path,
            Err(e) => return futures::stream::once(std::future::ready(Err(e))).boxed(),
        };
        let project = Arc::clone(project);
        self.tracker
            .find_runs(RunQuery::of_project(&path).with_deleted(selection.include_deleted))
            .map_ok(move |run| SourceItem::Item(run_ref(&project, run)))
            .boxed()
    }

    async fn run(&self, run: &RunRef) -> Result<RunRecord> {
        let listed = detail::<Run>(&run.detail, &run.id)?;
        let mut record = RunRecord {
            run: self.tracker.run(&listed.path).await?,
            tags: BTreeMap::new(),
            findings: Vec::new(),
        };
        if let Some(stamp) = &record.run.import
            && let Ok(stamp) = serde_json::to_value(stamp)
        {
            // Where it came from first is a fact of the run, and stays one.
            record.run.extras.insert(
                self.id.kind.clone(),
                serde_json::json!({ "imported_from": stamp }),
            );
        }
        if self.tracker.log_length(&listed.path).await? > 0 {
            let place = format!("the log of run {}", run.id);
            let reason = "imports do not carry the logs of a tracker";
            record
                .findings
                .push(Finding::lost(Kind::Files, place, reason));
        }
        Ok(record)
    }

    fn points(&self, run: &RunRef, query: PointsQuery) -> BoxStream<'static, Result<PointItem>> {
        let path = match detail::<Run>(&run.detail, &run.id) {
            Ok(run) => run.path.clone(),
            Err(e) => return futures::stream::once(std::future::ready(Err(e))).boxed(),
        };
        let tracker = Arc::clone(&self.tracker);
        let series = async move {
            let series = tracker.series(&path, query.stream).await?;
            let stream = query.stream;
            let keys = series
                .into_iter()
                .map(|s| s.key)
                .filter(move |k| query.wants(k.as_str()));
            let one = move |key: tracker_model::SeriesKey| {
                let query = HistoryQuery::new().with_stream(stream).with_keys([key]);
                tracker.scan(&path, query)
            };
            Ok(futures::stream::iter(keys)
                .flat_map(one)
                .map_ok(PointItem::Batch))
        };
        futures::stream::once(series).try_flatten().boxed()
    }

    fn files(&self, run: &RunRef) -> BoxStream<'static, Result<SourceItem<SourceFile>>> {
        let path = match detail::<Run>(&run.detail, &run.id) {
            Ok(run) => run.path.clone(),
            Err(e) => return futures::stream::once(std::future::ready(Err(e))).boxed(),
        };
        let file = |info: FileInfo| {
            let mut draft = FileDraft::new(info.name);
            draft.modified_at = info.modified_at;
            draft.extras = info.extras;
            let Digests {
                size, blake3, md5, ..
            } = info.digests;
            // A tracker that is far away may know one of them alone.
            let mark = [blake3, md5].into_iter().find(|digest| !digest.is_empty());
            SourceItem::Item(SourceFile {
                draft,
                size: Some(size),
                mark,
                detail: None,
            })
        };
        self.tracker.files(&path).map_ok(file).boxed()
    }

    async fn open_file(&self, run: &RunRef, file: &SourceFile) -> Result<ByteStream> {
        let run = detail::<Run>(&run.detail, &run.id)?;
        self.tracker
            .open_file(&run.path, &file.draft.name, None)
            .await
    }

    fn artifacts(
        &self,
        projects: &[Arc<SourceProject>],
        _selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceArtifact>>> {
        let (tracker, projects) = (Arc::clone(&self.tracker), projects.to_vec());
        // What is linked comes before the links.
        let passes = [false, true].map(|portfolios| (portfolios, projects.clone()));
        futures::stream::iter(passes)
            .flat_map(|(portfolios, projects)| {
                let projects = futures::stream::iter(projects);
                projects.map(move |project| (portfolios, project))
            })
            .flat_map(move |(portfolios, project)| {
                let path: ProjectPath = match project.id.parse() {
                    Ok(path) => path,
                    Err(e) => return futures::stream::once(std::future::ready(Err(e))).boxed(),
                };
                let inner = Arc::clone(&tracker);
                tracker
                    .collections(&path)
                    .try_filter(move |c| std::future::ready(c.portfolio == portfolios))
                    .map_ok(move |collection| {
                        versions(Arc::clone(&inner), Arc::clone(&project), collection)
                    })
                    .try_flatten()
                    .boxed()
            })
            .boxed()
    }

    fn entries(
        &self,
        artifact: &SourceArtifact,
    ) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
        let version = match detail::<ArtifactVersion>(&artifact.detail, &artifact.collection) {
            Ok(version) => version,
            Err(e) => return futures::stream::once(std::future::ready(Err(e))).boxed(),
        };
        self.tracker
            .manifest(&version.collection, version.index)
            .map_ok(|entry| {
                let content = match entry.reference {
                    Some(url) => EntryContent::Reference(url),
                    None => EntryContent::Source(Arc::new(())),
                };
                SourceItem::Item(SourceEntry {
                    path: entry.path,
                    extras: entry.extras,
                    size: entry.digests.map(|d| d.size),
                    content,
                })
            })
            .boxed()
    }

    async fn open_entry(
        &self,
        artifact: &SourceArtifact,
        entry: &SourceEntry,
    ) -> Result<ByteStream> {
        let version = detail::<ArtifactVersion>(&artifact.detail, &artifact.collection)?;
        self.tracker
            .open_entry(&version.collection, version.index, &entry.path, None)
            .await
    }
}

/// The versions of a collection, or the collection alone if it has none.
fn versions(
    tracker: Arc<dyn Tracker>,
    project: Arc<SourceProject>,
    collection: Collection,
) -> BoxStream<'static, Result<SourceItem<SourceArtifact>>> {
    let all = async move {
        let listed = tracker
            .versions(&collection.path)
            .try_collect::<Vec<_>>()
            .await?;
        let mut out = Vec::new();
        for version in listed {
            let uses: Vec<ArtifactUse> = tracker
                .uses_of_version(&collection.path, version.index)
                .try_collect()
                .await?;
            let link = match &version.link_of {
                Some(of) => Some(link(&*tracker, of).await?),
                None => None,
            };
            let mut artifact = artifact(&project, &collection, Some(version), &uses);
            artifact.link = link;
            out.push(SourceItem::Item(artifact));
        }
        if out.is_empty() {
            out.push(SourceItem::Item(artifact(&project, &collection, None, &[])));
        }
        Ok(futures::stream::iter(out).map(Ok))
    };
    futures::stream::once(all).try_flatten().boxed()
}

/// What a link stands for, as it is listed itself.
async fn link(tracker: &dyn Tracker, of: &VersionLink) -> Result<SourceLink> {
    let target = tracker
        .version(&of.collection, &VersionRef::Index(of.index))
        .await?;
    let project = &of.collection.project;
    Ok(SourceLink {
        project: Arc::new(SourceProject::new(
            project.to_string(),
            project.project.to_string(),
        )),
        collection: of.collection.name.clone(),
        source_key: source_key(&target),
    })
}

/// The identity of a version: the one that it came with, or its address.
fn source_key(version: &ArtifactVersion) -> String {
    let CollectionPath { project, name } = &version.collection;
    let key = || format!("{project}/{name}:v{}", version.index);
    version.source_key.clone().unwrap_or_else(key)
}

fn artifact(
    project: &Arc<SourceProject>,
    collection: &Collection,
    version: Option<ArtifactVersion>,
    uses: &[ArtifactUse],
) -> SourceArtifact {
    let mut patch = CollectionPatch::new();
    patch.kind = Some(collection.kind.clone());
    patch.description = Change::of(collection.description.clone());
    patch.created_at = Some(collection.created_at);
    patch.updated_at = Change::of(collection.updated_at);
    patch.extras = JsonPatch::Replace(collection.extras.clone());
    patch.portfolio = Some(collection.portfolio);
    let run_id = |run: &RunPath| run.run.to_string();
    SourceArtifact {
        project: Some(Arc::clone(project)),
        project_name: project.name.clone(),
        collection: collection.path.name.clone(),
        patch,
        fingerprint: version.as_ref().map_or_else(String::new, |v| {
            format!(
                "{}:{}:{:?}:{:?}",
                v.index, v.digest, v.aliases, v.description
            )
        }),
        immutable: false,
        link: None,
        logged_by: version
            .as_ref()
            .and_then(|v| v.logged_by.as_ref())
            .map(run_id),
        uses: uses
            .iter()
            .map(|u| SourceUse {
                run: run_id(&u.run),
                role: u.role,
                step: u.step,
            })
            .collect(),
        version: version.as_ref().map(|v| {
            let mut draft = ArtifactDraft::new();
            draft.index = Some(v.index);
            draft.aliases = v.aliases.clone();
            draft.tags = v.tags.clone();
            draft.description = v.description.clone();
            draft.metadata = v.metadata.clone();
            draft.ttl_seconds = v.ttl_seconds;
            draft.created_at = Some(v.created_at);
            draft.extras = v.extras.clone();
            draft.source_key = Some(source_key(v));
            draft
        }),
        detail: version.map(|v| Arc::new(v) as Arc<dyn std::any::Any + Send + Sync>),
    }
}
