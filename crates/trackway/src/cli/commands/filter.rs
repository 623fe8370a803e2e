use std::io::{self, BufRead, BufReader};

use clap::Args;
use query_dsl::{Filter, Matcher, Order, ParseOptions, SortKey, lazy::JsonText};
use serde::de::IgnoredAny;

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    output::Output,
};

/// Bytes of standard input that are read at once.
const READ: usize = 256 << 10;

/// What is asked of documents.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway runs --jsonl | trackway filter --filter 'config.lr > 0.001 and state = finished'
  trackway filter --filter '{\"tags\": {\"$in\": [\"prod\"]}}' < documents.jsonl
  trackway filter --order=-summary.acc --order name --indices < documents.jsonl

Documents are lines of JSON on standard input, each with fields of its own. They are printed as
they came. Blank lines are skipped. Without --order documents are printed as they are read, and
memory holds one of them; with --order it holds all that match.")]
pub(crate) struct FilterArgs {
    /// Which documents: MongoDB's JSON, or the short form `path > value and …`
    #[arg(long, value_name = "EXPR", required_unless_present = "order")]
    filter: Option<String>,
    /// Sort by this path, `-PATH` downwards; a second one decides where the first does not
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    order: Vec<String>,
    /// Print the places of the documents among all, from 0, not the documents
    #[arg(long)]
    indices: bool,
    /// Read the filter as a MongoDB server does, which accepts what is useless or ambiguous
    #[arg(long)]
    lenient: bool,
}

pub(super) fn run(shell: &mut Shell, args: &FilterArgs) -> Result<Exit> {
    let options = ParseOptions::default();
    let options = if args.lenient {
        options.lenient()
    } else {
        options
    };
    let filter = match &args.filter {
        Some(text) => Filter::parse_any(text, jiff::Timestamp::now(), &options)
            .map_err(|e| Failure::expression("--filter", &e))?,
        None => Filter::And(Vec::new()),
    };
    let matcher = filter
        .compile()
        .map_err(|e| Failure::expression("--filter", &e))?;
    let order = Order::parse(&args.order).map_err(|e| Failure::expression("--order", &e))?;
    let mut work = Work {
        matcher,
        order,
        indices: args.indices,
        out: &mut shell.out,
        lines: 0,
        documents: 0,
        held: Vec::new(),
    };
    work.read(BufReader::with_capacity(READ, io::stdin().lock()))?;
    work.end()?;
    Ok(Exit::Ok)
}

/// What is under way.
#[derive(Debug)]
struct Work<'a> {
    matcher: Matcher,
    order: Order,
    indices: bool,
    out: &'a mut Output,
    /// Read so far.
    lines: u64,
    /// Read so far.
    documents: u64,
    /// What is to be sorted.
    held: Vec<(SortKey, Held)>,
}

/// What will be printed of a document.
#[derive(Debug)]
enum Held {
    Index(u64),
    Text(Box<[u8]>),
}

impl Work<'_> {
    fn read(&mut self, mut input: impl BufRead) -> Result<()> {
        let mut begun = Vec::new();
        loop {
            // Who waits for an answer gets it before this waits for more.
            self.out.flush()?;
            let chunk = match input.fill_buf() {
                Ok(chunk) => chunk,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Failure::io("read standard input", &e)),
            };
            if chunk.is_empty() {
                break;
            }
            let mut from = 0;
            for end in memchr::memchr_iter(b'\n', chunk) {
                let line = chunk.get(from..end).unwrap_or_default();
                if begun.is_empty() {
                    self.line(line)?;
                } else {
                    begun.extend_from_slice(line);
                    self.line(&begun)?;
                    begun.clear();
                }
                from = end + 1;
            }
            begun.extend_from_slice(chunk.get(from..).unwrap_or_default());
            let size = chunk.len();
            input.consume(size);
        }
        if begun.is_empty() {
            Ok(())
        } else {
            self.line(&begun)
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        self.lines += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let text = self.checked(line)?;
        let index = self.documents;
        self.documents += 1;
        let document = JsonText::new(text);
        if !self.matcher.matches(document.root()) {
            return Ok(());
        }
        if self.order.keys.is_empty() {
            return if self.indices {
                self.out.line(index.to_string())
            } else {
                self.out.line(line)
            };
        }
        let held = if self.indices {
            Held::Index(index)
        } else {
            Held::Text(line.into())
        };
        self.held.push((self.order.key(document.root()), held));
        Ok(())
    }

    /// The line, if it is JSON: a filter looks at parts of a document only.
    fn checked<'l>(&self, line: &'l [u8]) -> Result<&'l str> {
        let wrong = |column: usize, why: &str| {
            Failure::new(
                Exit::Failed,
                format!("line {}, column {column}: not JSON: {why}", self.lines),
            )
        };
        let text =
            std::str::from_utf8(line).map_err(|e| wrong(e.valid_up_to() + 1, "not UTF-8"))?;
        match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Ok(text),
            Err(e) => {
                let said = e.to_string();
                let place = format!(" at line {} column {}", e.line(), e.column());
                Err(wrong(
                    e.column(),
                    said.strip_suffix(&place).unwrap_or(&said),
                ))
            }
        }
    }

    /// Prints what was held.
    fn end(self) -> Result<()> {
        let Self {
            order,
            out,
            mut held,
            ..
        } = self;
        held.sort_by(|(a, _), (b, _)| order.compare(a, b));
        for (_, held) in held {
            match held {
                Held::Index(index) => out.line(index.to_string())?,
                Held::Text(text) => out.line(text)?,
            }
        }
        Ok(())
    }
}
