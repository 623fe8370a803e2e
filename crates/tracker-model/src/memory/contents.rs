use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;

use super::MemoryTracker;
use crate::{ByteStream, ContentHasher, ContentStore, Digests, Error, Result, bytes_of};

/// How long contents stay that nothing names.
const HELD: Duration = Duration::from_secs(24 * 3600);

/// Bytes, which are kept once.
pub(super) struct Blob {
    pub(super) digests: Digests,
    bytes: Bytes,
}

/// All bytes that a file or an artifact holds on to, by their BLAKE3 digest.
#[derive(Default)]
pub(super) struct Contents {
    all: HashMap<String, Weak<Blob>>,
    /// Those that were put by themselves, and when.
    held: HashMap<String, (Arc<Blob>, Instant)>,
}

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
        if let Some(same) = self.all.get(&blob.digests.blake3).and_then(Weak::upgrade) {
            return same;
        }
        // Before the table grows, the places of what nobody holds any more are made free.
        if self.all.len() == self.all.capacity() {
            self.all.retain(|_, blob| blob.strong_count() > 0);
        }
        let blob = Arc::new(blob);
        self.all
            .insert(blob.digests.blake3.clone(), Arc::downgrade(&blob));
        blob
    }

    /// Keeps the bytes for a while, whether or not anything names them.
    fn hold(&mut self, blob: Blob) -> Digests {
        let digests = blob.digests.clone();
        let blob = self.keep(blob);
        let now = Instant::now();
        self.held
            .retain(|_, (_, since)| now.duration_since(*since) < HELD);
        self.held.insert(digests.blake3.clone(), (blob, now));
        digests
    }

    /// The bytes with these digests.
    pub(super) fn find(&self, digests: &Digests) -> Result<Arc<Blob>> {
        let found = self.all.get(&digests.blake3).and_then(Weak::upgrade);
        found
            .filter(|blob| blob.digests == *digests)
            .ok_or_else(|| Error::not_found(format_args!("content blake3:{}", digests.blake3)))
    }
}

#[async_trait]
impl ContentStore for MemoryTracker {
    async fn put_content(&self, body: ByteStream) -> Result<Digests> {
        let blob = Blob::read(body).await?;
        Ok(self.state().contents.hold(blob))
    }

    async fn open_content(
        &self,
        digests: &Digests,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        Ok(self.state().contents.find(digests)?.open(range))
    }
}
