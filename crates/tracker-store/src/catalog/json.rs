//! JSON columns.

use std::fmt::Display;

use query_dsl::lazy::Jsonb;
use rusqlite::{Row, RowIndex};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use tracker_model::{Error, JsonObject, Result, Timestamp};

use super::Outcome;
use crate::error::corrupt;

/// Nesting that a reader of JSON still takes.
const MAX_DEPTH: usize = 127;

/// The text of a column; `None` for the empty object.
pub(super) fn object_column(what: &str, object: &JsonObject) -> Result<Option<String>> {
    if object.is_empty() {
        Ok(None)
    } else {
        column(what, object).map(Some)
    }
}

/// The text of a column.
pub(super) fn column<T: Serialize>(what: &str, value: &T) -> Result<String> {
    let text = serde_json::to_string(value)
        .map_err(|e| Error::invalid(format!("{what} cannot be written as JSON")).with_source(e))?;
    if depth(&text) > MAX_DEPTH {
        return Err(Error::invalid(format!(
            "{what} is nested deeper than {MAX_DEPTH} levels"
        )));
    }
    Ok(text)
}

/// Reads a column that may be NULL.
pub(super) fn from_column<T: DeserializeOwned + Default>(
    row: &Row<'_>,
    column: impl RowIndex + Display,
) -> Outcome<T> {
    let text = row.get_ref(column)?.as_str_or_null();
    let Some(text) = text.map_err(rusqlite::Error::from)? else {
        return Ok(T::default());
    };
    let parsed = serde_json::from_str(text);
    Ok(parsed.map_err(|e| broken(column).with_source(e))?)
}

/// Reads an object from a column as it is, JSONB that may be NULL.
pub(super) fn from_object_column(
    row: &Row<'_>,
    column: impl RowIndex + Display,
) -> Outcome<JsonObject> {
    let bytes = row.get_ref(column)?.as_blob_or_null();
    let Some(bytes) = bytes.map_err(rusqlite::Error::from)? else {
        return Ok(JsonObject::new());
    };
    match Jsonb::plain(bytes).root().to_json() {
        Some(Json::Object(object)) => Ok(object),
        _ => Err(broken(column).into()),
    }
}

fn broken(column: impl Display) -> Error {
    corrupt(format!(
        "the catalog holds broken JSON in its column {column}"
    ))
}

/// Two columns of a time.
pub(super) fn time(row: &Row<'_>, ms: &str, ns: &str) -> Outcome<Option<Timestamp>> {
    let ms: Option<i64> = row.get(ms)?;
    let ns: Option<u32> = row.get(ns)?;
    Ok(ms.map(|ms| Timestamp::from_parts(ms, ns.unwrap_or(0))))
}

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(b) = bytes.next() {
                    match b {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn depth_is_that_of_brackets_outside_strings() {
        assert_eq!(depth(r#"{"a[[[":[1,{"b\"[[":2}],"c":"]]\\"}"#), 3);
        assert_eq!(depth("1"), 0);
    }
}
