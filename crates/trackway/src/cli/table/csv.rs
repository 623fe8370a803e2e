use std::io::{self, Write};

use super::{Cell, ColumnKind, Table, TableColumn};
use crate::cli::failure::{Failure, Result};

/// Comma-separated values as RFC 4180 has them, with a header. Doubles are written in their
/// shortest exact form, times of type [`ColumnKind::Seconds`] as decimal seconds.
pub(crate) struct CsvTable {
    writer: csv::Writer<Box<dyn Write + Send>>,
    seconds: Vec<bool>,
    scratch: Vec<u8>,
}

impl CsvTable {
    /// Writes the header.
    pub(crate) fn new(to: Box<dyn Write + Send>, columns: &[TableColumn]) -> Result<Self> {
        let mut writer = csv::WriterBuilder::new()
            .buffer_capacity(64 << 10)
            .from_writer(to);
        writer
            .write_record(columns.iter().map(|c| c.name.as_bytes()))
            .map_err(failed)?;
        let seconds = columns
            .iter()
            .map(|c| matches!(c.kind, ColumnKind::Seconds { .. }))
            .collect();
        Ok(Self {
            writer,
            seconds,
            scratch: Vec::new(),
        })
    }
}

impl Table for CsvTable {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<()> {
        for (cell, seconds) in cells.iter().zip(&self.seconds) {
            let written = match cell {
                Cell::Missing => self.writer.write_field(""),
                Cell::Text(text) => self.writer.write_field(text.as_bytes()),
                number => {
                    self.scratch.clear();
                    write_number(&mut self.scratch, number, *seconds).map_err(|e| io_failed(&e))?;
                    self.writer.write_field(&self.scratch)
                }
            };
            written.map_err(failed)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(failed)
    }

    fn end(mut self: Box<Self>) -> Result<Box<dyn Write + Send>> {
        self.writer.flush().map_err(|e| io_failed(&e))?;
        self.writer.into_inner().map_err(|e| io_failed(e.error()))
    }
}

/// Writes what needs no quotes; doubles in the shortest form that is exact.
fn write_number(to: &mut Vec<u8>, cell: &Cell<'_>, seconds: bool) -> io::Result<()> {
    match cell {
        Cell::F64(x) if x.is_finite() => serde_json::to_writer(to, x).map_err(Into::into),
        Cell::F64(x) if x.is_nan() => to.write_all(b"NaN"),
        Cell::F64(x) => to.write_all(if *x > 0.0 { b"Infinity" } else { b"-Infinity" }),
        Cell::I64(n) => write!(to, "{n}"),
        Cell::Bool(b) => write!(to, "{b}"),
        Cell::Time(t) if seconds => to.write_all(t.to_decimal_seconds().as_bytes()),
        Cell::Time(t) => write!(to, "{t}"),
        Cell::Missing | Cell::Text(_) => Ok(()),
    }
}

fn failed(e: csv::Error) -> Failure {
    match e.into_kind() {
        csv::ErrorKind::Io(e) => io_failed(&e),
        other => Failure::new(
            crate::cli::failure::Exit::Failed,
            format!("write CSV: {other:?}"),
        ),
    }
}

fn io_failed(e: &io::Error) -> Failure {
    Failure::io("write CSV", e)
}
