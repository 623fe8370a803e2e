use serde::{Deserialize, Serialize};

use super::SeriesKey;
use crate::{Error, Result, Timestamp};

/// The most points that a batch should have. Trackers cut larger ones.
pub const MAX_BATCH_POINTS: usize = 65_536;

/// The greatest number of a row: what databases can count to.
pub const MAX_ROW: u64 = i64::MAX as u64;

/// Points of one series, in columns, in order of logging. All columns have the same length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointBatch {
    /// The series.
    pub key: SeriesKey,
    /// The row of each point; ascending, at most [`MAX_ROW`], gaps where the row does not have
    /// this key. `None` where the source does not say what was logged together.
    pub rows: Option<Vec<u64>>,
    /// The step of each point: any integer, in any order.
    pub steps: Vec<i64>,
    /// The time of each point, if the source has it.
    pub times: Option<Times>,
    /// The values.
    pub values: Values,
}

/// The times of points, UTC; see [`Timestamp`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Milliseconds since 1970, rounded down.
    pub ms: Vec<i64>,
    /// Nanoseconds since the whole millisecond, 0 to 999,999; `None` if all are 0.
    pub sub_ns: Option<Vec<u32>>,
}

impl Times {
    /// Times of whole milliseconds.
    pub fn from_millis(ms: Vec<i64>) -> Self {
        Self { ms, sub_ns: None }
    }

    /// The time of a point. Past the end, 1970.
    pub fn get(&self, i: usize) -> Timestamp {
        let sub = self
            .sub_ns
            .as_ref()
            .and_then(|s| s.get(i))
            .copied()
            .unwrap_or(0);
        Timestamp::from_parts(self.ms.get(i).copied().unwrap_or(0), sub)
    }

    /// Adds a time.
    pub fn push(&mut self, time: Timestamp) {
        if time.sub_nanos() != 0 && self.sub_ns.is_none() {
            self.sub_ns = Some(vec![0; self.ms.len()]);
        }
        self.ms.push(time.as_millis());
        if let Some(sub) = &mut self.sub_ns {
            sub.push(time.sub_nanos());
        }
    }
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum ValueKind {
    /// A double, NaN, infinities and the negative zero included.
    F64 = 0,
    /// An integer of 64 bits.
    I64 = 1,
    /// A boolean.
    Bool = 2,
    /// A string.
    Str = 3,
    /// JSON: a histogram, a media reference, a table, null…
    Json = 4,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// See [`ValueKind::F64`].
    F64(f64),
    /// See [`ValueKind::I64`].
    I64(i64),
    /// See [`ValueKind::Bool`].
    Bool(bool),
    /// See [`ValueKind::Str`].
    Str(String),
    /// See [`ValueKind::Json`]: the JSON text.
    Json(String),
}

impl Value {
    /// As JSON: non-finite doubles are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`; JSON
    /// text that does not parse is a string.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::F64(x) => serde_json::Number::from_f64(*x).map_or_else(
                || {
                    let word = if x.is_nan() {
                        "NaN"
                    } else if *x > 0.0 {
                        "Infinity"
                    } else {
                        "-Infinity"
                    };
                    serde_json::Value::String(word.to_owned())
                },
                serde_json::Value::Number,
            ),
            Self::I64(x) => (*x).into(),
            Self::Bool(x) => (*x).into(),
            Self::Str(x) => x.clone().into(),
            Self::Json(x) => serde_json::from_str(x).unwrap_or_else(|_| x.clone().into()),
        }
    }
}

/// The values of points, all of one kind. A series with several kinds comes in several batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Values {
    /// See [`ValueKind::F64`].
    F64(Vec<f64>),
    /// See [`ValueKind::I64`].
    I64(Vec<i64>),
    /// See [`ValueKind::Bool`].
    Bool(Vec<bool>),
    /// See [`ValueKind::Str`].
    Str(Vec<String>),
    /// See [`ValueKind::Json`]: JSON texts.
    Json(Vec<String>),
}

impl Values {
    /// No values of this kind.
    pub fn empty(kind: ValueKind) -> Self {
        match kind {
            ValueKind::F64 => Self::F64(Vec::new()),
            ValueKind::I64 => Self::I64(Vec::new()),
            ValueKind::Bool => Self::Bool(Vec::new()),
            ValueKind::Str => Self::Str(Vec::new()),
            ValueKind::Json => Self::Json(Vec::new()),
        }
    }

    /// The kind of all values.
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::F64(_) => ValueKind::F64,
            Self::I64(_) => ValueKind::I64,
            Self::Bool(_) => ValueKind::Bool,
            Self::Str(_) => ValueKind::Str,
            Self::Json(_) => ValueKind::Json,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F64(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::Str(v) | Self::Json(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One value.
    pub fn get(&self, i: usize) -> Option<Value> {
        Some(match self {
            Self::F64(v) => Value::F64(*v.get(i)?),
            Self::I64(v) => Value::I64(*v.get(i)?),
            Self::Bool(v) => Value::Bool(*v.get(i)?),
            Self::Str(v) => Value::Str(v.get(i)?.clone()),
            Self::Json(v) => Value::Json(v.get(i)?.clone()),
        })
    }

    /// One value as a number, if it is one.
    pub fn number(&self, i: usize) -> Option<f64> {
        match self {
            Self::F64(v) => v.get(i).copied(),
            #[allow(clippy::cast_precision_loss)]
            Self::I64(v) => v.get(i).map(|x| *x as f64),
            _ => None,
        }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// Gives the value back if it is of another kind.
    pub fn push(&mut self, value: Value) -> std::result::Result<(), Value> {
        match (self, value) {
            (Self::F64(v), Value::F64(x)) => v.push(x),
            (Self::I64(v), Value::I64(x)) => v.push(x),
            (Self::Bool(v), Value::Bool(x)) => v.push(x),
            (Self::Str(v), Value::Str(x)) | (Self::Json(v), Value::Json(x)) => v.push(x),
            (_, value) => return Err(value),
        }
        Ok(())
    }

    /// The least and the greatest number, NaN aside.
    pub fn range(&self) -> Option<(f64, f64)> {
        fn of(numbers: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
            numbers.filter(|x| !x.is_nan()).fold(None, |r, x| {
                let (low, high) = r.unwrap_or((x, x));
                Some((
                    if x < low { x } else { low },
                    if x > high { x } else { high },
                ))
            })
        }
        match self {
            Self::F64(v) => of(v.iter().copied()),
            #[allow(clippy::cast_precision_loss)]
            Self::I64(v) => of(v.iter().map(|x| *x as f64)),
            _ => None,
        }
    }

    fn slice(&self, start: usize, end: usize) -> Self {
        fn cut<T: Clone>(v: &[T], start: usize, end: usize) -> Vec<T> {
            v.get(start..end.min(v.len())).unwrap_or_default().to_vec()
        }
        match self {
            Self::F64(v) => Self::F64(cut(v, start, end)),
            Self::I64(v) => Self::I64(cut(v, start, end)),
            Self::Bool(v) => Self::Bool(cut(v, start, end)),
            Self::Str(v) => Self::Str(cut(v, start, end)),
            Self::Json(v) => Self::Json(cut(v, start, end)),
        }
    }
}

impl PointBatch {
    /// How many points it has.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The points of rows before this one, and those without a row number.
    #[must_use]
    pub fn before_row(&self, row: u64) -> Self {
        let end = match &self.rows {
            Some(rows) => rows.partition_point(|r| *r < row),
            None => self.len(),
        };
        self.slice(0, end)
    }

    /// Checks that all columns have the same length, that rows ascend up to [`MAX_ROW`], and that
    /// nanoseconds are less than a millisecond.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub fn check(&self) -> Result<()> {
        let n = self.len();
        let times = self.times.as_ref();
        if self.values.len() != n
            || self.rows.as_ref().is_some_and(|r| r.len() != n)
            || times
                .is_some_and(|t| t.ms.len() != n || t.sub_ns.as_ref().is_some_and(|s| s.len() != n))
        {
            return Err(Error::invalid(format!(
                "the columns of a batch of {:?} differ in length",
                self.key
            )));
        }
        if self
            .rows
            .as_ref()
            .is_some_and(|r| !r.is_sorted_by(|a, b| a < b))
        {
            return Err(Error::invalid(format!(
                "the rows of a batch of {:?} do not ascend",
                self.key
            )));
        }
        if self
            .rows
            .as_ref()
            .and_then(|r| r.last())
            .is_some_and(|r| *r > MAX_ROW)
        {
            return Err(Error::invalid(format!(
                "a row of a batch of {:?} is beyond {MAX_ROW}",
                self.key
            )));
        }
        if times
            .and_then(|t| t.sub_ns.as_ref())
            .is_some_and(|s| s.iter().any(|ns| *ns > 999_999))
        {
            return Err(Error::invalid(format!(
                "a time of a batch of {:?} has more than 999,999 ns",
                self.key
            )));
        }
        Ok(())
    }

    /// The points from `start` up to, not including, `end`.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let (start, end) = (
            start.min(self.len()),
            end.min(self.len()).max(start.min(self.len())),
        );
        Self {
            key: self.key.clone(),
            rows: self
                .rows
                .as_ref()
                .map(|r| r.get(start..end).unwrap_or_default().to_vec()),
            steps: self.steps.get(start..end).unwrap_or_default().to_vec(),
            times: self.times.as_ref().map(|t| Times {
                ms: t.ms.get(start..end).unwrap_or_default().to_vec(),
                sub_ns: t
                    .sub_ns
                    .as_ref()
                    .map(|s| s.get(start..end).unwrap_or_default().to_vec()),
            }),
            values: self.values.slice(start, end),
        }
    }

    /// The points for whose indices `keep` says so.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        fn pick<T: Clone>(column: &[T], kept: &[usize]) -> Vec<T> {
            kept.iter()
                .filter_map(|i| column.get(*i).cloned())
                .collect()
        }
        let kept: Vec<usize> = (0..self.len()).filter(|i| keep(*i)).collect();
        Self {
            key: self.key.clone(),
            rows: self.rows.as_ref().map(|rows| pick(rows, &kept)),
            steps: pick(&self.steps, &kept),
            times: self.times.as_ref().map(|times| Times {
                ms: pick(&times.ms, &kept),
                sub_ns: times.sub_ns.as_ref().map(|sub| pick(sub, &kept)),
            }),
            values: match &self.values {
                Values::F64(v) => Values::F64(pick(v, &kept)),
                Values::I64(v) => Values::I64(pick(v, &kept)),
                Values::Bool(v) => Values::Bool(pick(v, &kept)),
                Values::Str(v) => Values::Str(pick(v, &kept)),
                Values::Json(v) => Values::Json(pick(v, &kept)),
            },
        }
    }

    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let text = match &self.values {
            Values::Str(v) | Values::Json(v) => v.iter().map(|s| s.len() + 24).sum(),
            other => other.len() * 8,
        };
        let n = self.len();
        text + n * 8
            + self.rows.as_ref().map_or(0, |_| n * 8)
            + self.times.as_ref().map_or(0, |_| n * 8)
    }
}

/// Makes batches of points that come one by one: starts a new batch where the kind of value
/// changes, where points begin or cease to have rows or times, and at [`MAX_BATCH_POINTS`].
#[derive(Debug)]
pub struct BatchBuilder {
    key: SeriesKey,
    batch: Option<PointBatch>,
}

impl BatchBuilder {
    /// For one series.
    pub fn new(key: SeriesKey) -> Self {
        Self { key, batch: None }
    }

    /// Adds a point, and gives the batch before it if that is complete.
    pub fn push(
        &mut self,
        row: Option<u64>,
        step: i64,
        time: Option<Timestamp>,
        value: Value,
    ) -> Option<PointBatch> {
        let kind = match &value {
            Value::F64(_) => ValueKind::F64,
            Value::I64(_) => ValueKind::I64,
            Value::Bool(_) => ValueKind::Bool,
            Value::Str(_) => ValueKind::Str,
            Value::Json(_) => ValueKind::Json,
        };
        let full = self.batch.as_ref().is_some_and(|b| {
            b.values.kind() != kind
                || b.rows.is_some() != row.is_some()
                || b.times.is_some() != time.is_some()
                || b.len() >= MAX_BATCH_POINTS
        });
        let done = if full { self.batch.take() } else { None };
        let batch = self.batch.get_or_insert_with(|| PointBatch {
            key: self.key.clone(),
            rows: row.map(|_| Vec::new()),
            steps: Vec::new(),
            times: time.map(|_| Times::default()),
            values: Values::empty(kind),
        });
        batch.steps.push(step);
        if let (Some(rows), Some(row)) = (&mut batch.rows, row) {
            rows.push(row);
        }
        if let (Some(times), Some(time)) = (&mut batch.times, time) {
            times.push(time);
        }
        let pushed = batch.values.push(value);
        debug_assert!(pushed.is_ok(), "the batch has this kind");
        done
    }

    /// The points that are left.
    pub fn take(&mut self) -> Option<PointBatch> {
        self.batch.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(len: usize) -> PointBatch {
        PointBatch {
            key: "x".into(),
            rows: Some((0..len as u64).collect()),
            steps: (0..len as i64).collect(),
            times: Some(Times {
                ms: vec![1; len],
                sub_ns: Some((0..len as u32).collect()),
            }),
            values: Values::Str((0..len).map(|i| i.to_string()).collect()),
        }
    }

    #[test]
    fn parts_of_large_batches_are_whole() {
        let large = batch(2 * MAX_BATCH_POINTS + 3);
        assert_eq!(large.filter(|_| true), large);
        let odd = large.filter(|i| i % 2 == 1);
        odd.check().unwrap();
        assert_eq!(odd.len(), MAX_BATCH_POINTS + 1);
        assert_eq!(odd.values.get(70), Some(Value::Str("141".to_owned())));
        assert!(large.filter(|_| false).is_empty());
        assert_eq!(large.slice(5, 2), large.slice(0, 0));
        assert_eq!(large.slice(7, usize::MAX).len(), large.len() - 7);
    }

    #[test]
    fn a_builder_cuts_where_the_columns_change() {
        let mut builder = BatchBuilder::new("x".into());
        let time = Some(Timestamp::from_parts(1, 2));
        let mut out: Vec<PointBatch> = [
            (Some(1), None, Value::I64(1)),
            (Some(2), None, Value::I64(1)),
            (Some(3), None, Value::F64(1.0)),
            (None, None, Value::F64(1.0)),
            (None, time, Value::F64(1.0)),
            (None, time, Value::Str(String::new())),
        ]
        .into_iter()
        .filter_map(|(row, time, value)| builder.push(row, 0, time, value))
        .collect();
        out.extend(builder.take());
        assert_eq!(
            out.iter().map(PointBatch::len).collect::<Vec<_>>(),
            [2, 1, 1, 1, 1]
        );
        assert_eq!(builder.take(), None);
        let full =
            (0..=MAX_BATCH_POINTS).find_map(|_| builder.push(None, 0, None, Value::Bool(true)));
        assert_eq!(full.map(|b| b.len()), Some(MAX_BATCH_POINTS));
    }
}
