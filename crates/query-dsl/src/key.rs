//! Keys that are looked up in many documents.

use std::{collections::hash_map::RandomState, hash::BuildHasher, sync::LazyLock};

/// One for the whole process, so that keys and documents agree; nobody outside can tell which keys
/// collide.
static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A key of objects with its hash, made once to be looked up often; see [`crate::Node::get_key`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    text: Box<str>,
    hash: u32,
}

impl Key {
    /// Takes the text of a key.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        Self {
            hash: hash(&text),
            text,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn hash(&self) -> u32 {
        self.hash
    }
}

/// The hash of a key.
pub(crate) fn hash(text: &str) -> u32 {
    STATE.hash_one(text) as u32
}
