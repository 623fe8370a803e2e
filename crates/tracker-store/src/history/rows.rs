//! Histories in order of rows.

use std::{cmp::Ordering, collections::VecDeque, path::Path};

use spill_sort::{Record, Sorted, Sorter, SorterOptions};
use tracker_model::{
    Error, ErrorKind, HistoryRow, MAX_ROW, PointBatch, Result, RowSplitter, SeriesKey, Timestamp,
    Value, group_rows, split_rows,
};

use super::Batches;
use crate::error::{Doing, corrupt};

/// Points that are put into rows in memory.
const IN_MEMORY: u64 = 64 << 10;
const IN_MEMORY_BYTES: usize = 16 << 20;

/// Memory of the sort.
const SORT_BYTES: usize = 24 << 20;

const DOING: &str = "put points into rows";

/// Whether so many points are put into rows in memory.
pub(crate) fn is_small(points: u64) -> bool {
    points <= IN_MEMORY
}

/// Makes the batches of a scan, series by series, those of a scan that was asked for rows.
/// `points` is about how many there are; many are sorted with files in `dir`.
pub(crate) fn by_rows(batches: Batches, points: u64, dir: &Path) -> Result<Batches> {
    let mut batches = batches;
    let mut small = Vec::new();
    let mut bytes = 0;
    while is_small(points) && bytes <= IN_MEMORY_BYTES {
        let Some(batch) = batches.next() else {
            return Ok(Box::new(
                split_rows(group_rows(small)?)?.into_iter().map(Ok),
            ));
        };
        let batch = batch?;
        bytes += batch.weight();
        small.push(batch);
    }
    let options = SorterOptions::default()
        .with_memory_bytes(SORT_BYTES)
        .with_dir(dir);
    let mut sorter = Sorter::new(options.clone(), Point::cmp_place as Compare);
    let mut keys: Vec<SeriesKey> = Vec::new();
    let mut numbers = std::collections::HashMap::new();
    for batch in small.into_iter().map(Ok).chain(batches) {
        let batch = batch?;
        let next =
            u32::try_from(keys.len()).map_err(|_| corrupt("a history has too many series"))?;
        let key = *numbers.entry(batch.key.clone()).or_insert_with(|| {
            keys.push(batch.key.clone());
            next
        });
        for i in 0..batch.len() {
            let (Some(step), Some(value)) = (batch.steps.get(i), batch.values.get(i)) else {
                continue;
            };
            let row = batch.rows.as_ref().and_then(|rows| rows.get(i)).copied();
            let time = batch.times.as_ref().map(|t| t.get(i));
            sorter
                .push(Point {
                    row,
                    time,
                    step: *step,
                    occurrence: 0,
                    key,
                    value,
                })
                .doing(DOING)?;
        }
    }
    let sorted = sorter.finish().doing(DOING)?;
    Ok(Box::new(Rows {
        sorted,
        ahead: None,
        keys,
        group: None,
        options,
        splitter: RowSplitter::new(),
        ready: VecDeque::new(),
        next_row: 0,
        ended: false,
    }))
}

/// A point with its place among all points of the answer.
#[derive(Debug, Clone)]
struct Point {
    /// Points without a row come last.
    row: Option<u64>,
    time: Option<Timestamp>,
    step: i64,
    occurrence: u64,
    key: u32,
    value: Value,
}

type Compare = fn(&Point, &Point) -> Ordering;

impl Point {
    /// Numbered rows first; the points of a series stay in their order.
    fn cmp_place(&self, other: &Self) -> Ordering {
        (self.row.is_none(), self.row, self.time, self.step, self.key).cmp(&(
            other.row.is_none(),
            other.row,
            other.time,
            other.step,
            other.key,
        ))
    }

    fn cmp_occurrence(&self, other: &Self) -> Ordering {
        (self.occurrence, self.key).cmp(&(other.occurrence, other.key))
    }

    /// Whether they are of the same row, occurrence aside.
    fn same_group(&self, other: &Self) -> bool {
        (self.row, self.time, self.step) == (other.row, other.time, other.step)
    }
}

impl Record for Point {
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, text) = match &self.value {
            Value::F64(_) => (0u8, None),
            Value::I64(_) => (1, None),
            Value::Bool(_) => (2, None),
            Value::Str(text) => (3, Some(text)),
            Value::Json(text) => (4, Some(text)),
        };
        out.push(kind | u8::from(self.row.is_some()) << 3 | u8::from(self.time.is_some()) << 4);
        if let Some(row) = self.row {
            row.encode(out);
        }
        if let Some(time) = self.time {
            time.as_millis().encode(out);
            time.sub_nanos().encode(out);
        }
        self.step.encode(out);
        self.occurrence.encode(out);
        self.key.encode(out);
        match &self.value {
            Value::F64(x) => x.to_bits().encode(out),
            Value::I64(x) => x.encode(out),
            Value::Bool(x) => out.push(u8::from(*x)),
            Value::Str(_) | Value::Json(_) => {}
        }
        if let Some(text) = text {
            text.encode(out);
        }
    }

    fn decode(input: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader { input, at: 1 };
        let flags = *input.first()?;
        let row = if flags & 8 != 0 {
            Some(reader.next()?)
        } else {
            None
        };
        let time = if flags & 16 != 0 {
            Some(Timestamp::from_parts(reader.next()?, reader.next()?))
        } else {
            None
        };
        let (step, occurrence, key) = (reader.next()?, reader.next()?, reader.next()?);
        let value = match flags & 7 {
            0 => Value::F64(f64::from_bits(reader.next()?)),
            1 => Value::I64(reader.next()?),
            2 => Value::Bool(reader.next::<[u8; 1]>()? == [1]),
            3 => Value::Str(reader.next()?),
            4 => Value::Json(reader.next()?),
            _ => return None,
        };
        Some((
            Self {
                row,
                time,
                step,
                occurrence,
                key,
                value,
            },
            reader.at,
        ))
    }

    fn heap_bytes(&self) -> usize {
        match &self.value {
            Value::Str(text) | Value::Json(text) => text.capacity(),
            _ => 0,
        }
    }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn next<T: Record>(&mut self) -> Option<T> {
        let (value, taken) = T::decode(self.input.get(self.at..)?)?;
        self.at += taken;
        Some(value)
    }
}

/// Gives the batches of sorted points.
struct Rows {
    sorted: Sorted<Point, Compare>,
    /// The first point of the next group.
    ahead: Option<Point>,
    keys: Vec<SeriesKey>,
    /// The points of the present group, by occurrence.
    group: Option<std::iter::Peekable<Sorted<Point, Compare>>>,
    options: SorterOptions,
    splitter: RowSplitter,
    ready: VecDeque<PointBatch>,
    /// The number of the next derived row.
    next_row: u64,
    ended: bool,
}

impl Iterator for Rows {
    type Item = Result<PointBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            if self.ended {
                return None;
            }
            match self.advance() {
                Ok(batches) => self.ready.extend(batches),
                Err(e) => {
                    self.ended = true;
                    return Some(Err(e));
                }
            }
        }
    }
}

impl Rows {
    /// Makes one row.
    fn advance(&mut self) -> Result<Vec<PointBatch>> {
        if self
            .group
            .as_mut()
            .is_none_or(|group| group.peek().is_none())
        {
            self.group = self.next_group()?;
        }
        let Some(group) = &mut self.group else {
            self.ended = true;
            return Ok(self.splitter.take());
        };
        let Some(first) = group.next() else {
            return Ok(Vec::new());
        };
        let first = first.doing(DOING)?;
        let row = match first.row {
            Some(row) => row,
            None if self.next_row > MAX_ROW => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!("{DOING}: a row is beyond {MAX_ROW}"),
                ));
            }
            None => self.next_row,
        };
        self.next_row = row + 1;
        let key = |key: u32| {
            let key = usize::try_from(key).ok().and_then(|key| self.keys.get(key));
            key.cloned()
                .ok_or_else(|| corrupt(format!("{DOING}: a temporary file is damaged")))
        };
        let occurrence = first.occurrence;
        let (step, time) = (first.step, first.time);
        let mut values = vec![(key(first.key)?, first.value)];
        while let Some(point) = group
            .next_if(|p| p.as_ref().is_ok_and(|p| p.occurrence == occurrence))
            .transpose()
            .doing(DOING)?
        {
            values.push((key(point.key)?, point.value));
        }
        self.splitter.push(HistoryRow {
            row,
            step,
            time,
            values,
        })
    }

    /// The points with the next place, each with its occurrence.
    fn next_group(&mut self) -> Result<Option<std::iter::Peekable<Sorted<Point, Compare>>>> {
        let first = match self.ahead.take() {
            Some(point) => Some(point),
            None => self.sorted.next().transpose().doing(DOING)?,
        };
        let Some(first) = first else { return Ok(None) };
        let mut group = Sorter::new(self.options.clone(), Point::cmp_occurrence as Compare);
        let mut last = (first.key, 0);
        group.push(first.clone()).doing(DOING)?;
        while let Some(mut point) = self.sorted.next().transpose().doing(DOING)? {
            if !point.same_group(&first) {
                self.ahead = Some(point);
                break;
            }
            last = if point.key == last.0 {
                (last.0, last.1 + 1)
            } else {
                (point.key, 0)
            };
            point.occurrence = last.1;
            group.push(point).doing(DOING)?;
        }
        Ok(Some(group.finish().doing(DOING)?.peekable()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tracker_model::{BatchBuilder, RowMerger};

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<f64>().prop_map(Value::F64),
            any::<i64>().prop_map(Value::I64),
            any::<bool>().prop_map(Value::Bool),
            ".*".prop_map(Value::Str),
            ".*".prop_map(Value::Json),
        ]
    }

    proptest! {
        #[test]
        fn records_round_trip(row: Option<u64>, ms: Option<i64>, step: i64, key: u32, value in value()) {
            let time = ms.map(|ms| Timestamp::from_parts(ms, 7));
            let point = Point { row, time, step, occurrence: 3, key, value };
            let mut bytes = Vec::new();
            point.encode(&mut bytes);
            let len = bytes.len();
            bytes.extend_from_slice(b"rest");
            let (read, taken) = Point::decode(&bytes).unwrap();
            prop_assert_eq!(taken, len);
            prop_assert_eq!(format!("{read:?}"), format!("{point:?}"));
            prop_assert!(Point::decode(&bytes[..len - 1]).is_none());
        }

        /// The sort agrees with the reference.
        #[test]
        fn rows_are_those_of_the_reference(
            points in proptest::collection::vec((0u8..4, any::<bool>(), 0i64..3, proptest::option::of(0i64..3)), 0..60)
        ) {
            let mut next_row = 0;
            let mut series: std::collections::BTreeMap<u8, Vec<PointBatch>> = Default::default();
            let mut builders: std::collections::BTreeMap<u8, BatchBuilder> = Default::default();
            for (i, (key, numbered, step, ms)) in points.into_iter().enumerate() {
                next_row += u64::from(i % 2 == 0);
                let builder = builders.entry(key).or_insert_with(|| BatchBuilder::new(format!("k{key}").into()));
                // Every point of a row of its own, or the rows of a series would not ascend.
                let row = numbered.then_some(next_row * 60 + i as u64);
                let value = Value::I64(i64::try_from(i).unwrap());
                series.entry(key).or_default().extend(builder.push(row, step, ms.map(Timestamp::from_millis), value));
            }
            for (key, mut builder) in builders {
                series.entry(key).or_default().extend(builder.take());
            }
            let batches: Vec<PointBatch> = series.into_values().flatten().collect();
            let dir = std::env::temp_dir();
            let read = |points| {
                let batches = Box::new(batches.clone().into_iter().map(Ok));
                let mut merger = RowMerger::new();
                let mut rows = Vec::new();
                for batch in by_rows(batches, points, &dir).unwrap() {
                    merger.push(batch.unwrap()).unwrap();
                    rows.extend(std::iter::from_fn(|| merger.next_row()));
                }
                merger.end();
                rows.extend(std::iter::from_fn(|| merger.next_row()));
                rows
            };
            prop_assert_eq!(read(IN_MEMORY + 1), group_rows(batches.clone()).unwrap());
            prop_assert_eq!(read(0), group_rows(batches.clone()).unwrap());
        }
    }
}
