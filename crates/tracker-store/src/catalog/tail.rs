use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use tracker_model::{Error, HistoryStream, PointBatch, Result, RunPath, SeriesKey};

use super::{
    Outcome, runs,
    segments::{self, stream_number},
};
use crate::{
    error::corrupt,
    history::{TailChunk, decode_tail, encode_tail},
};

/// What an append has come to.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) next_row: u64,
    /// Points of the tail.
    pub(crate) points: u64,
}

#[derive(Default)]
struct State {
    next_row: u64,
    points: u64,
}

fn state(connection: &Connection, run: i64, stream: HistoryStream) -> Outcome<Option<State>> {
    let sql = "SELECT next_row, points FROM tail_state WHERE run = ?1 AND stream = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |r: &rusqlite::Row<'_>| {
        Ok(State {
            next_row: r.get(0)?,
            points: r.get(1)?,
        })
    };
    Ok(statement
        .query_row(params![run, stream_number(stream)], read)
        .optional()?)
}

fn set_state(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    state: &State,
) -> Outcome<()> {
    let sql =
        "INSERT OR REPLACE INTO tail_state (run, stream, next_row, points) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![
        run,
        stream_number(stream),
        state.next_row,
        state.points
    ])?;
    Ok(())
}

/// Points to append, encoded before the catalog is asked to write.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// The least row and the one after the greatest; `None` without points.
    rows: Option<(u64, u64)>,
    points: u64,
    data: Vec<u8>,
}

impl Fresh {
    /// Checks and encodes points of rows from this one on.
    pub(crate) fn new(path: &RunPath, at: u64, batches: Vec<PointBatch>) -> Result<Self> {
        let mut last: HashMap<SeriesKey, u64> = HashMap::new();
        for batch in &batches {
            batch.check()?;
            let bad = |why: &str| {
                Error::invalid(format!(
                    "append to run {path}: the rows of {:?} {why}",
                    batch.key
                ))
            };
            let rows = batch.rows.as_ref().ok_or_else(|| bad("have no numbers"))?;
            let (Some(first), Some(end)) = (rows.first(), rows.last()) else {
                continue;
            };
            let before = last.insert(batch.key.clone(), *end);
            if *first < at || before.is_some_and(|before| *first <= before) {
                return Err(bad(&format!("do not ascend from {at}")));
            }
        }
        Self::encode(batches)
    }

    fn encode(mut batches: Vec<PointBatch>) -> Result<Self> {
        batches.retain(|batch| !batch.is_empty());
        let rows = || batches.iter().filter_map(|batch| batch.rows.as_ref());
        let first = rows().filter_map(|rows| rows.first()).min().copied();
        let last = rows().filter_map(|rows| rows.last()).max().copied();
        Ok(Self {
            rows: first.zip(last.map(|last| last + 1)),
            points: batches.iter().map(|batch| batch.len() as u64).sum(),
            data: encode_tail(batches)?,
        })
    }

    /// Without the points of the rows before this one.
    fn since(self, row: u64) -> Result<Self> {
        if self.rows.is_none_or(|(first, _)| first >= row) {
            return Ok(self);
        }
        let batches = decode_tail(&self.data)?.into_iter().map(|batch| {
            let rows = batch.rows.as_deref().unwrap_or_default();
            let known = rows.partition_point(|known| *known < row);
            batch.slice(known, batch.len())
        });
        Self::encode(batches.collect())
    }
}

/// Adds the points of rows that are not there yet.
pub(crate) fn append(
    connection: &Connection,
    path: &RunPath,
    stream: HistoryStream,
    at: u64,
    fresh: Fresh,
) -> Outcome<Appended> {
    let run = runs::require(connection, path)?;
    let mut state = state_now(connection, run, stream)?;
    if at > state.next_row {
        let message = format!(
            "append to the history of run {path}: row {at} leaves a gap, the next row is {}",
            state.next_row
        );
        return Err(Error::invalid(message).into());
    }
    let fresh = fresh.since(state.next_row)?;
    if let Some((_, end)) = fresh.rows {
        insert(connection, run, stream, fresh.points, &fresh.data)?;
        state = State {
            next_row: state.next_row.max(end),
            points: state.points + fresh.points,
        };
        set_state(connection, run, stream, &state)?;
    }
    Ok(Appended {
        next_row: state.next_row,
        points: state.points,
    })
}

/// Adds a line with so many points.
fn insert(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    points: u64,
    data: &[u8],
) -> Outcome<()> {
    let sql = "INSERT INTO tail (run, stream, points, data) VALUES (?1, ?2, ?3, ?4)";
    connection
        .prepare_cached(sql)?
        .execute(params![run, stream_number(stream), points, data])?;
    Ok(())
}

/// The number that the next appended row may have.
pub(crate) fn next_row(connection: &Connection, run: i64, stream: HistoryStream) -> Outcome<u64> {
    Ok(state_now(connection, run, stream)?.next_row)
}

/// What is noted of the tail, or found out where nothing was appended yet.
fn state_now(connection: &Connection, run: i64, stream: HistoryStream) -> Outcome<State> {
    match state(connection, run, stream)? {
        Some(state) => Ok(state),
        None => Ok(State {
            next_row: next_sealed_row(connection, run, stream)?,
            points: 0,
        }),
    }
}

fn next_sealed_row(connection: &Connection, run: i64, stream: HistoryStream) -> Outcome<u64> {
    let view = segments::view(connection, run, stream, None)?;
    Ok(view
        .series
        .values()
        .filter_map(|s| s.course.last_row)
        .max()
        .map_or(0, |row| row + 1))
}

/// What is appended and not sealed, in order.
pub(crate) fn read(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
) -> Outcome<Vec<TailChunk>> {
    let sql = "SELECT id, data FROM tail WHERE run = ?1 AND stream = ?2 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![run, stream_number(stream)])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let data = row
            .get_ref(1)?
            .as_blob()
            .map_err(|_| corrupt("the tail of a history is no blob"))?;
        out.push(TailChunk {
            id: row.get(0)?,
            batches: decode_tail(data)?,
        });
    }
    Ok(out)
}

/// The histories of a run that have a tail.
pub(crate) fn streams(connection: &Connection, run: i64) -> Outcome<Vec<HistoryStream>> {
    let mut out = Vec::new();
    for stream in [HistoryStream::Metrics, HistoryStream::System] {
        if state(connection, run, stream)?.is_some_and(|s| s.points > 0) {
            out.push(stream);
        }
    }
    Ok(out)
}

/// Whether the run has a tail.
pub(crate) fn exists(connection: &Connection, path: &RunPath) -> Outcome<bool> {
    Ok(!streams(connection, runs::require(connection, path)?)?.is_empty())
}

/// Forgets what is sealed now: the tail up to this line.
pub(crate) fn cut(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    up_to: i64,
) -> Outcome<()> {
    let key = params![run, stream_number(stream), up_to];
    connection
        .prepare_cached("DELETE FROM tail WHERE run = ?1 AND stream = ?2 AND id <= ?3")?
        .execute(key)?;
    if let Some(mut state) = state(connection, run, stream)? {
        let sql = "SELECT coalesce(sum(points), 0) FROM tail WHERE run = ?1 AND stream = ?2";
        state.points = connection
            .prepare_cached(sql)?
            .query_row(params![run, stream_number(stream)], |r| r.get(0))?;
        set_state(connection, run, stream, &state)?;
    }
    Ok(())
}

/// Forgets the points of all rows from this one on, and where rows went on before.
pub(crate) fn truncate(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    from_row: u64,
) -> Outcome<()> {
    let chunks = read(connection, run, stream)?;
    let batches = chunks.into_iter().flat_map(|chunk| chunk.batches);
    let left: Vec<PointBatch> = batches
        .map(|batch| batch.before_row(from_row))
        .filter(|batch| !batch.is_empty())
        .collect();
    connection
        .prepare_cached("DELETE FROM tail WHERE run = ?1 AND stream = ?2")?
        .execute(params![run, stream_number(stream)])?;
    let rows = left.iter().filter_map(|b| b.rows.as_ref()?.last());
    let next = rows.max().map_or(0, |last| last + 1);
    let state = State {
        next_row: next.max(next_sealed_row(connection, run, stream)?),
        points: left.iter().map(|b| b.len() as u64).sum(),
    };
    if !left.is_empty() {
        insert(connection, run, stream, state.points, &encode_tail(left)?)?;
    }
    set_state(connection, run, stream, &state)
}

/// Takes account of rows that a writer has committed.
pub(crate) fn rows_committed(
    connection: &Connection,
    run: i64,
    stream: HistoryStream,
    last_row: Option<u64>,
) -> Outcome<()> {
    let (Some(mut state), Some(last)) = (state(connection, run, stream)?, last_row) else {
        return Ok(());
    };
    if last >= state.next_row {
        state.next_row = last + 1;
        set_state(connection, run, stream, &state)?;
    }
    Ok(())
}
