//! A run as the wire has it, and back.
//!
//! The wire's config is `{"key": {"value": …, "desc": …}}` and has an entry `_wandb` for what the
//! SDK itself notes. Of a run of ours the config holds the plain values, and what is W&B's own
//! stands in [`Run::extras`] under `wandb`, verbatim.

use serde_json::{Value as Json, json};
use tracker_model::{Change, Git, JsonObject, JsonPatch, Result, Run, RunPatch, Timestamp};

/// Where extras keep what is W&B's own.
pub(crate) const EXTRAS: &str = "wandb";
/// The entry of the wire's config that is the SDK's own.
const INTERNAL: &str = "_wandb";

/// What W&B alone says of the run.
pub(crate) fn own<'a>(extras: &'a JsonObject, key: &str) -> Option<&'a Json> {
    extras.get(EXTRAS)?.get(key)
}

/// Extras with this said by W&B.
pub(crate) fn with_own(extras: &JsonObject, key: &str, value: Json) -> JsonPatch {
    let mut own = match extras.get(EXTRAS) {
        Some(Json::Object(own)) => own.clone(),
        _ => JsonObject::new(),
    };
    own.insert(key.to_owned(), value);
    let set = JsonObject::from_iter([(EXTRAS.to_owned(), Json::Object(own))]);
    JsonPatch::Merge {
        set,
        remove: Vec::new(),
    }
}

pub(crate) use tracker_client::json_object as object;

/// What a config of the wire says of a run.
#[derive(Debug, Default)]
pub(crate) struct WireConfig {
    /// The values.
    pub(crate) values: JsonObject,
    /// What stands beside the values, such as descriptions, by key.
    pub(crate) asides: JsonObject,
    /// What the SDK notes.
    pub(crate) internal: Option<JsonObject>,
}

impl WireConfig {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        object("the config", text).map(Self::of)
    }

    pub(crate) fn of(config: JsonObject) -> Self {
        let mut out = Self::default();
        for (key, entry) in config {
            let mut entry = match entry {
                Json::Object(entry) if entry.contains_key("value") => entry,
                // What is no entry is a value.
                plain => JsonObject::from_iter([("value".to_owned(), plain)]),
            };
            let value = entry.remove("value").unwrap_or(Json::Null);
            match value {
                Json::Object(internal) if key == INTERNAL => out.internal = Some(internal),
                value => {
                    entry.retain(|_, aside| !aside.is_null());
                    if !entry.is_empty() {
                        out.asides.insert(key.clone(), Json::Object(entry));
                    }
                    out.values.insert(key, value);
                }
            }
        }
        out
    }

    /// The change that this makes to a run. What the SDK noted earlier stays: a resumed run sends
    /// it with less in it.
    pub(crate) fn apply(self, patch: &mut RunPatch, before: Option<&Run>) {
        let none = JsonObject::new();
        let extras = before.map_or(&none, |run| &run.extras);
        let mut own = match extras.get(EXTRAS) {
            Some(Json::Object(own)) => own.clone(),
            _ => JsonObject::new(),
        };
        if let Some(internal) = self.internal {
            let mut merged = match own.remove("config") {
                Some(Json::Object(merged)) => merged,
                _ => JsonObject::new(),
            };
            merge_internal(&mut merged, internal);
            describe(patch, before, &merged);
            own.insert("config".to_owned(), Json::Object(merged));
        }
        if self.asides.is_empty() {
            own.remove("asides");
        } else {
            own.insert("asides".to_owned(), Json::Object(self.asides));
        }
        if extras.get(EXTRAS) != Some(&Json::Object(own.clone())) {
            let mut set = match std::mem::take(&mut patch.extras) {
                JsonPatch::Merge { set, .. } => set,
                _ => JsonObject::new(),
            };
            match set.get_mut(EXTRAS) {
                Some(Json::Object(set)) => set.extend(own),
                _ => {
                    set.insert(EXTRAS.to_owned(), Json::Object(own));
                }
            }
            patch.extras = JsonPatch::Merge {
                set,
                remove: Vec::new(),
            };
        }
        patch.config = JsonPatch::Replace(self.values);
    }
}

/// `e` (the environments, one for each writer) grows; an empty list, as of the metrics' definitions
/// of a run that goes on, takes nothing away; the rest is replaced.
fn merge_internal(to: &mut JsonObject, from: JsonObject) {
    for (key, value) in from {
        match (to.get_mut(&key), value) {
            (Some(Json::Object(to)), Json::Object(from)) if key == "e" => to.extend(from),
            (Some(Json::Array(to)), Json::Array(from)) if from.is_empty() && !to.is_empty() => {}
            (_, value) => {
                to.insert(key, value);
            }
        }
    }
}

/// What the environments of the SDK say of a run that the wire has no field for: above all when it
/// began, as a run may have been logged offline long before the server hears of it.
fn describe(patch: &mut RunPatch, before: Option<&Run>, internal: &JsonObject) {
    let Some(Json::Object(environments)) = internal.get("e") else {
        return;
    };
    let started = |e: &Json| e.get("startedAt")?.as_str()?.parse::<Timestamp>().ok();
    let Some((first, environment)) = environments
        .values()
        .filter_map(|e| Some((started(e)?, e)))
        .min_by_key(|(at, _)| *at)
    else {
        return;
    };
    if before
        .and_then(|run| run.started_at)
        .is_none_or(|at| first < at)
    {
        patch.started_at = Change::Set(first);
    }
    if before.is_none_or(|run| first < run.created_at) {
        patch.created_at = Some(first);
    }
    let text = |key: &str| environment.get(key)?.as_str().map(str::to_owned);
    if let Some(Json::Array(args)) = environment.get("args") {
        let args = args.iter().map(|arg| match arg {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        });
        patch.args = Some(args.collect());
    }
    if let Some(program) = text("program") {
        patch.program = Change::Set(program);
    }
    if let Some(host) = text("host") {
        patch.host = Change::Set(host);
    }
    if let Some(Json::Object(git)) = environment.get("git") {
        let part = |key: &str| git.get(key)?.as_str().map(str::to_owned);
        let known = before.and_then(|run| run.git.clone()).unwrap_or_default();
        patch.git = Change::Set(Git {
            commit: part("commit").or(known.commit),
            remote: part("remote").or(known.remote),
            branch: part("branch").or(known.branch),
        });
    }
}

/// The config of a run as the wire has it.
pub(crate) fn config_text(run: &Run) -> String {
    let asides = own(&run.extras, "asides");
    let mut out = JsonObject::new();
    for (key, value) in &run.config {
        let mut entry = match asides.and_then(|asides| asides.get(key)) {
            Some(Json::Object(aside)) => aside.clone(),
            _ => JsonObject::new(),
        };
        entry.insert("value".to_owned(), value.clone());
        out.insert(key.clone(), Json::Object(entry));
    }
    if let Some(internal) = own(&run.extras, "config") {
        out.insert(INTERNAL.to_owned(), json!({"value": internal}));
    }
    Json::Object(out).to_string()
}

/// The part of the config that the SDK notes, with these of its keys. A client that resumes takes a
/// run without the key `t` for one that does not exist.
pub(crate) fn internal_text(run: &Run, keys: Option<&[String]>) -> String {
    let mut out = match own(&run.extras, "config") {
        Some(Json::Object(internal)) => internal.clone(),
        _ => JsonObject::new(),
    };
    out.entry("t").or_insert_with(|| json!({}));
    if let Some(keys) = keys {
        out.retain(|key, _| keys.iter().any(|k| k == key));
    }
    Json::Object(out).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(config: &str, before: Option<&Run>) -> Run {
        let mut run = before.cloned().unwrap_or_else(|| {
            Run::new(
                "e/p/r".parse().unwrap(),
                Timestamp::from_millis(2_000_000_000_000),
            )
        });
        let mut patch = RunPatch::new();
        WireConfig::parse(config).unwrap().apply(&mut patch, before);
        patch.apply(&mut run);
        run
    }

    #[test]
    fn a_config_comes_back() {
        let config = r#"{"lr":{"value":0.1},"n":{"desc":"how many","value":{"x":[1,NaN]}},
            "_wandb":{"value":{"t":{"5":"0.31.0"},"m":[{"1":"loss"}],"e":{"a":{"startedAt":"2026-11-21T07:35:59.843666Z","host":"vm","args":["-x",1],"git":{"commit":"c"}}}}}}"#;
        let run = run_with(config, None);
        assert_eq!(
            Json::Object(run.config.clone()),
            json!({"lr": 0.1, "n": {"x": [1, "NaN"]}})
        );
        assert_eq!(
            run.started_at.unwrap().to_string(),
            "2026-11-21T07:35:59.843666Z"
        );
        assert_eq!(run.created_at, run.started_at.unwrap());
        assert_eq!((run.host.as_deref(), run.args.len()), (Some("vm"), 2));
        assert_eq!(run.git.as_ref().unwrap().commit.as_deref(), Some("c"));
        let wire: Json = serde_json::from_str(&config_text(&run)).unwrap();
        assert_eq!(
            wire["n"],
            json!({"desc": "how many", "value": {"x": [1, "NaN"]}})
        );
        assert_eq!(wire["_wandb"]["value"]["m"][0]["1"], "loss");
        assert_eq!(
            internal_text(&run, Some(&["t".to_owned()])),
            r#"{"t":{"5":"0.31.0"}}"#
        );
        // A run that goes on says less.
        let again = run_with(
            r#"{"lr":{"value":0.2},"_wandb":{"value":{"t":{"5":"0.32.0"},"m":[],"e":{"b":{"startedAt":"2026-11-22T00:00:00Z"}}}}}"#,
            Some(&run),
        );
        assert_eq!(Json::Object(again.config.clone()), json!({"lr": 0.2}));
        assert_eq!(again.started_at, run.started_at);
        let internal = own(&again.extras, "config").unwrap();
        assert_eq!(internal["m"][0]["1"], "loss");
        assert_eq!(internal["e"].as_object().unwrap().len(), 2);
        assert_eq!(internal["t"]["5"], "0.32.0");
    }

    #[test]
    fn runs_of_others_can_be_resumed() {
        let run = Run::new("e/p/r".parse().unwrap(), Timestamp::from_millis(0));
        assert_eq!(internal_text(&run, Some(&["t".to_owned()])), r#"{"t":{}}"#);
        assert_eq!(config_text(&run), "{}");
    }

    #[test]
    fn what_is_no_config_is_refused() {
        for text in ["", "[]", "1", "{\"a\":}", "{\"a\":{\"value\":1}"] {
            assert!(WireConfig::parse(text).is_err(), "{text}");
        }
        assert!(WireConfig::parse("null").unwrap().values.is_empty());
    }
}
