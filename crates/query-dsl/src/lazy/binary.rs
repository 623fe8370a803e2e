//! SQLite's JSONB as a document.
//!
//! Each element is a header and a payload. The lower half of the first byte is the type; the upper
//! half is the size of the payload up to 11, or says in how many further bytes the size stands.

use std::iter;

use super::{
    MAX_DEPTH,
    escape::{Escapes, Unescaped},
    extended, number,
};
use crate::{Kind, Node, json};

/// A document that is SQLite's JSONB, from version 3.45 on; see [`crate::lazy`].
#[derive(Debug, Clone)]
pub struct Jsonb<'t> {
    bytes: &'t [u8],
    unescaped: Unescaped,
    /// Whether objects may be Extended JSON.
    extended: bool,
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Null,
    True,
    False,
    Number,
    Number5,
    /// As it is.
    Text,
    /// With escapes.
    Escaped(Escapes),
    Array,
    Object,
    /// Nothing that is known.
    Broken,
}

impl Type {
    fn of(first: u8) -> Self {
        match first & 0x0f {
            0 => Self::Null,
            1 => Self::True,
            2 => Self::False,
            3 | 5 => Self::Number,
            4 | 6 => Self::Number5,
            7 | 10 => Self::Text,
            8 => Self::Escaped(Escapes::Json),
            9 => Self::Escaped(Escapes::Json5),
            11 => Self::Array,
            12 => Self::Object,
            _ => Self::Broken,
        }
    }
}

/// A header that was read: its payload is in the bytes.
#[derive(Debug, Clone, Copy)]
struct Element {
    what: Type,
    start: usize,
    end: usize,
}

impl Element {
    /// The element at `at`, of which nothing may lie at `limit` or behind it.
    fn read(bytes: &[u8], at: usize, limit: usize) -> Option<Self> {
        let rest = bytes.get(at..limit)?;
        let (first, rest) = rest.split_first()?;
        let (length, size) = match first >> 4 {
            small @ 0..=11 => (0, u64::from(small)),
            12 => (1, u64::from(*rest.first()?)),
            13 => (2, u16::from_be_bytes(*rest.first_chunk()?).into()),
            14 => (4, u32::from_be_bytes(*rest.first_chunk()?).into()),
            _ => (8, u64::from_be_bytes(*rest.first_chunk()?)),
        };
        let start = at + 1 + length;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        (end <= limit).then_some(Self {
            what: Type::of(*first),
            start,
            end,
        })
    }
}

impl<'t> Jsonb<'t> {
    /// Takes bytes that have no Extended JSON: an object is an object, whatever its keys.
    pub fn plain(bytes: &'t [u8]) -> Self {
        Self {
            extended: false,
            ..Self::new(bytes)
        }
    }

    /// Takes bytes. Strings with escapes are written out; nothing else is looked at yet.
    pub fn new(bytes: &'t [u8]) -> Self {
        let mut unescaped = Unescaped::default();
        if memchr::memchr(b'\\', bytes).is_some() {
            let mut at = 0;
            // Containers are entered, so every element is met, in order.
            while let Some(element) = Element::read(bytes, at, bytes.len()) {
                at = match element.what {
                    Type::Array | Type::Object => element.start,
                    _ => element.end,
                };
                if let Type::Escaped(escapes) = element.what
                    && let Some(text) = text(bytes, element)
                    && text.contains('\\')
                {
                    unescaped.add(element.start, text, escapes);
                }
            }
        }
        Self {
            bytes,
            unescaped,
            extended: true,
        }
    }

    /// The whole value.
    pub fn root(&self) -> JsonbNode<'_> {
        JsonbNode {
            document: self,
            element: Element::read(self.bytes, 0, self.bytes.len()).unwrap_or(Element {
                what: Type::Broken,
                start: 0,
                end: 0,
            }),
            depth: 0,
        }
    }
}

fn text(bytes: &[u8], element: Element) -> Option<&str> {
    str::from_utf8(bytes.get(element.start..element.end)?).ok()
}

/// A part of a [`Jsonb`].
#[derive(Debug, Clone, Copy)]
pub struct JsonbNode<'a> {
    document: &'a Jsonb<'a>,
    element: Element,
    /// The arrays and objects that it is in.
    depth: usize,
}

impl<'a> JsonbNode<'a> {
    fn text(self) -> Option<&'a str> {
        let (bytes, element) = (self.document.bytes, self.element);
        match element.what {
            Type::Text => text(bytes, element),
            Type::Escaped(_) => {
                let written = self.document.unescaped.get(element.start);
                written.or_else(|| text(bytes, element))
            }
            _ => None,
        }
    }

    /// Whether it is this text; nothing if it is none.
    fn is_text(self, text: &str) -> Option<bool> {
        let element = self.element;
        match element.what {
            Type::Text => {
                let bytes = self.document.bytes.get(element.start..element.end)?;
                Some(bytes == text.as_bytes())
            }
            _ => Some(self.text()? == text),
        }
    }

    /// The elements inside, if it is such a container.
    fn enter(self, what: Type) -> Option<Members<'a>> {
        (self.depth < MAX_DEPTH && self.element.what == what).then_some(Members {
            document: self.document,
            at: self.element.start,
            end: self.element.end,
            depth: self.depth + 1,
        })
    }

    /// The entries, if it is an object and no Extended JSON.
    fn object(self) -> Option<Members<'a>> {
        let members = self.enter(Type::Object)?;
        match self.extended(members) {
            Some(_) => None,
            None => Some(members),
        }
    }

    fn extended(self, members: Members<'a>) -> Option<Kind<'static>> {
        self.document
            .extended
            .then(|| extended(members.entries()))?
    }

    /// A copy as JSON, numbers as they are written; nothing if any part is broken. Extended JSON is
    /// copied as it is. Of a key that is there twice, the last counts, as where text is parsed.
    pub fn to_json(self) -> Option<serde_json::Value> {
        use serde_json::Value;
        Some(match self.element.what {
            Type::Null => Value::Null,
            Type::True => Value::Bool(true),
            Type::False => Value::Bool(false),
            Type::Number => Value::Number(text(self.document.bytes, self.element)?.parse().ok()?),
            Type::Number5 => match self.kind() {
                Kind::Int(value) => value.into(),
                Kind::Long(value) => value.into(),
                Kind::Double(value) => Value::Number(serde_json::Number::from_f64(value)?),
                _ => return None,
            },
            Type::Text | Type::Escaped(_) => self.text()?.into(),
            Type::Array => {
                let (mut items, mut members) = (Vec::new(), self.enter(Type::Array)?);
                while !members.is_done() {
                    items.push(members.next()?.to_json()?);
                }
                Value::Array(items)
            }
            Type::Object => {
                let (mut entries, mut members) = (Vec::new(), self.enter(Type::Object)?);
                while !members.is_done() {
                    let key = members.next()?.text()?.to_owned();
                    entries.push((key, members.next()?.to_json()?));
                }
                // All at once: keys that are in order need not be looked for.
                Value::Object(entries.into_iter().collect())
            }
            Type::Broken => return None,
        })
    }
}

impl<'a> Node<'a> for JsonbNode<'a> {
    fn kind(self) -> Kind<'a> {
        let literal = || text(self.document.bytes, self.element);
        let found = match self.element.what {
            Type::Null | Type::Broken => None,
            Type::True => Some(Kind::Bool(true)),
            Type::False => Some(Kind::Bool(false)),
            Type::Number => literal().and_then(plain),
            Type::Number5 => literal().and_then(json5),
            Type::Text | Type::Escaped(_) => self.text().map(Kind::String),
            Type::Array => self.enter(Type::Array).map(|_| Kind::Array),
            Type::Object => self
                .enter(Type::Object)
                .map(|members| self.extended(members).unwrap_or(Kind::Object)),
        };
        found.unwrap_or(Kind::Null)
    }

    fn get(self, key: &str) -> Option<Self> {
        let mut members = self.object()?;
        loop {
            let (found, value) = (members.next()?, members.next()?);
            if found.is_text(key)? {
                return Some(value);
            }
        }
    }

    fn item(self, index: usize) -> Option<Self> {
        self.items().nth(index)
    }

    fn items(self) -> impl Iterator<Item = Self> {
        self.enter(Type::Array).into_iter().flatten()
    }

    fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        self.object().into_iter().flat_map(Members::entries)
    }
}

/// Elements one after the other.
#[derive(Clone, Copy)]
struct Members<'a> {
    document: &'a Jsonb<'a>,
    at: usize,
    end: usize,
    /// Of the members.
    depth: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = JsonbNode<'a>;

    fn next(&mut self) -> Option<JsonbNode<'a>> {
        let Some(element) = Element::read(self.document.bytes, self.at, self.end) else {
            self.at = self.end;
            return None;
        };
        self.at = element.end;
        Some(JsonbNode {
            document: self.document,
            element,
            depth: self.depth,
        })
    }
}

impl<'a> Members<'a> {
    fn is_done(&self) -> bool {
        self.at >= self.end
    }

    fn entries(mut self) -> impl Iterator<Item = (&'a str, JsonbNode<'a>)> {
        iter::from_fn(move || {
            let key = self.next()?.text()?;
            Some((key, self.next()?))
        })
        .fuse()
    }
}

/// A number as JSON has it.
fn plain<'a>(literal: &str) -> Option<Kind<'a>> {
    let (length, whole) = json::number_length(literal.as_bytes())?;
    (length == literal.len()).then(|| number(literal, whole))?
}

/// A number as only JSON5 has it: with a plus, in hexadecimal digits, or with a point at an end.
fn json5<'a>(literal: &str) -> Option<Kind<'a>> {
    let (negative, digits) = match literal.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, literal.strip_prefix('+').unwrap_or(literal)),
    };
    let sign = if negative { "-" } else { "" };
    if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        if hex.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        return match u64::from_str_radix(hex, 16) {
            Ok(value) => number(&format!("{sign}{value}"), true),
            Err(_) => Some(Kind::Double(if negative {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            })),
        };
    }
    if digits == "Infinity" {
        return number(&format!("{sign}inf"), false);
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let zero = if mantissa.starts_with('.') { "0" } else { "" };
    let after = if mantissa.ends_with('.') { "0" } else { "" };
    plain(&format!("{sign}{zero}{mantissa}{after}{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Value, node::to_value};

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let found = to_value(Jsonb::new(bytes).root());
        assert_eq!(found, Value::parse_json(expected).unwrap());
    }

    #[test]
    fn plain_documents_have_no_extended_json() {
        let bytes = b"\x8c\x58$date\x135";
        assert!(matches!(Jsonb::new(bytes).root().kind(), Kind::Date(5)));
        let plain = Jsonb::plain(bytes);
        assert!(matches!(plain.root().kind(), Kind::Object));
        let date = plain.root().get("$date").map(Node::kind);
        assert!(matches!(date, Some(Kind::Int(5))));
        assert_eq!(
            plain.root().to_json(),
            Some(serde_json::json!({"$date": 5}))
        );
    }

    #[test]
    fn copies_are_as_text_is_parsed() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        for text in [
            r#"{"a":[1,-0.0,1e300,18446744073709551615,-9223372036854775808,0.1],"a":{"b":null}}"#,
            r#"["\u0000\"\\","é\ud83d\ude00",true,false,null,{},[],""]"#,
            "123456789012345678901234567890",
        ] {
            let bytes: Vec<u8> = sql
                .query_row("SELECT jsonb(?1)", [text], |row| row.get(0))
                .unwrap();
            let parsed: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(
                Jsonb::plain(&bytes).root().to_json(),
                Some(parsed),
                "{text}"
            );
            // Any byte less is a fault.
            let short = Jsonb::plain(bytes.get(..bytes.len() - 1).unwrap());
            assert_eq!(short.root().to_json(), None);
        }
    }

    #[test]
    fn all_elements_and_sizes_are_known() {
        check(b"\x00", "null");
        check(b"\x01", "true");
        check(b"\x02", "false");
        check(b"\x2342", "42");
        check(b"\x54+0x1F", "31");
        check(b"\x64-0X10f", "-271");
        check(b"\x351.5", "1.5");
        check(b"\x26.5", "0.5");
        check(b"\x36+2.", "2.0");
        check(b"\x56-.5e1", "-5.0");
        check(b"\x27a\\", r#""a\\""#);
        check(b"\x28\\n", r#""\n""#);
        check(b"\x29\\v", r#""\u000b""#);
        check(b"\x2a\\n", r#""\\n""#);
        check(b"\xc7\x02ab", r#""ab""#);
        check(b"\xd7\x00\x02ab", r#""ab""#);
        check(b"\xe7\x00\x00\x00\x02ab", r#""ab""#);
        check(b"\xf7\x00\x00\x00\x00\x00\x00\x00\x02ab", r#""ab""#);
        check(b"\x4b\x131\x132", "[1,2]");
        check(b"\x7c\x17a\x131\x17b\x00", r#"{"a":1,"b":null}"#);
        check(b"\x8c\x58$date\x135", r#"{"$date":5}"#);
    }

    #[test]
    fn what_is_broken_has_an_answer() {
        check(b"", "null");
        check(b"\x0d", "null");
        check(b"\x2b\x13", "null");
        check(b"\x3b\x131\x13", "[1]");
        check(b"\xfb\xff\xff\xff\xff\xff\xff\xff\xff", "null");
        check(b"\xfb\x80\x00\x00\x00\x00\x00\x00\x00", "null");
        check(b"\x17\xff", "null");
        check(b"\x131x", "1");
        check(b"\x231x", "null");
        check(b"\x540xzz", "null");
        check(b"\x4c\x131\x132", "{}");
        check(b"\x5c\x17a\x131\x17", r#"{"a":1}"#);
        let deep: Vec<u8> = (0..100_000_u32)
            .rev()
            .flat_map(|n| [[0xeb].as_slice(), &(n * 5).to_be_bytes()].concat())
            .collect();
        let found = to_value(Jsonb::new(&deep).root()).to_json();
        let expected = "[".repeat(MAX_DEPTH) + "null" + &"]".repeat(MAX_DEPTH);
        assert_eq!(found, expected);
    }
}
