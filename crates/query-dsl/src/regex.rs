//! Regular expressions: what RE2, PCRE and the `regex` crate mean alike.

mod class;
mod translate;

use std::borrow::Cow;

use regex_syntax::hir::{Hir, HirKind, Look};

use crate::{ErrorKind, FilterError};
use translate::{Scope, Translated};

/// The longest pattern, in bytes.
pub(crate) const MAX_PATTERN: usize = 32_764;
/// The most memory that a compiled pattern takes, in bytes.
const MAX_COMPILED: usize = 4 << 20;
/// How deep groups nest.
const MAX_NESTING: u32 = 100;
const OPTIONS: &str = "imsx";

/// A regular expression with its options, as it was written.
///
/// The syntax is what RE2 has, searched for anywhere in a text, in linear time. `\d`, `\w`, `\s` and
/// `\b` know ASCII only, `$` without the option `m` means the very end. Look-around,
/// back-references and whatever else needs backtracking are refused.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    options: String,
    lenient: bool,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.options == other.options
    }
}

impl Eq for Pattern {}

/// Patterns that are plainer than a regular expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The text holds this.
    Contains(String),
    /// The text begins with this.
    Prefix(String),
    /// The text is this.
    Exact(String),
}

impl Pattern {
    /// A pattern; options are letters of `imsx`, in any order. It is checked when the filter is
    /// compiled.
    pub fn new(pattern: &str, options: &str) -> Self {
        let options = if Self::odd_option(options).is_none() {
            let given = |letter: &char| options.contains(*letter);
            OPTIONS.chars().filter(given).collect()
        } else {
            options.to_owned()
        };
        Self {
            text: pattern.to_owned(),
            options,
            lenient: false,
        }
    }

    /// A pattern that finds this very text.
    pub fn literal(text: &str) -> Self {
        Self::new(&regex_syntax::escape(text), "")
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Letters of `imsx` in this order, each once: case-insensitive, multi-line, dot matches
    /// newlines, white space and comments ignored.
    pub fn options(&self) -> &str {
        &self.options
    }

    /// Accepts what RE2 and PCRE have and the `regex` crate has not.
    pub(crate) fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// The first letter that is no option.
    pub(crate) fn odd_option(options: &str) -> Option<char> {
        options.chars().find(|letter| !OPTIONS.contains(*letter))
    }

    pub(crate) fn check(&self, max_length: usize) -> Result<(), FilterError> {
        if self.text.len() > max_length {
            return Err(FilterError::new(
                ErrorKind::TooLarge,
                format!("the pattern is longer than {max_length} bytes"),
            ));
        }
        self.compile().map(|_| ())
    }

    pub(crate) fn compile(&self) -> Result<regex::Regex, FilterError> {
        let translated = self.translate()?;
        // The parser alone tells where it stumbles.
        self.parser().parse(&translated.text).map_err(|error| {
            let (message, offset) = match &error {
                regex_syntax::Error::Parse(error) => {
                    (error.kind().to_string(), error.span().start.offset)
                }
                regex_syntax::Error::Translate(error) => {
                    (error.kind().to_string(), error.span().start.offset)
                }
                other => (other.to_string(), 0),
            };
            let message = format!("this is no regular expression: {message}");
            FilterError::new(ErrorKind::BadRegex, message)
                .at_pattern_offset(translated.source_of(offset))
        })?;
        regex::RegexBuilder::new(&translated.text)
            .case_insensitive(self.has('i'))
            .multi_line(self.has('m'))
            .dot_matches_new_line(self.has('s'))
            .nest_limit(MAX_NESTING)
            .size_limit(MAX_COMPILED)
            .build()
            .map_err(|error| {
                let message = match error {
                    regex::Error::CompiledTooBig(_) => {
                        Cow::Borrowed("the regular expression is too large")
                    }
                    other => Cow::Owned(format!("this is no regular expression: {other}")),
                };
                FilterError::new(ErrorKind::BadRegex, message)
            })
    }

    /// What the pattern is if it is plain.
    pub(crate) fn shape(&self) -> Option<Shape> {
        let translated = self.translate().ok()?;
        shape_of(&self.parser().parse(&translated.text).ok()?)
    }

    fn translate(&self) -> Result<Translated, FilterError> {
        if let Some(odd) = Self::odd_option(&self.options) {
            let message = format!("{odd:?} is no option; the options are i, m, s, x");
            return Err(FilterError::new(ErrorKind::BadRegexOption, message));
        }
        let options = Scope {
            verbose: self.has('x'),
            insensitive: self.has('i'),
        };
        translate::translate(&self.text, options, self.lenient)
    }

    fn parser(&self) -> regex_syntax::Parser {
        regex_syntax::ParserBuilder::new()
            .case_insensitive(self.has('i'))
            .multi_line(self.has('m'))
            .dot_matches_new_line(self.has('s'))
            .nest_limit(MAX_NESTING)
            .build()
    }

    fn has(&self, option: char) -> bool {
        self.options.contains(option)
    }
}

fn shape_of(hir: &Hir) -> Option<Shape> {
    let (mut start, mut end, mut text) = (false, false, None);
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    for part in parts {
        match part.kind() {
            HirKind::Look(Look::Start) if text.is_none() && !end => start = true,
            HirKind::Look(Look::End) => end = true,
            HirKind::Literal(literal) if text.is_none() && !end => {
                text = Some(std::str::from_utf8(&literal.0).ok()?.to_owned());
            }
            HirKind::Empty => {}
            _ => return None,
        }
    }
    let text = text.unwrap_or_default();
    match (start, end) {
        (true, true) => Some(Shape::Exact(text)),
        (true, false) => Some(Shape::Prefix(text)),
        (false, false) => Some(Shape::Contains(text)),
        (false, true) => text.is_empty().then_some(Shape::Contains(text)),
    }
}

#[cfg(test)]
mod tests;
