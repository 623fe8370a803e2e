//! The short form of filters, for the command line.

mod lex;
mod print;

use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    ErrorKind, Filter, FilterError, On, ParseOptions, Path, Pattern, Test, Value,
    error::{TextIndex, TextPlace},
    extended::parse_date,
    filter::{Condition, FieldFilter, Member, Place},
    suggest::nearest,
};
use lex::{Lexer, Token, TokenKind, show};

type Result<T, E = FilterError> = std::result::Result<T, E>;

impl Filter {
    /// Reads the short form: conditions `path operator value`, joined by `and`, `or`, `not` and
    /// parentheses.
    ///
    /// | short | JSON |
    /// |---|---|
    /// | `a = 1`, `a has 1` | `{"a": 1}` |
    /// | `a != 1` | `{"a": {"$ne": 1}}` |
    /// | `a < 1`, `<=`, `>`, `>=` | `{"a": {"$lt": 1}}`, … |
    /// | `a in [1, x]`, `a not in [1, x]` | `{"a": {"$in": [1, "x"]}}`, `$nin` |
    /// | `a has-all [x, y]` | `{"a": {"$all": ["x", "y"]}}` |
    /// | `a ~ "^x"`, `a ~ /^x/i`, `a !~ "^x"` | `{"a": {"$regex": "^x"}}`, …, `$not` of it |
    /// | `a exists`, `a missing` | `{"a": {"$exists": true}}`, `false` |
    /// | `not (a = 1 or b = 2)` | `{"$nor": [{"$or": […]}]}` |
    ///
    /// Values are numbers, `true`, `false`, `null`, `NaN`, `Infinity`, lists, strings in single or
    /// double quotes, bare words (strings), dates (`2026-01-31`, `2026-01-31T12:00:00Z`; midnight
    /// and UTC unless said). After `<`, `<=`, `>` and `>=`, a length of time is a date that long
    /// before `now`: `created_at > 7d` is the last seven days (`s`, `m`, `h`, `d`, `w`). Odd parts
    /// of a path are quoted, `config."a b"`, or in brackets, `config["a.b"]`.
    ///
    /// ```
    /// use query_dsl::Filter;
    /// use jiff::Timestamp;
    ///
    /// let filter = Filter::parse_short(
    ///     r#"config.lr > 1e-3 and state = finished and tags has "prod""#,
    ///     Timestamp::UNIX_EPOCH,
    /// )?;
    /// assert_eq!(
    ///     filter.to_json(),
    ///     r#"{"config.lr":{"$gt":0.001},"state":"finished","tags":"prod"}"#
    /// );
    /// # Ok::<(), query_dsl::FilterError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn parse_short(text: &str, now: Timestamp) -> Result<Self> {
        Self::parse_short_with(text, now, &ParseOptions::default())
    }

    /// As [`Filter::parse_short`], with limits.
    ///
    /// # Errors
    /// As [`Filter::parse_short`].
    pub fn parse_short_with(text: &str, now: Timestamp, options: &ParseOptions) -> Result<Self> {
        let tokens = Lexer::new(text).tokens()?;
        if tokens.len() > options.max_values {
            let message = format!("there are more than {} words", options.max_values);
            return Err(FilterError::new(ErrorKind::TooLarge, message));
        }
        let mut parser = Parser {
            text,
            lines: TextIndex::new(text),
            tokens,
            at: 0,
            now,
            options,
            depth: 0,
        };
        parser.whole()
    }

    /// Reads either form: what begins with `{` is JSON, all else is short. Nothing but white space
    /// is the filter that matches all.
    ///
    /// # Errors
    /// As [`Filter::parse_json_with`] and [`Filter::parse_short`].
    pub fn parse_any(text: &str, now: Timestamp, options: &ParseOptions) -> Result<Self> {
        if text.trim_start().starts_with('{') {
            Self::parse_json_with(text, options)
        } else {
            Self::parse_short_with(text, now, options)
        }
    }
}

const OPERATORS: [&str; 14] = [
    "=", "!=", "<", "<=", ">", ">=", "~", "!~", "in", "not in", "has", "has-all", "exists",
    "missing",
];

struct Parser<'t> {
    text: &'t str,
    lines: TextIndex,
    tokens: Vec<Token>,
    at: usize,
    now: Timestamp,
    options: &'t ParseOptions,
    depth: usize,
}

impl Parser<'_> {
    fn whole(&mut self) -> Result<Filter> {
        if self.tokens.is_empty() {
            return Ok(Filter::all());
        }
        let filter = self.any()?;
        match self.peek() {
            None => Ok(filter),
            Some(token) => {
                let offset = token.at;
                let word = show(&token.kind);
                let joined = nearest(&word, ["and", "or"]);
                let message = format!("expected and, or, or the end, not {word}");
                Err(self.error(offset, message).with_suggestion(joined))
            }
        }
    }

    /// Conditions joined by `or`.
    fn any(&mut self) -> Result<Filter> {
        self.depth += 1;
        if self.depth > self.options.max_depth.min(ParseOptions::MAX_DEPTH) {
            let limit = self.options.max_depth;
            let place = TextPlace::of(self.text, self.offset());
            let message = format!("it nests deeper than {limit} levels");
            return Err(FilterError::new(ErrorKind::TooDeep, message)
                .at("", On::Text)
                .in_text(Some(place)));
        }
        let mut list = vec![self.every()?];
        while self.keyword("or") {
            list.push(self.every()?);
        }
        self.depth -= 1;
        Ok(group(list, Filter::Or))
    }

    /// Conditions joined by `and`.
    fn every(&mut self) -> Result<Filter> {
        let mut list = vec![self.one()?];
        while self.keyword("and") {
            list.push(self.one()?);
        }
        Ok(group(list, Filter::And))
    }

    fn one(&mut self) -> Result<Filter> {
        let mut negations = 0;
        while self.keyword("not") {
            negations += 1;
            if negations > ParseOptions::MAX_DEPTH / 2 {
                return Err(self.error(self.offset(), "not stands here too often"));
            }
        }
        let mut filter = if self.symbol("(") {
            let inner = self.any()?;
            if !self.symbol(")") {
                return Err(self.expected(")"));
            }
            inner
        } else {
            self.condition()?
        };
        for _ in 0..negations {
            filter = filter.not();
        }
        Ok(filter)
    }

    fn condition(&mut self) -> Result<Filter> {
        let at = self.offset();
        let place = self.place(at);
        let path = self.path()?;
        let operator_at = self.offset();
        let test = self.test(operator_at)?;
        Ok(Filter::Field(FieldFilter {
            path,
            conditions: vec![Condition {
                test,
                place: self.place(operator_at),
            }],
            place,
        }))
    }

    fn path(&mut self) -> Result<Path> {
        let mut parts = Vec::new();
        let start = self.offset();
        loop {
            match self.peek().map(|token| &token.kind) {
                Some(TokenKind::Word(word)) => {
                    let word = word.clone();
                    self.at += 1;
                    // A dot at an end joins what is quoted.
                    let joined = self.is_glued();
                    let inner = if parts.is_empty() {
                        Some(word.as_str())
                    } else {
                        word.strip_prefix('.')
                    };
                    let Some(inner) = inner else {
                        return Err(self.error(start, "a dot is missing in the path"));
                    };
                    let quoted_next = joined && self.next_is_quoted();
                    if quoted_next && !inner.ends_with('.') {
                        return Err(self.error(self.offset(), "a dot is missing in the path"));
                    }
                    let inner = match inner.strip_suffix('.') {
                        Some(inner) if quoted_next => inner,
                        _ => inner,
                    };
                    if !(inner.is_empty() && quoted_next) {
                        parts.extend(inner.split('.').map(str::to_owned));
                    }
                    if !joined {
                        break;
                    }
                }
                Some(TokenKind::Quoted(part) | TokenKind::Bracket(part)) => {
                    parts.push(part.clone());
                    self.at += 1;
                    if !self.is_glued() {
                        break;
                    }
                    if self.next_is_quoted() {
                        return Err(self.error(self.offset(), "a dot is missing in the path"));
                    }
                }
                _ => break,
            }
        }
        if parts.is_empty() {
            return Err(self.expected("the name of a field"));
        }
        if parts.iter().any(String::is_empty) {
            return Err(self.error(start, "the path has an empty part"));
        }
        let path = Path::new(parts);
        path.check().map_err(|error| {
            error
                .at("", On::Text)
                .in_text(Some(TextPlace::of(self.text, start)))
        })?;
        Ok(path)
    }

    /// Whether the next token goes on with a path without white space.
    fn is_glued(&self) -> bool {
        self.peek().is_some_and(|token| {
            token.glued
                && matches!(
                    token.kind,
                    TokenKind::Word(_) | TokenKind::Quoted(_) | TokenKind::Bracket(_)
                )
        })
    }

    fn next_is_quoted(&self) -> bool {
        self.peek()
            .is_some_and(|token| matches!(token.kind, TokenKind::Quoted(_)))
    }

    fn test(&mut self, at: usize) -> Result<Test> {
        for (symbol, test) in [
            ("=", Test::Eq as fn(Value) -> Test),
            ("==", Test::Eq),
            ("!=", Test::Ne),
        ] {
            if self.symbol(symbol) {
                return Ok(test(self.value(false)?));
            }
        }
        for (symbol, test) in [
            ("<", Test::Lt as fn(Value) -> Test),
            ("<=", Test::Lte),
            (">", Test::Gt),
            (">=", Test::Gte),
        ] {
            if self.symbol(symbol) {
                return Ok(test(self.value(true)?));
            }
        }
        if self.symbol("~") {
            return Ok(Test::Regex(self.pattern()?));
        }
        if self.symbol("!~") {
            return Ok(Test::Not(vec![Test::Regex(self.pattern()?).into()]));
        }
        if self.keyword("in") {
            return Ok(Test::In(self.members()?));
        }
        if self.keyword("not") {
            if self.keyword("in") {
                return Ok(Test::Nin(self.members()?));
            }
            return Err(self.expected("in after not"));
        }
        if self.keyword("has-all") {
            return Ok(Test::All(self.members()?));
        }
        if self.keyword("has") {
            return Ok(Test::Eq(self.value(false)?));
        }
        if self.keyword("exists") {
            return Ok(Test::Exists(true));
        }
        if self.keyword("missing") {
            return Ok(Test::Exists(false));
        }
        let found = self.peek().map(|token| show(&token.kind));
        let suggestion = found.as_deref().and_then(|word| match word {
            "is" | "equals" | "eq" => Some("="),
            "like" | "matches" | "contains" => Some("~"),
            "<>" | "ne" => Some("!="),
            word => nearest(word, OPERATORS.into_iter().filter(|op| op.len() > 1)),
        });
        let message = format!(
            "expected an operator ({}), not {}",
            OPERATORS.join(" "),
            found.as_deref().unwrap_or("the end")
        );
        Err(self.error(at, message).with_suggestion(suggestion))
    }

    fn pattern(&mut self) -> Result<Pattern> {
        let at = self.offset();
        let pattern = match self.take().map(|token| token.kind) {
            Some(TokenKind::Regex(text, options)) => Pattern::new(&text, &options),
            Some(TokenKind::Quoted(text) | TokenKind::Word(text)) => Pattern::new(&text, ""),
            _ => return Err(self.error(at, "expected a regular expression in quotes or slashes")),
        };
        let pattern = if self.options.is_lenient() {
            pattern.lenient()
        } else {
            pattern
        };
        pattern.check(self.options.max_pattern).map_err(|error| {
            error
                .at("", On::Text)
                .in_text(Some(TextPlace::of(self.text, at)))
        })?;
        Ok(pattern)
    }

    fn members(&mut self) -> Result<Vec<Member>> {
        match self.value(false)? {
            Value::Array(items) => Ok(items.into_iter().map(Member::Value).collect()),
            _ => Err(self.error(self.offset(), "expected a list like [a, b]")),
        }
    }

    /// A value; `before_now`: a length of time means a date.
    fn value(&mut self, before_now: bool) -> Result<Value> {
        let at = self.offset();
        if self.symbol("[") {
            return self.list();
        }
        match self.take().map(|token| token.kind) {
            Some(TokenKind::Quoted(text)) => Ok(Value::String(text)),
            Some(TokenKind::Word(word)) => {
                if before_now && let Some(ago) = length_of_time(&word) {
                    let date = self.now.checked_sub(ago);
                    let date = date
                        .map_err(|_| self.error(at, format!("{word} ago is before all dates")))?;
                    return Ok(Value::from(date));
                }
                Ok(literal(word))
            }
            Some(other) => {
                let message = format!("expected a value, not {}", show(&other));
                Err(self.error(at, message))
            }
            None => Err(self.error(at, "expected a value, not the end")),
        }
    }

    /// After `[`.
    fn list(&mut self) -> Result<Value> {
        self.depth += 1;
        if self.depth > self.options.max_depth.min(ParseOptions::MAX_DEPTH) {
            return Err(self.error(self.offset(), "the lists nest too deep"));
        }
        let mut items = Vec::new();
        while !self.symbol("]") {
            if !items.is_empty() && !self.symbol(",") {
                return Err(self.expected(", or ]"));
            }
            if !items.is_empty() && self.symbol("]") {
                break;
            }
            items.push(self.value(false)?);
        }
        self.depth -= 1;
        Ok(Value::Array(items))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|token| matches!(&token.kind, TokenKind::Symbol(s) if *s == symbol));
        self.at += usize::from(found);
        found
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(
            |token| matches!(&token.kind, TokenKind::Word(w) if w.eq_ignore_ascii_case(word)),
        );
        self.at += usize::from(found);
        found
    }

    fn offset(&self) -> usize {
        self.peek().map_or(self.text.len(), |token| token.at)
    }

    fn place(&self, offset: usize) -> Place {
        Place::new(String::new(), Some(self.lines.place(self.text, offset)))
    }

    fn expected(&self, what: &str) -> FilterError {
        let found = self.peek().map(|token| show(&token.kind));
        let found = found.as_deref().unwrap_or("the end");
        self.error(self.offset(), format!("expected {what}, not {found}"))
    }

    fn error(&self, offset: usize, message: impl Into<String>) -> FilterError {
        lex::error(self.text, offset, message)
    }
}

fn group(mut list: Vec<Filter>, of: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match (list.len(), list.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            list.extend(last);
            of(list)
        }
    }
}

/// What a bare word is.
fn literal(word: String) -> Value {
    match word.as_str() {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        "null" => return Value::Null,
        "NaN" => return Value::Double(f64::NAN),
        "Infinity" | "+Infinity" => return Value::Double(f64::INFINITY),
        "-Infinity" => return Value::Double(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = word.strip_prefix(['-', '+']).unwrap_or(&word);
    let begins_as_number = digits.starts_with(|c: char| c.is_ascii_digit())
        || digits
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if begins_as_number {
        if let Ok(integer) = word.parse::<i64>() {
            return Value::from(integer);
        }
        if let Ok(double) = word.parse::<f64>() {
            return Value::Double(double);
        }
        if let Some(ms) = date(&word) {
            return Value::Date(ms);
        }
    }
    Value::String(word)
}

/// A date, with or without a time of day and a zone.
pub(crate) fn date(word: &str) -> Option<i64> {
    if !word.get(..5)?.ends_with('-') {
        return None;
    }
    if let Some(ms) = parse_date(word) {
        return Some(ms);
    }
    let time = match word.parse::<Date>() {
        Ok(day) if word.len() == 10 => day.to_datetime(jiff::civil::Time::midnight()),
        _ => word.parse::<jiff::civil::DateTime>().ok()?,
    };
    let zoned = time.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// A number of seconds, minutes, hours, days or weeks.
fn length_of_time(word: &str) -> Option<Duration> {
    let seconds = match word.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let count = word.get(..word.len() - 1)?;
    if !count.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = count.parse().ok()?;
    Some(Duration::from_secs(count.saturating_mul(seconds)))
}
