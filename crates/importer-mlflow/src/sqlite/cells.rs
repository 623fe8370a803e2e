//! The values of one row, in turn. SQLite keeps what it is given, of whatever type.

use rusqlite::{Row, types::ValueRef};

/// Reads the columns of a row from left to right.
pub(super) struct Cells<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
    /// Whether something was of another type than it should be, and was changed or left out.
    pub(super) odd: bool,
}

impl<'a, 'r> Cells<'a, 'r> {
    pub(super) fn new(row: &'a Row<'r>) -> Self {
        Self {
            row,
            next: 0,
            odd: false,
        }
    }

    fn value(&mut self) -> ValueRef<'a> {
        self.next += 1;
        self.row.get_ref(self.next - 1).unwrap_or(ValueRef::Null)
    }

    /// A text; what is not UTF-8 of it is replaced.
    pub(super) fn text(&mut self) -> Option<String> {
        let value = self.value();
        match text(value) {
            Ok(text) => text,
            Err(_) => {
                self.odd = true;
                value
                    .as_bytes()
                    .ok()
                    .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            }
        }
    }

    /// As [`Cells::text`], empty if there is none.
    pub(super) fn text_or_empty(&mut self) -> String {
        self.text().unwrap_or_default()
    }

    /// An integer.
    pub(super) fn integer(&mut self) -> Option<i64> {
        let value = self.value();
        let out = integer(value);
        self.odd |= out.is_none() && value != ValueRef::Null;
        out
    }

    /// A double.
    pub(super) fn double(&mut self) -> Option<f64> {
        let value = self.value();
        let out = double(value);
        self.odd |= out.is_none() && value != ValueRef::Null;
        out
    }

    /// A key and a value that must be whole, or why they are not.
    pub(super) fn pair(&mut self) -> Result<(String, Option<String>), (String, &'static str)> {
        let (key, value) = (self.value(), self.value());
        let shown = || String::from_utf8_lossy(key.as_bytes().unwrap_or_default()).into_owned();
        match (text(key), text(value)) {
            (Ok(Some(key)), Ok(value)) => Ok((key, value)),
            (Ok(None), _) => Err((shown(), "its key is missing")),
            (Err(_), _) => Err((shown(), "its key is not UTF-8")),
            (_, Err(_)) => Err((shown(), "its value is not UTF-8")),
        }
    }
}

/// Bytes that are no text.
#[derive(Debug)]
pub(super) struct NotUtf8;

/// A text; numbers as SQLite writes them.
pub(super) fn text(value: ValueRef<'_>) -> Result<Option<String>, NotUtf8> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number.to_string())),
        ValueRef::Real(number) => Ok(Some(format!("{number:?}"))),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(NotUtf8),
        },
    }
}

/// An integer, whichever way it is written.
pub(super) fn integer(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(number) => Some(number),
        ValueRef::Real(number) => whole(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            std::str::from_utf8(bytes).ok()?.trim().parse().ok()
        }
        ValueRef::Null => None,
    }
}

/// A double that is an integer.
#[allow(clippy::cast_possible_truncation)]
fn whole(number: f64) -> Option<i64> {
    let fits = number.fract() == 0.0
        && (-9.223_372_036_854_775e18..9.223_372_036_854_775e18).contains(&number);
    fits.then_some(number as i64)
}

/// A double, whichever way it is written.
#[allow(clippy::cast_precision_loss)]
pub(super) fn double(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Real(number) => Some(number),
        ValueRef::Integer(number) => Some(number as f64),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            std::str::from_utf8(bytes).ok()?.trim().parse().ok()
        }
        ValueRef::Null => None,
    }
}
