//! Filters of runs, as far as a tracking server can answer them.
//!
//! Source: MLflow's search syntax (`search_runs(filter_string=…)`): clauses joined by AND, over the
//! latest metrics, params as texts, and attributes. What it cannot say is left out: the listing may
//! hold more runs than the filter asks for, and never less.

use query_dsl::{Condition, Filter, Path, Test, Value};
use tracker_model::RunFilter;

/// Clauses that hold for every run that the filter asks for.
pub(super) fn clauses(filter: &RunFilter) -> Vec<String> {
    let mut out = Vec::new();
    collect(filter.resolved(), &mut out);
    out
}

fn collect(filter: &Filter, out: &mut Vec<String>) {
    match filter {
        Filter::And(all) => all.iter().for_each(|one| collect(one, out)),
        Filter::Field(field) => {
            let clauses = field
                .conditions
                .iter()
                .filter_map(|condition| clause(&field.path, condition));
            out.extend(clauses);
        }
        _ => {}
    }
}

fn clause(path: &Path, condition: &Condition) -> Option<String> {
    let (root, below) = path.parts().split_first()?;
    let (symbol, value) = comparison(&condition.test)?;
    let equal = symbol == "=";
    match root.as_str() {
        "summary_metrics" => {
            let key = quoted_key(below)?;
            Some(format!("metrics.{key} {symbol} {}", number(value)?))
        }
        // With `value` behind it, the key may be another one.
        "config" if equal && path.optional_part().is_none() => {
            let key = quoted_key(below)?;
            Some(format!("params.{key} = {}", text(value)?))
        }
        "name" if equal => Some(format!("attributes.run_id = {}", text(value)?)),
        "display_name" if equal => Some(format!("attributes.run_name = {}", text(value)?)),
        "state" if equal => {
            let status = match value {
                Value::String(state) => match state.as_str() {
                    "running" => "RUNNING",
                    "finished" => "FINISHED",
                    "failed" => "FAILED",
                    "killed" => "KILLED",
                    // Statuses that are not known become others.
                    _ => return None,
                },
                _ => return None,
            };
            Some(format!("attributes.status = '{status}'"))
        }
        "started_at" => Some(format!("attributes.start_time {symbol} {}", date(value)?)),
        // A run without a start was created at some time all the same.
        "created_at" if symbol.starts_with('>') => {
            Some(format!("attributes.start_time {symbol} {}", date(value)?))
        }
        _ => None,
    }
}

fn comparison(test: &Test) -> Option<(&'static str, &Value)> {
    Some(match test {
        Test::Eq(value) => ("=", value),
        Test::Gt(value) => (">", value),
        Test::Gte(value) => (">=", value),
        Test::Lt(value) => ("<", value),
        Test::Lte(value) => ("<=", value),
        _ => return None,
    })
}

/// A key in backticks. MLflow's keys are flat: what is below a section is one key.
fn quoted_key(below: &[String]) -> Option<String> {
    let key = below.join(".");
    (!key.is_empty() && !key.contains(['`', '"', '\\']) && !key.contains(char::is_control))
        .then(|| format!("`{key}`"))
}

/// A number that is the same as a double.
fn number(value: &Value) -> Option<String> {
    const EXACT: i64 = 1 << 53;
    match value {
        Value::Int(value) => Some(value.to_string()),
        Value::Long(value) => (-EXACT..=EXACT).contains(value).then(|| value.to_string()),
        // The syntax has no exponents in older versions.
        Value::Double(value) => {
            let plain = value.is_finite() && (*value == 0.0 || (1e-9..1e15).contains(&value.abs()));
            plain.then(|| value.to_string())
        }
        _ => None,
    }
}

/// A text in quotes: the syntax has no escapes.
fn text(value: &Value) -> Option<String> {
    let Value::String(text) = value else {
        return None;
    };
    let odd = text.contains(['\\', '\n', '\r', '\0']);
    match (text.contains('\''), text.contains('"')) {
        _ if odd || text.trim() != text || text.is_empty() => None,
        (false, _) => Some(format!("'{text}'")),
        (true, false) => Some(format!("\"{text}\"")),
        (true, true) => None,
    }
}

fn date(value: &Value) -> Option<i64> {
    match value {
        Value::Date(ms) => Some(*ms),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, expected: &[&str]) {
        let filter = RunFilter::parse(filter).unwrap();
        assert_eq!(clauses(&filter), expected);
    }

    #[test]
    fn what_a_server_understands_is_asked_of_it() {
        check("summary.val/loss < 0.5", &["metrics.`val/loss` < 0.5"]);
        check("summary.a.b >= -3", &["metrics.`a.b` >= -3"]);
        check(
            r#"{"config.opt": "adam", "state": "finished"}"#,
            &["params.`opt` = 'adam'", "attributes.status = 'FINISHED'"],
        );
        check(
            r#"{"config.who": "it's", "name": "a1"}"#,
            &[r#"params.`who` = "it's""#, "attributes.run_id = 'a1'"],
        );
        check(
            r#"{"$and": [{"created_at": {"$gt": "1970-01-01T00:00:01Z"}}, {"display_name": "x y"}]}"#,
            &[
                "attributes.start_time > 1000",
                "attributes.run_name = 'x y'",
            ],
        );
        check(
            r#"{"summary_metrics.a": {"$gte": 1, "$lt": 2.5}}"#,
            &["metrics.`a` >= 1", "metrics.`a` < 2.5"],
        );
    }

    #[test]
    fn what_it_does_not_is_left_out() {
        for filter in [
            "config.lr > 0.1",
            "config.lr = 0.1",
            r#"{"config.lr.value": "0.1"}"#,
            "state = crashed",
            "state = pending",
            "not state = finished",
            "summary.a = 1 or summary.b = 2",
            r#"{"summary_metrics.a": {"$ne": 1}}"#,
            r#"{"summary_metrics.a": {"$exists": true}}"#,
            r#"{"summary_metrics.a": 9007199254740993}"#,
            r#"{"summary_metrics.a": {"$gt": {"$numberDouble": "Infinity"}}}"#,
            r#"{"summary_metrics.a": null}"#,
            r#"{"summary_metrics.a`b": 1}"#,
            r#"{"config.a": "both ' and \""}"#,
            r#"{"config.a": "line\nend"}"#,
            r#"{"created_at": {"$lt": "2026-01-01"}}"#,
            r#"{"tags": "x"}"#,
            r#"{"display_name": {"$regex": "^a"}}"#,
        ] {
            check(filter, &[]);
        }
    }
}
