//! The one order of all values.

use std::cmp::Ordering;

use crate::{Kind, Node, number::Number};

/// The classes of values, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Null,
    Number,
    String,
    Object,
    Array,
    Bool,
    Date,
}

impl Kind<'_> {
    #[inline]
    pub(crate) fn class(self) -> Class {
        match self {
            Kind::Null => Class::Null,
            Kind::Int(_) | Kind::Long(_) | Kind::Double(_) => Class::Number,
            Kind::String(_) => Class::String,
            Kind::Object => Class::Object,
            Kind::Array => Class::Array,
            Kind::Bool(_) => Class::Bool,
            Kind::Date(_) => Class::Date,
        }
    }

    #[inline]
    pub(crate) fn number(self) -> Option<Number> {
        match self {
            Kind::Int(i) => Some(Number::Int(i.into())),
            Kind::Long(i) => Some(Number::Int(i)),
            Kind::Double(d) => Some(Number::Double(d)),
            _ => None,
        }
    }
}

/// Compares two values as filters and orders do: by class (null, numbers, strings, objects, arrays,
/// booleans, dates), then within the class. Numbers of all kinds are one class and compared
/// exactly, NaN is the smallest; strings go by bytes; objects entry by entry in their order.
///
/// ```
/// use std::cmp::Ordering;
/// use query_dsl::{Value, compare};
///
/// assert_eq!(compare(&Value::from(1), &Value::from(1.0)), Ordering::Equal);
/// assert_eq!(compare(&Value::from(true), &Value::from(1)), Ordering::Greater);
/// ```
pub fn compare<'a, 'b, A: Node<'a>, B: Node<'b>>(a: A, b: B) -> Ordering {
    let (a_kind, b_kind) = (a.kind(), b.kind());
    if let (Some(a), Some(b)) = (a_kind.number(), b_kind.number()) {
        return a.compare(b);
    }
    match (a_kind, b_kind) {
        (Kind::String(a), Kind::String(b)) => a.cmp(b),
        (Kind::Bool(a), Kind::Bool(b)) => a.cmp(&b),
        (Kind::Date(a), Kind::Date(b)) => a.cmp(&b),
        (Kind::Array, Kind::Array) => arrays(a, b),
        (Kind::Object, Kind::Object) => objects(a, b),
        _ => a_kind.class().cmp(&b_kind.class()),
    }
}

fn arrays<'a, 'b, A: Node<'a>, B: Node<'b>>(a: A, b: B) -> Ordering {
    let mut others = b.items();
    for item in a.items() {
        let Some(other) = others.next() else {
            return Ordering::Greater;
        };
        let order = compare(item, other);
        if order.is_ne() {
            return order;
        }
    }
    others.next().map_or(Ordering::Equal, |_| Ordering::Less)
}

fn objects<'a, 'b, A: Node<'a>, B: Node<'b>>(a: A, b: B) -> Ordering {
    let mut others = b.entries();
    for (key, item) in a.entries() {
        let Some((other_key, other)) = others.next() else {
            return Ordering::Greater;
        };
        let order = (item.kind().class().cmp(&other.kind().class()))
            .then_with(|| key.cmp(other_key))
            .then_with(|| compare(item, other));
        if order.is_ne() {
            return order;
        }
    }
    others.next().map_or(Ordering::Equal, |_| Ordering::Less)
}
