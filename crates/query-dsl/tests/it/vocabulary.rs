//! A vocabulary like that of a tracker, over the filters that it has to refuse.

use query_dsl::{
    ErrorKind, Filter, FilterError, Operator, Order, ParseOptions, Path, Value, Vocabulary, nearest,
};

use crate::{data::lines, invalid::check};

const FIELDS: [&str; 11] = [
    "name",
    "display_name",
    "state",
    "tags",
    "created_at",
    "heartbeat_at",
    "duration",
    "username",
    "group",
    "sweep",
    "job_type",
];
const SECTIONS: [&str; 2] = ["config", "summary_metrics"];
const STATES: [&str; 4] = ["running", "finished", "crashed", "failed"];

struct Runs;

fn unknown(field: &str, suggestion: Option<String>) -> FilterError {
    FilterError::new(
        ErrorKind::UnknownField,
        format!("runs have no field {field}"),
    )
    .with_suggestion(suggestion)
}

impl Vocabulary for Runs {
    fn resolve(&self, path: &Path) -> Result<Path, FilterError> {
        let root = path.parts()[0].as_str();
        let rest = || {
            path.parts()[1..]
                .iter()
                .map(|part| format!(".{part}"))
                .collect::<String>()
        };
        if SECTIONS.contains(&root) {
            if path.parts().len() == 1 {
                let message = format!("{root} needs a key");
                return Err(FilterError::new(ErrorKind::SectionNeedsKey, message)
                    .with_suggestion(Some(format!("{root}.lr"))));
            }
            let mut parts = path.parts().to_vec();
            if parts.get(2).is_some_and(|part| part == "value") {
                parts.remove(2);
            }
            return Ok(Path::new(parts).with_joined_keys(1));
        }
        if FIELDS.contains(&root) {
            return Ok(path.clone());
        }
        let alias = match root {
            "displayName" => return Ok(Path::new(["display_name"])),
            "summary" | "summaryMetrics" => Some(format!("summary_metrics{}", rest())),
            "user" => Some("username".to_owned()),
            "lr" => Some("config.lr".to_owned()),
            _ => nearest(root, FIELDS.into_iter().chain(SECTIONS))
                .map(|near| format!("{near}{}", rest())),
        };
        Err(unknown(root, alias))
    }

    fn operand(
        &self,
        path: &Path,
        operator: Operator,
        value: &Value,
    ) -> Result<Option<Value>, FilterError> {
        let fail = |kind: ErrorKind| Err(FilterError::new(kind, "no such value"));
        match (path.parts()[0].as_str(), value) {
            ("tags", Value::Array(_)) if operator == Operator::Eq => {
                let error = FilterError::new(ErrorKind::Custom("tags_equality_list"), "a list");
                Err(error.with_suggestion(Some("$all")))
            }
            ("tags", Value::String(_) | Value::Null) => Ok(None),
            ("tags", _) => fail(ErrorKind::ExpectedString),
            ("state", Value::String(state)) if !STATES.contains(&state.as_str()) => {
                let near = nearest(state, STATES).or((state == "done").then_some("finished"));
                let error = FilterError::new(ErrorKind::Custom("unknown_state"), "no state");
                Err(error.with_suggestion(near))
            }
            ("created_at" | "heartbeat_at", Value::String(text)) => {
                match text.parse::<jiff::Timestamp>() {
                    Ok(time) => Ok(Some(Value::from(time))),
                    Err(_) => fail(ErrorKind::ExpectedDatetime),
                }
            }
            ("created_at" | "heartbeat_at", Value::Int(_)) => fail(ErrorKind::ExpectedDatetime),
            ("duration", Value::String(_)) => fail(ErrorKind::ExpectedNumber),
            _ => Ok(None),
        }
    }
}

#[test]
fn what_a_tracker_does_not_know_is_refused_where_it_is_written() {
    let lines = lines("query-invalid.jsonl");
    let options = ParseOptions::default().with_contains();
    let tracker: Vec<_> = lines
        .iter()
        .filter(|line| line.text("profile").unwrap() == "wandb")
        .collect();
    assert_eq!(tracker.len(), 20);
    let wrong: Vec<_> = tracker
        .iter()
        .filter_map(|line| {
            let filter = Filter::parse_json_with(&line.text("text").unwrap(), &options);
            check(
                line,
                filter.and_then(|filter| filter.resolve(&Runs)).map(|_| ()),
            )
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn names_and_operands_are_replaced() {
    let text = r#"{"displayName":"x","config.lr.value":{"$gt":1},"created_at":{"$not":{"$lt":"2026-01-01T00:00:00Z"}}}"#;
    let filter = Filter::parse_json(text).unwrap().resolve(&Runs).unwrap();
    assert_eq!(
        filter.to_json(),
        r#"{"display_name":"x","config.lr":{"$gt":1},"created_at":{"$not":{"$lt":{"$date":"2026-01-01T00:00:00Z"}}}}"#
    );
    let order = Order::parse(["-displayName", "config.a.b"])
        .unwrap()
        .resolve(&Runs)
        .unwrap();
    let keys: Vec<_> = order.keys.iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["-display_name", "+config.a.b"]);
    let error = Order::parse(["state", "stat"])
        .unwrap()
        .resolve(&Runs)
        .unwrap_err();
    assert_eq!((error.pointer(), error.suggestion()), ("/1", Some("state")));
}

#[test]
fn keys_with_dots_are_found_either_way() {
    let filter = Filter::parse_json(r#"{"config.a.b":1}"#)
        .unwrap()
        .resolve(&Runs)
        .unwrap();
    let matcher = filter.compile().unwrap();
    let matches = |document: &str| matcher.matches(&Value::parse_json(document).unwrap());
    assert!(matches(r#"{"config":{"a.b":1}}"#));
    assert!(matches(r#"{"config":{"a":{"b":1}}}"#));
    assert!(matches(r#"{"config":{"a.b":2,"a":{"b":1}}}"#));
    assert!(!matches(r#"{"config.a.b":1}"#));
    let missing = Filter::parse_json(r#"{"config.a.b":null}"#)
        .unwrap()
        .resolve(&Runs)
        .unwrap();
    let missing = missing.compile().unwrap();
    assert!(!missing.matches(&Value::parse_json(r#"{"config":{"a.b":1}}"#).unwrap()));
    assert!(missing.matches(&Value::parse_json(r#"{"config":{}}"#).unwrap()));
}
