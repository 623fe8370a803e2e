//! Objects of the same keys.

use std::sync::Arc;

use super::Slot;
use crate::key;

/// The most rows that are together.
const BLOCK: usize = 512;

/// A row for each object, a column for each key.
#[derive(Debug, Clone)]
pub(super) struct Table {
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
        let mut table = Self {
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

    /// The column of a key.
    #[inline]
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
    pub(super) fn slot(&self, column: usize, row: usize) -> Option<Slot> {
        let block = self.blocks.get(row / BLOCK)?;
        block.slots.get(column * block.room + row % BLOCK).copied()
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
