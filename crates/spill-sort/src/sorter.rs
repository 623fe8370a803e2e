use std::cmp::Ordering;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Record;
use crate::merge::Merge;
use crate::spill::{Run, SpillFile};

/// Runs that are merged at once, if the memory suffices.
const MAX_FAN_IN: usize = 64;

/// How a [`Sorter`] works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SorterOptions {
    /// Upper bound of the memory for records, sorting and reading, in bytes; by default 32 MiB. A
    /// single record that is larger is held all the same.
    pub memory_bytes: usize,
    /// Where temporary files are made; by default the system's folder for them. They are
    /// unlinked: nothing is left behind, however the process ends.
    pub dir: Option<PathBuf>,
}

impl Default for SorterOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 32 << 20,
            dir: None,
        }
    }
}

impl SorterOptions {
    /// Sets [`memory_bytes`](Self::memory_bytes).
    #[must_use]
    pub fn with_memory_bytes(mut self, memory_bytes: usize) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }

    /// Sets [`dir`](Self::dir).
    #[must_use]
    pub fn with_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Half of the memory holds the records; a stable sort may take as much again.
    fn record_bytes(&self) -> usize {
        self.memory_bytes / 2
    }

    fn block_bytes(&self) -> usize {
        (self.memory_bytes / (2 * MAX_FAN_IN)).clamp(4 << 10, 256 << 10)
    }
}

/// Sorts records by a comparison, in bounded memory.
pub struct Sorter<T, F> {
    options: SorterOptions,
    compare: F,
    records: Vec<T>,
    /// Bytes that the records in memory hold on the heap.
    heap_bytes: usize,
    pushed: u64,
    spill: Option<SpillFile>,
    extents: Vec<crate::spill::RunExtent>,
}

impl<T, F> fmt::Debug for Sorter<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sorter")
            .field("options", &self.options)
            .field("pushed", &self.pushed)
            .field("runs", &self.extents.len())
            .finish_non_exhaustive()
    }
}

impl<T: Record, F: Fn(&T, &T) -> Ordering> Sorter<T, F> {
    /// A sorter without records. `compare` must be a total order, as for [`slice::sort_by`].
    pub fn new(options: SorterOptions, compare: F) -> Self {
        Self {
            options,
            compare,
            records: Vec::new(),
            heap_bytes: 0,
            pushed: 0,
            spill: None,
            extents: Vec::new(),
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When the records must be written to a temporary file and that fails, as with a full disk.
    /// The sort cannot be finished then.
    pub fn push(&mut self, record: T) -> io::Result<()> {
        let heap_bytes = record.heap_bytes();
        if !self.records.is_empty() && self.bytes_with(heap_bytes) > self.options.record_bytes() {
            self.spill_records()?;
        }
        if self.records.len() == self.records.capacity() {
            self.grow();
        }
        self.heap_bytes += heap_bytes;
        self.pushed += 1;
        self.records.push(record);
        Ok(())
    }

    /// How many records were pushed.
    pub fn len(&self) -> u64 {
        self.pushed
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.pushed == 0
    }

    /// Ends the input and begins to give the records back in order.
    ///
    /// # Errors
    /// When a temporary file cannot be written or read.
    pub fn finish(mut self) -> io::Result<Sorted<T, F>> {
        let remaining = self.pushed;
        if self.spill.is_none() {
            self.records.sort_by(&self.compare);
            return Ok(Sorted {
                state: State::Memory(self.records.into_iter()),
                remaining,
            });
        }
        self.spill_records()?;
        drop(std::mem::take(&mut self.records));
        let file = self.spill.take().map(Arc::new);
        let mut runs: Vec<Run> = file
            .into_iter()
            .flat_map(|file| {
                self.extents
                    .iter()
                    .map(move |extent| Run::new(file.clone(), *extent))
            })
            .collect();
        loop {
            let groups = self.groups(runs);
            if groups.len() <= 1 {
                let runs = groups.into_iter().flatten().collect();
                return Ok(Sorted {
                    state: State::Merge(Merge::new(runs, self.compare)?),
                    remaining,
                });
            }
            runs = self.merge_groups(groups)?;
        }
    }

    fn bytes_with(&self, more_heap_bytes: usize) -> usize {
        (self.records.len() + 1) * size_of::<T>() + self.heap_bytes + more_heap_bytes
    }

    /// Doubles the room for records, but not beyond what may be used.
    fn grow(&mut self) {
        let most = self.options.record_bytes() / size_of::<T>().max(1);
        let more = self
            .records
            .len()
            .max(64)
            .min(most.saturating_sub(self.records.len()));
        self.records.reserve_exact(more.max(1));
    }

    fn spill_records(&mut self) -> io::Result<()> {
        self.records.sort_by(&self.compare);
        let file = match &mut self.spill {
            Some(file) => file,
            none => none.insert(SpillFile::create(self.options.dir.as_deref())?),
        };
        let records = self.records.drain(..).map(Ok);
        self.extents
            .push(file.write_run(records, self.options.block_bytes())?);
        self.heap_bytes = 0;
        Ok(())
    }

    /// Neighbouring runs that can be merged at once. All but the last group have at least two, so
    /// that every pass leaves fewer.
    fn groups(&self, runs: Vec<Run>) -> Vec<Vec<Run>> {
        let mut groups: Vec<Vec<Run>> = Vec::new();
        let mut bytes = 0;
        for run in runs {
            let fits = |group: &Vec<Run>| {
                let small = bytes + run.read_bytes() <= self.options.memory_bytes;
                group.len() < 2 || (group.len() < MAX_FAN_IN && small)
            };
            match groups.last_mut().filter(|group| fits(group)) {
                Some(group) => {
                    bytes += run.read_bytes();
                    group.push(run);
                }
                None => {
                    bytes = run.read_bytes();
                    groups.push(vec![run]);
                }
            }
        }
        groups
    }

    fn merge_groups(&self, groups: Vec<Vec<Run>>) -> io::Result<Vec<Run>> {
        groups
            .into_iter()
            .map(|group| {
                // A file for each, so that the room of merged runs is given back early.
                let mut file = SpillFile::create(self.options.dir.as_deref())?;
                let mut merge = Merge::new(group, &self.compare)?;
                let records = std::iter::from_fn(|| merge.next().transpose());
                let extent = file.write_run(records, self.options.block_bytes())?;
                Ok(Run::new(Arc::new(file), extent))
            })
            .collect()
    }
}

/// The records in order, each read when it is asked for. After an error there are no more.
///
/// An item is an error when a temporary file cannot be read or is damaged.
pub struct Sorted<T, F> {
    state: State<T, F>,
    remaining: u64,
}

enum State<T, F> {
    Memory(std::vec::IntoIter<T>),
    Merge(Merge<T, F>),
    Failed,
}

impl<T, F> Sorted<T, F> {
    /// How many records are still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Whether the records did not fit in memory and are read from temporary files.
    pub fn is_spilled(&self) -> bool {
        !matches!(self.state, State::Memory(_))
    }
}

impl<T, F> fmt::Debug for Sorted<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sorted")
            .field("remaining", &self.remaining)
            .field("is_spilled", &self.is_spilled())
            .finish()
    }
}

impl<T: Record, F: Fn(&T, &T) -> Ordering> Iterator for Sorted<T, F> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.state {
            State::Memory(records) => Ok(records.next()),
            State::Merge(merge) => merge.next(),
            State::Failed => return None,
        };
        match next {
            Ok(Some(record)) => {
                self.remaining = self.remaining.saturating_sub(1);
                Some(Ok(record))
            }
            Ok(None) if self.remaining > 0 => {
                let message = format!(
                    "temporary file of a sort is damaged: {} records are missing",
                    self.remaining
                );
                self.state = State::Failed;
                Some(Err(io::Error::new(io::ErrorKind::InvalidData, message)))
            }
            Ok(None) => None,
            Err(error) => {
                self.state = State::Failed;
                Some(Err(error))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.state {
            State::Memory(records) => records.size_hint(),
            _ => (0, usize::try_from(self.remaining).ok()),
        }
    }
}

impl<T: Record, F: Fn(&T, &T) -> Ordering> std::iter::FusedIterator for Sorted<T, F> {}

#[cfg(test)]
mod tests;
