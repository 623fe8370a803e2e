//! Lists of values, looked up by hash.

use std::{borrow::Borrow, collections::HashSet, hash::Hash};

use super::search::Search;
use crate::{FilterError, Kind, Node, Value, compare::compare, filter::Member};

/// The members of `$in`.
#[derive(Debug, Default)]
pub(super) struct Members {
    null: bool,
    truths: Set<bool>,
    numbers: Set<(bool, u64)>,
    strings: Set<String>,
    dates: Set<i64>,
    /// Arrays and objects.
    others: Vec<Value>,
    patterns: Vec<Search>,
}

impl Members {
    pub(super) fn new(members: &[Member]) -> Result<Self, FilterError> {
        let mut out = Self::default();
        for member in members {
            match member {
                Member::Regex(pattern) => out.patterns.push(Search::new(pattern)?),
                Member::Value(value) => out.add(value),
            }
        }
        Ok(out)
    }

    fn add(&mut self, value: &Value) {
        match value.kind() {
            Kind::Null => self.null = true,
            Kind::Bool(truth) => self.truths.add(truth),
            Kind::String(text) => self.strings.add(text.to_owned()),
            Kind::Date(date) => self.dates.add(date),
            Kind::Array | Kind::Object => self.others.push(value.clone()),
            number => {
                if let Some(number) = number.number() {
                    self.numbers.add(number.hashed());
                }
            }
        }
    }

    pub(super) fn has<'a, N: Node<'a>>(&self, candidate: Option<N>) -> bool {
        let Some(node) = candidate else {
            return self.null;
        };
        match node.kind() {
            Kind::Null => self.null,
            Kind::Bool(truth) => self.truths.has(&truth),
            Kind::String(text) => {
                self.strings.has(text) || self.patterns.iter().any(|p| p.finds(text))
            }
            Kind::Date(date) => self.dates.has(&date),
            Kind::Array | Kind::Object => {
                self.others.iter().any(|other| compare(node, other).is_eq())
            }
            number => number
                .number()
                .is_some_and(|n| self.numbers.has(&n.hashed())),
        }
    }
}

/// So few are compared one by one sooner than hashed.
const FEW: usize = 8;

#[derive(Debug)]
enum Set<T> {
    Few(Vec<T>),
    Many(HashSet<T>),
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<T: Eq + Hash> Set<T> {
    fn add(&mut self, value: T) {
        match self {
            Self::Few(few) if few.len() < FEW => few.push(value),
            Self::Few(few) => {
                let all = few.drain(..).chain([value]);
                *self = Self::Many(all.collect());
            }
            Self::Many(many) => {
                many.insert(value);
            }
        }
    }

    fn has<Q: Eq + Hash + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        match self {
            Self::Few(few) => few.iter().any(|one| one.borrow() == value),
            Self::Many(many) => many.contains(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_are_found_alike() {
        for count in 0..3 * FEW {
            let mut set = Set::default();
            for value in 0..count {
                set.add(value.to_string());
                set.add(value.to_string());
            }
            for value in 0..4 * FEW {
                let found = set.has(value.to_string().as_str());
                assert_eq!(found, value < count, "{value} of {count}");
            }
        }
    }
}
