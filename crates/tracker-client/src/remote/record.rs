//! A run as the wire has it, and back.
//!
//! The wire's config is `{"key": {"value": …}}`. Its entry `_wandb` is the SDK's own and stands in
//! the extras of a run, under `wandb`; its entry [`RESERVED`] is ours.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use tracker_model::{Error, ErrorKind, Git, JsonObject, Result, Run, RunPath, RunState, Timestamp};

use crate::json_object;

/// The entry of the wire's config that says what W&B has no field for.
pub(super) const RESERVED: &str = "_trackway";
/// The entry of the wire's config that is the SDK's own.
const INTERNAL: &str = "_wandb";
/// Where extras keep what is W&B's own.
pub(super) const EXTRAS: &str = "wandb";

/// What the wire has a field for, and what tells nothing beyond: not in [`RESERVED`].
const SAID_ELSEWHERE: [&str; 10] = [
    "path",
    "state",
    "group",
    "job_type",
    "tags",
    "notes",
    "config",
    "summary",
    "sweep",
    "heartbeat_at",
];

/// A run as a server answers it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunNode {
    name: String,
    display_name: Option<String>,
    state: Option<String>,
    config: Option<String>,
    summary_metrics: Option<String>,
    group: Option<String>,
    job_type: Option<String>,
    commit: Option<String>,
    created_at: Option<String>,
    heartbeat_at: Option<String>,
    notes: Option<String>,
    tags: Option<Vec<String>>,
    sweep_name: Option<String>,
    user: Option<UserNode>,
    trackway: Option<String>,
}

/// Somebody with an account.
#[derive(Debug, Deserialize)]
pub(super) struct UserNode {
    pub(super) username: Option<String>,
}

/// A run, and its config as the wire has it.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) run: Run,
    /// The entries as they are, with what stands beside the values.
    pub(super) entries: JsonObject,
}

impl RunNode {
    /// The run's id.
    pub(super) fn id(&self) -> &str {
        &self.name
    }

    /// The run that this is. With `exact`, the server says records of the model.
    pub(super) fn read(self, path: RunPath, exact: bool) -> Result<Read> {
        let entries = object("config", self.config.as_deref())?;
        let created_at = time(self.created_at.as_deref()).unwrap_or(Timestamp::from_millis(0));
        let mut run = Run::new(path, created_at);
        run.summary = object("summary", self.summary_metrics.as_deref())?;
        for (key, entry) in &entries {
            if key != INTERNAL && key != RESERVED {
                run.config.insert(key.clone(), value_of(entry));
            }
        }
        if exact {
            if let Some(record) = &self.trackway {
                run = over(&run, members(record)?, &["path", "config", "summary"])?;
            }
            return Ok(Read { run, entries });
        }
        run.version = 1;
        run.name = some(self.display_name);
        run.state = self.state.as_deref().map_or(RunState::Pending, state_of);
        run.group = some(self.group);
        run.job_type = some(self.job_type);
        run.notes = some(self.notes);
        run.sweep = some(self.sweep_name);
        run.tags = self.tags.unwrap_or_default();
        run.user = self.user.and_then(|user| some(user.username));
        run.heartbeat_at = time(self.heartbeat_at.as_deref());
        run.git = some(self.commit).map(|commit| Git {
            commit: Some(commit),
            ..Git::default()
        });
        let internal = entries.get(INTERNAL).map(value_of);
        if let Some(Json::Object(internal)) = internal {
            describe(&mut run, &internal);
            run.extras
                .insert(EXTRAS.to_owned(), json!({ "config": internal }));
        }
        if let Some(Json::Object(ours)) = entries.get(RESERVED).map(value_of) {
            run = with_reserved(run, ours);
        }
        Ok(Read { run, entries })
    }
}

/// What ours says beyond the wire. Something that is no record of ours says nothing.
fn with_reserved(run: Run, mut ours: JsonObject) -> Run {
    // A title is the wire's where it has one: people change it there.
    if run.name.is_some() {
        ours.remove("name");
    }
    let said = run.extras.clone();
    match over(&run, ours, &SAID_ELSEWHERE) {
        Ok(mut read) => {
            read.extras.extend(said);
            read
        }
        Err(_) => run,
    }
}

/// What the SDK notes of the program in the config.
fn describe(run: &mut Run, internal: &JsonObject) {
    let Some(Json::Object(environments)) = internal.get("e") else {
        return;
    };
    let started = |e: &Json| time(e.get("startedAt")?.as_str());
    let first = environments
        .values()
        .filter_map(|e| Some((started(e)?, e)))
        .min_by_key(|(at, _)| *at);
    let Some((at, environment)) = first else {
        return;
    };
    run.started_at = Some(at);
    let text = |key: &str| environment.get(key)?.as_str().map(str::to_owned);
    run.program = text("program");
    run.host = text("host");
    if let Some(Json::Array(args)) = environment.get("args") {
        let text = |arg: &Json| arg.as_str().map_or_else(|| arg.to_string(), str::to_owned);
        run.args = args.iter().map(text).collect();
    }
    if let Some(Json::Object(git)) = environment.get("git") {
        let part = |key: &str| git.get(key)?.as_str().map(str::to_owned);
        let known = run.git.take().unwrap_or_default();
        run.git = Some(Git {
            commit: known.commit.or_else(|| part("commit")),
            remote: part("remote"),
            branch: part("branch"),
        });
    }
}

/// The config of a run as the wire takes it. Entries whose values are as before stay as they are.
pub(super) fn config_text(run: &Run, before: Option<&Read>, exact: bool) -> String {
    let none = JsonObject::new();
    let known = before.map_or(&none, |read| &read.entries);
    let mut out = JsonObject::new();
    for (key, value) in &run.config {
        let entry = match known.get(key) {
            Some(entry) if !exact && value_of(entry) == *value => entry.clone(),
            _ => json!({ "value": value }),
        };
        out.insert(key.clone(), entry);
    }
    if !exact {
        if let Some(internal) = known.get(INTERNAL) {
            out.insert(INTERNAL.to_owned(), internal.clone());
        }
        out.insert(RESERVED.to_owned(), json!({ "value": reserved(run) }));
    }
    Json::Object(out).to_string()
}

/// What W&B has no field for.
fn reserved(run: &Run) -> JsonObject {
    let mut ours = match serde_json::to_value(run) {
        Ok(Json::Object(members)) => members,
        _ => JsonObject::new(),
    };
    ours.retain(|key, value| !SAID_ELSEWHERE.contains(&key.as_str()) && !value.is_null());
    if let Some(Json::Object(extras)) = ours.get_mut("extras")
        && let Some(Json::Object(own)) = extras.get_mut(EXTRAS)
    {
        own.remove("config");
    }
    ours
}

/// The record with these members in place of its own.
pub(super) fn over<T: Serialize + DeserializeOwned>(
    record: &T,
    mut changes: JsonObject,
    keep: &[&str],
) -> Result<T> {
    let wrong = |e: serde_json::Error| {
        Error::new(
            ErrorKind::Corrupt,
            "the server says something that is no record",
        )
        .with_source(e)
    };
    changes.retain(|key, _| !keep.contains(&key.as_str()));
    let mut json = serde_json::to_value(record).map_err(wrong)?;
    if let Json::Object(members) = &mut json {
        members.extend(changes);
    }
    serde_json::from_value(json).map_err(wrong)
}

/// The members of a record in JSON text.
pub(super) fn members(text: &str) -> Result<JsonObject> {
    serde_json::from_str(text).map_err(|e| {
        Error::new(
            ErrorKind::Corrupt,
            "the server says a record that cannot be read",
        )
        .with_source(e)
    })
}

/// The members of a record that differ between two states of it, as servers of ours take them.
pub(super) fn changed<T: Serialize>(before: &T, after: &T, without: &[&str]) -> JsonObject {
    let members = |record: &T| match serde_json::to_value(record) {
        Ok(Json::Object(members)) => members,
        _ => JsonObject::new(),
    };
    let (before, mut after) = (members(before), members(after));
    after.retain(|key, value| !without.contains(&key.as_str()) && before.get(key) != Some(value));
    after
}

/// An object that a server says, or none.
fn object(what: &str, text: Option<&str>) -> Result<JsonObject> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(JsonObject::new());
    };
    json_object(what, text).map_err(|e| {
        let message = format!("the {what} of a run cannot be read");
        Error::new(ErrorKind::Corrupt, message).with_source(e)
    })
}

/// The value of an entry of the config; what is no entry is a value.
fn value_of(entry: &Json) -> Json {
    match entry {
        Json::Object(members) if members.contains_key("value") => {
            members.get("value").cloned().unwrap_or_default()
        }
        plain => plain.clone(),
    }
}

fn some(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The state that a server's word means. A word that is none of ours is a run that goes on.
fn state_of(word: &str) -> RunState {
    RunState::ALL
        .into_iter()
        .find(|state| state.as_str().eq_ignore_ascii_case(word))
        .unwrap_or(RunState::Running)
}

/// A time; old servers leave out the zone, which is UTC.
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    let text = text?;
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}

#[cfg(test)]
mod tests {
    use tracker_model::ImportStamp;

    use super::*;

    fn node(json: Json) -> RunNode {
        serde_json::from_value(json).unwrap()
    }

    fn path() -> RunPath {
        "e/p/r".parse().unwrap()
    }

    #[test]
    fn a_run_of_the_sdk() {
        let config = r#"{"lr":{"value":NaN,"desc":"d"},"_wandb":{"value":{"m":[],"e":{"w":{
            "startedAt":"2026-11-21T07:35:59.8Z","program":"t.py","host":"vm","args":["-x",1],"git":{"remote":"u"}}}}}}"#;
        let answered = json!({
            "name": "r", "displayName": "calm-sea-1", "state": "crashed", "config": config,
            "summaryMetrics": "{\"loss\":Infinity}", "createdAt": "2026-11-21T07:36:00",
            "tags": ["a"], "user": {"username": "ada"}, "commit": "c", "unknown": 1,
        });
        let run = node(answered).read(path(), false).unwrap().run;
        assert_eq!(Json::Object(run.config), json!({"lr": "NaN"}));
        assert_eq!(Json::Object(run.summary), json!({"loss": "Infinity"}));
        assert_eq!(run.created_at.to_string(), "2026-11-21T07:36:00Z");
        assert_eq!(
            run.started_at.unwrap().to_string(),
            "2026-11-21T07:35:59.8Z"
        );
        assert_eq!((run.state, run.args.len()), (RunState::Crashed, 2));
        assert_eq!(run.git.unwrap().remote.as_deref(), Some("u"));
        assert_eq!(
            (run.user.as_deref(), run.host.as_deref()),
            (Some("ada"), Some("vm"))
        );
        assert_eq!(run.extras["wandb"]["config"]["m"], json!([]));
    }

    #[test]
    fn what_the_wire_has_not_comes_back() {
        let mut run = Run::new(path(), Timestamp::from_parts(-1, 7));
        run.config.insert("lr".to_owned(), json!(0.1));
        run.ended_at = Some(Timestamp::from_parts(i64::MAX, 1));
        run.parent = Some("other".parse().unwrap());
        run.extras
            .insert("mlflow".to_owned(), json!({"tags": {"a": "b"}}));
        run.import = Some(ImportStamp {
            source: "s".to_owned(),
            run: "1".to_owned(),
            complete: true,
            fingerprint: "f".to_owned(),
        });
        (run.deleted, run.version) = (true, 7);
        let before = node(
            json!({"name": "r", "config": r#"{"lr":{"value":0.1,"desc":"d"},"_wandb":{"value":{"t":1}}}"#}),
        );
        let before = before.read(path(), false).unwrap();
        let config = config_text(&run, Some(&before), false);
        let entries: Json = serde_json::from_str(&config).unwrap();
        assert_eq!(
            entries["lr"]["desc"], "d",
            "what stands beside a value stays"
        );
        assert_eq!(entries["_wandb"]["value"]["t"], 1);
        let back = node(json!({"name": "r", "state": "pending", "config": config}));
        let back = back.read(path(), false).unwrap().run;
        run.extras
            .insert("wandb".to_owned(), json!({"config": {"t": 1}}));
        assert_eq!(back, run);
    }

    #[test]
    fn what_somebody_else_wrote_there_is_passed_over() {
        let config = r#"{"_trackway":{"value":{"created_at":5,"args":"x"}},"a":{"value":1}}"#;
        let read = node(json!({"name": "r", "config": config})).read(path(), false);
        assert_eq!(Json::Object(read.unwrap().run.config), json!({"a": 1}));
    }
}
