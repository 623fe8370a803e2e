//! Compact JSON text.

use std::fmt::Write as _;

use crate::{Value, extended::show_date};

/// Appends a string literal.
pub(crate) fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a value, with Extended JSON where plain JSON would read as something else.
pub(crate) fn value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Long(value) if i32::try_from(*value).is_ok() => {
            let _ = write!(out, "{{\"$numberLong\":\"{value}\"}}");
        }
        Value::Long(value) => out.push_str(&value.to_string()),
        Value::Double(value) => double(*value, out),
        Value::String(text) => string(text, out),
        Value::Date(ms) => match show_date(*ms) {
            Some(text) => {
                let _ = write!(out, "{{\"$date\":\"{text}\"}}");
            }
            None => {
                let _ = write!(out, "{{\"$date\":{{\"$numberLong\":\"{ms}\"}}}}");
            }
        },
        Value::Array(items) => list(items, out, self::value),
        Value::Object(entries) => {
            out.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                string(key, out);
                out.push(':');
                self::value(item, out);
            }
            out.push('}');
        }
    }
}

/// Appends an array.
pub(crate) fn list<T>(items: &[T], out: &mut String, mut one: impl FnMut(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        one(item, out);
    }
    out.push(']');
}

fn double(value: f64, out: &mut String) {
    if value.is_finite() {
        // The debug form keeps `.0`, has an exponent for the very large and small, and is the
        // shortest that reads back as the same number.
        let _ = write!(out, "{value:?}");
    } else {
        let name = match value {
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "NaN",
        };
        let _ = write!(out, "{{\"$numberDouble\":\"{name}\"}}");
    }
}
