//! The JSON that scripts rely on.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeStruct},
};
use serde_json::Value as Json;
pub(crate) use tracker_client::text::json_text;
use tracker_model::{JsonObject, Run, Value};

/// A run, as `trackway runs --jsonl` prints it.
#[derive(Debug)]
pub(crate) struct RunShape<'a>(pub(crate) &'a Run);

impl Serialize for RunShape<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let run = self.0;
        let mut s = to.serialize_struct("Run", 20)?;
        s.serialize_field("entity", &run.path.entity)?;
        s.serialize_field("project", &run.path.project)?;
        s.serialize_field("id", &run.path.run)?;
        s.serialize_field("name", &run.name)?;
        s.serialize_field("state", &run.state)?;
        s.serialize_field("created_at", &run.created_at)?;
        s.serialize_field("started_at", &run.started_at)?;
        s.serialize_field("ended_at", &run.ended_at)?;
        s.serialize_field("user", &run.user)?;
        s.serialize_field("group", &run.group)?;
        s.serialize_field("job_type", &run.job_type)?;
        s.serialize_field("tags", &run.tags)?;
        s.serialize_field("notes", &run.notes)?;
        s.serialize_field("parent", &run.parent)?;
        s.serialize_field("sweep", &run.sweep)?;
        s.serialize_field("config", &run.config)?;
        s.serialize_field("summary", &run.summary)?;
        s.serialize_field("source", &SourceShape::of(run))?;
        if run.deleted {
            s.serialize_field("deleted", &true)?;
        }
        s.end()
    }
}

/// Where a run came from.
#[derive(Debug)]
pub(crate) struct SourceShape<'a> {
    kind: &'a str,
    location: &'a str,
    run: &'a str,
    complete: bool,
    extras: Option<&'a JsonObject>,
}

impl<'a> SourceShape<'a> {
    /// Of an imported run.
    pub(crate) fn of(run: &'a Run) -> Option<Self> {
        let stamp = run.import.as_ref()?;
        let (kind, location) = stamp.source.split_once(':').unwrap_or((&stamp.source, ""));
        Some(Self {
            kind,
            location,
            run: &stamp.run,
            complete: stamp.complete,
            extras: run.extras.get(kind).and_then(Json::as_object),
        })
    }

    /// The key-value tags that the run has at its source.
    pub(crate) fn tags(&self) -> Option<&'a JsonObject> {
        self.extras?.get("tags")?.as_object()
    }

    /// The kind of tracker, and where it is.
    pub(crate) fn place(&self) -> (&'a str, &'a str) {
        (self.kind, self.location)
    }
}

impl Serialize for SourceShape<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        const OURS: [&str; 5] = ["kind", "location", "run_id", "complete", "tags"];
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("kind", self.kind)?;
        map.serialize_entry("location", self.location)?;
        map.serialize_entry("run_id", self.run)?;
        for (key, value) in self
            .extras
            .into_iter()
            .flatten()
            .filter(|(key, _)| !OURS.contains(&key.as_str()))
        {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry("complete", &self.complete)?;
        map.serialize_entry("tags", self.tags().unwrap_or(&JsonObject::new()))?;
        map.end()
    }
}

/// A value as text for a cell: doubles in their shortest exact form, strings as they are.
pub(crate) fn value_text(value: &Value) -> String {
    match value {
        Value::Str(text) | Value::Json(text) => text.clone(),
        other => json_text(&other.to_json()),
    }
}

#[cfg(test)]
mod tests {
    use tracker_model::{ImportStamp, Timestamp};

    use super::*;

    #[test]
    fn a_run_has_its_fields_in_order() {
        let mut run = Run::new("local/p/r".parse().unwrap(), Timestamp::from_millis(0));
        let text = serde_json::to_string(&RunShape(&run)).unwrap();
        assert_eq!(
            text,
            "{\"entity\":\"local\",\"project\":\"p\",\"id\":\"r\",\"name\":null,\"state\":\"pending\",\
             \"created_at\":\"1970-01-01T00:00:00Z\",\"started_at\":null,\"ended_at\":null,\"user\":null,\"group\":null,\
             \"job_type\":null,\"tags\":[],\"notes\":null,\"parent\":null,\"sweep\":null,\"config\":{},\"summary\":{},\
             \"source\":null}"
        );
        run.deleted = true;
        run.import = Some(ImportStamp {
            source: "mlflow:http://h:5000".to_owned(),
            run: "r1".to_owned(),
            complete: true,
            fingerprint: String::new(),
        });
        run.extras = serde_json::from_str(
            r#"{"mlflow":{"tags":{"k":"v"},"experiment_id":"7","run_id":"r1"}}"#,
        )
        .unwrap();
        let text = serde_json::to_string(&RunShape(&run)).unwrap();
        let expected = "\"source\":{\"kind\":\"mlflow\",\"location\":\"http://h:5000\",\"run_id\":\"r1\",\"experiment_id\":\"7\",\
                        \"complete\":true,\"tags\":{\"k\":\"v\"}},\"deleted\":true}";
        assert!(text.ends_with(expected), "{text}");
    }
}
