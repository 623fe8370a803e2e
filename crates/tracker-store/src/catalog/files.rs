use rusqlite::{Connection, OptionalExtension, params};
use tracker_model::{Error, FileDraft, FileInfo, RunPath, Timestamp};

use super::{
    Outcome, blobs,
    json::{from_column, object_column, time},
};

pub(crate) fn put(connection: &Connection, run: i64, file: &FileDraft, blob: i64) -> Outcome<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO file (run, name, blob, modified_ms, modified_ns, extras)
         VALUES (?1, ?2, ?3, ?4, ?5, jsonb(?6))",
    )?;
    statement.execute(params![
        run,
        file.name,
        blob,
        file.modified_at.map(Timestamp::as_millis),
        file.modified_at.map(Timestamp::sub_nanos),
        object_column("the extras of a file", &file.extras)?,
    ])?;
    Ok(())
}

/// The next files after a name.
pub(crate) fn page(
    connection: &Connection,
    run: i64,
    after: &str,
    limit: usize,
) -> Outcome<Vec<FileInfo>> {
    let sql = format!(
        "SELECT name, modified_ms, modified_ns, json(extras) AS extras, {} FROM file JOIN blob ON blob.id = file.blob
         WHERE run = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
        blobs::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![run, after, limit])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(FileInfo {
            name: row.get("name")?,
            digests: blobs::digests_of(row)?,
            modified_at: time(row, "modified_ms", "modified_ns")?,
            extras: from_column(row, "extras")?,
        });
    }
    Ok(out)
}

/// The contents of a file.
pub(crate) fn blob(connection: &Connection, run: i64, path: &RunPath, name: &str) -> Outcome<i64> {
    let mut statement =
        connection.prepare_cached("SELECT blob FROM file WHERE run = ?1 AND name = ?2")?;
    let found = statement
        .query_row(params![run, name], |r| r.get(0))
        .optional()?;
    Ok(found.ok_or_else(|| missing(path, name))?)
}

pub(crate) fn delete(connection: &Connection, run: i64, path: &RunPath, name: &str) -> Outcome<()> {
    let mut statement =
        connection.prepare_cached("DELETE FROM file WHERE run = ?1 AND name = ?2")?;
    match statement.execute(params![run, name])? {
        0 => Err(missing(path, name).into()),
        _ => Ok(()),
    }
}

fn missing(path: &RunPath, name: &str) -> Error {
    Error::not_found(format_args!("file {name:?} of run {path}"))
}
