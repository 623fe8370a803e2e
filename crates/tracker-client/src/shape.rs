use std::{
    borrow::Cow,
    io::{self, Write},
};

use serde_json::{Value as Json, value::RawValue};
use tracker_model::{HistoryRow, JsonObject, Timestamp, Value};

/// Rows of a history as JSON objects, as W&B has them.
///
/// ```json
/// {"_step":3,"_timestamp":1700000000.25,"_runtime":12.5,"loss":0.1,"acc":"NaN"}
/// ```
///
/// `_step`; `_timestamp`, seconds since 1970, null where the time is not known; `_runtime`, seconds
/// since the run began, if that and the time are known; then what was logged, see [`row_key`].
/// Doubles that are not finite are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowShape {
    start: Option<Timestamp>,
}

impl RowShape {
    /// Rows without `_runtime`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows of a run that began then. A row with a series `_runtime` keeps that: what a program
    /// logged knows of earlier sessions.
    #[must_use]
    pub fn with_start(mut self, start: Option<Timestamp>) -> Self {
        self.start = start;
        self
    }

    /// Since the start, as a time since 1970.
    fn runtime(self, row: &HistoryRow) -> Option<Timestamp> {
        if row.values.iter().any(|(key, _)| key.as_str() == "_runtime") {
            return None;
        }
        Timestamp::from_nanos(row.time?.as_nanos() - self.start?.as_nanos())
    }

    /// Writes a row on one line, exactly: times are decimal numbers with all their digits, and JSON
    /// that was logged stays as it was written.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(self, to: &mut impl Write, row: &HistoryRow) -> io::Result<()> {
        to.write_all(b"{")?;
        self.write_members(to, row)?;
        to.write_all(b"}")
    }

    /// As [`RowShape::write`], without the braces, so that other members can stand beside these.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_members(self, to: &mut impl Write, row: &HistoryRow) -> io::Result<()> {
        write!(to, "\"_step\":{},\"_timestamp\":", row.step)?;
        match row.time {
            Some(time) => to.write_all(time.to_decimal_seconds().as_bytes())?,
            None => to.write_all(b"null")?,
        }
        if let Some(runtime) = self.runtime(row) {
            write!(to, ",\"_runtime\":{}", runtime.to_decimal_seconds())?;
        }
        for (key, value) in &row.values {
            to.write_all(b",")?;
            serde_json::to_writer(&mut *to, row_key(key.as_str()).as_ref())?;
            to.write_all(b":")?;
            write_value(to, value)?;
        }
        Ok(())
    }

    /// The row as an object. Times are doubles.
    pub fn to_json(self, row: &HistoryRow) -> JsonObject {
        let seconds = |time| Timestamp::seconds_between(Timestamp::from_millis(0), time).into();
        let mut object = JsonObject::new();
        object.insert("_step".to_owned(), row.step.into());
        let time = row.time.map_or(Json::Null, seconds);
        object.insert("_timestamp".to_owned(), time);
        if let Some(runtime) = self.runtime(row) {
            object.insert("_runtime".to_owned(), seconds(runtime));
        }
        for (key, value) in &row.values {
            object.insert(row_key(key.as_str()).into_owned(), value.to_json());
        }
        object
    }
}

/// The name of a series in a row, beside `_step` and `_timestamp`: a series that is itself called
/// so, or so with more underscores, gets one more, so that no two names become one.
pub fn row_key(key: &str) -> Cow<'_, str> {
    match key.trim_start_matches('_') {
        "step" | "timestamp" if key.starts_with('_') => format!("_{key}").into(),
        _ => key.into(),
    }
}

/// Writes a value as JSON on one line; JSON that was logged stays as it was written.
///
/// # Errors
/// Those of writing.
pub fn write_value(to: &mut impl Write, value: &Value) -> io::Result<()> {
    if let Value::Json(text) = value
        && !text.contains(['\n', '\r'])
        && serde_json::from_str::<&RawValue>(text).is_ok()
    {
        return to.write_all(text.trim().as_bytes());
    }
    Ok(serde_json::to_writer(to, &value.to_json())?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(values: Vec<(&str, Value)>, time: Option<Timestamp>) -> HistoryRow {
        HistoryRow {
            row: 0,
            step: -3,
            time,
            values: values.into_iter().map(|(k, v)| (k.into(), v)).collect(),
        }
    }

    fn written(shape: RowShape, row: &HistoryRow) -> String {
        let mut out = Vec::new();
        shape.write(&mut out, row).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_are_exact() {
        let time = Timestamp::from_parts(1_700_000_000_250, 1);
        let values = vec![
            ("a", Value::F64(-0.0)),
            ("b", Value::F64(f64::NAN)),
            ("c", Value::F64(f64::NEG_INFINITY)),
            ("d", Value::F64(0.1)),
            ("e", Value::I64(i64::MIN)),
            ("f", Value::Json("{\"z\":1, \"a\":1e999}".to_owned())),
            ("g", Value::Json("{\"z\":\n1}".to_owned())),
            ("h", Value::Json("not json".to_owned())),
            ("_step", Value::Str("\"".to_owned())),
            ("__step", Value::Bool(true)),
        ];
        assert_eq!(
            written(RowShape::new(), &row(values, Some(time))),
            "{\"_step\":-3,\"_timestamp\":1700000000.250000001,\"a\":-0.0,\"b\":\"NaN\",\"c\":\"-Infinity\",\"d\":0.1,\
             \"e\":-9223372036854775808,\"f\":{\"z\":1, \"a\":1e999},\"g\":{\"z\":1},\"h\":\"not json\",\
             \"__step\":\"\\\"\",\"___step\":true}"
        );
        assert_eq!(
            written(RowShape::new(), &row(vec![], None)),
            "{\"_step\":-3,\"_timestamp\":null}"
        );
    }

    #[test]
    fn the_time_since_the_start() {
        let shape = RowShape::new().with_start(Some(Timestamp::from_millis(1_000)));
        let time = Some(Timestamp::from_parts(2_500, 7));
        assert_eq!(
            written(shape, &row(vec![("a", Value::I64(1))], time)),
            "{\"_step\":-3,\"_timestamp\":2.500000007,\"_runtime\":1.500000007,\"a\":1}"
        );
        let before = Some(Timestamp::from_millis(500));
        assert_eq!(
            written(shape, &row(vec![], before)),
            "{\"_step\":-3,\"_timestamp\":0.5,\"_runtime\":-0.5}"
        );
        let logged = row(vec![("_runtime", Value::F64(99.0))], time);
        assert_eq!(
            written(shape, &logged),
            "{\"_step\":-3,\"_timestamp\":2.500000007,\"_runtime\":99.0}"
        );
        assert_eq!(
            written(shape, &row(vec![], None)),
            "{\"_step\":-3,\"_timestamp\":null}"
        );
    }

    #[test]
    fn objects_say_the_same() {
        let shape = RowShape::new().with_start(Some(Timestamp::from_millis(1_000)));
        let values = vec![
            ("a", Value::F64(f64::INFINITY)),
            ("_timestamp", Value::Json("[1]".to_owned())),
            ("b", Value::F64(1.0)),
        ];
        let row = row(values, Some(Timestamp::from_millis(2_250)));
        let wanted = json!({
            "_step": -3, "_timestamp": 2.25, "_runtime": 1.25, "a": "Infinity", "__timestamp": [1], "b": 1.0
        });
        assert_eq!(Json::Object(shape.to_json(&row)), wanted);
        let read: Json = serde_json::from_str(&written(shape, &row)).unwrap();
        assert_eq!(read, wanted);
    }
}
