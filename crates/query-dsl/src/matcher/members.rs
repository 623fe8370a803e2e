//! Lists of values, looked up by hash.

use std::collections::HashSet;

use crate::{FilterError, Kind, Node, Value, compare::compare, filter::Member};

/// The members of `$in`.
#[derive(Debug, Default)]
pub(super) struct Members {
    null: bool,
    truths: HashSet<bool>,
    numbers: HashSet<(bool, u64)>,
    strings: HashSet<String>,
    dates: HashSet<i64>,
    /// Arrays and objects.
    others: Vec<Value>,
    patterns: Vec<regex::Regex>,
}

impl Members {
    pub(super) fn new(members: &[Member]) -> Result<Self, FilterError> {
        let mut out = Self::default();
        for member in members {
            match member {
                Member::Regex(pattern) => out.patterns.push(pattern.compile()?),
                Member::Value(value) => out.add(value),
            }
        }
        Ok(out)
    }

    fn add(&mut self, value: &Value) {
        match value.kind() {
            Kind::Null => self.null = true,
            Kind::Bool(truth) => {
                self.truths.insert(truth);
            }
            Kind::String(text) => {
                self.strings.insert(text.to_owned());
            }
            Kind::Date(date) => {
                self.dates.insert(date);
            }
            Kind::Array | Kind::Object => self.others.push(value.clone()),
            number => self.numbers.extend(number.number().map(|n| n.hashed())),
        }
    }

    pub(super) fn has<'a, N: Node<'a>>(&self, candidate: Option<N>) -> bool {
        let Some(node) = candidate else {
            return self.null;
        };
        match node.kind() {
            Kind::Null => self.null,
            Kind::Bool(truth) => self.truths.contains(&truth),
            Kind::String(text) => {
                self.strings.contains(text) || self.patterns.iter().any(|p| p.is_match(text))
            }
            Kind::Date(date) => self.dates.contains(&date),
            Kind::Array | Kind::Object => {
                self.others.iter().any(|other| compare(node, other).is_eq())
            }
            number => number
                .number()
                .is_some_and(|n| self.numbers.contains(&n.hashed())),
        }
    }
}
