//! Points, batches of them, and what is known of a series.

mod batch;
mod digest;
mod query;
mod rows;
mod sample;
mod series;

pub use batch::{
    BatchBuilder, MAX_BATCH_POINTS, MAX_ROW, PointBatch, Times, Value, ValueKind, Values,
};
pub use digest::{SeriesDigest, SeriesHasher};
pub use query::{HistoryQuery, HistoryStream, SampleQuery};
pub use rows::{HistoryRow, RowMerger, RowSplitter, batches_of, group_rows, rows_of, split_rows};
pub use sample::sample_by_scan;
pub use series::{SeriesInfo, SeriesKey, ValueKinds};
