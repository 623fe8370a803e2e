//! The columns of a segment, the same in every file.

use std::sync::{Arc, LazyLock};

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
    UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use tracker_model::{MAX_BATCH_POINTS, PointBatch, SeriesKey, Values};

/// A line for each point: the series, the row, the step, the time with the nanoseconds below its
/// millisecond, and the value in the column of its kind.
pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = || DataType::Utf8;
    let key = DataType::Dictionary(Box::new(DataType::Int32), Box::new(text()));
    Arc::new(Schema::new(vec![
        Field::new("key", key, false),
        Field::new("row", DataType::UInt64, true),
        Field::new("step", DataType::Int64, false),
        Field::new(
            "time",
            DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            true,
        ),
        Field::new("time_ns", DataType::UInt32, true),
        Field::new("value", DataType::Float64, true),
        Field::new("int", DataType::Int64, true),
        Field::new("bool", DataType::Boolean, true),
        Field::new("text", text(), true),
        Field::new("json", text(), true),
    ]))
});

/// Places of the columns.
pub(super) mod at {
    pub(in crate::history) const KEY: usize = 0;
    pub(in crate::history) const ROW: usize = 1;
    pub(in crate::history) const STEP: usize = 2;
    pub(in crate::history) const TIME: usize = 3;
    pub(in crate::history) const TIME_NS: usize = 4;
    pub(in crate::history) const VALUE: usize = 5;
    pub(in crate::history) const INT: usize = 6;
    pub(in crate::history) const BOOL: usize = 7;
    pub(in crate::history) const TEXT: usize = 8;
    pub(in crate::history) const JSON: usize = 9;
    /// How many there are.
    pub(in crate::history) const COUNT: usize = 10;
}

/// Steps or times that go up evenly but in one place of so many are small without compression.
const EVEN: usize = 16;

/// Whether numbers go up evenly nearly everywhere: encoded as differences they take next to nothing.
fn is_even(numbers: &[i64]) -> bool {
    let differences = || {
        let pairs = numbers.iter().zip(numbers.iter().skip(1));
        pairs.map(|(a, b)| b.wrapping_sub(*a))
    };
    let changes = differences()
        .zip(differences().skip(1))
        .filter(|(a, b)| a != b);
    changes.count() * EVEN <= numbers.len()
}

/// Points as columns, ready to be encoded.
pub(super) struct Lines {
    /// The series, one after the other, with the number of their points here.
    pub(super) keys: Vec<(SeriesKey, usize)>,
    pub(super) count: usize,
    /// In order of the schema; `None` where no point has a value, and for the keys.
    pub(super) columns: [Option<Column>; at::COUNT],
}

/// A column with values.
pub(super) struct Column {
    pub(super) values: ArrayRef,
    /// The encoding alone makes the values small.
    pub(super) even: bool,
}

/// Points that are gathered, to be encoded together.
#[derive(Default)]
pub(super) struct Columns {
    /// Points that are to come, as far as is known.
    expected: usize,
    keys: Vec<(SeriesKey, usize)>,
    row: Nullable<u64>,
    step: Vec<i64>,
    time: Nullable<i64>,
    time_ns: Nullable<u32>,
    value: Nullable<f64>,
    int: Nullable<i64>,
    bool: Nullable<bool>,
    text: Nullable<String>,
    json: Nullable<String>,
}

/// A column that may have gaps; one of gaps alone takes no memory.
struct Nullable<T> {
    values: Vec<T>,
    /// For each value; `None` while there is no gap.
    present: Option<Vec<bool>>,
}

impl<T> Default for Nullable<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            present: None,
        }
    }
}

impl<T: Clone + Default> Nullable<T> {
    /// Adds values to a column of `len` lines, for which there shall be so much room.
    fn extend(&mut self, len: usize, room: usize, values: impl ExactSizeIterator<Item = T>) {
        if self.values.is_empty() {
            self.values.reserve_exact(room);
        }
        self.pad(len);
        if let Some(present) = &mut self.present {
            present.resize(len + values.len(), true);
        }
        self.values.extend(values);
    }

    /// Fills the column with gaps up to `len`.
    fn pad(&mut self, len: usize) {
        if self.values.len() < len {
            let present = self
                .present
                .get_or_insert_with(|| vec![true; self.values.len()]);
            present.resize(len, false);
            self.values.resize(len, T::default());
        }
    }

    /// The column, if it has values at all.
    fn take(&mut self, len: usize) -> Option<(Vec<T>, Option<Vec<bool>>)> {
        if self.values.is_empty() {
            return None;
        }
        self.pad(len);
        Some((std::mem::take(&mut self.values), self.present.take()))
    }
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.step.len()
    }

    /// Says that so many more points come: growing little by little costs copies.
    pub(super) fn expect(&mut self, points: usize) {
        self.expected += points;
    }

    /// Adds the points of a batch from `start` up to, not including, `end`.
    pub(super) fn push(&mut self, batch: &PointBatch, start: usize, end: usize) {
        fn cut<T>(v: &[T], start: usize, end: usize) -> &[T] {
            v.get(start..end.min(v.len())).unwrap_or_default()
        }
        let (len, n) = (self.len(), end - start);
        match self.keys.last_mut() {
            Some((key, count)) if *key == batch.key => *count += n,
            _ => self.keys.push((batch.key.clone(), n)),
        }
        let room = len + self.expected.max(n);
        let room = room.min(MAX_BATCH_POINTS);
        self.expected = self.expected.saturating_sub(n);
        if self.step.is_empty() {
            self.step.reserve_exact(room);
        }
        self.step.extend_from_slice(cut(&batch.steps, start, end));
        if let Some(rows) = &batch.rows {
            self.row
                .extend(len, room, cut(rows, start, end).iter().copied());
        }
        if let Some(times) = &batch.times {
            self.time
                .extend(len, room, cut(&times.ms, start, end).iter().copied());
            if let Some(sub) = &times.sub_ns {
                self.time_ns
                    .extend(len, room, cut(sub, start, end).iter().copied());
            }
        }
        match &batch.values {
            Values::F64(v) => self
                .value
                .extend(len, room, cut(v, start, end).iter().copied()),
            Values::I64(v) => self
                .int
                .extend(len, room, cut(v, start, end).iter().copied()),
            Values::Bool(v) => self
                .bool
                .extend(len, room, cut(v, start, end).iter().copied()),
            Values::Str(v) => self
                .text
                .extend(len, room, cut(v, start, end).iter().cloned()),
            Values::Json(v) => self
                .json
                .extend(len, room, cut(v, start, end).iter().cloned()),
        }
    }

    /// The points as columns; none are left.
    pub(super) fn take(&mut self) -> Lines {
        let n = self.len();
        // Of more points the encoding of differences takes what compression saves.
        let may_be_even = n < MAX_BATCH_POINTS;
        let even = |numbers: &[i64]| may_be_even && is_even(numbers);
        macro_rules! column {
            ($field:ident, $array:ident) => {
                self.$field.take(n).map(|(values, present)| Column {
                    values: match present {
                        None => Arc::new($array::from(values)) as ArrayRef,
                        Some(present) => {
                            let gaps = present.into_iter().zip(values);
                            let gaps = gaps.map(|(p, v)| p.then_some(v));
                            Arc::new(gaps.collect::<$array>())
                        }
                    },
                    even: false,
                })
            };
        }
        let steps = std::mem::take(&mut self.step);
        let step = Column {
            even: even(&steps),
            values: Arc::new(Int64Array::from(steps)),
        };
        let time = self.time.take(n).map(|(values, present)| Column {
            even: present.is_none() && even(&values),
            values: Arc::new(
                match present {
                    None => TimestampMillisecondArray::from(values),
                    Some(present) => {
                        let gaps = present.into_iter().zip(values);
                        gaps.map(|(p, v)| p.then_some(v)).collect()
                    }
                }
                .with_timezone("UTC"),
            ),
        });
        Lines {
            keys: std::mem::take(&mut self.keys),
            count: n,
            columns: [
                None,
                column!(row, UInt64Array),
                Some(step),
                time,
                column!(time_ns, UInt32Array),
                column!(value, Float64Array),
                column!(int, Int64Array),
                column!(bool, BooleanArray),
                column!(text, StringArray),
                column!(json, StringArray),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_go_up_evenly() {
        let steps: Vec<i64> = (0..1000)
            .chain(0..1000)
            .chain((0..3000).step_by(3))
            .collect();
        assert!(is_even(&steps));
        assert!(is_even(&[i64::MIN, i64::MAX]));
        let squares: Vec<i64> = (0..1000).map(|i| i * i).collect();
        assert!(!is_even(&squares));
    }
}
