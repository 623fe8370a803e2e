//! Column chunks that need no encoder: that of the keys, of which a series has the same in all its
//! lines, and those without values.

use std::collections::HashMap;

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, Type, ZstdLevel},
    column::{
        page::{CompressedPage, Page, PageWriteSpec, PageWriter},
        writer::ColumnCloseResult,
    },
    data_type::ByteArray,
    errors::{ParquetError, Result},
    file::{
        metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder},
        statistics::Statistics,
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};
use tracker_model::SeriesKey;

/// Lines of a page of keys.
const PAGE: usize = 20_000;
/// Keys of fewer bytes together are small without compression: each is there once.
const FEW_KEY_BYTES: usize = 1024;

/// The bytes of a chunk, and what is to be said of it.
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// The chunk of series that come one after the other with so many lines: a dictionary of the keys,
/// and for each series its place in it with the number of lines.
pub(super) fn of_keys(column: ColumnDescPtr, series: &[(SeriesKey, usize)]) -> Result<Chunk> {
    let mut places: HashMap<&SeriesKey, usize> = HashMap::new();
    let mut dictionary = Vec::new();
    for (key, _) in series {
        let next = places.len();
        places.entry(key).or_insert_with(|| {
            let text = key.as_str().as_bytes();
            dictionary.extend_from_slice(&(text.len() as u32).to_le_bytes());
            dictionary.extend_from_slice(text);
            next
        });
    }
    let width = usize::BITS - places.len().saturating_sub(1).leading_zeros();
    let compressed = dictionary.len() >= FEW_KEY_BYTES;
    let mut pages = Pages::new(column, compressed);
    let count = int(places.len())?;
    pages.dictionary(dictionary, count)?;
    let mut index = ColumnIndexBuilder::new(Type::BYTE_ARRAY);
    for piece in pages_of(series) {
        let mut page = vec![width.to_le_bytes()[0]];
        for (key, lines) in &piece {
            let place = places.get(*key).copied().unwrap_or_default();
            push_run(&mut page, *lines, place, width);
        }
        let bound = |key: Option<&SeriesKey>| key.map_or("", SeriesKey::as_str).as_bytes().to_vec();
        let keys = || piece.iter().map(|(key, _)| *key);
        index.append(false, bound(keys().min()), bound(keys().max()), 0, None);
        let lines = piece.iter().map(|(_, lines)| lines).sum();
        pages.data(page, lines, Encoding::RLE_DICTIONARY)?;
    }
    let bound = |key: Option<&&SeriesKey>| key.map(|k| ByteArray::from(k.as_str()));
    let (least, greatest) = (bound(places.keys().min()), bound(places.keys().max()));
    let statistics = Statistics::byte_array(least, greatest, None, Some(0), false);
    let mut chunk = pages.end(statistics)?;
    chunk.close.column_index = Some(index.build()?);
    Ok(chunk)
}

/// The series of each page, with their lines in it.
fn pages_of(series: &[(SeriesKey, usize)]) -> Vec<Vec<(&SeriesKey, usize)>> {
    let mut pages: Vec<Vec<_>> = Vec::new();
    let mut room = 0;
    for (key, lines) in series {
        let mut left = *lines;
        while left > 0 {
            if room == 0 {
                pages.push(Vec::new());
                room = PAGE;
            }
            let taken = left.min(room);
            if let Some(page) = pages.last_mut() {
                page.push((key, taken));
            }
            left -= taken;
            room -= taken;
        }
    }
    pages
}

/// The chunk of so many lines, none of which has a value.
pub(super) fn without_values(column: ColumnDescPtr, lines: usize) -> Result<Chunk> {
    let mut levels = Vec::new();
    push_run(&mut levels, lines, 0, 1);
    let mut page = (levels.len() as u32).to_le_bytes().to_vec();
    page.append(&mut levels);
    let gaps = Some(lines as u64);
    let statistics = match column.physical_type() {
        Type::BOOLEAN => Statistics::boolean(None, None, None, gaps, false),
        Type::INT32 => Statistics::int32(None, None, None, gaps, false),
        Type::INT64 => Statistics::int64(None, None, None, gaps, false),
        Type::DOUBLE => Statistics::double(None, None, None, gaps, false),
        Type::BYTE_ARRAY => Statistics::byte_array(None, None, None, gaps, false),
        other => return Err(ParquetError::NYI(format!("gaps of the type {other}"))),
    };
    let mut pages = Pages::new(column, false);
    pages.data(page, lines, Encoding::PLAIN)?;
    pages.end(statistics)
}

/// So many times the same number, in the hybrid of runs and packed bits.
fn push_run(out: &mut Vec<u8>, count: usize, number: usize, width: u32) {
    let mut header = (count as u64) << 1;
    while header >= 128 {
        out.push(header as u8 | 128);
        header >>= 7;
    }
    out.push(header as u8);
    let bytes = number.to_le_bytes();
    out.extend(bytes.iter().take(width.div_ceil(8) as usize));
}

fn int<T: TryFrom<usize>>(n: usize) -> Result<T> {
    T::try_from(n).map_err(|_| ParquetError::General(format!("a page has {n} lines or bytes")))
}

/// Pages that are put one behind the other.
struct Pages {
    column: ColumnDescPtr,
    compression: Compression,
    sink: TrackedWrite<Vec<u8>>,
    offsets: OffsetIndexBuilder,
    lines: usize,
    uncompressed: usize,
    dictionary_at: Option<u64>,
    data_at: Option<u64>,
    encodings: Vec<Encoding>,
}

impl Pages {
    fn new(column: ColumnDescPtr, compressed: bool) -> Self {
        Self {
            column,
            compression: if compressed {
                Compression::ZSTD(ZstdLevel::default())
            } else {
                Compression::UNCOMPRESSED
            },
            sink: TrackedWrite::new(Vec::new()),
            offsets: OffsetIndexBuilder::new(),
            lines: 0,
            uncompressed: 0,
            dictionary_at: None,
            data_at: None,
            encodings: vec![Encoding::PLAIN, Encoding::RLE],
        }
    }

    fn dictionary(&mut self, bytes: Vec<u8>, num_values: u32) -> Result<()> {
        let page = |buf| Page::DictionaryPage {
            buf,
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.dictionary_at = Some(self.put(bytes, page)?.offset);
        Ok(())
    }

    fn data(&mut self, bytes: Vec<u8>, lines: usize, encoding: Encoding) -> Result<()> {
        let num_values = int(lines)?;
        let page = |buf| Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let put = self.put(bytes, page)?;
        self.data_at.get_or_insert(put.offset);
        self.lines += lines;
        self.offsets.append_row_count(int(lines)?);
        self.offsets
            .append_offset_and_size(put.offset.cast_signed(), int(put.compressed_size)?);
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
        Ok(())
    }

    fn put(&mut self, bytes: Vec<u8>, page: impl FnOnce(Bytes) -> Page) -> Result<PageWriteSpec> {
        let size = bytes.len();
        let bytes = match self.compression {
            Compression::ZSTD(level) => zstd::bulk::compress(&bytes, level.compression_level())?,
            _ => bytes,
        };
        let page = CompressedPage::new(page(bytes.into()), size);
        let put = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.uncompressed += put.uncompressed_size;
        Ok(put)
    }

    fn end(self, statistics: Statistics) -> Result<Chunk> {
        let bytes = Bytes::from(self.sink.into_inner()?);
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(self.compression)
            .set_encodings(self.encodings)
            .set_total_compressed_size(int(bytes.len())?)
            .set_total_uncompressed_size(int(self.uncompressed)?)
            .set_num_values(int(self.lines)?)
            .set_data_page_offset(self.data_at.unwrap_or_default().cast_signed())
            .set_dictionary_page_offset(self.dictionary_at.map(u64::cast_signed))
            .set_statistics(statistics)
            .build()?;
        Ok(Chunk {
            close: ColumnCloseResult {
                bytes_written: bytes.len() as u64,
                rows_written: self.lines as u64,
                metadata,
                bloom_filter: None,
                column_index: None,
                offset_index: Some(self.offsets.build()),
            },
            bytes,
        })
    }
}
