//! The live tail of a history: what was appended and is not sealed yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use serde::{Deserialize, Serialize};
use tracker_model::{PointBatch, Result, SeriesHasher, SeriesInfo, SeriesKey, Times, Values};

use super::{Buffer, View, join::push_joined};
use crate::pack::{pack, unpack};

const WHAT: &str = "the tail of a history";

/// The points of one call, as the catalog has them.
#[derive(Debug, Clone)]
pub(crate) struct TailChunk {
    pub(crate) id: i64,
    pub(crate) batches: Vec<PointBatch>,
}

/// The stored form of a batch; only ever changed under a new number of the form.
#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    rows: Option<Vec<u64>>,
    steps: Vec<i64>,
    times: Option<(Vec<i64>, Option<Vec<u32>>)>,
    values: Stored,
}

#[derive(Serialize, Deserialize)]
enum Stored {
    F64(Vec<f64>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Str(Vec<String>),
    Json(Vec<String>),
}

pub(crate) fn encode_tail(batches: Vec<PointBatch>) -> Result<Vec<u8>> {
    let record = |b: PointBatch| Record {
        key: b.key.as_str().to_owned(),
        rows: b.rows,
        steps: b.steps,
        times: b.times.map(|t| (t.ms, t.sub_ns)),
        values: match b.values {
            Values::F64(v) => Stored::F64(v),
            Values::I64(v) => Stored::I64(v),
            Values::Bool(v) => Stored::Bool(v),
            Values::Str(v) => Stored::Str(v),
            Values::Json(v) => Stored::Json(v),
        },
    };
    pack(WHAT, &batches.into_iter().map(record).collect::<Vec<_>>())
}

pub(crate) fn decode_tail(bytes: &[u8]) -> Result<Vec<PointBatch>> {
    let records: Vec<Record> = unpack(WHAT, bytes)?;
    let batch = |r: Record| {
        let batch = PointBatch {
            key: SeriesKey::new(r.key),
            rows: r.rows,
            steps: r.steps,
            times: r.times.map(|(ms, sub_ns)| Times { ms, sub_ns }),
            values: match r.values {
                Stored::F64(v) => Values::F64(v),
                Stored::I64(v) => Values::I64(v),
                Stored::Bool(v) => Values::Bool(v),
                Stored::Str(v) => Values::Str(v),
                Stored::Json(v) => Values::Json(v),
            },
        };
        batch
            .check()
            .map_err(|e| crate::error::corrupt(format!("{WHAT} is damaged: {}", e.message())))?;
        Ok(batch)
    };
    records.into_iter().map(batch).collect()
}

/// The points of a tail by series, in few batches, each with its index in the series.
pub(crate) fn by_series(chunks: Vec<TailChunk>, view: &View) -> Buffer {
    let mut out = Buffer::new();
    for batch in chunks.into_iter().flat_map(|chunk| chunk.batches) {
        let known = out.entry(batch.key.clone()).or_default();
        let at = match known.last() {
            Some((at, last)) => at + last.len() as u64,
            None => view.series.get(&batch.key).map_or(0, |s| s.info.count),
        };
        push_joined(known, at, batch);
    }
    out
}

/// Adds to what is known of the sealed series what the tail has. The digest of a series that is
/// partly sealed is not known until all of it is.
pub(crate) fn observe(infos: &mut BTreeMap<SeriesKey, SeriesInfo>, tail: &Buffer) {
    for (key, batches) in tail {
        let info = infos
            .entry(key.clone())
            .or_insert_with(|| SeriesInfo::new(key.clone()));
        let mut hasher = (info.count == 0).then(SeriesHasher::default);
        for (_, batch) in batches {
            info.observe(batch);
            if let Some(hasher) = &mut hasher {
                hasher.update(batch);
            }
        }
        info.digest = hasher.map(|mut h| h.digest());
    }
}

/// The points of a tail that a query asks for.
pub(crate) fn select(
    tail: Buffer,
    keys: Option<&BTreeSet<SeriesKey>>,
    indices: &Range<u64>,
) -> Vec<PointBatch> {
    let wanted = tail
        .into_iter()
        .filter(|(key, _)| keys.is_none_or(|keys| keys.contains(key)));
    let cut = |(at, batch): (u64, PointBatch)| {
        let place = |index: u64| usize::try_from(index.saturating_sub(at)).unwrap_or(usize::MAX);
        let part = match (place(indices.start), place(indices.end)) {
            (0, end) if end >= batch.len() => batch,
            (start, end) => batch.slice(start, end),
        };
        (!part.is_empty()).then_some(part)
    };
    wanted
        .flat_map(|(_, batches)| batches)
        .filter_map(cut)
        .collect()
}
