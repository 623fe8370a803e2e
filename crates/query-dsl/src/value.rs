//! Values of documents and operands.

use indexmap::IndexMap;

use crate::{
    FilterError, extended,
    json::{self, JsonOptions, Raw, RawKind},
    write,
};

/// The entries of an object, in their order.
pub type Object = IndexMap<String, Value>;

/// A value of a document, or an operand of a filter.
///
/// `==` means the same value in the same representation (`1`, `1.0` and a long 1 differ, NaN is
/// itself, the order of keys counts). What a filter calls equal is [`crate::compare`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 32 bits; what JSON literals in that range become.
    Int(i32),
    /// A whole number of 64 bits.
    Long(i64),
    /// A double, NaN and the infinities included.
    Double(f64),
    /// Text.
    String(String),
    /// Values in order.
    Array(Vec<Self>),
    /// Named values in order.
    Object(Object),
    /// An instant: milliseconds since 1970-01-01T00:00:00Z.
    Date(i64),
}

impl Value {
    /// The instant that a text names: an RFC 3339 time, a date (its midnight), or a time without a
    /// zone (UTC).
    pub fn parse_date(text: &str) -> Option<Self> {
        crate::short::date(text).map(Self::Date)
    }

    /// Reads a value from JSON text, with Extended JSON for what JSON lacks.
    ///
    /// ```
    /// use query_dsl::Value;
    ///
    /// let value = Value::parse_json(r#"{"loss": {"$numberDouble": "NaN"}}"#)?;
    /// assert_eq!(value.to_json(), r#"{"loss":{"$numberDouble":"NaN"}}"#);
    /// assert!(Value::parse_json(r#"{"a": 1, "a": 2}"#).is_err());
    /// # Ok::<(), query_dsl::FilterError>(())
    /// ```
    ///
    /// # Errors
    /// The text is not JSON, has a key twice, is nested too deep, or has Extended JSON that says
    /// nothing.
    pub fn parse_json(text: &str) -> Result<Self, FilterError> {
        Self::parse_json_with(text, &JsonOptions::default())
    }

    /// As [`Value::parse_json`], with limits and leniencies.
    ///
    /// # Errors
    /// As [`Value::parse_json`].
    pub fn parse_json_with(text: &str, options: &JsonOptions) -> Result<Self, FilterError> {
        let raw = json::parse(text, options)?;
        Self::from_raw(&raw, &mut String::new(), text)
    }

    /// The value as compact JSON, with Extended JSON for dates, NaN, the infinities and longs that
    /// would read as shorter integers.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        write::value(self, &mut out);
        out
    }

    fn from_raw(raw: &Raw, pointer: &mut String, text: &str) -> Result<Self, FilterError> {
        Ok(match &raw.kind {
            RawKind::Array(items) => {
                let mut out = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let end = json::push_pointer(pointer, &index.to_string());
                    out.push(Self::from_raw(item, pointer, text)?);
                    pointer.truncate(end);
                }
                Self::Array(out)
            }
            RawKind::Object(entries) => {
                if let Some(found) = extended::read(raw, pointer, text)? {
                    return found.into_value(pointer);
                }
                let mut out = Object::with_capacity(entries.len());
                for (key, item) in entries {
                    let end = json::push_pointer(pointer, &key.text);
                    out.insert(key.text.clone(), Self::from_raw(item, pointer, text)?);
                    pointer.truncate(end);
                }
                Self::Object(out)
            }
            scalar => scalar.to_scalar(),
        })
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Long(a), Self::Long(b)) | (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => {
                a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
            }
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a.iter().eq(b.iter()),
            _ => false,
        }
    }
}

impl Eq for Value {}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value)
    }
}

impl From<i64> for Value {
    /// The shorter integer where it fits, as a JSON literal would be read.
    fn from(value: i64) -> Self {
        i32::try_from(value).map_or(Self::Long(value), Self::Int)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

impl From<Object> for Value {
    fn from(entries: Object) -> Self {
        Self::Object(entries)
    }
}

impl From<jiff::Timestamp> for Value {
    fn from(time: jiff::Timestamp) -> Self {
        Self::Date(time.as_millisecond())
    }
}
