use std::borrow::Cow;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::{Format, Output};
use crate::cli::{failure::Result, text::one_line};

/// Rows that are aligned together: more than a screen, and not all of a million.
const ALIGNED: usize = 1000;

/// A column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    title: Cow<'static, str>,
    right: bool,
}

/// A column of text.
pub(crate) const fn left(title: &'static str) -> Column {
    Column {
        title: Cow::Borrowed(title),
        right: false,
    }
}

/// A column of numbers.
pub(crate) const fn right(title: &'static str) -> Column {
    Column {
        title: Cow::Borrowed(title),
        right: true,
    }
}

/// A list that is written as it comes.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    out: &'a mut Output,
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    count: u64,
}

impl<'a> Listing<'a> {
    /// An empty list.
    pub(crate) fn new(out: &'a mut Output, columns: &[Column]) -> Self {
        Self {
            out,
            columns: columns.to_vec(),
            rows: Vec::new(),
            count: 0,
        }
    }

    /// More columns, of whatever.
    pub(crate) fn add_columns(&mut self, titles: &[String]) {
        self.columns.extend(titles.iter().map(|title| Column {
            title: title.clone().into(),
            right: false,
        }));
    }

    /// Adds a row: its JSON, and its cells for people.
    pub(crate) fn row(
        &mut self,
        shape: &impl Serialize,
        cells: impl FnOnce() -> Vec<String>,
    ) -> Result<()> {
        self.count += 1;
        match self.out.format {
            Format::Json => {
                self.out.text(if self.count == 1 { "[\n" } else { ",\n" })?;
                let line = serde_json::to_vec(shape).map_err(|e| super::failed(&e.into()))?;
                self.out.text(line)
            }
            Format::Jsonl => self.out.document(shape),
            Format::Tsv => {
                let cells: Vec<_> = cells().iter().map(|cell| one_line(cell)).collect();
                self.out.line(cells.join("\t"))
            }
            Format::Table => {
                self.rows.push(cells());
                if self.rows.len() < ALIGNED {
                    Ok(())
                } else {
                    self.table()
                }
            }
        }
    }

    /// Ends the list.
    pub(crate) fn end(mut self) -> Result<u64> {
        match self.out.format {
            Format::Json if self.count == 0 => self.out.line("[]")?,
            Format::Json => self.out.line("\n]")?,
            Format::Table if !self.rows.is_empty() => self.table()?,
            _ => {}
        }
        Ok(self.count)
    }

    fn table(&mut self) -> Result<()> {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(self.out.width).unwrap_or(u16::MAX));
        if self.out.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let align = |column: &Column| {
            if column.right {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            }
        };
        table.set_header(self.columns.iter().map(|c| {
            Cell::new(one_line(&c.title))
                .set_alignment(align(c))
                .add_attribute(Attribute::Bold)
        }));
        for row in self.rows.drain(..) {
            let cells = row.iter().zip(&self.columns);
            table.add_row(cells.map(|(text, c)| Cell::new(one_line(text)).set_alignment(align(c))));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.lines() {
            self.out.line(line.trim_end())?;
        }
        Ok(())
    }
}
