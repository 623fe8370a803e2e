//! Histories in order of rows, where every series is in that order by itself: the series are read
//! side by side, a window of rows at a time.

use std::collections::VecDeque;

use tracker_model::{Error, MAX_BATCH_POINTS, MAX_ROW, PointBatch, Result, Timestamp};

use super::Batches;
use crate::error::corrupt;

/// Series that are read side by side at most; each needs a reader.
pub(crate) const MAX_LANES: usize = 32;

/// Points that a lane reads at once.
pub(crate) fn lane_points(lanes: usize) -> usize {
    (MAX_BATCH_POINTS / lanes.max(1)).max(1)
}

/// The place of a point among those without a row: the time, the step, and how many points of its
/// series with both come before it.
type Place = (Option<Timestamp>, i64, u64);

/// How the rows of some series are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// Every point has the number of its row.
    Given,
    /// No point has; the series are in order of time and step.
    Derived,
}

/// Gives the batches of a scan that was asked for rows.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    numbering: Numbering,
    /// The row after the last.
    next_row: u64,
    /// What comes after all rows of these lanes, with rows derived.
    then: Option<Box<Self>>,
    ready: VecDeque<PointBatch>,
    ended: bool,
}

struct Lane {
    batches: Batches,
    current: Option<Current>,
    /// The place of the last point that was read.
    last: Option<Place>,
}

/// The points of a lane that are left of a batch.
struct Current {
    batch: PointBatch,
    /// For derived rows.
    places: Vec<Place>,
    at: usize,
}

impl Lanes {
    pub(crate) fn new(lanes: Vec<Batches>, numbering: Numbering) -> Self {
        let lane = |batches| Lane {
            batches,
            current: None,
            last: None,
        };
        Self {
            lanes: lanes.into_iter().map(lane).collect(),
            numbering,
            next_row: 0,
            then: None,
            ready: VecDeque::new(),
            ended: false,
        }
    }

    /// Puts the rows of other lanes, which have no numbers, behind.
    pub(crate) fn then(mut self, derived: Self) -> Self {
        self.then = Some(Box::new(derived));
        self
    }

    /// Reads the next window: all points up to the least of the last points at hand.
    fn window(&mut self) -> Result<Vec<PointBatch>> {
        let (numbering, chunk) = (self.numbering, lane_points(self.lanes.len()));
        for lane in &mut self.lanes {
            lane.fill(numbering)?;
        }
        self.lanes.retain(|lane| lane.current.is_some());
        let currents = || self.lanes.iter().filter_map(|lane| lane.current.as_ref());
        let cuts: Vec<usize> = match numbering {
            Numbering::Given => {
                let Some(limit) = currents().filter_map(|c| c.last_row(chunk)).min() else {
                    return Ok(Vec::new());
                };
                currents()
                    .map(|c| c.rows().partition_point(|row| *row <= limit))
                    .collect()
            }
            Numbering::Derived => {
                let Some(limit) = currents().filter_map(|c| c.last_place(chunk)).min() else {
                    return Ok(Vec::new());
                };
                currents()
                    .map(|c| c.places().partition_point(|place| *place <= limit))
                    .collect()
            }
        };
        let mut out = match numbering {
            Numbering::Given => Vec::new(),
            Numbering::Derived => self.derive(&cuts)?,
        };
        out.resize(self.lanes.len(), Vec::new());
        let mut batches = Vec::new();
        for ((lane, n), rows) in self.lanes.iter_mut().zip(cuts).zip(out) {
            let Some(current) = &mut lane.current else {
                continue;
            };
            let (start, end) = (current.at, current.at + n);
            if n > 0 {
                let mut batch = current.batch.slice(start, end);
                match (numbering, batch.rows.as_ref().and_then(|r| r.last())) {
                    (Numbering::Given, Some(last)) => self.next_row = self.next_row.max(last + 1),
                    (Numbering::Given, None) => {
                        return Err(corrupt("a history lacks the rows that it should have"));
                    }
                    (Numbering::Derived, _) => batch.rows = Some(rows),
                }
                batches.push(batch);
            }
            current.at = end;
            if end == current.batch.len() {
                lane.current = None;
            }
        }
        batches.sort_by_key(|batch| batch.rows.as_ref().and_then(|rows| rows.first()).copied());
        Ok(batches)
    }

    /// Numbers the rows of a window, lane by lane.
    fn derive(&mut self, cuts: &[usize]) -> Result<Vec<Vec<u64>>> {
        let currents = self.lanes.iter().filter_map(|lane| lane.current.as_ref());
        let mut others = currents.zip(cuts).map(|(c, n)| c.places().get(..*n));
        // What was logged together, as most is, has the same places in all lanes.
        if let Some(Some(first)) = others.next()
            && others.all(|other| other == Some(first))
        {
            let end = self.next_row.saturating_add(first.len() as u64);
            if end > MAX_ROW.saturating_add(1) {
                return Err(beyond());
            }
            let rows: Vec<u64> = (self.next_row..end).collect();
            self.next_row = end;
            return Ok(vec![rows; cuts.len()]);
        }
        let mut points: Vec<(Place, usize)> = Vec::with_capacity(cuts.iter().sum());
        for (lane, (current, n)) in self
            .lanes
            .iter()
            .filter_map(|l| l.current.as_ref())
            .zip(cuts)
            .enumerate()
        {
            points.extend(current.places().iter().take(*n).map(|place| (*place, lane)));
        }
        // Finds and merges what is sorted already: the lanes.
        points.sort();
        let mut out: Vec<Vec<u64>> = cuts.iter().map(|n| Vec::with_capacity(*n)).collect();
        let mut last = None;
        for (place, lane) in points {
            if last != Some(place) {
                if self.next_row > MAX_ROW {
                    return Err(beyond());
                }
                self.next_row += 1;
                last = Some(place);
            }
            if let Some(rows) = out.get_mut(lane) {
                rows.push(self.next_row - 1);
            }
        }
        Ok(out)
    }
}

fn beyond() -> Error {
    Error::invalid(format!("put points into rows: a row is beyond {MAX_ROW}"))
}

impl Lane {
    /// Reads a batch if none is left.
    fn fill(&mut self, numbering: Numbering) -> Result<()> {
        while self.current.is_none() {
            let Some(batch) = self.batches.next().transpose()? else {
                return Ok(());
            };
            let mut places = Vec::new();
            if numbering == Numbering::Derived {
                places.reserve(batch.len());
                for (i, step) in batch.steps.iter().enumerate() {
                    let time = batch.times.as_ref().map(|t| t.get(i));
                    let place = match self.last {
                        Some((t, s, n)) if (t, s) == (time, *step) => (time, *step, n + 1),
                        Some((t, s, _)) if (t, s) > (time, *step) => {
                            return Err(corrupt(
                                "the points of a history are not in the order that they should have",
                            ));
                        }
                        _ => (time, *step, 0),
                    };
                    self.last = Some(place);
                    places.push(place);
                }
            }
            if !batch.is_empty() {
                self.current = Some(Current {
                    batch,
                    places,
                    at: 0,
                });
            }
        }
        Ok(())
    }
}

impl Current {
    fn rows(&self) -> &[u64] {
        self.batch
            .rows
            .as_ref()
            .and_then(|rows| rows.get(self.at..))
            .unwrap_or_default()
    }

    fn places(&self) -> &[Place] {
        self.places.get(self.at..).unwrap_or_default()
    }

    /// The last row of the next `chunk` points.
    fn last_row(&self, chunk: usize) -> Option<u64> {
        let rows = self.rows();
        rows.get(chunk.saturating_sub(1)).or(rows.last()).copied()
    }

    fn last_place(&self, chunk: usize) -> Option<Place> {
        let places = self.places();
        places
            .get(chunk.saturating_sub(1))
            .or(places.last())
            .copied()
    }
}

impl Iterator for Lanes {
    type Item = Result<PointBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            if self.ended {
                return None;
            }
            match self.window() {
                Ok(batches) if !batches.is_empty() => self.ready.extend(batches),
                Ok(_) => match self.then.take() {
                    Some(then) => {
                        *self = Self {
                            next_row: self.next_row,
                            ..*then
                        }
                    }
                    None => self.ended = true,
                },
                Err(e) => {
                    self.ended = true;
                    return Some(Err(e));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tracker_model::{BatchBuilder, HistoryRow, RowMerger, SeriesKey, Value, group_rows};

    use super::*;

    fn rows(lanes: Lanes) -> Vec<HistoryRow> {
        let mut merger = RowMerger::new();
        let mut rows = Vec::new();
        for batch in lanes {
            merger.push(batch.unwrap()).unwrap();
            rows.extend(std::iter::from_fn(|| merger.next_row()));
        }
        merger.end();
        rows.extend(std::iter::from_fn(|| merger.next_row()));
        rows
    }

    /// Points as (row, step, time), in batches of few.
    fn series(key: &str, points: &[(Option<u64>, i64, Option<i64>)]) -> Vec<PointBatch> {
        let mut out = Vec::new();
        for few in points.chunks(3) {
            let mut builder = BatchBuilder::new(SeriesKey::from(key));
            for (row, step, ms) in few {
                out.extend(builder.push(
                    *row,
                    *step,
                    ms.map(Timestamp::from_millis),
                    Value::I64(*step),
                ));
            }
            out.extend(builder.take());
        }
        out
    }

    fn boxed(batches: Vec<PointBatch>) -> Batches {
        Box::new(batches.into_iter().map(Ok))
    }

    proptest! {
        #[test]
        fn lanes_agree_with_the_reference(
            given in proptest::collection::vec(proptest::collection::btree_map(0u64..40, 0i64..3, 0..30), 0..4),
            derived in proptest::collection::vec(
                proptest::collection::vec((proptest::option::of(0i64..4), 0i64..3), 0..30), 0..4),
            together: bool,
        ) {
            let derived = match derived.first() {
                Some(first) if together => vec![first.clone(); derived.len()],
                _ => derived,
            };
            let given: Vec<Vec<PointBatch>> = given.iter().enumerate().map(|(k, rows)| {
                let points: Vec<_> = rows.iter().map(|(row, step)| (Some(*row), *step, None)).collect();
                series(&format!("g{k}"), &points)
            }).collect();
            let derived: Vec<Vec<PointBatch>> = derived.into_iter().enumerate().map(|(k, mut places)| {
                places.sort_unstable();
                let points: Vec<_> = places.into_iter().map(|(ms, step)| (None, step, ms)).collect();
                series(&format!("d{k}"), &points)
            }).collect();
            let reference = group_rows(given.iter().chain(&derived).flatten().cloned()).unwrap();
            let lanes = |series: &[Vec<PointBatch>], numbering| {
                Lanes::new(series.iter().cloned().map(boxed).collect(), numbering)
            };
            let got = rows(lanes(&given, Numbering::Given).then(lanes(&derived, Numbering::Derived)));
            prop_assert_eq!(got, reference);
        }
    }
}
