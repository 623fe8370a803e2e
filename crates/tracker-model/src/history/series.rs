use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{PointBatch, SeriesDigest, Value, ValueKind};
use crate::Timestamp;

/// The name of a series, such as `train/loss`. Any text, the empty one too.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeriesKey(Arc<str>);

impl SeriesKey {
    /// The name of a series.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self(key.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for SeriesKey {
    fn from(key: T) -> Self {
        Self(Arc::from(key.as_ref()))
    }
}

impl Borrow<str> for SeriesKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// The kinds of value that a series holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueKinds(u8);

impl ValueKinds {
    /// All kinds.
    pub fn all() -> Self {
        use ValueKind::{Bool, F64, I64, Json, Str};
        [F64, I64, Bool, Str, Json].into_iter().collect()
    }

    /// Adds a kind.
    pub fn insert(&mut self, kind: ValueKind) {
        self.0 |= 1 << (kind as u8);
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether the kind is in the set.
    pub fn contains(self, kind: ValueKind) -> bool {
        self.0 & (1 << (kind as u8)) != 0
    }
}

impl FromIterator<ValueKind> for ValueKinds {
    fn from_iter<I: IntoIterator<Item = ValueKind>>(kinds: I) -> Self {
        let mut all = Self::default();
        kinds.into_iter().for_each(|kind| all.insert(kind));
        all
    }
}

/// What is known of a series without reading it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeriesInfo {
    /// The name.
    pub key: SeriesKey,
    /// How many points it has.
    pub count: u64,
    /// The kinds of value in it.
    pub kinds: ValueKinds,
    /// Whether its points have row numbers.
    pub rows: bool,
    /// The least and the greatest step.
    pub steps: Option<(i64, i64)>,
    /// The earliest and the latest time.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The least and the greatest number, NaN aside.
    pub range: Option<(f64, f64)>,
    /// The last value in order of logging.
    pub last: Option<Value>,
    /// The digest of all points in order, where the tracker knows it.
    pub digest: Option<SeriesDigest>,
}

impl SeriesInfo {
    /// A series without points.
    pub fn new(key: SeriesKey) -> Self {
        Self {
            key,
            count: 0,
            kinds: ValueKinds::default(),
            rows: false,
            steps: None,
            times: None,
            range: None,
            last: None,
            digest: None,
        }
    }

    /// Takes account of the next points; the digest is the caller's affair.
    pub fn observe(&mut self, batch: &PointBatch) {
        fn widen<T: Copy>(
            range: &mut Option<(T, T)>,
            low: T,
            high: T,
            less: impl Fn(&T, &T) -> bool,
        ) {
            let (a, b) = range.unwrap_or((low, high));
            *range = Some((
                if less(&low, &a) { low } else { a },
                if less(&b, &high) { high } else { b },
            ));
        }
        if batch.is_empty() {
            return;
        }
        self.count += batch.len() as u64;
        self.kinds.insert(batch.values.kind());
        self.rows |= batch.rows.is_some();
        if let (Some(low), Some(high)) = (batch.steps.iter().min(), batch.steps.iter().max()) {
            widen(&mut self.steps, *low, *high, |a, b| a < b);
        }
        if let Some(times) = &batch.times {
            let at = |i: usize| times.get(i);
            let low = (0..batch.len()).map(at).min();
            let high = (0..batch.len()).map(at).max();
            if let (Some(low), Some(high)) = (low, high) {
                widen(&mut self.times, low, high, |a, b| a < b);
            }
        }
        if let Some((low, high)) = batch.values.range() {
            widen(&mut self.range, low, high, |a, b| a < b);
        }
        self.last = batch.values.get(batch.len() - 1);
    }

    /// Puts what is known of a later part of the same series behind this part; the digest is lost.
    pub fn extend(&mut self, later: &Self) {
        if later.count == 0 {
            return;
        }
        self.count += later.count;
        self.kinds.extend(later.kinds);
        self.rows |= later.rows;
        self.steps = merge(self.steps, later.steps);
        self.times = merge(self.times, later.times);
        self.range = merge(self.range, later.range);
        self.last = later.last.clone();
        self.digest = None;
    }
}

fn merge<T: PartialOrd + Copy>(a: Option<(T, T)>, b: Option<(T, T)>) -> Option<(T, T)> {
    match (a, b) {
        (Some((a0, a1)), Some((b0, b1))) => {
            Some((if b0 < a0 { b0 } else { a0 }, if b1 > a1 { b1 } else { a1 }))
        }
        (a, b) => a.or(b),
    }
}
