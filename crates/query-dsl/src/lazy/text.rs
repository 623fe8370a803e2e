//! JSON text as a document.

use std::iter;

use super::{
    MAX_DEPTH,
    escape::{Escapes, Unescaped},
    extended, number, skip,
};
use crate::{Kind, Node, json};

/// A document that is JSON text; see [`crate::lazy`].
#[derive(Debug, Clone)]
pub struct JsonText<'t> {
    text: &'t str,
    /// There are no escapes.
    plain: bool,
    unescaped: Unescaped,
}

impl<'t> JsonText<'t> {
    /// Takes text. Strings with escapes are written out; nothing else is looked at yet.
    pub fn new(text: &'t str) -> Self {
        let mut unescaped = Unescaped::default();
        let plain = memchr::memchr(b'\\', text.as_bytes()).is_none();
        if !plain {
            let mut at = 0;
            while let Some(quote) = memchr::memchr(b'"', text.as_bytes().get(at..).unwrap_or(&[])) {
                let start = at + quote + 1;
                let Some(end) = skip::string(text.as_bytes(), start) else {
                    break;
                };
                let string = text.get(start..end).unwrap_or_default();
                if string.contains('\\') {
                    unescaped.add(start, string, Escapes::Json);
                }
                at = end + 1;
            }
        }
        Self {
            text,
            plain,
            unescaped,
        }
    }

    /// The whole value.
    pub fn root(&self) -> JsonNode<'_> {
        let mut cursor = Cursor {
            document: self,
            at: 0,
        };
        cursor.space();
        JsonNode {
            document: self,
            at: cursor.at,
            depth: 0,
        }
    }
}

/// A part of a [`JsonText`].
#[derive(Debug, Clone, Copy)]
pub struct JsonNode<'a> {
    document: &'a JsonText<'a>,
    /// Where it begins.
    at: usize,
    /// The arrays and objects that it is in.
    depth: usize,
}

impl<'a> JsonNode<'a> {
    /// A place in the text behind the bracket, if it is such a container.
    fn enter(self, open: u8) -> Option<Members<'a>> {
        let mut cursor = Cursor {
            document: self.document,
            at: self.at,
        };
        (self.depth < MAX_DEPTH && cursor.take(open)).then_some(Members {
            cursor,
            begun: false,
            depth: self.depth + 1,
        })
    }

    /// The entries, if it is an object and no Extended JSON.
    fn object(self) -> Option<Members<'a>> {
        let members = self.enter(b'{')?;
        match self.as_extended(members) {
            Some(_) => None,
            None => Some(members),
        }
    }

    fn as_extended(self, members: Members<'a>) -> Option<Kind<'a>> {
        let mut cursor = members.cursor;
        cursor.space();
        let odd = cursor.take(b'"') && matches!(cursor.peek(), Some(b'$' | b'\\'));
        odd.then(|| extended(members.entries())).flatten()
    }

    /// What is no container and no string.
    fn scalar(self) -> Option<Kind<'a>> {
        let rest = self.document.text.as_bytes().get(self.at..)?;
        let (length, kind) = match rest.first()? {
            b't' if rest.starts_with(b"true") => (4, Kind::Bool(true)),
            b'f' if rest.starts_with(b"false") => (5, Kind::Bool(false)),
            _ => {
                let (length, whole) = json::number_length(rest)?;
                let literal = self.document.text.get(self.at..self.at + length)?;
                (length, number(literal, whole)?)
            }
        };
        let ends = rest.get(length).is_none_or(|next| ends_scalar(*next));
        ends.then_some(kind)
    }
}

fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')
}

impl<'a> Node<'a> for JsonNode<'a> {
    fn kind(self) -> Kind<'a> {
        let mut cursor = Cursor {
            document: self.document,
            at: self.at,
        };
        let found = match cursor.peek() {
            Some(b'"') => cursor.string().map(Kind::String),
            Some(b'[') => self.enter(b'[').map(|_| Kind::Array),
            Some(b'{') => self
                .enter(b'{')
                .map(|members| self.as_extended(members).unwrap_or(Kind::Object)),
            _ => self.scalar(),
        };
        found.unwrap_or(Kind::Null)
    }

    fn get(self, key: &str) -> Option<Self> {
        let mut members = self.object()?;
        loop {
            let (found, value) = members.entry()?;
            if found.as_bytes() == key.as_bytes() {
                return Some(value);
            }
        }
    }

    fn item(self, index: usize) -> Option<Self> {
        self.items().nth(index)
    }

    fn items(self) -> impl Iterator<Item = Self> {
        let mut members = self.enter(b'[');
        iter::from_fn(move || members.as_mut()?.item())
    }

    fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        self.object().into_iter().flat_map(Members::entries)
    }
}

/// Goes through an array or an object.
#[derive(Clone, Copy)]
struct Members<'a> {
    /// At the value that was given last; at first behind the bracket.
    cursor: Cursor<'a>,
    begun: bool,
    /// Of the members.
    depth: usize,
}

impl<'a> Members<'a> {
    /// Goes on to the next member; nothing at the end, and at what should not be there.
    fn advance(&mut self) -> Option<()> {
        if self.begun {
            self.cursor.value()?;
            self.cursor.space();
            if !self.cursor.take(b',') {
                return None;
            }
        }
        self.begun = true;
        self.cursor.space();
        Some(())
    }

    fn node(&self) -> JsonNode<'a> {
        JsonNode {
            document: self.cursor.document,
            at: self.cursor.at,
            depth: self.depth,
        }
    }

    fn item(&mut self) -> Option<JsonNode<'a>> {
        self.advance()?;
        let ends = self.cursor.peek().is_none_or(ends_scalar);
        (!ends).then(|| self.node())
    }

    fn entry(&mut self) -> Option<(&'a str, JsonNode<'a>)> {
        self.advance()?;
        let key = self.cursor.string()?;
        self.cursor.space();
        if !self.cursor.take(b':') {
            return None;
        }
        self.cursor.space();
        Some((key, self.node()))
    }

    fn entries(mut self) -> impl Iterator<Item = (&'a str, JsonNode<'a>)> {
        iter::from_fn(move || self.entry()).fuse()
    }
}

/// A place in the text.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    document: &'a JsonText<'a>,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn bytes(&self) -> &'a [u8] {
        self.document.text.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
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

    /// Reads a string.
    fn string(&mut self) -> Option<&'a str> {
        if !self.take(b'"') {
            return None;
        }
        let start = self.at;
        let end = skip::string(self.bytes(), start)?;
        self.at = end + 1;
        let written = self.document.unescaped.get(start);
        written.or_else(|| self.document.text.get(start..end))
    }

    /// Skips a value.
    fn value(&mut self) -> Option<()> {
        self.at = match self.peek()? {
            b'"' => skip::string(self.bytes(), self.at + 1)? + 1,
            b'{' | b'[' => skip::container(self.bytes(), self.at, self.document.plain)?,
            _ => {
                let rest = self.bytes().get(self.at..)?;
                self.at + rest.iter().position(|byte| ends_scalar(*byte))?
            }
        };
        Some(())
    }
}
