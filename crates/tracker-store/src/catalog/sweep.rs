//! What nothing refers to any more.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, params};
use tracker_model::{HistoryStream, Timestamp};

use super::Outcome;
use crate::{error::Doing, storage::Storage};

/// Contents that nothing refers to.
#[derive(Debug)]
pub(crate) struct LooseBlob {
    pub(crate) id: i64,
    pub(crate) hash: String,
    pub(crate) size: u64,
    pub(crate) inline: bool,
}

/// Milliseconds since 1970 of so long ago.
pub(crate) fn cutoff(age: Duration) -> i64 {
    Timestamp::now()
        .as_millis()
        .saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

/// Whether a file was last written longer ago; `None` if there is none.
pub(crate) fn is_old(path: &Path, age: Duration) -> io::Result<Option<u64>> {
    let metadata = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    // A time in the future is young.
    let old = SystemTime::now()
        .duration_since(metadata.modified()?)
        .is_ok_and(|since| since >= age);
    Ok(old.then_some(metadata.len()))
}

/// The next contents after a line that nothing refers to and nobody has put by themselves of late,
/// made before the cutoff.
pub(crate) fn loose_blobs(
    connection: &Connection,
    after: i64,
    cutoff: i64,
    limit: usize,
) -> Outcome<Vec<LooseBlob>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, hash, size, inline FROM blob WHERE id > ?1 AND created_ms <= ?2 AND coalesce(held_ms, 0) <= ?4
             AND NOT EXISTS (SELECT 1 FROM file WHERE file.blob = blob.id)
             AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.blob = blob.id)
         ORDER BY id LIMIT ?3",
    )?;
    let read = |r: &rusqlite::Row<'_>| {
        Ok(LooseBlob {
            id: r.get(0)?,
            hash: hex::encode(r.get::<_, Vec<u8>>(1)?),
            size: r.get(2)?,
            inline: r.get(3)?,
        })
    };
    let rows = statement.query_map(
        params![after, cutoff, limit, Timestamp::now().as_millis()],
        read,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes contents with their file, in one transaction, in which nobody else can begin to refer
/// to them. Answers whether they are gone: a file that was just placed anew stays.
pub(crate) fn remove_blob(
    connection: &Connection,
    storage: &Storage,
    blob: &LooseBlob,
    age: Duration,
) -> Outcome<bool> {
    if !blob.inline {
        let path = storage.blob(&blob.hash);
        let doing = || format!("remove {}", path.display());
        match (path.exists(), is_old(&path, age).doing(doing())?) {
            (true, None) => return Ok(false),
            (true, Some(_)) => fs::remove_file(&path).doing(doing())?,
            (false, _) => {}
        }
    }
    connection
        .prepare_cached("DELETE FROM blob WHERE id = ?1")?
        .execute([blob.id])?;
    Ok(true)
}

/// Whether the catalog names the file of these contents.
pub(crate) fn knows_blob(connection: &Connection, hash: &str) -> Outcome<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM blob WHERE hash = ?1 AND NOT inline)";
    let hash = hex::decode(hash).unwrap_or_default();
    Ok(connection
        .prepare_cached(sql)?
        .query_row([hash], |r| r.get(0))?)
}

/// Whether the catalog names this file of a history.
pub(crate) fn knows_history(connection: &Connection, path: &str) -> Outcome<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM segment WHERE path = ?1)";
    Ok(connection
        .prepare_cached(sql)?
        .query_row([path], |r| r.get(0))?)
}

/// Manifests that no version has, made before the cutoff.
pub(crate) fn loose_manifests(connection: &Connection, cutoff: i64) -> Outcome<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM manifest WHERE created_ms <= ?1
             AND NOT EXISTS (SELECT 1 FROM version WHERE manifest = manifest.id)",
    )?;
    Ok(statement
        .query_map([cutoff], |r| r.get(0))?
        .collect::<Result<_, _>>()?)
}

/// A segment that waits for a writer.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: i64,
    pub(crate) run: i64,
    pub(crate) stream: i64,
    pub(crate) path: Option<String>,
    pub(crate) bytes: u64,
}

/// Segments that have waited for their writer since before the cutoff.
pub(crate) fn waiting(connection: &Connection, cutoff: i64) -> Outcome<Vec<Waiting>> {
    let sql = "SELECT id, run, stream, path, bytes FROM segment WHERE token IS NOT NULL AND created_ms <= ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |r: &rusqlite::Row<'_>| {
        Ok(Waiting {
            id: r.get(0)?,
            run: r.get(1)?,
            stream: r.get(2)?,
            path: r.get(3)?,
            bytes: r.get(4)?,
        })
    };
    Ok(statement
        .query_map([cutoff], read)?
        .collect::<Result<_, _>>()?)
}

/// Removes a segment that still waits.
pub(crate) fn drop_waiting(connection: &Connection, id: i64) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM segment WHERE id = ?1 AND token IS NOT NULL")?
        .execute([id])?;
    Ok(())
}

/// The stream with this number.
pub(crate) fn stream_of(number: i64) -> Option<HistoryStream> {
    match number {
        0 => Some(HistoryStream::Metrics),
        1 => Some(HistoryStream::System),
        _ => None,
    }
}
