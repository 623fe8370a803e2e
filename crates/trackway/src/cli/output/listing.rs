use std::borrow::Cow;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::{Format, Output, csv_line, markdown};
use crate::cli::{failure::Result, text::one_line};

/// Rows that are aligned together: more than a screen, and not all of a million.
const ALIGNED: usize = 1000;

/// A column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    title: Cow<'static, str>,
    right: bool,
    /// Whether the title is a name of the user's, which files take as it is.
    named: bool,
}

impl Column {
    /// The title in files.
    fn name(&self) -> String {
        if self.named {
            return self.title.to_string();
        }
        let plain = self.title.trim_end_matches(" (UTC)");
        plain.to_lowercase().replace(' ', "_")
    }
}

/// A column of text.
pub(crate) const fn left(title: &'static str) -> Column {
    Column {
        title: Cow::Borrowed(title),
        right: false,
        named: false,
    }
}

/// A column of numbers.
pub(crate) const fn right(title: &'static str) -> Column {
    Column {
        title: Cow::Borrowed(title),
        right: true,
        named: false,
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

    /// More columns, of whatever, under the user's own names.
    pub(crate) fn add_columns(&mut self, names: &[String]) {
        self.columns.extend(names.iter().map(|name| Column {
            title: name.clone().into(),
            right: false,
            named: true,
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
                self.out.compact(shape, "")
            }
            Format::Jsonl => self.out.document(shape),
            Format::Tsv => {
                let cells: Vec<_> = cells().iter().map(|cell| one_line(cell)).collect();
                self.out.line(cells.join("\t"))
            }
            Format::Csv => {
                self.head()?;
                csv_line(self.out, &cells())
            }
            Format::Markdown => {
                self.head()?;
                let cells: Vec<_> = cells().iter().map(|cell| markdown(cell)).collect();
                self.out.line(format!("| {} |", cells.join(" | ")))
            }
            Format::Table | Format::Latex => {
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
            Format::Csv | Format::Markdown if self.count == 0 => {
                self.count = 1;
                self.head()?;
                self.count = 0;
            }
            Format::Table | Format::Latex if !self.rows.is_empty() => self.table()?,
            _ => {}
        }
        Ok(self.count)
    }

    /// Writes the header before the first row.
    fn head(&mut self) -> Result<()> {
        if self.count != 1 {
            return Ok(());
        }
        let names = self.columns.iter().map(Column::name);
        if self.out.format == Format::Csv {
            return csv_line(self.out, &names.collect::<Vec<_>>());
        }
        let names: Vec<_> = names.map(|name| markdown(&name)).collect();
        let rules = self
            .columns
            .iter()
            .map(|c| if c.right { "--:" } else { "---" });
        let rules: Vec<_> = rules.collect();
        self.out.line(format!("| {} |", names.join(" | ")))?;
        self.out.line(format!("| {} |", rules.join(" | ")))
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
