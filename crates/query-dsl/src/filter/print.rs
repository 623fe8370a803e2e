//! Filters as JSON text.

use super::{Condition, ElemMatch, Filter, Member, Test};
use crate::{
    Operator, Value,
    operator::{AND, NOR, OPTIONS, OR},
    regex::Pattern,
    write,
};

impl Filter {
    /// The canonical form as compact JSON, with Extended JSON for what JSON lacks.
    ///
    /// Reading it gives the canonical form again. Filters that were built with what cannot be
    /// written (an object that has keys with `$`, an operator twice in one
    /// [`ElemMatch::Value`]) are refused when they are compiled.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        filter(&self.canonical(), &mut out);
        out
    }
}

/// Writes a canonical filter as an object.
fn filter(one: &Filter, out: &mut String) {
    let entries = match one {
        Filter::And(all) if distinct(all) => all.as_slice(),
        other => std::slice::from_ref(other),
    };
    out.push('{');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write::string(&key(entry), out);
        out.push(':');
        match entry {
            Filter::And(list) | Filter::Or(list) | Filter::Nor(list) => {
                write::list(list, out, filter);
            }
            Filter::Field(field) => field_conditions(&field.conditions, out),
            Filter::Comment(value) => write::value(value, out),
        }
    }
    out.push('}');
}

fn key(entry: &Filter) -> String {
    match entry {
        Filter::And(_) => AND.to_owned(),
        Filter::Or(_) => OR.to_owned(),
        Filter::Nor(_) => NOR.to_owned(),
        Filter::Field(field) => field.path.to_string(),
        Filter::Comment(_) => Operator::Comment.as_str().to_owned(),
    }
}

/// Whether the filters can be entries of one object.
fn distinct(all: &[Filter]) -> bool {
    let mut keys: Vec<_> = all.iter().map(key).collect();
    keys.sort_unstable();
    keys.iter().zip(keys.iter().skip(1)).all(|(a, b)| a != b)
}

fn field_conditions(conditions: &[Condition], out: &mut String) {
    match conditions {
        [
            Condition {
                test: Test::Eq(value),
                ..
            },
        ] if !like_expression(value) => write::value(value, out),
        _ => expression(conditions, out),
    }
}

/// Whether a value would be read as operators.
fn like_expression(value: &Value) -> bool {
    matches!(value, Value::Object(entries)
        if entries.keys().next().is_some_and(|key| key.starts_with('$')))
}

fn expression(conditions: &[Condition], out: &mut String) {
    out.push('{');
    for (index, condition) in conditions.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write::string(condition.test.operator().as_str(), out);
        out.push(':');
        test(&condition.test, out);
    }
    out.push('}');
}

fn test(test: &Test, out: &mut String) {
    match test {
        Test::Eq(value)
        | Test::Ne(value)
        | Test::Gt(value)
        | Test::Gte(value)
        | Test::Lt(value)
        | Test::Lte(value)
        | Test::Comment(value) => write::value(value, out),
        Test::In(members) | Test::Nin(members) | Test::All(members) => {
            write::list(members, out, member);
        }
        Test::AllElemMatch(elements) => write::list(elements, out, |element, out| {
            out.push('{');
            write::string(Operator::ElemMatch.as_str(), out);
            out.push(':');
            elem_match(element, out);
            out.push('}');
        }),
        Test::Exists(there) => out.push_str(if *there { "true" } else { "false" }),
        Test::Type(types) => match types.as_slice() {
            [one] => write::string(one.as_str(), out),
            many => write::list(many, out, |one, out| write::string(one.as_str(), out)),
        },
        Test::Size(elements) => out.push_str(&elements.to_string()),
        Test::Mod { divisor, remainder } => out.push_str(&format!("[{divisor},{remainder}]")),
        Test::Bits { mask, .. } => bits(*mask, out),
        Test::Regex(pattern) => {
            write::string(pattern.text(), out);
            if !pattern.options().is_empty() {
                out.push(',');
                write::string(OPTIONS, out);
                out.push(':');
                write::string(pattern.options(), out);
            }
        }
        Test::ElemMatch(element) => elem_match(element, out),
        Test::Not(conditions) => expression(conditions, out),
    }
}

fn bits(mask: u64, out: &mut String) {
    match i64::try_from(mask) {
        Ok(mask) => out.push_str(&mask.to_string()),
        Err(_) => {
            let positions: Vec<_> = (0..64).filter(|bit| mask >> bit & 1 == 1).collect();
            write::list(&positions, out, |bit, out| out.push_str(&bit.to_string()));
        }
    }
}

fn member(member: &Member, out: &mut String) {
    match member {
        Member::Value(value) => write::value(value, out),
        Member::Regex(pattern) => regular_expression(pattern, out),
    }
}

fn regular_expression(pattern: &Pattern, out: &mut String) {
    out.push_str("{\"$regularExpression\":{\"pattern\":");
    write::string(pattern.text(), out);
    out.push_str(",\"options\":");
    write::string(pattern.options(), out);
    out.push_str("}}");
}

fn elem_match(element: &ElemMatch, out: &mut String) {
    match element {
        ElemMatch::Value(conditions) => expression(conditions, out),
        ElemMatch::Object(inner) => match &**inner {
            Filter::And(all) if matches!(all.as_slice(), [Filter::Comment(_)]) => {
                out.push('{');
                write::string(AND, out);
                out.push(':');
                write::list(all, out, filter);
                out.push('}');
            }
            inner => filter(inner, out),
        },
    }
}
