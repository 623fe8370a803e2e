//! Filters as SQL: what a database can answer, and what is left.

use crate::{Filter, Path, Test};

/// A value that is bound to a `?` of a [`Fragment`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SqlValue {
    /// A whole number of 64 bits.
    Integer(i64),
    /// A double; never NaN.
    Real(f64),
    /// Text.
    Text(String),
}

/// A piece of SQL with the values of its `?`, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fragment {
    /// An expression in parentheses where it needs them.
    pub sql: String,
    /// One for each `?`.
    pub params: Vec<SqlValue>,
}

impl Fragment {
    /// Plain SQL.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            params: Vec::new(),
        }
    }

    fn joined(list: Vec<Self>, word: &str) -> Self {
        let mut out = Self::new("(");
        for (index, one) in list.into_iter().enumerate() {
            if index > 0 {
                out.sql.push_str(word);
            }
            out.sql.push_str(&one.sql);
            out.params.extend(one.params);
        }
        out.sql.push(')');
        out
    }

    fn negated(self) -> Self {
        Self {
            // What is unknown is false, so its complement is true.
            sql: format!("(NOT coalesce({}, 0))", self.sql),
            params: self.params,
        }
    }
}

/// How a database answers a part of a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Translation {
    /// True for exactly the documents that match.
    Exact(Fragment),
    /// True for all the documents that match, and for some others.
    Inexact(Fragment),
    /// The database has no answer.
    Unsupported,
}

/// A condition in SQL: nothing for what always holds.
pub type Sql = Option<Fragment>;

/// A database's way to say what filters say.
pub trait Dialect {
    /// One test of one field. The SQL is true where it holds, and false or NULL where not.
    fn test(&self, path: &Path, test: &Test) -> Translation;
}

/// A filter, divided between a database and this crate.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// What the database is asked, for a place where NULL counts as false, as in `WHERE`; nothing
    /// for all documents.
    pub sql: Sql,
    /// What is left to ask of the documents that it gives; nothing if its answer is exact. As long
    /// as something is left, the database must not be told a limit.
    pub residual: Option<Filter>,
}

/// Divides a filter: the database's answer holds every document that matches, and the residual
/// filter picks those that do from it.
///
/// ```
/// use query_dsl::{Filter, SqliteDialect, push_down};
///
/// let filter = Filter::parse_json(r#"{"lr": {"$gt": 0.1}, "name": {"$regex": "a.b"}}"#)?;
/// let pushed = push_down(&filter, &SqliteDialect::json("doc"));
/// assert!(pushed.sql.is_some_and(|sql| sql.sql.contains("json_extract")));
/// assert_eq!(pushed.residual.map(|f| f.to_json()), Some(r#"{"name":{"$regex":"a.b"}}"#.into()));
/// # Ok::<(), query_dsl::FilterError>(())
/// ```
pub fn push_down(filter: &Filter, dialect: &dyn Dialect) -> Pushed {
    let whole = part(filter, dialect);
    Pushed {
        sql: whole.sql,
        residual: whole.residual,
    }
}

/// The answer to a part; a residual means that the SQL is a superset.
struct Part {
    sql: Sql,
    residual: Option<Filter>,
}

fn part(filter: &Filter, dialect: &dyn Dialect) -> Part {
    let left = |filter: &Filter| Part {
        sql: None,
        residual: Some(filter.clone()),
    };
    match filter {
        Filter::Comment(_) => Part {
            sql: None,
            residual: None,
        },
        Filter::And(all) => {
            let parts = all.iter().map(|one| part(one, dialect));
            conjunction(parts)
        }
        Filter::Field(field) => {
            let parts = field.conditions.iter().map(|condition| {
                let mut alone = field.clone();
                alone.conditions = vec![condition.clone()];
                let alone = Filter::Field(alone);
                match test_of(&field.path, &condition.test, dialect) {
                    Translation::Exact(sql) => Part {
                        sql: Some(sql),
                        residual: None,
                    },
                    Translation::Inexact(sql) => Part {
                        sql: Some(sql),
                        residual: Some(alone),
                    },
                    Translation::Unsupported => left(&alone),
                }
            });
            conjunction(parts)
        }
        Filter::Or(any) => {
            let parts: Vec<Part> = any.iter().map(|one| part(one, dialect)).collect();
            let exact = parts.iter().all(|part| part.residual.is_none());
            // One that may hold for any document makes the whole so.
            let sql: Option<Vec<Fragment>> = parts.into_iter().map(|part| part.sql).collect();
            Part {
                sql: sql.map(disjunction),
                residual: (!exact).then(|| filter.clone()),
            }
        }
        Filter::Nor(none) => {
            // The complement of a superset is a subset: only exact parts can be negated.
            let (mut negated, mut rest) = (Vec::new(), Vec::new());
            for one in none {
                match part(one, dialect) {
                    Part {
                        sql,
                        residual: None,
                    } => negated.push(sql.unwrap_or_else(|| Fragment::new("1")).negated()),
                    _ => rest.push(one.clone()),
                }
            }
            Part {
                sql: (!negated.is_empty()).then(|| Fragment::joined(negated, " AND ")),
                residual: (!rest.is_empty()).then(|| Filter::Nor(rest)),
            }
        }
    }
}

fn conjunction(parts: impl Iterator<Item = Part>) -> Part {
    let (mut sql, mut rest) = (Vec::new(), Vec::new());
    for part in parts {
        sql.extend(part.sql);
        rest.extend(part.residual);
    }
    Part {
        sql: (!sql.is_empty()).then(|| Fragment::joined(sql, " AND ")),
        residual: (!rest.is_empty()).then(|| Filter::And(rest).canonical()),
    }
}

fn disjunction(list: Vec<Fragment>) -> Fragment {
    if list.is_empty() {
        return Fragment::new("0");
    }
    Fragment::joined(list, " OR ")
}

/// A test, with what all dialects negate and join alike.
pub(crate) fn test_of(path: &Path, one: &Test, dialect: &dyn Dialect) -> Translation {
    let complement = |positive: &Test| match test_of(path, positive, dialect) {
        Translation::Exact(sql) => Translation::Exact(sql.negated()),
        _ => Translation::Unsupported,
    };
    match one {
        Test::Ne(value) => complement(&Test::Eq(value.clone())),
        Test::Nin(members) => complement(&Test::In(members.clone())),
        Test::Exists(false) => complement(&Test::Exists(true)),
        Test::Comment(_) => Translation::Exact(Fragment::new("1")),
        Test::Not(conditions) => {
            let tests = conditions.iter().map(|condition| &condition.test);
            match every(tests.map(|one| test_of(path, one, dialect))) {
                Translation::Exact(sql) => Translation::Exact(sql.negated()),
                _ => Translation::Unsupported,
            }
        }
        Test::All(members) if members.is_empty() => Translation::Exact(Fragment::new("0")),
        Test::All(members) => every(members.iter().map(|member| {
            let one = match member {
                crate::Member::Value(value) => Test::Eq(value.clone()),
                crate::Member::Regex(pattern) => Test::Regex(pattern.clone()),
            };
            test_of(path, &one, dialect)
        })),
        Test::AllElemMatch(elements) if elements.is_empty() => {
            Translation::Exact(Fragment::new("0"))
        }
        Test::AllElemMatch(elements) => every(
            elements
                .iter()
                .map(|one| test_of(path, &Test::ElemMatch(one.clone()), dialect)),
        ),
        other => dialect.test(path, other),
    }
}

/// All of these.
pub(crate) fn every(parts: impl Iterator<Item = Translation>) -> Translation {
    let (mut list, mut exact) = (Vec::new(), true);
    for part in parts {
        match part {
            Translation::Exact(sql) => list.push(sql),
            Translation::Inexact(sql) => {
                list.push(sql);
                exact = false;
            }
            Translation::Unsupported => exact = false,
        }
    }
    match (list.is_empty(), exact) {
        (true, true) => Translation::Exact(Fragment::new("1")),
        (true, false) => Translation::Unsupported,
        (false, true) => Translation::Exact(Fragment::joined(list, " AND ")),
        (false, false) => Translation::Inexact(Fragment::joined(list, " AND ")),
    }
}
