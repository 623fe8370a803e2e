//! Points on their way into the order of a history.

use std::{cmp::Ordering, io};

use spill_sort::{Record, Sorter, SorterOptions};
use tracker_model::{Error, ErrorKind, Result};

use crate::mapping::history_order;

/// Memory of a sorter.
const SORT_BYTES: usize = 16 << 20;

/// A point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Milliseconds since 1970.
    pub(super) time: i64,
    pub(super) step: i64,
    pub(super) value: f64,
}

impl Point {
    fn order(&self, other: &Self) -> Ordering {
        history_order(
            (self.time, self.step, self.value),
            (other.time, other.step, other.value),
        )
    }
}

/// Points of one series, in any order.
#[derive(Debug, Default)]
pub(super) struct Series {
    points: Vec<Point>,
    unordered: bool,
}

impl Series {
    pub(super) fn push(&mut self, point: Point) {
        self.unordered = self.unordered
            || self
                .points
                .last()
                .is_some_and(|last| last.order(&point).is_gt());
        self.points.push(point);
    }

    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// The points in the order of a history. Mostly they are.
    pub(super) fn sorted(mut self) -> Vec<Point> {
        if self.unordered {
            self.points.sort_by(Point::order);
        }
        self.points
    }
}

/// A point of the series with a number.
#[derive(Debug)]
pub(super) struct KeyedPoint {
    pub(super) key: usize,
    pub(super) point: Point,
}

impl Record for KeyedPoint {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.key as u64).to_le_bytes());
        out.extend_from_slice(&self.point.time.to_le_bytes());
        out.extend_from_slice(&self.point.step.to_le_bytes());
        out.extend_from_slice(&self.point.value.to_bits().to_le_bytes());
    }

    fn decode(input: &[u8]) -> Option<(Self, usize)> {
        let (key, rest) = input.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (step, rest) = rest.split_first_chunk()?;
        let (bits, _) = rest.split_first_chunk()?;
        let point = Point {
            time: i64::from_le_bytes(*time),
            step: i64::from_le_bytes(*step),
            value: f64::from_bits(u64::from_le_bytes(*bits)),
        };
        Some((
            Self {
                key: usize::try_from(u64::from_le_bytes(*key)).ok()?,
                point,
            },
            32,
        ))
    }
}

type Order = fn(&KeyedPoint, &KeyedPoint) -> Ordering;

/// More points than memory holds, sorted by the number of their key, then as a history.
#[derive(Debug)]
pub(super) struct Spill(Sorter<KeyedPoint, Order>);

impl Spill {
    pub(super) fn new() -> Self {
        let options = SorterOptions::default().with_memory_bytes(SORT_BYTES);
        Self(Sorter::new(options, |a, b| {
            a.key.cmp(&b.key).then_with(|| a.point.order(&b.point))
        }))
    }

    pub(super) fn take(&mut self, key: usize, series: Series) -> Result<()> {
        let mut points = series.points.into_iter();
        points
            .try_for_each(|point| self.0.push(KeyedPoint { key, point }))
            .map_err(spill_failed)
    }

    pub(super) fn sorted(self) -> Result<impl Iterator<Item = io::Result<KeyedPoint>>> {
        self.0.finish().map_err(spill_failed)
    }
}

pub(super) fn spill_failed(e: io::Error) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        _ => ErrorKind::Unavailable,
    };
    Error::new(
        kind,
        format!("sorting the points of a run in the folder for temporary files: {e}"),
    )
    .with_source(e)
}
