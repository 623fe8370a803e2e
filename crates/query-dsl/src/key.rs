//! Keys that are looked up in many documents.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// One for the whole process, so that keys and documents agree; nobody outside can tell which keys
/// collide.
static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// How many places a key remembers.
const PLACES: usize = 4;

/// A key of objects with its hash, made once to be looked up often; see [`crate::Node::get_key`].
#[derive(Debug)]
pub struct Key {
    text: Box<str>,
    hash: u32,
    /// Where it was found, as who looks it up writes such a place; zeros at first. What is written
    /// once stays: threads that share a key do not take its memory from each other.
    places: [AtomicU64; PLACES],
}

impl Clone for Key {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            hash: self.hash,
            places: Default::default(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl Key {
    /// Takes the text of a key.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        Self {
            hash: hash(&text),
            text,
            places: Default::default(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn hash(&self) -> u32 {
        self.hash
    }

    /// The column that is remembered of a table, by its number. None is of the number zero.
    #[inline]
    pub(crate) fn column(&self, table: u32) -> Option<u32> {
        let place = self.place(table)?.load(Ordering::Relaxed);
        (place >> 32 == u64::from(table) && table != 0).then_some(place as u32)
    }

    /// Remembers a column, if there is a place for it. A number names the same keys in the same
    /// order as long as the process lives.
    pub(crate) fn remember(&self, table: u32, column: u32) {
        if let Some(place) = self.place(table)
            && place.load(Ordering::Relaxed) == 0
        {
            place.store(
                u64::from(table) << 32 | u64::from(column),
                Ordering::Relaxed,
            );
        }
    }

    #[inline]
    fn place(&self, table: u32) -> Option<&AtomicU64> {
        self.places.get(table as usize % PLACES)
    }
}

/// The hash of a key.
pub(crate) fn hash(text: &str) -> u32 {
    STATE.hash_one(text) as u32
}
