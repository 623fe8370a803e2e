//! From a filter to a plan.

use std::cmp::Ordering;

use super::{
    Check, Element, Matcher, Plan,
    members::Members,
    probe::{Probe, Range, Types},
    route::Route,
    search::Search,
};
use crate::{
    ErrorKind, Filter, FilterError, On, ParseOptions, Test, Value,
    filter::{Condition, ElemMatch, Member, repeats},
};

type Result<T, E = FilterError> = std::result::Result<T, E>;

/// Built filters nest `and` and `not` more than read ones do.
const MAX_DEPTH: usize = 2 * ParseOptions::MAX_DEPTH;

impl Filter {
    /// Makes the filter ready to be applied.
    ///
    /// # Errors
    /// It was built with a path or a pattern that is none, or nests too deep. A filter that was read
    /// compiles.
    pub fn compile(&self) -> Result<Matcher> {
        Ok(Matcher {
            plan: plan(self, 0)?,
        })
    }
}

fn deeper(depth: usize) -> Result<usize> {
    if depth < MAX_DEPTH {
        Ok(depth + 1)
    } else {
        let message = format!("the filter nests deeper than {MAX_DEPTH} levels");
        Err(FilterError::new(ErrorKind::TooDeep, message))
    }
}

fn plan(filter: &Filter, depth: usize) -> Result<Plan> {
    let depth = deeper(depth)?;
    let list = |filters: &[Filter]| -> Result<Vec<Plan>> {
        filters.iter().map(|one| plan(one, depth)).collect()
    };
    Ok(match filter {
        Filter::And(all) => Plan::And(list(all)?),
        Filter::Or(any) => Plan::Or(list(any)?),
        Filter::Nor(none) => Plan::Nor(list(none)?),
        Filter::Comment(_) => Plan::Const(true),
        Filter::Field(field) => {
            let place = &field.place;
            let located = |error: FilterError| {
                error
                    .at(place.pointer(), On::Key)
                    .in_text(place.text_place())
            };
            field.path.check().map_err(located)?;
            Plan::Field(Route::new(&field.path), checks(&field.conditions, depth)?)
        }
    })
}

fn checks(conditions: &[Condition], depth: usize) -> Result<Vec<Check>> {
    let one = |condition: &Condition| {
        check(&condition.test, depth).map_err(|error| {
            let place = &condition.place;
            if error.pointer().is_empty() {
                error
                    .at(place.pointer(), On::Value)
                    .in_text(place.text_place())
            } else {
                error
            }
        })
    };
    conditions.iter().map(one).collect()
}

fn check(test: &Test, depth: usize) -> Result<Check> {
    let depth = deeper(depth)?;
    let not = |check| Check::Not(vec![check]);
    Ok(match test {
        Test::Eq(value) => equal(value),
        Test::Ne(value) => not(equal(value)),
        Test::Gt(value) => range(value, Ordering::Greater, false),
        Test::Gte(value) => range(value, Ordering::Greater, true),
        Test::Lt(value) => range(value, Ordering::Less, false),
        Test::Lte(value) => range(value, Ordering::Less, true),
        Test::In(members) => Check::Some(Probe::In(Box::new(Members::new(members)?))),
        Test::Nin(members) => not(Check::Some(Probe::In(Box::new(Members::new(members)?)))),
        Test::All(members) if members.is_empty() => Check::Const(false),
        Test::All(members) => {
            let all = members.iter().map(|member| match member {
                Member::Value(value) => Ok(equal(value)),
                Member::Regex(pattern) => Ok(Check::Some(Probe::Regex(Search::new(pattern)?))),
            });
            Check::Every(all.collect::<Result<_>>()?)
        }
        Test::AllElemMatch(elements) if elements.is_empty() => Check::Const(false),
        Test::AllElemMatch(elements) => {
            let all = elements.iter().map(|one| element(one, depth));
            Check::Every(all.collect::<Result<_>>()?)
        }
        Test::Exists(true) => Check::Some(Probe::Exists),
        Test::Exists(false) => not(Check::Some(Probe::Exists)),
        Test::Type(types) => Check::Some(Probe::Type(Types::new(types))),
        Test::Size(size) => Check::Some(Probe::Size(*size)),
        Test::Mod { divisor: 0, .. } => {
            let message = "the divisor is zero";
            return Err(FilterError::new(ErrorKind::ModZeroDivisor, message));
        }
        Test::Mod { divisor, remainder } => Check::Some(Probe::Mod {
            divisor: *divisor,
            remainder: *remainder,
        }),
        Test::Bits { mode, mask } => Check::Some(Probe::Bits {
            mode: *mode,
            mask: *mask,
        }),
        Test::Regex(pattern) => Check::Some(Probe::Regex(Search::new(pattern)?)),
        Test::ElemMatch(one) => element(one, depth)?,
        Test::Not(conditions) => Check::Not(checks(conditions, depth)?),
        Test::Comment(_) => Check::Const(true),
    })
}

fn equal(value: &Value) -> Check {
    Check::Some(match value {
        Value::Null => Probe::Null,
        Value::String(text) => Probe::Text(text.clone()),
        other => Probe::Equal(other.clone()),
    })
}

fn range(value: &Value, side: Ordering, or_equal: bool) -> Check {
    match value {
        Value::Null if or_equal => Check::Some(Probe::Null),
        Value::Null => Check::Const(false),
        other => Check::Some(Probe::Range(Box::new(Range::new(other, side, or_equal)))),
    }
}

fn element(inner: &ElemMatch, depth: usize) -> Result<Check> {
    let element = match inner {
        ElemMatch::Value(conditions) if repeats(conditions) => {
            let message = "an element is tested by one operator twice";
            return Err(FilterError::new(ErrorKind::DuplicateKey, message));
        }
        ElemMatch::Value(conditions) if conditions.is_empty() => {
            let message = "an element is tested by no operator";
            return Err(FilterError::new(ErrorKind::EmptyExpression, message));
        }
        ElemMatch::Value(conditions) => Element::Value(checks(conditions, depth)?),
        ElemMatch::Object(filter) => Element::Object(plan(filter, depth)?),
    };
    Ok(Check::Some(Probe::Element(Box::new(element))))
}
