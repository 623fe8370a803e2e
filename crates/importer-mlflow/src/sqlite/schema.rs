//! Which tables, columns and indices a database has: MLflow's versions differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use rusqlite::Connection;
use tracker_model::{Error, Result};

/// The tables of a database.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// Each table with its columns.
    tables: BTreeMap<String, BTreeSet<String>>,
    /// The index of `metrics` over the run alone: its entries stand in order of `rowid`.
    pub(super) metrics_by_run: Option<String>,
    /// Tables with a column that an index begins with.
    indexed: BTreeSet<(String, String)>,
}

/// What every MLflow database has, each with the columns that it had from the beginning.
const NEEDED: [(&str, &[&str]); 5] = [
    ("experiments", &["experiment_id", "name"]),
    ("runs", &["run_uuid", "experiment_id"]),
    ("metrics", &["run_uuid", "key", "value", "timestamp"]),
    ("params", &["run_uuid", "key", "value"]),
    ("tags", &["run_uuid", "key", "value"]),
];

/// Tables that are read run by run.
const OF_RUNS: [&str; 5] = ["runs", "metrics", "params", "tags", "latest_metrics"];

impl Schema {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut tables = BTreeMap::new();
        let mut names =
            connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        let mut columns = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        for table in names.query_map([], |row| row.get::<_, String>(0))? {
            let table = table?;
            let columns = columns
                .query_map([&table], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            tables.insert(table, columns);
        }
        let mut schema = Self {
            tables,
            ..Self::default()
        };
        let mut indices = connection.prepare(
            "SELECT m.name, l.name FROM sqlite_master m JOIN pragma_index_list(m.name) l \
             WHERE m.type = 'table' AND l.partial = 0",
        )?;
        let mut columns = connection
            .prepare("SELECT ifnull(name, '') FROM pragma_index_info(?1) ORDER BY seqno")?;
        let pairs = indices.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for pair in pairs {
            let (table, index): (String, String) = pair?;
            let mut columns: Vec<String> = columns
                .query_map([&index], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            if table == "metrics" && columns == ["run_uuid"] {
                schema.metrics_by_run = Some(index);
            }
            if !columns.is_empty() {
                schema.indexed.insert((table, columns.swap_remove(0)));
            }
        }
        Ok(schema)
    }

    /// Whether the tables are those of MLflow.
    ///
    /// # Errors
    /// `InvalidInput`, with what is missing.
    pub(super) fn check(&self, file: &Path) -> Result<()> {
        for (table, columns) in NEEDED {
            let missing = match self.tables.get(table) {
                None => format!("the table {table}"),
                Some(there) => match columns.iter().find(|c| !there.contains(**c)) {
                    Some(column) => format!("the column {table}.{column}"),
                    None => continue,
                },
            };
            let message = format!(
                "{} is an SQLite database, but not one of MLflow: it lacks {missing}",
                file.display()
            );
            return Err(Error::invalid(message)
                .with_hint("name the file that MLflow's --backend-store-uri names"));
        }
        Ok(())
    }

    /// All tables.
    pub(super) fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// Whether there is such a table.
    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether there is such a column.
    pub(super) fn has_column(&self, table: &str, column: &str) -> bool {
        self.tables
            .get(table)
            .is_some_and(|columns| columns.contains(column))
    }

    /// Whether an index begins with the column.
    pub(super) fn is_indexed(&self, table: &str, column: &str) -> bool {
        self.indexed
            .contains(&(table.to_owned(), column.to_owned()))
    }

    /// The tables in which the rows of a run can only be found by looking at all rows.
    pub(super) fn unindexed(&self) -> Vec<&'static str> {
        let mut tables = OF_RUNS.to_vec();
        tables.retain(|table| self.has(table) && !self.is_indexed(table, "run_uuid"));
        tables
    }

    /// The columns for a SELECT, `NULL` for those that do not exist, with an alias of the table.
    pub(super) fn select(&self, table: &str, alias: &str, columns: &[&str]) -> String {
        let column = |name: &&str| match self.has_column(table, name) {
            true => format!("{alias}.\"{name}\""),
            false => "NULL".to_owned(),
        };
        columns.iter().map(column).collect::<Vec<_>>().join(", ")
    }
}
