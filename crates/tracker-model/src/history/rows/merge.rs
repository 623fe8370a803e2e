use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use futures::{StreamExt, stream::BoxStream};

use super::HistoryRow;
use crate::{Error, PointBatch, Result, SeriesKey, Timestamp, Value, Values};

/// Makes rows of points: takes the batches of [`crate::HistoryStore::scan`] that was asked for
/// rows, and gives the rows in order, by number, then time and step. [`rows_of`] is the same for
/// a stream.
#[derive(Debug, Default)]
pub struct RowMerger {
    /// The batches that have points left, the one with the least row on top.
    batches: BinaryHeap<Reverse<Cursor>>,
    /// Rows with the number `number` that are to be given.
    ready: VecDeque<HistoryRow>,
    /// Rows before this one are complete.
    from: u64,
    ended: bool,
    room: usize,
}

/// The next point of a batch.
#[derive(Debug)]
struct Cursor {
    row: u64,
    at: usize,
    rows: Vec<u64>,
    batch: PointBatch,
}

impl RowMerger {
    /// No points yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// `Corrupt` if the batch has no rows or begins before an earlier one, or its columns do not
    /// fit together: it is not of a scan that was asked for rows.
    pub fn push(&mut self, mut batch: PointBatch) -> Result<()> {
        let bad = |why: &str| {
            Error::new(
                crate::ErrorKind::Corrupt,
                format!("put the points of {:?} into rows: {why}", batch.key),
            )
        };
        batch.check().map_err(|e| bad(e.message()))?;
        if batch.is_empty() {
            return Ok(());
        }
        let first = batch.rows.as_ref().and_then(|rows| rows.first()).copied();
        let first = first.ok_or_else(|| bad("they have no row numbers"))?;
        if first < self.from || self.ended {
            return Err(bad("a row came too late"));
        }
        self.from = first;
        let rows = batch.rows.take().unwrap_or_default();
        self.batches.push(Reverse(Cursor {
            row: first,
            at: 0,
            rows,
            batch,
        }));
        Ok(())
    }

    /// Says that no more batches come, so that the last rows are complete.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next row that is complete.
    pub fn next_row(&mut self) -> Option<HistoryRow> {
        if let Some(row) = self.ready.pop_front() {
            return Some(row);
        }
        let number = self.batches.peek().map(|Reverse(cursor)| cursor.row)?;
        if number >= self.from && !self.ended {
            return None;
        }
        let mut row: Option<HistoryRow> = None;
        let mut others: Vec<HistoryRow> = Vec::new();
        while let Some(mut top) = self.batches.peek_mut().filter(|top| top.0.row == number) {
            let (step, time, key, value) = top.0.point();
            if !top.0.advance() {
                std::collections::binary_heap::PeekMut::pop(top);
            }
            let Some(value) = value else { continue };
            let first = row.get_or_insert_with(|| HistoryRow {
                row: number,
                step,
                time,
                values: Vec::with_capacity(self.room),
            });
            // Points come by key, so that a second one of a series follows the first.
            let same = |r: &HistoryRow| {
                r.step == step
                    && r.time == time
                    && r.values.last().is_none_or(|(last, _)| *last != key)
            };
            if same(first) {
                first.values.push((key, value));
            } else if let Some(other) = others.iter_mut().find(|r| same(r)) {
                other.values.push((key, value));
            } else {
                others.push(HistoryRow {
                    row: number,
                    step,
                    time,
                    values: vec![(key, value)],
                });
            }
        }
        let row = row?;
        self.room = row.values.len();
        if others.is_empty() {
            return Some(row);
        }
        others.push(row);
        others.sort_by_key(|r| (r.time, r.step));
        self.ready = others.into();
        self.ready.pop_front()
    }
}

impl Cursor {
    fn point(&mut self) -> (i64, Option<Timestamp>, SeriesKey, Option<Value>) {
        let (i, batch) = (self.at, &mut self.batch);
        let value = match &mut batch.values {
            // Nobody asks twice.
            Values::Str(v) => v.get_mut(i).map(|s| Value::Str(std::mem::take(s))),
            Values::Json(v) => v.get_mut(i).map(|s| Value::Json(std::mem::take(s))),
            numbers => numbers.get(i),
        };
        let step = batch.steps.get(i).copied().unwrap_or_default();
        (
            step,
            batch.times.as_ref().map(|t| t.get(i)),
            batch.key.clone(),
            value,
        )
    }

    /// Goes to the next point, if there is one.
    fn advance(&mut self) -> bool {
        self.at += 1;
        self.rows.get(self.at).is_some_and(|row| {
            self.row = *row;
            true
        })
    }
}

impl Ord for Cursor {
    fn cmp(&self, other: &Self) -> Ordering {
        self.row
            .cmp(&other.row)
            .then_with(|| self.batch.key.cmp(&other.batch.key))
    }
}

impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cursor {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Cursor {}

/// Makes rows of the points of a scan that was asked for rows
/// ([`crate::HistoryQuery::with_rows`]), in order. Ends after an error.
pub fn rows_of(
    batches: BoxStream<'static, Result<PointBatch>>,
) -> BoxStream<'static, Result<HistoryRow>> {
    let state = (Some(batches), RowMerger::new());
    let next = |(mut batches, mut merger): (
        Option<BoxStream<'static, Result<PointBatch>>>,
        RowMerger,
    )| async move {
        loop {
            if let Some(row) = merger.next_row() {
                return Some((Ok(row), (batches, merger)));
            }
            let added = match batches.as_mut()?.next().await {
                Some(batch) => batch.and_then(|batch| merger.push(batch)),
                None => {
                    batches = None;
                    merger.end();
                    Ok(())
                }
            };
            if let Err(e) = added {
                return Some((Err(e), (None, RowMerger::new())));
            }
        }
    };
    futures::stream::unfold(state, next).boxed()
}
