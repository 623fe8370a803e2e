//! From the syntax of RE2 to that of the `regex` crate.

use super::class;
use crate::{ErrorKind, FilterError};

type Result<T, E = FilterError> = std::result::Result<T, E>;

/// A pattern of the `regex` crate, and where its parts come from.
pub(super) struct Translated {
    pub(super) text: String,
    /// Bytes of the text with the bytes of the source that they come from, increasing.
    places: Vec<(usize, usize)>,
}

impl Translated {
    /// The byte of the source for a byte of the text.
    pub(super) fn source_of(&self, offset: usize) -> usize {
        let after = self.places.partition_point(|(out, _)| *out <= offset);
        let place = after.checked_sub(1).and_then(|at| self.places.get(at));
        place.map_or(0, |(_, source)| *source)
    }
}

/// Flags that a group may set for its inside.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    /// Option `x`: white space is ignored.
    pub(super) verbose: bool,
    /// Option `i`.
    pub(super) insensitive: bool,
}

/// Translates a pattern. `lenient`: with what is plain text elsewhere.
pub(super) fn translate(source: &str, options: Scope, lenient: bool) -> Result<Translated> {
    let mut scanner = Scanner {
        source,
        at: 0,
        out: Translated {
            text: String::with_capacity(source.len() + 16),
            places: Vec::new(),
        },
        scopes: vec![options],
        lenient,
        atom: Atom::None,
    };
    while scanner.peek().is_some() {
        scanner.token()?;
    }
    Ok(scanner.out)
}

/// What a quantifier would repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Atom {
    None,
    Item,
    Quantified,
}

pub(super) struct Scanner<'s> {
    source: &'s str,
    pub(super) at: usize,
    out: Translated,
    /// One for each open group.
    scopes: Vec<Scope>,
    pub(super) lenient: bool,
    atom: Atom,
}

impl Scanner<'_> {
    pub(super) fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Takes a text that comes next.
    pub(super) fn take(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    /// Notes that what is written next comes from `source`.
    pub(super) fn mark(&mut self, source: usize) {
        self.out.places.push((self.out.text.len(), source));
    }

    pub(super) fn write(&mut self, text: &str) {
        self.out.text.push_str(text);
    }

    /// Writes a character that stands for itself.
    pub(super) fn literal(&mut self, c: char) {
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
            self.out.text.push('\\');
        }
        self.out.text.push(c);
    }

    pub(super) fn bad(&self, at: usize, message: &str) -> FilterError {
        let message = format!("this is no regular expression: {message}");
        FilterError::new(ErrorKind::BadRegex, message).at_pattern_offset(at)
    }

    pub(super) fn unsupported(&self, at: usize, what: &str) -> FilterError {
        let message = format!("{what} is not supported in regular expressions");
        FilterError::new(ErrorKind::UnsupportedRegexFeature, message).at_pattern_offset(at)
    }

    pub(super) fn scope(&self) -> Scope {
        self.scopes.last().copied().unwrap_or(Scope {
            verbose: false,
            insensitive: false,
        })
    }

    /// Takes back what was written from an offset on.
    pub(super) fn unwrite(&mut self, from: usize) -> String {
        self.out.text.split_off(from)
    }

    pub(super) fn written(&self) -> usize {
        self.out.text.len()
    }

    fn token(&mut self) -> Result<()> {
        let start = self.at;
        self.mark(start);
        let Some(c) = self.next() else {
            return Ok(());
        };
        match c {
            c if self.scope().verbose && c.is_ascii_whitespace() => {}
            '#' if self.scope().verbose => while self.next().is_some_and(|c| c != '\n') {},
            '\\' => {
                self.escape(start)?;
                self.atom = Atom::Item;
            }
            '[' => {
                class::bracket(self, start)?;
                self.atom = Atom::Item;
            }
            '(' => self.group(start)?,
            ')' => {
                if self.scopes.len() > 1 {
                    self.scopes.pop();
                }
                self.write(")");
                self.atom = Atom::Item;
            }
            '|' => {
                self.write("|");
                self.atom = Atom::None;
            }
            '*' | '+' | '?' => {
                self.repeatable(start)?;
                self.write(c.encode_utf8(&mut [0; 4]));
                self.repeated();
            }
            '{' => self.brace(start)?,
            '.' | '^' | '$' => {
                self.write(c.encode_utf8(&mut [0; 4]));
                self.atom = Atom::Item;
            }
            c => {
                self.literal(c);
                self.atom = Atom::Item;
            }
        }
        Ok(())
    }

    fn repeatable(&self, start: usize) -> Result<()> {
        match self.atom {
            Atom::Item => Ok(()),
            Atom::None => Err(self.bad(start, "there is nothing to repeat")),
            Atom::Quantified => Err(self.bad(start, "this is repeated already")),
        }
    }

    /// After a quantifier: `?` makes it lazy, `+` possessive. Which match is taken makes no
    /// difference to whether there is one, so neither needs to be kept.
    fn repeated(&mut self) {
        if !self.take("?") {
            self.take("+");
        }
        self.atom = Atom::Quantified;
    }

    fn brace(&mut self, start: usize) -> Result<()> {
        if let Some(length) = counted(self.rest()) {
            self.repeatable(start)?;
            let end = self.at + length;
            let count = self.source.get(start..end).unwrap_or_default().to_owned();
            self.write(&count);
            self.at = end;
            self.repeated();
            return Ok(());
        }
        if !self.lenient {
            let error = self.bad(start, "this brace repeats nothing");
            return Err(error.with_suggestion(Some(r"\{")));
        }
        self.literal('{');
        self.atom = Atom::Item;
        Ok(())
    }

    /// After `\`, outside of a class.
    fn escape(&mut self, start: usize) -> Result<()> {
        match self.peek() {
            Some('b') => self.write(r"(?-u:\b)"),
            Some('B') => self.write(r"(?-u:\B)"),
            Some('A') => self.write(r"\A"),
            Some('z') => self.write(r"\z"),
            Some('Q') if self.lenient => {
                self.at += 1;
                let rest = self.rest();
                let end = rest.find("\\E").unwrap_or(rest.len());
                let quoted = rest.get(..end).unwrap_or_default().to_owned();
                // A quantifier behind it repeats its last character.
                quoted.chars().for_each(|c| self.literal(c));
                self.at += end;
                self.take("\\E");
                return Ok(());
            }
            Some('E') if self.lenient => {}
            _ => {
                match self.escaped(start)? {
                    Escaped::Char(c) => self.literal(c),
                    Escaped::Set(set, false) => self.write(&format!("(?-i:[{set}])")),
                    Escaped::Set(set, true) => self.write(&format!("(?-i:[^{set}])")),
                    Escaped::Property(property) => self.write(&property),
                }
                return Ok(());
            }
        }
        self.at += 1;
        Ok(())
    }

    /// After `\`, what means the same in a class and outside.
    pub(super) fn escaped(&mut self, start: usize) -> Result<Escaped> {
        let Some(c) = self.next() else {
            return Err(self.bad(start, "nothing follows the backslash"));
        };
        Ok(match c {
            'd' => Escaped::Set("0-9", false),
            'D' => Escaped::Set("0-9", true),
            'w' => Escaped::Set("0-9A-Za-z_", false),
            'W' => Escaped::Set("0-9A-Za-z_", true),
            's' => Escaped::Set(r"\t\n\x0B\x0C\r ", false),
            'S' => Escaped::Set(r"\t\n\x0B\x0C\r ", true),
            'n' => Escaped::Char('\n'),
            'r' => Escaped::Char('\r'),
            't' => Escaped::Char('\t'),
            'f' => Escaped::Char('\u{c}'),
            'v' => Escaped::Char('\u{b}'),
            'a' => Escaped::Char('\u{7}'),
            'x' => Escaped::Char(self.hexadecimal(start)?),
            'p' | 'P' => Escaped::Property(self.property(c, start)?),
            '1'..='9' | 'g' | 'k' => return Err(self.unsupported(start, "a back-reference")),
            '0' => return Err(self.unsupported(start, "an octal escape")),
            'Q' | 'E' => {
                return Err(self.unsupported(start, r"quoting by \Q and \E"));
            }
            'Z' | 'G' | 'K' | 'h' | 'H' | 'R' | 'X' | 'C' | 'N' | 'V' | 'e' | 'c' | 'u' | 'U'
            | 'l' | 'L' | 'o' => {
                return Err(self.unsupported(start, &format!("\\{c}")));
            }
            c if c.is_ascii_punctuation() || c == ' ' => Escaped::Char(c),
            _ => return Err(self.bad(start, &format!("\\{c} means nothing"))),
        })
    }

    fn hexadecimal(&mut self, start: usize) -> Result<char> {
        let rest = self.rest();
        let (digits, length) = match rest.strip_prefix('{') {
            Some(inner) => {
                let end = inner.find('}').unwrap_or_default();
                (inner.get(..end).unwrap_or_default(), end + 2)
            }
            None => (rest.get(..2).unwrap_or_default(), 2),
        };
        let hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let found = hexadecimal
            .then(|| u32::from_str_radix(digits, 16).ok())
            .flatten()
            .and_then(char::from_u32);
        let found = found.ok_or_else(|| self.bad(start, r"\x takes the number of a character"))?;
        self.at += length;
        Ok(found)
    }

    fn property(&mut self, sign: char, start: usize) -> Result<String> {
        let Some(first) = self.next() else {
            return Err(self.bad(start, r"\p takes a property"));
        };
        if first != '{' {
            return Ok(format!("\\{sign}{first}"));
        }
        let negated = self.take("^");
        let rest = self.rest();
        let Some(end) = rest.find('}') else {
            return Err(self.bad(start, r"\p{ is not closed"));
        };
        let name = rest.get(..end).unwrap_or_default().to_owned();
        self.at += end + 1;
        let sign = if negated == (sign == 'p') { 'P' } else { 'p' };
        Ok(format!("\\{sign}{{{name}}}"))
    }

    /// After `(`.
    fn group(&mut self, start: usize) -> Result<()> {
        if self.rest().starts_with('*') {
            return Err(self.unsupported(start, "a backtracking verb"));
        }
        let scope = self.scope();
        self.atom = Atom::None;
        if !self.take("?") {
            self.write("(");
            self.scopes.push(scope);
            return Ok(());
        }
        let rest = self.rest();
        let foreign = |prefixes: &[&str]| prefixes.iter().any(|p| rest.starts_with(p));
        let what = if foreign(&["=", "!", "<=", "<!"]) {
            Some("look-around")
        } else if foreign(&[">"]) {
            Some("an atomic group")
        } else if foreign(&["#"]) {
            Some("a comment group")
        } else if foreign(&["|"]) {
            Some("a branch reset")
        } else if foreign(&["("]) {
            Some("a conditional group")
        } else if foreign(&["P=", "P>"]) {
            Some("a back-reference")
        } else if foreign(&["'", "C"]) {
            Some("this kind of group")
        } else if foreign(&["R", "&", "+"]) || rest.starts_with(|c: char| c.is_ascii_digit()) {
            Some("recursion")
        } else {
            None
        };
        if let Some(what) = what {
            return Err(self.unsupported(start, what));
        }
        if self.take("P<") || self.take("<") {
            let rest = self.rest();
            let Some(end) = rest.find('>') else {
                return Err(self.bad(start, "the group's name is not closed"));
            };
            let name = rest.get(..end).unwrap_or_default().to_owned();
            self.at += end + 1;
            self.write(&format!("(?P<{name}>"));
            self.scopes.push(scope);
            return Ok(());
        }
        self.flags(start, scope)
    }

    /// After `(?`, flags up to `)` or `:`.
    fn flags(&mut self, start: usize, mut scope: Scope) -> Result<()> {
        let (mut on, mut off, mut negative) = (String::new(), String::new(), false);
        loop {
            match self.next() {
                Some('-') if !negative => negative = true,
                Some('x') => scope.verbose = !negative,
                Some(c @ ('i' | 'm' | 's' | 'U')) => {
                    if c == 'i' {
                        scope.insensitive = !negative;
                    }
                    let flags = if negative { &mut off } else { &mut on };
                    if !flags.contains(c) {
                        flags.push(c);
                    }
                }
                Some(end @ (')' | ':')) => {
                    let minus = if off.is_empty() { "" } else { "-" };
                    // Later flags win, as they would one after the other.
                    on.retain(|c| !off.contains(c));
                    let flags = format!("{on}{minus}{off}");
                    if end == ':' {
                        self.write(&format!("(?{flags}:"));
                        self.scopes.push(scope);
                    } else {
                        if !flags.is_empty() {
                            self.write(&format!("(?{flags})"));
                        }
                        if let Some(current) = self.scopes.last_mut() {
                            *current = scope;
                        }
                    }
                    return Ok(());
                }
                Some(c) if c.is_ascii_digit() => {
                    return Err(self.unsupported(start, "recursion"));
                }
                Some(c) if c.is_ascii_alphabetic() => {
                    return Err(self.unsupported(start, &format!("the flag {c}")));
                }
                _ => return Err(self.bad(start, "this group is of no kind")),
            }
        }
    }
}

/// What an escape stands for.
pub(super) enum Escaped {
    Char(char),
    /// The inside of a class, and whether its complement is meant.
    Set(&'static str, bool),
    /// A Unicode property, as it is written.
    Property(String),
}

/// The length of the rest of a quantifier like `{2,3}`, after the brace.
fn counted(rest: &str) -> Option<usize> {
    let end = rest.find('}')?;
    let inside = rest.get(..end)?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    (!least.is_empty() && digits(least) && digits(most)).then_some(end + 1)
}
