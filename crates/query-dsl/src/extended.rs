//! Extended JSON: objects of one `$` key that stand for what JSON lacks.

use crate::{
    ErrorKind, FilterError, On, Value,
    error::TextPlace,
    json::{Raw, RawKind, push_pointer},
    regex::Pattern,
};

/// What an object of Extended JSON stands for.
pub(crate) enum Extended {
    Value(Value),
    Regex(Pattern),
}

impl Extended {
    pub(crate) fn into_value(self, pointer: &str) -> Result<Value, FilterError> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Regex(_) => Err(FilterError::new(
                ErrorKind::RegexNotAllowed,
                "a regular expression cannot be a value here",
            )
            .at(pointer, On::Value)),
        }
    }
}

/// Names that are Extended JSON for types that are not held here.
const FOREIGN: [&str; 11] = [
    "$oid",
    "$binary",
    "$uuid",
    "$timestamp",
    "$numberDecimal",
    "$minKey",
    "$maxKey",
    "$undefined",
    "$symbol",
    "$code",
    "$dbPointer",
];

/// Whether an object with this one key stands for a scalar.
pub(crate) fn is_scalar(key: &str) -> bool {
    matches!(
        key,
        "$numberDouble" | "$numberInt" | "$numberLong" | "$date"
    )
}

/// What `raw` stands for, or nothing if it is an ordinary object.
pub(crate) fn read(raw: &Raw, pointer: &str, text: &str) -> Result<Option<Extended>, FilterError> {
    let RawKind::Object(entries) = &raw.kind else {
        return Ok(None);
    };
    let [(key, operand)] = entries.as_slice() else {
        return Ok(None);
    };
    let found = match key.text.as_str() {
        "$numberDouble" => number_double(operand).map(|d| Extended::Value(Value::Double(d))),
        "$numberInt" => integer(operand)
            .and_then(|i| i32::try_from(i).ok())
            .map(|i| Extended::Value(Value::Int(i))),
        "$numberLong" => integer(operand).map(|i| Extended::Value(Value::Long(i))),
        "$date" => date(operand).map(|ms| Extended::Value(Value::Date(ms))),
        "$regularExpression" => regular_expression(operand).map(Extended::Regex),
        name if FOREIGN.contains(&name) => None,
        _ => return Ok(None),
    };
    found.map(Some).ok_or_else(|| {
        let mut pointer = pointer.to_owned();
        push_pointer(&mut pointer, &key.text);
        FilterError::new(
            ErrorKind::BadExtendedJson,
            format!("this is no value of {}", key.text),
        )
        .at(pointer, On::Value)
        .in_text((!text.is_empty()).then(|| TextPlace::of(text, operand.at)))
    })
}

fn number_double(raw: &Raw) -> Option<f64> {
    match &raw.kind {
        RawKind::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            digits => digits
                .bytes()
                .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
                .then(|| digits.parse().ok())?,
        },
        RawKind::Double(d) => Some(*d),
        RawKind::Int(i) => Some(f64::from(*i)),
        _ => None,
    }
}

fn integer(raw: &Raw) -> Option<i64> {
    match &raw.kind {
        RawKind::String(text) => text.parse().ok(),
        RawKind::Int(i) => Some((*i).into()),
        RawKind::Long(i) => Some(*i),
        _ => None,
    }
}

fn date(raw: &Raw) -> Option<i64> {
    match &raw.kind {
        RawKind::String(text) => parse_date(text),
        RawKind::Object(entries) => match entries.as_slice() {
            [(key, operand)] if key.text == "$numberLong" => integer(operand),
            _ => None,
        },
        _ => integer(raw),
    }
}

/// The milliseconds of an RFC 3339 time.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let nanos = time.as_nanosecond();
    i64::try_from(nanos.div_euclid(1_000_000)).ok()
}

/// An RFC 3339 time, if the calendar has it.
pub(crate) fn show_date(ms: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    Some(time.to_string())
}

fn regular_expression(raw: &Raw) -> Option<Pattern> {
    let RawKind::Object(entries) = &raw.kind else {
        return None;
    };
    let (mut pattern, mut options) = (None, "");
    for (key, value) in entries {
        let RawKind::String(text) = &value.kind else {
            return None;
        };
        match key.text.as_str() {
            "pattern" => pattern = Some(text.as_str()),
            "options" => options = text,
            _ => return None,
        }
    }
    Some(Pattern::new(pattern?, options))
}
