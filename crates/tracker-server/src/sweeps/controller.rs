//! Sweeps that a program of the user's searches: `wandb controller`.
//!
//! It writes into the sweep's `controller` what is to be tried, and which runs are to end:
//! `{"schedule": [{"id": …, "data": {"args": …}}], "earlystop": ["run"]}`. In the sweep's
//! `scheduler` it reads which runs that became: `{"scheduled": [{"id": …, "runid": …}]}`.

use serde_json::{Value as Json, json};
use tracker_model::{ErrorKind, JsonObject, JsonPatch, Result, Sweep, SweepPatch};

use super::hand_out::{self, Next};
use crate::{app::App, wire};

/// The most runs that the program is told of, the newest.
const MOST_TOLD: usize = 1_000;

/// Whether a program of the user's searches the sweep.
pub(crate) fn is_local(config: &JsonObject) -> bool {
    let kind = config.get("controller").and_then(|said| said.get("type"));
    kind.and_then(Json::as_str) == Some("local")
}

/// What the program, or this server, said last.
fn said(sweep: &Sweep, key: &str) -> Json {
    let text = wire::own(&sweep.extras, key).and_then(Json::as_str);
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn list<'a>(of: &'a Json, key: &str) -> &'a [Json] {
    of.get(key)
        .and_then(Json::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Which of these runs the program wants to end.
pub(crate) fn losers(sweep: &Sweep, running: &[String]) -> Vec<String> {
    let controller = said(sweep, "controller");
    let ends = list(&controller, "earlystop");
    let lost = |run: &&String| ends.iter().any(|end| end == run.as_str());
    running.iter().filter(lost).cloned().collect()
}

/// The next run that the program wants.
pub(crate) async fn next(app: &App, sweep: &Sweep) -> Result<Next> {
    let controller = said(sweep, "controller");
    let mut told = list(&said(sweep, "scheduler"), "scheduled").to_vec();
    let before = told.len();
    let mut next = Next::Wait;
    for entry in list(&controller, "schedule") {
        let Some(id) = entry.get("id").and_then(Json::as_str) else {
            continue;
        };
        if told.iter().any(|old| old.get("id") == entry.get("id")) {
            continue;
        }
        let args = match entry.get("data").and_then(|data| data.get("args")) {
            Some(Json::Object(args)) => args,
            // It has nothing left to try.
            Some(Json::Null) => return Ok(Next::Over),
            _ => continue,
        };
        let run = run_id(sweep, id);
        match hand_out::make_run(app, sweep, &run, args, None).await {
            Ok(()) => next = Next::Run(run.clone(), args.clone()),
            // Another agent has it.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
        told.push(json!({"id": id, "runid": run}));
        if matches!(next, Next::Run(..)) {
            break;
        }
    }
    if told.len() > before {
        told.drain(..told.len().saturating_sub(MOST_TOLD));
        let text = json!({"scheduled": told}).to_string();
        let mut patch = SweepPatch::new();
        let mut extras = sweep.extras.clone();
        wire::with_own(&extras, "scheduler", text.into()).apply(&mut extras);
        patch.extras = JsonPatch::Replace(extras);
        app.tracker.upsert_sweep(&sweep.path, patch).await?;
    }
    Ok(next)
}

/// The same for the same entry, so that it becomes one run whoever sees it first.
fn run_id(sweep: &Sweep, entry: &str) -> String {
    let hash = blake3::hash(format!("{}/{entry}", sweep.path).as_bytes());
    hash.to_hex().chars().take(8).collect()
}
