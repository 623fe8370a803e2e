//! `POST /files/{entity}/{project}/{run}/file_stream`: what a run logs, as it logs it.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use futures::TryStreamExt as _;
use serde::{Deserialize, de};
use serde_json::{Value as Json, json};
use tracker_client::history_row;
use tracker_model::{
    Change, Error, HistoryQuery, HistoryRow, HistoryStream, JsonPatch, MAX_ROW, Precondition,
    Result, Run, RunPatch, RunPath, RunState, Timestamp, rows_of, split_rows,
};

use crate::{app::App, console, live::End, wire};

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
#[derive(Debug)]
enum Content {
    Lines(Vec<String>),
    Text(String),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lines")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
                let mut lines = Vec::new();
                while let Some(line) = seq.next_element()? {
                    lines.push(line);
                }
                Ok(Content::Lines(lines))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl Content {
    /// How many lines it has at most.
    fn len(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.len() as u64,
            Self::Text(text) => text.len() as u64,
        }
    }

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
    for (name, chunk) in &body.files {
        let end = chunk.offset.checked_add(chunk.content.len());
        if end.is_none_or(|end| end > MAX_ROW) {
            return Err(Error::invalid(format!(
                "the lines of {name:.80?} have no such numbers"
            )));
        }
    }
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

fn rows(chunk: Option<Chunk>, stream: HistoryStream) -> Result<Vec<HistoryRow>> {
    let Some(chunk) = chunk else {
        return Ok(Vec::new());
    };
    let numbered = (chunk.offset..).zip(chunk.content.lines());
    numbered
        .map(|(number, line)| {
            let mut row = history_row(number, &line)?;
            if stream == HistoryStream::System {
                // Says only that the SDK itself wrote the line.
                row.values.retain(|(key, _)| key.as_str() != "_wandb");
            }
            Ok(row)
        })
        .collect()
}

async fn append(
    app: &App,
    path: &RunPath,
    stream: HistoryStream,
    mut rows: Vec<HistoryRow>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let next = app.tracker.next_row(path, stream).await?;
    rows.retain(|row| row.row >= next);
    if rows.is_empty() {
        return Ok(());
    }
    let end = end(app, path, stream, next).await?;
    if is_again(&rows, stream, &end) {
        leave_known(app, path, stream, &mut rows).await?;
        if rows.is_empty() {
            return Ok(());
        }
    }
    let mut after = End {
        step: end.step.max(rows.iter().map(|row| row.step).max()),
        time: end.time.max(rows.iter().filter_map(|row| row.time).max()),
        ..end
    };
    let appended = app.tracker.append(path, stream, 0, split_rows(rows)?);
    after.next = appended.await?;
    app.ends.went_on(path, stream, end, after);
    Ok(())
}

/// How the history ends whose next row is this one.
async fn end(app: &App, path: &RunPath, stream: HistoryStream, next: u64) -> Result<End> {
    if next == 0 {
        return Ok(End::default());
    }
    if let Some(end) = app.ends.at(path, stream, next) {
        return Ok(end);
    }
    let series = app.tracker.series(path, stream).await?;
    let steps = series.iter().filter_map(|series| series.steps);
    let times = series.iter().filter_map(|series| series.times);
    Ok(End {
        next,
        step: steps.map(|(_, last)| last).max(),
        time: times.map(|(_, last)| last).max(),
    })
}

/// Whether the rows may be there already under other numbers.
///
/// A program that sends the same lines again counts them as before, and the tracker leaves alone
/// what it has. One that sends a run anew (an offline folder that is synchronised a second time)
/// counts on from what is there: its rows are known by their step, time and values.
fn is_again(rows: &[HistoryRow], stream: HistoryStream, end: &End) -> bool {
    match stream {
        HistoryStream::Metrics => {
            let low = rows.iter().map(|row| row.step).min();
            low.zip(end.step).is_some_and(|(low, last)| low <= last)
        }
        // Events have no steps but the number of their line.
        HistoryStream::System => {
            let first = rows.iter().filter_map(|row| row.time).min();
            first
                .zip(end.time)
                .is_some_and(|(first, last)| first <= last)
        }
    }
}

/// Leaves out the rows that the run has already.
async fn leave_known(
    app: &App,
    path: &RunPath,
    stream: HistoryStream,
    rows: &mut Vec<HistoryRow>,
) -> Result<()> {
    let step = |row: &HistoryRow| row.step;
    let mut query = HistoryQuery::new().with_stream(stream).with_rows(true);
    let steps = rows.iter().map(step).min().zip(rows.iter().map(step).max());
    if let (HistoryStream::Metrics, Some((low, high))) = (stream, steps) {
        query = query.with_steps(low..=high);
    }
    let mut known = HashSet::new();
    let mut there = rows_of(app.tracker.scan(path, query));
    while let Some(row) = there.try_next().await? {
        known.insert(mark(&row, stream));
    }
    rows.retain(|row| !known.contains(&mark(row, stream)));
    Ok(())
}

/// What makes a row that row.
fn mark(row: &HistoryRow, stream: HistoryStream) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let step = (stream == HistoryStream::Metrics).then_some(row.step);
    hasher.update(format!("{step:?} {:?}", row.time).as_bytes());
    let mut values: Vec<_> = row.values.iter().collect();
    values.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (key, value) in values {
        hasher.update(format!("{key:?} {value:?}").as_bytes());
    }
    *hasher.finalize().as_bytes()
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
    // A list would be read as the members in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Error::invalid("the body is not a JSON object"));
    }
    serde_json::from_slice(bytes)
        .map_err(|e| Error::invalid(format!("the body is not what a file stream sends: {e}")))
}
