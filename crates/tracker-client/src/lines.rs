//! Lines of a history as the wire of W&B has them: a JSON object for each row.

use std::borrow::Cow;

use serde::de;
use serde_json::{Value as Json, value::RawValue};
use tracker_model::{
    Error, HistoryRow, Result, SeriesKey, Timestamp, Value, python_json, python_word,
};

use crate::json_text;

/// The keys that are parts of every row.
const STEP: &str = "_step";
const TIMESTAMP: &str = "_timestamp";

/// Reads a line of a history: a JSON object with what was logged together. Integers stay integers,
/// bare `NaN` and infinities are doubles, objects and lists stay JSON.
///
/// # Errors
/// `InvalidInput` if it is no JSON object.
pub fn history_row(number: u64, line: &str) -> Result<HistoryRow> {
    let mut row = Row {
        step: None,
        time: None,
        values: Vec::with_capacity(16),
    };
    let mut reader = serde_json::Deserializer::from_str(line);
    let strict = de::Deserializer::deserialize_map(&mut reader, Members(&mut row))
        .and_then(|()| reader.end());
    if strict.is_err() {
        // Python's own words for numbers, or nothing that can be read.
        row = Row {
            step: None,
            time: None,
            values: Vec::new(),
        };
        match python_json(line) {
            Some(Json::Object(members)) => {
                for (key, value) in members {
                    row.add_json(&key, value);
                }
            }
            _ => {
                return Err(Error::invalid(format!(
                    "line {number} of the history is not a JSON object"
                )));
            }
        }
    }
    Ok(row.finish(number))
}

struct Row {
    step: Option<i64>,
    time: Option<Timestamp>,
    values: Vec<(SeriesKey, Value)>,
}

impl Row {
    fn add(&mut self, key: &str, value: Value) {
        match (key, &value) {
            (STEP, Value::I64(step)) => self.step = Some(*step),
            (STEP, Value::F64(step)) if integer(*step).is_some() => self.step = integer(*step),
            (TIMESTAMP, Value::F64(seconds)) if timestamp(*seconds).is_some() => {
                self.time = timestamp(*seconds);
            }
            (TIMESTAMP, Value::I64(seconds)) if seconds.checked_mul(1000).is_some() => {
                self.time = Some(Timestamp::from_millis(seconds * 1000));
            }
            _ => self.values.push((key.into(), value)),
        }
    }

    fn add_json(&mut self, key: &str, mut json: Json) {
        let value = match python_word(&json) {
            Some("NaN") => Value::F64(f64::NAN),
            Some("Infinity") => Value::F64(f64::INFINITY),
            Some(_) => Value::F64(f64::NEG_INFINITY),
            None => {
                json_text::words(&mut json);
                match json {
                    Json::Bool(b) => Value::Bool(b),
                    Json::String(text) => Value::Str(text),
                    Json::Number(number) => self::number(&number.to_string()),
                    other => Value::Json(other.to_string()),
                }
            }
        };
        self.add(key, value);
    }

    fn finish(self, number: u64) -> HistoryRow {
        let step = self
            .step
            .unwrap_or_else(|| i64::try_from(number).unwrap_or(i64::MAX));
        let mut values = self.values;
        // The last of a key that comes twice, as in Python.
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut unique: Vec<(SeriesKey, Value)> = Vec::with_capacity(values.len());
        for (key, value) in values {
            match unique.last_mut() {
                Some(last) if last.0 == key => last.1 = value,
                _ => unique.push((key, value)),
            }
        }
        // A row exists by its points.
        if unique.is_empty() {
            unique.push((STEP.into(), Value::I64(step)));
        }
        HistoryRow {
            row: number,
            step,
            time: self.time,
            values: unique,
        }
    }
}

/// Adds the members of an object to a row without building the object.
struct Members<'r>(&'r mut Row);

impl<'de> de::Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            let raw: &RawValue = map.next_value()?;
            let text = raw.get();
            let value = match text.as_bytes().first() {
                Some(b'"') => Value::Str(serde_json::from_str(text).map_err(de::Error::custom)?),
                Some(b't') => Value::Bool(true),
                Some(b'f') => Value::Bool(false),
                Some(b'{' | b'[' | b'n') => Value::Json(text.to_owned()),
                _ => number(text),
            };
            self.0.add(&key, value);
        }
        Ok(())
    }
}

/// A key, borrowed from the text where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> de::Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A number as it was written: an integer of 64 bits, a double, or, where neither can hold it, its
/// text.
fn number(text: &str) -> Value {
    if let Ok(integer) = text.parse::<i64>()
        && text != "-0"
    {
        return Value::I64(integer);
    }
    match text.parse::<f64>() {
        Ok(double) if double.is_finite() && !is_big_integer(text) => Value::F64(double),
        _ => Value::Json(text.to_owned()),
    }
}

fn is_big_integer(text: &str) -> bool {
    text.len() > 17 && !text.contains(['.', 'e', 'E'])
}

/// The integer that a double is, within what doubles count exactly.
fn integer(double: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be exact")]
    (double.fract() == 0.0 && double.abs() <= 9_007_199_254_740_992.0).then_some(double as i64)
}

/// The instant, to the nanosecond; a double of seconds comes back from it unchanged.
fn timestamp(seconds: f64) -> Option<Timestamp> {
    if !seconds.is_finite() || seconds.abs() > 9e14 {
        return None;
    }
    let whole = seconds.floor();
    #[expect(clippy::cast_possible_truncation, reason = "both are in range")]
    let (whole, nanos) = (whole as i64, ((seconds - whole) * 1e9).round() as i128);
    Timestamp::from_nanos(i128::from(whole) * 1_000_000_000 + nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Vec<(String, Value)> {
        let row = history_row(7, line).unwrap();
        let values = row.values.into_iter();
        values.map(|(k, v)| (k.to_string(), v)).collect()
    }

    #[test]
    fn a_row() {
        let row = history_row(
            3,
            r#"{"loss":0.5,"n":2,"_step":9,"ok":true,"_timestamp":1.7952463162093596e+09,"_runtime":1e1,"s":"x\n"}"#,
        )
        .unwrap();
        assert_eq!((row.row, row.step), (3, 9));
        let time = row.time.unwrap().to_decimal_seconds();
        assert_eq!(time.parse::<f64>().unwrap(), 1.7952463162093596e+09);
        assert_eq!(
            row.values,
            [
                ("_runtime".into(), Value::F64(10.0)),
                ("loss".into(), Value::F64(0.5)),
                ("n".into(), Value::I64(2)),
                ("ok".into(), Value::Bool(true)),
                ("s".into(), Value::Str("x\n".to_owned())),
            ]
        );
    }

    #[test]
    fn numbers_stay_what_they_are() {
        let line = r#"{"a":1152921504606846976,"b":18446744073709551616,"c":1e400,"d":-0.0,"e":1.0,"f":-0,"g":null,"h":{"x":[1,2.50]}}"#;
        let wanted = [
            ("a", Value::I64(1 << 60)),
            ("b", Value::Json("18446744073709551616".to_owned())),
            ("c", Value::Json("1e400".to_owned())),
            ("d", Value::F64(-0.0)),
            ("e", Value::F64(1.0)),
            ("f", Value::F64(-0.0)),
            ("g", Value::Json("null".to_owned())),
            ("h", Value::Json("{\"x\":[1,2.50]}".to_owned())),
        ];
        assert_eq!(values(line), wanted.map(|(k, v)| (k.to_owned(), v)));
    }

    #[test]
    fn words_of_python_are_doubles() {
        let found = values(r#"{"a":NaN,"b":-Infinity,"c":"NaN","d":[Infinity],"e":3,"_step":1}"#);
        assert!(matches!(&found[0].1, Value::F64(x) if x.is_nan()));
        assert_eq!(found[1].1, Value::F64(f64::NEG_INFINITY));
        assert_eq!(found[2].1, Value::Str("NaN".to_owned()));
        assert_eq!(found[3].1, Value::Json("[\"Infinity\"]".to_owned()));
        assert_eq!(found[4].1, Value::I64(3));
    }

    #[test]
    fn rows_of_nothing_still_exist() {
        assert_eq!(values("{}"), [("_step".to_owned(), Value::I64(7))]);
        let row = history_row(0, r#"{"_step":4,"_timestamp":2}"#).unwrap();
        assert_eq!(
            (row.step, row.time),
            (4, Some(Timestamp::from_millis(2000)))
        );
        assert_eq!(row.values.len(), 1);
    }

    #[test]
    fn what_cannot_be_a_step_or_a_time_is_a_value() {
        let found = values(r#"{"_step":1.5,"_timestamp":"now","a":1,"a":2}"#);
        assert_eq!(
            found,
            [
                ("_step".to_owned(), Value::F64(1.5)),
                ("_timestamp".to_owned(), Value::Str("now".to_owned())),
                ("a".to_owned(), Value::I64(2)),
            ]
        );
        assert_eq!(history_row(0, r#"{"_step":3.0}"#).unwrap().step, 3);
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["", "[]", "1", "{", "{\"a\":1}x", "{\"a\":01}", "null"] {
            assert!(history_row(0, line).is_err(), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[{}\\[\\]\":,a-e0-9.NIn\\\\ \u{e9}_-]{0,40}") {
            let _ = history_row(0, &line);
        }

        #[test]
        fn times_come_back(seconds in -1e10f64..1e11) {
            let time = timestamp(seconds).unwrap().to_decimal_seconds();
            // A nanosecond is the unit: only doubles near zero are finer.
            let back: f64 = time.parse().unwrap();
            proptest::prop_assert!(back == seconds || seconds.abs() < 5e6 && (back - seconds).abs() < 1e-9, "{} {}", back, seconds);
        }
    }
}
