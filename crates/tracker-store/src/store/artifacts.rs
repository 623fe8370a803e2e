mod writer;

use std::ops::Range;

use async_trait::async_trait;
use futures::stream::BoxStream;
use rusqlite::Connection;
use tracker_model::{
    ArtifactContents, ArtifactDraft, ArtifactStore, ArtifactVersion, ArtifactWriter, ByteStream,
    CollectionPath, Error, ErrorKind, LinkDraft, ManifestEntry, Result, VersionLink, VersionPatch,
    VersionRef,
};

use super::{EmbeddedStore, pages::paginate};
use crate::{
    catalog::{artifacts, blobs},
    storage::read_stored,
};

const PAGE: usize = 500;

#[async_trait]
impl ArtifactStore for EmbeddedStore {
    fn versions(&self, path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>> {
        let (store, path) = (self.clone(), path.clone());
        paginate(move |from: Option<i64>| {
            let (store, path) = (store.clone(), path.clone());
            async move {
                let list = move |c: &_| artifacts::versions(c, &path, from.unwrap_or(0), PAGE);
                let page = store.catalog().read("list versions", list).await?;
                let last = page
                    .last()
                    .and_then(|v| v.index.cast_signed().checked_add(1));
                Ok((page, last))
            }
        })
    }

    async fn version(
        &self,
        path: &CollectionPath,
        version: &VersionRef,
    ) -> Result<ArtifactVersion> {
        let (path, version) = (path.clone(), version.clone());
        let read = move |c: &_| Ok(artifacts::by_ref(c, &path, &version)?.version);
        self.catalog().read("read a version", read).await
    }

    async fn update_version(
        &self,
        path: &CollectionPath,
        index: u64,
        patch: VersionPatch,
    ) -> Result<ArtifactVersion> {
        let path = path.clone();
        let change = move |c: &Connection| {
            let mut stored = artifacts::by_index(c, &path, index)?;
            patch.apply(&mut stored.version)?;
            artifacts::update_version(c, &stored)?;
            Ok(artifacts::by_index(c, &path, index)?.version)
        };
        self.catalog().write("write a version", change).await
    }

    async fn artifact_writer(
        &self,
        path: &CollectionPath,
        draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>> {
        self.catalog().check_writable()?;
        let (key, wanted) = (path.clone(), draft.clone());
        let check = move |c: &_| artifacts::place(c, &key, &wanted).map(drop);
        self.catalog().read("write an artifact", check).await?;
        Ok(Box::new(writer::StoreArtifactWriter::new(
            self,
            path.clone(),
            draft,
        )))
    }

    async fn link_version(
        &self,
        path: &CollectionPath,
        target: &VersionLink,
        draft: LinkDraft,
    ) -> Result<ArtifactVersion> {
        let (path, target) = (path.clone(), target.clone());
        let link = move |c: &_| artifacts::link(c, &path, &target, draft);
        self.catalog().write("link a version", link).await
    }

    async fn delete_version(&self, path: &CollectionPath, index: u64) -> Result<()> {
        let path = path.clone();
        let delete = move |c: &_| artifacts::delete_version(c, &path, index);
        self.catalog().write("delete a version", delete).await
    }
}

#[async_trait]
impl ArtifactContents for EmbeddedStore {
    fn manifest(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ManifestEntry>> {
        let (store, path) = (self.clone(), path.clone());
        paginate(move |after: Option<String>| {
            let (store, path) = (store.clone(), path.clone());
            async move {
                let after = after.unwrap_or_default();
                let list = move |c: &_| {
                    let manifest = artifacts::by_index(c, &path, index)?.manifest;
                    artifacts::entries(c, manifest, &after, PAGE)
                };
                let page = store.catalog().read("read a manifest", list).await?;
                let last = page.last().map(|e| e.path.clone());
                Ok((page, last))
            }
        })
    }

    async fn entry(&self, path: &CollectionPath, index: u64, entry: &str) -> Result<ManifestEntry> {
        let (path, entry) = (path.clone(), entry.to_owned());
        let find = move |c: &_| {
            let manifest = artifacts::by_index(c, &path, index)?.manifest;
            let found = artifacts::named_entry(c, manifest, &entry)?;
            let missing =
                || Error::not_found(format_args!("{entry:?} of artifact {path}:v{index}"));
            Ok(found.ok_or_else(missing)?)
        };
        self.catalog().read("read an artifact's entry", find).await
    }

    async fn open_entry(
        &self,
        path: &CollectionPath,
        index: u64,
        entry: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        let (path, entry) = (path.clone(), entry.to_owned());
        let find = move |c: &_| {
            let manifest = artifacts::by_index(c, &path, index)?.manifest;
            match artifacts::entry(c, manifest, &entry)? {
                Some((Some(blob), _)) => blobs::stored(c, blob),
                Some((None, _)) => {
                    let message = format!(
                        "{entry:?} of artifact {path}:v{index} is a reference: its contents are elsewhere"
                    );
                    Err(Error::new(ErrorKind::Unsupported, message).into())
                }
                None => Err(Error::not_found(format_args!(
                    "{entry:?} of artifact {path}:v{index}"
                ))
                .into()),
            }
        };
        let stored = self.catalog().read("open an artifact's file", find).await?;
        read_stored(&self.inner().storage, stored, range).await
    }
}
