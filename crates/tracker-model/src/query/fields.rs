use query_dsl::{ErrorKind, FilterError, Operator, Path, Value, Vocabulary, nearest};

use crate::RunState;

/// What a field of a run holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    State,
    Time,
    Number,
    Bool,
    Texts,
    /// A JSON object with the user's own keys.
    Section,
}

struct Field {
    name: &'static str,
    /// Other spellings of the same field.
    also: &'static [&'static str],
    holds: Holds,
}

const fn field(name: &'static str, also: &'static [&'static str], holds: Holds) -> Field {
    Field { name, also, holds }
}

/// All fields. Sources: W&B's public API (`api.runs(filters=…, order=…)`) and its workspaces, whose
/// spellings are those with capitals; `started_at`, `ended_at`, `parent`, `program`, `commit`,
/// `deleted` and `extras` are of this model.
const FIELDS: [Field; 24] = [
    field("name", &["id", "ID"], Holds::Text),
    field("entity", &[], Holds::Text),
    field("project", &[], Holds::Text),
    field("display_name", &["displayName", "Name"], Holds::Text),
    field("state", &["State"], Holds::State),
    field(
        "created_at",
        &["createdAt", "CreatedTimestamp"],
        Holds::Time,
    ),
    field("started_at", &["startedAt"], Holds::Time),
    field("ended_at", &["endedAt"], Holds::Time),
    field("heartbeat_at", &["heartbeatAt"], Holds::Time),
    field("duration", &["Runtime"], Holds::Number),
    field("deleted", &[], Holds::Bool),
    field("username", &["user", "User"], Holds::Text),
    field("host", &["hostname", "Hostname"], Holds::Text),
    field("program", &[], Holds::Text),
    field("commit", &[], Holds::Text),
    field("group", &["Group"], Holds::Text),
    field("job_type", &["jobType", "JobType"], Holds::Text),
    field("tags", &["Tags"], Holds::Texts),
    field("notes", &["Notes"], Holds::Text),
    field("parent", &[], Holds::Text),
    field("sweep", &["Sweep"], Holds::Text),
    field("config", &[], Holds::Section),
    field(
        "summary_metrics",
        &["summary", "summaryMetrics"],
        Holds::Section,
    ),
    field("extras", &[], Holds::Section),
];

/// The resolved names, in the order of a run's entries.
pub(super) const NAMES: [&str; FIELDS.len()] = {
    let mut names = [""; FIELDS.len()];
    let mut i = 0;
    while i < FIELDS.len() {
        names[i] = FIELDS[i].name;
        i += 1;
    }
    names
};

/// What W&B has and a run's record has not, with what to do.
const ELSEWHERE: [(&str, &str); 6] = [
    ("keys_info", "summary_metrics has a key for each series"),
    ("input_artifacts", "ask the artifact for its runs"),
    ("output_artifacts", "ask the artifact for its runs"),
    ("inputArtifacts", "ask the artifact for its runs"),
    ("outputArtifacts", "ask the artifact for its runs"),
    (
        "history",
        "summary_metrics has the last value of each series",
    ),
];

/// The fields of runs, in the spellings that W&B takes.
///
/// | field | also | is |
/// |---|---|---|
/// | `name` | `id` | the id (W&B's API calls it so) |
/// | `display_name` | `displayName` | the title |
/// | `state` | | `running`, `finished`, …; a word that is no state is an error |
/// | `created_at`, `started_at`, `ended_at`, `heartbeat_at` | `createdAt`, … | instants: an RFC 3339 time, a date, a time without a zone (UTC) |
/// | `duration` | | seconds |
/// | `username`, `host`, `group`, `job_type`, `sweep`, `notes`, `program`, `commit`, `parent`, `entity`, `project` | `user`, `jobType`, … | text |
/// | `tags` | | a list of texts |
/// | `deleted` | | `true` or `false` |
/// | `config.K` | `config.K.value` | a hyperparameter; a `value` of its own wins |
/// | `summary_metrics.K` | `summary.K` | a result |
/// | `extras.S.…` | | what the source S says beyond, as MLflow's tags in `extras.mlflow.tags.K` |
///
/// In the sections, `"NaN"`, `"Infinity"` and `"-Infinity"` are numbers, as they are in the objects.
/// Keys may have dots: `config.a.b` is the key `a.b` as well as `b` in `a`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunVocabulary;

fn find(name: &str) -> Option<&'static Field> {
    FIELDS
        .iter()
        .find(|field| field.name == name || field.also.contains(&name))
}

fn unknown(root: &str, below: &[String]) -> FilterError {
    let error = |message: String| FilterError::new(ErrorKind::UnknownField, message);
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(name, _)| *name == root) {
        return error(format!(
            "runs cannot be filtered or ordered by {root}: {instead}"
        ));
    }
    let rest: String = below.iter().map(|part| format!(".{part}")).collect();
    let suggestion = match root {
        "updated_at" | "updatedAt" => Some("heartbeat_at".to_owned()),
        "lr" | "learning_rate" | "batch_size" | "epochs" | "seed" => Some(format!("config.{root}")),
        "loss" | "acc" | "accuracy" | "val_loss" | "val_acc" | "_step" | "_runtime" => {
            Some(format!("summary_metrics.{root}"))
        }
        _ => {
            let names = FIELDS
                .iter()
                .flat_map(|f| [f.name].into_iter().chain(f.also.iter().copied()));
            nearest(root, names).map(|near| format!("{near}{rest}"))
        }
    };
    let message = if suggestion.is_some() {
        format!("runs have no field {root}")
    } else {
        format!(
            "runs have no field {root}; a hyperparameter is config.{root}, a result is summary_metrics.{root}"
        )
    };
    error(message).with_suggestion(suggestion)
}

impl Vocabulary for RunVocabulary {
    fn resolve(&self, path: &Path) -> Result<Path, FilterError> {
        let Some((root, below)) = path.parts().split_first() else {
            return Ok(path.clone());
        };
        let field = find(root).ok_or_else(|| unknown(root, below))?;
        let mut parts = vec![field.name.to_owned()];
        parts.extend_from_slice(below);
        match field.holds {
            Holds::Section if below.is_empty() => {
                let message = format!("{root} needs a key");
                Err(FilterError::new(ErrorKind::SectionNeedsKey, message)
                    .with_suggestion(Some(format!("{root}.KEY"))))
            }
            Holds::Section => {
                let value = parts.iter().skip(2).position(|part| part == "value");
                let path = Path::new(parts).with_joined_keys(1);
                Ok(match value {
                    Some(at) if field.name == "config" => path.with_optional_part(at + 2),
                    _ => path,
                })
            }
            Holds::Texts if below.len() == 1 && below[0].bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Path::new(parts))
            }
            _ if below.is_empty() => Ok(Path::new(parts)),
            _ => {
                let suggestion = (field.holds == Holds::Texts)
                    .then(|| format!("{{\"{}\": {:?}}}", field.name, below.join(".")));
                let message = format!("{root} has no parts below it");
                Err(FilterError::new(ErrorKind::UnknownField, message).with_suggestion(suggestion))
            }
        }
    }

    fn operand(
        &self,
        path: &Path,
        operator: Operator,
        value: &Value,
    ) -> Result<Option<Value>, FilterError> {
        let root = path.parts().first().map_or("", String::as_str);
        let Some(field) = find(root) else {
            return Ok(None);
        };
        let wrong = |what: &str| {
            let message = format!("{root} is {what}, not {}", value.to_json());
            FilterError::new(ErrorKind::InvalidValue, message)
        };
        match (field.holds, value) {
            (Holds::Section, Value::String(text)) => Ok(super::non_finite(text).map(Value::Double)),
            (Holds::Section, _) | (_, Value::Null) => Ok(None),
            (Holds::Texts, Value::Array(list)) if operator == Operator::Eq && !list.is_empty() => {
                let message = format!("{root} is a list: to have all of some, ask with $all");
                Err(
                    FilterError::new(ErrorKind::Custom("tags_equality_list"), message)
                        .with_suggestion(Some("$all")),
                )
            }
            (Holds::State, Value::String(word)) => state(word).map(Some),
            (Holds::State, _) => Err(wrong("a word")),
            (Holds::Text | Holds::Texts, Value::String(_)) | (Holds::Texts, Value::Array(_)) => {
                Ok(None)
            }
            (Holds::Text | Holds::Texts, Value::Int(_) | Value::Long(_) | Value::Double(_)) => {
                let quoted = format!("\"{}\"", value.to_json());
                Err(wrong("text").with_suggestion(Some(quoted)))
            }
            (Holds::Text | Holds::Texts, _) => Err(wrong("text")),
            (Holds::Number, Value::Int(_) | Value::Long(_) | Value::Double(_)) => Ok(None),
            (Holds::Number, _) => Err(wrong("a number of seconds")),
            (Holds::Bool, Value::Bool(_)) => Ok(None),
            (Holds::Bool, _) => Err(wrong("true or false")),
            (Holds::Time, Value::Date(_)) => Ok(None),
            (Holds::Time, Value::String(text)) => match Value::parse_date(text) {
                Some(date) => Ok(Some(date)),
                None => Err(time(root, value)),
            },
            (Holds::Time, _) => Err(time(root, value)),
        }
    }
}

fn time(root: &str, value: &Value) -> FilterError {
    let message = format!(
        "{root} is a time such as \"2026-01-31\" or \"2026-01-31T12:00:00Z\", not {}",
        value.to_json()
    );
    let ms = match value {
        Value::Int(seconds) => i64::from(*seconds).checked_mul(1000),
        // Milliseconds, unless they would be seconds of this age.
        Value::Long(number) if *number < 100_000_000_000 => number.checked_mul(1000),
        Value::Long(ms) => Some(*ms),
        _ => None,
    };
    let instead = ms.map(|ms| format!("\"{}\"", crate::Timestamp::from_millis(ms)));
    FilterError::new(ErrorKind::ExpectedDatetime, message).with_suggestion(instead)
}

fn state(word: &str) -> Result<Value, FilterError> {
    let lower = word.to_ascii_lowercase();
    if RunState::ALL.iter().any(|state| state.as_str() == lower) {
        return Ok(Value::String(lower));
    }
    let words = RunState::ALL.map(RunState::as_str);
    let message = format!("{word:?} is not a state of a run: {}", words.join(", "));
    Err(FilterError::new(ErrorKind::InvalidValue, message).with_suggestion(nearest(&lower, words)))
}
