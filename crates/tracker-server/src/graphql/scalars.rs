//! The scalars of W&B's schema.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, InputValueError, InputValueResult, Name, OutputType, Positioned, Scalar,
    ScalarType, ServerResult, Value, parser::types::Field, registry::Registry,
};
use tracker_model::Timestamp;

/// JSON text inside a string. Python's bare words for numbers may stand in it.
#[derive(Debug, Clone)]
pub(crate) struct JsonString(pub(crate) String);

#[Scalar(name = "JSONString")]
impl ScalarType for JsonString {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            // What clients mean by an object in this place is clear.
            Value::Object(_) | Value::List(_) => Ok(Self(value.to_string())),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// An object with this as its only key is written as the JSON text that it holds. It is the one of
/// the feature `raw_value`, which does not export it; a test tells if it changes.
const RAW: &str = "$serde_json::private::RawValue";

/// JSON as a part of the answer: strict, without words for numbers.
#[derive(Debug, Clone)]
pub(crate) struct Json(pub(crate) String);

impl Json {
    pub(crate) fn of(value: &serde_json::Value) -> Self {
        Self(value.to_string())
    }
}

#[Scalar(name = "JSON")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.to_string()))
    }

    fn to_value(&self) -> Value {
        raw(self.0.clone())
    }
}

/// A value of which the text goes into the answer as it is.
fn raw(json: String) -> Value {
    let raw = (Name::new(RAW), Value::String(json));
    Value::Object([raw].into_iter().collect())
}

/// A list of texts that is there as JSON already. Clients see a list like any other; for the engine
/// it is one thing, so that it does not look at thousands.
#[derive(Debug)]
pub(crate) struct Texts(String);

impl Texts {
    /// The texts, each a JSON string with its quotes.
    pub(crate) fn of(quoted: &[String]) -> Self {
        Self(format!("[{}]", quoted.join(",")))
    }
}

impl OutputType for Texts {
    fn type_name() -> Cow<'static, str> {
        Vec::<String>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<String>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> ServerResult<Value> {
        Ok(raw(self.0.clone()))
    }
}

/// An integer of 64 bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Int64(pub(crate) i64);

#[Scalar(name = "Int64")]
impl ScalarType for Int64 {
    fn parse(value: Value) -> InputValueResult<Self> {
        let read = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        read.map(Self)
            .ok_or_else(|| InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.into())
    }
}

/// Milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Duration(pub(crate) i64);

#[Scalar(name = "Duration")]
impl ScalarType for Duration {
    fn parse(value: Value) -> InputValueResult<Self> {
        Int64::parse(value)
            .map(|number| Self(number.0))
            .map_err(InputValueError::propagate)
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.into())
    }
}

/// An instant, RFC 3339.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DateTime(pub(crate) Timestamp);

#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => match text.parse() {
                Ok(at) => Ok(Self(at)),
                Err(e) => Err(InputValueError::custom(e)),
            },
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_it_is() {
        let value = Json(r#"[{"b":1.50,"a":[]}]"#.to_owned()).to_value();
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(text, r#"[{"b":1.50,"a":[]}]"#);
    }
}
