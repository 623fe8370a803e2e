//! Histories and logs as the wire has them.

use std::ops::RangeInclusive;

use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_client::{HistoryRequest, Join, write_value};
use tracker_model::{
    Error, HistoryQuery, HistoryRow, HistoryStream, LogLine, Result, Run, RunPath, SeriesInfo,
    SeriesKey, Timestamp, Value, ValueKind, rows_of,
};

use super::Asked;
use crate::windows::{Piece, Row, TOO_MUCH};

/// The most rows and bytes of one answer.
const MAX_ROWS: usize = 1_000_000;
const MAX_BYTES: usize = 256 << 20;

const STEP: &str = "_step";
const TIMESTAMP: &str = "_timestamp";
const RUNTIME: &str = "_runtime";

/// How numbers that are not finite are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// `NaN`: in JSON texts, which Python reads.
    Bare,
    /// `"NaN"`: in JSON that is a part of the answer.
    Quoted,
}

/// Writes rows as JSON objects.
#[derive(Debug)]
struct RowWriter {
    /// When the run began, for rows that do not say how long it has been running.
    start: Option<Timestamp>,
    words: Words,
    /// Whether a row is a JSON string with the object in it.
    quoted: bool,
    /// What to write; `None` is all.
    picks: Option<Vec<Pick>>,
}

/// A value of a row that is asked for by name.
#[derive(Debug, Clone, PartialEq)]
enum Pick {
    Step,
    Timestamp,
    Runtime,
    /// This series.
    Series(SeriesKey),
    /// Something in the objects of this series.
    Inside {
        name: String,
        series: SeriesKey,
        path: Vec<String>,
    },
}

impl RowWriter {
    fn of(run: &Run, words: Words) -> Self {
        Self {
            start: run.started_at.or(Some(run.created_at)),
            words,
            quoted: false,
            picks: None,
        }
    }

    /// For lists of texts.
    fn of_texts(run: &Run) -> Self {
        Self {
            quoted: true,
            ..Self::of(run, Words::Bare)
        }
    }

    /// The row, or nothing if it lacks something that is asked for.
    fn write(&self, row: &HistoryRow) -> Option<String> {
        let mut out = Vec::with_capacity(32 * (row.values.len() + 2));
        out.push(b'{');
        match &self.picks {
            None => {
                self.member(&mut out, STEP, &Value::I64(row.step));
                if let Some(time) = row.time {
                    self.raw(&mut out, TIMESTAMP, time.to_decimal_seconds().as_bytes());
                }
                let logged = row.values.iter().any(|(key, _)| key.as_str() == RUNTIME);
                if let Some(runtime) = self.runtime(row).filter(|_| !logged) {
                    self.raw(&mut out, RUNTIME, runtime.as_bytes());
                }
                for (key, value) in &row.values {
                    // A row of nothing has its step as its only point.
                    if key.as_str() != STEP
                        || !matches!(value, Value::I64(step) if *step == row.step)
                    {
                        self.member(&mut out, key.as_str(), value);
                    }
                }
            }
            Some(picks) => {
                for pick in picks {
                    self.pick(&mut out, pick, row)?;
                }
            }
        }
        out.push(b'}');
        let text = String::from_utf8(out).ok()?;
        match self.quoted {
            true => serde_json::to_string(&text).ok(),
            false => Some(text),
        }
    }

    fn pick(&self, out: &mut Vec<u8>, pick: &Pick, row: &HistoryRow) -> Option<()> {
        let of = |wanted: &str| {
            let found = row.values.iter().find(|(key, _)| key.as_str() == wanted);
            found.map(|(_, value)| value)
        };
        match pick {
            Pick::Step => self.member(out, STEP, &Value::I64(row.step)),
            Pick::Timestamp => {
                self.raw(out, TIMESTAMP, row.time?.to_decimal_seconds().as_bytes());
            }
            Pick::Runtime => match of(RUNTIME) {
                Some(value) => self.member(out, RUNTIME, value),
                None => self.raw(out, RUNTIME, self.runtime(row)?.as_bytes()),
            },
            Pick::Series(key) => self.member(out, key.as_str(), of(key.as_str())?),
            Pick::Inside { name, series, path } => {
                let mut value = of(series.as_str())?.to_json();
                for part in path {
                    value = value.get_mut(part)?.take();
                }
                self.raw(out, name, value.to_string().as_bytes());
            }
        }
        Some(())
    }

    fn runtime(&self, row: &HistoryRow) -> Option<String> {
        let since = row.time?.as_nanos() - self.start?.as_nanos();
        Some(Timestamp::from_nanos(since)?.to_decimal_seconds())
    }

    fn member(&self, out: &mut Vec<u8>, key: &str, value: &Value) {
        match value {
            Value::F64(x) if !x.is_finite() && self.words == Words::Bare => {
                let word = match (x.is_nan(), *x > 0.0) {
                    (true, _) => "NaN",
                    (_, true) => "Infinity",
                    _ => "-Infinity",
                };
                self.raw(out, key, word.as_bytes());
            }
            value => {
                Self::name(out, key);
                // Writing to memory does not fail.
                let _ = write_value(out, value);
            }
        }
    }

    fn raw(&self, out: &mut Vec<u8>, key: &str, json: &[u8]) {
        Self::name(out, key);
        out.extend_from_slice(json);
    }

    fn name(out: &mut Vec<u8>, key: &str) {
        if out.len() > 1 {
            out.push(b',');
        }
        let _ = serde_json::to_writer(&mut *out, key);
        out.push(b':');
    }
}

/// What is asked for by these names: series, parts of every row, or what is inside of the objects
/// of a series, with dots between the keys. `None` if the run has not all of it.
fn resolve(keys: &[String], series: &[SeriesInfo]) -> Option<Vec<Pick>> {
    let mut picks = Vec::new();
    for name in keys {
        let known = |key: &str| series.iter().find(|s| s.key.as_str() == key);
        let pick = match name.as_str() {
            STEP => Pick::Step,
            TIMESTAMP => Pick::Timestamp,
            RUNTIME => Pick::Runtime,
            key => match known(key) {
                Some(series) => Pick::Series(series.key.clone()),
                None => {
                    let dots = key.match_indices('.').map(|(at, _)| at).collect::<Vec<_>>();
                    let inside = dots.into_iter().rev().find_map(|at| {
                        let (outer, inner) = (key.get(..at)?, key.get(at + 1..)?);
                        let series = known(outer).filter(|s| s.kinds.contains(ValueKind::Json))?;
                        Some(Pick::Inside {
                            name: name.clone(),
                            series: series.key.clone(),
                            path: inner.split('.').map(str::to_owned).collect(),
                        })
                    });
                    inside?
                }
            },
        };
        if !picks.contains(&pick) {
            picks.push(pick);
        }
    }
    Some(picks)
}

/// The series that have to be read for these.
fn series_of(picks: &[Pick]) -> Option<Vec<SeriesKey>> {
    let keys: Vec<SeriesKey> = picks
        .iter()
        .filter_map(|pick| match pick {
            Pick::Series(series) | Pick::Inside { series, .. } => Some(series.clone()),
            Pick::Runtime => Some(RUNTIME.into()),
            Pick::Step | Pick::Timestamp => None,
        })
        .collect();
    // Rows are known by their points: those of a row that has none of these count too.
    let others = picks
        .iter()
        .all(|pick| matches!(pick, Pick::Step | Pick::Timestamp | Pick::Runtime));
    (!others).then_some(keys)
}

/// All rows with steps in the range, each a JSON string.
pub(super) async fn window(
    asked: &Asked,
    run: &Run,
    stream: HistoryStream,
    steps: RangeInclusive<i64>,
) -> Result<Vec<String>> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let query = HistoryQuery::new().with_stream(stream).with_rows(true);
    let writer = RowWriter::of_texts(run);
    let series = asked.app.tracker.series(&run.path, stream).await?;
    in_window(asked, run, query, &writer, &series, steps).await
}

/// The rows that the writer writes of a window of steps, and perhaps those of the next windows for
/// later.
async fn in_window(
    asked: &Asked,
    run: &Run,
    query: HistoryQuery,
    writer: &RowWriter,
    series: &[SeriesInfo],
    steps: RangeInclusive<i64>,
) -> Result<Vec<String>> {
    let windows = &asked.app.windows;
    let history = blake3::hash(format!("{query:?} {writer:?} {series:?}").as_bytes());
    let of = format!("{} {history}", run.path);
    if let Some(rows) = windows.find(&of, &steps) {
        return Ok(rows);
    }
    let reach = windows.reach(&of, &steps);
    let mut piece = None;
    if reach > *steps.end() {
        let far = *steps.start()..=reach;
        let query = query.clone().with_steps(far.clone());
        let (rows, stop) = collect(asked, run, query, writer, MAX_ROWS, TOO_MUCH).await?;
        piece = (stop == Stop::End).then(|| Piece::new(of.clone(), far, rows));
    }
    let piece = match piece {
        Some(piece) => piece,
        None => {
            let query = query.with_steps(steps.clone());
            let (rows, stop) = collect(asked, run, query, writer, MAX_ROWS, MAX_BYTES).await?;
            if stop != Stop::End {
                return Err(too_much());
            }
            Piece::new(of, steps.clone(), rows)
        }
    };
    let rows = piece.window(&steps);
    windows.keep(piece);
    Ok(rows)
}

fn too_much() -> Error {
    let message =
        format!("these steps have more than {MAX_ROWS} rows or {MAX_BYTES} bytes of them");
    Error::invalid(message).with_hint("ask for fewer steps at a time")
}

/// Why rows end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// There are no more.
    End,
    /// There are more rows than wanted.
    Rows,
    /// They have more bytes than wanted.
    Bytes,
}

/// The rows that the writer writes, at most so many with at most so many bytes.
async fn collect(
    asked: &Asked,
    run: &Run,
    query: HistoryQuery,
    writer: &RowWriter,
    most: usize,
    most_bytes: usize,
) -> Result<(Vec<Row>, Stop)> {
    let mut rows = rows_of(asked.app.tracker.scan(&run.path, query));
    let (mut out, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        if let Some(text) = writer.write(&row) {
            if out.len() >= most {
                return Ok((out, Stop::Rows));
            }
            bytes += text.len();
            if bytes > most_bytes {
                return Ok((out, Stop::Bytes));
            }
            out.push((row.step, text));
        }
    }
    Ok((out, Stop::End))
}

/// A sample of all rows, each a JSON string.
pub(super) async fn sampled(
    asked: &Asked,
    run: &Run,
    stream: HistoryStream,
    samples: Option<i64>,
) -> Result<Vec<String>> {
    let handle = asked.app.api.run_of(run.clone());
    let request = HistoryRequest::new()
        .with_stream(stream)
        .with_samples(samples_of(samples));
    let history = handle.history(request).await?;
    let writer = RowWriter::of_texts(run);
    Ok(history
        .rows
        .iter()
        .filter_map(|row| writer.write(row))
        .collect())
}

fn samples_of(asked: Option<i64>) -> usize {
    let samples = asked.filter(|samples| *samples > 0).unwrap_or(500);
    usize::try_from(samples)
        .unwrap_or(MAX_ROWS)
        .clamp(1, MAX_ROWS)
}

/// What `sampledHistory` asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    keys: Vec<String>,
    min_step: Option<i64>,
    max_step: Option<i64>,
    samples: Option<i64>,
}

/// The rows that have all keys of a spec, as a JSON list of objects with these keys.
pub(super) async fn by_spec(asked: &Asked, run: &Run, spec: &str) -> Result<String> {
    let spec: Spec = serde_json::from_str(spec)
        .map_err(|e| Error::invalid(format!("a spec of the history cannot be read: {e}")))?;
    let series = asked
        .app
        .tracker
        .series(&run.path, HistoryStream::Metrics)
        .await?;
    let Some(picks) = resolve(&spec.keys, &series) else {
        return Ok("[]".to_owned());
    };
    let keys = series_of(&picks);
    let mut writer = RowWriter::of(run, Words::Quoted);
    writer.picks = (!spec.keys.is_empty()).then_some(picks);
    // New clients ask for `_step` and mean the last step to come; old ones mean the one after it.
    let inclusive = spec.keys.iter().any(|key| key == STEP);
    let last = match spec.max_step {
        Some(end) if !inclusive => end.saturating_sub(1),
        Some(last) => last,
        None => i64::MAX,
    };
    let steps = spec.min_step.unwrap_or(i64::MIN)..=last;
    let samples = samples_of(spec.samples);
    if steps.is_empty() {
        return Ok("[]".to_owned());
    }
    let mut query = HistoryQuery::new().with_rows(true);
    query.keys = keys.clone();
    let width = last.abs_diff(*steps.start());
    let rows = if width < samples as u64 {
        let rows = in_window(asked, run, query, &writer, &series, steps.clone()).await?;
        Some(rows).filter(|rows| rows.len() <= samples)
    } else {
        let query = query.with_steps(steps.clone());
        match collect(asked, run, query, &writer, samples, MAX_BYTES).await? {
            (rows, Stop::End) => Some(rows.into_iter().map(|(_, text)| text).collect()),
            (_, Stop::Rows) => None,
            (_, Stop::Bytes) => return Err(too_much()),
        }
    };
    if let Some(rows) = rows {
        return Ok(format!("[{}]", rows.join(",")));
    }
    let mut request = HistoryRequest::new()
        .with_samples(samples)
        .with_join(Join::Inner);
    request.keys = keys;
    request.steps = Some(steps);
    let history = asked.app.api.run_of(run.clone()).history(request).await?;
    let rows: Vec<String> = history
        .rows
        .iter()
        .filter_map(|row| writer.write(row))
        .collect();
    Ok(format!("[{}]", rows.join(",")))
}

/// What W&B says of the keys of a history: how many values of which kind each has.
pub(super) fn keys(series: &[SeriesInfo]) -> Json {
    let last_step = series
        .iter()
        .filter_map(|s| s.steps)
        .map(|(_, last)| last)
        .max();
    let rows = series.iter().map(|s| s.count).max().unwrap_or(0);
    let entry = |kind: &str, count: u64, last: Json| json!({"typeCounts": [{"type": kind, "count": count}], "monotonic": false, "previousValue": last});
    let mut keys = serde_json::Map::new();
    for series in series {
        let last = series.last.as_ref().map(Value::to_json).unwrap_or_default();
        let kind = match &last {
            Json::Number(_) => "number",
            Json::String(_) if series.kinds.contains(ValueKind::F64) => "number",
            Json::String(_) => "string",
            Json::Bool(_) => "boolean",
            Json::Array(_) => "list",
            Json::Object(members) => members.get("_type").and_then(Json::as_str).unwrap_or("map"),
            Json::Null => "nil",
        };
        if let (Json::Object(members), "map") = (&last, kind) {
            inner_keys(
                series.key.as_str(),
                members,
                series.count,
                &entry,
                &mut keys,
            );
        }
        let previous = if last.is_number() {
            last.clone()
        } else {
            Json::Null
        };
        keys.insert(series.key.to_string(), entry(kind, series.count, previous));
    }
    for name in [STEP, TIMESTAMP, RUNTIME] {
        let last = last_step
            .filter(|_| name == STEP)
            .map_or(Json::Null, Json::from);
        if rows > 0 && !keys.contains_key(name) {
            keys.insert(name.to_owned(), entry("number", rows, last));
        }
    }
    json!({"lastStep": last_step.unwrap_or(-1), "sets": [], "keys": keys})
}

/// The keys inside of objects, with dots between them.
fn inner_keys(
    prefix: &str,
    members: &serde_json::Map<String, Json>,
    count: u64,
    entry: &dyn Fn(&str, u64, Json) -> Json,
    to: &mut serde_json::Map<String, Json>,
) {
    for (key, value) in members {
        let name = format!("{prefix}.{key}");
        match value {
            Json::Object(inner) if !inner.contains_key("_type") && name.len() < 1_000 => {
                inner_keys(&name, inner, count, entry, to);
            }
            Json::Number(_) => {
                to.insert(name, entry("number", count, value.clone()));
            }
            Json::String(_) => {
                to.insert(name, entry("string", count, Json::Null));
            }
            _ => {}
        }
    }
}

/// The last row, as JSON text of a list of JSON texts.
pub(super) async fn tail(asked: &Asked, run: &Run, stream: HistoryStream) -> Result<String> {
    let tracker = &asked.app.tracker;
    let series = tracker.series(&run.path, stream).await?;
    let Some(last) = series
        .iter()
        .filter_map(|s| s.steps)
        .map(|(_, last)| last)
        .max()
    else {
        return Ok("[]".to_owned());
    };
    let query = HistoryQuery::new()
        .with_stream(stream)
        .with_steps(last..=last)
        .with_rows(true);
    let mut rows = rows_of(tracker.scan(&run.path, query));
    let mut found = None;
    while let Some(row) = rows.try_next().await? {
        found = Some(row);
    }
    let text = found.and_then(|row| RowWriter::of(run, Words::Bare).write(&row));
    Ok(json!(text.into_iter().collect::<Vec<_>>()).to_string())
}

/// Lines of a log, and whether more follow. A cursor is the number of the line before.
pub(super) async fn log(
    asked: &Asked,
    run: &RunPath,
    first: Option<i64>,
    after: Option<String>,
    last: Option<i64>,
) -> Result<(Vec<LogLine>, bool)> {
    let tracker = &asked.app.tracker;
    let end = tracker.log_length(run).await?;
    let count = super::page::wanted(last.or(first), 1_000);
    let start = match (last, after.as_deref()) {
        (Some(_), _) => end.saturating_sub(count as u64),
        (None, None | Some("")) => 0,
        (None, Some(cursor)) => {
            let before: u64 = cursor.parse().map_err(|_| {
                Error::invalid(format!("{cursor:.40?} is not a cursor of this log"))
            })?;
            before.saturating_add(1)
        }
    };
    let mut batches = tracker.log_lines(run, start..end);
    let mut lines = Vec::new();
    while let Some(batch) = batches.next().await {
        lines.extend(batch?);
        if lines.len() > count {
            lines.truncate(count);
            return Ok((lines, true));
        }
    }
    Ok((lines, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: Vec<(&str, Value)>) -> HistoryRow {
        HistoryRow {
            row: 0,
            step: 3,
            time: Some(Timestamp::from_millis(2_500)),
            values: values.into_iter().map(|(k, v)| (k.into(), v)).collect(),
        }
    }

    fn run() -> Run {
        Run::new("e/p/r".parse().unwrap(), Timestamp::from_millis(1_000))
    }

    #[test]
    fn rows_for_python_and_for_json() {
        let row = row(vec![
            ("a", Value::F64(f64::NAN)),
            ("b", Value::Str("NaN".to_owned())),
            ("c", Value::I64(1)),
        ]);
        let bare = RowWriter::of(&run(), Words::Bare);
        assert_eq!(
            bare.write(&row).unwrap(),
            r#"{"_step":3,"_timestamp":2.5,"_runtime":1.5,"a":NaN,"b":"NaN","c":1}"#
        );
        let quoted = RowWriter::of(&run(), Words::Quoted);
        let text = quoted.write(&row).unwrap();
        assert!(serde_json::from_str::<Json>(&text).is_ok(), "{text}");
    }

    #[test]
    fn rows_of_what_is_asked_for() {
        let series: Vec<SeriesInfo> = ["a", "n", "x.y"]
            .into_iter()
            .map(|key| {
                let mut info = SeriesInfo::new(key.into());
                info.kinds.insert(if key == "n" {
                    ValueKind::Json
                } else {
                    ValueKind::F64
                });
                info
            })
            .collect();
        let picks = |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            resolve(&keys, &series)
        };
        assert_eq!(picks(&["a", "missing"]), None);
        assert_eq!(picks(&["a.b"]), None);
        let mut writer = RowWriter::of(&run(), Words::Quoted);
        writer.picks = picks(&["_step", "x.y", "n.b.c", "_step"]);
        let inside = Value::Json(r#"{"b":{"c":[1]}}"#.to_owned());
        let whole = row(vec![("x.y", Value::F64(0.5)), ("n", inside)]);
        assert_eq!(
            writer.write(&whole).unwrap(),
            r#"{"_step":3,"x.y":0.5,"n.b.c":[1]}"#
        );
        assert_eq!(writer.write(&row(vec![("x.y", Value::F64(0.5))])), None);
    }

    #[test]
    fn what_is_said_of_keys() {
        let mut info = SeriesInfo::new("m".into());
        info.count = 2;
        info.steps = Some((0, 7));
        info.last = Some(Value::Json(
            r#"{"b":{"c":1},"t":{"_type":"histogram"}}"#.to_owned(),
        ));
        let said = keys(&[info]);
        assert_eq!(said["lastStep"], 7);
        assert_eq!(
            said["keys"]["m.b.c"]["typeCounts"][0],
            json!({"type": "number", "count": 2})
        );
        assert_eq!(said["keys"]["m"]["typeCounts"][0]["type"], "map");
        assert_eq!(said["keys"]["_step"]["typeCounts"][0]["count"], 2);
        assert_eq!(keys(&[])["lastStep"], -1);
    }
}
