use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tracker_model::{
    HistoryQuery, HistoryRow, HistoryStream, PointBatch, Result, SeriesKey, Timestamp, Value,
    rows_of,
};

use crate::{Run, sampler::Sampler};

/// No steps.
const NONE: RangeInclusive<i64> = RangeInclusive::new(i64::MAX, i64::MIN);

/// What runs along the horizontal axis unless told otherwise.
const STEP: &str = "_step";

/// Which rows come if keys are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Join {
    /// Those that have at least one of the keys.
    #[default]
    Outer,
    /// Those that have all of them. Source: what `run.history(keys=…)` does.
    Inner,
}

/// Which part of a history, and how many rows of it.
///
/// Source: the arguments of `run.history()`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HistoryRequest {
    /// At most so many rows; at least 2.
    pub samples: usize,
    /// Only these series, and only rows with at least one of them; `None` is all.
    pub keys: Option<Vec<SeriesKey>>,
    /// A series that every row has to have. `_step`, `_timestamp` and `_runtime` are no series but
    /// parts of every row, and change nothing here.
    pub x_axis: SeriesKey,
    /// Of which history.
    pub stream: HistoryStream,
    /// Which rows come if keys are named.
    pub join: Join,
    /// Only rows with a step in this range.
    pub steps: Option<RangeInclusive<i64>>,
}

impl Default for HistoryRequest {
    fn default() -> Self {
        Self {
            samples: 500,
            keys: None,
            x_axis: STEP.into(),
            stream: HistoryStream::Metrics,
            join: Join::Outer,
            steps: None,
        }
    }
}

impl HistoryRequest {
    /// At most 500 rows of all metrics.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most so many rows; at least 2.
    #[must_use]
    pub fn with_samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// Only these series.
    #[must_use]
    pub fn with_keys<K: Into<SeriesKey>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Only rows that have this series, which comes with them.
    #[must_use]
    pub fn with_x_axis(mut self, key: impl Into<SeriesKey>) -> Self {
        self.x_axis = key.into();
        self
    }

    /// Of which history.
    #[must_use]
    pub fn with_stream(mut self, stream: HistoryStream) -> Self {
        self.stream = stream;
        self
    }

    /// Which rows come if keys are named.
    #[must_use]
    pub fn with_join(mut self, join: Join) -> Self {
        self.join = join;
        self
    }

    /// Only rows with a step in this range.
    #[must_use]
    pub fn with_steps(mut self, steps: RangeInclusive<i64>) -> Self {
        self.steps = Some(steps);
        self
    }
}

/// Rows of a history, all or a sample of them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// The rows, in their order.
    pub rows: Vec<HistoryRow>,
    /// Whether some were left out.
    pub sampled: bool,
    /// How many rows there were.
    pub total: u64,
}

/// Which part of a history, every row of it.
///
/// Source: the arguments of `run.scan_history()`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScanRequest {
    /// Only these series, and only rows with at least one of them; `None` is all.
    pub keys: Option<Vec<SeriesKey>>,
    /// A series that every row has to have; see [`HistoryRequest::x_axis`].
    pub x_axis: SeriesKey,
    /// How many rows a page of [`Run::scan_pages`] has; at least 1.
    pub page_size: usize,
    /// Only rows from this step on.
    pub min_step: Option<i64>,
    /// Only rows *before* this step.
    pub max_step: Option<i64>,
    /// Of which history.
    pub stream: HistoryStream,
    /// Which rows come if keys are named.
    pub join: Join,
}

impl Default for ScanRequest {
    fn default() -> Self {
        Self {
            keys: None,
            x_axis: STEP.into(),
            page_size: 1000,
            min_step: None,
            max_step: None,
            stream: HistoryStream::Metrics,
            join: Join::Outer,
        }
    }
}

impl ScanRequest {
    /// Every row of the metrics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these series.
    #[must_use]
    pub fn with_keys<K: Into<SeriesKey>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Only rows that have this series, which comes with them.
    #[must_use]
    pub fn with_x_axis(mut self, key: impl Into<SeriesKey>) -> Self {
        self.x_axis = key.into();
        self
    }

    /// How many rows a page has.
    #[must_use]
    pub fn with_page_size(mut self, rows: usize) -> Self {
        self.page_size = rows;
        self
    }

    /// Only rows from this step on.
    #[must_use]
    pub fn with_min_step(mut self, step: i64) -> Self {
        self.min_step = Some(step);
        self
    }

    /// Only rows before this step.
    #[must_use]
    pub fn with_max_step(mut self, step: i64) -> Self {
        self.max_step = Some(step);
        self
    }

    /// Of which history.
    #[must_use]
    pub fn with_stream(mut self, stream: HistoryStream) -> Self {
        self.stream = stream;
        self
    }

    /// Which rows come if keys are named.
    #[must_use]
    pub fn with_join(mut self, join: Join) -> Self {
        self.join = join;
        self
    }

    fn steps(&self) -> Option<RangeInclusive<i64>> {
        let low = self.min_step.unwrap_or(i64::MIN);
        match self.max_step {
            None if self.min_step.is_none() => None,
            None => Some(low..=i64::MAX),
            Some(end) => Some(end.checked_sub(1).map_or(NONE, |high| low..=high)),
        }
    }
}

/// Which rows come, by the series that they have.
#[derive(Debug, Default)]
struct Wanted {
    /// In order.
    keys: Option<Vec<SeriesKey>>,
    x_axis: Option<SeriesKey>,
    join: Join,
}

impl Wanted {
    fn new(keys: Option<&Vec<SeriesKey>>, x_axis: &SeriesKey, join: Join) -> Self {
        let of_every_row = [STEP, "_timestamp", "_runtime"].contains(&x_axis.as_str());
        let keys = keys.map(|keys| {
            let mut keys = keys.clone();
            keys.sort();
            keys.dedup();
            keys
        });
        Self {
            keys,
            x_axis: (!of_every_row).then(|| x_axis.clone()),
            join,
        }
    }

    /// All that has to be read.
    fn series(&self) -> Option<Vec<SeriesKey>> {
        let mut keys = self.keys.clone()?;
        if let Some(x) = self.x_axis.as_ref().filter(|x| !keys.contains(x)) {
            keys.push(x.clone());
        }
        Some(keys)
    }

    fn has(&self, row: &HistoryRow) -> bool {
        let has = |key: &SeriesKey| row.values.iter().any(|(k, _)| k == key);
        self.x_axis.as_ref().is_none_or(has)
            && self.keys.as_ref().is_none_or(|keys| {
                let of_keys = |(key, _): &&(SeriesKey, Value)| keys.binary_search(key).is_ok();
                let found = row.values.iter().filter(of_keys).count();
                match self.join {
                    Join::Outer => found > 0,
                    Join::Inner => found == keys.len(),
                }
            })
    }
}

impl Run {
    /// Rows of the history, thinned to as many as are wanted. If all of them fit, all come.
    ///
    /// A sample has the first and the last row, and of each part of the history the rows with the
    /// least and the greatest number of each key (NaN aside; where a key has no number, the first
    /// row that has the key), as far as there is room for two rows of each key; the rest of it is
    /// spread evenly. A row comes with all that was logged in it under the keys asked for. The same
    /// history gives the same sample.
    ///
    /// All of the history is read, in memory that depends on the size of the sample alone. One key
    /// alone is quicker than several.
    ///
    /// # Errors
    /// `NotFound` if the run is gone.
    pub async fn history(&self, request: HistoryRequest) -> Result<History> {
        let wanted = Wanted::new(request.keys.as_ref(), &request.x_axis, request.join);
        let mut query = HistoryQuery::new().with_stream(request.stream);
        query.keys = wanted.series();
        query.steps = request.steps;
        if let Some([_]) = query.keys.as_deref() {
            if let Some(history) = self.sample_series(query.clone(), request.samples).await? {
                return Ok(history);
            }
            query.by_rows = true;
            let history = self.sample_series(query, request.samples).await?;
            return history.ok_or_else(|| {
                tracker_model::Error::new(
                    tracker_model::ErrorKind::Unexpected,
                    format!(
                        "read the history of run {}: rows without numbers",
                        self.path()
                    ),
                )
            });
        }
        self.sample_rows(query.with_rows(true), &wanted, request.samples)
            .await
    }

    /// What was measured of the machine; see [`Run::history`].
    ///
    /// # Errors
    /// Those of [`Run::history`].
    pub async fn system_metrics(&self, request: HistoryRequest) -> Result<History> {
        self.history(request.with_stream(HistoryStream::System))
            .await
    }

    /// A sample of any rows.
    async fn sample_rows(
        &self,
        query: HistoryQuery,
        wanted: &Wanted,
        samples: usize,
    ) -> Result<History> {
        let keys = match &wanted.keys {
            Some(keys) => keys.clone(),
            None => {
                let series = self.series(query.stream).await?;
                series.into_iter().map(|info| info.key).collect()
            }
        };
        let places: BTreeMap<&SeriesKey, usize> = keys.iter().zip(0..).collect();
        let mut sampler = Sampler::new(samples, keys.len());
        let mut last = None;
        let mut rows = rows_of(self.tracker().scan(self.path(), query));
        while let Some(row) = rows.try_next().await? {
            if !wanted.has(&row) {
                continue;
            }
            let row = Arc::new(row);
            let values = row.values.iter();
            let values = values.filter_map(|(key, value)| Some((*places.get(key)?, number(value))));
            sampler.offer(values, || Arc::clone(&row));
            last = Some(row);
        }
        Ok(history(sampler, last, samples))
    }

    /// A sample of the rows of one series, each point of which is a row. `None` if the points do not
    /// come in order of rows, which only a query for rows makes sure of.
    async fn sample_series(&self, query: HistoryQuery, samples: usize) -> Result<Option<History>> {
        let mut sampler = Sampler::new(samples, 1);
        let mut last = None;
        // Points without row numbers are rows in order of time and step.
        let mut before: Option<(bool, Option<Timestamp>, i64)> = None;
        let mut batches = self.tracker().scan(self.path(), query);
        while let Some(batch) = batches.try_next().await? {
            let row = |i: usize, seen: u64| row_of(&batch, i, seen);
            for (i, step) in batch.steps.iter().enumerate() {
                let numbered = batch.rows.is_some();
                let time = batch.times.as_ref().map(|times| times.get(i));
                let follows = before
                    .is_none_or(|(n, t, s)| n == numbered && (numbered || (t, s) <= (time, *step)));
                if !follows {
                    return Ok(None);
                }
                before = Some((numbered, time, *step));
                let seen = sampler.seen();
                sampler.offer([(0, batch.values.number(i))], || Arc::new(row(i, seen)));
            }
            if let Some(i) = batch.len().checked_sub(1) {
                last = Some(Arc::new(row(i, sampler.seen() - 1)));
            }
        }
        Ok(Some(history(sampler, last, samples)))
    }

    /// Every row of the history, in order, as it is read.
    ///
    /// Unlike in W&B's `scan_history(keys=…)`, rows that lack some of the keys come too, unless
    /// [`Join::Inner`] is asked for.
    ///
    /// # Errors
    /// `NotFound` if the run is gone.
    pub fn scan_history(&self, request: ScanRequest) -> BoxStream<'static, Result<HistoryRow>> {
        let wanted = Wanted::new(request.keys.as_ref(), &request.x_axis, request.join);
        let mut query = HistoryQuery::new()
            .with_stream(request.stream)
            .with_rows(true);
        query.keys = wanted.series();
        query.steps = request.steps();
        rows_of(self.tracker().scan(self.path(), query))
            .try_filter(move |row| std::future::ready(wanted.has(row)))
            .boxed()
    }

    /// As [`Run::scan_history`], in pages: all have [`ScanRequest::page_size`] rows, but for the
    /// last one and one before an error.
    ///
    /// # Errors
    /// Those of [`Run::scan_history`].
    pub fn scan_pages(&self, request: ScanRequest) -> BoxStream<'static, Result<Vec<HistoryRow>>> {
        let size = request.page_size.max(1);
        self.scan_history(request)
            .try_chunks(size)
            .flat_map(|page| {
                let (rows, error) = match page {
                    Ok(rows) => (rows, None),
                    Err(e) => (e.0, Some(Err(e.1))),
                };
                let rows = Some(rows).filter(|rows| !rows.is_empty()).map(Ok);
                futures::stream::iter(rows.into_iter().chain(error))
            })
            .boxed()
    }
}

fn history(sampler: Sampler, last: Option<Arc<HistoryRow>>, samples: usize) -> History {
    let total = sampler.seen();
    History {
        sampled: total > samples.max(2) as u64,
        rows: sampler.finish(last),
        total,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::F64(x) => Some(*x),
        #[expect(
            clippy::cast_precision_loss,
            reason = "for comparing, this is near enough"
        )]
        Value::I64(x) => Some(*x as f64),
        _ => None,
    }
}

/// A point as a row; `seen` is its number if it has none.
fn row_of(batch: &PointBatch, i: usize, seen: u64) -> HistoryRow {
    let numbers = batch.rows.as_ref();
    let value = batch.values.get(i).map(|value| (batch.key.clone(), value));
    HistoryRow {
        row: numbers
            .and_then(|rows| rows.get(i))
            .copied()
            .unwrap_or(seen),
        step: batch.steps.get(i).copied().unwrap_or_default(),
        time: batch.times.as_ref().map(|times| times.get(i)),
        values: value.into_iter().collect(),
    }
}
