//! From JSON to a filter.

mod operand;

use crate::{
    ErrorKind, FieldFilter, Filter, FilterError, On, Operator, ParseOptions, Path, Place, Test,
    Value,
    error::{TextIndex, TextPlace},
    extended::{self, Extended},
    filter::{Condition, ElemMatch},
    json::{self, JsonOptions, Raw, RawKey, RawKind, push_pointer},
    operator::{self, AND, CONTAINS, NOR, OPTIONS, OR},
    regex::Pattern,
};

type Result<T, E = FilterError> = std::result::Result<T, E>;

impl Filter {
    /// Reads a filter in JSON, strictly.
    ///
    /// ```
    /// use query_dsl::{ErrorKind, Filter};
    ///
    /// let filter = Filter::parse_json(r#"{"config.lr": {"$gt": 0.001}, "state": "finished"}"#)?;
    /// let error = Filter::parse_json(r#"{"config.lr": {"$gtr": 1}}"#).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::UnknownOperator);
    /// assert_eq!(error.pointer(), "/config.lr/$gtr");
    /// assert_eq!(error.suggestion(), Some("$gt"));
    /// # Ok::<(), query_dsl::FilterError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong, with its place as JSON Pointer and as line and column.
    pub fn parse_json(text: &str) -> Result<Self> {
        Self::parse_json_with(text, &ParseOptions::default())
    }

    /// Reads a filter in JSON.
    ///
    /// # Errors
    /// As [`Filter::parse_json`].
    pub fn parse_json_with(text: &str, options: &ParseOptions) -> Result<Self> {
        let max_depth = options.max_depth.min(ParseOptions::MAX_DEPTH);
        let json = JsonOptions {
            // `$and` of one level is an object in an array.
            max_depth: 2 * max_depth + 50,
            max_values: options.max_values,
            python_json: options.python_json,
        };
        let raw = json::parse(text, &json)?;
        Parser::new(options, text).root(&raw)
    }

    /// Reads a filter from JSON that is parsed already.
    ///
    /// # Errors
    /// As [`Filter::parse_json`], without a place in a text.
    pub fn from_json(json: &serde_json::Value, options: &ParseOptions) -> Result<Self> {
        let raw = from_serde(json, 0, options)?;
        Parser::new(options, "").root(&raw)
    }

    /// Reads a filter from a value: dates, NaN and the like stand for themselves.
    ///
    /// # Errors
    /// As [`Filter::parse_json`], without a place in a text.
    pub fn from_value(value: &Value, options: &ParseOptions) -> Result<Self> {
        let raw = from_value(value, 0, options)?;
        Parser::new(options, "").root(&raw)
    }
}

fn too_deep(options: &ParseOptions) -> FilterError {
    let limit = options.max_depth.min(ParseOptions::MAX_DEPTH);
    FilterError::new(
        ErrorKind::TooDeep,
        format!("it nests deeper than {limit} levels"),
    )
}

fn from_serde(json: &serde_json::Value, depth: usize, options: &ParseOptions) -> Result<Raw> {
    use serde_json::Value as Json;
    if depth > 2 * ParseOptions::MAX_DEPTH + 50 {
        return Err(too_deep(options));
    }
    let kind = match json {
        Json::Null => RawKind::Null,
        Json::Bool(value) => RawKind::Bool(*value),
        Json::Number(number) => number.as_i64().map_or_else(
            || RawKind::Double(number.as_f64().unwrap_or(f64::NAN)),
            RawKind::integer,
        ),
        Json::String(text) => RawKind::String(text.clone()),
        Json::Array(items) => {
            let items = items
                .iter()
                .map(|item| from_serde(item, depth + 1, options));
            RawKind::Array(items.collect::<Result<_>>()?)
        }
        Json::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, item)| Ok((raw_key(key), from_serde(item, depth + 1, options)?)));
            RawKind::Object(entries.collect::<Result<_>>()?)
        }
    };
    Ok(Raw { at: 0, kind })
}

fn from_value(value: &Value, depth: usize, options: &ParseOptions) -> Result<Raw> {
    if depth > 2 * ParseOptions::MAX_DEPTH + 50 {
        return Err(too_deep(options));
    }
    let kind = match value {
        Value::Null => RawKind::Null,
        Value::Bool(value) => RawKind::Bool(*value),
        Value::Int(value) => RawKind::Int(*value),
        Value::Long(value) => RawKind::Long(*value),
        Value::Double(value) => RawKind::Double(*value),
        Value::Date(value) => RawKind::Date(*value),
        Value::String(text) => RawKind::String(text.clone()),
        Value::Array(items) => {
            let items = items
                .iter()
                .map(|item| from_value(item, depth + 1, options));
            RawKind::Array(items.collect::<Result<_>>()?)
        }
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, item)| Ok((raw_key(key), from_value(item, depth + 1, options)?)));
            RawKind::Object(entries.collect::<Result<_>>()?)
        }
    };
    Ok(Raw { at: 0, kind })
}

fn raw_key(key: &str) -> RawKey {
    RawKey {
        at: 0,
        text: key.to_owned(),
    }
}

/// What the operators of an expression belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Field,
    Not,
}

struct Parser<'t> {
    options: &'t ParseOptions,
    /// Empty if there was none.
    text: &'t str,
    lines: TextIndex,
    /// The place of what is being read.
    pointer: String,
    /// How deep it is nested.
    depth: usize,
}

impl<'t> Parser<'t> {
    fn new(options: &'t ParseOptions, text: &'t str) -> Self {
        Self {
            options,
            text,
            lines: TextIndex::new(text),
            pointer: String::new(),
            depth: 0,
        }
    }

    fn root(&mut self, raw: &Raw) -> Result<Filter> {
        self.filter(raw, false)
    }

    /// Goes one part further, and back.
    fn below<T>(&mut self, part: &str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let end = push_pointer(&mut self.pointer, part);
        let result = f(self);
        self.pointer.truncate(end);
        result
    }

    fn deeper<T>(&mut self, raw: &Raw, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > self.options.max_depth.min(ParseOptions::MAX_DEPTH) {
            let error = too_deep(self.options);
            return Err(error
                .at(self.pointer.as_str(), On::Value)
                .in_text(self.place(raw.at)));
        }
        let result = f(self);
        self.depth -= 1;
        result
    }

    fn place(&self, at: usize) -> Option<TextPlace> {
        (!self.text.is_empty()).then(|| self.lines.place(self.text, at))
    }

    fn on_key(&self, key: &RawKey, kind: ErrorKind, message: impl Into<String>) -> FilterError {
        FilterError::new(kind, message)
            .at(self.pointer.as_str(), On::Key)
            .in_text(self.place(key.at))
    }

    fn on_value(&self, raw: &Raw, kind: ErrorKind, message: impl Into<String>) -> FilterError {
        FilterError::new(kind, message)
            .at(self.pointer.as_str(), On::Value)
            .in_text(self.place(raw.at))
    }

    /// A filter: an object of fields and logical operators. `element`: it is of `$elemMatch`.
    fn filter(&mut self, raw: &Raw, element: bool) -> Result<Filter> {
        let RawKind::Object(entries) = &raw.kind else {
            return Err(self.on_value(raw, ErrorKind::ExpectedObject, "a filter is an object"));
        };
        self.deeper(raw, |this| {
            let mut all = Vec::with_capacity(entries.len());
            for (key, operand) in entries {
                let one = this.below(&key.text, |this| {
                    if key.text.starts_with('$') {
                        this.logical(key, operand, element)
                    } else {
                        this.field(key, operand)
                    }
                })?;
                all.push(one);
            }
            Ok(match <[Filter; 1]>::try_from(all) {
                Ok([one]) => one,
                Err(all) => Filter::And(all),
            })
        })
    }

    /// An entry whose key begins with `$`, beside fields.
    fn logical(&mut self, key: &RawKey, operand: &Raw, element: bool) -> Result<Filter> {
        let name = key.text.as_str();
        let group = match name {
            AND => Filter::And,
            OR => Filter::Or,
            NOR => Filter::Nor,
            _ if name == Operator::Comment.as_str() => {
                return self.comment(operand).map(Filter::Comment);
            }
            _ => return Err(self.misplaced(key, element)),
        };
        let members = self.array(operand)?;
        if members.is_empty() {
            let message = format!("{name} takes at least one filter");
            return Err(self.on_value(operand, ErrorKind::EmptyList, message));
        }
        let mut list = Vec::with_capacity(members.len());
        for (index, member) in members.iter().enumerate() {
            list.push(self.below(&index.to_string(), |this| this.filter(member, element))?);
        }
        Ok(group(list))
    }

    /// The error for an operator that is beside fields and is no logical one.
    fn misplaced(&self, key: &RawKey, element: bool) -> FilterError {
        let name = key.text.as_str();
        if name == Operator::Not.as_str() && !element {
            let message = "$not stands below a field";
            return self
                .on_key(key, ErrorKind::NotAtTopLevel, message)
                .with_suggestion(Some(NOR));
        }
        if let Some(instead) = operator::unsupported(name) {
            let message = format!("{name} is not supported");
            return self
                .on_key(key, ErrorKind::UnsupportedOperator, message)
                .with_suggestion(instead);
        }
        let known = Operator::named(name).is_some() || matches!(name, OPTIONS | CONTAINS);
        if known && element {
            let message = format!("{name} stands beside plain keys");
            return self.on_key(key, ErrorKind::MixedOperatorsAndFields, message);
        }
        if known {
            let message = format!("{name} stands below a field");
            return self.on_key(key, ErrorKind::OperatorWithoutField, message);
        }
        self.on_key(
            key,
            ErrorKind::UnknownOperator,
            format!("there is no operator {name}"),
        )
        .with_suggestion(operator::suggestion(name, true))
    }

    /// A field with what is asked of it.
    fn field(&mut self, key: &RawKey, operand: &Raw) -> Result<Filter> {
        let path = if self.options.is_lenient() {
            let path = Path::split(&key.text);
            path.check().map(|()| path)
        } else {
            key.text.parse::<Path>()
        };
        let path = path.map_err(|error| {
            error
                .at(self.pointer.as_str(), On::Key)
                .in_text(self.place(key.at))
        })?;
        let conditions = match self.literal_or_expression(operand)? {
            Some(condition) => vec![condition],
            None => self.deeper(operand, |this| this.expression(operand, Within::Field))?,
        };
        Ok(Filter::Field(FieldFilter {
            path,
            conditions,
            place: Place::new(self.pointer.clone(), self.place(key.at)),
        }))
    }

    /// The condition that a literal stands for; nothing for an expression.
    fn literal_or_expression(&mut self, raw: &Raw) -> Result<Option<Condition>> {
        let test = match self.extended(raw)? {
            Some(Extended::Regex(pattern)) => Test::Regex(self.pattern(pattern, raw)?),
            Some(Extended::Value(value)) => Test::Eq(value),
            None => {
                if let RawKind::Object(entries) = &raw.kind {
                    if matches!(entries.first(), Some((key, _)) if key.text.starts_with('$')) {
                        return Ok(None);
                    }
                    self.no_operators(entries, ErrorKind::MixedOperatorsAndFields)?;
                }
                Test::Eq(self.literal(raw)?)
            }
        };
        Ok(Some(self.condition(test, raw)))
    }

    fn condition(&self, test: Test, raw: &Raw) -> Condition {
        Condition {
            test,
            place: Place::new(self.pointer.clone(), self.place(raw.at)),
        }
    }

    /// An object of operators.
    fn expression(&mut self, raw: &Raw, within: Within) -> Result<Vec<Condition>> {
        let RawKind::Object(entries) = &raw.kind else {
            let message = "operators belong here";
            return Err(self.on_value(raw, ErrorKind::ExpectedExpression, message));
        };
        let mut conditions = Vec::with_capacity(entries.len());
        for (key, operand) in entries {
            let tests = self.below(&key.text, |this| {
                let test = this.operator(key, operand, entries, within)?;
                Ok(test.map(|test| this.condition(test, operand)))
            })?;
            conditions.extend(tests);
        }
        Ok(conditions)
    }

    /// One operator of an expression; nothing for `$options`, which belongs to `$regex`.
    fn operator(
        &mut self,
        key: &RawKey,
        raw: &Raw,
        siblings: &[(RawKey, Raw)],
        within: Within,
    ) -> Result<Option<Test>> {
        let name = key.text.as_str();
        if name == OPTIONS {
            let regex = Operator::Regex.as_str();
            if !siblings.iter().any(|(key, _)| key.text == regex) {
                let message = "$options belongs to $regex";
                return Err(self.on_key(key, ErrorKind::OptionsWithoutRegex, message));
            }
            return Ok(None);
        }
        if name == CONTAINS && self.options.contains {
            return Ok(Some(Test::Regex(Pattern::literal(self.string(raw)?))));
        }
        let Some(operator) = Operator::named(name) else {
            return Err(self.no_operator(key, within));
        };
        Ok(Some(match operator {
            Operator::Eq => match self.extended(raw)? {
                Some(Extended::Regex(pattern)) => Test::Regex(self.pattern(pattern, raw)?),
                _ => Test::Eq(self.literal(raw)?),
            },
            Operator::Ne => Test::Ne(self.literal(raw)?),
            Operator::Gt => Test::Gt(self.literal(raw)?),
            Operator::Gte => Test::Gte(self.literal(raw)?),
            Operator::Lt => Test::Lt(self.literal(raw)?),
            Operator::Lte => Test::Lte(self.literal(raw)?),
            Operator::In => Test::In(self.members(raw)?),
            Operator::Nin => Test::Nin(self.members(raw)?),
            Operator::All => self.all(raw)?,
            Operator::Exists => Test::Exists(self.truth(raw)?),
            Operator::Type => Test::Type(self.types(raw)?),
            Operator::Size => Test::Size(self.size(raw)?),
            Operator::Mod => self.modulus(raw)?,
            Operator::BitsAllSet
            | Operator::BitsAnySet
            | Operator::BitsAllClear
            | Operator::BitsAnyClear => self.bits(operator, raw)?,
            Operator::Regex => self.regex(raw, siblings)?,
            Operator::ElemMatch => Test::ElemMatch(self.elem_match(raw)?),
            Operator::Not => Test::Not(self.not(raw)?),
            Operator::Comment => Test::Comment(self.comment(raw)?),
        }))
    }

    /// The error for a key that is no operator of fields.
    fn no_operator(&self, key: &RawKey, within: Within) -> FilterError {
        let name = key.text.as_str();
        if !name.starts_with('$') {
            let (kind, message) = match within {
                Within::Field => (
                    ErrorKind::MixedOperatorsAndFields,
                    format!("{name:?} is no operator and stands beside one"),
                ),
                Within::Not => (
                    ErrorKind::FieldInsideNot,
                    format!("$not takes operators, and {name:?} is none"),
                ),
            };
            return self.on_key(key, kind, message);
        }
        if operator::is_logical(name) {
            let message = format!("{name} stands beside fields, not below one");
            return self.on_key(key, ErrorKind::LogicalInsideField, message);
        }
        if let Some(instead) = operator::unsupported(name) {
            let message = format!("{name} is not supported");
            return self
                .on_key(key, ErrorKind::UnsupportedOperator, message)
                .with_suggestion(instead);
        }
        self.on_key(
            key,
            ErrorKind::UnknownOperator,
            format!("there is no operator {name}"),
        )
        .with_suggestion(operator::suggestion(name, false))
    }

    fn not(&mut self, raw: &Raw) -> Result<Vec<Condition>> {
        if let Some(Extended::Regex(pattern)) = self.extended(raw)? {
            let test = Test::Regex(self.pattern(pattern, raw)?);
            return Ok(vec![self.condition(test, raw)]);
        }
        let RawKind::Object(entries) = &raw.kind else {
            let message = "$not takes operators or a regular expression";
            return Err(self.on_value(raw, ErrorKind::ExpectedExpression, message));
        };
        if entries.is_empty() {
            let message = "$not takes at least one operator";
            return Err(self.on_value(raw, ErrorKind::EmptyExpression, message));
        }
        self.deeper(raw, |this| this.expression(raw, Within::Not))
    }

    fn elem_match(&mut self, raw: &Raw) -> Result<ElemMatch> {
        let RawKind::Object(entries) = &raw.kind else {
            let message = "$elemMatch takes an object";
            return Err(self.on_value(raw, ErrorKind::ExpectedObject, message));
        };
        let of_value = entries
            .first()
            .is_some_and(|(key, _)| key.text.starts_with('$') && !operator::is_logical(&key.text));
        if !of_value {
            let filter = self.filter(raw, true)?;
            return Ok(ElemMatch::Object(Box::new(filter)));
        }
        let conditions = self.deeper(raw, |this| this.expression(raw, Within::Field))?;
        if crate::filter::repeats(&conditions) {
            let message = "a regular expression stands here twice";
            return Err(self.on_value(raw, ErrorKind::DuplicateKey, message));
        }
        Ok(ElemMatch::Value(conditions))
    }

    fn extended(&self, raw: &Raw) -> Result<Option<Extended>> {
        extended::read(raw, &self.pointer, self.text)
    }
}
