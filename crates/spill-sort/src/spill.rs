//! Sorted runs in temporary files.
//!
//! A run is a sequence of blocks; a block is a header and the records one after another. The
//! blocks are the unit of reading, so that a run that is read holds one block in memory.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use crate::Record;

/// Bytes of the payload, number of records, checksum of the payload: each eight bytes.
const HEADER: usize = 24;

/// An unlinked temporary file that runs are appended to.
#[derive(Debug)]
pub(crate) struct SpillFile {
    file: File,
    length: u64,
}

impl SpillFile {
    pub(crate) fn create(dir: Option<&Path>) -> io::Result<Self> {
        let (made, place) = match dir {
            Some(dir) => (tempfile::tempfile_in(dir), dir.to_path_buf()),
            None => (tempfile::tempfile(), std::env::temp_dir()),
        };
        let file = made.map_err(|error| {
            let message = format!(
                "create a temporary file for sorting in {}: {error}",
                place.display()
            );
            io::Error::new(error.kind(), message)
        })?;
        Ok(Self { file, length: 0 })
    }

    /// Writes records that are in order as one run.
    pub(crate) fn write_run<T: Record>(
        &mut self,
        records: impl Iterator<Item = io::Result<T>>,
        block_bytes: usize,
    ) -> io::Result<RunExtent> {
        let begin = self.length;
        let mut largest_block = 0;
        let mut block = vec![0; HEADER];
        let mut count = 0_u64;
        for record in records {
            record?.encode(&mut block);
            count += 1;
            if block.len() >= block_bytes {
                largest_block = largest_block.max(block.len());
                self.write_block(&mut block, count)?;
                count = 0;
            }
        }
        if count > 0 {
            largest_block = largest_block.max(block.len());
            self.write_block(&mut block, count)?;
        }
        Ok(RunExtent {
            begin,
            end: self.length,
            largest_block,
        })
    }

    /// Writes a block whose payload follows `HEADER` bytes of room, and empties it.
    fn write_block(&mut self, block: &mut Vec<u8>, count: u64) -> io::Result<()> {
        let (header, payload) = block.split_at_mut(HEADER);
        header[..8].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        header[8..16].copy_from_slice(&count.to_le_bytes());
        header[16..].copy_from_slice(&checksum(payload).to_le_bytes());
        self.file.write_all(block).map_err(|error| {
            let message = format!(
                "write {} bytes of sorted records to a temporary file: {error}",
                block.len()
            );
            io::Error::new(error.kind(), message)
        })?;
        self.length += block.len() as u64;
        block.truncate(HEADER);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn over(file: File) -> Self {
        Self { file, length: 0 }
    }

    #[cfg(test)]
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// Where a run lies in its file, and the memory that reading it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunExtent {
    begin: u64,
    end: u64,
    largest_block: usize,
}

/// A run that can be read.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    file: Arc<SpillFile>,
    extent: RunExtent,
}

impl Run {
    pub(crate) fn new(file: Arc<SpillFile>, extent: RunExtent) -> Self {
        Self { file, extent }
    }

    /// Bytes of memory that a reader of this run holds.
    pub(crate) fn read_bytes(&self) -> usize {
        self.extent.largest_block
    }

    pub(crate) fn read<T: Record>(self) -> RunReader<T> {
        RunReader {
            next_block: self.extent.begin,
            run: self,
            block: Vec::new(),
            at: 0,
            left: 0,
            record: PhantomData,
        }
    }
}

/// Reads a run block by block.
#[derive(Debug)]
pub(crate) struct RunReader<T> {
    run: Run,
    next_block: u64,
    block: Vec<u8>,
    at: usize,
    left: u64,
    record: PhantomData<fn() -> T>,
}

impl<T: Record> RunReader<T> {
    pub(crate) fn next(&mut self) -> io::Result<Option<T>> {
        while self.left == 0 {
            if self.next_block >= self.run.extent.end {
                return Ok(None);
            }
            self.read_block()?;
        }
        let input = self.block.get(self.at..).unwrap_or_default();
        let (record, taken) = T::decode(input)
            .filter(|(_, taken)| *taken <= input.len())
            .ok_or_else(|| self.damaged("a record cannot be decoded"))?;
        self.at += taken;
        self.left -= 1;
        Ok(Some(record))
    }

    fn read_block(&mut self) -> io::Result<()> {
        let RunExtent {
            end, largest_block, ..
        } = self.run.extent;
        let mut file = &self.run.file.file;
        file.seek(SeekFrom::Start(self.next_block))?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header)
            .map_err(|error| self.unreadable(&error))?;
        let field = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let (length, count, expected) = (field(0), field(8), field(16));
        let block_end = self
            .next_block
            .saturating_add(HEADER as u64)
            .saturating_add(length);
        if block_end > end || length > largest_block as u64 {
            return Err(self.damaged("a block is longer than was written"));
        }
        // Not longer than a block that was in memory once, so it fits the type.
        self.block.resize(length as usize, 0);
        file.read_exact(&mut self.block)
            .map_err(|error| self.unreadable(&error))?;
        if checksum(&self.block) != expected {
            return Err(self.damaged("the checksum of a block differs"));
        }
        self.next_block = block_end;
        self.at = 0;
        self.left = count;
        Ok(())
    }

    fn damaged(&self, what: &str) -> io::Error {
        let message = format!(
            "temporary file of a sort is damaged near byte {}: {what}",
            self.next_block
        );
        io::Error::new(io::ErrorKind::InvalidData, message)
    }

    fn unreadable(&self, error: &io::Error) -> io::Error {
        let message = format!(
            "read sorted records from a temporary file at byte {}: {error}",
            self.next_block
        );
        io::Error::new(error.kind(), message)
    }
}

/// A fast sum that notices damage; it is no protection against intent.
fn checksum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut words = bytes.chunks_exact(8);
    let mut sum = bytes.len() as u64;
    for word in words.by_ref() {
        let mut array = [0; 8];
        array.copy_from_slice(word);
        sum = (sum.rotate_left(29) ^ u64::from_le_bytes(array)).wrapping_mul(FACTOR);
    }
    for byte in words.remainder() {
        sum = (sum.rotate_left(29) ^ u64::from(*byte)).wrapping_mul(FACTOR);
    }
    sum ^ (sum >> 32)
}

#[cfg(test)]
mod tests;
