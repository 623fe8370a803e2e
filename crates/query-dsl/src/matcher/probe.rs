//! Tests of one candidate.

use std::cmp::Ordering;

use super::{Element, members::Members, search::Search};
use crate::{
    Kind, Node, TypeName, Value,
    compare::{Class, compare},
    filter::BitsMode,
    number::Number,
};

/// A test of one candidate.
#[derive(Debug)]
pub(super) enum Probe {
    /// Null or missing.
    Null,
    Text(String),
    Equal(Value),
    Range(Box<Range>),
    In(Box<Members>),
    Exists,
    Type(Types),
    Size(u64),
    Mod {
        divisor: i64,
        remainder: i64,
    },
    Bits {
        mode: BitsMode,
        mask: u64,
    },
    Regex(Search),
    Element(Box<Element>),
}

impl Probe {
    /// Whether elements of an array are candidates beside it.
    #[inline]
    pub(super) fn unwinds(&self) -> bool {
        !matches!(self, Self::Exists | Self::Size(_) | Self::Element(_))
    }

    #[inline]
    pub(super) fn passes<'a, N: Node<'a>>(&self, candidate: Option<N>) -> bool {
        let Some(node) = candidate else {
            return match self {
                Self::Null => true,
                Self::In(members) => members.has(None::<N>),
                _ => false,
            };
        };
        match self {
            Self::Null => matches!(node.kind(), Kind::Null),
            Self::Text(text) => matches!(node.kind(), Kind::String(found) if found == text),
            Self::Equal(value) => compare(node, value).is_eq(),
            Self::Range(range) => range.holds(node),
            Self::In(members) => members.has(Some(node)),
            Self::Exists => true,
            Self::Type(types) => types.have(node.kind()),
            Self::Size(size) => {
                matches!(node.kind(), Kind::Array) && {
                    // One more than asked for is enough to know.
                    let most =
                        usize::try_from(*size).map_or(usize::MAX, |size| size.saturating_add(1));
                    u64::try_from(node.items().take(most).count()) == Ok(*size)
                }
            }
            Self::Mod { divisor, remainder } => {
                let dividend = node.kind().number().and_then(|n| n.truncated());
                dividend.is_some_and(|n| n.wrapping_rem(*divisor) == *remainder)
            }
            Self::Bits { mode, mask } => {
                let bits = node.kind().number().and_then(|n| n.integral());
                bits.is_some_and(|bits| has_bits(bits as u64, *mode, *mask))
            }
            Self::Regex(pattern) => {
                matches!(node.kind(), Kind::String(text) if pattern.finds(text))
            }
            Self::Element(element) => matches!(node.kind(), Kind::Array) && element.found_in(node),
        }
    }
}

fn has_bits(bits: u64, mode: BitsMode, mask: u64) -> bool {
    match mode {
        BitsMode::AllSet => bits & mask == mask,
        BitsMode::AnySet => bits & mask != 0,
        BitsMode::AllClear => bits & mask == 0,
        BitsMode::AnyClear => bits & mask != mask,
    }
}

/// An order within the class of a value.
#[derive(Debug)]
pub(super) struct Range {
    value: Value,
    class: Class,
    /// The value, if it is one.
    number: Option<Number>,
    side: Ordering,
    or_equal: bool,
}

impl Range {
    /// `side`: on which side of the value candidates are.
    pub(super) fn new(value: &Value, side: Ordering, or_equal: bool) -> Self {
        let kind = value.kind();
        Self {
            value: value.clone(),
            class: kind.class(),
            number: kind.number(),
            side,
            or_equal,
        }
    }

    #[inline]
    fn holds<'a, N: Node<'a>>(&self, node: N) -> bool {
        let kind = node.kind();
        let order = match (kind.number(), self.number) {
            // NaN has no order, but it is equal to itself.
            (Some(a), Some(b)) if a.is_nan() || b.is_nan() => {
                return self.or_equal && a.is_nan() && b.is_nan();
            }
            (Some(a), Some(b)) => a.compare(b),
            _ if kind.class() != self.class => return false,
            _ => compare(node, &self.value),
        };
        order == self.side || (self.or_equal && order.is_eq())
    }
}

/// Types that `$type` asks for.
#[derive(Debug, Default)]
pub(super) struct Types {
    double: bool,
    string: bool,
    object: bool,
    array: bool,
    bool: bool,
    date: bool,
    null: bool,
    int: bool,
    long: bool,
}

impl Types {
    pub(super) fn new(names: &[TypeName]) -> Self {
        let mut out = Self::default();
        for name in names {
            match name {
                TypeName::Double => out.double = true,
                TypeName::String => out.string = true,
                TypeName::Object => out.object = true,
                TypeName::Array => out.array = true,
                TypeName::Bool => out.bool = true,
                TypeName::Date => out.date = true,
                TypeName::Null => out.null = true,
                TypeName::Int => out.int = true,
                TypeName::Long => out.long = true,
                TypeName::Number => {
                    (out.double, out.int, out.long) = (true, true, true);
                }
                // No document holds these.
                _ => {}
            }
        }
        out
    }

    fn have(&self, kind: Kind<'_>) -> bool {
        match kind {
            Kind::Null => self.null,
            Kind::Bool(_) => self.bool,
            Kind::Int(_) => self.int,
            Kind::Long(_) => self.long,
            Kind::Double(_) => self.double,
            Kind::String(_) => self.string,
            Kind::Date(_) => self.date,
            Kind::Array => self.array,
            Kind::Object => self.object,
        }
    }
}
