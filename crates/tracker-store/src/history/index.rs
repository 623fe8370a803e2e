//! What a segment says of its contents, kept in the catalog, so that listing series reads no file.

use serde::{Deserialize, Serialize};
use tracker_model::{
    PointBatch, Result, SeriesDigest, SeriesInfo, SeriesKey, Timestamp, Value, ValueKinds,
};

use crate::{
    error::corrupt,
    pack::{pack, unpack},
};

/// A last value that is longer stays in the file alone.
const MAX_LAST: usize = 1024;

/// Consecutive lines of a segment that are consecutive points of one series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// The place of the first line in the file.
    pub(crate) line: u64,
    /// How many lines.
    pub(crate) count: u64,
    /// The index in the series of the first point. What was there from here on is replaced.
    pub(crate) from: u64,
    /// Which columns these lines use.
    pub(crate) shape: Shape,
    /// How the points of the series follow each other, up to the end of this part.
    pub(crate) course: Course,
    /// Whether [`SeriesInfo::last`] is missing below because it is long.
    pub(crate) long_last: bool,
    /// The whole series, up to the end of this part.
    pub(crate) info: SeriesInfo,
}

impl Part {
    pub(crate) fn key(&self) -> &SeriesKey {
        &self.info.key
    }
}

/// How the points of a series follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Course {
    /// The greatest row.
    pub(crate) last_row: Option<u64>,
    /// Whether some points have no row.
    unnumbered: bool,
    /// Whether a point is earlier than the one before it, or has the same time and a lesser step.
    falls: bool,
    /// The time (milliseconds, nanoseconds below) and the step of the last point.
    last: Option<(Option<(i64, u32)>, i64)>,
}

impl Course {
    /// Takes account of the next points.
    pub(crate) fn observe(&mut self, batch: &PointBatch) {
        match batch.rows.as_ref() {
            Some(rows) => self.last_row = self.last_row.max(rows.last().copied()),
            None => self.unnumbered |= !batch.is_empty(),
        }
        if self.falls {
            return;
        }
        let times = batch.times.as_ref();
        for (i, step) in batch.steps.iter().enumerate() {
            let place = Some((
                times
                    .map(|t| t.get(i))
                    .map(|t| (t.as_millis(), t.sub_nanos())),
                *step,
            ));
            self.falls |= place < self.last;
            self.last = place;
        }
    }

    /// Whether every point has a row.
    pub(crate) fn is_numbered(&self) -> bool {
        !self.unnumbered
    }

    /// Whether no point has a row, and they are in order of time and step.
    pub(crate) fn is_derivable(&self) -> bool {
        self.last_row.is_none() && !self.falls
    }
}

/// The columns that some points use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) kinds: ValueKinds,
    pub(crate) rows: bool,
    pub(crate) times: bool,
    pub(crate) sub_ns: bool,
}

impl Shape {
    pub(crate) fn extend(&mut self, other: Self) {
        self.kinds.extend(other.kinds);
        self.rows |= other.rows;
        self.times |= other.times;
        self.sub_ns |= other.sub_ns;
    }
}

/// The stored form; only ever extended under a new number of the form.
#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    line: u64,
    count: u64,
    from: u64,
    shape: Shape,
    course: Course,
    total: u64,
    kinds: ValueKinds,
    rows: bool,
    steps: Option<(i64, i64)>,
    times: Option<((i64, u32), (i64, u32))>,
    range: Option<(f64, f64)>,
    last: Last,
    digest: Option<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
enum Last {
    None,
    Long,
    F64(f64),
    I64(i64),
    Bool(bool),
    Str(String),
    Json(String),
}

const WHAT: &str = "the index of a history";

pub(crate) fn encode(parts: &[Part]) -> Result<Vec<u8>> {
    pack(WHAT, &parts.iter().map(to_record).collect::<Vec<_>>())
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Part>> {
    let records: Vec<Record> = unpack(WHAT, bytes)?;
    records.into_iter().map(from_record).collect()
}

fn to_record(part: &Part) -> Record {
    let time = |t: Timestamp| (t.as_millis(), t.sub_nanos());
    let info = &part.info;
    Record {
        key: info.key.as_str().to_owned(),
        line: part.line,
        count: part.count,
        from: part.from,
        shape: part.shape,
        course: part.course,
        total: info.count,
        kinds: info.kinds,
        rows: info.rows,
        steps: info.steps,
        times: info.times.map(|(a, b)| (time(a), time(b))),
        range: info.range,
        last: match &info.last {
            None if part.long_last => Last::Long,
            None => Last::None,
            Some(Value::F64(x)) => Last::F64(*x),
            Some(Value::I64(x)) => Last::I64(*x),
            Some(Value::Bool(x)) => Last::Bool(*x),
            Some(Value::Str(x) | Value::Json(x)) if x.len() > MAX_LAST => Last::Long,
            Some(Value::Str(x)) => Last::Str(x.clone()),
            Some(Value::Json(x)) => Last::Json(x.clone()),
        },
        digest: info.digest.map(|digest| *digest.as_bytes()),
    }
}

fn from_record(record: Record) -> Result<Part> {
    let ends = [
        record.line.checked_add(record.count),
        record.from.checked_add(record.count),
    ];
    if ends
        .iter()
        .any(|end| end.is_none_or(|end| end > i64::MAX.cast_unsigned()))
    {
        return Err(corrupt("the index of a history holds impossible numbers"));
    }
    let time = |(ms, ns): (i64, u32)| Timestamp::from_parts(ms, ns);
    let mut info = SeriesInfo::new(SeriesKey::new(record.key));
    info.count = record.total;
    info.kinds = record.kinds;
    info.rows = record.rows;
    info.steps = record.steps;
    info.times = record.times.map(|(a, b)| (time(a), time(b)));
    info.range = record.range;
    info.digest = record.digest.map(SeriesDigest::from);
    let long_last = matches!(record.last, Last::Long);
    info.last = match record.last {
        Last::None | Last::Long => None,
        Last::F64(x) => Some(Value::F64(x)),
        Last::I64(x) => Some(Value::I64(x)),
        Last::Bool(x) => Some(Value::Bool(x)),
        Last::Str(x) => Some(Value::Str(x)),
        Last::Json(x) => Some(Value::Json(x)),
    };
    Ok(Part {
        line: record.line,
        count: record.count,
        from: record.from,
        shape: record.shape,
        course: record.course,
        long_last,
        info,
    })
}

pub(crate) fn shape_of(batch: &PointBatch) -> Shape {
    let mut kinds = ValueKinds::default();
    kinds.insert(batch.values.kind());
    Shape {
        kinds,
        rows: batch.rows.is_some(),
        times: batch.times.is_some(),
        sub_ns: batch.times.as_ref().is_some_and(|t| t.sub_ns.is_some()),
    }
}
