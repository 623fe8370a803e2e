//! Logged models, and the versions of registered ones.

use std::sync::Arc;

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use importer_core::{
    EntryContent, Finding, Kind, SourceArtifact, SourceEntry, SourceItem, SourceProject, SourceUse,
};
use serde::Deserialize;
use serde_json::json;
use tracker_http::ErrorKind as Http;
use tracker_model::{Result, UseRole};

use super::{
    api::Api,
    artifacts::ArtifactDetail,
    endpoint::Endpoint,
    failure::{failure, is_absent},
    files::{FileTree, ListedFile, Owner},
    pages::Pages,
    source::Inner,
    wire::{
        GetRun, LoggedModels, ModelVersion, ModelVersions, RegisteredModel, RegisteredModels,
        SearchLoggedModels,
    },
};
use crate::mapping::{
    ModelSource, REFERENCE_ENTRY, RawLoggedModel, RawModelVersion, RawRegisteredModel,
    UNREACHABLE_VERSION,
};

/// Models of a page.
const MODELS: usize = 100;
/// Versions of a page.
const VERSIONS: &str = "1000";
/// Versions whose source is another version: more are a circle.
const MAX_HOPS: usize = 8;
/// The tag of prompts, which are registered models that are shown only to who asks for them.
const PROMPT: &str = "tag.`mlflow.prompt.is_prompt` = 'true'";

/// The logged models of an experiment.
pub(super) async fn logged_models(
    inner: &Inner,
    project: &Arc<SourceProject>,
) -> Result<Vec<SourceItem<SourceArtifact>>> {
    let api = inner.api_of(&project.id);
    let doing = format!("list the logged models of experiment {:?}", project.name);
    let (mut pages, mut models) = (Pages::default(), Vec::new());
    loop {
        let body = SearchLoggedModels {
            experiment_ids: &[&project.id],
            max_results: MODELS,
            page_token: pages.token(),
        };
        let request = api.call(Endpoint::SearchLoggedModels).await;
        let request = request.map_err(|e| failure(e, &doing))?.json_body(&body);
        let page: LoggedModels = match request.json().await {
            Ok(page) => page,
            Err(e) if is_absent(&e) => return Ok(Vec::new()),
            Err(e) => return Err(failure(e, &doing)),
        };
        let count = page.models.len();
        models.extend(page.models.into_iter().map(RawLoggedModel::from));
        if !pages.follow(count, page.next_page_token, &doing)? {
            break;
        }
    }
    models.sort_by(RawLoggedModel::order);
    models.dedup_by(|a, b| a.model_id == b.model_id);
    let artifacts = models.into_iter().map(|mut model| {
        let tree = model_tree(
            inner,
            api.clone(),
            &model.model_id,
            model.artifact_uri.clone(),
        );
        let (made, used) = {
            let mut links = inner.links();
            links
                .roots
                .insert(model.model_id.clone(), model.artifact_uri.clone());
            let made = links
                .output_of
                .get(&model.model_id)
                .cloned()
                .unwrap_or_default();
            (
                made,
                links
                    .used_by
                    .get(&model.model_id)
                    .cloned()
                    .unwrap_or_default(),
            )
        };
        model.output_of = made.into_iter().collect();
        // A model that is ready does not change any more.
        let finished = model.status.as_deref() == Some("READY");
        let detail = Arc::new(ArtifactDetail::Model(tree));
        let mut artifact = model.into_artifact(project, finished.then_some(""), Some(detail));
        // Runs that use it are known only if they were read in this import. They are no part of
        // the fingerprint, and are told whenever there are any.
        artifact.immutable &= used.is_empty();
        let uses = used.into_iter().map(|run| SourceUse {
            run,
            role: UseRole::Used,
            step: None,
        });
        artifact.uses.extend(uses);
        SourceItem::Item(artifact)
    });
    Ok(artifacts.collect())
}

fn model_tree(inner: &Inner, api: Api, model_id: &str, root: Option<String>) -> FileTree {
    FileTree {
        api,
        owner: Owner::Model(model_id.to_owned()),
        root,
        is_databricks: inner.history.server.is_databricks,
        kind: Kind::Entries,
    }
}

/// The registered models of all workspaces with their versions.
pub(super) fn registered_models(
    inner: Arc<Inner>,
) -> BoxStream<'static, Result<SourceItem<SourceArtifact>>> {
    let listed = async move {
        let scopes = inner.workspaces().await?;
        let kinds = scopes
            .into_iter()
            .flat_map(|api| [(api.clone(), None), (api, Some(PROMPT))]);
        let kinds: Vec<_> = kinds.collect();
        Ok::<_, tracker_model::Error>(stream::iter(kinds).then(registry).try_flatten())
    };
    stream::once(listed).try_flatten().boxed()
}

type Items = BoxStream<'static, Result<SourceItem<SourceArtifact>>>;

/// The registered models, or the prompts, of one workspace.
async fn registry((api, filter): (Api, Option<&'static str>)) -> Result<Items> {
    let doing = "list the registered models";
    let (mut pages, mut models) = (Pages::default(), Vec::new());
    loop {
        let max = MODELS.to_string();
        let request = api
            .call(Endpoint::SearchRegisteredModels)
            .await
            .map_err(|e| failure(e, doing))?;
        let request = request
            .query([("max_results", max.as_str())])
            .query(filter.map(|filter| ("filter", filter)))
            .query(pages.token().map(|token| ("page_token", token)));
        let page: RegisteredModels = match request.json().await {
            Ok(page) => page,
            Err(e) if is_absent(&e) => return Ok(stream::empty().boxed()),
            // Servers without prompts may not know the filter.
            Err(e) if filter.is_some() && e.kind() == Http::InvalidInput => {
                return Ok(stream::empty().boxed());
            }
            Err(e) if matches!(e.kind(), Http::InvalidInput | Http::PermissionDenied) => {
                let status = e.status().map_or(0, |status| status.as_u16());
                let reason =
                    format!("the server does not list its registered models: it answers {status}");
                let finding = Finding::unreadable(Kind::Collections, api.location(), reason);
                return Ok(stream::iter([Ok(SourceItem::Finding(finding))]).boxed());
            }
            Err(e) => return Err(failure(e, doing)),
        };
        let count = page.registered_models.len();
        let new = page.registered_models.into_iter();
        models.extend(
            new.filter(|m| filter.is_some() || !m.is_prompt())
                .map(|m| with_workspace(m, &api)),
        );
        if !pages.follow(count, page.next_page_token, doing)? {
            break;
        }
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models.dedup_by(|a, b| a.name == b.name);
    let versions = stream::iter(models).then(move |model| {
        let api = api.clone();
        async move { with_versions(api, model, filter).await }
    });
    Ok(versions
        .map_ok(|items| stream::iter(items).map(Ok))
        .try_flatten()
        .boxed())
}

fn with_workspace(model: RegisteredModel, api: &Api) -> RawRegisteredModel {
    let mut model = RawRegisteredModel::from(model);
    model.workspace = model
        .workspace
        .or_else(|| api.workspace().map(str::to_owned));
    model
}

async fn with_versions(
    api: Api,
    model: RawRegisteredModel,
    filter: Option<&str>,
) -> Result<Vec<SourceItem<SourceArtifact>>> {
    let mut of_model: Vec<RawModelVersion> = versions(&api, &model.name, filter)
        .await?
        .into_iter()
        .map(Into::into)
        .collect();
    of_model.sort_by_key(|v| v.version);
    of_model.dedup_by_key(|v| v.version);
    let mut items: Vec<_> = model
        .finding()
        .map(SourceItem::Finding)
        .into_iter()
        .collect();
    if of_model.is_empty() {
        items.push(SourceItem::Item(model.to_artifact(None, Some(""), None)));
    }
    for version in &of_model {
        let source = version.source.clone().unwrap_or_default();
        let detail = Arc::new(ArtifactDetail::Version {
            api: api.clone(),
            source,
        });
        // Once it is ready its files stay as they are.
        let finished = matches!(version.status.as_deref(), None | Some("READY"));
        let artifact = model.to_artifact(Some(version), finished.then_some(""), Some(detail));
        items.push(SourceItem::Item(artifact));
    }
    Ok(items)
}

async fn versions(api: &Api, name: &str, filter: Option<&str>) -> Result<Vec<ModelVersion>> {
    let doing = format!("list the versions of the registered model {name:?}");
    // There is no way to write both quotes into one filter: such a name is looked for in all.
    let named = match (name.contains('\''), name.contains('"')) {
        (false, _) => Some(format!("name = '{name}'")),
        (true, false) => Some(format!("name = \"{name}\"")),
        (true, true) => None,
    };
    let filters: Vec<&str> = named.as_deref().into_iter().chain(filter).collect();
    let filter = Some(filters.join(" and ")).filter(|filter| !filter.is_empty());
    let (mut pages, mut versions) = (Pages::default(), Vec::new());
    loop {
        let request = api
            .call(Endpoint::SearchModelVersions)
            .await
            .map_err(|e| failure(e, &doing))?;
        let request = request
            .query([("max_results", VERSIONS)])
            .query(filter.as_deref().map(|filter| ("filter", filter)))
            .query(pages.token().map(|token| ("page_token", token)));
        let page: ModelVersions = request.json().await.map_err(|e| failure(e, &doing))?;
        let count = page.model_versions.len();
        versions.extend(page.model_versions.into_iter().filter(|v| v.name == name));
        if !pages.follow(count, page.next_page_token, &doing)? {
            return Ok(versions);
        }
    }
}

/// A file as an entry, with what is needed to open it.
#[derive(Debug)]
pub(super) struct FileAt {
    pub(super) tree: FileTree,
    pub(super) path: String,
}

/// The files of a logged model.
pub(super) fn model_entries(tree: FileTree) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
    entries(tree, "", None)
}

/// The files of a version, wherever its source says that they are.
pub(super) fn version_entries(
    inner: Arc<Inner>,
    api: Api,
    source: String,
) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
    stream::once(async move {
        Ok::<_, tracker_model::Error>(match resolve(&inner, &api, &source).await? {
            Some((tree, below)) => {
                let run = match &tree.owner {
                    Owner::Run(id) => Some(id.clone()),
                    Owner::Model(_) => None,
                };
                entries(tree, &below, run)
            }
            None if source.is_empty() => stream::empty().boxed(),
            None => {
                let finding = Finding::lost(Kind::Entries, &source, UNREACHABLE_VERSION);
                let entry = SourceEntry {
                    path: REFERENCE_ENTRY.to_owned(),
                    extras: Default::default(),
                    size: None,
                    content: EntryContent::Reference(source),
                };
                stream::iter([
                    Ok(SourceItem::Finding(finding)),
                    Ok(SourceItem::Item(entry)),
                ])
                .boxed()
            }
        })
    })
    .try_flatten()
    .boxed()
}

/// Where the files of a version are: a tree and a folder or file in it.
async fn resolve(inner: &Inner, api: &Api, source: &str) -> Result<Option<(FileTree, String)>> {
    let mut source = source.to_owned();
    for _ in 0..MAX_HOPS {
        let (tree, below) = match ModelSource::parse(&source) {
            ModelSource::Elsewhere => return Ok(None),
            ModelSource::Version { name, version } => {
                let all = versions(api, &name, None).await?;
                let mut all = all.into_iter().map(RawModelVersion::from);
                match all.find(|v| v.version == version).and_then(|v| v.source) {
                    Some(next) => {
                        source = next;
                        continue;
                    }
                    None => return Ok(None),
                }
            }
            ModelSource::LoggedModel { model_id, path } => {
                let root = inner.links().roots.get(&model_id).cloned().flatten();
                (model_tree(inner, api.clone(), &model_id, root), path)
            }
            ModelSource::Run { run_id, path } => {
                let Some(root) = run_root(api, &run_id).await? else {
                    return Ok(None);
                };
                let tree = FileTree {
                    api: api.clone(),
                    owner: Owner::Run(run_id),
                    root,
                    is_databricks: inner.history.server.is_databricks,
                    kind: Kind::Entries,
                };
                (tree, path)
            }
        };
        return Ok(tree.exists().await?.then_some((tree, below)));
    }
    Ok(None)
}

/// Where the files of a run are; `None` without the run.
async fn run_root(api: &Api, run_id: &str) -> Result<Option<Option<String>>> {
    let doing = format!("read run {run_id}");
    let request = api
        .call(Endpoint::GetRun)
        .await
        .map_err(|e| failure(e, &doing))?;
    match request.query([("run_id", run_id)]).json::<GetRun>().await {
        Ok(answer) => Ok(Some(answer.run.split().0.artifact_uri)),
        Err(e) if is_absent(&e) || e.kind() == Http::InvalidInput => Ok(None),
        Err(e) => Err(failure(e, doing)),
    }
}

/// The files below a folder, or the file that `below` is.
fn entries(
    tree: FileTree,
    below: &str,
    run: Option<String>,
) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
    let (walked, single) = (tree.clone(), tree.clone());
    let below = below.trim_matches('/').to_owned();
    stream::once(async move {
        let as_file = match below.is_empty() {
            true => None,
            false => single.find(&below).await?,
        };
        let files = match as_file {
            Some(file) => stream::iter([Ok(SourceItem::Item(file))]).boxed(),
            None => walked.walk(&below),
        };
        let item = move |file: ListedFile| {
            let inside = file
                .path
                .strip_prefix(&below)
                .map(|rest| rest.trim_start_matches('/'));
            let path = match inside {
                Some("") | None => file.path.rsplit('/').next().unwrap_or_default(),
                Some(inside) => inside,
            };
            let detail = Arc::new(FileAt {
                tree: tree.clone(),
                path: file.path.clone(),
            });
            SourceEntry {
                path: path.to_owned(),
                extras: Default::default(),
                size: file.size,
                content: match &run {
                    Some(run) => EntryContent::RunFile {
                        run: run.clone(),
                        name: file.path,
                        detail,
                    },
                    None => EntryContent::Source(detail),
                },
            }
        };
        Ok::<_, tracker_model::Error>(files.map_ok(move |met| match met {
            SourceItem::Item(file) => SourceItem::Item(item(file)),
            SourceItem::Finding(finding) => SourceItem::Finding(finding),
        }))
    })
    .try_flatten()
    .boxed()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EvaluationDatasets {
    datasets: Vec<serde::de::IgnoredAny>,
    next_page_token: Option<String>,
}

/// The datasets for evaluations that these experiments have: there is no place for them.
pub(super) async fn evaluation_datasets(
    api: &Api,
    experiments: &[String],
) -> Result<Option<Finding>> {
    let doing = "list the evaluation datasets";
    let (mut pages, mut count) = (Pages::default(), 0);
    loop {
        let body = json!({
            "experiment_ids": experiments,
            "max_results": MODELS,
            "page_token": pages.token().unwrap_or_default(),
        });
        let request = api.call(Endpoint::SearchEvaluationDatasets).await;
        let request = request.map_err(|e| failure(e, doing))?.json_body(&body);
        let page: EvaluationDatasets = match request.max_tries(3).json().await {
            Ok(page) => page,
            // Older servers, and stores that have none: some of them answer 500.
            Err(e) if is_absent(&e) || e.kind() == Http::InvalidInput => return Ok(None),
            Err(e) if e.status().is_some_and(|s| s.as_u16() == 500) => return Ok(None),
            Err(e) => return Err(failure(e, doing)),
        };
        count += page.datasets.len() as u64;
        if !pages.follow(page.datasets.len(), page.next_page_token, doing)? {
            break;
        }
    }
    let reason = "evaluation datasets have no place in a tracker of runs yet";
    Ok((count > 0).then(|| Finding::lost(Kind::Artifacts, api.location(), reason).times(count)))
}
