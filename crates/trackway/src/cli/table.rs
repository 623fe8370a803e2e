//! Tables that go into files: typed columns, written row by row in bounded memory.

mod csv;
mod kind;
mod parquet;

use std::{borrow::Cow, io::Write};

use tracker_model::Timestamp;

use super::failure::Result;

pub(crate) use csv::CsvTable;
pub(crate) use kind::{KindOf, changed};
pub(crate) use parquet::ParquetTable;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// Doubles.
    F64,
    /// Integers of 64 bits.
    I64,
    /// Booleans.
    Bool,
    /// Text; of other values, their JSON.
    Text,
    /// Times. In Parquet nanoseconds if all of them fit (years 1678 to 2261), else milliseconds.
    Time {
        /// Whether all of them fit.
        nanos: bool,
    },
    /// Times as decimal seconds in text files; in Parquet as [`ColumnKind::Time`].
    Seconds {
        /// Whether all of them fit.
        nanos: bool,
    },
}

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct TableColumn {
    /// The name in the header.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) kind: ColumnKind,
}

impl TableColumn {
    /// A column.
    pub(crate) fn new(name: impl Into<String>, kind: ColumnKind) -> Self {
        Self {
            name: name.into(),
            kind,
        }
    }
}

/// One value of a row. It has the kind of its column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Nothing.
    Missing,
    /// A double.
    F64(f64),
    /// An integer.
    I64(i64),
    /// A boolean.
    Bool(bool),
    /// Text.
    Text(Cow<'a, str>),
    /// A time.
    Time(Timestamp),
}

impl<'a> Cell<'a> {
    /// Text that is there already.
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

/// Where rows go. A table is complete only when it was ended.
pub(crate) trait Table: Send {
    /// Writes a row, a cell for each column.
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<()>;

    /// Writes what is left, and gives back what it wrote to.
    fn end(self: Box<Self>) -> Result<Box<dyn Write + Send>>;
}
