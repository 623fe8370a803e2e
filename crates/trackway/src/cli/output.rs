//! Data on standard output: tables for people, tab-separated lines in a pipe, JSON on request.

mod listing;
mod markup;

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::{
    failure::{Failure, Result},
    settings::{Color, GlobalArgs},
    talk::wants_colour,
};

pub(crate) use listing::{Listing, left, right};
pub(crate) use markup::{csv_line, latex, markdown};

/// The form of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Aligned columns with a header.
    Table,
    /// A line a row, tabs between the cells.
    Tsv,
    /// Comma-separated values with a header.
    Csv,
    /// A table of Markdown.
    Markdown,
    /// A table of LaTeX.
    Latex,
    /// One document.
    Json,
    /// A document a line.
    Jsonl,
}

/// The forms of lists that a command may offer beside `--json` and `--jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Aligned columns
    Table,
    /// Comma-separated values with a header
    Csv,
    /// Tabs between the cells, no header
    Tsv,
    /// A Markdown table
    #[value(alias = "md")]
    Markdown,
    /// One JSON document
    Json,
    /// A JSON document a line
    Jsonl,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Table => Self::Table,
            FormatArg::Csv => Self::Csv,
            FormatArg::Tsv => Self::Tsv,
            FormatArg::Markdown => Self::Markdown,
            FormatArg::Json => Self::Json,
            FormatArg::Jsonl => Self::Jsonl,
        }
    }
}

/// Standard output.
pub(crate) struct Output {
    to: Box<dyn Write + Send>,
    /// The form of the data.
    pub(crate) format: Format,
    /// Whether colours are used.
    pub(crate) colour: bool,
    /// Whether it is a terminal.
    pub(crate) terminal: bool,
    /// Columns of characters.
    pub(crate) width: usize,
    /// A document before it is written.
    scratch: Vec<u8>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("format", &self.format)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Standard output, for these flags.
    pub(crate) fn new(global: &GlobalArgs, color: Color) -> Self {
        let terminal = io::stdout().is_terminal();
        let format = match (global.json, global.jsonl, terminal) {
            (true, ..) => Format::Json,
            (_, true, _) => Format::Jsonl,
            (.., true) => Format::Table,
            _ => Format::Tsv,
        };
        Self {
            to: Box::new(BufWriter::with_capacity(64 << 10, io::stdout())),
            format,
            colour: wants_colour(color, terminal),
            terminal,
            width: width(terminal),
            scratch: Vec::new(),
        }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.format, Format::Json | Format::Jsonl)
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        self.to.write_all(text.as_ref()).map_err(|e| failed(&e))
    }

    /// Writes text and ends the line.
    pub(crate) fn line(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        self.text(text)?;
        self.text("\n")
    }

    /// Writes one JSON document.
    pub(crate) fn document(&mut self, shape: &impl Serialize) -> Result<()> {
        if self.format == Format::Jsonl {
            return self.compact(shape, "\n");
        }
        serde_json::to_writer_pretty(&mut self.to, shape).map_err(|e| failed(&e.into()))?;
        self.text("\n")
    }

    /// Writes JSON on one line, and what follows it.
    fn compact(&mut self, shape: &impl Serialize, then: &str) -> Result<()> {
        // One call for the document in place of one for each of its tokens.
        self.scratch.clear();
        serde_json::to_writer(&mut self.scratch, shape).map_err(|e| failed(&e.into()))?;
        self.scratch.extend_from_slice(then.as_bytes());
        self.to.write_all(&self.scratch).map_err(|e| failed(&e))
    }

    /// Writes out what is waiting.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.to.flush().map_err(|e| failed(&e))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn failed(e: &io::Error) -> Failure {
    Failure::io("write to standard output", e)
}

/// The width of the terminal; `COLUMNS` wins.
fn width(terminal: bool) -> usize {
    let told = std::env::var("COLUMNS")
        .ok()
        .and_then(|c| c.parse().ok())
        .filter(|c| *c > 0);
    told.unwrap_or_else(|| {
        if terminal {
            console::Term::stdout().size().1.into()
        } else {
            100
        }
    })
}
