//! Filters built in code.

use super::{BitsMode, Condition, ElemMatch, FieldFilter, Filter, Member, Place, Test};
use crate::{Path, Pattern, TypeName, Value};

impl Filter {
    /// Begins a condition on a field; the method that follows says which.
    ///
    /// A text is read as a path: `a.b["c.d"]`. What is no path is refused when the filter is
    /// compiled.
    pub fn field(path: impl Into<Path>) -> FieldBuilder {
        FieldBuilder { path: path.into() }
    }

    /// Matches every document.
    pub fn all() -> Self {
        Self::And(Vec::new())
    }

    /// Matches no document.
    pub fn none() -> Self {
        Self::Nor(vec![Self::all()])
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::And(mut all), Self::And(more)) => {
                all.extend(more);
                Self::And(all)
            }
            (Self::And(mut all), other) => {
                all.push(other);
                Self::And(all)
            }
            (first, Self::And(mut all)) => {
                all.insert(0, first);
                Self::And(all)
            }
            (first, other) => Self::And(vec![first, other]),
        }
    }

    /// Either holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Or(mut all) => {
                all.push(other);
                Self::Or(all)
            }
            first => Self::Or(vec![first, other]),
        }
    }

    /// Neither holds.
    #[must_use]
    pub fn nor(self, other: Self) -> Self {
        Self::Nor(vec![self, other])
    }

    /// It does not hold.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the name of the operator")]
    pub fn not(self) -> Self {
        Self::Nor(vec![self])
    }

    /// The fields that it asks for, with repeats. What is below `$elemMatch` belongs to its field.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::And(list) | Self::Or(list) | Self::Nor(list) => {
                list.iter().flat_map(Self::paths).collect()
            }
            Self::Field(field) => vec![&field.path],
            Self::Comment(_) => Vec::new(),
        }
    }

    /// Whether it is the filter that says nothing.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::And(all) if all.is_empty())
    }
}

/// A field that waits for its condition; see [`Filter::field`].
#[derive(Debug, Clone)]
#[must_use]
pub struct FieldBuilder {
    path: Path,
}

impl FieldBuilder {
    /// Any test.
    pub fn test(self, test: Test) -> Filter {
        self.tests(vec![test.into()])
    }

    fn tests(self, conditions: Vec<Condition>) -> Filter {
        Filter::Field(FieldFilter {
            path: self.path,
            conditions,
            place: Place::default(),
        })
    }

    /// [`Test::Eq`]
    pub fn eq(self, value: impl Into<Value>) -> Filter {
        self.test(Test::Eq(value.into()))
    }

    /// [`Test::Ne`]
    pub fn ne(self, value: impl Into<Value>) -> Filter {
        self.test(Test::Ne(value.into()))
    }

    /// [`Test::Gt`]
    pub fn gt(self, value: impl Into<Value>) -> Filter {
        self.test(Test::Gt(value.into()))
    }

    /// [`Test::Gte`]
    pub fn gte(self, value: impl Into<Value>) -> Filter {
        self.test(Test::Gte(value.into()))
    }

    /// [`Test::Lt`]
    pub fn lt(self, value: impl Into<Value>) -> Filter {
        self.test(Test::Lt(value.into()))
    }

    /// [`Test::Lte`]
    pub fn lte(self, value: impl Into<Value>) -> Filter {
        self.test(Test::Lte(value.into()))
    }

    /// [`Test::In`]
    pub fn in_<M: Into<Member>>(self, members: impl IntoIterator<Item = M>) -> Filter {
        self.test(Test::In(members.into_iter().map(Into::into).collect()))
    }

    /// [`Test::Nin`]
    pub fn nin<M: Into<Member>>(self, members: impl IntoIterator<Item = M>) -> Filter {
        self.test(Test::Nin(members.into_iter().map(Into::into).collect()))
    }

    /// [`Test::All`]
    pub fn all<M: Into<Member>>(self, members: impl IntoIterator<Item = M>) -> Filter {
        self.test(Test::All(members.into_iter().map(Into::into).collect()))
    }

    /// The field is there.
    pub fn exists(self) -> Filter {
        self.test(Test::Exists(true))
    }

    /// The field is not there.
    pub fn missing(self) -> Filter {
        self.test(Test::Exists(false))
    }

    /// [`Test::Type`]
    pub fn type_(self, types: impl IntoIterator<Item = TypeName>) -> Filter {
        self.test(Test::Type(types.into_iter().collect()))
    }

    /// [`Test::Size`]
    pub fn size(self, elements: u64) -> Filter {
        self.test(Test::Size(elements))
    }

    /// [`Test::Mod`]
    pub fn mod_(self, divisor: i64, remainder: i64) -> Filter {
        self.test(Test::Mod { divisor, remainder })
    }

    /// [`Test::Bits`]
    pub fn bits(self, mode: BitsMode, mask: u64) -> Filter {
        self.test(Test::Bits { mode, mask })
    }

    /// [`Test::Regex`]; options are letters of `imsx`.
    pub fn regex(self, pattern: &str, options: &str) -> Filter {
        self.test(Test::Regex(Pattern::new(pattern, options)))
    }

    /// The text holds this text.
    pub fn contains(self, text: &str) -> Filter {
        self.test(Test::Regex(Pattern::literal(text)))
    }

    /// An element of the array is a document that the filter matches.
    pub fn elem_match(self, filter: Filter) -> Filter {
        self.test(Test::ElemMatch(ElemMatch::Object(Box::new(filter))))
    }

    /// An element of the array passes all the tests.
    pub fn elem_value(self, tests: impl IntoIterator<Item = Test>) -> Filter {
        let conditions = tests.into_iter().map(Into::into).collect();
        self.test(Test::ElemMatch(ElemMatch::Value(conditions)))
    }

    /// Not all of the tests hold.
    pub fn not(self, tests: impl IntoIterator<Item = Test>) -> Filter {
        let conditions = tests.into_iter().map(Into::into).collect();
        self.test(Test::Not(conditions))
    }

    /// All of the tests hold.
    pub fn every(self, tests: impl IntoIterator<Item = Test>) -> Filter {
        let conditions = tests.into_iter().map(Into::into).collect();
        self.tests(conditions)
    }
}
