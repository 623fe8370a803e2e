//! How the files of histories are encoded, the same for all of them.

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock},
};

use arrow_schema::Schema;
use parquet::{
    arrow::{
        ArrowSchemaConverter,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory},
    },
    basic::{Compression, Encoding, ZstdLevel},
    errors::{ParquetError, Result},
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr},
        writer::SerializedFileWriter,
    },
    schema::types::{ColumnPath, TypePtr},
};
use tracker_model::Error;

use super::columns::SCHEMA;
use crate::error::unexpected;

static FORMAT: LazyLock<Result<Format>> = LazyLock::new(Format::new);

/// What makes files and the encoders of their columns.
pub(super) struct Format {
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    /// For each column.
    encoders: Vec<Encoders>,
}

/// What makes the encoders of one column.
struct Encoders {
    compressed: ArrowRowGroupWriterFactory,
    plain: ArrowRowGroupWriterFactory,
}

impl Format {
    pub(super) fn get() -> Result<&'static Self, Error> {
        let format = FORMAT.as_ref();
        format.map_err(|e| unexpected(format!("set up the encoding of histories: {e}")))
    }

    fn new() -> Result<Self> {
        let compressed = Arc::new(properties(Compression::ZSTD(ZstdLevel::default())));
        let plain = Arc::new(properties(Compression::UNCOMPRESSED));
        let columns = SCHEMA.fields().iter();
        let encoders = columns.map(|field| {
            let alone = Schema::new(vec![Arc::clone(field)]);
            Ok(Encoders {
                compressed: encoders(&alone, &compressed)?,
                plain: encoders(&alone, &plain)?,
            })
        });
        Ok(Self {
            encoders: encoders.collect::<Result<_>>()?,
            schema: ArrowSchemaConverter::new()
                .convert(&SCHEMA)?
                .root_schema_ptr(),
            properties: compressed,
        })
    }

    /// A file.
    pub(super) fn file<W: Write + Send>(&self, to: W) -> Result<SerializedFileWriter<W>> {
        SerializedFileWriter::new(to, Arc::clone(&self.schema), Arc::clone(&self.properties))
    }

    /// An encoder of a column of a row group.
    pub(super) fn encoder(&self, column: usize, compressed: bool) -> Result<ArrowColumnWriter> {
        let encoders = self.encoders.get(column);
        let encoders = encoders.map(|e| if compressed { &e.compressed } else { &e.plain });
        encoders
            .map(|e| e.create_column_writers(0))
            .transpose()?
            .and_then(|mut one| one.pop())
            .ok_or_else(|| ParquetError::General(format!("there is no column {column}")))
    }
}

/// What makes encoders of the one column of a schema. The crate makes those of all columns of a
/// file at once, and to set up an encoder costs as much as to encode hundreds of points.
fn encoders(
    column: &Schema,
    properties: &WriterPropertiesPtr,
) -> Result<ArrowRowGroupWriterFactory> {
    let schema = ArrowSchemaConverter::new()
        .convert(column)?
        .root_schema_ptr();
    let file = SerializedFileWriter::new(io::sink(), schema, Arc::clone(properties))?;
    Ok(ArrowRowGroupWriterFactory::new(
        &file,
        Arc::new(column.clone()),
    ))
}

fn properties(compression: Compression) -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("trackway ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_statistics_enabled(column("step"), EnabledStatistics::Page)
        .set_dictionary_enabled(false)
        .set_column_encoding(column("value"), Encoding::BYTE_STREAM_SPLIT);
    for name in ["text", "json"] {
        builder = builder.set_column_dictionary_enabled(column(name), true);
    }
    for name in ["row", "step", "time", "time_ns", "int"] {
        builder = builder.set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    builder.build()
}
