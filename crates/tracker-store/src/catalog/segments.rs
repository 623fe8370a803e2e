use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tracker_model::{HistoryStream, Result, Timestamp};

use super::{Catalog, Outcome};
use crate::{
    error::corrupt,
    history::{self, Plan, Segment, View},
};

/// The number of a stream in the catalog.
pub(crate) fn stream_number(stream: HistoryStream) -> i64 {
    match stream {
        HistoryStream::Metrics => 0,
        HistoryStream::System => 1,
    }
}

/// A segment that is to be known.
#[derive(Debug)]
pub(crate) struct NewSegment {
    pub(crate) path: Option<String>,
    pub(crate) data: Option<Bytes>,
    pub(crate) bytes: u64,
    pub(crate) points: u64,
    /// The encoded index.
    pub(crate) parts: Vec<u8>,
}

/// What is committed, with what is staged under the token on top.
pub(crate) fn view(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    token: Option<&str>,
) -> Outcome<View> {
    let mut statement = connection.prepare_cached(
        "SELECT id, path, bytes, points, token, parts FROM segment
         WHERE run = ?1 AND stream = ?2 AND (token IS NULL OR token = ?3) ORDER BY token IS NOT NULL, id",
    )?;
    let mut rows = statement.query(params![run, stream_number(stream), token])?;
    let mut view = View::default();
    while let Some(row) = rows.next()? {
        let parts = history::decode(
            row.get_ref("parts")?
                .as_blob()
                .map_err(|_| corrupt("a history has no index"))?,
        )?;
        view.push(segment_of(row)?, parts)?;
    }
    Ok(view)
}

pub(super) fn segment_of(row: &Row<'_>) -> Outcome<Segment> {
    let token: Option<String> = row.get("token")?;
    let (bytes, points): (i64, i64) = (row.get("bytes")?, row.get("points")?);
    Ok(Segment {
        id: row.get("id")?,
        path: row.get("path")?,
        data: None,
        bytes: bytes.cast_unsigned(),
        points: points.cast_unsigned(),
        staged: token.is_some(),
    })
}

pub(crate) fn insert(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    token: Option<&str>,
    segment: &NewSegment,
) -> Outcome<i64> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO segment (run, stream, token, path, bytes, points, created_ms, parts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let id = statement.insert(params![
        run,
        stream_number(stream),
        token,
        segment.path,
        segment.bytes.cast_signed(),
        segment.points.cast_signed(),
        Timestamp::now().as_millis(),
        segment.parts,
    ])?;
    if let Some(data) = &segment.data {
        let mut statement = connection
            .prepare_cached("INSERT INTO segment_data (segment, data) VALUES (?1, ?2)")?;
        statement.execute(params![id, &data[..]])?;
    }
    Ok(id)
}

/// Shows what is staged under the token.
pub(crate) fn show(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    token: &str,
) -> Outcome<()> {
    let sql = "UPDATE segment SET token = NULL WHERE run = ?1 AND stream = ?2 AND token = ?3";
    connection
        .prepare_cached(sql)?
        .execute(params![run, stream_number(stream), token])?;
    Ok(())
}

/// Drops what is staged under other tokens, and answers the files that are not needed then.
pub(crate) fn drop_staged(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    but: Option<&str>,
) -> Outcome<Vec<String>> {
    let sql = "DELETE FROM segment WHERE run = ?1 AND stream = ?2 AND token IS NOT NULL AND token IS NOT ?3
               RETURNING path";
    let mut statement = connection.prepare_cached(sql)?;
    let paths = statement.query_map(params![run, stream_number(stream), but], |r| {
        r.get::<_, Option<String>>(0)
    })?;
    Ok(paths
        .collect::<rusqlite::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// Whether something is staged under other tokens.
pub(crate) fn has_other_staged(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    token: &str,
) -> Outcome<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM segment WHERE run = ?1 AND stream = ?2 AND token IS NOT NULL AND token <> ?3)";
    Ok(connection
        .prepare_cached(sql)?
        .query_row(params![run, stream_number(stream), token], |r| r.get(0))?)
}

/// Removes a segment, and answers its file.
pub(crate) fn remove(connection: &Connection, id: i64) -> Outcome<Option<String>> {
    let mut statement =
        connection.prepare_cached("DELETE FROM segment WHERE id = ?1 RETURNING path")?;
    Ok(statement
        .query_row([id], |r| r.get(0))
        .optional()?
        .flatten())
}

/// How many segments are committed, and how many points they have, replaced ones too.
pub(crate) fn count(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
) -> Outcome<(u64, u64)> {
    let sql = "SELECT count(*), coalesce(sum(points), 0) FROM segment
               WHERE run = ?1 AND stream = ?2 AND token IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(
        statement.query_row(params![run, stream_number(stream)], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })?,
    )
}

/// The files of a run's histories.
pub(crate) fn paths(connection: &Connection, run: i64) -> Outcome<Vec<String>> {
    let mut statement = connection
        .prepare_cached("SELECT path FROM segment WHERE run = ?1 AND path IS NOT NULL")?;
    let paths = statement.query_map([run], |r| r.get(0))?;
    Ok(paths.collect::<Result<_, _>>()?)
}

/// Reads the bytes of the segments in the catalog that the plan needs.
pub(crate) fn load_data(catalog: &Catalog, plan: &mut Plan) -> Result<()> {
    if plan.missing_data().is_empty() {
        return Ok(());
    }
    catalog.read_now("read a history", |c| fill(c, plan))
}

/// [`load_data`] over a connection.
pub(crate) fn fill(connection: &Connection, plan: &mut Plan) -> Outcome<()> {
    for id in plan.missing_data() {
        let mut statement =
            connection.prepare_cached("SELECT data FROM segment_data WHERE segment = ?1")?;
        let mut rows = statement.query([id])?;
        if let Some(row) = rows.next()? {
            plan.set_data(id, &Bytes::from(row.get::<_, Vec<u8>>(0)?));
        }
    }
    Ok(())
}
