use std::collections::BTreeMap;

use serde_json::{Number, Value as Json};
use tracker_model::{JsonObject, RunPath};

use crate::Run;

/// Where a value that is compared comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// The hyperparameters.
    Config,
    /// The results.
    Summary,
}

impl Section {
    /// The word, such as `config`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Summary => "summary",
        }
    }
}

/// Any number of runs side by side, key by key.
///
/// Objects are taken apart into their members, empty ones aside; arrays are compared whole. The rows
/// are in order of sections and of keys.
///
/// Source: `run.config` of several runs in one data frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    runs: Vec<RunPath>,
    rows: Vec<ComparisonRow>,
}

/// One key of all runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ComparisonRow {
    /// Where it is from.
    pub section: Section,
    /// The keys from the outermost object to the value.
    pub keys: Vec<String>,
    /// The value in each run, in the order of the runs; `None` where a run has no such key.
    pub values: Vec<Option<Json>>,
}

impl Comparison {
    /// Puts runs side by side.
    pub fn of(runs: &[Run]) -> Self {
        let mut found: BTreeMap<(Section, Vec<String>), Vec<Option<Json>>> = BTreeMap::new();
        for (at, run) in runs.iter().enumerate() {
            for (section, object) in [
                (Section::Config, run.config()),
                (Section::Summary, run.summary()),
            ] {
                flatten(&mut Vec::new(), object, &mut |keys, value| {
                    let values = found
                        .entry((section, keys.to_vec()))
                        .or_insert_with(|| vec![None; runs.len()]);
                    if let Some(place) = values.get_mut(at) {
                        *place = Some(value.clone());
                    }
                });
            }
        }
        let rows = found
            .into_iter()
            .map(|((section, keys), values)| ComparisonRow {
                section,
                keys,
                values,
            });
        Self {
            runs: runs.iter().map(|run| run.path().clone()).collect(),
            rows: rows.collect(),
        }
    }

    /// The runs, in the order of the values.
    pub fn runs(&self) -> &[RunPath] {
        &self.runs
    }

    /// A row for each key that any of the runs has.
    pub fn rows(&self) -> &[ComparisonRow] {
        &self.rows
    }

    /// Without the rows in which all runs are the same.
    #[must_use]
    pub fn only_differing(mut self) -> Self {
        self.rows.retain(ComparisonRow::differs);
        self
    }
}

impl ComparisonRow {
    /// The keys with dots between them. Where keys have dots themselves, two rows may read alike.
    pub fn key(&self) -> String {
        self.keys.join(".")
    }

    /// Whether any two runs differ. Numbers are equal if their values are, as 1 and 1.0; a missing
    /// value differs from every other, null included.
    pub fn differs(&self) -> bool {
        let Some((first, rest)) = self.values.split_first() else {
            return false;
        };
        rest.iter().any(|value| match (first, value) {
            (Some(a), Some(b)) => !equal(a, b),
            (a, b) => a.is_some() != b.is_some(),
        })
    }

    /// How much greater the number of one run is than that of another, runs being counted from 0.
    /// `None` if one of both has no number there. The difference of two integers is exact before it
    /// is made a double.
    pub fn difference(&self, from: usize, to: usize) -> Option<f64> {
        let number = |at: usize| self.values.get(at)?.as_ref()?.as_number();
        let (from, to) = (number(from)?, number(to)?);
        match (integer(from), integer(to)) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "of doubles, this is the nearest"
            )]
            (Some(a), Some(b)) => Some((b - a) as f64),
            _ => Some(to.as_f64()? - from.as_f64()?),
        }
    }
}

/// The names of the runs; where one comes twice, or there is none, the ids; where these come twice,
/// the whole addresses.
pub fn titles(runs: &[Run]) -> Vec<String> {
    let unique = |name: &dyn Fn(&Run) -> String, run: &Run| {
        let mine = name(run);
        let same = runs.iter().filter(|other| name(other) == mine).count();
        (same == 1).then_some(mine)
    };
    let name = |run: &Run| run.name().to_owned();
    let id = |run: &Run| run.id().to_owned();
    runs.iter()
        .map(|run| {
            unique(&name, run)
                .or_else(|| unique(&id, run))
                .unwrap_or_else(|| run.path().to_string())
        })
        .collect()
}

fn flatten<'a>(
    above: &mut Vec<String>,
    object: &'a JsonObject,
    each: &mut impl FnMut(&[String], &'a Json),
) {
    for (key, value) in object {
        above.push(key.clone());
        match value {
            Json::Object(inner) if !inner.is_empty() => flatten(above, inner, each),
            leaf => each(above, leaf),
        }
        above.pop();
    }
}

/// Whether two values are equal, numbers by their values.
fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => same_number(a, b),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.as_f64() == b.as_f64(),
        // One is an integer, and the other has a fraction or is far greater than those.
        _ => false,
    }
}

/// A number as an integer, if it is one of less than 2^100.
fn integer(number: &Number) -> Option<i128> {
    const FAR: f64 = (1u128 << 100) as f64;
    if let Some(x) = number.as_i64() {
        return Some(x.into());
    }
    if let Some(x) = number.as_u64() {
        return Some(x.into());
    }
    let x = number.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it was looked whether it fits"
    )]
    (x.fract() == 0.0 && x.abs() < FAR).then_some(x as i128)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_equal_by_value() {
        for (a, b) in [
            (json!(1), json!(1.0)),
            (json!(0), json!(-0.0)),
            (json!(1e300), json!(1e300)),
            (json!(u64::MAX), json!(u64::MAX)),
            (json!([1, { "a": 2.0 }]), json!([1.0, { "a": 2 }])),
            (json!("1"), json!("1")),
        ] {
            assert!(equal(&a, &b) && equal(&b, &a), "{a} {b}");
        }
        for (a, b) in [
            (json!(1), json!(1.5)),
            (json!(1), json!("1")),
            (json!(1), json!(true)),
            (json!((1u64 << 53) + 1), json!((1u64 << 53) as f64)),
            (json!(u64::MAX), json!(u64::MAX as f64)),
            (json!(u64::MAX), json!(1e300)),
            (json!([1]), json!([1, 1])),
            (json!({ "a": 1 }), json!({ "b": 1 })),
        ] {
            assert!(!equal(&a, &b) && !equal(&b, &a), "{a} {b}");
        }
    }
}
