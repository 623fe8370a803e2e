//! Columns become points again.

use arrow_array::{
    Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt32Array, UInt64Array,
};
use tracker_model::{PointBatch, Result, SeriesKey, Times, ValueKind, Values};

use crate::error::corrupt;

/// The columns of a record batch, those that were read.
struct Parts<'a> {
    row: Option<&'a UInt64Array>,
    step: &'a Int64Array,
    time: Option<&'a TimestampMillisecondArray>,
    time_ns: Option<&'a UInt32Array>,
    value: Option<&'a Float64Array>,
    int: Option<&'a Int64Array>,
    bool: Option<&'a BooleanArray>,
    text: Option<&'a StringArray>,
    json: Option<&'a StringArray>,
}

/// What tells batches apart: the kind of the value, whether there is a row, and a time.
type Form = (ValueKind, bool, bool);

/// Makes batches of the lines of a record batch, all of one series; a new one where the form of
/// the points changes.
pub(super) fn batches(
    key: &SeriesKey,
    lines: &RecordBatch,
    out: &mut Vec<PointBatch>,
) -> Result<()> {
    let parts = Parts::of(lines)?;
    let n = lines.num_rows();
    let Some(first) = parts.form(0)? else {
        return Ok(());
    };
    if parts.uniform(first, n) {
        out.push(parts.batch(key, first, 0, n)?);
        return Ok(());
    }
    let (mut start, mut form) = (0, first);
    for i in 1..n {
        let next = parts.form(i)?.unwrap_or(form);
        if next != form {
            out.push(parts.batch(key, form, start, i)?);
            (start, form) = (i, next);
        }
    }
    out.push(parts.batch(key, form, start, n)?);
    Ok(())
}

fn column<'a, A: 'static>(lines: &'a RecordBatch, name: &str) -> Result<Option<&'a A>> {
    let Some(column) = lines.column_by_name(name) else {
        return Ok(None);
    };
    let typed = column.as_any().downcast_ref::<A>();
    typed.map(Some).ok_or_else(|| {
        corrupt(format!(
            "a history file has the column {name} of another type"
        ))
    })
}

impl<'a> Parts<'a> {
    fn of(lines: &'a RecordBatch) -> Result<Self> {
        Ok(Self {
            row: column(lines, "row")?,
            step: column(lines, "step")?
                .ok_or_else(|| corrupt("a history file has no column step"))?,
            time: column(lines, "time")?,
            time_ns: column(lines, "time_ns")?,
            value: column(lines, "value")?,
            int: column(lines, "int")?,
            bool: column(lines, "bool")?,
            text: column(lines, "text")?,
            json: column(lines, "json")?,
        })
    }

    fn form(&self, i: usize) -> Result<Option<Form>> {
        fn has<A: Array>(column: Option<&A>, i: usize) -> bool {
            column.is_some_and(|c| i < c.len() && c.is_valid(i))
        }
        if i >= self.step.len() {
            return Ok(None);
        }
        let kind = if has(self.value, i) {
            ValueKind::F64
        } else if has(self.int, i) {
            ValueKind::I64
        } else if has(self.bool, i) {
            ValueKind::Bool
        } else if has(self.text, i) {
            ValueKind::Str
        } else if has(self.json, i) {
            ValueKind::Json
        } else {
            return Err(corrupt("a history file has a point without a value"));
        };
        Ok(Some((kind, has(self.row, i), has(self.time, i))))
    }

    /// Whether all lines have the form of the first one, judged by the columns as wholes.
    fn uniform(&self, (kind, row, time): Form, n: usize) -> bool {
        fn full<A: Array>(column: Option<&A>, wanted: bool, n: usize) -> bool {
            column.map_or(!wanted, |c| c.null_count() == if wanted { 0 } else { n })
        }
        full(self.row, row, n)
            && full(self.time, time, n)
            && full(self.value, kind == ValueKind::F64, n)
            && full(self.int, kind == ValueKind::I64, n)
            && full(self.bool, kind == ValueKind::Bool, n)
            && full(self.text, kind == ValueKind::Str, n)
            && full(self.json, kind == ValueKind::Json, n)
    }

    fn batch(
        &self,
        key: &SeriesKey,
        (kind, row, time): Form,
        start: usize,
        end: usize,
    ) -> Result<PointBatch> {
        let none = || corrupt("a history file lacks a column");
        let n = end - start;
        let values = match kind {
            ValueKind::F64 => Values::F64(
                self.value
                    .ok_or_else(none)?
                    .values()
                    .get(start..end)
                    .unwrap_or_default()
                    .to_vec(),
            ),
            ValueKind::I64 => Values::I64(
                self.int
                    .ok_or_else(none)?
                    .values()
                    .get(start..end)
                    .unwrap_or_default()
                    .to_vec(),
            ),
            ValueKind::Bool => {
                let column = self.bool.ok_or_else(none)?;
                Values::Bool((start..end).map(|i| column.value(i)).collect())
            }
            ValueKind::Str => Values::Str(texts(self.text.ok_or_else(none)?, start, end)),
            ValueKind::Json => Values::Json(texts(self.json.ok_or_else(none)?, start, end)),
        };
        let rows = if row {
            Some(self.row.ok_or_else(none)?.values().slice(start, n).to_vec())
        } else {
            None
        };
        let times = if time {
            let ms = self
                .time
                .ok_or_else(none)?
                .values()
                .slice(start, n)
                .to_vec();
            let sub_ns = self.time_ns.map(|c| {
                (start..end)
                    .map(|i| {
                        if c.is_valid(i) {
                            c.value(i).min(999_999)
                        } else {
                            0
                        }
                    })
                    .collect::<Vec<_>>()
            });
            Some(Times {
                ms,
                sub_ns: sub_ns.filter(|sub| sub.iter().any(|ns| *ns != 0)),
            })
        } else {
            None
        };
        Ok(PointBatch {
            key: key.clone(),
            rows,
            steps: self.step.values().slice(start, n).to_vec(),
            times,
            values,
        })
    }
}

fn texts(column: &StringArray, start: usize, end: usize) -> Vec<String> {
    (start..end).map(|i| column.value(i).to_owned()).collect()
}
