//! Orders of documents.

use std::{cmp::Ordering, fmt, str::FromStr};

use crate::{
    ErrorKind, FilterError, Kind, Node, On, Path, Value, compare::compare, node::to_value,
    path::index_of,
};

/// By which keys documents are sorted.
///
/// A key is a path with a sign: `+a.b` and `a.b` ascend, `-a.b` descends. The value of a key is the
/// smallest of its values when it ascends, and the greatest when it descends: the elements of an
/// array are values, an empty array is less than null. A missing field is null. Values are compared
/// as by [`crate::compare`], so NaN is less than all other numbers.
///
/// ```
/// use query_dsl::{Order, Value};
///
/// let order: Order = "-summary.acc".parse()?;
/// let documents = [r#"{"summary": {"acc": 0.5}}"#, "{}", r#"{"summary": {"acc": 0.9}}"#];
/// let documents: Vec<Value> = documents.iter().map(|d| Value::parse_json(d)).collect::<Result<_, _>>()?;
/// let mut sorted: Vec<&Value> = documents.iter().collect();
/// order.sort(&mut sorted);
/// assert_eq!(sorted, [&documents[2], &documents[0], &documents[1]]);
/// # Ok::<(), query_dsl::FilterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Order {
    /// The keys; the first that differs decides.
    pub keys: Vec<OrderKey>,
    /// Null, missing values and empty arrays go to the end, whatever the direction.
    pub nulls_last: bool,
    /// NaN goes to the end, whatever the direction; before nulls that go there, too.
    pub nan_last: bool,
}

/// One key of an [`Order`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderKey {
    /// Which field.
    pub path: Path,
    /// Which way.
    pub direction: Direction,
}

/// Which way a key sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The least first.
    Ascending,
    /// The greatest first.
    Descending,
}

/// What a document is sorted by, extracted once; see [`Order::key`].
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey(Vec<Part>);

/// The value of one key.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    EmptyArray,
    Value(Value),
}

impl Order {
    /// An order by these keys.
    pub fn new(keys: impl IntoIterator<Item = OrderKey>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Reads keys with their signs; the first decides first.
    ///
    /// # Errors
    /// A key is no path. The pointer is its index.
    pub fn parse<S: AsRef<str>>(keys: impl IntoIterator<Item = S>) -> Result<Self, FilterError> {
        let keys = keys.into_iter().enumerate().map(|(index, key)| {
            let key = key.as_ref().parse::<OrderKey>();
            key.map_err(|error| error.at(format!("/{index}"), On::Value))
        });
        Ok(Self::new(keys.collect::<Result<Vec<_>, _>>()?))
    }

    /// Sends nulls to the end; see [`Order::nulls_last`].
    #[must_use]
    pub fn with_nulls_last(mut self) -> Self {
        self.nulls_last = true;
        self
    }

    /// Sends NaN to the end; see [`Order::nan_last`].
    #[must_use]
    pub fn with_nan_last(mut self) -> Self {
        self.nan_last = true;
        self
    }

    /// What a document is sorted by.
    pub fn key<'a, N: Node<'a>>(&self, document: N) -> SortKey {
        let part = |key: &OrderKey| {
            let mut found = Extreme {
                direction: key.direction,
                best: None,
            };
            walk(document, &key.path, 0, false, &mut found);
            found
                .best
                .map_or(Part::Value(Value::Null), Candidate::into_part)
        };
        SortKey(self.keys.iter().map(part).collect())
    }

    /// Compares two keys that this order gave.
    pub fn compare(&self, a: &SortKey, b: &SortKey) -> Ordering {
        let parts = self.keys.iter().zip(a.0.iter().zip(&b.0));
        parts
            .map(|(key, (a, b))| self.compare_parts(key.direction, a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Sorts; equal documents keep their order.
    pub fn sort<'a, N: Node<'a>>(&self, documents: &mut Vec<N>) {
        let mut keyed: Vec<_> = documents.drain(..).map(|d| (self.key(d), d)).collect();
        keyed.sort_by(|(a, _), (b, _)| self.compare(a, b));
        documents.extend(keyed.into_iter().map(|(_, document)| document));
    }

    fn compare_parts(&self, direction: Direction, a: &Part, b: &Part) -> Ordering {
        let last = |part: &Part| match part {
            Part::EmptyArray | Part::Value(Value::Null) => u8::from(self.nulls_last) * 2,
            Part::Value(Value::Double(d)) if d.is_nan() => u8::from(self.nan_last),
            Part::Value(_) => 0,
        };
        last(a).cmp(&last(b)).then_with(|| {
            let order = match (a, b) {
                (Part::EmptyArray, Part::EmptyArray) => Ordering::Equal,
                (Part::EmptyArray, Part::Value(_)) => Ordering::Less,
                (Part::Value(_), Part::EmptyArray) => Ordering::Greater,
                (Part::Value(a), Part::Value(b)) => compare(a, b),
            };
            match direction {
                Direction::Ascending => order,
                Direction::Descending => order.reverse(),
            }
        })
    }
}

/// A value met on the way, not yet copied.
enum Candidate<N> {
    EmptyArray,
    Null,
    Node(N),
}

impl<'a, N: Node<'a>> Candidate<N> {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::EmptyArray, Self::EmptyArray) => Ordering::Equal,
            (Self::EmptyArray, _) => Ordering::Less,
            (_, Self::EmptyArray) => Ordering::Greater,
            (Self::Node(a), Self::Node(b)) => compare(*a, *b),
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, Self::Node(b)) => compare(&Value::Null, *b),
            (Self::Node(a), Self::Null) => compare(*a, &Value::Null),
        }
    }

    fn into_part(self) -> Part {
        match self {
            Self::EmptyArray => Part::EmptyArray,
            Self::Null => Part::Value(Value::Null),
            Self::Node(node) => Part::Value(to_value(node)),
        }
    }
}

/// The least or the greatest of what it is given.
struct Extreme<N> {
    direction: Direction,
    best: Option<Candidate<N>>,
}

impl<'a, N: Node<'a>> Extreme<N> {
    fn add(&mut self, candidate: Candidate<N>) {
        let better = match (&self.best, self.direction) {
            (None, _) => true,
            (Some(best), Direction::Ascending) => candidate.compare(best).is_lt(),
            (Some(best), Direction::Descending) => candidate.compare(best).is_gt(),
        };
        if better {
            self.best = Some(candidate);
        }
    }
}

/// Goes on from a node at the part with this index. It differs from what filters do: what is in an
/// array and is no object counts as null, and a number selects that element only.
fn walk<'a, N: Node<'a>>(node: N, path: &Path, at: usize, by_index: bool, found: &mut Extreme<N>) {
    let Some(part) = path.parts().get(at) else {
        if by_index || !matches!(node.kind(), Kind::Array) {
            return found.add(Candidate::Node(node));
        }
        let mut items = node.items().peekable();
        if items.peek().is_none() {
            found.add(Candidate::EmptyArray);
        }
        return items.for_each(|item| found.add(Candidate::Node(item)));
    };
    let optional = path.optional_part() == Some(at);
    match node.kind() {
        Kind::Object => {
            let mut there = false;
            for (key, taken) in path.keys_at(at) {
                if let Some(child) = node.get(&key) {
                    there = true;
                    walk(child, path, at + taken, false, found);
                }
            }
            match (there, optional) {
                (true, _) => {}
                (false, true) => walk(node, path, at + 1, by_index, found),
                (false, false) => found.add(Candidate::Null),
            }
        }
        _ if optional => walk(node, path, at + 1, by_index, found),
        Kind::Array => {
            if let Some(item) = index_of(part).and_then(|index| node.item(index)) {
                return walk(item, path, at + 1, true, found);
            }
            let mut items = node.items().peekable();
            if items.peek().is_none() {
                found.add(Candidate::Null);
            }
            for item in items {
                if matches!(item.kind(), Kind::Object) {
                    walk(item, path, at, false, found);
                } else {
                    found.add(Candidate::Null);
                }
            }
        }
        _ => found.add(Candidate::Null),
    }
}

impl FromStr for OrderKey {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (direction, path) = match text.strip_prefix('-') {
            Some(path) => (Direction::Descending, path),
            None => (Direction::Ascending, text.strip_prefix('+').unwrap_or(text)),
        };
        if path.is_empty() {
            let message = format!("{text:?} names nothing to sort by");
            return Err(FilterError::new(ErrorKind::OrderSyntax, message));
        }
        Ok(Self {
            path: path.parse()?,
            direction,
        })
    }
}

impl FromStr for Order {
    type Err = FilterError;

    /// An order by one key.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse([text])
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.direction {
            Direction::Ascending => '+',
            Direction::Descending => '-',
        };
        write!(f, "{sign}{}", self.path)
    }
}
