use std::fmt;

/// What is wrong with a filter, an order or a document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not JSON.
    JsonSyntax,
    /// The text is not of the short form.
    ShortSyntax,
    /// The text of an order is not a path with a sign.
    OrderSyntax,
    /// An object has a key twice.
    DuplicateKey,
    /// It is nested deeper than the limit.
    TooDeep,
    /// It has more parts than the limit.
    TooLarge,
    /// A field name is empty.
    EmptyFieldName,
    /// A path has nothing between two dots, or at an end.
    EmptyPathPart,
    /// A part of a path begins with `$`.
    OperatorInPath,
    /// A path has a bracket that is not closed, or is too long.
    BadPath,
    /// No operator has this name.
    UnknownOperator,
    /// MongoDB has the operator, this crate does not.
    UnsupportedOperator,
    /// Operators and plain keys stand side by side.
    MixedOperatorsAndFields,
    /// An operator is where a plain value is expected.
    OperatorInValue,
    /// `$and`, `$or` or `$nor` stands below a field.
    LogicalInsideField,
    /// `$not` stands beside fields, not below one.
    NotAtTopLevel,
    /// An operator of fields stands beside fields, not below one.
    OperatorWithoutField,
    /// A plain key stands below `$not`.
    FieldInsideNot,
    /// A list that needs a member has none.
    EmptyList,
    /// An expression without an operator.
    EmptyExpression,
    /// `$not` takes operators or a regular expression.
    ExpectedExpression,
    /// An array belongs here.
    ExpectedArray,
    /// An object belongs here.
    ExpectedObject,
    /// A string belongs here.
    ExpectedString,
    /// `true` or `false` belongs here.
    ExpectedBoolean,
    /// A number belongs here.
    ExpectedNumber,
    /// A whole number belongs here.
    ExpectedInteger,
    /// A date belongs here.
    ExpectedDatetime,
    /// A bit mask or a list of positions belongs here.
    ExpectedMask,
    /// The name or number of a type belongs here.
    ExpectedTypeName,
    /// No type has this name or number.
    UnknownType,
    /// A regular expression has no place here.
    RegexNotAllowed,
    /// `$all` has `$elemMatch` beside plain values.
    MixedElemMatch,
    /// A size below zero.
    NegativeSize,
    /// A bit mask below zero.
    NegativeMask,
    /// A bit position below zero.
    NegativeBitPosition,
    /// `$mod` takes exactly a divisor and a remainder.
    ModArity,
    /// The divisor of `$mod` is zero.
    ModZeroDivisor,
    /// A number of `$mod` is NaN or infinite.
    ModNotFinite,
    /// The pattern is not a regular expression.
    BadRegex,
    /// The pattern has what would need backtracking, or means something else elsewhere.
    UnsupportedRegexFeature,
    /// A letter of `$options` is not one of `imsx`.
    BadRegexOption,
    /// `$options` stands without `$regex`.
    OptionsWithoutRegex,
    /// Extended JSON that says nothing.
    BadExtendedJson,
    /// A vocabulary does not know the field.
    UnknownField,
    /// A vocabulary knows this as a section: it needs a key.
    SectionNeedsKey,
    /// A vocabulary does not accept the value.
    InvalidValue,
    /// What a vocabulary has its own name for.
    Custom(&'static str),
}

impl ErrorKind {
    /// The name of the kind, as in `unknown_operator`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonSyntax => "json_syntax",
            Self::ShortSyntax => "short_syntax",
            Self::OrderSyntax => "order_syntax",
            Self::DuplicateKey => "duplicate_key",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::EmptyFieldName => "empty_field_name",
            Self::EmptyPathPart => "empty_path_part",
            Self::OperatorInPath => "operator_in_path",
            Self::BadPath => "bad_path",
            Self::UnknownOperator => "unknown_operator",
            Self::UnsupportedOperator => "unsupported_operator",
            Self::MixedOperatorsAndFields => "mixed_operators_and_fields",
            Self::OperatorInValue => "operator_in_value",
            Self::LogicalInsideField => "logical_inside_field",
            Self::NotAtTopLevel => "not_at_top_level",
            Self::OperatorWithoutField => "operator_without_field",
            Self::FieldInsideNot => "field_inside_not",
            Self::EmptyList => "empty_list",
            Self::EmptyExpression => "empty_expression",
            Self::ExpectedExpression => "expected_expression",
            Self::ExpectedArray => "expected_array",
            Self::ExpectedObject => "expected_object",
            Self::ExpectedString => "expected_string",
            Self::ExpectedBoolean => "expected_boolean",
            Self::ExpectedNumber => "expected_number",
            Self::ExpectedInteger => "expected_integer",
            Self::ExpectedDatetime => "expected_datetime",
            Self::ExpectedMask => "expected_mask",
            Self::ExpectedTypeName => "expected_type_name",
            Self::UnknownType => "unknown_type",
            Self::RegexNotAllowed => "regex_not_allowed",
            Self::MixedElemMatch => "mixed_elem_match",
            Self::NegativeSize => "negative_size",
            Self::NegativeMask => "negative_mask",
            Self::NegativeBitPosition => "negative_bit_position",
            Self::ModArity => "mod_arity",
            Self::ModZeroDivisor => "mod_zero_divisor",
            Self::ModNotFinite => "mod_not_finite",
            Self::BadRegex => "bad_regex",
            Self::UnsupportedRegexFeature => "unsupported_regex_feature",
            Self::BadRegexOption => "bad_regex_option",
            Self::OptionsWithoutRegex => "options_without_regex",
            Self::BadExtendedJson => "bad_extended_json",
            Self::UnknownField => "unknown_field",
            Self::SectionNeedsKey => "section_needs_key",
            Self::InvalidValue => "invalid_value",
            Self::Custom(name) => name,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which side of the place an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum On {
    /// The key at the end of the pointer.
    Key,
    /// The value that the pointer names.
    Value,
    /// The text itself, which could not be read further.
    Text,
}

impl On {
    /// `key`, `value` or `text`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
            Self::Text => "text",
        }
    }
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextPlace {
    /// Bytes before it.
    pub offset: usize,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl TextPlace {
    const START: Self = Self {
        offset: 0,
        line: 1,
        column: 1,
    };

    /// The line and column of a byte offset.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        Self::START.advanced(text, offset)
    }

    fn advanced(mut self, text: &str, offset: usize) -> Self {
        let between = text.get(self.offset..).unwrap_or_default();
        for c in between.chars() {
            if self.offset >= offset {
                break;
            }
            self.offset += c.len_utf8();
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self
    }
}

/// Places in a text that is asked for many.
#[derive(Debug)]
pub(crate) struct TextIndex {
    /// One for every so many bytes.
    marks: Vec<TextPlace>,
}

impl TextIndex {
    const STRIDE: usize = 512;

    pub(crate) fn new(text: &str) -> Self {
        let mut marks = vec![TextPlace::START];
        let mut last = TextPlace::START;
        while last.offset + Self::STRIDE < text.len() {
            last = last.advanced(text, last.offset + Self::STRIDE);
            marks.push(last);
        }
        Self { marks }
    }

    pub(crate) fn place(&self, text: &str, offset: usize) -> TextPlace {
        let after = self.marks.partition_point(|mark| mark.offset <= offset);
        let mark = after.checked_sub(1).and_then(|at| self.marks.get(at));
        mark.unwrap_or(&TextPlace::START).advanced(text, offset)
    }
}

/// What is wrong, where, and what was probably meant.
///
/// Its [`Display`](fmt::Display) is one line: the message, the place, the suggestion.
#[derive(Clone, PartialEq, Eq)]
pub struct FilterError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    pointer: String,
    on: On,
    text: Option<TextPlace>,
    pattern_offset: Option<usize>,
    message: String,
    suggestion: Option<String>,
}

impl FilterError {
    /// An error on the value at the root; the setters say more.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            pointer: String::new(),
            on: On::Value,
            text: None,
            pattern_offset: None,
            message: message.into(),
            suggestion: None,
        }))
    }

    /// Says where: a JSON Pointer into the filter, and which side of it.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, on: On) -> Self {
        self.0.pointer = pointer.into();
        self.0.on = on;
        self
    }

    /// Says where in the text.
    #[must_use]
    pub fn in_text(mut self, place: Option<TextPlace>) -> Self {
        self.0.text = place;
        self
    }

    /// Says at which byte of a regular expression.
    #[must_use]
    pub(crate) fn at_pattern_offset(mut self, offset: usize) -> Self {
        self.0.pattern_offset = Some(offset);
        self
    }

    /// Says what was probably meant.
    #[must_use]
    pub fn with_suggestion(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.0.suggestion = suggestion.map(Into::into);
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The place as a JSON Pointer (RFC 6901); empty for the whole.
    pub fn pointer(&self) -> &str {
        &self.0.pointer
    }

    /// Which side of the place is meant.
    pub fn on(&self) -> On {
        self.0.on
    }

    /// The place in the text, if there was a text.
    pub fn text_place(&self) -> Option<TextPlace> {
        self.0.text
    }

    /// The byte of a regular expression at which it is wrong.
    pub fn pattern_offset(&self) -> Option<usize> {
        self.0.pattern_offset
    }

    /// The message without place and suggestion.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What was probably meant, as it would be written.
    pub fn suggestion(&self) -> Option<&str> {
        self.0.suggestion.as_deref()
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.write_str(&inner.message)?;
        if let Some(offset) = inner.pattern_offset {
            write!(f, " at byte {offset} of the pattern")?;
        }
        if !inner.pointer.is_empty() {
            write!(f, " at {}", inner.pointer)?;
        }
        if let Some(place) = inner.text {
            write!(f, " (line {}, column {})", place.line, place.column)?;
        }
        if let Some(suggestion) = &inner.suggestion {
            write!(f, "; did you mean {suggestion}?")?;
        }
        Ok(())
    }
}

impl fmt::Debug for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for FilterError {}
