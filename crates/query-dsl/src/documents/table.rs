//! Objects of the same keys.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use super::Slot;
use crate::{Key, key};

/// The most rows that are together.
const BLOCK: usize = 512;
/// The number of the next set of keys, from 1. When they have run out, tables go without.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A row for each object, a column for each key.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Names this set of keys as long as the process lives; zero if it has no name.
    number: u32,
    /// Hashes of keys with the columns' numbers from 1, each at the place that the hash names or at
    /// the next that was free; zeros where there is none. A power of two, and never full.
    index: Box<[(u32, u32)]>,
    columns: usize,
    rows: usize,
    blocks: Vec<Block>,
}

/// Some rows, column by column.
#[derive(Debug, Clone)]
struct Block {
    /// How many rows there is room for.
    room: usize,
    slots: Vec<Slot>,
}

impl Table {
    pub(super) fn new(keys: &[Arc<str>]) -> Self {
        let number = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| {
            number.checked_add(1)
        });
        let mut table = Self {
            number: number.unwrap_or_default(),
            index: vec![(0, 0); (keys.len() * 2 + 1).next_power_of_two()].into(),
            columns: keys.len(),
            rows: 0,
            blocks: Vec::new(),
        };
        for (number, key) in (1..).zip(keys) {
            let hash = key::hash(key);
            // Of a key that is there twice, the first counts.
            if table.column(keys, key, hash).is_some() {
                continue;
            }
            let mask = table.index.len() - 1;
            let mut at = hash as usize & mask;
            while table.index.get(at).is_some_and(|(_, taken)| *taken != 0) {
                at = (at + 1) & mask;
            }
            if let Some(place) = table.index.get_mut(at) {
                *place = (hash, number);
            }
        }
        table
    }

    /// The column of a key, which remembers it.
    #[inline]
    pub(super) fn column_of(&self, keys: &[Arc<str>], key: &Key) -> Option<usize> {
        if let Some(column) = key.column(self.number) {
            return Some(column as usize);
        }
        let column = self.column(keys, key.as_str(), key.hash())?;
        if let Ok(column) = u32::try_from(column) {
            key.remember(self.number, column);
        }
        Some(column)
    }

    /// The column of a key.
    pub(super) fn column(&self, keys: &[Arc<str>], key: &str, hash: u32) -> Option<usize> {
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (found, number) = *self.index.get(at)?;
            let column = (number as usize).checked_sub(1)?;
            if found == hash && keys.get(column).is_some_and(|found| **found == *key) {
                return Some(column);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    pub(super) fn slot(&self, column: usize, row: usize) -> Option<&Slot> {
        let block = self.blocks.get(row / BLOCK)?;
        block.slots.get(column * block.room + row % BLOCK)
    }

    /// Adds a row and gives its number.
    pub(super) fn push(&mut self, values: &[Slot]) -> usize {
        let row = self.rows;
        if row.is_multiple_of(BLOCK) {
            // Where there were many, many more are likely.
            let room = if row == 0 { 1 } else { BLOCK };
            self.blocks.push(Block {
                room,
                slots: vec![Slot::Null; room * self.columns],
            });
        }
        if let Some(block) = self.blocks.last_mut() {
            block.set(row % BLOCK, values);
        }
        self.rows += 1;
        row
    }
}

impl Block {
    fn set(&mut self, row: usize, values: &[Slot]) {
        if row >= self.room {
            self.grow(values.len());
        }
        for (column, value) in values.iter().enumerate() {
            if let Some(slot) = self.slots.get_mut(column * self.room + row) {
                *slot = *value;
            }
        }
    }

    /// Makes room for twice as many rows.
    fn grow(&mut self, columns: usize) {
        let mut slots = Vec::with_capacity(2 * self.room * columns);
        for column in self.slots.chunks(self.room) {
            slots.extend_from_slice(column);
            slots.resize(slots.len() + self.room, Slot::Null);
        }
        self.slots = slots;
        self.room *= 2;
    }
}
