mod group;
mod merge;
mod split;

pub use group::group_rows;
pub use merge::{RowMerger, rows_of};
pub use split::{RowSplitter, batches_of, split_rows};

use super::{SeriesKey, Value};
use crate::Timestamp;

/// What was logged together.
///
/// The points of one row share their step and time. Where a source says otherwise, there are
/// several rows with the same number, so that every point keeps its own.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    /// The number of the row in its run.
    pub row: u64,
    /// The step.
    pub step: i64,
    /// The time, if the source has it.
    pub time: Option<Timestamp>,
    /// The values, by key; no key twice.
    pub values: Vec<(SeriesKey, Value)>,
}

#[cfg(test)]
mod tests;
