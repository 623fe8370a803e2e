//! Sorting of more records than fit in memory.
//!
//! A [`Sorter`] takes records one by one, in any order, and gives them back sorted. Its memory is
//! bounded by [`SorterOptions::memory_bytes`]: what does not fit is sorted piece by piece, written
//! to unlinked temporary files and merged while it is read. As long as everything fits, no file is
//! made. The order among equal records is the order in which they were pushed.
//!
//! ```
//! use spill_sort::{Record, Sorter, SorterOptions};
//!
//! struct Line(u64, String);
//!
//! impl Record for Line {
//!     fn encode(&self, out: &mut Vec<u8>) {
//!         out.extend_from_slice(&self.0.to_le_bytes());
//!         out.extend_from_slice(&(self.1.len() as u32).to_le_bytes());
//!         out.extend_from_slice(self.1.as_bytes());
//!     }
//!
//!     fn decode(input: &[u8]) -> Option<(Self, usize)> {
//!         let (number, rest) = input.split_first_chunk()?;
//!         let (length, rest) = rest.split_first_chunk()?;
//!         let text = rest.get(..u32::from_le_bytes(*length) as usize)?;
//!         let line = Line(u64::from_le_bytes(*number), String::from_utf8(text.to_vec()).ok()?);
//!         Some((line, 12 + text.len()))
//!     }
//!
//!     fn heap_bytes(&self) -> usize {
//!         self.1.capacity()
//!     }
//! }
//!
//! let mut sorter = Sorter::new(SorterOptions::default(), |a: &Line, b: &Line| a.0.cmp(&b.0));
//! sorter.push(Line(2, "two".into()))?;
//! sorter.push(Line(1, "one".into()))?;
//! let lines: Vec<Line> = sorter.finish()?.collect::<std::io::Result<_>>()?;
//! assert_eq!(lines[0].1, "one");
//! # Ok::<(), std::io::Error>(())
//! ```

mod merge;
mod record;
mod sorter;
mod spill;

pub use record::Record;
pub use sorter::{Sorted, Sorter, SorterOptions};
