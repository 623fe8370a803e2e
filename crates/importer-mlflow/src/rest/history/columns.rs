use std::cmp::Ordering;

use tracker_model::{PointBatch, SeriesKey, Times, Values};

use crate::{mapping::history_order, rest::wire::Metric};

/// Points of one series, in columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Columns {
    /// Milliseconds since 1970.
    pub(crate) times: Vec<i64>,
    pub(crate) steps: Vec<i64>,
    pub(crate) values: Vec<f64>,
}

impl Columns {
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(crate) fn push(&mut self, time: i64, step: i64, value: f64) {
        self.times.push(time);
        self.steps.push(step);
        self.values.push(value);
    }

    fn point(&self, i: usize) -> Option<(i64, i64, f64)> {
        Some((
            *self.times.get(i)?,
            *self.steps.get(i)?,
            *self.values.get(i)?,
        ))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, i64, f64)> {
        (0..self.len()).filter_map(|i| self.point(i))
    }

    /// Whether the points are in the order of a history.
    fn is_sorted(&self) -> bool {
        self.iter()
            .is_sorted_by(|a, b| history_order(*a, *b) != Ordering::Greater)
    }

    /// Puts the points into the order of a history. Mostly they are.
    pub(crate) fn sort(&mut self) {
        if self.is_sorted() {
            return;
        }
        let mut points: Vec<_> = self.iter().collect();
        points.sort_by(|a, b| history_order(*a, *b));
        self.times.clear();
        self.steps.clear();
        self.values.clear();
        for (time, step, value) in points {
            self.push(time, step, value);
        }
    }

    /// The time and step of each point.
    pub(super) fn groups(&self) -> impl DoubleEndedIterator<Item = (i64, i64)> {
        self.times.iter().copied().zip(self.steps.iter().copied())
    }

    /// The time and step of the last point.
    pub(super) fn last_group(&self) -> Option<(i64, i64)> {
        self.groups().next_back()
    }

    /// Leaves out points that are equal to the one before.
    pub(super) fn dedup(&mut self) {
        let equal = |a: &(i64, i64, f64), b: &(i64, i64, f64)| {
            (a.0, a.1) == (b.0, b.1) && (a.2 == b.2 || (a.2.is_nan() && b.2.is_nan()))
        };
        if self
            .iter()
            .zip(self.iter().skip(1))
            .any(|(a, b)| equal(&a, &b))
        {
            let mut points: Vec<_> = self.iter().collect();
            points.dedup_by(|a, b| equal(a, b));
            *self = Self::default();
            points
                .into_iter()
                .for_each(|(time, step, value)| self.push(time, step, value));
        }
    }

    /// Takes the points from `at` on away.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        let at = at.min(self.len());
        Self {
            times: self.times.split_off(at),
            steps: self.steps.split_off(at),
            values: self.values.split_off(at),
        }
    }

    /// Adds points at the end.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.times.append(&mut other.times);
        self.steps.append(&mut other.steps);
        self.values.append(&mut other.values);
    }

    /// Whether this point is among them.
    pub(crate) fn holds(&self, latest: &Metric) -> bool {
        let same =
            |value: f64| value == latest.value.0 || (value.is_nan() && latest.value.0.is_nan());
        self.iter().any(|(time, step, value)| {
            step == latest.step.0 && time == latest.timestamp.0 && same(value)
        })
    }

    /// As a batch of a series.
    pub(crate) fn into_batch(self, key: SeriesKey) -> PointBatch {
        PointBatch {
            key,
            rows: None,
            steps: self.steps,
            times: Some(Times::from_millis(self.times)),
            values: Values::F64(self.values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_time_step_and_value() {
        let mut columns = Columns::default();
        for (time, step, value) in [
            (2, 0, 0.0),
            (1, 5, f64::NAN),
            (1, 5, 0.0),
            (1, 5, -1.0),
            (1, 4, 9.0),
        ] {
            columns.push(time, step, value);
        }
        columns.sort();
        assert_eq!(columns.times, [1, 1, 1, 1, 2]);
        assert_eq!(columns.steps, [4, 5, 5, 5, 0]);
        assert!(columns.values[3].is_nan());
        assert_eq!((columns.values[1], columns.values[2]), (-1.0, 0.0));
    }

    #[test]
    fn cut_and_joined() {
        let mut columns = Columns::default();
        for i in 0..5 {
            columns.push(i, i, 0.5);
        }
        let whole = columns.clone();
        let tail = columns.split_off(3);
        assert_eq!((columns.len(), tail.len()), (3, 2));
        columns.append(tail);
        assert_eq!(columns, whole);
        assert!(columns.split_off(9).is_empty());
    }
}
