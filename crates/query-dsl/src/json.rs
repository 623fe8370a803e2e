//! JSON text, read without recursion, with the place of each part.

use std::collections::HashSet;

use crate::{ErrorKind, FilterError, On, Value, error::TextPlace};

/// Limits and leniencies of reading JSON text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JsonOptions {
    /// How deep arrays and objects nest. It bounds the recursion of whatever uses the result, so it
    /// is at most [`JsonOptions::MAX_DEPTH`].
    pub max_depth: usize,
    /// How many values there are in all.
    pub max_values: usize,
    /// Whether the bare words `NaN`, `Infinity` and `-Infinity` are numbers, as Python writes them.
    pub python_json: bool,
}

impl JsonOptions {
    /// The greatest depth that can be asked for.
    pub const MAX_DEPTH: usize = 1000;

    /// Accepts `NaN`, `Infinity` and `-Infinity`, as Python writes them.
    #[must_use]
    pub fn with_python_json(mut self) -> Self {
        self.python_json = true;
        self
    }

    /// Sets [`JsonOptions::max_depth`].
    #[must_use]
    pub fn with_max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth.min(Self::MAX_DEPTH);
        self
    }
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self {
            max_depth: 250,
            max_values: 10_000_000,
            python_json: false,
        }
    }
}

/// A parsed value with the byte at which it begins.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) at: usize,
    pub(crate) kind: RawKind,
}

#[derive(Debug)]
pub(crate) struct RawKey {
    pub(crate) at: usize,
    pub(crate) text: String,
}

#[derive(Debug)]
pub(crate) enum RawKind {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    String(String),
    Date(i64),
    Array(Vec<Raw>),
    Object(Vec<(RawKey, Raw)>),
}

impl RawKind {
    pub(crate) fn integer(value: i64) -> Self {
        i32::try_from(value).map_or(Self::Long(value), Self::Int)
    }

    /// The value of a scalar; null for the others.
    pub(crate) fn to_scalar(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Long(value) => Value::Long(*value),
            Self::Double(value) => Value::Double(*value),
            Self::String(value) => Value::String(value.clone()),
            Self::Date(value) => Value::Date(*value),
            Self::Null | Self::Array(_) | Self::Object(_) => Value::Null,
        }
    }
}

/// Appends a part to a JSON Pointer and gives the length before, to truncate to.
pub(crate) fn push_pointer(pointer: &mut String, part: &str) -> usize {
    let end = pointer.len();
    pointer.push('/');
    for c in part.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
    end
}

/// Reads one JSON value that is the whole text.
pub(crate) fn parse(text: &str, options: &JsonOptions) -> Result<Raw, FilterError> {
    let mut parser = Parser {
        text,
        at: 0,
        options,
        frames: Vec::new(),
        values: 0,
    };
    parser.document()
}

/// A container that is being read.
enum Frame {
    Array(usize, Vec<Raw>),
    Object {
        at: usize,
        entries: Vec<(RawKey, Raw)>,
        /// All keys, once there are enough that scanning is slow.
        seen: HashSet<String>,
        /// The key whose value is being read.
        key: Option<RawKey>,
    },
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    options: &'t JsonOptions,
    frames: Vec<Frame>,
    values: usize,
}

/// Objects with more keys are checked for duplicates by hash.
const FEW_KEYS: usize = 16;

impl<'t> Parser<'t> {
    fn document(&mut self) -> Result<Raw, FilterError> {
        loop {
            // A value begins here; containers push a frame and go on inside.
            self.space();
            let Some(mut done) = self.begin()? else {
                continue;
            };
            // A value is done: give it to its container, which may be done with it.
            loop {
                self.space();
                let Some(frame) = self.frames.last_mut() else {
                    if self.peek().is_some() {
                        return Err(self.syntax("nothing may follow the value"));
                    }
                    return Ok(done);
                };
                match frame {
                    Frame::Array(_, items) => items.push(done),
                    Frame::Object { entries, key, .. } => {
                        if let Some(key) = key.take() {
                            entries.push((key, done));
                        }
                    }
                }
                if self.take(b',') {
                    self.space();
                    if let Some(Frame::Object { .. }) = self.frames.last() {
                        self.key()?;
                    }
                    break;
                }
                done = self.end()?;
            }
        }
    }

    /// Reads a scalar or an empty container whole; else enters the container.
    fn begin(&mut self) -> Result<Option<Raw>, FilterError> {
        self.values += 1;
        if self.values > self.options.max_values {
            return Err(self.error(
                ErrorKind::TooLarge,
                format!("there are more than {} values", self.options.max_values),
            ));
        }
        let at = self.at;
        let kind = match self.peek() {
            Some(b'{') => {
                self.enter()?;
                self.frames.push(Frame::Object {
                    at,
                    entries: Vec::new(),
                    seen: HashSet::new(),
                    key: None,
                });
                self.space();
                if self.peek() == Some(b'}') {
                    return self.end().map(Some);
                }
                self.key()?;
                return Ok(None);
            }
            Some(b'[') => {
                self.enter()?;
                self.frames.push(Frame::Array(at, Vec::new()));
                self.space();
                if self.peek() == Some(b']') {
                    return self.end().map(Some);
                }
                return Ok(None);
            }
            Some(b'"') => RawKind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(c) if c.is_ascii_alphabetic() => self.word()?,
            _ => return Err(self.syntax("expected a value")),
        };
        Ok(Some(Raw { at, kind }))
    }

    fn enter(&mut self) -> Result<(), FilterError> {
        let limit = self.options.max_depth.min(JsonOptions::MAX_DEPTH);
        if self.frames.len() >= limit {
            return Err(self.error(
                ErrorKind::TooDeep,
                format!("it nests deeper than {limit} levels"),
            ));
        }
        self.at += 1;
        Ok(())
    }

    /// Closes the innermost container.
    fn end(&mut self) -> Result<Raw, FilterError> {
        let close = match self.frames.last() {
            Some(Frame::Object { .. }) => b'}',
            _ => b']',
        };
        if !self.take(close) {
            return Err(self.syntax(&format!("expected , or {}", char::from(close))));
        }
        Ok(match self.frames.pop() {
            Some(Frame::Object { at, entries, .. }) => Raw {
                at,
                kind: RawKind::Object(entries),
            },
            Some(Frame::Array(at, items)) => Raw {
                at,
                kind: RawKind::Array(items),
            },
            None => Raw {
                at: self.at,
                kind: RawKind::Null,
            },
        })
    }

    fn key(&mut self) -> Result<(), FilterError> {
        let at = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.syntax("expected a key in double quotes"));
        }
        let text = self.string()?;
        if let Some(Frame::Object {
            entries, seen, key, ..
        }) = self.frames.last_mut()
        {
            let known = if entries.len() < FEW_KEYS {
                entries.iter().any(|(other, _)| other.text == text)
            } else {
                if seen.is_empty() {
                    seen.extend(entries.iter().map(|(other, _)| other.text.clone()));
                }
                !seen.insert(text.clone())
            };
            let message = known.then(|| format!("the key {text:?} is there twice"));
            *key = Some(RawKey { at, text });
            if let Some(message) = message {
                let pointer = self.pointer();
                return Err(FilterError::new(ErrorKind::DuplicateKey, message)
                    .at(pointer, On::Key)
                    .in_text(Some(TextPlace::of(self.text, at))));
            }
        }
        self.space();
        if !self.take(b':') {
            return Err(self.syntax("expected : after a key"));
        }
        Ok(())
    }

    fn word(&mut self) -> Result<RawKind, FilterError> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        let kind = match word {
            "null" => RawKind::Null,
            "true" => RawKind::Bool(true),
            "false" => RawKind::Bool(false),
            "NaN" if self.options.python_json => RawKind::Double(f64::NAN),
            "Infinity" if self.options.python_json => RawKind::Double(f64::INFINITY),
            _ => return Err(self.syntax(&format!("{word} is not JSON"))),
        };
        self.at += end;
        Ok(kind)
    }

    fn number(&mut self) -> Result<RawKind, FilterError> {
        let rest = self.rest();
        if self.options.python_json && rest.starts_with("-Infinity") {
            self.at += "-Infinity".len();
            return Ok(RawKind::Double(f64::NEG_INFINITY));
        }
        let Some((length, whole)) = number_length(rest.as_bytes()) else {
            return Err(self.syntax("this is not a number"));
        };
        let literal = rest.get(..length).unwrap_or_default();
        if whole && let Ok(integer) = literal.parse::<i64>() {
            self.at += length;
            return Ok(RawKind::integer(integer));
        }
        let Ok(double) = literal.parse::<f64>() else {
            return Err(self.syntax("this is not a number"));
        };
        self.at += length;
        Ok(RawKind::Double(double))
    }

    /// Reads a string at its opening quote.
    fn string(&mut self) -> Result<String, FilterError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let end = rest
                .find(|c| matches!(c, '"' | '\\' | '\0'..='\x1f'))
                .unwrap_or(rest.len());
            out.push_str(rest.get(..end).unwrap_or_default());
            self.at += end;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.syntax("a control character in a string")),
                None => return Err(self.syntax("the string does not end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, FilterError> {
        let start = self.at;
        self.at += 1;
        let escaped = self.peek();
        self.at += 1;
        let found = match escaped {
            Some(b'"') => Some('"'),
            Some(b'\\') => Some('\\'),
            Some(b'/') => Some('/'),
            Some(b'b') => Some('\u{8}'),
            Some(b'f') => Some('\u{c}'),
            Some(b'n') => Some('\n'),
            Some(b'r') => Some('\r'),
            Some(b't') => Some('\t'),
            Some(b'u') => self.unicode(),
            _ => None,
        };
        found.ok_or_else(|| {
            self.at = start;
            self.syntax("this escape means nothing")
        })
    }

    /// The character of `\uXXXX`, after the `u`; two escapes for one above U+FFFF.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first);
        }
        if !self.rest().starts_with("\\u") {
            return None;
        }
        self.at += 2;
        let second = self.hex()?;
        (0xDC00..0xE000)
            .contains(&second)
            .then(|| char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)))?
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, expected: u8) -> bool {
        let found = self.peek() == Some(expected);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The place of what is being read.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for frame in &self.frames {
            match frame {
                Frame::Array(_, items) => {
                    push_pointer(&mut pointer, &items.len().to_string());
                }
                Frame::Object { key: Some(key), .. } => {
                    push_pointer(&mut pointer, &key.text);
                }
                Frame::Object { key: None, .. } => {}
            }
        }
        pointer
    }

    fn syntax(&self, message: &str) -> FilterError {
        let place = TextPlace::of(self.text, self.at);
        FilterError::new(ErrorKind::JsonSyntax, message)
            .at(self.pointer(), On::Text)
            .in_text(Some(place))
    }

    fn error(&self, kind: ErrorKind, message: String) -> FilterError {
        FilterError::new(kind, message)
            .at(self.pointer(), On::Value)
            .in_text(Some(TextPlace::of(self.text, self.at)))
    }
}

/// The length of the JSON number at the start, and whether it is written as a whole one.
pub(crate) fn number_length(bytes: &[u8]) -> Option<(usize, bool)> {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|b| b.is_ascii_digit()).count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    match digits(at) {
        0 => return None,
        1 => at += 1,
        _ if bytes.get(at) == Some(&b'0') => return None,
        n => at += n,
    }
    let mut whole = true;
    if bytes.get(at) == Some(&b'.') {
        whole = false;
        match digits(at + 1) {
            0 => return None,
            n => at += 1 + n,
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        whole = false;
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        match digits(at) {
            0 => return None,
            n => at += n,
        }
    }
    Some((at, whole))
}
