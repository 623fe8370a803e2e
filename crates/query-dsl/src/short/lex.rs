//! The words of the short form.

use crate::{ErrorKind, FilterError, On, error::TextPlace, path::bracket};

#[derive(Debug, Clone)]
pub(super) struct Token {
    /// The byte at which it begins.
    pub(super) at: usize,
    /// Whether no white space is before it.
    pub(super) glued: bool,
    pub(super) kind: TokenKind,
}

#[derive(Debug, Clone)]
pub(super) enum TokenKind {
    /// Letters, digits and signs that are no symbols.
    Word(String),
    /// What was in quotes.
    Quoted(String),
    /// The key in `["key"]`, right behind a path.
    Bracket(String),
    /// A pattern and its options.
    Regex(String, String),
    Symbol(&'static str),
}

/// A token as it was written, more or less.
pub(super) fn show(kind: &TokenKind) -> String {
    match kind {
        TokenKind::Word(word) => word.clone(),
        TokenKind::Quoted(text) => format!("{text:?}"),
        TokenKind::Bracket(key) => format!("[{key:?}]"),
        TokenKind::Regex(text, options) => format!("/{text}/{options}"),
        TokenKind::Symbol(symbol) => (*symbol).to_owned(),
    }
}

pub(super) fn error(text: &str, offset: usize, message: impl Into<String>) -> FilterError {
    FilterError::new(ErrorKind::ShortSyntax, message)
        .at("", On::Text)
        .in_text(Some(TextPlace::of(text, offset)))
}

/// Longer ones first.
const SYMBOLS: [&str; 15] = [
    "!=", "!~", "<>", "<=", ">=", "==", "=", "<", ">", "~", "(", ")", "[", "]", ",",
];

/// Whether a bare word may have it.
pub(super) fn is_word(c: char) -> bool {
    !(c.is_whitespace() || c.is_control() || "=!<>~()[],\"'`{}".contains(c))
}

pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token>,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            tokens: Vec::new(),
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn tokens(mut self) -> Result<Vec<Token>, FilterError> {
        loop {
            let space = self.rest().len() - self.rest().trim_start().len();
            self.at += space;
            let at = self.at;
            let Some(first) = self.rest().chars().next() else {
                return Ok(self.tokens);
            };
            let glued = space == 0;
            let kind = self.token(first, glued)?;
            self.tokens.push(Token { at, glued, kind });
        }
    }

    fn token(&mut self, first: char, glued: bool) -> Result<TokenKind, FilterError> {
        let rest = self.rest();
        let last = self.tokens.last().map(|token| &token.kind);
        let in_path = last.is_none_or(|last| match last {
            TokenKind::Word(word) => glued || ["and", "or", "not"].contains(&word.as_str()),
            TokenKind::Quoted(_) | TokenKind::Bracket(_) => glued,
            TokenKind::Symbol(symbol) => *symbol == "(",
            TokenKind::Regex(..) => false,
        });
        if in_path
            && rest.starts_with("[\"")
            && let Some((key, after)) = bracket(rest)
        {
            self.at += rest.len() - after.len();
            return Ok(TokenKind::Bracket(key));
        }
        let pattern = matches!(last, Some(TokenKind::Symbol("~" | "!~")));
        if pattern && first == '/' {
            return self.regex();
        }
        if matches!(first, '"' | '\'' | '`') {
            return self.quoted(first);
        }
        if let Some(symbol) = SYMBOLS.into_iter().find(|s| rest.starts_with(s)) {
            self.at += symbol.len();
            return Ok(TokenKind::Symbol(symbol));
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(error(
                self.text,
                self.at,
                format!("{first:?} has no place here"),
            ));
        }
        self.at += end;
        Ok(TokenKind::Word(
            rest.get(..end).unwrap_or_default().to_owned(),
        ))
    }

    /// A string in quotes, with the escapes of JSON; the quote itself may be escaped.
    fn quoted(&mut self, quote: char) -> Result<TokenKind, FilterError> {
        let start = self.at;
        let inside = self.rest().get(1..).unwrap_or_default();
        let mut escaped = false;
        let end = inside.char_indices().find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else {
            return Err(error(self.text, start, "the quote is not closed"));
        };
        let mut out = String::new();
        let mut chars = inside.get(..end).unwrap_or_default().char_indices();
        while let Some((at, c)) = chars.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            let found = match chars.next().map(|(_, c)| c) {
                Some('n') => Some('\n'),
                Some('r') => Some('\r'),
                Some('t') => Some('\t'),
                Some('b') => Some('\u{8}'),
                Some('f') => Some('\u{c}'),
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                    let number = u32::from_str_radix(&digits, 16).ok();
                    number
                        .filter(|_| digits.len() == 4)
                        .and_then(char::from_u32)
                }
                Some(c @ ('\\' | '/' | '"' | '\'' | '`')) => Some(c),
                _ => None,
            };
            let Some(found) = found else {
                let message = r"this escape means nothing; a backslash is written \\";
                return Err(error(self.text, start + 1 + at, message));
            };
            out.push(found);
        }
        self.at = start + 1 + end + 1;
        Ok(TokenKind::Quoted(out))
    }

    /// A pattern in slashes, with its options; `\/` is a slash.
    fn regex(&mut self) -> Result<TokenKind, FilterError> {
        let start = self.at;
        let inside = self.rest().get(1..).unwrap_or_default();
        let mut pattern = String::new();
        let mut chars = inside.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '/' => {
                    let rest = inside.get(at + 1..).unwrap_or_default();
                    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                    self.at = start + 1 + at + 1 + end;
                    let options = rest.get(..end).unwrap_or_default().to_owned();
                    return Ok(TokenKind::Regex(pattern, options));
                }
                '\\' => match chars.next() {
                    Some((_, '/')) => pattern.push('/'),
                    Some((_, c)) => pattern.extend(['\\', c]),
                    None => pattern.push('\\'),
                },
                c => pattern.push(c),
            }
        }
        Err(error(
            self.text,
            start,
            "the pattern is not closed by a slash",
        ))
    }
}
