//! Filters that are applied to documents.

mod compile;
mod members;
mod probe;
mod route;
mod search;

use crate::{Kind, Node};
use probe::Probe;
use route::Route;

/// A filter made ready, to be applied to any number of documents; see [`crate::Filter::compile`].
///
/// It may be shared by threads, and asks documents without copying from them.
#[derive(Debug)]
pub struct Matcher {
    plan: Plan,
}

impl Matcher {
    /// Whether the filter holds for a document.
    ///
    /// ```
    /// use query_dsl::{Filter, Value};
    ///
    /// let matcher = Filter::field("tags").eq("prod").compile()?;
    /// assert!(matcher.matches(&Value::parse_json(r#"{"tags": ["old", "prod"]}"#)?));
    /// # Ok::<(), query_dsl::FilterError>(())
    /// ```
    pub fn matches<'a, N: Node<'a>>(&self, document: N) -> bool {
        self.plan.holds(document)
    }
}

#[derive(Debug)]
enum Plan {
    Const(bool),
    And(Vec<Self>),
    Or(Vec<Self>),
    Nor(Vec<Self>),
    Field(Route, Vec<Check>),
}

/// One test of a field, over all its candidates.
#[derive(Debug)]
enum Check {
    Const(bool),
    /// Some candidate passes.
    Some(Probe),
    /// Each of these holds.
    Every(Vec<Self>),
    /// Not all of these hold.
    Not(Vec<Self>),
}

/// What an element of an array is asked.
#[derive(Debug)]
enum Element {
    Value(Vec<Check>),
    Object(Plan),
}

/// Where candidates come from.
#[derive(Clone, Copy)]
enum Source<'p, N> {
    /// A way into a document.
    Route(N, &'p Route),
    /// Where the one way ends, or just a missing field.
    End(Option<N>),
    /// Just this value.
    Only(N),
}

impl<'a, N: Node<'a>> Source<'_, N> {
    /// Whether some candidate passes; a missing field is the candidate `None`. `unwind`: elements of
    /// an array at the end are candidates beside the array.
    #[inline]
    fn any(self, unwind: bool, mut passes: impl FnMut(Option<N>) -> bool) -> bool {
        match self {
            Self::Route(root, route) => route.any(root, unwind, &mut passes),
            Self::End(end) => {
                passes(end)
                    || (unwind
                        && end.is_some_and(|node| {
                            matches!(node.kind(), Kind::Array)
                                && node.items().any(|item| passes(Some(item)))
                        }))
            }
            Self::Only(value) => passes(Some(value)),
        }
    }
}

impl Plan {
    /// The depth is bounded where the plan is compiled.
    fn holds<'a, N: Node<'a>>(&self, document: N) -> bool {
        match self {
            Self::Const(value) => *value,
            Self::And(all) => all.iter().all(|plan| plan.holds(document)),
            Self::Or(any) => any.iter().any(|plan| plan.holds(document)),
            Self::Nor(none) => !none.iter().any(|plan| plan.holds(document)),
            Self::Field(route, checks) => {
                // What several checks ask is looked up once.
                let end = route.end(document);
                every(
                    checks,
                    end.map_or(Source::Route(document, route), Source::End),
                )
            }
        }
    }
}

#[inline]
fn every<'a, N: Node<'a>>(checks: &[Check], source: Source<'_, N>) -> bool {
    checks.iter().all(|check| check.holds(source))
}

impl Check {
    #[inline]
    fn holds<'a, N: Node<'a>>(&self, source: Source<'_, N>) -> bool {
        match self {
            Self::Const(value) => *value,
            Self::Some(probe) => source.any(probe.unwinds(), |candidate| probe.passes(candidate)),
            Self::Every(checks) => every(checks, source),
            Self::Not(checks) => !every(checks, source),
        }
    }
}

impl Element {
    /// Whether some element of an array is like this.
    fn found_in<'a, N: Node<'a>>(&self, array: N) -> bool {
        array.items().any(|item| match self {
            Self::Value(checks) => every(checks, Source::Only(item)),
            Self::Object(plan) => {
                matches!(item.kind(), Kind::Object | Kind::Array) && plan.holds(item)
            }
        })
    }
}
