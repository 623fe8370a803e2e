//! What people and programs say of traces.

use rusqlite::Connection;
use serde_json::{Value as Json, json};
use tracker_model::{JsonObject, python_json, python_word};

use super::{cells::Cells, schema::Schema};
use crate::mapping::millisecond_time;

const COLUMNS: [&str; 15] = [
    "assessment_id",
    "trace_id",
    "name",
    "assessment_type",
    "value",
    "error",
    "created_timestamp",
    "last_updated_timestamp",
    "source_type",
    "source_id",
    "span_id",
    "rationale",
    "overrides",
    "assessment_metadata",
    "valid",
];

/// The assessments of a trace by their ids, as the REST interface gives them.
pub(super) fn of_trace(
    c: &Connection,
    schema: &Schema,
    trace: &str,
) -> rusqlite::Result<Vec<Json>> {
    let sql = format!(
        "SELECT {} FROM assessments a WHERE a.trace_id = ?1 ORDER BY a.assessment_id",
        schema.select("assessments", "a", &COLUMNS)
    );
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query([trace])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(assessment(&mut Cells::new(row)));
    }
    Ok(out)
}

fn assessment(cells: &mut Cells<'_, '_>) -> Json {
    let mut out = JsonObject::new();
    let mut put = |field: &str, value: Option<Json>| {
        if let Some(value) = value {
            out.insert(field.to_owned(), value);
        }
    };
    let text = |cells: &mut Cells<'_, '_>| cells.text().map(Json::String);
    let json = |text: String| python_json(&text).unwrap_or(Json::String(text));
    put("assessment_id", text(cells));
    put("trace_id", text(cells));
    put("assessment_name", text(cells));
    let kind = cells.text_or_empty();
    let written = cells.text_or_empty();
    let (value, error) = (json(written.clone()), cells.text().map(json));
    match kind.as_str() {
        "feedback" => {
            let mut feedback = JsonObject::from_iter([("value".to_owned(), plain(value))]);
            feedback.extend(error.map(|error| ("error".to_owned(), error)));
            put("feedback", Some(feedback.into()));
        }
        "expectation" if value.is_array() || value.is_object() => {
            let value = json!({ "serialization_format": "JSON_FORMAT", "value": written });
            put("expectation", Some(json!({ "serialized_value": value })));
        }
        "expectation" => put("expectation", Some(json!({ "value": plain(value) }))),
        other => put(other, Some(plain(value))),
    }
    put(
        "create_time",
        cells.integer().map(|ms| millisecond_time(ms).into()),
    );
    put(
        "last_update_time",
        cells.integer().map(|ms| millisecond_time(ms).into()),
    );
    let mut source = JsonObject::new();
    for field in ["source_type", "source_id"] {
        source.extend(text(cells).map(|text| (field.to_owned(), text)));
    }
    put("source", Some(source.into()));
    put("span_id", text(cells));
    put("rationale", text(cells));
    put("overrides", text(cells).filter(|o| *o != ""));
    let metadata = cells
        .text()
        .map(json)
        .filter(|m| m.as_object().is_some_and(|m| !m.is_empty()));
    put("metadata", metadata);
    put("valid", cells.integer().map(|valid| (valid != 0).into()));
    out.into()
}

/// A value as Protocol Buffers give it back: all numbers are doubles.
fn plain(value: Json) -> Json {
    if let Some(word) = python_word(&value) {
        return word.into();
    }
    match value {
        Json::Number(number) => number.as_f64().map_or(Json::Null, Json::from),
        Json::Array(list) => list.into_iter().map(plain).collect(),
        Json::Object(object) => object.into_iter().map(|(k, v)| (k, plain(v))).collect(),
        other => other,
    }
}
