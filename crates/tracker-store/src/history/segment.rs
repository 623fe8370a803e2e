//! Writing one segment.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use parquet::file::writer::SerializedFileWriter;
use tracker_model::{MAX_BATCH_POINTS, PointBatch, Result};

use super::{columns::Columns, format::Format, group::RowGroup, index::Part};
use crate::{
    error::{Doing, unexpected},
    storage::{Draft, Storage},
};

/// A segment of fewer bytes lives in the catalog: it needs no file, and no flush of its own.
pub(crate) const INLINE: usize = 128 << 10;

/// A new series begins a new row group when the present one has so many lines.
const GROUP_FROM: usize = 128 << 10;
/// The most lines of a row group.
const MAX_GROUP: usize = 512 << 10;
/// Bytes of a row group after which the next one begins, whatever the series.
const GROUP_BYTES: usize = 8 << 20;

const DOING: &str = "write a history";

/// Where the bytes of a finished segment are.
#[derive(Debug)]
pub(crate) enum SegmentBody {
    Inline(Bytes),
    File(Draft),
}

/// A segment that is being written.
pub(crate) struct SegmentFile {
    file: SerializedFileWriter<Spill>,
    group: RowGroup,
    columns: Columns,
    lines: u64,
    parts: Vec<Part>,
}

impl SegmentFile {
    /// Begins a segment.
    pub(crate) fn create(storage: &Storage) -> Result<Self> {
        let spill = Spill {
            storage: storage.clone(),
            memory: Vec::new(),
            file: None,
        };
        Ok(Self {
            file: Format::get()?.file(spill).doing(DOING)?,
            group: RowGroup::default(),
            columns: Columns::default(),
            lines: 0,
            parts: Vec::new(),
        })
    }

    /// Says that the next lines belong to another series than the last ones.
    pub(crate) fn next_series(&mut self) -> Result<()> {
        if self.group.lines() + self.columns.len() >= GROUP_FROM {
            self.write_columns()?;
            self.end_group()?;
        }
        Ok(())
    }

    /// Says that so many more points come, which makes writing them cheaper.
    pub(crate) fn expect(&mut self, points: usize) {
        self.columns.expect(points);
    }

    /// Writes points as the next lines.
    pub(crate) fn write(&mut self, batch: &PointBatch) -> Result<()> {
        let n = batch.len();
        let mut start = 0;
        while start < n {
            let end = n.min(start + MAX_BATCH_POINTS - self.columns.len());
            self.columns.push(batch, start, end);
            self.lines += (end - start) as u64;
            start = end;
            if self.columns.len() >= MAX_BATCH_POINTS {
                self.write_columns()?;
            }
        }
        Ok(())
    }

    /// Says what the lines since the last part are.
    pub(crate) fn end_part(&mut self, mut part: Part) {
        part.line = self.lines - part.count;
        match self.parts.last_mut() {
            Some(last)
                if last.key() == part.key()
                    && last.from + last.count == part.from
                    && last.line + last.count == part.line =>
            {
                last.shape.extend(part.shape);
                *last = Part {
                    line: last.line,
                    from: last.from,
                    count: last.count + part.count,
                    shape: last.shape,
                    ..part
                };
            }
            _ => self.parts.push(part),
        }
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Encodes what was written so far.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.write_columns()
    }

    fn write_columns(&mut self) -> Result<()> {
        let lines = self.columns.len();
        if lines == 0 {
            return Ok(());
        }
        if self.group.lines() + lines > MAX_GROUP {
            self.end_group()?;
        }
        self.group.write(self.columns.take()).doing(DOING)?;
        if self.group.bytes() > GROUP_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        group.end(&mut self.file).doing(DOING)
    }

    /// The bytes and the parts.
    pub(crate) fn finish(mut self) -> Result<(SegmentBody, u64, Vec<Part>)> {
        self.write_columns()?;
        self.end_group()?;
        let spill = self.file.into_inner().doing(DOING)?;
        let (body, bytes) = spill.finish()?;
        Ok((body, bytes, self.parts))
    }
}

/// Bytes that are few enough for memory, or go to a file.
struct Spill {
    storage: Storage,
    memory: Vec<u8>,
    file: Option<BufWriter<DraftFile>>,
}

struct DraftFile {
    draft: Draft,
    bytes: u64,
}

impl Write for DraftFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.draft.file().write(bytes)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Spill {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            return file.write_all(bytes);
        }
        self.memory.extend_from_slice(bytes);
        if self.memory.len() >= INLINE {
            let draft = Draft::create(&self.storage).map_err(io::Error::other)?;
            let mut file = BufWriter::with_capacity(256 << 10, DraftFile { draft, bytes: 0 });
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Spill {
    fn finish(self) -> Result<(SegmentBody, u64)> {
        match self.file {
            None => {
                let bytes = self.memory.len() as u64;
                Ok((SegmentBody::Inline(self.memory.into()), bytes))
            }
            Some(file) => {
                let file = file
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)
                    .doing(DOING)?;
                if file.bytes == 0 {
                    return Err(unexpected("write a history: the file is empty"));
                }
                Ok((SegmentBody::File(file.draft), file.bytes))
            }
        }
    }
}
