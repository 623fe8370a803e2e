//! Documents in SQLite, asked by what is pushed down.

use query_dsl::{Filter, Fragment, Matcher, Pushed, SqlValue, SqliteDialect, Value, push_down};
use rusqlite::{Connection, params_from_iter, types::Value as Bound};

/// The document as plain JSON, if that can hold it: no NaN, no dates, no long where an int would do.
pub(crate) fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::Double(d) if d.is_nan() => return None,
        Value::Double(d) if d.is_infinite() => if *d > 0.0 { "1e999" } else { "-1e999" }.to_owned(),
        Value::Date(_) => return None,
        Value::Long(long) if i32::try_from(*long).is_ok() => return None,
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(plain).collect();
            format!("[{}]", items?.join(","))
        }
        Value::Object(entries) => {
            let entries: Option<Vec<_>> = entries
                .iter()
                .map(|(key, item)| {
                    Some(format!(
                        "{}:{}",
                        Value::from(key.as_str()).to_json(),
                        plain(item)?
                    ))
                })
                .collect();
            format!("{{{}}}", entries?.join(","))
        }
        scalar => scalar.to_json(),
    })
}

/// A table of documents, as text and as JSONB.
pub(crate) struct Database(Connection);

impl Database {
    pub(crate) fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE docs (id INTEGER PRIMARY KEY, text TEXT, bin BLOB)")
            .unwrap();
        Self(connection)
    }

    /// Takes these documents in place of what it has; gives the indexes of those that it can hold.
    pub(crate) fn fill(&self, documents: &[Value]) -> Vec<usize> {
        self.0.execute("DELETE FROM docs", []).unwrap();
        let mut insert = self
            .0
            .prepare_cached("INSERT INTO docs VALUES (?1, ?2, jsonb(?2))")
            .unwrap();
        let mut held = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            if let Some(json) = plain(document) {
                insert
                    .execute((i64::try_from(index).unwrap(), json))
                    .unwrap();
                held.push(index);
            }
        }
        held
    }

    fn select(&self, sql: &Option<Fragment>) -> Vec<usize> {
        let everything = Fragment::new("1");
        let sql = sql.as_ref().unwrap_or(&everything);
        let query = format!("SELECT id FROM docs WHERE {} ORDER BY id", sql.sql);
        let params = sql.params.iter().map(|param| match param {
            SqlValue::Integer(i) => Bound::Integer(*i),
            SqlValue::Real(d) => Bound::Real(*d),
            SqlValue::Text(text) => Bound::Text(text.clone()),
            other => panic!("{other:?}"),
        });
        let mut statement = self
            .0
            .prepare(&query)
            .unwrap_or_else(|e| panic!("{query}: {e}"));
        let rows = statement
            .query_map(params_from_iter(params), |row| {
                row.get::<_, i64>(0).map(|id| usize::try_from(id).unwrap())
            })
            .unwrap();
        rows.collect::<Result<_, _>>()
            .unwrap_or_else(|e| panic!("{query}: {e}"))
    }

    /// Checks that what is pushed down and what is left give together what is expected, of the
    /// documents that are held; gives whether nothing was left.
    #[track_caller]
    pub(crate) fn check(&self, filter: &Filter, documents: &[Value], expected: &[usize]) -> bool {
        let mut exact = false;
        for column in ["text", "bin"] {
            let Pushed { sql, residual } = push_down(filter, &SqliteDialect::json(column));
            let found = self.select(&sql);
            let sql = sql.map(|sql| sql.sql);
            exact = residual.is_none();
            let left: Option<Matcher> = residual.as_ref().map(|r| r.compile().unwrap());
            let kept: Vec<_> = found
                .iter()
                .copied()
                .filter(|i| left.as_ref().is_none_or(|m| m.matches(&documents[*i])))
                .collect();
            assert_eq!(
                kept,
                expected,
                "{filter} as {sql:?} and {residual:?} gives {found:?}; the first that differs: {:?}",
                (0..documents.len())
                    .find(|i| kept.contains(i) != expected.contains(i))
                    .map(|i| documents[i].to_json())
            );
        }
        exact
    }
}
