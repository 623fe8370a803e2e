//! What is not asked of a server yet.

use std::ops::Range;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use tracker_model::*;

use super::{RemoteTracker, failure::unsupported};

fn refused<T>() -> Result<T> {
    Err(unsupported(
        "this part of a tracker is not asked of W&B servers",
    ))
}

fn refused_list<T: Send + 'static>() -> BoxStream<'static, Result<T>> {
    futures::stream::iter([refused()]).boxed()
}

#[async_trait]
impl CollectionStore for RemoteTracker {
    fn collections(&self, _project: &ProjectPath) -> BoxStream<'static, Result<Collection>> {
        refused_list()
    }

    async fn collection(&self, _path: &CollectionPath) -> Result<Collection> {
        refused()
    }

    async fn upsert_collection(
        &self,
        _path: &CollectionPath,
        _patch: CollectionPatch,
    ) -> Result<Collection> {
        refused()
    }

    async fn delete_collection(&self, _path: &CollectionPath) -> Result<()> {
        refused()
    }
}

#[async_trait]
impl ArtifactStore for RemoteTracker {
    fn versions(&self, _path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>> {
        refused_list()
    }

    async fn version(
        &self,
        _path: &CollectionPath,
        _version: &VersionRef,
    ) -> Result<ArtifactVersion> {
        refused()
    }

    async fn update_version(
        &self,
        _path: &CollectionPath,
        _index: u64,
        _patch: VersionPatch,
    ) -> Result<ArtifactVersion> {
        refused()
    }

    async fn artifact_writer(
        &self,
        _path: &CollectionPath,
        _draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>> {
        refused()
    }

    async fn link_version(
        &self,
        _path: &CollectionPath,
        _target: &VersionLink,
        _draft: LinkDraft,
    ) -> Result<ArtifactVersion> {
        refused()
    }

    async fn delete_version(&self, _path: &CollectionPath, _index: u64) -> Result<()> {
        refused()
    }
}

#[async_trait]
impl ArtifactContents for RemoteTracker {
    fn manifest(
        &self,
        _path: &CollectionPath,
        _index: u64,
    ) -> BoxStream<'static, Result<ManifestEntry>> {
        refused_list()
    }

    async fn open_entry(
        &self,
        _path: &CollectionPath,
        _index: u64,
        _entry: &str,
        _range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        refused()
    }
}

#[async_trait]
impl Lineage for RemoteTracker {
    async fn record_use(&self, _entry: ArtifactUse) -> Result<()> {
        refused()
    }

    fn uses_of_run(&self, _run: &RunPath) -> BoxStream<'static, Result<ArtifactUse>> {
        refused_list()
    }

    fn uses_of_version(
        &self,
        _path: &CollectionPath,
        _index: u64,
    ) -> BoxStream<'static, Result<ArtifactUse>> {
        refused_list()
    }
}

#[async_trait]
impl ContentStore for RemoteTracker {
    async fn put_content(&self, _body: ByteStream) -> Result<Digests> {
        refused()
    }

    async fn open_content(
        &self,
        _digests: &Digests,
        _range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        refused()
    }
}
