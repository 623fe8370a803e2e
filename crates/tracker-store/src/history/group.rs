//! Writing one row group.

use std::io::Write;

use arrow_array::{ArrayRef, new_null_array};
use parquet::{
    arrow::arrow_writer::{ArrowColumnWriter, compute_leaves},
    errors::{ParquetError, Result},
    file::writer::SerializedFileWriter,
};
use tracker_model::SeriesKey;

use super::{
    chunk,
    columns::{Column, Lines, SCHEMA, at},
    format::Format,
};

/// A row group that is being written. A column has an encoder from its first value on.
#[derive(Default)]
pub(super) struct RowGroup {
    keys: Vec<(SeriesKey, usize)>,
    key_bytes: usize,
    lines: usize,
    encoders: [Option<ArrowColumnWriter>; at::COUNT],
}

impl RowGroup {
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// Bytes that it will have, about.
    pub(super) fn bytes(&self) -> usize {
        let encoders = self.encoders.iter().flatten();
        let encoded = encoders.map(ArrowColumnWriter::get_estimated_total_bytes);
        self.key_bytes + encoded.sum::<usize>()
    }

    /// Encodes more lines.
    pub(super) fn write(&mut self, lines: Lines) -> Result<()> {
        let places = self.encoders.iter_mut().zip(lines.columns).enumerate();
        for (i, (encoder, column)) in places {
            let values = match (&mut *encoder, column) {
                (None, None) => continue,
                (Some(_), None) => gaps(i, lines.count),
                (Some(_), Some(column)) => column.values,
                (none, Some(Column { values, even })) => {
                    let mut new = Format::get()
                        .map_err(|e| ParquetError::External(Box::new(e)))?
                        .encoder(i, !even)?;
                    if self.lines > 0 {
                        encode(&mut new, i, &gaps(i, self.lines))?;
                    }
                    *none = Some(new);
                    values
                }
            };
            if let Some(encoder) = encoder {
                encode(encoder, i, &values)?;
            }
        }
        for (key, count) in lines.keys {
            match self.keys.last_mut() {
                Some((last, more)) if *last == key => *more += count,
                _ => {
                    self.key_bytes += key.as_str().len();
                    self.keys.push((key, count));
                }
            }
        }
        self.lines += lines.count;
        Ok(())
    }

    /// Appends it to the file, unless it is empty.
    pub(super) fn end<W: Write + Send>(self, file: &mut SerializedFileWriter<W>) -> Result<()> {
        if self.lines == 0 {
            return Ok(());
        }
        let columns = file.schema_descr().columns().to_vec();
        let mut group = file.next_row_group()?;
        for ((i, encoder), column) in self.encoders.into_iter().enumerate().zip(columns) {
            let made = match encoder {
                Some(encoder) => {
                    encoder.close()?.append_to_row_group(&mut group)?;
                    continue;
                }
                None if i == at::KEY => chunk::of_keys(column, &self.keys)?,
                None => chunk::without_values(column, self.lines)?,
            };
            group.append_column(&made.bytes, made.close)?;
        }
        group.close().map(drop)
    }
}

fn gaps(column: usize, lines: usize) -> ArrayRef {
    new_null_array(SCHEMA.field(column).data_type(), lines)
}

fn encode(encoder: &mut ArrowColumnWriter, column: usize, values: &ArrayRef) -> Result<()> {
    for leaf in compute_leaves(SCHEMA.field(column), values)? {
        encoder.write(&leaf)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        Array, StringArray,
        cast::AsArray,
        types::{Float64Type, Int64Type},
    };
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::{
        ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    };
    use parquet::file::metadata::PageIndexPolicy;
    use tracker_model::{PointBatch, Values};

    use super::*;
    use crate::history::columns::Columns;

    /// A file of one row group to which these batches were written, in so many pieces.
    fn file(pieces: &[Vec<PointBatch>]) -> Bytes {
        let mut file = Format::get().unwrap().file(Vec::new()).unwrap();
        let mut group = RowGroup::default();
        for piece in pieces {
            let mut columns = Columns::default();
            for batch in piece {
                columns.push(batch, 0, batch.len());
            }
            group.write(columns.take()).unwrap();
        }
        group.end(&mut file).unwrap();
        file.into_inner().unwrap().into()
    }

    fn batch(key: &str, steps: std::ops::Range<i64>, values: Values) -> PointBatch {
        PointBatch {
            key: key.into(),
            rows: None,
            steps: steps.collect(),
            times: None,
            values,
        }
    }

    fn numbers(key: &str, steps: std::ops::Range<i64>) -> PointBatch {
        let values = steps.clone().map(|s| s as f64 / 3.0).collect();
        batch(key, steps, Values::F64(values))
    }

    /// Reads some lines of a file, as any other program would: the keys, steps, numbers and texts.
    fn read(
        file: &Bytes,
        lines: std::ops::Range<usize>,
    ) -> Vec<(String, i64, Option<f64>, Option<String>)> {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let builder =
            ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap();
        assert_eq!(builder.metadata().num_row_groups(), 1);
        let all = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap();
        let selection = RowSelection::from_consecutive_ranges(std::iter::once(lines), all);
        let mut out = Vec::new();
        for lines in builder.with_row_selection(selection).build().unwrap() {
            let lines = lines.unwrap();
            assert_eq!(lines.num_columns(), at::COUNT);
            for other in [at::ROW, at::TIME, at::TIME_NS, at::INT, at::BOOL, at::JSON] {
                assert_eq!(lines.column(other).null_count(), lines.num_rows());
            }
            let text =
                |array: &StringArray, i| array.is_valid(i).then(|| array.value(i).to_owned());
            let keys = lines.column(at::KEY).as_string::<i32>();
            let steps = lines.column(at::STEP).as_primitive::<Int64Type>();
            let numbers = lines.column(at::VALUE).as_primitive::<Float64Type>();
            let texts = lines.column(at::TEXT).as_string::<i32>();
            for i in 0..lines.num_rows() {
                let number = numbers.is_valid(i).then(|| numbers.value(i));
                let key = text(keys, i).unwrap();
                out.push((key, steps.value(i), number, text(texts, i)));
            }
        }
        out
    }

    #[test]
    fn what_is_written_is_read() {
        let texts = Values::Str((0..3).map(|i| format!("text {i}")).collect());
        let many = (0..3000).map(|i| numbers(&format!("many/{i:05}"), 0..1));
        let pieces = [
            vec![numbers("a", 0..30_000), numbers("b", 0..7)],
            vec![
                numbers("b", 7..20_000),
                batch("words", 0..3, texts),
                numbers("a", 30_000..30_010),
            ],
            many.collect(),
        ];
        let mut want = Vec::new();
        for batch in pieces.iter().flatten() {
            for (i, step) in batch.steps.iter().enumerate() {
                let (number, text) = match &batch.values {
                    Values::F64(v) => (Some(v[i]), None),
                    Values::Str(v) => (None, Some(v[i].clone())),
                    _ => (None, None),
                };
                want.push((batch.key.to_string(), *step, number, text));
            }
        }
        let file = file(&pieces);
        assert_eq!(read(&file, 0..want.len()), want);
        for some in [
            29_998..30_020,
            39_990..40_010,
            50_000..50_020,
            51_000..51_001,
        ] {
            assert_eq!(read(&file, some.clone()), want[some]);
        }
    }

    #[test]
    fn one_series_of_even_steps_is_small() {
        let file = file(&[vec![numbers("loss", 0..1000)]]);
        assert_eq!(read(&file, 0..1000).len(), 1000);
        assert!(file.len() < 11_000, "{}", file.len());
    }
}
