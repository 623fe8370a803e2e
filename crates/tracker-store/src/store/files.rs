use std::ops::Range;

use async_trait::async_trait;
use futures::stream::BoxStream;
use rusqlite::Connection;
use tracker_model::{ByteStream, FileDraft, FileInfo, FileStore, Result, RunPath, check_file_name};

use super::{EmbeddedStore, blocking, pages::paginate};
use crate::{
    catalog::{blobs, files, runs},
    storage::{BlobBody, Incoming, read_stored},
};

const PAGE: usize = 500;

#[async_trait]
impl FileStore for EmbeddedStore {
    async fn put_file(&self, run: &RunPath, file: FileDraft, body: ByteStream) -> Result<FileInfo> {
        check_file_name(&file.name)?;
        self.catalog().check_writable()?;
        let path = run.clone();
        self.catalog()
            .look_up("put a file", move |c| runs::require(c, &path))
            .await?;
        let incoming = self.receive(body).await?;
        let info = FileInfo {
            name: file.name.clone(),
            digests: incoming.digests.clone(),
            modified_at: file.modified_at,
            extras: file.extras.clone(),
        };
        let (path, storage) = (run.clone(), self.inner().storage.clone());
        let put = move |c: &Connection| {
            let run = runs::require(c, &path)?;
            let blob = blobs::ensure(c, &storage, incoming)?;
            files::put(c, run, &file, blob)
        };
        self.catalog().write("put a file", put).await?;
        Ok(info)
    }

    fn files(&self, run: &RunPath) -> BoxStream<'static, Result<FileInfo>> {
        let (store, run) = (self.clone(), run.clone());
        paginate(move |after: Option<String>| {
            let (store, run) = (store.clone(), run.clone());
            async move {
                let after = after.unwrap_or_default();
                let list = move |c: &_| files::page(c, runs::require(c, &run)?, &after, PAGE);
                let page = store.catalog().look_up("list files", list).await?;
                let last = page.last().map(|f| f.name.clone());
                Ok((page, last))
            }
        })
    }

    async fn open_file(
        &self,
        run: &RunPath,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        let (path, name) = (run.clone(), name.to_owned());
        let find = move |c: &_| {
            let run = runs::require(c, &path)?;
            blobs::stored(c, files::blob(c, run, &path, &name)?)
        };
        let stored = self.catalog().read("open a file", find).await?;
        read_stored(&self.inner().storage, stored, range).await
    }

    async fn delete_file(&self, run: &RunPath, name: &str) -> Result<()> {
        let (path, name) = (run.clone(), name.to_owned());
        let delete = move |c: &_| files::delete(c, runs::require(c, &path)?, &path, &name);
        self.catalog().write("delete a file", delete).await
    }
}

impl EmbeddedStore {
    /// Takes contents in, and places those that need a file and are not here yet.
    pub(super) async fn receive(&self, body: ByteStream) -> Result<Incoming> {
        let inner = self.inner();
        let mut incoming = Incoming::receive(&inner.storage, body).await?;
        if matches!(incoming.body, BlobBody::Draft(_)) {
            let place = move || {
                let find = |c: &_| blobs::find(c, &inner.storage, &incoming.digests.blake3);
                if inner.catalog.read_now("store contents", find)?.is_none() {
                    incoming.place(&inner.storage)?;
                }
                Ok(incoming)
            };
            incoming = blocking("store contents", place).await?;
        }
        Ok(incoming)
    }
}
