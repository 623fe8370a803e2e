use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;

use super::{History, Points, Staged, count, cut, push};
use crate::{
    Error, HistoryStream, HistoryWriter, MemoryTracker, PointBatch, Result, RunPath, SeriesInfo,
    SeriesKey, memory::State,
};

/// Writes much history at once.
pub(super) struct MemoryHistoryWriter {
    tracker: MemoryTracker,
    run: RunPath,
    stream: HistoryStream,
    token: String,
    staged: Vec<SeriesInfo>,
    /// The series that this writer has written to, as they will be.
    series: BTreeMap<SeriesKey, Series>,
    /// While it lives, nobody else writes.
    alive: Arc<()>,
}

struct Series {
    /// The index after the last point.
    next: u64,
    points: Points,
}

impl MemoryHistoryWriter {
    pub(super) fn new(
        tracker: MemoryTracker,
        run: RunPath,
        stream: HistoryStream,
        token: String,
        staged: Vec<SeriesInfo>,
        alive: Arc<()>,
    ) -> Self {
        Self {
            tracker,
            run,
            stream,
            token,
            staged,
            series: BTreeMap::new(),
            alive,
        }
    }

    /// The history that this writer was made for, unless the run was deleted since.
    fn history<'a>(&self, state: &'a mut State) -> Result<&'a mut History> {
        let history = state.run_mut(&self.run)?.history_mut(self.stream);
        if std::ptr::eq(history.writer.as_ptr(), Arc::as_ptr(&self.alive)) {
            Ok(history)
        } else {
            Err(Error::not_found(format_args!("run {}", self.run)))
        }
    }

    /// Puts what was written with what was staged before.
    fn stage(&self) -> Result<()> {
        let mut state = self.tracker.state();
        let history = self.history(&mut state)?;
        let token = || Staged {
            token: self.token.clone(),
            series: BTreeMap::new(),
        };
        let staged = &mut history.staged.get_or_insert_with(token).series;
        staged.extend(
            self.series
                .iter()
                .map(|(key, series)| (key.clone(), series.points.clone())),
        );
        Ok(())
    }

    /// The points of a series before an index, as they are staged or committed.
    fn before(&self, key: &SeriesKey, at: u64) -> Result<Points> {
        let mut state = self.tracker.state();
        let history = self.history(&mut state)?;
        let staged = history
            .staged
            .as_ref()
            .and_then(|staged| staged.series.get(key));
        let points = staged
            .or_else(|| history.series.get(key))
            .map_or(&[][..], Vec::as_slice);
        let there = count(points);
        if at > there {
            Err(gap(key, there, at))
        } else {
            Ok(cut(points, 0, at))
        }
    }
}

fn gap(key: &SeriesKey, next: u64, at: u64) -> Error {
    Error::invalid(format!(
        "write the points of {key:?}: index {at} leaves a gap or goes back, the next is {next}"
    ))
}

impl fmt::Debug for MemoryHistoryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHistoryWriter")
            .field("run", &self.run)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl HistoryWriter for MemoryHistoryWriter {
    fn staged(&self) -> &[SeriesInfo] {
        &self.staged
    }

    async fn write(&mut self, at: u64, batch: PointBatch) -> Result<()> {
        batch.check()?;
        let key = batch.key.clone();
        let mut fresh = None;
        let series = match self.series.get_mut(&key) {
            Some(series) if series.next != at => return Err(gap(&key, series.next, at)),
            Some(series) => series,
            None => fresh.insert(Series {
                next: at,
                points: self.before(&key, at)?,
            }),
        };
        let points = batch.len() as u64;
        push(&mut series.points, batch)?;
        series.next += points;
        if let Some(series) = fresh.filter(|_| points > 0) {
            self.series.insert(key, series);
        }
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<()> {
        self.stage()
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.stage()?;
        let mut state = self.tracker.state();
        let history = self.history(&mut state)?;
        if let Some(staged) = history.staged.take() {
            history.series.extend(staged.series);
        }
        Ok(())
    }
}
