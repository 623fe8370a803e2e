//! One form for filters that say the same in other words.

use super::{Condition, ElemMatch, FieldFilter, Filter, Test};

impl Filter {
    /// The same filter in its canonical form: nested `$and` and `$or` are flattened, one of one is
    /// unwrapped, what is asked of one field is together where each operator occurs once, and in
    /// the order of [`crate::Operator`].
    ///
    /// [`Filter::to_json`] writes this form, and reading that gives it again.
    #[must_use]
    pub fn canonical(&self) -> Self {
        match self {
            Self::And(all) => {
                let mut flat = Vec::new();
                for one in all {
                    match one.canonical() {
                        Self::And(more) => more.into_iter().for_each(|f| add(f, &mut flat)),
                        other => add(other, &mut flat),
                    }
                }
                // In front, a comment would make `$elemMatch` take the rest for operators.
                flat.sort_by_key(|one| matches!(one, Self::Comment(_)));
                single(flat, Self::And)
            }
            Self::Or(any) => {
                let mut flat = Vec::new();
                for one in any {
                    match one.canonical() {
                        Self::Or(more) => flat.extend(more),
                        other => flat.push(other),
                    }
                }
                if flat.is_empty() {
                    return Self::none();
                }
                single(flat, Self::Or)
            }
            Self::Nor(none) if none.is_empty() => Self::all(),
            Self::Nor(none) => Self::Nor(none.iter().map(Self::canonical).collect()),
            Self::Field(field) => {
                let mut flat = Vec::new();
                for one in &field.conditions {
                    add(alone(field, one), &mut flat);
                }
                single(flat, Self::And)
            }
            Self::Comment(_) => self.clone(),
        }
    }
}

fn single(mut flat: Vec<Filter>, group: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match (flat.len(), flat.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            flat.extend(last);
            group(flat)
        }
    }
}

/// Adds to a conjunction: each condition to the first that is there of the same field and lacks its
/// operator.
fn add(filter: Filter, flat: &mut Vec<Filter>) {
    let Filter::Field(field) = filter else {
        flat.push(filter);
        return;
    };
    for condition in field.conditions {
        let operator = condition.test.operator();
        let free = flat.iter_mut().find_map(|other| match other {
            Filter::Field(other) if other.path == field.path => {
                let mut known = other.conditions.iter();
                known
                    .all(|old| old.test.operator() != operator)
                    .then_some(other)
            }
            _ => None,
        });
        match free {
            Some(other) => {
                other.conditions.push(condition);
                sort(&mut other.conditions);
            }
            None => flat.push(Filter::Field(FieldFilter {
                path: field.path.clone(),
                conditions: vec![condition],
                place: field.place.clone(),
            })),
        }
    }
}

fn sort(conditions: &mut [Condition]) {
    conditions.sort_by_key(|condition| condition.test.operator());
}

/// One condition of a field, as a filter.
fn alone(field: &FieldFilter, one: &Condition) -> Filter {
    let of = |conditions: Vec<Condition>| {
        Filter::Field(FieldFilter {
            path: field.path.clone(),
            conditions,
            place: field.place.clone(),
        })
    };
    match &one.test {
        // What `$not` cannot say in one object is said of the whole field.
        Test::Not(inner) if repeats(inner) => Filter::Nor(vec![of(inner.clone()).canonical()]),
        _ => of(vec![condition(one)]),
    }
}

/// Whether an operator occurs twice in what would be one object.
pub(crate) fn repeats(conditions: &[Condition]) -> bool {
    let mut operators: Vec<_> = conditions.iter().map(|c| c.test.operator()).collect();
    operators.sort_unstable();
    let twice = operators
        .iter()
        .zip(operators.iter().skip(1))
        .any(|(a, b)| a == b);
    twice
        || conditions
            .iter()
            .any(|c| matches!(&c.test, Test::Not(inner) if repeats(inner)))
}

fn condition(condition: &Condition) -> Condition {
    let test = match &condition.test {
        // The complement of what always holds.
        Test::Not(inner) if inner.is_empty() => Test::In(Vec::new()),
        Test::Not(inner) => Test::Not(sorted(inner)),
        Test::ElemMatch(inner) => Test::ElemMatch(elem_match(inner)),
        Test::AllElemMatch(inner) if inner.is_empty() => Test::All(Vec::new()),
        Test::AllElemMatch(inner) => Test::AllElemMatch(inner.iter().map(elem_match).collect()),
        other => other.clone(),
    };
    Condition {
        test,
        place: condition.place.clone(),
    }
}

fn sorted(conditions: &[Condition]) -> Vec<Condition> {
    let mut out: Vec<_> = conditions.iter().map(condition).collect();
    sort(&mut out);
    out
}

fn elem_match(inner: &ElemMatch) -> ElemMatch {
    match inner {
        ElemMatch::Value(conditions) => ElemMatch::Value(sorted(conditions)),
        ElemMatch::Object(filter) => {
            let filter = match filter.canonical() {
                // Alone, it would be taken for an operator of the element.
                comment @ Filter::Comment(_) => Filter::And(vec![comment]),
                other => other,
            };
            ElemMatch::Object(Box::new(filter))
        }
    }
}
