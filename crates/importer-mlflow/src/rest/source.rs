use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use importer_core::{
    Finding, Kind, PointItem, PointsQuery, RunRecord, RunRef, Selection, Source, SourceArtifact,
    SourceCapabilities, SourceEntry, SourceFile, SourceId, SourceItem, SourceProject,
};
use tokio::sync::OnceCell;
use tracker_model::{ByteStream, Error, ErrorKind, FileDraft, Result};

use super::{
    api::Api,
    artifacts,
    endpoint::Endpoint,
    failure::{failure, is_absent},
    files::{FileTree, Owner},
    history::{self, Asked, History},
    listing::{self, RunDetail},
    probe::Server,
    wire::{GetRun, LoggedModels, SearchLoggedModels},
};
use crate::{
    MlflowOptions,
    mapping::{KIND, rule},
};

/// Experiments that one call for logged models names.
const EXPERIMENTS_OF_A_CALL: usize = 500;

/// An MLflow tracking server, or Databricks, over its REST interface.
#[derive(Debug)]
pub struct RestSource {
    id: SourceId,
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) api: Api,
    pub(super) history: Arc<History>,
    /// The only workspace that is read, if one was named.
    workspace: Option<String>,
    /// The interface in the workspace of an experiment, where it is not the usual one.
    scopes: Mutex<HashMap<String, Api>>,
    has_models: OnceCell<bool>,
    pub(super) links: Mutex<ModelLinks>,
}

/// Which runs made and used logged models, as far as they were met in this import.
#[derive(Debug, Default)]
pub(super) struct ModelLinks {
    /// By model: runs and steps. All of them once the runs are listed.
    pub(super) output_of: HashMap<String, BTreeSet<(String, i64)>>,
    /// By model: runs that were read, not those that were only listed.
    pub(super) used_by: HashMap<String, BTreeSet<String>>,
    /// By model: where its files are.
    pub(super) roots: HashMap<String, Option<String>>,
}

impl RestSource {
    pub(crate) fn new(api: Api, server: Server, options: &MlflowOptions) -> Self {
        let workspace = options.server.workspace.clone();
        let mut location = api.location();
        let api = match &workspace {
            Some(name) => {
                location = format!("{location}?workspace={name}");
                api.in_workspace(name)
            }
            None => api,
        };
        let inner = Inner {
            api,
            history: Arc::new(History::new(server, options.restore_infinities)),
            workspace,
            scopes: Mutex::default(),
            has_models: OnceCell::new(),
            links: Mutex::default(),
        };
        Self {
            id: SourceId {
                kind: KIND.to_owned(),
                location,
            },
            inner: Arc::new(inner),
        }
    }
}

impl fmt::Display for RestSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mlflow({})", self.id.location)
    }
}

impl Inner {
    fn scopes(&self) -> MutexGuard<'_, HashMap<String, Api>> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn links(&self) -> MutexGuard<'_, ModelLinks> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The interface in the workspace of an experiment.
    pub(super) fn api_of(&self, experiment: &str) -> Api {
        self.scopes().get(experiment).unwrap_or(&self.api).clone()
    }

    /// The workspaces to read, each with its interface.
    pub(super) async fn workspaces(&self) -> Result<Vec<Api>> {
        if self.workspace.is_some() || !self.history.server.has_workspaces {
            return Ok(vec![self.api.clone()]);
        }
        let names = listing::workspaces(&self.api).await?;
        Ok(names
            .iter()
            .map(|name| self.api.in_workspace(name))
            .collect())
    }

    /// The experiments of all workspaces, in no order.
    fn experiments(
        self: Arc<Self>,
        include_deleted: bool,
    ) -> BoxStream<'static, Result<crate::mapping::RawExperiment>> {
        let one_scope = self.workspace.is_some() || !self.history.server.has_workspaces;
        stream::once(async move {
            let scopes = self.workspaces().await?;
            let all = stream::iter(scopes).flat_map(move |api| {
                let this = Arc::clone(&self);
                listing::experiments(api.clone(), include_deleted).inspect_ok(move |experiment| {
                    if !one_scope {
                        this.scopes().insert(experiment.id.clone(), api.clone());
                    }
                })
            });
            Ok::<_, Error>(all)
        })
        .try_flatten()
        .boxed()
    }

    /// Whether the server has a logged model at all: then every run may have read one, which only
    /// a call for each run tells.
    pub(super) async fn has_models(self: &Arc<Self>) -> Result<bool> {
        let asked = self.has_models.get_or_try_init(|| async {
            let mut experiments = Arc::clone(self)
                .experiments(true)
                .try_chunks(EXPERIMENTS_OF_A_CALL);
            while let Some(chunk) = experiments.next().await {
                let chunk = chunk.map_err(|e| e.1)?;
                let mut by_scope: HashMap<String, (Api, Vec<&str>)> = HashMap::new();
                for experiment in &chunk {
                    let scope = experiment.workspace.clone().unwrap_or_default();
                    let of = by_scope
                        .entry(scope)
                        .or_insert_with(|| (self.api_of(&experiment.id), Vec::new()));
                    of.1.push(&experiment.id);
                }
                for (api, ids) in by_scope.into_values() {
                    if any_model(&api, &ids).await? {
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        });
        asked.await.copied()
    }
}

async fn any_model(api: &Api, experiment_ids: &[&str]) -> Result<bool> {
    let doing = "look for logged models";
    let mut pages = super::pages::Pages::default();
    loop {
        let body = SearchLoggedModels {
            experiment_ids,
            max_results: 1,
            page_token: pages.token(),
        };
        let request = api
            .call(Endpoint::SearchLoggedModels)
            .await
            .map_err(|e| failure(e, doing))?;
        let answer: LoggedModels = match request.json_body(&body).json().await {
            Ok(answer) => answer,
            Err(e) if is_absent(&e) => return Ok(false),
            Err(e) => return Err(failure(e, doing)),
        };
        if !answer.models.is_empty() {
            return Ok(true);
        }
        if !pages.follow(0, answer.next_page_token, doing)? {
            return Ok(false);
        }
    }
}

/// What was remembered of a run when it was listed.
fn detail(run: &RunRef) -> Result<Arc<RunDetail>> {
    let detail = run
        .detail
        .clone()
        .and_then(|detail| detail.downcast::<RunDetail>().ok());
    detail.ok_or_else(|| {
        Error::new(
            ErrorKind::Unexpected,
            format!("run {} was not listed by this source", run.id),
        )
    })
}

impl RunDetail {
    fn files(&self, is_databricks: bool) -> FileTree {
        FileTree {
            api: self.api.clone(),
            owner: Owner::Run(self.raw.run_id.clone()),
            root: self.raw.artifact_uri.clone(),
            is_databricks,
            kind: Kind::Files,
        }
    }
}

#[async_trait]
impl Source for RestSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn capabilities(&self) -> SourceCapabilities {
        let mut capabilities = SourceCapabilities::default();
        capabilities.series_in_turn = true;
        capabilities.artifacts = true;
        capabilities
    }

    fn projects(
        &self,
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceProject>>> {
        let selection = selection.clone();
        Arc::clone(&self.inner)
            .experiments(selection.include_deleted)
            .try_filter_map(move |raw| {
                let wanted = selection.wants_project(&raw.id, &raw.name)
                    && (selection.include_deleted || !raw.is_deleted());
                let item = if raw.id.is_empty() {
                    let place = format!("experiment {:?}", raw.name);
                    Some(SourceItem::Finding(Finding::unreadable(
                        Kind::Projects,
                        place,
                        "the server lists an experiment without an id",
                    )))
                } else {
                    wanted.then(|| SourceItem::Item(raw.to_project()))
                };
                std::future::ready(Ok(item))
            })
            .boxed()
    }

    fn runs(
        &self,
        project: &Arc<SourceProject>,
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<RunRef>>> {
        let inner = Arc::clone(&self.inner);
        let api = inner.api_of(&project.id);
        listing::runs(
            api,
            Arc::clone(&inner.history),
            Arc::clone(project),
            selection,
        )
        .inspect_ok(move |item| {
            let SourceItem::Item(run) = item else { return };
            let Ok(detail) = detail(run) else { return };
            for output in &detail.raw.model_outputs {
                let mut links = inner.links();
                let of = links.output_of.entry(output.model_id.clone()).or_default();
                of.insert((run.id.clone(), output.step));
            }
        })
        .boxed()
    }

    async fn run(&self, run: &RunRef) -> Result<RunRecord> {
        let detail = detail(run)?;
        let mut raw = detail.raw.clone();
        if raw.model_inputs.is_empty() && self.inner.has_models().await? {
            let failed = |e| failure(e, format_args!("read run {}", run.id));
            let request = detail.api.call(Endpoint::GetRun).await.map_err(failed)?;
            let answer: GetRun = request
                .query([("run_id", &run.id)])
                .json()
                .await
                .map_err(failed)?;
            raw.model_inputs = answer.run.into_model_inputs();
        }
        for model in &raw.model_inputs {
            let mut links = self.inner.links();
            let of = links.used_by.entry(model.clone()).or_default();
            of.insert(run.id.clone());
        }
        let mut findings = Vec::new();
        if self.inner.history.restore_infinities {
            for (key, value) in raw.latest.iter_mut().filter(|(_, v)| v.abs() == f64::MAX) {
                *value = f64::INFINITY.copysign(*value);
                let place = format!("run {}, metric {key:?}", run.id);
                findings.push(Finding::normalised(
                    Kind::Summary,
                    place,
                    rule::DOUBLE_MAX_TO_INFINITY,
                ));
            }
        }
        let mut record = raw.into_record(&run.project);
        record.findings.extend(findings);
        Ok(record)
    }

    fn points(&self, run: &RunRef, query: PointsQuery) -> BoxStream<'static, Result<PointItem>> {
        let detail = match detail(run) {
            Ok(detail) => detail,
            Err(e) => return stream::iter([Err(e)]).boxed(),
        };
        let asked = Asked {
            api: detail.api.clone(),
            history: Arc::clone(&self.inner.history),
            run_id: Arc::from(detail.raw.run_id.as_str()),
        };
        let ahead = Some((Arc::clone(&detail.ahead), detail.index));
        history::points(asked, &detail.metrics, ahead, &query)
    }

    fn files(&self, run: &RunRef) -> BoxStream<'static, Result<SourceItem<SourceFile>>> {
        let detail = match detail(run) {
            Ok(detail) => detail,
            Err(e) => return stream::iter([Err(e)]).boxed(),
        };
        let files = detail
            .files(self.inner.history.server.is_databricks)
            .walk("");
        files
            .map_ok(|item| match item {
                SourceItem::Item(file) => SourceItem::Item(SourceFile {
                    draft: FileDraft::new(file.path),
                    size: file.size,
                    mark: None,
                    detail: None,
                }),
                SourceItem::Finding(finding) => SourceItem::Finding(finding),
            })
            .boxed()
    }

    async fn open_file(&self, run: &RunRef, file: &SourceFile) -> Result<ByteStream> {
        let tree = detail(run)?.files(self.inner.history.server.is_databricks);
        tree.open(&file.draft.name).await
    }

    fn artifacts(
        &self,
        projects: &[Arc<SourceProject>],
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceArtifact>>> {
        artifacts::all(Arc::clone(&self.inner), projects, selection)
    }

    fn entries(
        &self,
        artifact: &SourceArtifact,
    ) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
        artifacts::entries(Arc::clone(&self.inner), artifact)
    }

    async fn open_entry(
        &self,
        _artifact: &SourceArtifact,
        entry: &SourceEntry,
    ) -> Result<ByteStream> {
        artifacts::open(entry).await
    }
}
