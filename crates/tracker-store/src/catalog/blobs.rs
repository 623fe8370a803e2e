use std::{fs, time::Duration};

use rusqlite::{Connection, OptionalExtension, Row, params};
use tracker_model::{Digests, Error, ErrorKind, Timestamp};

use super::Outcome;
use crate::{
    error::{corrupt, unexpected},
    storage::{BlobBody, Incoming, Storage, Stored},
};

/// The columns of [`digests_of`].
pub(super) const COLUMNS: &str =
    "blob.hash AS hash, blob.md5 AS md5, blob.sha256 AS sha256, blob.size AS size";

fn bytes_of_hash(blake3: &str) -> Outcome<Vec<u8>> {
    let bytes = hex::decode(blake3).ok().filter(|b| b.len() == 32);
    Ok(bytes
        .ok_or_else(|| Error::invalid(format!("{blake3:?} is not a BLAKE3 hash of 64 digits")))?)
}

/// Whether contents are here, bytes and all.
pub(crate) fn find(
    connection: &Connection,
    storage: &Storage,
    blake3: &str,
) -> Outcome<Option<i64>> {
    let hash = bytes_of_hash(blake3)?;
    let mut statement = connection.prepare_cached("SELECT id, inline FROM blob WHERE hash = ?1")?;
    let found = statement
        .query_row([hash], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, bool>(1)?)))
        .optional()?;
    // A sweep that was cut off may have left a line without its file.
    Ok(found
        .filter(|(_, inline)| *inline || storage.blob(blake3).exists())
        .map(|(id, _)| id))
}

/// The contents with these digests.
///
/// # Errors
/// `NotFound` if they are not here, or differ in what is not their hash.
pub(crate) fn require(
    connection: &Connection,
    storage: &Storage,
    digests: &Digests,
) -> Outcome<i64> {
    let missing = || {
        Error::not_found(format_args!(
            "the stored contents blake3:{}",
            digests.blake3
        ))
    };
    let id = find(connection, storage, &digests.blake3)?.ok_or_else(missing)?;
    if self::digests(connection, id)? == *digests {
        Ok(id)
    } else {
        Err(missing().into())
    }
}

fn digests(connection: &Connection, id: i64) -> Outcome<Digests> {
    let sql = format!("SELECT {COLUMNS} FROM blob WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    let row = rows
        .next()?
        .ok_or_else(|| corrupt("the catalog lacks contents that it names"))?;
    digests_of(row)
}

pub(super) fn digests_of(row: &Row<'_>) -> Outcome<Digests> {
    let text = |name: &str| row.get::<_, Vec<u8>>(name).map(hex::encode);
    Ok(Digests {
        size: row.get("size")?,
        blake3: text("hash")?,
        md5: text("md5")?,
        sha256: text("sha256")?,
    })
}

/// Makes arrived contents known, in the transaction that makes something refer to them.
pub(crate) fn ensure(
    connection: &Connection,
    storage: &Storage,
    incoming: Incoming,
) -> Outcome<i64> {
    let digests = &incoming.digests;
    let blake3 = &digests.blake3;
    if let Some(id) = find(connection, storage, blake3)? {
        return Ok(id);
    }
    let data = match incoming.body {
        BlobBody::Inline(data) => Some(data),
        BlobBody::Draft(draft) => {
            // It was there when it was asked for, and has been swept since.
            draft.publish(&storage.blob(blake3))?;
            None
        }
        BlobBody::Placed if fs::exists(storage.blob(blake3)).unwrap_or(false) => None,
        BlobBody::Placed => {
            let message = format!("the contents {blake3} were swept while they were being stored");
            return Err(Error::new(ErrorKind::Unavailable, message).into());
        }
    };
    let hex = |text: &str| {
        hex::decode(text).map_err(|e| unexpected("a digest is not hexadecimal").with_source(e))
    };
    let mut statement = connection.prepare_cached(
        "INSERT INTO blob (hash, md5, sha256, size, inline, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (hash) DO UPDATE SET inline = excluded.inline RETURNING id",
    )?;
    let id = statement.query_row(
        params![
            hex(blake3)?,
            hex(&digests.md5)?,
            hex(&digests.sha256)?,
            digests.size,
            data.is_some(),
            Timestamp::now().as_millis()
        ],
        |r| r.get(0),
    )?;
    if let Some(data) = data {
        let mut statement = connection
            .prepare_cached("INSERT OR REPLACE INTO blob_data (blob, data) VALUES (?1, ?2)")?;
        statement.execute(params![id, data])?;
    }
    Ok(id)
}

/// Keeps contents for so long at least, whether or not something refers to them.
pub(crate) fn hold(connection: &Connection, id: i64, time: Duration) -> Outcome<()> {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let until = Timestamp::now().as_millis().saturating_add(millis);
    connection
        .prepare_cached("UPDATE blob SET held_ms = ?2 WHERE id = ?1")?
        .execute([id, until])?;
    Ok(())
}

/// What is needed to read contents.
pub(crate) fn stored(connection: &Connection, id: i64) -> Outcome<Stored> {
    let digests = digests(connection, id)?;
    let mut statement = connection.prepare_cached("SELECT data FROM blob_data WHERE blob = ?1")?;
    let data = statement.query_row([id], |r| r.get(0)).optional()?;
    Ok(Stored {
        blake3: digests.blake3,
        size: digests.size,
        data,
    })
}
