//! Documents that are read where they lie: JSON text and SQLite's JSONB.
//!
//! Neither is parsed first. What a filter does not ask for is skipped, so that a few fields of a
//! large document are found at a good part of the speed at which memory is read:
//!
//! ```
//! use query_dsl::{Filter, lazy::JsonText};
//!
//! let matcher = Filter::field("config.lr").lt(0.1).compile()?;
//! let document = JsonText::new(r#"{"config": {"lr": 0.01, "layers": [1, 2]}}"#);
//! assert!(matcher.matches(document.root()));
//! # Ok::<(), query_dsl::FilterError>(())
//! ```
//!
//! A document reads as [`crate::Value::parse_json`] reads it, Extended JSON included. It is meant
//! for what was checked when it was stored: a fault is met only where somebody looks, and is no
//! error but an answer. What is no value reads as null, and so do arrays and objects that nest
//! deeper than [`MAX_DEPTH`], and in JSONB text that is not UTF-8. What comes after a fault in an
//! array or an object is not there. An escape that means nothing is U+FFFD. Of a key that is there
//! twice, the first counts. Whatever the bytes are, nothing
//! panics, and going through them takes time in proportion to their number and to their depth.

mod binary;
mod escape;
mod skip;
mod text;

pub use binary::{Jsonb, JsonbNode};
pub use text::{JsonNode, JsonText};

use crate::{
    Kind, Node, Value, extended,
    json::{Raw, RawKey, RawKind},
};

/// How deep arrays and objects nest; it bounds the recursion of what uses them.
pub const MAX_DEPTH: usize = 250;

/// The scalar that an object of these entries is as Extended JSON.
fn extended<'a, N: Node<'a>>(
    mut entries: impl Iterator<Item = (&'a str, N)>,
) -> Option<Kind<'static>> {
    let (key, operand) = entries.next()?;
    if !extended::is_scalar(key) {
        return None;
    }
    let operand = match operand.kind() {
        Kind::String(text) => RawKind::String(text.to_owned()),
        Kind::Int(value) => RawKind::Int(value),
        Kind::Long(value) => RawKind::Long(value),
        Kind::Double(value) => RawKind::Double(value),
        _ => return None,
    };
    if entries.next().is_some() {
        return None;
    }
    let raw = |kind| Raw { at: 0, kind };
    let key = RawKey {
        at: 0,
        text: key.to_owned(),
    };
    let object = raw(RawKind::Object(vec![(key, raw(operand))]));
    let found = extended::read(&object, "", "").ok()??;
    Some(match found.into_value("").ok()? {
        Value::Int(value) => Kind::Int(value),
        Value::Long(value) => Kind::Long(value),
        Value::Double(value) => Kind::Double(value),
        Value::Date(value) => Kind::Date(value),
        _ => return None,
    })
}

/// The number that a literal of JSON is, as [`Value::parse_json`] reads it.
fn number<'a>(literal: &str, whole: bool) -> Option<Kind<'a>> {
    if whole && let Ok(value) = literal.parse::<i64>() {
        return Some(i32::try_from(value).map_or(Kind::Long(value), Kind::Int));
    }
    literal.parse().ok().map(Kind::Double)
}
