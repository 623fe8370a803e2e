//! What a filter says.

mod build;
mod canonical;
mod print;

use std::fmt;

pub use build::FieldBuilder;
pub(crate) use canonical::repeats;

use crate::{Operator, Path, Pattern, TypeName, Value, error::TextPlace};

/// A condition on documents.
///
/// Read one with [`Filter::parse_json`], [`Filter::parse_short`] or [`Filter::parse_any`], or build
/// it:
///
/// ```
/// use query_dsl::Filter;
///
/// let filter = Filter::field("config.lr").gt(1e-3).and(Filter::field("state").eq("finished"));
/// assert_eq!(filter.to_json(), r#"{"config.lr":{"$gt":0.001},"state":"finished"}"#);
/// let finished: serde_json::Value =
///     serde_json::from_str(r#"{"state": "finished", "config": {"lr": 0.1}}"#).unwrap();
/// assert!(filter.compile()?.matches(&finished));
/// # Ok::<(), query_dsl::FilterError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Filter {
    /// All of these hold; with none, it holds.
    And(Vec<Self>),
    /// Any of these holds.
    Or(Vec<Self>),
    /// None of these holds.
    Nor(Vec<Self>),
    /// A field is as said.
    Field(FieldFilter),
    /// Holds always: a remark that is kept.
    Comment(Value),
}

/// What is asked of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldFilter {
    /// Which field.
    pub path: Path,
    /// All of these hold.
    pub conditions: Vec<Condition>,
    /// Where the field is named.
    pub place: Place,
}

/// One test of a field, and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is tested.
    pub test: Test,
    /// Where the operand is.
    pub place: Place,
}

impl From<Test> for Condition {
    fn from(test: Test) -> Self {
        Self {
            test,
            place: Place::default(),
        }
    }
}

/// One test of a field.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Test {
    /// Equal to the value, or an array with an equal element; null also equals a missing field.
    Eq(Value),
    /// Not [`Test::Eq`].
    Ne(Value),
    /// Of the value's class and greater.
    Gt(Value),
    /// Of the value's class and not less.
    Gte(Value),
    /// Of the value's class and less.
    Lt(Value),
    /// Of the value's class and not greater.
    Lte(Value),
    /// Any of the members.
    In(Vec<Member>),
    /// None of the members.
    Nin(Vec<Member>),
    /// All of the members; none for no members.
    All(Vec<Member>),
    /// An array in which each of these has an element.
    AllElemMatch(Vec<ElemMatch>),
    /// Whether the field is there.
    Exists(bool),
    /// Of one of these types.
    Type(Vec<TypeName>),
    /// An array of this many elements.
    Size(u64),
    /// A number whose whole part has this remainder.
    Mod {
        /// Not zero.
        divisor: i64,
        /// With the sign of the dividend.
        remainder: i64,
    },
    /// A whole number with bits that are set or clear.
    Bits {
        /// What is asked of the bits.
        mode: BitsMode,
        /// The bits in two's complement; the highest stands for all above, too.
        mask: u64,
    },
    /// Text in which the pattern is found.
    Regex(Pattern),
    /// An array with an element like this.
    ElemMatch(ElemMatch),
    /// Not all of these.
    Not(Vec<Condition>),
    /// Holds always: a remark that is kept.
    Comment(Value),
}

impl Test {
    /// The operator that says it.
    pub fn operator(&self) -> Operator {
        match self {
            Self::Eq(_) => Operator::Eq,
            Self::Ne(_) => Operator::Ne,
            Self::Gt(_) => Operator::Gt,
            Self::Gte(_) => Operator::Gte,
            Self::Lt(_) => Operator::Lt,
            Self::Lte(_) => Operator::Lte,
            Self::In(_) => Operator::In,
            Self::Nin(_) => Operator::Nin,
            Self::All(_) | Self::AllElemMatch(_) => Operator::All,
            Self::Exists(_) => Operator::Exists,
            Self::Type(_) => Operator::Type,
            Self::Size(_) => Operator::Size,
            Self::Mod { .. } => Operator::Mod,
            Self::Bits { mode, .. } => mode.operator(),
            Self::Regex(_) => Operator::Regex,
            Self::ElemMatch(_) => Operator::ElemMatch,
            Self::Not(_) => Operator::Not,
            Self::Comment(_) => Operator::Comment,
        }
    }
}

/// A member of a list of `$in`, `$nin` or `$all`.
#[derive(Debug, Clone, PartialEq)]
pub enum Member {
    /// Equal, as [`Test::Eq`].
    Value(Value),
    /// As [`Test::Regex`].
    Regex(Pattern),
}

impl<T: Into<Value>> From<T> for Member {
    fn from(value: T) -> Self {
        Self::Value(value.into())
    }
}

impl From<Pattern> for Member {
    fn from(pattern: Pattern) -> Self {
        Self::Regex(pattern)
    }
}

/// What an element of an array is like.
#[derive(Debug, Clone, PartialEq)]
pub enum ElemMatch {
    /// The element itself passes these tests.
    Value(Vec<Condition>),
    /// The element is a document that the filter matches. An array counts as a document with the
    /// keys `0`, `1`, ….
    Object(Box<Filter>),
}

/// What [`Test::Bits`] asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the operators'")]
pub enum BitsMode {
    AllSet,
    AnySet,
    AllClear,
    AnyClear,
}

impl BitsMode {
    fn operator(self) -> Operator {
        match self {
            Self::AllSet => Operator::BitsAllSet,
            Self::AnySet => Operator::BitsAnySet,
            Self::AllClear => Operator::BitsAllClear,
            Self::AnyClear => Operator::BitsAnyClear,
        }
    }
}

/// Where something was written. Places never make filters differ: they are all equal.
#[derive(Clone, Default)]
pub struct Place(Option<Box<(String, Option<TextPlace>)>>);

impl Place {
    pub(crate) fn new(pointer: String, text: Option<TextPlace>) -> Self {
        Self(Some(Box::new((pointer, text))))
    }

    /// The JSON Pointer; empty for what was built, not read.
    pub fn pointer(&self) -> &str {
        self.0.as_ref().map_or("", |inner| &inner.0)
    }

    /// The place in the text, if there was a text.
    pub fn text_place(&self) -> Option<TextPlace> {
        self.0.as_ref().and_then(|inner| inner.1)
    }
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pointer())
    }
}

impl fmt::Display for Filter {
    /// The filter as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}
