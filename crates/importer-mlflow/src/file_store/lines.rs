//! Lines of large files, in bounded memory.

use std::{
    fs::File,
    io::{self, Read},
};

/// The longest line, with its end.
const BLOCK: usize = 512 * 1024;
/// Bytes that are read at once, while the lines are shorter.
const FIRST: usize = 64 * 1024;

/// A line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// With a line end, which is left out.
    Whole(&'a [u8]),
    /// The last one, without a line end.
    Cut,
    /// Longer than a line may be.
    TooLong,
}

/// Reads lines; one after the other of many files, with the same buffer.
#[derive(Debug)]
pub(super) struct LineReader {
    buffer: Vec<u8>,
}

impl LineReader {
    /// With an empty buffer.
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; FIRST],
        }
    }

    /// Gives each line of a file to `visit`.
    ///
    /// # Errors
    /// Those of the file in the outer result, those of `visit` in the inner one.
    pub(super) fn read<E>(
        &mut self,
        file: &mut File,
        mut visit: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        let mut kept = 0;
        let mut skipping = false;
        loop {
            let free = self.buffer.get_mut(kept..).unwrap_or_default();
            let read = match file.read(free) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if read == 0 {
                break;
            }
            let filled = kept + read;
            let bytes = self.buffer.get(..filled).unwrap_or_default();
            let mut start = 0;
            while let Some(length) = bytes
                .get(start..)
                .and_then(|rest| memchr::memchr(b'\n', rest))
            {
                let line = bytes.get(start..start + length).unwrap_or_default();
                start += length + 1;
                let line = if std::mem::take(&mut skipping) {
                    Line::TooLong
                } else {
                    Line::Whole(line.strip_suffix(b"\r").unwrap_or(line))
                };
                if let Err(stop) = visit(line) {
                    return Ok(Err(stop));
                }
            }
            kept = filled - start;
            if skipping || kept == BLOCK {
                skipping = true;
                kept = 0;
            } else {
                self.buffer.copy_within(start..filled, 0);
            }
            if kept == self.buffer.len() {
                self.buffer.resize((2 * kept).min(BLOCK), 0);
            }
        }
        if kept > 0 || skipping {
            return Ok(visit(if skipping { Line::TooLong } else { Line::Cut }));
        }
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use proptest::prelude::*;

    use super::*;

    fn lines(content: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        let mut out = Vec::new();
        let done: Result<(), ()> = LineReader::new()
            .read(&mut file, |line| {
                out.push(match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::Cut | Line::TooLong => None,
                });
                Ok(())
            })
            .unwrap();
        done.unwrap();
        out
    }

    #[test]
    fn long_lines_are_skipped() {
        for length in [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
            let mut content = b"first\n".to_vec();
            content.extend(std::iter::repeat_n(b'x', length));
            content.extend(b"\nlast\r\n");
            let lines = lines(&content);
            assert_eq!(lines.len(), 3, "{length}");
            assert_eq!(lines[0].as_deref(), Some(&b"first"[..]));
            assert_eq!(lines[1].is_some(), length < BLOCK, "{length}");
            assert_eq!(lines[2].as_deref(), Some(&b"last"[..]));
        }
        assert_eq!(lines(&vec![b'x'; BLOCK * 2]), [None]);
    }

    proptest! {
        #[test]
        fn as_split(content in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a')], 0..200)) {
            let mut want: Vec<Option<Vec<u8>>> = content.split(|b| *b == b'\n').map(|l| Some(l.to_vec())).collect();
            let last = want.pop().unwrap().unwrap();
            if !last.is_empty() {
                want.push(None);
            }
            prop_assert_eq!(lines(&content), want);
        }
    }
}
