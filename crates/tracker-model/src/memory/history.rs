mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};

use self::writer::MemoryHistoryWriter;
use super::{MemoryTracker, stream_of};
use crate::{
    Error, ErrorKind, HistoryQuery, HistoryStore, HistoryStream, HistoryWriter, MAX_BATCH_POINTS,
    PointBatch, Result, RunPath, SampleQuery, SeriesHasher, SeriesInfo, SeriesKey, group_rows,
    sample_by_scan, split_rows,
};

/// The points of a series in order, as they were written. None of the batches is empty.
type Points = Vec<Arc<PointBatch>>;

/// One history of a run.
#[derive(Default)]
pub(super) struct History {
    series: BTreeMap<SeriesKey, Points>,
    staged: Option<Staged>,
    /// Lives as long as the present writer.
    writer: Weak<()>,
}

/// What a writer has made durable and not shown.
struct Staged {
    token: String,
    /// The series as they will be.
    series: BTreeMap<SeriesKey, Points>,
}

fn count(points: &[Arc<PointBatch>]) -> u64 {
    points.iter().map(|batch| batch.len() as u64).sum()
}

/// The greatest row; rows ascend, yet not every point needs to have one.
fn last_row(points: &[Arc<PointBatch>]) -> Option<u64> {
    points
        .iter()
        .rev()
        .find_map(|batch| batch.rows.as_ref()?.last().copied())
}

/// Puts a batch behind the points of a series.
fn push(points: &mut Points, batch: PointBatch) -> Result<()> {
    let first = batch.rows.as_ref().and_then(|rows| rows.first());
    if let Some(first) = first
        && let Some(last) = last_row(points)
        && *first <= last
    {
        let key = &batch.key;
        return Err(Error::invalid(format!(
            "the rows of {key:?} do not ascend: {first} follows {last}"
        )));
    }
    if batch.is_empty() {
        return Ok(());
    }
    if batch.len() <= MAX_BATCH_POINTS {
        points.push(Arc::new(batch));
        return Ok(());
    }
    let starts = (0..batch.len()).step_by(MAX_BATCH_POINTS);
    points.extend(starts.map(|at| Arc::new(batch.slice(at, at + MAX_BATCH_POINTS))));
    Ok(())
}

/// The points from one index of a series up to, not including, another.
fn cut(points: &[Arc<PointBatch>], from: u64, to: u64) -> Points {
    let mut out = Points::new();
    let mut at = 0;
    for batch in points {
        let end = at + batch.len() as u64;
        if at >= from && end <= to {
            out.push(Arc::clone(batch));
        } else if at < to && end > from {
            // Within a batch, so that the differences are small numbers.
            let start = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
            let stop = usize::try_from(to - at).unwrap_or(usize::MAX);
            out.push(Arc::new(batch.slice(start, stop)));
        }
        at = end;
    }
    out
}

fn info(key: &SeriesKey, points: &[Arc<PointBatch>]) -> SeriesInfo {
    let mut info = SeriesInfo::new(key.clone());
    let mut hasher = SeriesHasher::default();
    for batch in points {
        info.observe(batch);
        hasher.update(batch);
    }
    info.digest = Some(hasher.digest());
    info
}

impl History {
    /// The number of the row after the last.
    fn next_row(&self) -> u64 {
        let last = self
            .series
            .values()
            .filter_map(|points| last_row(points))
            .max();
        last.map_or(0, |row| row + 1)
    }

    /// The points that a query asks for, series by series.
    fn find(&self, query: HistoryQuery) -> impl Iterator<Item = PointBatch> + Send + 'static {
        let keys: Option<BTreeSet<SeriesKey>> = query.keys.map(|keys| keys.into_iter().collect());
        let wanted = |key: &SeriesKey| keys.as_ref().is_none_or(|keys| keys.contains(key));
        let series = self.series.iter().filter(|(key, _)| wanted(key));
        let points: Points = series
            .flat_map(|(_, points)| cut(points, query.from_index, u64::MAX))
            .collect();
        let within = move |batch: Arc<PointBatch>| match &query.steps {
            Some(steps) => batch.filter(|i| batch.steps.get(i).is_some_and(|s| steps.contains(s))),
            None => Arc::unwrap_or_clone(batch),
        };
        points
            .into_iter()
            .map(within)
            .filter(|batch| !batch.is_empty())
    }
}

#[async_trait]
impl HistoryStore for MemoryTracker {
    async fn append(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        at: u64,
        batches: Vec<PointBatch>,
    ) -> Result<u64> {
        let mut state = self.state();
        let history = state.run_mut(run)?.history_mut(stream);
        let next = history.next_row();
        if at > next {
            return Err(Error::invalid(format!(
                "append to the history of run {run}: row {at} leaves a gap, the next row is {next}"
            )));
        }
        if history.writer.strong_count() > 0 {
            return Err(busy(run));
        }
        let mut changed: BTreeMap<SeriesKey, Points> = BTreeMap::new();
        let mut seen: BTreeMap<SeriesKey, u64> = BTreeMap::new();
        for batch in batches {
            batch.check()?;
            let Some(rows) = &batch.rows else {
                let key = &batch.key;
                return Err(Error::invalid(format!(
                    "append to run {run}: {key:?} has no rows"
                )));
            };
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
                continue;
            };
            let before = seen.insert(batch.key.clone(), *last);
            if *first < at || before.is_some_and(|before| *first <= before) {
                return Err(Error::invalid(format!(
                    "append to run {run}: the rows of {:?} do not ascend from {at}",
                    batch.key
                )));
            }
            let new = batch.slice(rows.partition_point(|row| *row < next), batch.len());
            if !new.is_empty() {
                let there = || history.series.get(&batch.key).cloned().unwrap_or_default();
                push(changed.entry(batch.key.clone()).or_insert_with(there), new)?;
            }
        }
        history.series.extend(changed);
        Ok(history.next_row())
    }

    async fn next_row(&self, run: &RunPath, stream: HistoryStream) -> Result<u64> {
        Ok(self.state().run(run)?.history(stream).next_row())
    }

    async fn truncate(&self, run: &RunPath, stream: HistoryStream, from_row: u64) -> Result<()> {
        let mut state = self.state();
        let history = state.run_mut(run)?.history_mut(stream);
        if history.writer.strong_count() > 0 {
            return Err(busy(run));
        }
        history.staged = None;
        for points in history.series.values_mut() {
            for batch in points.iter_mut() {
                *batch = Arc::new(batch.before_row(from_row));
            }
            points.retain(|batch| !batch.is_empty());
        }
        history.series.retain(|_, points| !points.is_empty());
        Ok(())
    }

    async fn history_writer(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        token: &str,
    ) -> Result<Box<dyn HistoryWriter>> {
        let mut state = self.state();
        let history = state.run_mut(run)?.history_mut(stream);
        if history.writer.strong_count() > 0 {
            return Err(busy(run));
        }
        history.staged = history.staged.take().filter(|staged| staged.token == token);
        let alive = Arc::new(());
        history.writer = Arc::downgrade(&alive);
        let staged = history.staged.iter().flat_map(|staged| &staged.series);
        let staged = staged.map(|(key, points)| info(key, points)).collect();
        let (tracker, run, token) = (self.clone(), run.clone(), token.to_owned());
        Ok(Box::new(MemoryHistoryWriter::new(
            tracker, run, stream, token, staged, alive,
        )))
    }

    async fn series(&self, run: &RunPath, stream: HistoryStream) -> Result<Vec<SeriesInfo>> {
        let series = self.state().run(run)?.history(stream).series.clone();
        Ok(series
            .iter()
            .map(|(key, points)| info(key, points))
            .collect())
    }

    fn scan(&self, run: &RunPath, query: HistoryQuery) -> BoxStream<'static, Result<PointBatch>> {
        let by_rows = query.by_rows;
        let found = self
            .state()
            .run(run)
            .map(|entry| entry.history(query.stream).find(query));
        if by_rows {
            // The rows are made when the first is asked for.
            let rows = move || stream_of(found.and_then(group_rows).and_then(split_rows));
            futures::stream::once(async move { rows() })
                .flatten()
                .boxed()
        } else {
            stream_of(found)
        }
    }

    async fn sample(&self, run: &RunPath, query: SampleQuery) -> Result<Vec<PointBatch>> {
        sample_by_scan(self, run, query).await
    }
}

fn busy(run: &RunPath) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("write the history of run {run}: somebody else is writing it"),
    )
}
