//! Strings with escapes, written out once.

/// The strings of a document that have escapes, in the order of their places.
#[derive(Debug, Clone, Default)]
pub(super) struct Unescaped {
    text: String,
    /// Where a string begins in the document, and where it ends in `text`.
    places: Vec<(usize, usize)>,
}

/// Which escapes mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    Json,
    Json5,
}

impl Unescaped {
    /// Adds the string that begins at a place, after all that were added before.
    pub(super) fn add(&mut self, at: usize, escaped: &str, escapes: Escapes) {
        unescape(escaped, escapes, &mut self.text);
        self.places.push((at, self.text.len()));
    }

    /// The string that begins at a place; nothing if none was added there.
    pub(super) fn get(&self, at: usize) -> Option<&str> {
        let index = self
            .places
            .binary_search_by_key(&at, |place| place.0)
            .ok()?;
        let start = match index.checked_sub(1) {
            Some(before) => self.places.get(before)?.1,
            None => 0,
        };
        self.text.get(start..self.places.get(index)?.1)
    }
}

fn unescape(escaped: &str, escapes: Escapes, out: &mut String) {
    let mut rest = escaped;
    while let Some((plain, after)) = rest.split_once('\\') {
        out.push_str(plain);
        rest = one(after, escapes, out);
    }
    out.push_str(rest);
}

/// Writes what an escape means, and gives what follows it.
fn one<'t>(after: &'t str, escapes: Escapes, out: &mut String) -> &'t str {
    let mut chars = after.chars();
    let json5 = escapes == Escapes::Json5;
    let meant = match chars.next() {
        Some(c @ ('"' | '\\' | '/')) => c,
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return unicode(chars.as_str(), out),
        Some('\'') if json5 => '\'',
        Some('v') if json5 => '\u{b}',
        Some('0') if json5 => '\0',
        Some('x') if json5 => {
            let rest = chars.as_str();
            let (meant, rest) = match hex(rest, 2) {
                Some((code, rest)) => (char::from_u32(code), rest),
                None => (None, rest),
            };
            out.push(meant.unwrap_or(char::REPLACEMENT_CHARACTER));
            return rest;
        }
        // A line that goes on.
        Some('\n' | '\u{2028}' | '\u{2029}') if json5 => return chars.as_str(),
        Some('\r') if json5 => {
            let rest = chars.as_str();
            return rest.strip_prefix('\n').unwrap_or(rest);
        }
        _ => char::REPLACEMENT_CHARACTER,
    };
    out.push(meant);
    chars.as_str()
}

/// As [`one`], after `\u`: two escapes for one character above U+FFFF.
fn unicode<'t>(after: &'t str, out: &mut String) -> &'t str {
    let Some((first, rest)) = hex(after, 4) else {
        out.push(char::REPLACEMENT_CHARACTER);
        return after;
    };
    let second = rest.strip_prefix("\\u").and_then(|rest| hex(rest, 4));
    let (code, rest) = match second {
        Some((second @ 0xDC00..0xE000, rest)) if (0xD800..0xDC00).contains(&first) => {
            (0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00), rest)
        }
        _ => (first, rest),
    };
    out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

/// The number of some hexadecimal digits, and what follows them.
fn hex(text: &str, digits: usize) -> Option<(u32, &str)> {
    let (word, rest) = text.split_at_checked(digits)?;
    let plain = word.bytes().all(|b| b.is_ascii_hexdigit());
    Some((u32::from_str_radix(word, 16).ok().filter(|_| plain)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(escaped: &str, json: &str, json5: &str) {
        for (escapes, expected) in [(Escapes::Json, json), (Escapes::Json5, json5)] {
            let mut out = String::new();
            unescape(escaped, escapes, &mut out);
            assert_eq!(out, expected, "{escaped} {escapes:?}");
        }
    }

    #[test]
    fn escapes_are_written_out() {
        check(
            r#"a\"\\\/\b\f\n\r\tb"#,
            "a\"\\/\u{8}\u{c}\n\r\tb",
            "a\"\\/\u{8}\u{c}\n\r\tb",
        );
        check(r"\u00e9\uD83D\uDE00x", "é😀x", "é😀x");
        check(
            r"\uD83D\u0041\uDE00",
            "\u{fffd}A\u{fffd}",
            "\u{fffd}A\u{fffd}",
        );
        check(r"\u12", "\u{fffd}12", "\u{fffd}12");
        check("\\", "\u{fffd}", "\u{fffd}");
        check(r"\+1", "\u{fffd}1", "\u{fffd}1");
        check(r"\'\v\0", "\u{fffd}\u{fffd}\u{fffd}", "'\u{b}\0");
        check(r"\x41\xg", "\u{fffd}41\u{fffd}g", "A\u{fffd}g");
        check("a\\\r\nb\\\nc", "a\u{fffd}\nb\u{fffd}c", "abc");
    }
}
