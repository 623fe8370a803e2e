//! Changes to runs, their files and projects.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use futures::StreamExt;
use serde_json::json;
use tracker_model::{
    Change, Error, ErrorKind, Git, HistoryStream, JsonPatch, Precondition, Project, ProjectPatch,
    ProjectPath, RecordCondition, Result, Run, RunPatch, RunPath, RunQuery, RunState, Timestamp,
    check_file_name,
};

use super::{
    Asked, GraphResult,
    exact::ExactInput,
    found,
    project::{ProjectNode, writable_run},
    run::{RunNode, upload_url},
    scalars::{Duration, JsonString},
    session::Success,
    told,
};
use crate::{
    app::run_path,
    fork, ids,
    names::name_for,
    stream::STOPS,
    wire::{self, WireConfig},
};

#[derive(Debug, Default, InputObject)]
pub(crate) struct UpsertBucketInput {
    id: Option<String>,
    /// The id of the run inside its project.
    name: Option<String>,
    model_name: Option<String>,
    entity_name: Option<String>,
    group_name: Option<String>,
    description: Option<String>,
    display_name: Option<String>,
    notes: Option<String>,
    commit: Option<String>,
    config: Option<JsonString>,
    host: Option<String>,
    debug: Option<bool>,
    job_program: Option<String>,
    job_repo: Option<String>,
    job_type: Option<String>,
    state: Option<String>,
    sweep: Option<String>,
    tags: Option<Vec<String>>,
    summary_metrics: Option<JsonString>,
    client_mutation_id: Option<String>,
    trackway: Option<ExactInput>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct UpsertBucketPayload {
    bucket: Option<RunNode>,
    /// Whether there was no such run.
    inserted: bool,
    /// Old clients ask whether the server has settings, and fail if it does not know what these are.
    server_settings: ServerSettings,
    client_mutation_id: Option<String>,
}

/// What the server has to say to everybody.
#[derive(Debug, Default, SimpleObject)]
pub(crate) struct ServerSettings {
    server_messages: Vec<ServerMessage>,
}

/// A message to whoever starts a run. There are none.
#[derive(Debug, SimpleObject)]
pub(crate) struct ServerMessage {
    utf_text: String,
    plain_text: String,
    html_text: String,
    message_type: String,
    message_level: i32,
}

impl UpsertBucketInput {
    fn path(&self, asked: &Asked) -> Result<RunPath> {
        let path = match (&self.name, &self.id) {
            (Some(name), _) if !name.is_empty() => {
                let entity = asked.entity(self.entity_name.as_deref())?;
                let project = self.model_name.as_deref().filter(|name| !name.is_empty());
                let project = project.unwrap_or(super::UNCATEGORIZED);
                run_path(entity.as_str(), project, name)?
            }
            (_, Some(id)) => ids::run(id)?,
            _ => return Err(Error::invalid("a run needs a name or an id")),
        };
        asked.viewer.write(&path.entity)?;
        Ok(path)
    }

    /// Whether a program begins with it: what says more than where the run is and what it found.
    fn begins(&self) -> bool {
        let named = self.name.as_ref().is_some_and(|name| !name.is_empty());
        let says = self.host.is_some()
            || self.job_program.is_some()
            || self.commit.is_some()
            || self.job_repo.is_some()
            || self.job_type.is_some()
            || self.display_name.is_some()
            || self.group_name.is_some()
            || self.sweep.is_some()
            || self.tags.is_some();
        named && says
    }

    fn state(&self, before: Option<&Run>) -> Result<Option<RunState>> {
        if let Some(word) = self.state.as_deref().filter(|word| !word.is_empty()) {
            return state_of(word).map(Some);
        }
        Ok(match before {
            None => Some(RunState::Running),
            Some(run) if self.begins() && run.state != RunState::Running => Some(RunState::Running),
            Some(_) => None,
        })
    }

    /// The change to a record of the model, and what must hold for it.
    fn exact(self, path: &RunPath, exact: &ExactInput, before: Option<&Run>) -> Result<RunPatch> {
        let fresh;
        let base = match before {
            Some(run) => run,
            None => {
                fresh = Run::new(path.clone(), Timestamp::now());
                &fresh
            }
        };
        let mut patch = RunPatch::replacing_all(&exact.run(base)?);
        patch.config = match self.config {
            Some(JsonString(text)) => JsonPatch::Replace(WireConfig::parse(&text)?.values),
            None => JsonPatch::Keep,
        };
        patch.summary = match self.summary_metrics {
            Some(JsonString(text)) => JsonPatch::Replace(wire::object("the summary", &text)?),
            None => JsonPatch::Keep,
        };
        Ok(patch)
    }

    fn patch(self, asked: &Asked, before: Option<&Run>) -> Result<RunPatch> {
        let mut patch = RunPatch::new();
        let set = |text: &Option<String>| text.clone().map_or(Change::Keep, Change::Set);
        patch.state = self.state(before)?;
        if patch.state == Some(RunState::Running) {
            patch.heartbeat_at = Change::Set(Timestamp::now());
            patch.ended_at = Change::Clear;
        }
        patch.deleted = before.filter(|run| run.deleted).map(|_| false);
        patch.name = set(&self.display_name);
        patch.group = set(&self.group_name);
        patch.job_type = set(&self.job_type);
        patch.notes = set(&self.notes);
        patch.host = set(&self.host);
        patch.program = set(&self.job_program);
        patch.sweep = set(&self.sweep);
        patch.tags = self.tags;
        if before.is_none() {
            patch.user = Change::Set(asked.viewer.user.name.to_string());
        }
        if self.commit.is_some() || self.job_repo.is_some() {
            let known = before.and_then(|run| run.git.clone()).unwrap_or_default();
            patch.git = Change::Set(Git {
                commit: self.commit.or(known.commit),
                remote: self.job_repo.or(known.remote),
                branch: known.branch,
            });
        }
        if let Some(description) = self.description {
            let none = tracker_model::JsonObject::new();
            let extras = before.map_or(&none, |run| &run.extras);
            patch.extras = wire::with_own(extras, "description", description.into());
        }
        if let Some(JsonString(text)) = self.config {
            WireConfig::parse(&text)?.apply(&mut patch, before);
        }
        if let Some(JsonString(text)) = self.summary_metrics {
            patch.summary = JsonPatch::Replace(wire::object("the summary", &text)?);
        }
        Ok(patch)
    }
}

/// The state of a word.
pub(crate) fn state_of(word: &str) -> Result<RunState> {
    let known = RunState::ALL
        .into_iter()
        .find(|state| state.as_str() == word);
    known.ok_or_else(|| {
        let words = RunState::ALL.map(RunState::as_str).join(", ");
        Error::invalid(format!(
            "{word:.40?} is no state of a run; there are {words}"
        ))
    })
}

/// Whether a client may say that a run is in this state: that it waits to be run again, or that
/// it is lost.
fn check_change(run: &Run, to: RunState) -> Result<()> {
    use RunState::{Crashed, Failed, Pending, Preempted, Running};
    if run.sweep.is_some() {
        let message = format!("run {} belongs to a sweep, which says its state", run.path);
        return Err(Error::invalid(message));
    }
    match (run.state, to) {
        (Running | Failed | Crashed | Preempted, Pending) | (Pending | Running, Failed) => Ok(()),
        (from, to) => Err(Error::invalid(format!(
            "invalid state transition of run {}: from {from} to {to}",
            run.path
        ))),
    }
}

/// Makes the run if there is none, and the change.
async fn upsert(asked: &Asked, mut input: UpsertBucketInput) -> Result<(Run, bool)> {
    let path = input.path(asked)?;
    let tracker = &asked.app.tracker;
    if let Some(exact) = input.trackway.take() {
        return upsert_exact(asked, &path, input, &exact).await;
    }
    let by_id = input.name.as_ref().is_none_or(String::is_empty);
    let begins = input.begins();
    let atomic = tracker.capabilities().atomic_changes;
    let mut input = Some(input);
    // What is written depends on what is there: again, if it changed meanwhile.
    for attempt in 0.. {
        let before = match tracker.run(&path).await {
            Ok(run) => Some(run),
            Err(e) if e.kind() == ErrorKind::NotFound && !by_id => None,
            Err(e) => return Err(e),
        };
        let last = attempt >= 20;
        let asked_for = if last {
            input.take()
        } else {
            input.as_ref().map(copy)
        };
        let Some(asked_for) = asked_for else { break };
        let mut patch = asked_for.patch(asked, before.as_ref())?;
        if before.is_none() && patch.name == Change::Keep {
            let query = RunQuery::of_project(&path.project_path());
            let count = tracker.count_runs(&query).await.unwrap_or(0);
            patch.name = Change::Set(name_for(&path, count + 1));
        }
        let pre = match &before {
            None => Precondition::Absent,
            Some(run) if atomic && !last => Precondition::Version(run.version),
            Some(_) => Precondition::Present,
        };
        match tracker.upsert_run(&path, patch, pre).await {
            Ok(run) => {
                asked.app.heartbeats.forget(&path);
                if begins || before.is_none() {
                    // Who starts it again does not mean it to stop.
                    asked
                        .app
                        .records
                        .delete_record(STOPS, &path.to_string())
                        .await?;
                }
                let run = fork::begin(&asked.app, run).await?;
                return Ok((run, before.is_none()));
            }
            Err(e)
                if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) && !last => {}
            Err(e) => return Err(e),
        }
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!("run {path} changes all the time"),
    ))
}

async fn upsert_exact(
    asked: &Asked,
    path: &RunPath,
    input: UpsertBucketInput,
    exact: &ExactInput,
) -> Result<(Run, bool)> {
    let tracker = &asked.app.tracker;
    let before = match tracker.run(path).await {
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        there => Some(there?),
    };
    let version = before.as_ref().map(|run| run.version);
    let pre = match exact.version() {
        Some(0) => Precondition::Absent,
        Some(version) => Precondition::Version(version),
        None => Precondition::None,
    };
    pre.check(path, version)?;
    let patch = input.exact(path, exact, before.as_ref())?;
    // What is written depends on what was there.
    let pre = match version {
        None => Precondition::Absent,
        Some(version) if tracker.capabilities().atomic_changes => Precondition::Version(version),
        Some(_) => Precondition::Present,
    };
    let run = tracker.upsert_run(path, patch, pre).await?;
    asked.app.heartbeats.forget(path);
    Ok((run, before.is_none()))
}

fn copy(input: &UpsertBucketInput) -> UpsertBucketInput {
    UpsertBucketInput {
        id: input.id.clone(),
        name: input.name.clone(),
        model_name: input.model_name.clone(),
        entity_name: input.entity_name.clone(),
        group_name: input.group_name.clone(),
        description: input.description.clone(),
        display_name: input.display_name.clone(),
        notes: input.notes.clone(),
        commit: input.commit.clone(),
        config: input.config.clone(),
        host: input.host.clone(),
        debug: input.debug,
        job_program: input.job_program.clone(),
        job_repo: input.job_repo.clone(),
        job_type: input.job_type.clone(),
        state: input.state.clone(),
        sweep: input.sweep.clone(),
        tags: input.tags.clone(),
        summary_metrics: input.summary_metrics.clone(),
        client_mutation_id: input.client_mutation_id.clone(),
        trackway: input.trackway.clone(),
    }
}

#[derive(Debug, InputObject)]
pub(crate) struct UpsertModelInput {
    id: Option<String>,
    name: Option<String>,
    entity_name: Option<String>,
    description: Option<String>,
    access: Option<String>,
    framework: Option<String>,
    repo: Option<String>,
    views: Option<JsonString>,
    trackway: Option<ExactInput>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct UpsertModelPayload {
    project: Option<ProjectNode>,
    model: Option<ProjectNode>,
    inserted: bool,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteModelInput {
    id: String,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteRunInput {
    id: ID,
    delete_artifacts: Option<bool>,
}

#[derive(Debug, InputObject)]
pub(crate) struct StopRunInput {
    id: ID,
}

#[derive(Debug, InputObject)]
pub(crate) struct UpdateRunStateInput {
    id: ID,
    state: String,
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateRunFilesInput {
    entity_name: String,
    project_name: String,
    run_name: String,
    files: Vec<String>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct CreateRunFilesPayload {
    #[graphql(name = "runID")]
    run_id: ID,
    upload_headers: Vec<String>,
    files: Vec<NewRunFile>,
}

/// A file and where to put it.
#[derive(Debug, SimpleObject)]
pub(crate) struct NewRunFile {
    name: String,
    upload_url: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct MarkRunFilesUploadedInput {
    entity_name: String,
    project_name: String,
    run_name: String,
    files: Vec<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteFilesInput {
    files: Vec<ID>,
    project_id: Option<i64>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum AlertSeverity {
    /// For information.
    Info,
    /// To look at.
    Warn,
    /// To act on.
    Error,
}

#[derive(Debug, InputObject)]
pub(crate) struct NotifyScriptableRunAlertInput {
    entity_name: String,
    project_name: String,
    run_name: String,
    title: String,
    text: String,
    severity: Option<AlertSeverity>,
    wait_duration: Option<Duration>,
}

#[derive(Debug, InputObject)]
pub(crate) struct RewindRunInput {
    run_name: String,
    entity_name: Option<String>,
    project_name: Option<String>,
    metric_name: String,
    metric_value: f64,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct RewindRunPayload {
    rewound_run: Option<RunNode>,
}

#[derive(Debug, Default)]
pub(crate) struct RunMutation;

#[Object]
impl RunMutation {
    /// Makes a run, or changes what is named of one.
    async fn upsert_bucket(
        &self,
        ctx: &Context<'_>,
        input: UpsertBucketInput,
    ) -> GraphResult<UpsertBucketPayload> {
        let client_mutation_id = input.client_mutation_id.clone();
        let (run, inserted) = upsert(Asked::of(ctx)?, input).await.map_err(told)?;
        Ok(UpsertBucketPayload {
            bucket: Some(RunNode::new(run)),
            inserted,
            server_settings: ServerSettings::default(),
            client_mutation_id,
        })
    }

    /// Makes a project, or changes what is named of one.
    async fn upsert_model(
        &self,
        ctx: &Context<'_>,
        input: UpsertModelInput,
    ) -> GraphResult<UpsertModelPayload> {
        let asked = Asked::of(ctx)?;
        let path = match (&input.name, &input.id) {
            (Some(name), _) => {
                let entity = asked.entity(input.entity_name.as_deref()).map_err(told)?;
                ProjectPath::new(entity, name.parse().map_err(told)?)
            }
            (None, Some(id)) => ids::project(id).map_err(told)?,
            (None, None) => return Err(told(Error::invalid("a project needs a name or an id"))),
        };
        asked.viewer.write(&path.entity).map_err(told)?;
        let before = found(asked.app.tracker.project(&path).await)?;
        let patch = match input.trackway {
            Some(exact) => {
                let fresh = || Project::new(path.clone(), Timestamp::now());
                let base = before.clone().unwrap_or_else(fresh);
                exact.project(&base).map_err(told)?
            }
            None => {
                let mut patch = ProjectPatch::new();
                patch.description = input.description.map_or(Change::Keep, Change::Set);
                patch.deleted = before.as_ref().filter(|p| p.deleted).map(|_| false);
                patch
            }
        };
        let project = asked
            .app
            .tracker
            .upsert_project(&path, patch)
            .await
            .map_err(told)?;
        let node = ProjectNode(std::sync::Arc::new(project));
        Ok(UpsertModelPayload {
            project: Some(node.clone()),
            model: Some(node),
            inserted: before.is_none_or(|p| p.deleted),
        })
    }

    /// Deletes a project: its runs go with it, out of sight.
    async fn delete_model(
        &self,
        ctx: &Context<'_>,
        input: DeleteModelInput,
    ) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let path = ids::project(&input.id).map_err(told)?;
        asked.viewer.write(&path.entity).map_err(told)?;
        asked.app.tracker.project(&path).await.map_err(told)?;
        let mut patch = ProjectPatch::new();
        patch.deleted = Some(true);
        asked
            .app
            .tracker
            .upsert_project(&path, patch)
            .await
            .map_err(told)?;
        Ok(Success::yes())
    }

    async fn delete_run(&self, ctx: &Context<'_>, input: DeleteRunInput) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let path = writable_run(asked, &input.id).map_err(told)?;
        // Clients delete once more what they deleted.
        found(asked.app.tracker.delete_run(&path).await)?;
        asked.app.heartbeats.forget(&path);
        Ok(Success::yes())
    }

    /// Asks the program to stop: it learns so with its next lines.
    async fn stop_run(&self, ctx: &Context<'_>, input: StopRunInput) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let path = writable_run(asked, &input.id).map_err(told)?;
        asked.app.tracker.run(&path).await.map_err(told)?;
        let said = json!({"by": asked.viewer.user.name.as_str()});
        let key = path.to_string();
        let put = asked
            .app
            .records
            .put_record(STOPS, &key, said, RecordCondition::None);
        put.await.map_err(told)?;
        Ok(Success::yes())
    }

    async fn update_run_state(
        &self,
        ctx: &Context<'_>,
        input: UpdateRunStateInput,
    ) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let path = writable_run(asked, &input.id).map_err(told)?;
        let state = state_of(&input.state).map_err(told)?;
        let run = asked.app.tracker.run(&path).await.map_err(told)?;
        check_change(&run, state).map_err(told)?;
        let mut patch = RunPatch::new().with_state(state);
        patch.ended_at = match state.is_terminal() {
            true => Change::Set(Timestamp::now()),
            false => Change::Clear,
        };
        let pre = match asked.app.tracker.capabilities().atomic_changes {
            true => Precondition::Version(run.version),
            false => Precondition::Present,
        };
        let changed = asked.app.tracker.upsert_run(&path, patch, pre);
        changed.await.map_err(told)?;
        asked.app.heartbeats.forget(&path);
        Ok(Success::yes())
    }

    /// Says where files of a run can be put, in the order asked.
    async fn create_run_files(
        &self,
        ctx: &Context<'_>,
        input: CreateRunFilesInput,
    ) -> GraphResult<CreateRunFilesPayload> {
        let asked = Asked::of(ctx)?;
        let path = run_path(&input.entity_name, &input.project_name, &input.run_name);
        let path = path.map_err(told)?;
        asked.viewer.write(&path.entity).map_err(told)?;
        asked.app.tracker.run(&path).await.map_err(told)?;
        let mut files = Vec::with_capacity(input.files.len());
        for name in input.files {
            check_file_name(&name).map_err(told)?;
            let upload_url = Some(upload_url(asked, &path, &name));
            files.push(NewRunFile { name, upload_url });
        }
        Ok(CreateRunFilesPayload {
            run_id: ID(ids::of_run(&path)),
            upload_headers: Vec::new(),
            files,
        })
    }

    /// Files are seen as soon as they are there: nothing is left to do.
    async fn mark_run_files_uploaded(
        &self,
        ctx: &Context<'_>,
        input: MarkRunFilesUploadedInput,
    ) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let path = run_path(&input.entity_name, &input.project_name, &input.run_name);
        asked
            .viewer
            .write(&path.map_err(told)?.entity)
            .map_err(told)?;
        Ok(Success::yes())
    }

    async fn delete_files(
        &self,
        ctx: &Context<'_>,
        input: DeleteFilesInput,
    ) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let mut files = Vec::with_capacity(input.files.len());
        for id in &input.files {
            let [entity, project, run, name] = ids::decode("File", id).map_err(told)?;
            let path = run_path(&entity, &project, &run).map_err(told)?;
            asked.viewer.write(&path.entity).map_err(told)?;
            files.push((path, name));
        }
        for (path, name) in files {
            asked
                .app
                .tracker
                .delete_file(&path, &name)
                .await
                .map_err(told)?;
        }
        Ok(Success::yes())
    }

    /// Keeps the alert with the run; nobody is written to.
    async fn notify_scriptable_run_alert(
        &self,
        ctx: &Context<'_>,
        input: NotifyScriptableRunAlertInput,
    ) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let path = run_path(&input.entity_name, &input.project_name, &input.run_name);
        let path = path.map_err(told)?;
        asked.viewer.write(&path.entity).map_err(told)?;
        asked.app.tracker.run(&path).await.map_err(told)?;
        let now = Timestamp::now();
        let severity = match input.severity.unwrap_or(AlertSeverity::Info) {
            AlertSeverity::Info => "INFO",
            AlertSeverity::Warn => "WARN",
            AlertSeverity::Error => "ERROR",
        };
        let alert = json!({
            "title": input.title, "text": input.text, "severity": severity, "at": now.to_string(),
        });
        // Within this time, the same title is one alert.
        let wait = input.wait_duration.map_or(0, |wait| wait.0.max(0));
        let prefix = format!("{path}/");
        let mut earlier = asked.app.records.records(ALERTS, &prefix);
        while let Some(record) = earlier.next().await {
            let record = record.map_err(told)?;
            let age = now
                .as_millis()
                .saturating_sub(record.updated_at.as_millis());
            if record.value.get("title") == alert.get("title") && age < wait {
                return Ok(Success::yes());
            }
        }
        let key = format!("{prefix}{:020}", now.as_millis());
        let put = asked
            .app
            .records
            .put_record(ALERTS, &key, alert, RecordCondition::None);
        put.await.map_err(told)?;
        Ok(Success::yes())
    }

    /// Forgets what a run logged after a step.
    async fn rewind_run(
        &self,
        ctx: &Context<'_>,
        input: RewindRunInput,
    ) -> GraphResult<RewindRunPayload> {
        let asked = Asked::of(ctx)?;
        let run = rewind(asked, input).await.map_err(told)?;
        Ok(RewindRunPayload {
            rewound_run: Some(RunNode::new(run)),
        })
    }
}

/// The space of records that holds alerts, by run and time.
pub(crate) const ALERTS: &str = "alert";

async fn rewind(asked: &Asked, input: RewindRunInput) -> Result<Run> {
    use futures::TryStreamExt as _;
    use tracker_model::{HistoryQuery, rows_of};
    let entity = asked.entity(input.entity_name.as_deref())?;
    let project = input
        .project_name
        .as_deref()
        .filter(|name| !name.is_empty());
    let project = project.unwrap_or(super::UNCATEGORIZED);
    let path = run_path(entity.as_str(), project, &input.run_name)?;
    asked.viewer.write(&path.entity)?;
    if input.metric_name != "_step" {
        return Err(Error::invalid(format!(
            "a run is rewound to a _step, not to a value of {:.80?}",
            input.metric_name
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, and steps are integers"
    )]
    let step = input.metric_value.floor() as i64;
    let tracker = &asked.app.tracker;
    let run = tracker.run(&path).await?;
    // Rows are dropped from the first one after the step on.
    let query = HistoryQuery::new()
        .with_steps(step.saturating_add(1)..=i64::MAX)
        .with_rows(true);
    if step < i64::MAX
        && let Some(row) = rows_of(tracker.scan(&path, query)).try_next().await?
    {
        tracker
            .truncate(&path, HistoryStream::Metrics, row.row)
            .await?;
    }
    let mut patch = RunPatch::new().with_state(RunState::Running);
    patch.ended_at = Change::Clear;
    patch.heartbeat_at = Change::Set(Timestamp::now());
    patch.extras = wire::with_own(&run.extras, "rewound", json!({"step": step}));
    tracker
        .upsert_run(&path, patch, Precondition::Present)
        .await
}
