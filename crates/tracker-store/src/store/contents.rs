use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use rusqlite::Connection;
use tracker_model::{ByteStream, ContentStore, Digests, Result};

use super::EmbeddedStore;
use crate::{catalog::blobs, storage::read_stored};

/// How long contents stay that were put by themselves.
const HELD: Duration = Duration::from_secs(24 * 3600);

#[async_trait]
impl ContentStore for EmbeddedStore {
    async fn put_content(&self, body: ByteStream) -> Result<Digests> {
        self.catalog().check_writable()?;
        let incoming = self.receive(body).await?;
        let digests = incoming.digests.clone();
        let storage = self.inner().storage.clone();
        let put = move |c: &Connection| {
            let blob = blobs::ensure(c, &storage, incoming)?;
            blobs::hold(c, blob, HELD)
        };
        self.catalog().write("put contents", put).await?;
        Ok(digests)
    }

    async fn open_content(
        &self,
        digests: &Digests,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        let (storage, wanted) = (self.inner().storage.clone(), digests.clone());
        let find = move |c: &_| blobs::stored(c, blobs::require(c, &storage, &wanted)?);
        let stored = self.catalog().read("open contents", find).await?;
        read_stored(&self.inner().storage, stored, range).await
    }
}
