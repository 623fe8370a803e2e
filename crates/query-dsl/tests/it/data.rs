//! The cases that are kept as data: documents, a filter or an order, and what is expected.

use std::{collections::BTreeMap, fs, path::Path};

use query_dsl::Value;
use serde_json::value::RawValue;

/// The fields of one line.
pub(crate) struct Line(BTreeMap<String, Box<RawValue>>);

impl Line {
    pub(crate) fn raw(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(|raw| raw.get())
    }

    pub(crate) fn text(&self, field: &str) -> Option<String> {
        self.raw(field)
            .map(|raw| serde_json::from_str(raw).unwrap())
    }

    pub(crate) fn id(&self) -> String {
        self.text("id").unwrap()
    }

    pub(crate) fn documents(&self) -> Vec<Value> {
        let docs: Vec<Box<RawValue>> = serde_json::from_str(self.raw("docs").unwrap()).unwrap();
        docs.iter()
            .map(|doc| Value::parse_json(doc.get()).unwrap())
            .collect()
    }

    pub(crate) fn expected(&self) -> Option<Vec<usize>> {
        self.raw("expect")
            .map(|raw| serde_json::from_str(raw).unwrap())
    }
}

pub(crate) fn lines(file: &str) -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file);
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| Line(serde_json::from_str(line).unwrap()))
        .collect()
}

/// A filter with documents, and the indexes of those that it matches; nothing if it is to be
/// refused.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) filter: String,
    pub(crate) documents: Vec<Value>,
    pub(crate) expected: Option<Vec<usize>>,
}

/// All cases. What we decided otherwise than the server, `ours`, is what counts.
pub(crate) fn cases() -> Vec<Case> {
    let files = ["query-cases-1.jsonl", "query-cases-2.jsonl"];
    let lines = files.iter().flat_map(|file| lines(file));
    let cases: Vec<Case> = lines
        .map(|line| {
            let ours = line
                .raw("ours")
                .map(|raw| Line(serde_json::from_str(raw).unwrap()));
            let judge = ours.as_ref().unwrap_or(&line);
            assert!(judge.raw("error").is_some() != judge.raw("expect").is_some());
            Case {
                id: line.id(),
                filter: line.raw("filter").unwrap().to_owned(),
                documents: line.documents(),
                expected: judge.expected(),
            }
        })
        .collect();
    assert_eq!(cases.len(), 1203);
    cases
}

/// The document for `serde_json`, if it can hold it: no dates, no NaN, keys in its order.
pub(crate) fn to_serde(value: &Value) -> Option<serde_json::Value> {
    let json: serde_json::Value = serde_json::from_str(&value.to_json()).ok()?;
    (as_value(&json) == *value).then_some(json)
}

/// A plain reading of `serde_json`'s values.
fn as_value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match number.as_i64() {
            Some(long) => Value::from(long),
            None => Value::from(number.as_f64().unwrap()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::Array(items.iter().map(as_value).collect()),
        Json::Object(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, item)| (key.clone(), as_value(item)))
                .collect(),
        ),
    }
}
