use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::SeriesKey;

/// Which of a run's histories.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum HistoryStream {
    /// What the program logged. Source: W&B history, MLflow metrics.
    #[default]
    Metrics,
    /// What was measured of the machine. Source: W&B events.
    System,
}

/// Which points of a run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HistoryQuery {
    /// Of which history.
    pub stream: HistoryStream,
    /// Only these series; `None` is all. Keys that the run has not give nothing.
    pub keys: Option<Vec<SeriesKey>>,
    /// Only points with a step in this range.
    pub steps: Option<RangeInclusive<i64>>,
    /// Only points from this index of their series on.
    pub from_index: u64,
    /// Deliver in order of rows, every point with the number of its row; see
    /// [`crate::HistoryStore::scan`].
    ///
    /// Points that have a row number keep it. The others are put into *derived* rows: the points
    /// of the answer with the same time and step form a row, or several if a series has more than
    /// one of them: the first ones of all series, then the second ones, and so on (the
    /// *occurrence* of a point is how many points of its series in the answer with the same time
    /// and step come before it). Derived rows are in order of time (points without one first),
    /// step and occurrence, and are numbered one by one from 0, or from the row after the greatest
    /// number in the answer if some of its points have one. They are the rows of this answer only.
    pub by_rows: bool,
}

impl HistoryQuery {
    /// All points of the metrics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of which history.
    #[must_use]
    pub fn with_stream(mut self, stream: HistoryStream) -> Self {
        self.stream = stream;
        self
    }

    /// Only these series.
    #[must_use]
    pub fn with_keys<K: Into<SeriesKey>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Only points with a step in this range.
    #[must_use]
    pub fn with_steps(mut self, steps: RangeInclusive<i64>) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Only points from this index of their series on.
    #[must_use]
    pub fn with_from_index(mut self, index: u64) -> Self {
        self.from_index = index;
        self
    }

    /// Deliver in order of rows, or not.
    #[must_use]
    pub fn with_rows(mut self, by_rows: bool) -> Self {
        self.by_rows = by_rows;
        self
    }
}

/// Which series, thinned to how many points.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SampleQuery {
    /// Of which history.
    pub stream: HistoryStream,
    /// Only these series; `None` is all.
    pub keys: Option<Vec<SeriesKey>>,
    /// Only points with a step in this range.
    pub steps: Option<RangeInclusive<i64>>,
    /// At most so many points of each series; at least 2.
    pub samples: usize,
}

impl SampleQuery {
    /// At most so many points of each series of the metrics.
    pub fn new(samples: usize) -> Self {
        Self {
            stream: HistoryStream::Metrics,
            keys: None,
            steps: None,
            samples: samples.max(2),
        }
    }

    /// Of which history.
    #[must_use]
    pub fn with_stream(mut self, stream: HistoryStream) -> Self {
        self.stream = stream;
        self
    }

    /// Only these series.
    #[must_use]
    pub fn with_keys<K: Into<SeriesKey>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Only points with a step in this range.
    #[must_use]
    pub fn with_steps(mut self, steps: RangeInclusive<i64>) -> Self {
        self.steps = Some(steps);
        self
    }
}
