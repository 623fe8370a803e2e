//! Filters in the short form.

use std::fmt::Write as _;

use super::{length_of_time, lex::is_word, literal};
use crate::{
    Filter, Path, Pattern, Test, Value,
    extended::show_date,
    filter::{Condition, Member},
    write,
};

impl Filter {
    /// The filter in the short form, if that has words for all of it. Reading it gives a filter of
    /// the same canonical form.
    pub fn to_short(&self) -> Option<String> {
        let mut out = String::new();
        filter(&self.canonical(), Above::Nothing, &mut out)?;
        Some(out)
    }
}

/// What a filter is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    Nothing,
    Or,
    And,
    Not,
}

fn filter(one: &Filter, above: Above, out: &mut String) -> Option<()> {
    match one {
        Filter::And(all) if all.is_empty() => (above == Above::Nothing).then_some(()),
        Filter::And(all) => {
            let open = above == Above::Not;
            joined(all, " and ", Above::And, open, out)
        }
        Filter::Or(any) => {
            let open = matches!(above, Above::And | Above::Not);
            joined(any, " or ", Above::Or, open, out)
        }
        Filter::Nor(none) => match none.as_slice() {
            [one] => {
                out.push_str("not ");
                filter(one, Above::Not, out)
            }
            _ => None,
        },
        Filter::Field(field) => {
            let open = above == Above::Not && field.conditions.len() > 1;
            if open {
                out.push('(');
            }
            for (index, one) in field.conditions.iter().enumerate() {
                if index > 0 {
                    out.push_str(" and ");
                }
                path(&field.path, out);
                condition(one, out)?;
            }
            if open {
                out.push(')');
            }
            Some(())
        }
        Filter::Comment(_) => None,
    }
}

fn joined(list: &[Filter], word: &str, above: Above, open: bool, out: &mut String) -> Option<()> {
    if open {
        out.push('(');
    }
    for (index, one) in list.iter().enumerate() {
        if index > 0 {
            out.push_str(word);
        }
        filter(one, above, out)?;
    }
    if open {
        out.push(')');
    }
    Some(())
}

fn path(path: &Path, out: &mut String) {
    for (index, part) in path.parts().iter().enumerate() {
        let reserved = index == 0 && part.eq_ignore_ascii_case("not");
        let plain = !part.is_empty() && part.chars().all(is_word) && !part.contains('.');
        if plain && !reserved {
            let dot = if index == 0 { "" } else { "." };
            let _ = write!(out, "{dot}{part}");
        } else {
            out.push('[');
            write::string(part, out);
            out.push(']');
        }
    }
}

fn condition(condition: &Condition, out: &mut String) -> Option<()> {
    match &condition.test {
        Test::Eq(operand) => binary(" = ", operand, false, out),
        Test::Ne(operand) => binary(" != ", operand, false, out),
        Test::Gt(operand) => binary(" > ", operand, true, out),
        Test::Gte(operand) => binary(" >= ", operand, true, out),
        Test::Lt(operand) => binary(" < ", operand, true, out),
        Test::Lte(operand) => binary(" <= ", operand, true, out),
        Test::In(list) => members(" in ", list, out),
        Test::Nin(list) => members(" not in ", list, out),
        Test::All(list) => members(" has-all ", list, out),
        Test::Exists(true) => {
            out.push_str(" exists");
            Some(())
        }
        Test::Exists(false) => {
            out.push_str(" missing");
            Some(())
        }
        Test::Regex(one) => pattern(" ~ ", one, out),
        Test::Not(conditions) => match conditions.as_slice() {
            [
                Condition {
                    test: Test::Regex(one),
                    ..
                },
            ] => pattern(" !~ ", one, out),
            _ => None,
        },
        _ => None,
    }
}

fn binary(symbol: &str, operand: &Value, before_now: bool, out: &mut String) -> Option<()> {
    out.push_str(symbol);
    value(operand, before_now, out)
}

fn members(word: &str, list: &[Member], out: &mut String) -> Option<()> {
    out.push_str(word);
    let values = list.iter().map(|member| match member {
        Member::Value(value) => Some(value),
        Member::Regex(_) => None,
    });
    items(values, out)
}

fn items<'v>(values: impl Iterator<Item = Option<&'v Value>>, out: &mut String) -> Option<()> {
    out.push('[');
    for (index, item) in values.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        value(item?, false, out)?;
    }
    out.push(']');
    Some(())
}

fn value(value: &Value, before_now: bool, out: &mut String) -> Option<()> {
    match value {
        Value::Array(list) => return items(list.iter().map(Some), out),
        Value::Date(ms) => out.push_str(&show_date(*ms)?),
        Value::String(text) => {
            let bare = text.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && text.chars().all(is_word)
                && literal(text.clone()) == *value
                && !(before_now && length_of_time(text).is_some());
            if bare {
                out.push_str(text);
            } else {
                write::string(text, out);
            }
        }
        Value::Double(d) if !d.is_finite() => out.push_str(match *d {
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "NaN",
        }),
        Value::Long(long) if i32::try_from(*long).is_ok() => return None,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Long(_) | Value::Double(_) => {
            write::value(value, out);
        }
        Value::Object(_) => return None,
    }
    Some(())
}

fn pattern(symbol: &str, pattern: &Pattern, out: &mut String) -> Option<()> {
    out.push_str(symbol);
    if pattern.options().is_empty() {
        write::string(pattern.text(), out);
        return Some(());
    }
    let text = pattern.text();
    // An escaped slash would lose its backslash, a trailing one would escape the end.
    if text.contains('/') || text.ends_with('\\') {
        return None;
    }
    let _ = write!(out, "/{text}/{}", pattern.options());
    Some(())
}
