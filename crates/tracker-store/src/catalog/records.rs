use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value as Json;
use tracker_model::{Record, Timestamp};

use super::{
    Outcome,
    json::{column, from_column, time},
};

/// Bytes of values that are read at once, and records of a page.
const BYTES: i64 = 4 << 20;
const PAGE: usize = 500;

const COLUMNS: &str = "key, json(value) AS value, version, updated_ms, updated_ns";

pub(crate) fn find(connection: &Connection, space: &str, key: &str) -> Outcome<Option<Record>> {
    let sql = format!("SELECT {COLUMNS} FROM record WHERE space = ?1 AND key = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([space, key])?;
    rows.next()?.map(from_row).transpose()
}

/// The version of a record, if it is there.
pub(crate) fn version(connection: &Connection, space: &str, key: &str) -> Outcome<Option<u64>> {
    let mut statement =
        connection.prepare_cached("SELECT version FROM record WHERE space = ?1 AND key = ?2")?;
    Ok(statement.query_row([space, key], |r| r.get(0)).optional()?)
}

pub(crate) fn put(connection: &Connection, space: &str, record: &Record) -> Outcome<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO record (space, key, value, version, updated_ms, updated_ns)
         VALUES (?1, ?2, jsonb(?3), ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET value = excluded.value, version = excluded.version,
             updated_ms = excluded.updated_ms, updated_ns = excluded.updated_ns",
    )?;
    statement.execute(params![
        space,
        record.key,
        column("the value of a record", &record.value)?,
        record.version,
        record.updated_at.as_millis(),
        record.updated_at.sub_nanos(),
    ])?;
    Ok(())
}

/// Answers whether there was one.
pub(crate) fn delete(connection: &Connection, space: &str, key: &str) -> Outcome<bool> {
    let mut statement =
        connection.prepare_cached("DELETE FROM record WHERE space = ?1 AND key = ?2")?;
    Ok(statement.execute([space, key])? > 0)
}

/// The next records of a space whose keys begin with the prefix, behind a key; a few, or as many
/// as take little memory.
pub(crate) fn page(
    connection: &Connection,
    space: &str,
    prefix: &str,
    after: Option<&str>,
) -> Outcome<Vec<Record>> {
    let sql = format!(
        "SELECT {COLUMNS}, length(value) AS bytes FROM record
         WHERE space = ?1 AND key >= ?2 AND (?3 IS NULL OR key > ?3) ORDER BY key LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![space, after.unwrap_or(prefix), after, PAGE])?;
    let (mut out, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let record = from_row(row)?;
        if !record.key.starts_with(prefix) {
            break;
        }
        bytes += row.get::<_, i64>("bytes")?;
        out.push(record);
        if bytes >= BYTES {
            break;
        }
    }
    Ok(out)
}

fn from_row(row: &Row<'_>) -> Outcome<Record> {
    let value: Json = from_column(row, "value")?;
    let updated = time(row, "updated_ms", "updated_ns")?.unwrap_or(Timestamp::from_millis(0));
    Ok(Record::new(
        row.get::<_, String>("key")?,
        value,
        row.get("version")?,
        updated,
    ))
}
