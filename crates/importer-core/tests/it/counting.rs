//! A sink that counts what is asked of it, and may lose something.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use importer_core::{Result, RunWriter, Sink, SinkCapabilities};
use tracker_model::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, ArtifactWriter, ByteStream, Collection,
    CollectionPatch, CollectionPath, FileInfo, HistoryStream, ImportStamp, LinkDraft,
    ManifestEntry, PointBatch, Project, ProjectPatch, ProjectPath, Run, RunPath, SeriesInfo,
    VersionLink,
};

#[derive(Debug)]
pub(crate) struct CountingSink {
    inner: Arc<dyn Sink>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
    /// It loses the files that it is given.
    pub(crate) loses_files: AtomicBool,
    /// It knows of no versions that stand for others.
    pub(crate) has_no_links: AtomicBool,
}

impl CountingSink {
    pub(crate) fn new(inner: Arc<dyn Sink>) -> Self {
        Self {
            inner,
            calls: Mutex::default(),
            loses_files: AtomicBool::new(false),
            has_no_links: AtomicBool::new(false),
        }
    }

    /// How often it was called since the last time that somebody asked.
    pub(crate) fn calls(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn count(&self, call: &'static str) -> &dyn Sink {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
        &*self.inner
    }
}

impl fmt::Display for CountingSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Sink for CountingSink {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn capabilities(&self) -> SinkCapabilities {
        let mut can = self.inner.capabilities();
        can.links &= !self.has_no_links.load(Ordering::Relaxed);
        can
    }

    async fn project(&self, path: &ProjectPath) -> Result<Option<Project>> {
        self.count("project").project(path).await
    }

    async fn put_project(&self, path: &ProjectPath, patch: ProjectPatch) -> Result<()> {
        self.count("put_project").put_project(path, patch).await
    }

    async fn run(&self, path: &RunPath) -> Result<Option<Run>> {
        self.count("run").run(path).await
    }

    async fn stamps(&self, paths: &[RunPath]) -> Result<Vec<Option<ImportStamp>>> {
        self.count("stamps").stamps(paths).await
    }

    fn runs(&self, path: &ProjectPath) -> BoxStream<'static, Result<Run>> {
        self.count("runs").runs(path)
    }

    async fn open_run(
        &self,
        run: &Run,
        there: Option<&Run>,
        token: &str,
    ) -> Result<Box<dyn RunWriter>> {
        self.count("open_run").open_run(run, there, token).await
    }

    async fn series(&self, path: &RunPath, stream: HistoryStream) -> Result<Vec<SeriesInfo>> {
        self.count("series").series(path, stream).await
    }

    fn points(
        &self,
        path: &RunPath,
        stream: HistoryStream,
        series: Vec<SeriesInfo>,
    ) -> BoxStream<'static, Result<PointBatch>> {
        self.count("points").points(path, stream, series)
    }

    fn files(&self, path: &RunPath) -> BoxStream<'static, Result<FileInfo>> {
        let files = self.count("files").files(path);
        if self.loses_files.load(Ordering::Relaxed) {
            return futures::stream::empty().boxed();
        }
        files
    }

    async fn open_file(&self, path: &RunPath, name: &str) -> Result<ByteStream> {
        self.count("open_file").open_file(path, name).await
    }

    async fn put_collection(
        &self,
        path: &CollectionPath,
        patch: CollectionPatch,
    ) -> Result<Collection> {
        self.count("put_collection")
            .put_collection(path, patch)
            .await
    }

    fn versions(&self, path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>> {
        self.count("versions").versions(path)
    }

    async fn open_version(
        &self,
        path: &CollectionPath,
        draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>> {
        self.count("open_version").open_version(path, draft).await
    }

    async fn put_link(
        &self,
        path: &CollectionPath,
        target: &VersionLink,
        draft: LinkDraft,
    ) -> Result<ArtifactVersion> {
        self.count("put_link").put_link(path, target, draft).await
    }

    fn manifest(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ManifestEntry>> {
        self.count("manifest").manifest(path, index)
    }

    async fn put_use(&self, entry: ArtifactUse) -> Result<()> {
        self.count("put_use").put_use(entry).await
    }
}
