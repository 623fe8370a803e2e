use std::{any::Any, collections::BTreeMap, sync::Arc};

use importer_core::{SourceArtifact, SourceProject};
use serde_json::Value as Json;
use tracker_model::{
    ArtifactDraft, CollectionPatch, JsonObject, Timestamp, python_json, python_word,
};

use super::{pairs, put, put_text, under_name};

/// The one file of the artifact that holds the traces of an experiment: a trace a line.
pub(crate) const TRACES_FILE: &str = "traces.jsonl";

/// The artifact that holds the traces of an experiment. `fingerprint` is a hash over what the way
/// knows of all of them; `immutable` whether that proves that their spans are the same.
pub(crate) fn traces_artifact(
    project: &Arc<SourceProject>,
    count: u64,
    fingerprint: String,
    immutable: bool,
    detail: Option<Arc<dyn Any + Send + Sync>>,
) -> SourceArtifact {
    let facts = [
        ("experiment_id".to_owned(), Json::from(project.id.as_str())),
        ("traces".to_owned(), Json::from(count)),
    ];
    let mut version = ArtifactDraft::new();
    version.source_key = Some(format!("traces:{}", project.id));
    version.metadata = under_name(facts.into_iter().collect());
    let mut patch = CollectionPatch::new();
    patch.kind = Some("traces".to_owned());
    SourceArtifact {
        link: None,
        project: Some(Arc::clone(project)),
        project_name: project.name.clone(),
        collection: "traces".to_owned(),
        patch,
        version: Some(version),
        fingerprint,
        immutable,
        logged_by: None,
        uses: Vec::new(),
        detail,
    }
}

/// A trace as a line of [`TRACES_FILE`]: `{"spans": […], "trace_info": {…}}` as the REST interface
/// gives both. Keys are sorted, attributes by their keys, spans by their start, assessments by their
/// creation, then their ids.
pub(crate) fn trace_line(mut trace_info: Json, mut spans: Vec<Json>) -> String {
    let text = |span: &Json, field: &str| {
        span.get(field)
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .unwrap_or_default()
    };
    let start = |span: &Json| text(span, "start_time_unix_nano").parse().unwrap_or(0u64);
    if let Some(Json::Array(assessments)) = trace_info.get_mut("assessments") {
        assessments.sort_by_cached_key(|a| (text(a, "create_time"), text(a, "assessment_id")));
    }
    spans.iter_mut().for_each(sort_attributes);
    spans.sort_by_cached_key(|span| (start(span), text(span, "span_id")));
    let parts = [
        ("spans".to_owned(), Json::Array(spans)),
        ("trace_info".to_owned(), trace_info),
    ];
    let mut line = Json::Object(JsonObject::from_iter(parts)).to_string();
    line.push('\n');
    line
}

/// Sorts lists of `{"key": …, "value": …}`: their order says nothing, and differs between ways.
fn sort_attributes(json: &mut Json) {
    match json {
        Json::Object(object) => object.values_mut().for_each(sort_attributes),
        Json::Array(list) => {
            list.iter_mut().for_each(sort_attributes);
            let key = |item: &Json| item.get("key").and_then(Json::as_str).map(str::to_owned);
            if list.iter().all(|item| key(item).is_some()) {
                list.sort_by_cached_key(key);
            }
        }
        _ => {}
    }
}

/// The REST form of a span that a database or a `traces.json` keeps: attributes are typed values
/// there instead of JSON texts, and empty fields are left out. Spans of MLflow 2, which has no such
/// form, stay as they are.
pub(crate) fn rest_span(stored: &Json) -> Json {
    if stored.get("span_id").is_none() {
        return with_words(stored);
    }
    let mut out = JsonObject::new();
    for field in [
        "trace_id",
        "span_id",
        "parent_span_id",
        "name",
        "start_time_unix_nano",
        "end_time_unix_nano",
    ] {
        put(
            &mut out,
            field,
            stored.get(field).filter(|v| !is_default(v)).cloned(),
        );
    }
    let code = stored
        .pointer("/status/code")
        .filter(|c| **c != "STATUS_CODE_UNSET")
        .cloned();
    let message = stored
        .pointer("/status/message")
        .filter(|m| !is_default(m))
        .cloned();
    let mut status = JsonObject::new();
    put(&mut status, "code", code);
    put(&mut status, "message", message);
    out.insert("status".to_owned(), status.into());
    put(
        &mut out,
        "attributes",
        attributes(stored.get("attributes"), true),
    );
    let list = |field: &str| {
        stored
            .get(field)
            .and_then(Json::as_array)
            .filter(|l| !l.is_empty())
    };
    let each = |items: &Vec<Json>| items.iter().map(rest_event).collect::<Vec<_>>();
    put(&mut out, "events", list("events").map(each));
    put(&mut out, "links", list("links").map(each));
    out.into()
}

/// The same with texts for bare words.
fn with_words(json: &Json) -> Json {
    match json {
        Json::String(_) => python_word(json).map_or_else(|| json.clone(), Json::from),
        Json::Array(list) => list.iter().map(with_words).collect(),
        Json::Object(object) => object
            .iter()
            .map(|(k, v)| (k.clone(), with_words(v)))
            .collect(),
        other => other.clone(),
    }
}

/// An event or link of a span: its attributes are typed values already.
fn rest_event(stored: &Json) -> Json {
    let Json::Object(fields) = stored else {
        return stored.clone();
    };
    let mut out: JsonObject = fields
        .iter()
        .filter(|(_, v)| !is_default(v))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    out.remove("attributes");
    put(
        &mut out,
        "attributes",
        attributes(stored.get("attributes"), false),
    );
    out.into()
}

fn is_default(value: &Json) -> bool {
    value.is_null() || *value == "" || *value == 0
}

/// `{KEY: VALUE}` as `[{"key": KEY, "value": TYPED}]`, nothing if there are none.
fn attributes(stored: Option<&Json>, texts: bool) -> Option<Json> {
    let stored = stored?.as_object().filter(|o| !o.is_empty())?;
    let typed = stored.iter().map(|(key, value)| {
        let decoded = value.as_str().filter(|_| texts).and_then(python_json);
        key_value(key, decoded.as_ref().unwrap_or(value))
    });
    Some(Json::Array(typed.collect()))
}

fn key_value(key: &str, value: &Json) -> Json {
    let mut out = JsonObject::from_iter([("key".to_owned(), Json::from(key))]);
    put(
        &mut out,
        "value",
        Some(any_value(value)).filter(|_| !value.is_null()),
    );
    out.into()
}

/// A value as OpenTelemetry's `AnyValue`.
fn any_value(value: &Json) -> Json {
    if let Some(word) = python_word(value) {
        return serde_json::json!({ "double_value": word });
    }
    let (kind, value) = match value {
        Json::Null => return Json::Object(JsonObject::new()),
        Json::Bool(_) => ("bool_value", value.clone()),
        Json::String(_) => ("string_value", value.clone()),
        Json::Number(n) if n.is_f64() => ("double_value", value.clone()),
        Json::Number(_) => ("int_value", value.clone()),
        Json::Array(list) => ("array_value", values(list.iter().map(any_value).collect())),
        Json::Object(object) => (
            "kvlist_value",
            values(object.iter().map(|(k, v)| key_value(k, v)).collect()),
        ),
    };
    Json::Object(JsonObject::from_iter([(kind.to_owned(), value)]))
}

fn values(list: Vec<Json>) -> Json {
    let mut out = JsonObject::new();
    put(&mut out, "values", Some(list).filter(|l| !l.is_empty()));
    out.into()
}

/// What is known of a trace besides its spans, as the REST interface gives it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawTraceInfo {
    pub(crate) trace_id: String,
    pub(crate) experiment_id: String,
    pub(crate) client_request_id: Option<String>,
    /// Milliseconds since 1970, UTC.
    pub(crate) request_time: i64,
    /// Milliseconds.
    pub(crate) execution_duration: Option<i64>,
    /// `OK`, `ERROR`, `IN_PROGRESS` or `STATE_UNSPECIFIED`.
    pub(crate) state: Option<String>,
    pub(crate) request_preview: Option<String>,
    pub(crate) response_preview: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl RawTraceInfo {
    /// The REST form.
    pub(crate) fn to_json(&self) -> Json {
        let mut out = JsonObject::new();
        put(&mut out, "trace_id", Some(self.trace_id.as_str()));
        put(
            &mut out,
            "client_request_id",
            self.client_request_id.as_deref(),
        );
        put(
            &mut out,
            "trace_location",
            Some(serde_json::json!({
                "type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": { "experiment_id": self.experiment_id },
            })),
        );
        put(
            &mut out,
            "request_time",
            Some(millisecond_time(self.request_time)),
        );
        put(
            &mut out,
            "execution_duration",
            self.execution_duration.map(duration),
        );
        put_text(&mut out, "state", self.state.as_deref());
        put(&mut out, "request_preview", self.request_preview.as_deref());
        put(
            &mut out,
            "response_preview",
            self.response_preview.as_deref(),
        );
        put(
            &mut out,
            "trace_metadata",
            Some(pairs(&self.metadata)).filter(|_| !self.metadata.is_empty()),
        );
        put(
            &mut out,
            "tags",
            Some(pairs(&self.tags)).filter(|_| !self.tags.is_empty()),
        );
        out.into()
    }
}

/// RFC 3339 with no digits or three behind the seconds, as Protocol Buffers write it.
pub(crate) fn millisecond_time(ms: i64) -> String {
    let text = Timestamp::from_millis(ms).to_string();
    match text.trim_end_matches('Z').split_once('.') {
        Some((whole, part)) => format!("{whole}.{part:0<3}Z"),
        None => text,
    }
}

/// Seconds with no digits or three behind the point, as Protocol Buffers write it.
fn duration(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    match ms % 1000 {
        0 => format!("{sign}{}s", ms / 1000),
        part => format!("{sign}{}.{part:03}s", ms / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_the_server_gives_them() {
        let stored = serde_json::json!({
            "trace_id": "Odgav1Lto7QbhbbUIhysSw==", "span_id": "Aj0AYs0rZhI=", "parent_span_id": null, "name": "root-3",
            "start_time_unix_nano": 1795254287116210653u64, "end_time_unix_nano": 1795254287141169221u64, "links": [],
            "events": [{"name": "e", "time_unix_nano": 5, "attributes": {"a": "1"}}],
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {"z": "\"text\"", "in": "{\"q\": [1, 2.5, null, true, []], \"n\": null}", "odd": "no json"},
        });
        let want = serde_json::json!({
            "trace_id": "Odgav1Lto7QbhbbUIhysSw==", "span_id": "Aj0AYs0rZhI=", "name": "root-3",
            "start_time_unix_nano": 1795254287116210653u64, "end_time_unix_nano": 1795254287141169221u64,
            "events": [{"name": "e", "time_unix_nano": 5, "attributes": [{"key": "a", "value": {"string_value": "1"}}]}],
            "status": {"code": "STATUS_CODE_OK"},
            "attributes": [
                {"key": "in", "value": {"kvlist_value": {"values": [
                    {"key": "n"},
                    {"key": "q", "value": {"array_value": {"values": [
                        {"int_value": 1}, {"double_value": 2.5}, {}, {"bool_value": true}, {"array_value": {}},
                    ]}}},
                ]}}},
                {"key": "odd", "value": {"string_value": "no json"}},
                {"key": "z", "value": {"string_value": "text"}},
            ],
        });
        assert_eq!(rest_span(&stored), want);
    }

    #[test]
    fn spans_of_version_2_stay_as_they_are() {
        let stored = serde_json::json!({
            "name": "root", "context": {"span_id": "56ee", "trace_id": "235d"}, "parent_id": null,
            "start_time": 1795264799164260303u64, "end_time": 1795264799164712003u64, "status_code": "OK",
            "attributes": {"mlflow.spanInputs": "{\"n\": NaN}"}, "events": [],
        });
        assert_eq!(rest_span(&stored), stored);
        let odd = python_json(r#"{"name": "root", "events": [{"attributes": {"a": [NaN, 1]}}]}"#);
        assert_eq!(
            rest_span(&odd.unwrap()),
            serde_json::json!({"name": "root", "events": [{"attributes": {"a": ["NaN", 1]}}]})
        );
    }

    #[test]
    fn lines_do_not_depend_on_order() {
        let span = |id: &str, start: u64| serde_json::json!({"span_id": id, "start_time_unix_nano": start});
        let line = trace_line(Json::Null, vec![span("b", 2), span("a", 2), span("c", 1)]);
        assert_eq!(
            line,
            trace_line(Json::Null, vec![span("a", 2), span("c", 1), span("b", 2)])
        );
        assert!(line.find("\"c\"") < line.find("\"a\"") && line.find("\"a\"") < line.find("\"b\""));
    }

    #[test]
    fn times_as_the_server_gives_them() {
        assert_eq!(
            millisecond_time(1_795_254_288_863),
            "2026-11-21T09:44:48.863Z"
        );
        assert_eq!(
            millisecond_time(1_795_254_288_860),
            "2026-11-21T09:44:48.860Z"
        );
        assert_eq!(millisecond_time(1_795_254_288_000), "2026-11-21T09:44:48Z");
        assert_eq!(
            (duration(31), duration(2000), duration(1500)),
            ("0.031s".into(), "2s".into(), "1.500s".into())
        );
    }
}
