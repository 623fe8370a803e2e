//! The columns of a segment, the same in every file.

use std::sync::{Arc, LazyLock};

use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt32Array, UInt64Array, types::Int32Type,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use tracker_model::{PointBatch, Result, SeriesKey, ValueKind, Values};

use super::index::Shape;
use crate::error::Doing;

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
    pub(in crate::history) const ROW: usize = 1;
    pub(in crate::history) const STEP: usize = 2;
    pub(in crate::history) const TIME: usize = 3;
    pub(in crate::history) const TIME_NS: usize = 4;
    pub(in crate::history) const VALUE: usize = 5;
    pub(in crate::history) const INT: usize = 6;
    pub(in crate::history) const BOOL: usize = 7;
    pub(in crate::history) const TEXT: usize = 8;
    pub(in crate::history) const JSON: usize = 9;
}

/// The most lines of a row group.
pub(super) const MAX_GROUP: usize = 512 << 10;

/// What is known of a segment when it begins: its first points.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outlook {
    pub(crate) shape: Shape,
    /// Bytes of the keys of all series.
    pub(crate) key_bytes: usize,
}

/// Keys of fewer bytes together are small without compression: each is there once.
const FEW_KEY_BYTES: usize = 1024;

/// How a segment is encoded. Points of another kind may come later: columns that were to be empty
/// or small are then only larger than they need be. Those of texts are not left to that.
pub(super) fn properties(outlook: Outlook) -> Result<WriterProperties> {
    let Outlook { shape, key_bytes } = outlook;
    let level = ZstdLevel::try_new(1).doing("set up the compression of histories")?;
    let column = |name: &str| ColumnPath::from(name);
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("trackway ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(MAX_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_enabled(false)
        .set_column_encoding(column("value"), Encoding::BYTE_STREAM_SPLIT);
    for name in ["key", "text", "json"] {
        builder = builder.set_column_dictionary_enabled(column(name), true);
    }
    for name in ["key", "step"] {
        builder = builder.set_column_statistics_enabled(column(name), EnabledStatistics::Page);
    }
    for name in ["row", "step", "time", "time_ns", "int"] {
        builder = builder.set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    // To set up the compression of a column costs as much as to encode hundreds of points.
    for (name, worth) in [
        ("key", key_bytes >= FEW_KEY_BYTES),
        ("row", shape.rows),
        ("time_ns", shape.sub_ns),
        ("int", shape.kinds.contains(ValueKind::I64)),
        ("bool", shape.kinds.contains(ValueKind::Bool)),
    ] {
        if !worth {
            builder = builder.set_column_compression(column(name), Compression::UNCOMPRESSED);
        }
    }
    Ok(builder.build())
}

/// Points that become one record batch.
#[derive(Default)]
pub(super) struct Columns {
    keys: Vec<SeriesKey>,
    key: Vec<i32>,
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
    /// Adds values to a column of `len` lines.
    fn extend(&mut self, len: usize, values: impl ExactSizeIterator<Item = T>) {
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

    /// Adds the points of a batch from `start` up to, not including, `end`.
    pub(super) fn push(&mut self, batch: &PointBatch, start: usize, end: usize) {
        fn cut<T>(v: &[T], start: usize, end: usize) -> &[T] {
            v.get(start..end.min(v.len())).unwrap_or_default()
        }
        if self.keys.last() != Some(&batch.key) {
            self.keys.push(batch.key.clone());
        }
        let len = self.len();
        let n = end - start;
        self.key.resize(
            len + n,
            i32::try_from(self.keys.len() - 1).unwrap_or(i32::MAX),
        );
        self.step.extend_from_slice(cut(&batch.steps, start, end));
        if let Some(rows) = &batch.rows {
            self.row.extend(len, cut(rows, start, end).iter().copied());
        }
        if let Some(times) = &batch.times {
            self.time
                .extend(len, cut(&times.ms, start, end).iter().copied());
            if let Some(sub) = &times.sub_ns {
                self.time_ns
                    .extend(len, cut(sub, start, end).iter().copied());
            }
        }
        match &batch.values {
            Values::F64(v) => self.value.extend(len, cut(v, start, end).iter().copied()),
            Values::I64(v) => self.int.extend(len, cut(v, start, end).iter().copied()),
            Values::Bool(v) => self.bool.extend(len, cut(v, start, end).iter().copied()),
            Values::Str(v) => self.text.extend(len, cut(v, start, end).iter().cloned()),
            Values::Json(v) => self.json.extend(len, cut(v, start, end).iter().cloned()),
        }
    }

    /// The points as a record batch; none are left.
    pub(super) fn take(&mut self) -> Result<RecordBatch> {
        let n = self.len();
        let keys =
            StringArray::from_iter_values(self.keys.drain(..).map(|k| k.as_str().to_owned()));
        let key = std::mem::take(&mut self.key);
        let doing = "put points into columns";
        let key = DictionaryArray::<Int32Type>::try_new(key.into(), Arc::new(keys))
            .map_err(parquet::errors::ParquetError::from)
            .doing(doing)?;
        macro_rules! column {
            ($field:ident, $at:expr, $array:ident) => {
                match self.$field.take(n) {
                    None => arrow_array::new_null_array(SCHEMA.field($at).data_type(), n),
                    Some((values, None)) => Arc::new($array::from(values)) as ArrayRef,
                    Some((values, Some(present))) => {
                        let gaps = present.into_iter().zip(values).map(|(p, v)| p.then_some(v));
                        Arc::new(gaps.collect::<$array>()) as ArrayRef
                    }
                }
            };
        }
        let time = match self.time.take(n) {
            None => arrow_array::new_null_array(SCHEMA.field(at::TIME).data_type(), n),
            Some((values, None)) => {
                Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC"))
            }
            Some((values, Some(present))) => {
                let gaps = present.into_iter().zip(values).map(|(p, v)| p.then_some(v));
                Arc::new(
                    gaps.collect::<TimestampMillisecondArray>()
                        .with_timezone("UTC"),
                )
            }
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(key),
            column!(row, at::ROW, UInt64Array),
            Arc::new(Int64Array::from(std::mem::take(&mut self.step))),
            time,
            column!(time_ns, at::TIME_NS, UInt32Array),
            column!(value, at::VALUE, Float64Array),
            column!(int, at::INT, Int64Array),
            column!(bool, at::BOOL, BooleanArray),
            column!(text, at::TEXT, StringArray),
            column!(json, at::JSON, StringArray),
        ];
        RecordBatch::try_new(Arc::clone(&SCHEMA), columns)
            .map_err(parquet::errors::ParquetError::from)
            .doing(doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_not_compressed() {
        let compressed = |key_bytes| {
            let outlook = Outlook {
                shape: Shape::default(),
                key_bytes,
            };
            let properties = properties(outlook).unwrap();
            ["key", "int", "value"].map(|column| {
                properties.compression(&ColumnPath::from(column)) != Compression::UNCOMPRESSED
            })
        };
        assert_eq!(compressed(80), [false, false, true]);
        assert_eq!(compressed(4000), [true, false, true]);
    }
}
