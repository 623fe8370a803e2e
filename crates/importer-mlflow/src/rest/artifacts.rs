//! Everything that is an artifact: logged models, traces, registered models.

use std::{collections::BTreeMap, future::ready, sync::Arc};

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use importer_core::{
    EntryContent, Kind, Selection, SourceArtifact, SourceEntry, SourceItem, SourceProject,
};
use tracker_model::{ByteStream, Error, ErrorKind, Result};

use super::{
    api::Api,
    files::FileTree,
    models::{self, FileAt},
    source::Inner,
    traces::{self, CheckedTraces, TraceList},
};
/// Experiments that one call names.
const EXPERIMENTS_OF_A_CALL: usize = 100;

/// What is remembered of an artifact.
#[derive(Debug)]
pub(super) enum ArtifactDetail {
    /// Of a logged model: its files.
    Model(FileTree),
    /// Of a version of a registered model: where its files are.
    Version {
        /// The interface in its workspace.
        api: Api,
        /// The address of the files.
        source: String,
    },
    /// Of the traces of an experiment.
    Traces(Arc<TraceList>),
}

type Items = BoxStream<'static, Result<SourceItem<SourceArtifact>>>;

/// All artifacts of the projects, then those that stand above them.
pub(super) fn all(
    inner: Arc<Inner>,
    projects: &[Arc<SourceProject>],
    selection: &Selection,
) -> Items {
    let wants_models = selection.kinds.contains(Kind::Artifacts);
    let wants_traces = selection.kinds.contains(Kind::Traces);
    let (of_all, of_lost) = (Arc::clone(&inner), Arc::clone(&inner));
    let of_projects = stream::iter(projects.to_vec()).then(move |project| {
        let inner = Arc::clone(&inner);
        async move {
            let mut items = Vec::new();
            if wants_models && inner.has_models().await? {
                items.extend(models::logged_models(&inner, &project).await?);
            }
            if wants_traces {
                items.extend(traces::of_experiment(&inner, &project).await?);
            }
            Ok::<_, Error>(stream::iter(items).map(Ok))
        }
    });
    let above = if wants_models {
        let lost = lost(of_lost, projects);
        models::registered_models(of_all).chain(lost).boxed()
    } else {
        stream::empty().boxed()
    };
    of_projects.try_flatten().chain(above).boxed()
}

/// What there is no place for.
fn lost(inner: Arc<Inner>, projects: &[Arc<SourceProject>]) -> Items {
    let mut by_scope: BTreeMap<String, (Api, Vec<String>)> = BTreeMap::new();
    for project in projects {
        let api = inner.api_of(&project.id);
        let scope = api.workspace().unwrap_or_default().to_owned();
        let of = by_scope.entry(scope).or_insert_with(|| (api, Vec::new()));
        of.1.push(project.id.clone());
    }
    let calls = by_scope.into_values().flat_map(|(api, ids)| {
        let chunks: Vec<_> = ids
            .chunks(EXPERIMENTS_OF_A_CALL)
            .map(<[String]>::to_vec)
            .collect();
        chunks.into_iter().map(move |ids| (api.clone(), ids))
    });
    stream::iter(calls.collect::<Vec<_>>())
        .then(|(api, ids)| async move { models::evaluation_datasets(&api, &ids).await })
        .try_filter_map(|found| ready(Ok(found.map(SourceItem::Finding))))
        .boxed()
}

/// The entries of an artifact.
pub(super) fn entries(
    inner: Arc<Inner>,
    artifact: &SourceArtifact,
) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
    let detail = artifact
        .detail
        .clone()
        .and_then(|d| d.downcast::<ArtifactDetail>().ok());
    match detail.as_deref() {
        None => stream::empty().boxed(),
        Some(ArtifactDetail::Model(tree)) => models::model_entries(tree.clone()),
        Some(ArtifactDetail::Version { api, source }) => {
            models::version_entries(inner, api.clone(), source.clone())
        }
        Some(ArtifactDetail::Traces(list)) => traces::entries(Arc::clone(list)),
    }
}

/// Begins to read an entry.
pub(super) async fn open(entry: &SourceEntry) -> Result<ByteStream> {
    let detail = match &entry.content {
        EntryContent::Source(detail) | EntryContent::RunFile { detail, .. } => Arc::clone(detail),
        EntryContent::Reference(_) => {
            let message = format!(
                "entry {:?} is a reference, which this source does not open",
                entry.path
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    match detail.downcast::<FileAt>() {
        Ok(file) => file.tree.open(&file.path).await,
        Err(detail) => match detail.downcast::<CheckedTraces>() {
            Ok(traces) => Ok(traces::lines(&traces)),
            Err(_) => {
                let message = format!("entry {:?} was not listed by this source", entry.path);
                Err(Error::new(ErrorKind::InvalidInput, message))
            }
        },
    }
}
