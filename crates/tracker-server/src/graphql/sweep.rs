//! Sweeps and their agents.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use futures::TryStreamExt as _;
use serde_json::Value as Json;
use tracker_model::{
    Change, Error, ErrorKind, JsonPatch, ProjectPath, Result, RunFilter, RunOrder, RunPath,
    RunQuery, Sweep, SweepPatch, SweepPath, SweepState, Timestamp,
};

use super::{
    Asked, GraphResult,
    exact::{self, ExactInput},
    page::{connection, wanted},
    project::{ProjectNode, RunConnection, project_at},
    run::RunNode,
    scalars::{DateTime, JsonString},
    session::UserNode,
    told,
};
use crate::{
    ids,
    sweeps::{
        self,
        hand_out::{self, Agent},
        hyperband::Hyperband,
        space::Space,
    },
};

connection!(SweepConnection, SweepEdge, SweepNode);
connection!(AgentConnection, AgentEdge, AgentNode);

/// A sweep.
#[derive(Debug, Clone)]
pub(crate) struct SweepNode(pub(crate) Arc<Sweep>);

impl SweepNode {
    fn runs_query(&self) -> Result<RunQuery> {
        let filter = sweeps::own_runs(&self.0)?;
        Ok(RunQuery::of_project(&self.0.path.project_path()).with_filter(filter))
    }

    fn word(&self, key: &str) -> Option<JsonString> {
        let value = self.0.extras.get(crate::wire::EXTRAS)?.get(key)?;
        Some(JsonString(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        ))
    }
}

/// The word of a state on the wire.
fn state_word(state: SweepState) -> String {
    state.as_str().to_ascii_uppercase()
}

#[Object(name = "Sweep")]
impl SweepNode {
    async fn id(&self) -> ID {
        ID(ids::of_sweep(&self.0.path))
    }

    /// The id of the sweep inside its project.
    async fn name(&self) -> &str {
        self.0.path.sweep.as_str()
    }

    async fn display_name(&self) -> Option<&str> {
        let named = self.0.name.as_deref();
        named.or_else(|| self.0.config.get("name").and_then(Json::as_str))
    }

    async fn method(&self) -> &str {
        self.0
            .config
            .get("method")
            .and_then(Json::as_str)
            .unwrap_or("custom")
    }

    async fn state(&self) -> String {
        state_word(self.0.state)
    }

    async fn description(&self) -> Option<&str> {
        let said = self.0.description.as_deref();
        said.or_else(|| self.0.config.get("description").and_then(Json::as_str))
    }

    /// YAML.
    async fn config(&self) -> String {
        let text = self.0.config_text.clone();
        // JSON is YAML.
        text.unwrap_or_else(|| Json::Object(self.0.config.clone()).to_string())
    }

    async fn trackway(&self) -> Option<JsonString> {
        exact::record_text(&*self.0)
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    async fn updated_at(&self) -> Option<DateTime> {
        self.0.updated_at.map(DateTime)
    }

    async fn heartbeat_at(&self, ctx: &Context<'_>) -> GraphResult<Option<DateTime>> {
        let app = &Asked::of(ctx)?.app;
        let agents = hand_out::agents(app, &self.0.path, None)
            .await
            .map_err(told)?;
        Ok(agents
            .iter()
            .map(|agent| agent.heartbeat_at)
            .max()
            .map(DateTime))
    }

    async fn user(&self) -> Option<UserNode> {
        self.0.user.clone().map(UserNode::Named)
    }

    async fn project(&self, ctx: &Context<'_>) -> GraphResult<Option<ProjectNode>> {
        project_at(Asked::of(ctx)?, &self.0.path.project_path()).await
    }

    /// The best value that a run's summary has of the sweep's metric.
    async fn best_loss(&self, ctx: &Context<'_>) -> GraphResult<Option<f64>> {
        let best = best_run(Asked::of(ctx)?, self).await.map_err(told)?;
        Ok(best.map(|(_, value)| value))
    }

    async fn best_run(&self, ctx: &Context<'_>) -> GraphResult<Option<RunNode>> {
        let best = best_run(Asked::of(ctx)?, self).await.map_err(told)?;
        Ok(best.map(|(run, _)| run))
    }

    async fn run_count(&self, ctx: &Context<'_>) -> GraphResult<u64> {
        let query = self.runs_query().map_err(told)?;
        Asked::of(ctx)?
            .app
            .tracker
            .count_runs(&query)
            .await
            .map_err(told)
    }

    /// How many runs there will be, if the sweep ends by itself.
    async fn run_count_expected(&self) -> Option<u64> {
        Space::parse(&self.0.config).ok()?.expected()
    }

    async fn early_stop_job_running(&self) -> bool {
        false
    }

    async fn controller(&self) -> Option<JsonString> {
        self.word("controller")
    }

    async fn scheduler(&self) -> Option<JsonString> {
        self.word("scheduler")
    }

    /// The id of the run that the logs of a program go to which says what the sweep tries.
    async fn controller_run_name(&self) -> String {
        format!("{}-controller", self.0.path.sweep)
    }

    async fn runs(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
        order: Option<String>,
    ) -> GraphResult<RunConnection> {
        let asked = Asked::of(ctx)?;
        let mut query = self.runs_query().map_err(told)?;
        if let Some(order) = order.filter(|order| !order.is_empty()) {
            let keys = order.split(',').map(str::trim);
            query = query.with_order(
                RunOrder::parse(keys)
                    .map_err(Error::of_query)
                    .map_err(told)?,
            );
        }
        runs_page(asked, query, after.as_deref(), first).await
    }

    /// The runs that the sweep was told to learn from before its own.
    async fn prior_runs(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<RunConnection> {
        let asked = Asked::of(ctx)?;
        let Some(filter) = sweeps::prior_runs(&self.0).map_err(told)? else {
            return Ok(RunConnection::all(Vec::new()));
        };
        let query = RunQuery::of_project(&self.0.path.project_path()).with_filter(filter);
        runs_page(asked, query, after.as_deref(), first).await
    }

    async fn agents(&self, ctx: &Context<'_>) -> GraphResult<AgentConnection> {
        let app = &Asked::of(ctx)?.app;
        let agents = hand_out::agents(app, &self.0.path, None)
            .await
            .map_err(told)?;
        let node = |agent| AgentNode {
            sweep: self.0.path.clone(),
            agent,
        };
        Ok(AgentConnection::all(agents.into_iter().map(node).collect()))
    }

    async fn agent(&self, ctx: &Context<'_>, agent_name: String) -> GraphResult<Option<AgentNode>> {
        let app = &Asked::of(ctx)?.app;
        let id = ids::decode::<4>("Agent", &agent_name).map_or(agent_name, |[.., id]| id);
        let found = hand_out::agents(app, &self.0.path, Some(&id))
            .await
            .map_err(told)?
            .pop();
        let sweep = self.0.path.clone();
        Ok(found.map(|agent| AgentNode { sweep, agent }))
    }
}

async fn runs_page(
    asked: &Asked,
    query: RunQuery,
    after: Option<&str>,
    first: Option<i64>,
) -> GraphResult<RunConnection> {
    let whose = asked.viewer.user.name.as_str();
    let tracker = &*asked.app.tracker;
    let most = wanted(first, 10_000);
    let page = asked.app.pages.read(tracker, whose, query, after, most);
    let page = page.await.map_err(told)?;
    let nodes = page.runs.into_iter().map(RunNode::new).collect();
    Ok(RunConnection::page(page.first, nodes, page.more))
}

async fn best_run(asked: &Asked, sweep: &SweepNode) -> Result<Option<(RunNode, f64)>> {
    let handle = asked.app.api.sweep_at(&sweep.0.path).await?;
    match handle.best_run().await {
        Ok(best) => Ok(best.and_then(|best| {
            let value = best.value.as_f64()?;
            Some((RunNode::new(best.run.record().clone()), value))
        })),
        // A sweep without a metric, or without a run that has logged it.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A program that runs what a sweep tries.
#[derive(Debug)]
pub(crate) struct AgentNode {
    sweep: SweepPath,
    agent: Agent,
}

fn agent_id(sweep: &SweepPath, id: &str) -> ID {
    let (entity, project) = (sweep.entity.as_str(), sweep.project.as_str());
    ID(ids::encode(
        "Agent",
        &[entity, project, sweep.sweep.as_str(), id],
    ))
}

#[Object(name = "Agent")]
impl AgentNode {
    async fn id(&self) -> ID {
        agent_id(&self.sweep, &self.agent.id)
    }

    async fn name(&self) -> &str {
        &self.agent.id
    }

    async fn host(&self) -> &str {
        &self.agent.host
    }

    /// RUNNING while it asks for work.
    async fn state(&self) -> &'static str {
        let silent = Timestamp::now().as_millis() - self.agent.heartbeat_at.as_millis();
        if silent < 60_000 {
            "RUNNING"
        } else {
            "FINISHED"
        }
    }

    async fn total_runs(&self) -> usize {
        self.agent.runs.len()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.agent.created_at)
    }

    async fn heartbeat_at(&self) -> DateTime {
        DateTime(self.agent.heartbeat_at)
    }

    async fn runs(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i64>,
        last: Option<i64>,
        order: Option<String>,
    ) -> GraphResult<RunConnection> {
        let _ = (before, last, order);
        let asked = Asked::of(ctx)?;
        let project = self.sweep.project_path();
        let skip: usize = after
            .as_deref()
            .and_then(|cursor| cursor.parse().ok())
            .unwrap_or(0);
        let mut nodes = Vec::new();
        for id in self.agent.runs.iter().skip(skip) {
            let path: RunPath = project.run(id.parse().map_err(told)?);
            // A run that was handed out and never began is not there.
            if let Some(run) = super::found(asked.app.tracker.run(&path).await)? {
                nodes.push(RunNode::new(run));
            }
        }
        let count = wanted(first, 50);
        let more = nodes.len() > count;
        nodes.truncate(count);
        Ok(RunConnection::page(skip as u64, nodes, more))
    }
}

/// The sweep with this name.
pub(crate) async fn sweep_named(
    asked: &Asked,
    project: &ProjectPath,
    name: &str,
) -> GraphResult<Option<SweepNode>> {
    let Ok(id) = name.parse() else {
        return Ok(None);
    };
    let found = super::found(asked.app.tracker.sweep(&project.sweep(id)).await)?;
    Ok(found.map(|sweep| SweepNode(Arc::new(sweep))))
}

/// The sweeps of a project, newest first.
pub(crate) async fn sweeps_of(
    asked: &Asked,
    project: &ProjectPath,
    after: Option<&str>,
    first: Option<i64>,
) -> GraphResult<SweepConnection> {
    let sweeps = asked.app.tracker.sweeps(project);
    let page = super::page::page_of(sweeps, after, wanted(first, 50)).await;
    let (first, sweeps, more) = page.map_err(told)?;
    let nodes = sweeps.into_iter().map(|sweep| SweepNode(Arc::new(sweep)));
    Ok(SweepConnection::page(first, nodes.collect(), more))
}

pub(crate) async fn count_sweeps(asked: &Asked, project: &ProjectPath) -> Result<u64> {
    let sweeps = asked.app.tracker.sweeps(project);
    sweeps
        .try_fold(0, |count, _| std::future::ready(Ok(count + 1)))
        .await
}

#[derive(Debug, Default, InputObject)]
pub(crate) struct UpsertSweepInput {
    id: Option<ID>,
    /// YAML.
    config: Option<String>,
    description: Option<String>,
    entity_name: Option<String>,
    project_name: Option<String>,
    controller: Option<JsonString>,
    scheduler: Option<JsonString>,
    launch_scheduler: Option<JsonString>,
    template_variable_values: Option<JsonString>,
    prior_runs_filters: Option<JsonString>,
    state: Option<String>,
    display_name: Option<String>,
    trackway: Option<ExactInput>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct UpsertSweepPayload {
    sweep: Option<SweepNode>,
    config_validation_warnings: Vec<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateAgentInput {
    host: String,
    project_name: Option<String>,
    entity_name: Option<String>,
    sweep: String,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct CreateAgentPayload {
    agent: Option<AgentNode>,
}

#[derive(Debug, InputObject)]
pub(crate) struct AgentHeartbeatInput {
    id: ID,
    metrics: Option<JsonString>,
    run_state: Option<JsonString>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct AgentHeartbeatPayload {
    agent: Option<HeartbeatAgent>,
    /// JSON text of a list.
    commands: JsonString,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct HeartbeatAgent {
    id: ID,
}

#[derive(Debug, InputObject)]
pub(crate) struct EnqueueSweepRunInput {
    /// Of the sweep.
    id: ID,
    config: JsonString,
    display_name: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct EnqueueSweepRunPayload {
    /// The id of the run inside its project.
    id: Option<String>,
    run_queue_item_id: Option<ID>,
}

#[derive(Debug, Default)]
pub(crate) struct SweepMutation;

#[Object]
impl SweepMutation {
    /// Makes a sweep, or changes what is named of one.
    async fn upsert_sweep(
        &self,
        ctx: &Context<'_>,
        input: UpsertSweepInput,
    ) -> GraphResult<UpsertSweepPayload> {
        let sweep = upsert(Asked::of(ctx)?, input).await.map_err(told)?;
        Ok(UpsertSweepPayload {
            sweep: Some(SweepNode(Arc::new(sweep))),
            config_validation_warnings: Vec::new(),
        })
    }

    /// Makes a run that the next agent of the sweep gets.
    async fn enqueue_sweep_run(
        &self,
        ctx: &Context<'_>,
        input: EnqueueSweepRunInput,
    ) -> GraphResult<EnqueueSweepRunPayload> {
        let asked = Asked::of(ctx)?;
        let path = ids::sweep(&input.id).map_err(told)?;
        asked.viewer.write(&path.entity).map_err(told)?;
        let sweep = asked.app.tracker.sweep(&path).await.map_err(told)?;
        let (config, name) = (input.config.0, input.display_name);
        let id = hand_out::enqueue(&asked.app, &sweep, &config, name).await;
        Ok(EnqueueSweepRunPayload {
            id: Some(id.map_err(told)?),
            run_queue_item_id: None,
        })
    }

    async fn create_agent(
        &self,
        ctx: &Context<'_>,
        input: CreateAgentInput,
    ) -> GraphResult<CreateAgentPayload> {
        let asked = Asked::of(ctx)?;
        let path = match ids::sweep(&input.sweep) {
            Ok(path) => path,
            Err(_) => {
                let entity = asked.entity(input.entity_name.as_deref()).map_err(told)?;
                let project = input
                    .project_name
                    .as_deref()
                    .filter(|name| !name.is_empty());
                let project = project
                    .unwrap_or(super::UNCATEGORIZED)
                    .parse()
                    .map_err(told)?;
                let sweep = input.sweep.parse().map_err(told)?;
                ProjectPath::new(entity, project).sweep(sweep)
            }
        };
        asked.viewer.write(&path.entity).map_err(told)?;
        let agent = hand_out::create_agent(&asked.app, &path, input.host)
            .await
            .map_err(told)?;
        let agent = Some(AgentNode { sweep: path, agent });
        Ok(CreateAgentPayload { agent })
    }

    /// Says that the agent lives and which runs it runs; answers what it is to do.
    async fn agent_heartbeat(
        &self,
        ctx: &Context<'_>,
        input: AgentHeartbeatInput,
    ) -> GraphResult<AgentHeartbeatPayload> {
        let asked = Asked::of(ctx)?;
        let [entity, project, sweep, id] = ids::decode("Agent", &input.id).map_err(told)?;
        let path: SweepPath = format!("{entity}/{project}/{sweep}")
            .parse()
            .map_err(told)?;
        asked.viewer.write(&path.entity).map_err(told)?;
        let states = input.run_state.map_or_else(
            || Ok(tracker_model::JsonObject::new()),
            |state| crate::wire::object("the state of the runs", &state.0),
        );
        let running = states.map_err(told)?.into_iter();
        let running = running
            .filter(|(_, runs)| runs != &Json::Bool(false))
            .map(|(run, _)| run);
        let commands = hand_out::heartbeat(&asked.app, &path, &id, running.collect());
        let commands = commands.await.map_err(|e| {
            let gone = e.kind() == ErrorKind::NotFound;
            let mut told = told(e);
            if gone && let Some(extensions) = &mut told.extensions {
                // By the status agents know that there is nothing left to ask for.
                extensions.set("status", 404);
            }
            told
        })?;
        let commands = Json::Array(commands).to_string();
        Ok(AgentHeartbeatPayload {
            agent: Some(HeartbeatAgent { id: input.id }),
            commands: JsonString(commands),
        })
    }
}

async fn upsert(asked: &Asked, mut input: UpsertSweepInput) -> Result<Sweep> {
    let tracker = &asked.app.tracker;
    let exact = input.trackway.take();
    let path = match &input.id {
        Some(id) if !id.is_empty() => match ids::sweep(id) {
            Ok(path) => path,
            // By its name, in the project named.
            Err(_) => {
                let entity = asked.entity(input.entity_name.as_deref())?;
                let project = input
                    .project_name
                    .as_deref()
                    .unwrap_or(super::UNCATEGORIZED);
                ProjectPath::new(entity, project.parse()?).sweep(id.parse()?)
            }
        },
        _ => {
            let entity = asked.entity(input.entity_name.as_deref())?;
            let project = input
                .project_name
                .as_deref()
                .filter(|name| !name.is_empty());
            let project = project.unwrap_or(super::UNCATEGORIZED).parse()?;
            ProjectPath::new(entity, project).sweep(hand_out::random_id()?.parse()?)
        }
    };
    asked.viewer.write(&path.entity)?;
    if let Some(exact) = exact {
        let before = match tracker.sweep(&path).await {
            Err(e) if e.kind() == ErrorKind::NotFound => Sweep::new(path.clone(), Timestamp::now()),
            there => there?,
        };
        return tracker.upsert_sweep(&path, exact.sweep(&before)?).await;
    }
    let given = input.id.as_ref().is_some_and(|id| !id.is_empty());
    if given {
        tracker.sweep(&path).await?;
    } else if input.config.is_none() {
        return Err(Error::invalid("a new sweep needs a config"));
    }
    let mut patch = SweepPatch::new();
    if let Some(text) = input.config {
        let config = config_of(&text)?;
        let scheduled =
            matches!(&input.controller, Some(JsonString(text)) if text.contains("local"));
        // Whoever brings a controller of their own may search as they like.
        let own = scheduled || config.contains_key("controller") || hand_out::scheduled(&config);
        if !own {
            Space::parse(&config)?;
            Hyperband::parse(&config)?;
        }
        patch.config = JsonPatch::Replace(config);
        patch.config_text = Change::Set(text);
    }
    patch.name = input.display_name.map_or(Change::Keep, Change::Set);
    patch.description = input.description.map_or(Change::Keep, Change::Set);
    patch.state = input.state.as_deref().map(state_of).transpose()?;
    if !given {
        patch.user = Change::Set(asked.viewer.user.name.to_string());
    }
    if let Some(JsonString(filter)) = &input.prior_runs_filters {
        RunFilter::parse(filter).map_err(Error::of_query)?;
    }
    let said = [
        ("controller", input.controller),
        ("scheduler", input.scheduler),
        (sweeps::PRIOR_RUNS, input.prior_runs_filters),
    ];
    let said: Vec<_> = said
        .into_iter()
        .filter_map(|(key, text)| Some((key, text?.0)))
        .collect();
    if !said.is_empty() {
        let before = super::found(tracker.sweep(&path).await).ok().flatten();
        let mut extras = before.map(|sweep| sweep.extras).unwrap_or_default();
        for (key, text) in said {
            let patch = crate::wire::with_own(&extras, key, text.into());
            patch.apply(&mut extras);
        }
        patch.extras = JsonPatch::Replace(extras);
    }
    tracker.upsert_sweep(&path, patch).await
}

fn state_of(word: &str) -> Result<SweepState> {
    let lower = word.to_ascii_lowercase();
    let known = SweepState::ALL
        .into_iter()
        .find(|state| state.as_str() == lower);
    known.ok_or_else(|| {
        let words = SweepState::ALL.map(state_word).join(", ");
        Error::invalid(format!(
            "{word:.40?} is no state of a sweep; there are {words}"
        ))
    })
}

/// The config of a text in YAML, which JSON is too.
fn config_of(text: &str) -> Result<tracker_model::JsonObject> {
    match serde_saphyr::from_str::<Json>(text) {
        Ok(Json::Object(config)) => Ok(config),
        Ok(_) => Err(Error::invalid("the sweep's config is not a mapping")),
        Err(e) => Err(Error::invalid(format!(
            "the sweep's config is not YAML: {e}"
        ))),
    }
}
