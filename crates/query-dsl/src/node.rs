//! Documents as a filter sees them.

use crate::{Key, Object, Value};

/// What a part of a document is. Scalars come with their value.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Kind<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 32 bits.
    Int(i32),
    /// A whole number of 64 bits.
    Long(i64),
    /// A double.
    Double(f64),
    /// Text.
    String(&'a str),
    /// An instant: milliseconds since 1970-01-01T00:00:00Z.
    Date(i64),
    /// See [`Node::items`] and [`Node::item`].
    Array,
    /// See [`Node::entries`] and [`Node::get`].
    Object,
}

/// A part of a document: a cheap handle, so that a store need not build JSON to be asked.
///
/// `'a` is how long the document lives. The document itself is a node whose kind is
/// [`Kind::Object`].
pub trait Node<'a>: Copy {
    /// What it is.
    fn kind(self) -> Kind<'a>;

    /// The value at a key of an object; nothing for what is no object.
    fn get(self, key: &str) -> Option<Self>;

    /// As [`Node::get`], for a key that is looked up in many documents.
    fn get_key(self, key: &Key) -> Option<Self> {
        self.get(key.as_str())
    }

    /// An element of an array; nothing for what is no array.
    fn item(self, index: usize) -> Option<Self>;

    /// The elements of an array in order; nothing for what is no array.
    fn items(self) -> impl Iterator<Item = Self>;

    /// The entries of an object in order; nothing for what is no object.
    fn entries(self) -> impl Iterator<Item = (&'a str, Self)>;
}

impl<'a> Node<'a> for &'a Value {
    fn kind(self) -> Kind<'a> {
        match self {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Bool(*value),
            Value::Int(value) => Kind::Int(*value),
            Value::Long(value) => Kind::Long(*value),
            Value::Double(value) => Kind::Double(*value),
            Value::String(value) => Kind::String(value),
            Value::Date(value) => Kind::Date(*value),
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        }
    }

    fn get(self, key: &str) -> Option<Self> {
        match self {
            Value::Object(entries) => entries.get(key),
            _ => None,
        }
    }

    fn item(self, index: usize) -> Option<Self> {
        match self {
            Value::Array(items) => items.get(index),
            _ => None,
        }
    }

    fn items(self) -> impl Iterator<Item = Self> {
        match self {
            Value::Array(items) => items.iter(),
            _ => [].iter(),
        }
    }

    fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let entries = match self {
            Value::Object(entries) => Some(entries),
            _ => None,
        };
        entries
            .into_iter()
            .flat_map(|entries| entries.iter().map(|(key, value)| (key.as_str(), value)))
    }
}

impl<'a> Node<'a> for &'a serde_json::Value {
    fn kind(self) -> Kind<'a> {
        use serde_json::Value as Json;
        match self {
            Json::Null => Kind::Null,
            Json::Bool(value) => Kind::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(long) => i32::try_from(long).map_or(Kind::Long(long), Kind::Int),
                None => Kind::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(value) => Kind::String(value),
            Json::Array(_) => Kind::Array,
            Json::Object(_) => Kind::Object,
        }
    }

    fn get(self, key: &str) -> Option<Self> {
        self.as_object()?.get(key)
    }

    fn item(self, index: usize) -> Option<Self> {
        self.as_array()?.get(index)
    }

    fn items(self) -> impl Iterator<Item = Self> {
        self.as_array().into_iter().flatten()
    }

    fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        self.as_object()
            .into_iter()
            .flat_map(|entries| entries.iter().map(|(key, value)| (key.as_str(), value)))
    }
}

/// A copy of a node.
pub(crate) fn to_value<'a, N: Node<'a>>(node: N) -> Value {
    match node.kind() {
        Kind::Null => Value::Null,
        Kind::Bool(value) => Value::Bool(value),
        Kind::Int(value) => Value::Int(value),
        Kind::Long(value) => Value::Long(value),
        Kind::Double(value) => Value::Double(value),
        Kind::String(value) => Value::String(value.to_owned()),
        Kind::Date(value) => Value::Date(value),
        Kind::Array => Value::Array(node.items().map(to_value).collect()),
        Kind::Object => Value::Object(
            node.entries()
                .map(|(key, value)| (key.to_owned(), to_value(value)))
                .collect::<Object>(),
        ),
    }
}
