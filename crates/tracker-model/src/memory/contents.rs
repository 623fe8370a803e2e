use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use futures::TryStreamExt;

use crate::{ByteStream, ContentHasher, Digests, Error, Result, bytes_of};

/// Bytes, which are kept once.
pub(super) struct Blob {
    pub(super) digests: Digests,
    bytes: Bytes,
}

/// All bytes that a file or an artifact holds on to, by their BLAKE3 digest.
#[derive(Default)]
pub(super) struct Contents(HashMap<String, Weak<Blob>>);

impl Blob {
    /// Reads contents to their end.
    pub(super) async fn read(mut body: ByteStream) -> Result<Self> {
        let (mut bytes, mut hasher) = (Vec::new(), ContentHasher::new());
        while let Some(piece) = body.try_next().await? {
            hasher.update(&piece);
            bytes.extend_from_slice(&piece);
        }
        Ok(Self {
            digests: hasher.finish(),
            bytes: bytes.into(),
        })
    }

    /// The bytes, or those in the range that are there.
    pub(super) fn open(&self, range: Option<Range<u64>>) -> ByteStream {
        let len = self.bytes.len();
        let clip = |at: u64| usize::try_from(at).unwrap_or(len).min(len);
        let (start, end) = range.map_or((0, len), |r| (clip(r.start), clip(r.end)));
        bytes_of(self.bytes.slice(start..end.max(start)))
    }
}

impl Contents {
    /// Keeps the bytes, unless equal ones are kept already.
    pub(super) fn keep(&mut self, blob: Blob) -> Arc<Blob> {
        if let Some(same) = self.0.get(&blob.digests.blake3).and_then(Weak::upgrade) {
            return same;
        }
        // Before the table grows, the places of what nobody holds any more are made free.
        if self.0.len() == self.0.capacity() {
            self.0.retain(|_, blob| blob.strong_count() > 0);
        }
        let blob = Arc::new(blob);
        self.0
            .insert(blob.digests.blake3.clone(), Arc::downgrade(&blob));
        blob
    }

    /// The bytes with these digests.
    pub(super) fn find(&self, digests: &Digests) -> Result<Arc<Blob>> {
        let found = self.0.get(&digests.blake3).and_then(Weak::upgrade);
        found
            .filter(|blob| blob.digests == *digests)
            .ok_or_else(|| Error::not_found(format_args!("content blake3:{}", digests.blake3)))
    }
}
