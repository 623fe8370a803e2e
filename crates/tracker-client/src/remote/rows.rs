//! Histories as any server of W&B has them: rows of JSON by their steps.
//!
//! The order of logging and the numbers of rows are not told: points are in the order of steps, and
//! rows are derived.

use std::{collections::BTreeMap, collections::HashMap, sync::Arc};

use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    Error, HistoryQuery, HistoryRow, HistoryStream, PointBatch, Result, RowSplitter, RunPath,
    SeriesInfo, SeriesKey, Value, ValueKind, batches_of, group_rows,
};

use super::{
    Remote,
    failure::{failure, unsupported},
    pages::{self, Page},
};
use crate::{history_row, write_value};

const STEP: &str = "_step";
const TIMESTAMP: &str = "_timestamp";
/// Steps of a page, at first and at most: steps may lie far apart.
const FEWEST_STEPS: i64 = 1_000;
const MOST_STEPS: i64 = 64_000;
/// Rows of a page from which on the next one has fewer steps.
const MANY_ROWS: usize = 4_000;
/// Rows that are left out and sent as rows without values.
const MOST_EMPTY: u64 = 100_000;
/// The largest history of the machine that is read.
const MOST_EVENTS: u64 = 1_000_000;

#[derive(Deserialize)]
struct OfProject<T> {
    project: Option<OfRun<T>>,
}

#[derive(Deserialize)]
struct OfRun<T> {
    run: Option<T>,
}

/// What a server says of a history without reading it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    history_keys: Option<Json>,
    history_line_count: Option<u64>,
    events_line_count: Option<u64>,
}

async fn ask<T: serde::de::DeserializeOwned>(
    remote: &Remote,
    run: &RunPath,
    document: &str,
    more: Json,
) -> Result<T> {
    let mut variables = json!({
        "entity": run.entity, "project": run.project, "run": run.run,
    });
    if let (Some(all), Json::Object(more)) = (variables.as_object_mut(), more) {
        all.extend(more);
    }
    let doing = format!("read the history of run {run}");
    let OfProject::<T> { project } = remote.graphql.ask(doing, document, variables).await?;
    let found = project.and_then(|project| project.run);
    found.ok_or_else(|| Error::not_found(format_args!("run {run}")))
}

async fn about(remote: &Remote, run: &RunPath) -> Result<About> {
    let document = include_str!("queries/history_keys.graphql");
    let mut about: About = ask(remote, run, document, json!({})).await?;
    if let Some(Json::String(text)) = &about.history_keys {
        about.history_keys = serde_json::from_str(text).ok();
    }
    Ok(about)
}

impl About {
    fn last_step(&self) -> Option<i64> {
        self.history_keys.as_ref()?.get("lastStep")?.as_i64()
    }

    fn series(&self) -> Vec<SeriesInfo> {
        let keys = self.history_keys.as_ref().and_then(|keys| keys.get("keys"));
        let Some(Json::Object(keys)) = keys else {
            return Vec::new();
        };
        // What is inside of objects is told like series, and is none.
        let inside = |key: &str| {
            let dots = key.match_indices('.');
            dots.filter_map(|(at, _)| keys.get(key.get(..at)?))
                .any(|outer| types(outer).any(|(kind, _)| kind == "map"))
        };
        let series = keys
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), STEP | TIMESTAMP) && !inside(key));
        let mut series: Vec<SeriesInfo> = series
            .map(|(key, said)| {
                let mut info = SeriesInfo::new(key.as_str().into());
                for (kind, count) in types(said) {
                    info.count += count;
                    info.kinds.insert(match kind {
                        "number" => ValueKind::F64,
                        "string" => ValueKind::Str,
                        "boolean" => ValueKind::Bool,
                        _ => ValueKind::Json,
                    });
                }
                info
            })
            .filter(|info| info.count > 0)
            .collect();
        series.sort_by(|a, b| a.key.cmp(&b.key));
        series
    }
}

fn types(said: &Json) -> impl Iterator<Item = (&str, u64)> {
    let counts = said.get("typeCounts").and_then(Json::as_array);
    counts.into_iter().flatten().filter_map(|count| {
        let kind = count.get("type")?.as_str()?;
        Some((kind, count.get("count")?.as_u64()?))
    })
}

/// The series, as far as the server tells: numbers are counted as doubles.
pub(super) async fn series(
    remote: &Arc<Remote>,
    run: &RunPath,
    stream: HistoryStream,
) -> Result<Vec<SeriesInfo>> {
    if stream == HistoryStream::Metrics {
        return Ok(about(remote, run).await?.series());
    }
    let mut series: BTreeMap<SeriesKey, SeriesInfo> = BTreeMap::new();
    let query = HistoryQuery::new().with_stream(stream);
    let mut batches = scan(remote.clone(), run.clone(), query);
    while let Some(batch) = batches.try_next().await? {
        let info = series.entry(batch.key.clone());
        info.or_insert_with(|| SeriesInfo::new(batch.key.clone()))
            .observe(&batch);
    }
    Ok(series.into_values().collect())
}

pub(super) async fn next_row(remote: &Remote, run: &RunPath, stream: HistoryStream) -> Result<u64> {
    let about = about(remote, run).await?;
    let count = match stream {
        HistoryStream::Metrics => about.history_line_count,
        HistoryStream::System => about.events_line_count,
    };
    Ok(count.unwrap_or(0))
}

fn parse(texts: Vec<String>) -> Result<Vec<HistoryRow>> {
    let rows = texts.iter().map(|text| {
        let mut row = history_row(0, text).map_err(|e| {
            let message = "the server says a row that cannot be read";
            Error::new(tracker_model::ErrorKind::Corrupt, message).with_source(e)
        })?;
        // A row of nothing has its step as its only point.
        row.values.retain(|(key, _)| key.as_str() != STEP);
        Ok(row)
    });
    rows.collect()
}

/// Rows with steps from one on, page by page. A cursor is the next step and how many are asked for.
fn pages_of(
    remote: Arc<Remote>,
    run: RunPath,
    first: i64,
    last: i64,
) -> BoxStream<'static, Result<HistoryRow>> {
    #[derive(Deserialize)]
    struct Rows {
        history: Option<Vec<String>>,
    }
    pages::items(None, move |cursor| {
        let (remote, run) = (remote.clone(), run.clone());
        async move {
            let place = cursor.as_deref().and_then(|cursor| cursor.split_once(' '));
            let number = |text: &str| text.parse::<i64>().ok();
            let place = place.and_then(|(from, steps)| Some((number(from)?, number(steps)?)));
            let (from, steps) = place.unwrap_or((first, FEWEST_STEPS));
            let to = from.saturating_add(steps).min(last.saturating_add(1));
            let document = include_str!("queries/history.graphql");
            let which = json!({ "from": from, "to": to, "samples": steps });
            let Rows { history } = ask(&remote, &run, document, which).await?;
            let items = parse(history.unwrap_or_default())?;
            let steps = if items.len() > MANY_ROWS {
                FEWEST_STEPS
            } else {
                (steps * 2).min(MOST_STEPS)
            };
            let next = (to <= last).then(|| format!("{to} {steps}"));
            Ok(Page { items, next })
        }
        .boxed()
    })
}

async fn rows_of_run(
    remote: Arc<Remote>,
    run: RunPath,
    query: &HistoryQuery,
) -> Result<BoxStream<'static, Result<HistoryRow>>> {
    #[derive(Deserialize)]
    struct Rows {
        events: Option<Vec<String>>,
    }
    let about = about(&remote, &run).await?;
    if query.stream == HistoryStream::System {
        let count = about.events_line_count.unwrap_or(10_000);
        let samples = count.clamp(1, MOST_EVENTS);
        let document = include_str!("queries/events.graphql");
        let Rows { events } = ask(&remote, &run, document, json!({ "samples": samples })).await?;
        let mut rows = parse(events.unwrap_or_default())?;
        rows.sort_by_key(|row| (row.time, row.step));
        return Ok(futures::stream::iter(rows).map(Ok).boxed());
    }
    let Some(end) = about.last_step() else {
        return Ok(futures::stream::empty().boxed());
    };
    // Points from an index on are counted from the first one.
    let all = query.from_index > 0;
    let steps = query.steps.as_ref().filter(|_| !all);
    let first = steps.map_or(0, |steps| (*steps.start()).max(0));
    let last = steps.map_or(end, |steps| (*steps.end()).min(end));
    if last < first {
        return Ok(futures::stream::empty().boxed());
    }
    Ok(pages_of(remote, run, first, last))
}

/// What a query leaves of a row.
fn pick(query: &HistoryQuery, seen: &mut HashMap<SeriesKey, u64>, row: &mut HistoryRow) {
    let within = query
        .steps
        .as_ref()
        .is_none_or(|steps| steps.contains(&row.step));
    row.values.retain(|(key, _)| {
        if query.keys.as_ref().is_some_and(|keys| !keys.contains(key)) {
            return false;
        }
        if query.from_index == 0 {
            return within;
        }
        let index = seen.entry(key.clone()).or_default();
        *index += 1;
        within && *index > query.from_index
    });
}

/// The points that a query asks for.
pub(super) fn scan(
    remote: Arc<Remote>,
    run: RunPath,
    query: HistoryQuery,
) -> BoxStream<'static, Result<PointBatch>> {
    let by_rows = query.by_rows;
    let rows = async move {
        let rows = rows_of_run(remote, run, &query).await?;
        let (mut seen, mut number) = (HashMap::new(), 0);
        let rows = rows.try_filter_map(move |mut row| {
            pick(&query, &mut seen, &mut row);
            row.row = number;
            let row = (!row.values.is_empty()).then_some(row);
            number += u64::from(row.is_some());
            std::future::ready(Ok(row))
        });
        Ok::<_, Error>(rows)
    };
    let batches = batches_of(rows.try_flatten_stream().boxed());
    if by_rows {
        return batches;
    }
    batches
        .map_ok(|mut batch| {
            batch.rows = None;
            batch
        })
        .boxed()
}

/// A row as a line of the file stream.
fn line(row: &HistoryRow) -> Result<String> {
    let mut out = format!("{{\"{STEP}\":{}", row.step).into_bytes();
    if let Some(time) = row.time {
        out.extend_from_slice(format!(",\"{TIMESTAMP}\":{}", time.to_decimal_seconds()).as_bytes());
    }
    for (key, value) in &row.values {
        if matches!(key.as_str(), STEP | TIMESTAMP) {
            return Err(unsupported(format!(
                "{key:?} is a part of every row on this server, and no series"
            )));
        }
        let wrong = |e: std::io::Error| Error::invalid(format!("{key:?} cannot be written: {e}"));
        out.push(b',');
        serde_json::to_writer(&mut out, key).map_err(|e| wrong(e.into()))?;
        out.push(b':');
        match value {
            // As Python writes it: strings with these letters are others.
            Value::F64(x) if x.is_nan() => out.extend_from_slice(b"NaN"),
            Value::F64(x) if x.is_infinite() && *x > 0.0 => out.extend_from_slice(b"Infinity"),
            Value::F64(x) if x.is_infinite() => out.extend_from_slice(b"-Infinity"),
            value => write_value(&mut out, value).map_err(wrong)?,
        }
    }
    out.push(b'}');
    String::from_utf8(out).map_err(|e| Error::invalid(format!("a row is no text: {e}")))
}

/// Appends rows by the file stream: the number of a row is that of its line.
pub(super) async fn append(
    remote: &Remote,
    run: &RunPath,
    stream: HistoryStream,
    at: u64,
    batches: Vec<PointBatch>,
) -> Result<u64> {
    // Refuses series whose rows do not ascend.
    let mut splitter = RowSplitter::new();
    for batch in &batches {
        batch.check()?;
        let rows = batch.rows.as_ref();
        let rows = rows.ok_or_else(|| Error::invalid("appended points need row numbers"))?;
        if rows.first().is_some_and(|first| *first < at) {
            return Err(Error::invalid(format!("a row comes before row {at}")));
        }
    }
    let rows = group_rows(batches)?;
    for row in &rows {
        splitter.push(row.clone())?;
    }
    let next = next_row(remote, run, stream).await?;
    if at > next {
        return Err(Error::invalid(format!(
            "rows from {at} on do not follow row {next} of run {run}"
        )));
    }
    let mut lines: Vec<String> = Vec::new();
    let mut last = None;
    for row in rows.iter().filter(|row| row.row >= next) {
        if last.replace(row.row) == Some(row.row) {
            return Err(unsupported(
                "the points of a row have one step and time on this server",
            ));
        }
        let missing = row.row - next - lines.len() as u64;
        if missing > MOST_EMPTY {
            return Err(unsupported(format!(
                "this server has no gaps between rows, and one is {missing} rows wide"
            )));
        }
        lines.extend((0..missing).map(|_| format!("{{\"{STEP}\":{}}}", row.step)));
        lines.push(line(row)?);
    }
    let after = next + lines.len() as u64;
    if lines.is_empty() {
        return Ok(after);
    }
    let name = match stream {
        HistoryStream::Metrics => "wandb-history.jsonl",
        HistoryStream::System => "wandb-events.jsonl",
    };
    let body = json!({ "files": { name: { "offset": next, "content": lines } } });
    let sent = remote.http.post(remote.stream_url(run)?).json_body(&body);
    let doing = format!("append to the history of run {run}");
    let sent = sent.idempotent().send().await;
    sent.map_err(|e| failure(e, doing))?;
    Ok(after)
}

/// Drops the rows from one on, where the server knows them by their steps: it takes a run back to
/// the last step that stays.
pub(super) async fn rewind(
    remote: &Arc<Remote>,
    run: &RunPath,
    stream: HistoryStream,
    from_row: u64,
) -> Result<()> {
    let next = next_row(remote, run, stream).await?;
    if from_row >= next {
        return Ok(());
    }
    let refused = |why: &str| Err(unsupported(format!("run {run} is not taken back: {why}")));
    if stream == HistoryStream::System {
        return refused("this server takes back what programs logged alone");
    }
    if from_row == 0 {
        return refused("this server leaves one row at least");
    }
    let mut rows = rows_of_run(remote.clone(), run.clone(), &HistoryQuery::new()).await?;
    let (mut count, mut last, mut steps) = (0_u64, None, true);
    let mut step = None;
    while let Some(row) = rows.try_next().await? {
        steps &= last.replace(row.step).is_none_or(|last| last < row.step);
        count += 1;
        if count == from_row {
            step = Some(row.step);
        }
    }
    let Some(step) = step.filter(|_| steps && count == next) else {
        return refused("its rows are not told apart by their steps");
    };
    let input = json!({
        "entityName": run.entity, "projectName": run.project, "runName": run.run,
        "metricName": STEP, "metricValue": step,
    });
    let doing = format!("take run {run} back to step {step}");
    let document = include_str!("queries/rewind_run.graphql");
    let variables = json!({ "input": input });
    let asked = remote.graphql.ask(doing, document, variables);
    asked.await.map(|_: serde::de::IgnoredAny| ())
}

#[cfg(test)]
mod tests {
    use tracker_model::Timestamp;

    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let row = HistoryRow {
            row: 3,
            step: 7,
            time: Some(Timestamp::from_parts(1_500, 7)),
            values: vec![
                ("a".into(), Value::F64(f64::NEG_INFINITY)),
                ("b\"".into(), Value::Str("NaN".to_owned())),
                ("c".into(), Value::I64(i64::MAX)),
                ("d".into(), Value::Json("{\"x\": 1.50}".to_owned())),
                ("e".into(), Value::Bool(true)),
                ("f".into(), Value::F64(2.0)),
            ],
        };
        let mut values = row.values.clone();
        // Python's words are only read where JSON is left, and so is the writing of the rest.
        values[3].1 = Value::Json("{\"x\":1.5}".to_owned());
        let back = history_row(3, &line(&row).unwrap()).unwrap();
        assert_eq!(
            back,
            HistoryRow {
                values,
                ..row.clone()
            }
        );
        let strict = HistoryRow {
            values: row.values[1..].to_vec(),
            ..row.clone()
        };
        assert_eq!(history_row(3, &line(&strict).unwrap()).unwrap(), strict);
        let other = HistoryRow {
            values: vec![(STEP.into(), Value::I64(1))],
            ..row
        };
        assert!(line(&other).is_err());
    }

    #[test]
    fn series_of_what_a_server_says() {
        let keys = json!({"lastStep": 9, "keys": {
            "_step": {"typeCounts": [{"type": "number", "count": 3}]},
            "loss": {"typeCounts": [{"type": "number", "count": 2}, {"type": "string", "count": 1}]},
            "m": {"typeCounts": [{"type": "map", "count": 1}]},
            "m.x": {"typeCounts": [{"type": "number", "count": 1}]},
            "a.b": {"typeCounts": [{"type": "number", "count": 1}]},
            "odd": {},
        }});
        let about = About {
            history_keys: Some(keys),
            ..About::default()
        };
        assert_eq!(about.last_step(), Some(9));
        let series: Vec<_> = about
            .series()
            .into_iter()
            .map(|s| (s.key.to_string(), s.count))
            .collect();
        let wanted = [("a.b", 1), ("loss", 3), ("m", 1)];
        assert_eq!(series, wanted.map(|(key, count)| (key.to_owned(), count)));
        assert!(About::default().series().is_empty());
    }
}
