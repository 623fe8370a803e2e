//! Agents, and the runs that they are given.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::TryStreamExt as _;
use rand::{SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tracker_client::value_at;
use tracker_model::{
    Change, Error, ErrorKind, Goal, JsonObject, Precondition, RecordCondition, Result, RunParts,
    RunPatch, RunQuery, RunState, Sweep, SweepPatch, SweepPath, SweepState, Timestamp,
};

use super::{
    bayes::{self, Trial},
    controller, hyperband,
    space::{Method, Space, wrapped},
};
use crate::{app::App, names::name_for, wire::WireConfig};

/// The space of records that holds agents, by `entity/project/sweep/agent`.
const AGENTS: &str = "agent";
/// The space of records that holds runs which wait for an agent, by `entity/project/sweep/time-count-run`.
const WAITING: &str = "sweep-run";
/// The space of records that says how many runs of a sweep were handed out.
const HANDED_OUT: &str = "sweep";

/// A program that asks for runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Agent {
    #[serde(skip)]
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) created_at: Timestamp,
    pub(crate) heartbeat_at: Timestamp,
    pub(crate) runs: Vec<String>,
}

/// How far a sweep is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    next: u64,
}

pub(crate) async fn create_agent(app: &App, sweep: &SweepPath, host: String) -> Result<Agent> {
    app.tracker.sweep(sweep).await?;
    let now = Timestamp::now();
    let agent = Agent {
        id: random_id()?,
        host,
        created_at: now,
        heartbeat_at: now,
        runs: Vec::new(),
    };
    keep(app, sweep, &agent, RecordCondition::Absent).await?;
    Ok(agent)
}

async fn keep(app: &App, sweep: &SweepPath, agent: &Agent, pre: RecordCondition) -> Result<()> {
    let key = format!("{sweep}/{}", agent.id);
    let value = serde_json::to_value(agent)
        .map_err(|e| Error::new(ErrorKind::Unexpected, "write an agent").with_source(e))?;
    app.records
        .put_record(AGENTS, &key, value, pre)
        .await
        .map(drop)
}

/// The agents of a sweep, or the one with this id.
pub(crate) async fn agents(app: &App, sweep: &SweepPath, id: Option<&str>) -> Result<Vec<Agent>> {
    let prefix = format!("{sweep}/");
    let mut records = app.records.records(AGENTS, &prefix);
    let mut out = Vec::new();
    while let Some(record) = records.try_next().await? {
        let name = record
            .key
            .get(prefix.len()..)
            .unwrap_or_default()
            .to_owned();
        if id.is_none_or(|id| id == name)
            && let Ok(agent) = serde_json::from_value::<Agent>(record.value)
        {
            out.push(Agent { id: name, ..agent });
        }
    }
    Ok(out)
}

/// What the agent is to do now: a list of commands.
pub(crate) async fn heartbeat(
    app: &App,
    sweep: &SweepPath,
    id: &str,
    running: Vec<String>,
) -> Result<Vec<Json>> {
    let gone = || Error::not_found(format_args!("agent {id:.40} of sweep {sweep}"));
    let mut agent = agents(app, sweep, Some(id)).await?.pop().ok_or_else(gone)?;
    let known = app.tracker.sweep(sweep).await?;
    agent.heartbeat_at = Timestamp::now();
    let mut commands = Vec::new();
    match known.state {
        SweepState::Canceled => {
            commands.extend(
                running
                    .iter()
                    .map(|run| json!({"type": "stop", "run_id": run})),
            );
            if running.is_empty() {
                commands.push(json!({"type": "exit"}));
            }
        }
        SweepState::Finished if running.is_empty() => commands.push(json!({"type": "exit"})),
        SweepState::Running if !running.is_empty() => {
            let losers = match controller::is_local(&known.config) {
                true => controller::losers(&known, &running),
                false => hyperband::losers(app, &known, &running).await?,
            };
            for run in losers {
                commands.push(json!({"type": "stop", "run_id": run}));
            }
        }
        SweepState::Pending | SweepState::Running if running.is_empty() => {
            let next = match waiting(app, sweep).await? {
                Some((run, args)) => Next::Run(run, args),
                None if controller::is_local(&known.config) => {
                    controller::next(app, &known).await?
                }
                None if scheduled(&known.config) => Next::Wait,
                None => next(app, &known).await?,
            };
            match next {
                Next::Wait => {}
                Next::Run(run, args) => {
                    agent.runs.push(run.clone());
                    let program = known.config.get("program").cloned().unwrap_or_default();
                    commands.push(json!({
                        "type": "run", "run_id": run, "program": program, "args": args, "logs": [],
                    }));
                    set_state(app, sweep, SweepState::Running).await?;
                }
                Next::Over => {
                    set_state(app, sweep, SweepState::Finished).await?;
                    commands.push(json!({"type": "exit"}));
                }
            }
        }
        _ => {}
    }
    keep(app, sweep, &agent, RecordCondition::None).await?;
    Ok(commands)
}

/// What a sweep has for an agent.
#[derive(Debug)]
pub(crate) enum Next {
    /// A run, and the values of its parameters.
    Run(String, JsonObject),
    /// Nothing yet.
    Wait,
    /// Nothing any more.
    Over,
}

/// Whether the runs of a sweep are enqueued by a program of the user's.
pub(crate) fn scheduled(config: &JsonObject) -> bool {
    config.get("scheduler").is_some_and(Json::is_object)
}

/// How many runs were enqueued, which orders those of one millisecond.
static ENQUEUED: AtomicU64 = AtomicU64::new(0);

/// Makes a run of a sweep that the next agent gets, with a config as agents are told it; answers
/// its id.
pub(crate) async fn enqueue(
    app: &App,
    sweep: &Sweep,
    args: &str,
    name: Option<String>,
) -> Result<String> {
    let id = random_id()?;
    let args = crate::wire::object("the config", args)?;
    make_run(app, sweep, &id, &args, name).await?;
    // Last: an agent that has it finds the run.
    let (now, count) = (
        Timestamp::now().as_millis(),
        ENQUEUED.fetch_add(1, Ordering::Relaxed),
    );
    let key = format!("{}/{now:020}-{count:020}-{id}", sweep.path);
    let said = json!({"run": id, "args": args});
    app.records
        .put_record(WAITING, &key, said, RecordCondition::Absent)
        .await?;
    Ok(id)
}

/// Makes a run of a sweep that no agent has yet.
///
/// # Errors
/// `AlreadyExists` if there is such a run.
pub(crate) async fn make_run(
    app: &App,
    sweep: &Sweep,
    id: &str,
    args: &JsonObject,
    name: Option<String>,
) -> Result<()> {
    let path = sweep.path.project_path().run(id.parse()?);
    let query = RunQuery::of_project(&sweep.path.project_path());
    let count = app.tracker.count_runs(&query).await?;
    let mut patch = RunPatch::new().with_state(RunState::Pending);
    patch.name = Change::Set(name.unwrap_or_else(|| name_for(&path, count + 1)));
    patch.sweep = Change::Set(sweep.path.sweep.to_string());
    patch.user = sweep.user.clone().map_or(Change::Keep, Change::Set);
    WireConfig::of(args.clone()).apply(&mut patch, None);
    let made = app.tracker.upsert_run(&path, patch, Precondition::Absent);
    made.await.map(drop)
}

/// The run that waits longest. No two agents get the same one.
async fn waiting(app: &App, sweep: &SweepPath) -> Result<Option<(String, JsonObject)>> {
    let mut records = app.records.records(WAITING, &format!("{sweep}/"));
    while let Some(record) = records.try_next().await? {
        let run = record.value.get("run").and_then(Json::as_str);
        let args = record.value.get("args").and_then(Json::as_object);
        let taken = app.records.delete_record(WAITING, &record.key).await?;
        if let (true, Some(run), Some(args)) = (taken, run, args) {
            return Ok(Some((run.to_owned(), args.clone())));
        }
    }
    Ok(None)
}

async fn set_state(app: &App, sweep: &SweepPath, state: SweepState) -> Result<()> {
    if app.tracker.sweep(sweep).await?.state == state {
        return Ok(());
    }
    let mut patch = SweepPatch::new();
    patch.state = Some(state);
    app.tracker.upsert_sweep(sweep, patch).await.map(drop)
}

/// The next run of a sweep: a new id and the values of the parameters. No two agents get the same
/// combination of a grid.
async fn next(app: &App, sweep: &Sweep) -> Result<Next> {
    let space = Space::parse(&sweep.config)?;
    let key = sweep.path.to_string();
    let mut rng = StdRng::from_seed(crate::accounts::random()?);
    let trials = match space.method {
        Method::Bayes => Some(trials(app, sweep).await?),
        Method::Grid | Method::Random => None,
    };
    loop {
        let record = app.records.record(HANDED_OUT, &key).await?;
        let (progress, pre) = match record {
            None => (Progress::default(), RecordCondition::Absent),
            Some(record) => {
                let pre = RecordCondition::Version(record.version);
                (
                    serde_json::from_value(record.value).unwrap_or_default(),
                    pre,
                )
            }
        };
        let Some(values) = space.pick(progress.next, &mut rng) else {
            return Ok(Next::Over);
        };
        let taken = json!(Progress {
            next: progress.next + 1
        });
        match app.records.put_record(HANDED_OUT, &key, taken, pre).await {
            Ok(_) => {
                let values = match trials {
                    Some((trials, goal)) => chosen(space, trials, goal, rng).await?,
                    None => values,
                };
                return Ok(Next::Run(random_id()?, values));
            }
            // Another agent was faster.
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
            Err(e) => return Err(e),
        }
    }
}

/// What the newest runs of a sweep tried and found, and which results are good.
async fn trials(app: &App, sweep: &Sweep) -> Result<(Vec<Trial>, Goal)> {
    let Some((metric, goal)) = sweep.metric() else {
        return Err(Error::invalid("the sweep has no metric"));
    };
    let mut parts = RunParts::NONE;
    parts.config = true;
    parts.summary = true;
    let query = RunQuery::of_project(&sweep.path.project_path())
        .with_filter(super::known_runs(sweep)?)
        .with_parts(parts)
        .with_limit(bayes::MOST_TRIALS as u64);
    let mut runs = app.tracker.find_runs(query);
    let mut trials = Vec::new();
    while let Some(run) = runs.try_next().await? {
        let result = value_at(&run.summary, metric).and_then(Json::as_f64);
        let result = match (run.state.is_terminal(), result) {
            (false, _) => None,
            (true, Some(result)) => Some(result),
            // It ended and found nothing.
            (true, None) => continue,
        };
        trials.push(Trial {
            values: run.config,
            result,
        });
    }
    Ok((trials, goal))
}

/// What the runs so far make promising.
async fn chosen(
    space: Space,
    trials: Vec<Trial>,
    goal: Goal,
    mut rng: StdRng,
) -> Result<JsonObject> {
    let choose = move || wrapped(bayes::propose(&space, &trials, goal, &mut rng));
    let chosen = tokio::task::spawn_blocking(choose).await;
    chosen.map_err(|e| Error::new(ErrorKind::Unexpected, "choose values").with_source(e))
}

/// Eight letters and digits, as W&B names runs and sweeps.
pub(crate) fn random_id() -> Result<String> {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let bytes: [u8; 8] = crate::accounts::random()?;
    let digit = |byte: u8| char::from(DIGITS.get(usize::from(byte % 36)).copied().unwrap_or(b'0'));
    Ok(bytes.into_iter().map(digit).collect())
}
