//! A sample of rows in one pass, in memory that depends on the size of the sample alone.

use std::{collections::BTreeMap, sync::Arc};

use tracker_model::HistoryRow;

/// A row with its place among all rows.
type Placed = (u64, Arc<HistoryRow>);

/// Chooses at most so many of the rows that it is offered.
///
/// The first and the last row are kept, and of every bucket the rows with the least and the
/// greatest number of each series. All buckets have the same width, but for the last one: a power
/// of two, which doubles when there would be more buckets than there is room for. What is left of
/// the room is filled with rows that are spread evenly.
#[derive(Debug)]
pub(crate) struct Sampler {
    room: usize,
    series: usize,
    most_buckets: usize,
    width: u64,
    buckets: Vec<Vec<Extremes>>,
    even: Vec<Placed>,
    stride: u64,
    seen: u64,
}

/// What is kept of one series in one bucket.
#[derive(Debug, Clone, Default)]
struct Extremes {
    least: Option<(f64, Placed)>,
    greatest: Option<(f64, Placed)>,
    /// The first row with a value; used only if no value is a number.
    first: Option<Placed>,
}

impl Sampler {
    /// At most `room` rows (at least 2) with the extremes of so many series.
    pub(crate) fn new(room: usize, series: usize) -> Self {
        let room = room.max(2);
        Self {
            room,
            series,
            most_buckets: (room - 2) / series.saturating_mul(2).max(1),
            width: 1,
            buckets: Vec::new(),
            even: Vec::new(),
            stride: 1,
            seen: 0,
        }
    }

    /// How many rows were offered.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The next row: which series it has, each with its number if that is one, and the row itself,
    /// which is made only if it is kept.
    pub(crate) fn offer(
        &mut self,
        values: impl IntoIterator<Item = (usize, Option<f64>)>,
        row: impl Fn() -> Arc<HistoryRow>,
    ) {
        let place = self.seen;
        self.seen += 1;
        if place.is_multiple_of(self.stride) {
            self.keep_even(place, &row);
        }
        if self.most_buckets == 0 {
            return;
        }
        if place >= self.width.saturating_mul(self.buckets.len() as u64) {
            self.buckets.push(vec![Extremes::default(); self.series]);
            if self.buckets.len() > self.most_buckets {
                self.merge();
            }
        }
        let Some(bucket) = self.buckets.last_mut() else {
            return;
        };
        for (series, number) in values {
            if let Some(extremes) = bucket.get_mut(series) {
                extremes.offer(number.filter(|x| !x.is_nan()), || (place, row()));
            }
        }
    }

    /// Between `room` and twice as many are held, so that enough are left when some of them are
    /// chosen for other reasons.
    fn keep_even(&mut self, place: u64, row: &impl Fn() -> Arc<HistoryRow>) {
        if self.even.len() >= self.room.saturating_mul(2) {
            self.stride = self.stride.saturating_mul(2);
            let stride = self.stride;
            self.even.retain(|(at, _)| at.is_multiple_of(stride));
        }
        if place.is_multiple_of(self.stride) {
            self.even.push((place, row()));
        }
    }

    fn merge(&mut self) {
        self.width = self.width.saturating_mul(2);
        let mut pairs = std::mem::take(&mut self.buckets).into_iter();
        while let Some(mut bucket) = pairs.next() {
            for (mine, next) in bucket.iter_mut().zip(pairs.next().into_iter().flatten()) {
                mine.extend(next);
            }
            self.buckets.push(bucket);
        }
    }

    /// The chosen rows in their order. `last` is the last row that was offered.
    pub(crate) fn finish(self, last: Option<Arc<HistoryRow>>) -> Vec<HistoryRow> {
        let mut chosen: BTreeMap<u64, Arc<HistoryRow>> = BTreeMap::new();
        if self.seen <= self.room as u64 {
            chosen.extend(self.even);
        } else {
            // The first row is among the even ones.
            chosen.extend(self.even.first().cloned());
            chosen.extend(last.map(|row| (self.seen - 1, row)));
            for extremes in self.buckets.into_iter().flatten() {
                chosen.extend(extremes.rows());
            }
            let rest: Vec<Placed> = self
                .even
                .into_iter()
                .filter(|(at, _)| !chosen.contains_key(at))
                .collect();
            let wanted = self.room.saturating_sub(chosen.len()).min(rest.len());
            // The middles of as many equal parts as are wanted.
            let middles = (0..wanted).map(|i| (2 * i + 1) * rest.len() / (2 * wanted));
            chosen.extend(middles.filter_map(|i| rest.get(i).cloned()));
        }
        chosen.into_values().map(Arc::unwrap_or_clone).collect()
    }
}

impl Extremes {
    /// Takes account of a value; of equal ones, the first counts.
    fn offer(&mut self, number: Option<f64>, row: impl Fn() -> Placed) {
        let Some(x) = number else {
            if self.least.is_none() && self.first.is_none() {
                self.first = Some(row());
            }
            return;
        };
        if self.least.as_ref().is_none_or(|(y, _)| x < *y) {
            self.least = Some((x, row()));
        }
        if self.greatest.as_ref().is_none_or(|(y, _)| x > *y) {
            self.greatest = Some((x, row()));
        }
    }

    /// Takes account of what is kept of the next bucket.
    fn extend(&mut self, next: Self) {
        self.first = self.first.take().or(next.first);
        for (x, row) in [next.least, next.greatest].into_iter().flatten() {
            self.offer(Some(x), || row.clone());
        }
    }

    fn rows(self) -> impl Iterator<Item = Placed> {
        let first = self.first.filter(|_| self.least.is_none());
        let numbers = [self.least, self.greatest].into_iter().flatten();
        numbers.map(|(_, row)| row).chain(first)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn row(place: u64) -> Arc<HistoryRow> {
        Arc::new(HistoryRow {
            row: place,
            step: 0,
            time: None,
            values: Vec::new(),
        })
    }

    #[test]
    fn what_is_held_does_not_depend_on_the_number_of_rows() {
        for series in [1, 3, 100] {
            let (room, made) = (50, Cell::new(0u32));
            let mut sampler = Sampler::new(room, series);
            for place in 0..100_000u64 {
                let number = Some(f64::from(u32::try_from(place * 7919 % 1009).unwrap()));
                sampler.offer((0..series).map(|s| (s, number)), || {
                    made.set(made.get() + 1);
                    row(place)
                });
                let extremes: usize = sampler.buckets.iter().map(|b| 2 * b.len()).sum();
                assert!(extremes <= room && sampler.even.len() <= 2 * room);
            }
            let chosen = sampler.finish(Some(row(99_999)));
            assert_eq!(chosen.len(), room);
            assert!(chosen.is_sorted_by(|a, b| a.row < b.row));
            assert!(made.get() < 50_000, "few rows are made: {}", made.get());
        }
    }

    #[test]
    fn the_rest_is_spread_evenly() {
        let mut sampler = Sampler::new(10, 1);
        for place in 0..1000 {
            sampler.offer([], || row(place));
        }
        let chosen: Vec<u64> = sampler
            .finish(Some(row(999)))
            .iter()
            .map(|r| r.row)
            .collect();
        let gaps = chosen.windows(2).map(|w| w[1] - w[0]);
        assert_eq!((chosen[0], chosen[9]), (0, 999));
        assert!(
            gaps.clone().all(|gap| (32..250).contains(&gap)),
            "{chosen:?}"
        );
    }
}
