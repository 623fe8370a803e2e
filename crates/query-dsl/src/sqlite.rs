//! The dialect of SQLite.

mod operand;
mod test;

use std::{cell::Cell, fmt};

use crate::{
    Path, Test,
    path::index_of,
    sql::{Dialect, Fragment, Translation},
};
use operand::Operand;

/// What lies in a [`Column`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnType {
    /// Plain JSON, as text or as JSONB: no Extended JSON, so no NaN and no dates.
    Json,
    /// Text, compared bytewise.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A double.
    Real,
    /// 0 or 1.
    Boolean,
    /// An instant: an integer of milliseconds since 1970-01-01T00:00:00Z.
    Date,
}

/// Where a path leads to in a table.
///
/// `NULL` means that the field is missing, or null: keep the two apart in a
/// [`ColumnType::Json`] column where it matters to `$exists` and `$type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// An SQL expression.
    pub sql: String,
    /// What it gives.
    pub kind: ColumnType,
    /// How many parts of the path lead to it. What remains is looked up in its JSON.
    pub taken: usize,
}

type Columns = dyn Fn(&Path) -> Option<Column> + Send + Sync;

/// SQLite's way to ask for documents, from version 3.45 on.
///
/// Numbers are compared exactly, strings bytewise, booleans are no numbers, arrays are looked into
/// as a filter does. Regular expressions that are no plain prefix or infix, and equality of arrays
/// and objects, are left over.
pub struct SqliteDialect {
    columns: Box<Columns>,
}

impl fmt::Debug for SqliteDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteDialect").finish_non_exhaustive()
    }
}

impl SqliteDialect {
    /// Whole documents in one column, as JSON text or as JSONB.
    pub fn json(column: impl Into<String>) -> Self {
        let column = column.into();
        Self::new(move |_| {
            Some(Column {
                sql: column.clone(),
                kind: ColumnType::Json,
                taken: 0,
            })
        })
    }

    /// Fields in columns: what the function does not know is left over.
    pub fn new(columns: impl Fn(&Path) -> Option<Column> + Send + Sync + 'static) -> Self {
        Self {
            columns: Box::new(columns),
        }
    }
}

impl Dialect for SqliteDialect {
    fn test(&self, path: &Path, test: &Test) -> Translation {
        let Some(column) = (self.columns)(path) else {
            return Translation::Unsupported;
        };
        let writer = Writer::default();
        let found = if column.kind == ColumnType::Json {
            let walk = Walk {
                writer: &writer,
                path,
                test,
            };
            let site = Site::root(&column.sql);
            match column.taken {
                0 => walk.object(&site, 0),
                taken => walk.node(&site, taken, false),
            }
        } else if column.taken == path.parts().len() || ends_optionally(path, column.taken) {
            test::value(&writer, test, &Operand::Column(column.sql, column.kind))
        } else {
            None
        };
        translation(found)
    }
}

/// Whether what remains of a path at a scalar is a part that is left out there.
fn ends_optionally(path: &Path, taken: usize) -> bool {
    taken + 1 == path.parts().len() && path.optional_part() == Some(taken)
}

/// A condition, and whether it is exact.
struct Answer {
    sql: Fragment,
    exact: bool,
}

impl Answer {
    fn exact(sql: impl Into<String>) -> Self {
        Self {
            sql: Fragment::new(sql),
            exact: true,
        }
    }
}

fn translation(answer: Option<Answer>) -> Translation {
    match answer {
        Some(Answer { sql, exact: true }) => Translation::Exact(sql),
        Some(Answer { sql, .. }) => Translation::Inexact(sql),
        None => Translation::Unsupported,
    }
}

fn answer(translation: Translation) -> Option<Answer> {
    match translation {
        Translation::Exact(sql) => Some(Answer { sql, exact: true }),
        Translation::Inexact(sql) => Some(Answer { sql, exact: false }),
        Translation::Unsupported => None,
    }
}

/// What is counted while one condition is written.
#[derive(Default)]
struct Writer {
    aliases: Cell<usize>,
    leaves: Cell<usize>,
}

/// Each part of a path doubles what is written, for it may lead into an array.
const MAX_LEAVES: usize = 64;

impl Writer {
    fn alias(&self) -> String {
        self.aliases.set(self.aliases.get() + 1);
        format!("e{}", self.aliases.get())
    }

    /// Nothing if it grows too long.
    fn leaf(&self) -> Option<()> {
        self.leaves.set(self.leaves.get() + 1);
        (self.leaves.get() <= MAX_LEAVES).then_some(())
    }
}

/// A place in JSON: an SQL expression and a path of SQLite in it.
#[derive(Clone)]
struct Site {
    json: String,
    path: String,
}

impl Site {
    fn root(json: &str) -> Self {
        Self {
            json: json.to_owned(),
            path: "$".to_owned(),
        }
    }

    fn args(&self) -> String {
        format!("{}, '{}'", self.json, self.path)
    }

    fn kind(&self) -> String {
        format!("json_type({})", self.args())
    }

    /// The value at a key; nothing for keys that SQLite's paths cannot name.
    fn key(&self, key: &str) -> Option<Self> {
        let odd = |c: char| c.is_control() || c == '"' || c == '\\';
        if key.is_empty() || key.contains(odd) {
            return None;
        }
        Some(Self {
            json: self.json.clone(),
            path: format!("{}.\"{}\"", self.path, key.replace('\'', "''")),
        })
    }

    fn item(&self, index: usize) -> Self {
        Self {
            json: self.json.clone(),
            path: format!("{}[{index}]", self.path),
        }
    }
}

/// Follows a path and tests what it leads to.
struct Walk<'w> {
    writer: &'w Writer,
    path: &'w Path,
    test: &'w Test,
}

impl Walk<'_> {
    /// Some candidate from here on passes. `by_index`: a number led here.
    fn node(&self, site: &Site, at: usize, by_index: bool) -> Option<Answer> {
        let Some(part) = self.path.parts().get(at) else {
            return self.leaf(site, by_index);
        };
        if self.path.optional_part() == Some(at) {
            return self.optional(site, at, by_index);
        }
        let object = self.object(site, at)?;
        let element = self.writer.alias();
        let inner = self.object(&Site::root(&format!("{element}.value")), at)?;
        let mut exact = object.exact && inner.exact;
        let mut array = Fragment {
            sql: format!(
                "EXISTS (SELECT 1 FROM json_each({}) AS {element} \
                 WHERE CASE {element}.type WHEN 'object' THEN {} ELSE 0 END)",
                site.args(),
                inner.sql.sql
            ),
            params: inner.sql.params,
        };
        if let Some(index) = index_of(part) {
            let item = site.item(index);
            let named = self.node(&item, at + 1, true)?;
            exact &= named.exact;
            array.sql = format!(
                "({} OR ({} IS NOT NULL AND {}))",
                array.sql,
                item.kind(),
                named.sql.sql
            );
            array.params.extend(named.sql.params);
        }
        // Below a scalar that a number led to, there is not even a missing field.
        let (object_word, end) = if by_index {
            ("WHEN 'object' THEN", "ELSE 0 END")
        } else {
            ("ELSE", "END")
        };
        let mut sql = Fragment::new(format!(
            "(CASE {} WHEN 'array' THEN {} {object_word} {} {end})",
            site.kind(),
            array.sql,
            object.sql.sql
        ));
        sql.params = array.params;
        sql.params.extend(object.sql.params);
        Some(Answer { sql, exact })
    }

    /// As [`Walk::node`], at a part that is followed where the keys are there, and else skipped.
    fn optional(&self, site: &Site, at: usize, by_index: bool) -> Option<Answer> {
        let keys = self.path.keys_at(at);
        let there: Option<Vec<_>> = keys
            .iter()
            .map(|(key, _)| Some(format!("{} IS NOT NULL", site.key(key)?.kind())))
            .collect();
        let followed = self.object(site, at)?;
        let skipped = self.node(site, at + 1, by_index)?;
        let mut sql = Fragment::new(format!(
            "(CASE WHEN {} THEN {} ELSE {} END)",
            there?.join(" OR "),
            followed.sql.sql,
            skipped.sql.sql
        ));
        sql.params = followed.sql.params;
        sql.params.extend(skipped.sql.params);
        Some(Answer {
            sql,
            exact: followed.exact && skipped.exact,
        })
    }

    /// As [`Walk::node`], at an object; at whatever has no keys, the field is missing.
    fn object(&self, site: &Site, at: usize) -> Option<Answer> {
        let keys = self.path.keys_at(at);
        if let [(key, taken)] = keys.as_slice() {
            return self.node(&site.key(key)?, at + taken, false);
        }
        let (mut words, mut absent, mut params) = (Vec::new(), Vec::new(), Vec::new());
        let mut exact = true;
        for (key, taken) in &keys {
            let child = site.key(key)?;
            let found = self.node(&child, at + taken, false)?;
            exact &= found.exact;
            words.push(format!(
                "({} IS NOT NULL AND {})",
                child.kind(),
                found.sql.sql
            ));
            params.extend(found.sql.params);
            absent.push(format!("{} IS NULL", child.kind()));
        }
        let missing = self.value(&Operand::Missing)?;
        words.push(format!(
            "({} AND {})",
            absent.join(" AND "),
            missing.sql.sql
        ));
        params.extend(missing.sql.params);
        let sql = Fragment {
            sql: format!("({})", words.join(" OR ")),
            params,
        };
        Some(Answer {
            sql,
            exact: exact && missing.exact,
        })
    }

    /// An element of an array as document: arrays have the keys 0, 1, ….
    fn element(&self, alias: &str) -> Option<Answer> {
        let site = Site::root(&format!("{alias}.value"));
        let object = self.object(&site, 0)?;
        let missing = self.value(&Operand::Missing)?;
        let index = self.path.parts().first().and_then(|part| index_of(part));
        let array = match index {
            None => missing,
            Some(index) => {
                let item = site.item(index);
                let named = self.node(&item, 1, false)?;
                let mut sql = Fragment::new(format!(
                    "(CASE WHEN {} IS NULL THEN {} ELSE {} END)",
                    item.kind(),
                    missing.sql.sql,
                    named.sql.sql
                ));
                sql.params = missing.sql.params;
                sql.params.extend(named.sql.params);
                Answer {
                    sql,
                    exact: named.exact && missing.exact,
                }
            }
        };
        let mut sql = Fragment::new(format!(
            "(CASE {alias}.type WHEN 'array' THEN {} ELSE {} END)",
            array.sql.sql, object.sql.sql
        ));
        sql.params = array.sql.params;
        sql.params.extend(object.sql.params);
        Some(Answer {
            sql,
            exact: array.exact && object.exact,
        })
    }

    /// At the end of the path: the value itself, and the elements of an array.
    fn leaf(&self, site: &Site, by_index: bool) -> Option<Answer> {
        let own = self.value(&Operand::Site(site.clone()))?;
        if by_index || !unwinds(self.test) {
            return Some(own);
        }
        let element = self.writer.alias();
        let inner = self.value(&Operand::Element(element.clone()))?;
        let mut sql = Fragment::new(format!(
            "({} OR ({} = 'array' AND EXISTS (SELECT 1 FROM json_each({}) AS {element} WHERE {})))",
            own.sql.sql,
            site.kind(),
            site.args(),
            inner.sql.sql
        ));
        sql.params = own.sql.params;
        sql.params.extend(inner.sql.params);
        Some(Answer {
            sql,
            exact: own.exact && inner.exact,
        })
    }

    fn value(&self, operand: &Operand) -> Option<Answer> {
        self.writer.leaf()?;
        test::value(self.writer, self.test, operand)
    }
}

/// Whether elements of an array are candidates beside it.
fn unwinds(test: &Test) -> bool {
    !matches!(test, Test::Exists(_) | Test::Size(_) | Test::ElemMatch(_))
}

/// Documents that are elements of an array.
struct Elements<'w> {
    writer: &'w Writer,
    alias: &'w str,
}

impl Dialect for Elements<'_> {
    fn test(&self, path: &Path, test: &Test) -> Translation {
        let walk = Walk {
            writer: self.writer,
            path,
            test,
        };
        translation(walk.element(self.alias))
    }
}

/// One value, whatever the path.
struct OneValue<'w> {
    writer: &'w Writer,
    operand: &'w Operand,
}

impl Dialect for OneValue<'_> {
    fn test(&self, _: &Path, test: &Test) -> Translation {
        translation(test::value(self.writer, test, self.operand))
    }
}
