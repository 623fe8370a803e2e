//! Traces: what is known of them, their spans and assessments.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use importer_core::{Finding, SourceArtifact, SourceItem, SourceProject};
use rusqlite::{Connection, params};
use serde_json::Value as Json;
use tracker_model::{ByteStream, Result, python_json};

use super::{Detail, Store, assessments, cells::Cells, python, schema::Schema};
use crate::{
    artifact_place::Place,
    blocking::{Feed, Filled, filled_by},
    mapping::{Fingerprint, RawTraceInfo, rest_span, trace_line, traces_artifact},
    span_file::{self, Gap},
};

/// Traces that are read in one transaction.
const PAGE: usize = 50;

/// The tag that says where the spans of a trace are.
const SPANS_LOCATION: &str = "mlflow.trace.spansLocation";
const ARTIFACT_LOCATION: &str = "mlflow.artifactLocation";

const ARCHIVED: &str = "they are in an archive that cannot be read from here; import from the tracking server to get them";

/// A trace that was read.
struct Read {
    info: RawTraceInfo,
    generation: Option<i64>,
    assessments: Vec<Json>,
    /// What the database keeps of each span: its JSON, empty if it was moved to an archive.
    spans: Vec<Option<String>>,
    odd: bool,
}

/// Sends the traces of an experiment as one artifact.
pub(super) fn list(
    store: &Store,
    project: &Arc<SourceProject>,
    feed: &mut Feed<SourceItem<SourceArtifact>>,
) -> Filled {
    if !store.database.schema().has("trace_info") {
        return Ok(());
    }
    let mut count = 0u64;
    let mut hash = Fingerprint::new();
    each(store, &project.id, false, &mut |read| {
        count += 1;
        fingerprint(&mut hash, &read);
        if in_database(&read) {
            return Ok(());
        }
        // They may come, or be within reach, another time.
        hash.field(span_file::find(&spans_place(store, &read)?).as_str());
        Ok(())
    })?;
    if count == 0 {
        return Ok(());
    }
    // A change of spans changes the generation, where there is one.
    let immutable = store
        .database
        .schema()
        .has_column("trace_info", "db_payload_generation");
    let detail = Arc::new(Detail::Traces {
        experiment: project.id.clone(),
    });
    feed.item(SourceItem::Item(traces_artifact(
        project,
        count,
        hash.finish(),
        immutable,
        Some(detail),
    )))
}

fn fingerprint(hash: &mut Fingerprint, read: &Read) {
    hash.field(read.info.to_json().to_string())
        .optional_number(read.generation);
    for assessment in &read.assessments {
        hash.field(assessment.to_string());
    }
}

/// The traces, a line each.
pub(super) fn lines(store: Arc<Store>, experiment: String) -> ByteStream {
    filled_by(move |feed| {
        each(&store, &experiment, true, &mut |read| {
            let line = line(&store, read)?.0;
            let weight = line.len() / 16;
            feed.heavy(Bytes::from(line), weight)
        })
    })
}

/// Reads all traces for what the listing cannot say: which of them lack parts that they should
/// have. They are carried without these.
pub(super) fn gaps(
    store: &Store,
    experiment: &str,
    feed: &mut dyn FnMut(Finding) -> Filled,
) -> Filled {
    each(store, experiment, true, &mut |read| {
        let id = read.info.trace_id.clone();
        let gaps = line(store, read)?.1.into_iter();
        gaps.map(|gap| gap.into_finding(&id))
            .try_for_each(&mut *feed)
    })
}

/// The line of a trace, and what it lacks.
fn line(store: &Store, read: Read) -> Result<(String, Vec<Gap>)> {
    let mut gap = None;
    let mut spans = Vec::new();
    if in_database(&read) {
        for span in &read.spans {
            match span.as_deref().and_then(python_json) {
                Some(span) => spans.push(rest_span(&span)),
                _ => gap = Some(Gap::Torn("a span is not JSON".to_owned())),
            }
        }
    } else {
        (spans, gap) = span_file::find(&spans_place(store, &read)?).read();
    }
    let odd = read
        .odd
        .then(|| "a text or number of it is not one".to_owned());
    let mut json = read.info.to_json();
    if let (Json::Object(json), false) = (&mut json, read.assessments.is_empty()) {
        json.insert("assessments".to_owned(), read.assessments.into());
    }
    Ok((trace_line(json, spans), Gap::all(odd, gap)))
}

fn location(read: &Read) -> Option<&str> {
    read.info.tags.get(SPANS_LOCATION).map(String::as_str)
}

/// Whether the spans are in the database.
fn in_database(read: &Read) -> bool {
    match location(read) {
        Some(place) => place == "TRACKING_STORE",
        None => !read.spans.is_empty(),
    }
}

/// Where the spans are that the database does not keep.
fn spans_place(store: &Store, read: &Read) -> Result<Place> {
    if location(read) == Some("ARCHIVE_REPO") {
        return Ok(Place::Unreachable(ARCHIVED));
    }
    match read.info.tags.get(ARTIFACT_LOCATION) {
        Some(uri) => store
            .places
            .resolve(uri, &["traces", &read.info.trace_id, "artifacts"]),
        None => Ok(Place::Empty),
    }
}

/// Reads all traces of an experiment in order of time and id. Without `whole` it only looks whether
/// there are spans.
fn each(
    store: &Store,
    experiment: &str,
    whole: bool,
    visit: &mut dyn FnMut(Read) -> Filled,
) -> Filled {
    let schema = store.database.schema();
    let mut after = (i64::MIN, String::new());
    loop {
        let page = store.database.read("reading the traces of", |c| {
            page(c, schema, experiment, &after)
        })?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = (last.info.request_time, last.info.trace_id.clone());
        for mut read in page {
            if schema.has("spans") {
                let id = read.info.trace_id.clone();
                read.spans = store
                    .database
                    .read("reading the spans of", |c| spans(c, &id, whole))?;
            }
            visit(read)?;
        }
    }
}

fn page(
    c: &Connection,
    schema: &Schema,
    experiment: &str,
    after: &(i64, String),
) -> rusqlite::Result<Vec<Read>> {
    let columns = [
        "request_id",
        "experiment_id",
        "timestamp_ms",
        "execution_time_ms",
        "status",
        "client_request_id",
        "request_preview",
        "response_preview",
        "db_payload_generation",
        "trace_name",
        "session_id",
    ];
    let sql = format!(
        "SELECT {}, {} FROM trace_info t WHERE t.experiment_id = ?1 \
         AND (t.timestamp_ms, t.request_id) > (?2, ?3) \
         ORDER BY t.timestamp_ms, t.request_id LIMIT ?4",
        schema.select("trace_info", "t", &columns),
        schema.select("trace_info", "t", &python::COLUMNS),
    );
    let mut statement = c.prepare_cached(&sql)?;
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![experiment, after.0, after.1, limit])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Cells::new(row);
        let mut info = RawTraceInfo {
            trace_id: cells.text_or_empty(),
            experiment_id: cells.text_or_empty(),
            request_time: cells.integer().unwrap_or(0),
            execution_duration: cells.integer(),
            state: cells.text(),
            client_request_id: cells.text(),
            request_preview: cells.text(),
            response_preview: cells.text(),
            ..RawTraceInfo::default()
        };
        let generation = cells.integer();
        let (name, session) = (cells.text(), cells.text());
        let usage = python::Usage::read(&mut cells);
        let mut odd = cells.odd;
        for (table, pairs) in [
            ("trace_tags", &mut info.tags),
            ("trace_request_metadata", &mut info.metadata),
        ] {
            if schema.has(table) {
                odd |= texts(c, table, &info.trace_id, pairs)?;
            }
        }
        // Newer versions keep some in columns, and give them as if they were pairs.
        if schema.has_column("trace_info", "trace_name") {
            put(&mut info.tags, "mlflow.traceName", name);
            put(&mut info.metadata, "mlflow.trace.session", session);
            put(&mut info.metadata, "mlflow.trace.tokenUsage", usage.tokens);
            put(&mut info.metadata, "mlflow.trace.cost", usage.costs);
        }
        let assessments = match schema.has("assessments") {
            true => assessments::of_trace(c, schema, &info.trace_id)?,
            false => Vec::new(),
        };
        out.push(Read {
            info,
            generation,
            assessments,
            spans: Vec::new(),
            odd,
        });
    }
    Ok(out)
}

fn put(pairs: &mut BTreeMap<String, String>, key: &str, value: Option<String>) {
    match value {
        Some(value) => drop(pairs.insert(key.to_owned(), value)),
        None => drop(pairs.remove(key)),
    }
}

/// Reads pairs; answers whether some were not texts.
fn texts(
    c: &Connection,
    table: &str,
    trace: &str,
    out: &mut BTreeMap<String, String>,
) -> rusqlite::Result<bool> {
    let sql = format!("SELECT key, value FROM {table} WHERE request_id = ?1");
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query([trace])?;
    let mut odd = false;
    while let Some(row) = rows.next()? {
        match Cells::new(row).pair() {
            Ok((key, value)) => drop(out.insert(key, value.unwrap_or_default())),
            Err(_) => odd = true,
        }
    }
    Ok(odd)
}

fn spans(c: &Connection, trace: &str, whole: bool) -> rusqlite::Result<Vec<Option<String>>> {
    let sql = match whole {
        true => "SELECT content FROM spans WHERE trace_id = ?1 AND octet_length(content) > 0",
        false => "SELECT NULL FROM spans WHERE trace_id = ?1 AND octet_length(content) > 0 LIMIT 1",
    };
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query([trace])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(Cells::new(row).text());
    }
    Ok(out)
}
