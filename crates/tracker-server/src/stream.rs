//! `POST /files/{entity}/{project}/{run}/file_stream`: what a run logs, as it logs it.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    Change, Error, HistoryStream, JsonPatch, Precondition, Result, Run, RunPatch, RunPath,
    RunState, Timestamp, split_rows,
};

use crate::{app::App, console, lines, wire};

/// The names of the streams.
const HISTORY: &str = "wandb-history.jsonl";
const EVENTS: &str = "wandb-events.jsonl";
const SUMMARY: &str = "wandb-summary.json";
const OUTPUT: &str = "output.log";

/// The body of a request. An empty one is a sign of life.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Body {
    #[serde(default)]
    files: BTreeMap<String, Chunk>,
    #[serde(default)]
    preempting: Option<bool>,
    #[serde(default)]
    complete: Option<bool>,
    #[serde(default)]
    exitcode: Option<i64>,
}

/// Lines of a stream, from this line on.
#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    content: Content,
}

/// Old clients send one text, new ones lines.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Lines(Vec<String>),
    Text(String),
}

impl Default for Content {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl Content {
    fn lines(self) -> Vec<String> {
        match self {
            Self::Lines(lines) => lines,
            Self::Text(text) => text.lines().map(str::to_owned).collect(),
        }
    }
}

/// Writes what the body says; durable when it answers.
///
/// # Errors
/// `NotFound` without the run; `InvalidInput` for lines that cannot be read, before anything of the
/// request is written.
pub(crate) async fn receive(app: &Arc<App>, path: &RunPath, mut body: Body) -> Result<Json> {
    let history = rows(body.files.remove(HISTORY), HistoryStream::Metrics)?;
    let events = rows(body.files.remove(EVENTS), HistoryStream::System)?;
    let summary = match body
        .files
        .remove(SUMMARY)
        .map(|chunk| chunk.content.lines())
    {
        Some(lines) => lines
            .last()
            .map(|line| wire::object("the summary", line))
            .transpose()?,
        None => None,
    };
    let output: Vec<_> = body.files.remove(OUTPUT).map_or_else(Vec::new, |chunk| {
        let numbered = (chunk.offset..).zip(chunk.content.lines());
        numbered
            .map(|(number, text)| console::line(number, &text))
            .collect()
    });
    for name in body.files.keys() {
        tracing::warn!(run = %path, stream = name, "a stream that the server does not know");
    }

    let mut patch = RunPatch::new();
    let complete = body.complete == Some(true);
    let preempting = body.preempting == Some(true);
    if let Some(summary) = summary {
        patch.summary = JsonPatch::Replace(summary);
    }
    let now = Timestamp::now();
    if complete {
        let failed = body.exitcode.is_some_and(|code| code != 0);
        patch.state = Some(match failed {
            true => RunState::Failed,
            false => RunState::Finished,
        });
        patch.ended_at = Change::Set(now);
    } else if preempting {
        patch.state = Some(RunState::Preempting);
    }
    let due = app.heartbeats.is_due(path);
    if due || complete {
        patch.heartbeat_at = Change::Set(now);
    }
    let change = async {
        if patch == RunPatch::default() {
            return Ok(None);
        }
        // A crashed run that speaks again was only cut off.
        if due && patch.state.is_none() {
            let run = app.tracker.run(path).await?;
            if run.state == RunState::Crashed {
                patch.state = Some(RunState::Running);
                patch.ended_at = Change::Clear;
            }
        }
        let changed = app
            .tracker
            .upsert_run(path, patch.clone(), Precondition::Present);
        changed.await.map(Some)
    };
    let log = async {
        match output.is_empty() {
            true => Ok(()),
            false => app.tracker.write_log(path, output).await,
        }
    };
    let points = async {
        append(app, path, HistoryStream::Metrics, history).await?;
        append(app, path, HistoryStream::System, events).await
    };
    let (changed, log, points) = if complete {
        // The run ends when all of it is there.
        let (log, points) = futures::join!(log, points);
        log?;
        points?;
        (change.await, Ok(()), Ok(()))
    } else {
        futures::join!(change, log, points)
    };
    if changed.is_err() {
        app.heartbeats.forget(path);
    }
    log?;
    points?;
    let changed = changed?;
    if complete {
        app.heartbeats.forget(path);
        if let Some(run) = &changed {
            note_exit_code(app, run, body.exitcode).await?;
        }
    }
    let mut answer = json!({"exitcode": body.exitcode, "limits": {}});
    if stop_is_asked(app, path).await? {
        answer["stopped"] = true.into();
    }
    Ok(answer)
}

fn rows(chunk: Option<Chunk>, stream: HistoryStream) -> Result<Vec<tracker_model::PointBatch>> {
    let Some(chunk) = chunk else {
        return Ok(Vec::new());
    };
    let numbered = (chunk.offset..).zip(chunk.content.lines());
    let rows: Result<Vec<_>> = numbered
        .map(|(number, line)| {
            let mut row = lines::history_row(number, &line)?;
            if stream == HistoryStream::System {
                // Says only that the SDK itself wrote the line.
                row.values.retain(|(key, _)| key.as_str() != "_wandb");
            }
            Ok(row)
        })
        .collect();
    split_rows(rows?)
}

async fn append(
    app: &App,
    path: &RunPath,
    stream: HistoryStream,
    batches: Vec<tracker_model::PointBatch>,
) -> Result<()> {
    if batches.is_empty() {
        return Ok(());
    }
    app.tracker.append(path, stream, 0, batches).await.map(drop)
}

async fn note_exit_code(app: &App, run: &Run, code: Option<i64>) -> Result<()> {
    let Some(code) = code else { return Ok(()) };
    let mut patch = RunPatch::new();
    patch.extras = wire::with_own(&run.extras, "exitcode", code.into());
    let changed = app
        .tracker
        .upsert_run(&run.path, patch, Precondition::Present);
    changed.await.map(drop)
}

/// The space of records that says which runs are asked to stop.
pub(crate) const STOPS: &str = "stop";

pub(crate) async fn stop_is_asked(app: &App, path: &RunPath) -> Result<bool> {
    let record = app.records.record(STOPS, &path.to_string()).await?;
    Ok(record.is_some())
}

/// Reads the body of a request, whose JSON is strict but for the lines in it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Body> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Body::default());
    }
    serde_json::from_slice(bytes)
        .map_err(|e| Error::invalid(format!("the body is not what a file stream sends: {e}")))
}
