use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{PointBatch, Times, Values};
use crate::Error;

/// The digest of a series: BLAKE3 over its points in order.
///
/// A point is written as one byte of flags (the kind of its value in bits 0 to 2, then 8 if it has
/// a row, 16 if it has a time, 32 if the time has nanoseconds below the millisecond), then, little
/// endian: the row (8 bytes) if any, the step (8), the milliseconds (8) if any, the nanoseconds
/// (4) if any, and the value: 8 bytes of a double (its bits) or an integer, one byte of a boolean,
/// or the length in bytes (4) and the UTF-8 text of a string or of JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SeriesDigest([u8; 32]);

impl SeriesDigest {
    /// Starts a digest.
    pub fn hasher() -> SeriesHasher {
        SeriesHasher::default()
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SeriesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SeriesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<[u8; 32]> for SeriesDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for SeriesDigest {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        let mut out = [0; 32];
        hex::decode_to_slice(s, &mut out)
            .map_err(|_| Error::invalid(format!("{s:?} is not a digest of 64 digits")))?;
        Ok(Self(out))
    }
}

impl TryFrom<String> for SeriesDigest {
    type Error = Error;
    fn try_from(s: String) -> Result<Self, Error> {
        s.parse()
    }
}

impl From<SeriesDigest> for String {
    fn from(d: SeriesDigest) -> Self {
        d.to_string()
    }
}

/// Computes a [`SeriesDigest`] batch by batch; how the points are cut into batches does not matter.
#[derive(Clone, Default)]
pub struct SeriesHasher {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    count: u64,
}

const FLUSH: usize = 64 * 1024;

/// The flag of a point that has a time.
const WITH_TIME: u8 = 1 << 4;
/// Bytes of a point that has a time in milliseconds and a double: flags, step, time and value.
const PLAIN: usize = 25;

impl SeriesHasher {
    /// The next points.
    pub fn update(&mut self, batch: &PointBatch) {
        self.update_range(batch, 0, batch.len());
    }

    /// The next points: those of the batch from `start` up to, not including, `end`.
    pub fn update_range(&mut self, batch: &PointBatch, start: usize, end: usize) {
        let kind = batch.values.kind() as u8;
        let rows = batch.rows.as_deref();
        let times = batch.times.as_ref();
        let room = end.min(batch.len()).saturating_sub(start) * PLAIN;
        self.buffer.reserve(room.min(FLUSH));
        if let (None, Some(Times { ms, sub_ns: None }), Values::F64(values)) =
            (rows, times, &batch.values)
        {
            let flags = kind | WITH_TIME;
            let points = batch.steps.iter().zip(ms).zip(values);
            for ((step, ms), value) in points.take(end).skip(start) {
                self.push_plain(flags, *step, *ms, *value);
            }
            self.count += end.min(batch.len()).saturating_sub(start) as u64;
            return;
        }
        for i in start..end.min(batch.len()) {
            let sub = times
                .and_then(|t| t.sub_ns.as_ref())
                .and_then(|s| s.get(i))
                .filter(|s| **s != 0);
            let flags = kind
                | u8::from(rows.is_some()) << 3
                | times.map_or(0, |_| WITH_TIME)
                | u8::from(sub.is_some()) << 5;
            self.buffer.push(flags);
            if let Some(row) = rows.and_then(|r| r.get(i)) {
                self.buffer.extend_from_slice(&row.to_le_bytes());
            }
            if let Some(step) = batch.steps.get(i) {
                self.buffer.extend_from_slice(&step.to_le_bytes());
            }
            if let Some(ms) = times.and_then(|t| t.ms.get(i)) {
                self.buffer.extend_from_slice(&ms.to_le_bytes());
            }
            if let Some(sub) = sub {
                self.buffer.extend_from_slice(&sub.to_le_bytes());
            }
            self.push_value(&batch.values, i);
            if self.buffer.len() >= FLUSH {
                self.flush();
            }
        }
        self.count += end.min(batch.len()).saturating_sub(start) as u64;
    }

    /// What most points are: a double at a whole millisecond.
    fn push_plain(&mut self, flags: u8, step: i64, ms: i64, value: f64) {
        let mut point = [0; PLAIN];
        let [first, rest @ ..] = &mut point;
        *first = flags;
        let numbers = [
            step.to_le_bytes(),
            ms.to_le_bytes(),
            value.to_bits().to_le_bytes(),
        ];
        rest.copy_from_slice(numbers.as_flattened());
        self.buffer.extend_from_slice(&point);
        if self.buffer.len() >= FLUSH {
            self.flush();
        }
    }

    fn push_value(&mut self, values: &Values, i: usize) {
        match values {
            Values::F64(v) => v
                .get(i)
                .into_iter()
                .for_each(|x| self.buffer.extend_from_slice(&x.to_bits().to_le_bytes())),
            Values::I64(v) => v
                .get(i)
                .into_iter()
                .for_each(|x| self.buffer.extend_from_slice(&x.to_le_bytes())),
            Values::Bool(v) => v
                .get(i)
                .into_iter()
                .for_each(|x| self.buffer.push(u8::from(*x))),
            Values::Str(v) | Values::Json(v) => v.get(i).into_iter().for_each(|x| {
                let len = u32::try_from(x.len()).unwrap_or(u32::MAX);
                self.buffer.extend_from_slice(&len.to_le_bytes());
                self.buffer.extend_from_slice(x.as_bytes());
            }),
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
    }

    /// How many points were hashed.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of the points so far; more may follow.
    pub fn digest(&mut self) -> SeriesDigest {
        self.flush();
        SeriesDigest(*self.hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for SeriesHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesHasher")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
