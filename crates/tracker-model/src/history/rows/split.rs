use std::collections::{BTreeMap, VecDeque};

use futures::{StreamExt, stream::BoxStream};

use super::HistoryRow;
use crate::{BatchBuilder, Error, MAX_BATCH_POINTS, PointBatch, Result, SeriesKey, Value};

/// About how many bytes of rows are cut together.
const GROUP_BYTES: usize = 4 << 20;

/// Makes points of rows: rows go in in order, batches come out as
/// [`crate::HistoryStore::scan`] sends them when it is asked for rows.
///
/// ```
/// use tracker_model::{HistoryRow, RowSplitter, Value};
///
/// let mut splitter = RowSplitter::new();
/// for row in 0..3 {
///     let values = vec![("loss".into(), Value::F64(1.0)), ("epoch".into(), Value::I64(1))];
///     let complete = splitter.push(HistoryRow { row, step: 0, time: None, values })?;
///     assert!(complete.is_empty());
/// }
/// let batches = splitter.take();
/// assert_eq!(batches.len(), 2);
/// assert_eq!(batches[0].rows, Some(vec![0, 1, 2]));
/// # Ok::<(), tracker_model::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct RowSplitter {
    series: BTreeMap<SeriesKey, Series>,
    /// Batches of this group that are complete as the kind of their values changed.
    complete: Vec<PointBatch>,
    points: usize,
    bytes: usize,
    last_row: Option<u64>,
}

#[derive(Debug)]
struct Series {
    builder: BatchBuilder,
    last_row: Option<u64>,
}

impl RowSplitter {
    /// No rows yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row, and gives the batches of the rows before it if these are many. Their numbers
    /// ascend; rows with the same number follow each other.
    ///
    /// # Errors
    /// `InvalidInput` if the row comes after a later one, or has a key twice.
    pub fn push(&mut self, row: HistoryRow) -> Result<Vec<PointBatch>> {
        if self.last_row.is_some_and(|last| row.row < last) {
            return Err(Error::invalid(format!(
                "row {} came after a later one",
                row.row
            )));
        }
        let next = self.last_row != Some(row.row);
        let many = self.points + row.values.len() > MAX_BATCH_POINTS || self.bytes >= GROUP_BYTES;
        let out = if next && many {
            self.take()
        } else {
            Vec::new()
        };
        self.last_row = Some(row.row);
        self.points += row.values.len();
        for (key, value) in row.values {
            self.bytes += weight(&value);
            let series = match self.series.get_mut(&key) {
                Some(series) => series,
                None => {
                    let builder = BatchBuilder::new(key.clone());
                    self.series.entry(key.clone()).or_insert(Series {
                        builder,
                        last_row: None,
                    })
                }
            };
            if series.last_row.replace(row.row) == Some(row.row) {
                return Err(Error::invalid(format!(
                    "row {} has the key {key:?} twice",
                    row.row
                )));
            }
            self.complete.extend(
                series
                    .builder
                    .push(Some(row.row), row.step, row.time, value),
            );
        }
        Ok(out)
    }

    /// The batches of the rows that are left.
    pub fn take(&mut self) -> Vec<PointBatch> {
        let mut out = std::mem::take(&mut self.complete);
        // The builders stay, as the next rows mostly have the same keys.
        let mut idle = 0;
        for series in self.series.values_mut() {
            match series.builder.take() {
                Some(batch) => out.push(batch),
                None => idle += 1,
            }
        }
        if idle > out.len() {
            self.series.clear();
        }
        out.sort_by_key(|batch| batch.rows.as_ref().and_then(|rows| rows.first()).copied());
        (self.points, self.bytes) = (0, 0);
        out
    }
}

fn weight(value: &Value) -> usize {
    match value {
        Value::Str(text) | Value::Json(text) => 48 + text.len(),
        _ => 24,
    }
}

/// Makes points of a few rows, as [`crate::HistoryStore::append`] takes them.
///
/// # Errors
/// `InvalidInput` if a row comes after a later one, or has a key twice.
pub fn split_rows(rows: impl IntoIterator<Item = HistoryRow>) -> Result<Vec<PointBatch>> {
    let mut splitter = RowSplitter::new();
    let mut out = Vec::new();
    for row in rows {
        out.extend(splitter.push(row)?);
    }
    out.extend(splitter.take());
    Ok(out)
}

/// Makes points of many rows, as [`crate::HistoryStore::scan`] sends them when it is asked for
/// rows. Ends after an error.
pub fn batches_of(
    rows: BoxStream<'static, Result<HistoryRow>>,
) -> BoxStream<'static, Result<PointBatch>> {
    struct State {
        rows: Option<BoxStream<'static, Result<HistoryRow>>>,
        splitter: RowSplitter,
        ready: VecDeque<PointBatch>,
    }
    let state = State {
        rows: Some(rows),
        splitter: RowSplitter::new(),
        ready: VecDeque::new(),
    };
    let next = |mut state: State| async move {
        loop {
            if let Some(batch) = state.ready.pop_front() {
                return Some((Ok(batch), state));
            }
            let ready = match state.rows.as_mut()?.next().await {
                Some(row) => row.and_then(|row| state.splitter.push(row)),
                None => {
                    state.rows = None;
                    Ok(state.splitter.take())
                }
            };
            match ready {
                Ok(batches) => state.ready.extend(batches),
                Err(e) => {
                    state.rows = None;
                    return Some((Err(e), state));
                }
            }
        }
    };
    futures::stream::unfold(state, next).boxed()
}
