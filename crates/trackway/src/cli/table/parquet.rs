use std::{io::Write, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{
        BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder,
        TimestampNanosecondBuilder,
    },
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};

use super::{Cell, ColumnKind, Table, TableColumn, kind::changed};
use crate::cli::failure::{Exit, Failure, Result};

/// Cells that are collected before they are encoded.
const BATCH_CELLS: usize = 256 << 10;
/// Bytes of text that are collected before they are encoded.
const BATCH_BYTES: usize = 8 << 20;
/// Encoded bytes of a row group, about.
const GROUP_BYTES: usize = 32 << 20;
/// Rows of a row group.
const GROUP_ROWS: usize = 1 << 20;

/// A Parquet file, zstd, in row groups of some megabytes.
pub(crate) struct ParquetTable {
    writer: ArrowWriter<Box<dyn Write + Send>>,
    schema: Arc<Schema>,
    builders: Vec<Builder>,
    rows: usize,
    bytes: usize,
}

enum Builder {
    F64(Float64Builder),
    I64(Int64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Millis(TimestampMillisecondBuilder),
    Nanos(TimestampNanosecondBuilder),
}

impl ParquetTable {
    /// An empty table.
    pub(crate) fn new(to: Box<dyn Write + Send>, columns: &[TableColumn]) -> Result<Self> {
        let fields: Vec<Field> = columns
            .iter()
            .map(|c| Field::new(&c.name, data_type(c.kind), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let writer = ArrowWriter::try_new(to, Arc::clone(&schema), Some(properties(columns)))
            .map_err(|e| failed(&e))?;
        let builders = columns.iter().map(|c| Builder::new(c.kind)).collect();
        Ok(Self {
            writer,
            schema,
            builders,
            rows: 0,
            bytes: 0,
        })
    }

    fn batch(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let arrays = self.builders.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|e| Failure::new(Exit::Failed, format!("write Parquet: {e}")))?;
        (self.rows, self.bytes) = (0, 0);
        self.writer.write(&batch).map_err(|e| failed(&e))?;
        if self.writer.in_progress_size() >= GROUP_BYTES
            || self.writer.memory_size() >= 4 * GROUP_BYTES
        {
            self.writer.flush().map_err(|e| failed(&e))?;
        }
        Ok(())
    }
}

impl Table for ParquetTable {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<()> {
        for (cell, builder) in cells.iter().zip(&mut self.builders) {
            if let Cell::Text(text) = cell {
                self.bytes += text.len();
            }
            builder.push(cell)?;
        }
        self.rows += 1;
        let full = self.rows * self.builders.len() >= BATCH_CELLS || self.bytes >= BATCH_BYTES;
        if full { self.batch() } else { Ok(()) }
    }

    fn end(mut self: Box<Self>) -> Result<Box<dyn Write + Send>> {
        self.batch()?;
        self.writer.into_inner().map_err(|e| failed(&e))
    }
}

impl Builder {
    fn new(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::F64 => Self::F64(Float64Builder::new()),
            ColumnKind::I64 => Self::I64(Int64Builder::new()),
            ColumnKind::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnKind::Text => Self::Text(StringBuilder::new()),
            ColumnKind::Time { nanos: true } | ColumnKind::Seconds { nanos: true } => {
                Self::Nanos(TimestampNanosecondBuilder::new().with_timezone("UTC"))
            }
            ColumnKind::Time { nanos: false } | ColumnKind::Seconds { nanos: false } => {
                Self::Millis(TimestampMillisecondBuilder::new().with_timezone("UTC"))
            }
        }
    }

    fn push(&mut self, cell: &Cell<'_>) -> Result<()> {
        match (self, cell) {
            (Self::F64(b), Cell::F64(x)) => b.append_value(*x),
            (Self::I64(b), Cell::I64(n)) => b.append_value(*n),
            (Self::Bool(b), Cell::Bool(x)) => b.append_value(*x),
            (Self::Text(b), Cell::Text(text)) => b.append_value(text),
            (Self::Nanos(b), Cell::Time(t)) => {
                b.append_value(i64::try_from(t.as_nanos()).map_err(|_| changed())?)
            }
            (Self::Millis(b), Cell::Time(t)) => b.append_value(t.as_millis()),
            (Self::F64(b), Cell::Missing) => b.append_null(),
            (Self::I64(b), Cell::Missing) => b.append_null(),
            (Self::Bool(b), Cell::Missing) => b.append_null(),
            (Self::Text(b), Cell::Missing) => b.append_null(),
            (Self::Nanos(b), Cell::Missing) => b.append_null(),
            (Self::Millis(b), Cell::Missing) => b.append_null(),
            _ => return Err(changed()),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::F64(b) => Arc::new(b.finish()),
            Self::I64(b) => Arc::new(b.finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Nanos(b) => Arc::new(b.finish()),
            Self::Millis(b) => Arc::new(b.finish()),
        }
    }
}

/// How the columns are encoded. Measured numbers are seldom the same: to look for equal ones costs
/// more than all else, and their bytes by place compress better than they do.
fn properties(columns: &[TableColumn]) -> WriterProperties {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_created_by(concat!("trackway ", env!("CARGO_PKG_VERSION")).to_owned());
    let numbers = columns.iter().filter_map(|column| {
        let encoding = match column.kind {
            ColumnKind::F64 => Encoding::BYTE_STREAM_SPLIT,
            ColumnKind::I64 | ColumnKind::Time { .. } | ColumnKind::Seconds { .. } => {
                Encoding::DELTA_BINARY_PACKED
            }
            ColumnKind::Bool | ColumnKind::Text => return None,
        };
        Some((ColumnPath::new(vec![column.name.clone()]), encoding))
    });
    numbers
        .fold(properties, |properties, (path, encoding)| {
            properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, encoding)
        })
        .build()
}

fn data_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::F64 => DataType::Float64,
        ColumnKind::I64 => DataType::Int64,
        ColumnKind::Bool => DataType::Boolean,
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Time { nanos } | ColumnKind::Seconds { nanos } => {
            let unit = if nanos {
                TimeUnit::Nanosecond
            } else {
                TimeUnit::Millisecond
            };
            DataType::Timestamp(unit, Some("UTC".into()))
        }
    }
}

fn failed(e: &ParquetError) -> Failure {
    if let ParquetError::External(source) = e
        && let Some(e) = source.downcast_ref::<std::io::Error>()
    {
        return Failure::io("write Parquet", e);
    }
    Failure::new(Exit::Failed, format!("write Parquet: {e}"))
}
