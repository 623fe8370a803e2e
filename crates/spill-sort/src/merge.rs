//! Merging of sorted runs with a tree of losers.

use std::cmp::Ordering;
use std::io;

use crate::Record;
use crate::spill::{Run, RunReader};

/// No run has come to this node of the tree yet.
const EMPTY: usize = usize::MAX;

/// The records of several runs in order; among equals those of the earlier run first.
#[derive(Debug)]
pub(crate) struct Merge<T, F> {
    readers: Vec<RunReader<T>>,
    heads: Vec<Option<T>>,
    /// At 0 the run that holds the next record; elsewhere the run that lost at this node. The
    /// leaves, not stored, are the runs: the parent of run `i` is node `(i + runs) / 2`.
    losers: Vec<usize>,
    compare: F,
}

impl<T: Record, F: Fn(&T, &T) -> Ordering> Merge<T, F> {
    pub(crate) fn new(runs: Vec<Run>, compare: F) -> io::Result<Self> {
        let mut readers: Vec<RunReader<T>> = runs.into_iter().map(Run::read).collect();
        let heads = readers
            .iter_mut()
            .map(RunReader::next)
            .collect::<io::Result<Vec<_>>>()?;
        let losers = vec![EMPTY; readers.len().max(1)];
        let mut merge = Self {
            readers,
            heads,
            losers,
            compare,
        };
        for run in 0..merge.readers.len() {
            merge.play(run);
        }
        Ok(merge)
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<T>> {
        let winner = self.losers[0];
        let Some(reader) = self.readers.get_mut(winner) else {
            return Ok(None);
        };
        let Some(record) = self.heads[winner].take() else {
            return Ok(None);
        };
        self.heads[winner] = reader.next()?;
        self.play(winner);
        Ok(Some(record))
    }

    /// Lets a run with a new head play its way up the tree.
    fn play(&mut self, run: usize) {
        let mut winner = run;
        let mut node = (run + self.readers.len()) / 2;
        while node > 0 {
            let rival = self.losers[node];
            if rival == EMPTY {
                self.losers[node] = winner;
                return;
            }
            if self.comes_before(rival, winner) {
                self.losers[node] = winner;
                winner = rival;
            }
            node /= 2;
        }
        self.losers[0] = winner;
    }

    fn comes_before(&self, a: usize, b: usize) -> bool {
        match (&self.heads[a], &self.heads[b]) {
            (Some(left), Some(right)) => (self.compare)(left, right).then(a.cmp(&b)).is_lt(),
            (left, right) => left.is_some() && right.is_none(),
        }
    }
}
