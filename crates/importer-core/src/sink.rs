use std::fmt::{Debug, Display};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tracker_model::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, ArtifactWriter, ByteStream, Collection,
    CollectionPatch, CollectionPath, FileDraft, FileInfo, HistoryStream, ImportStamp, LinkDraft,
    ManifestEntry, PointBatch, Project, ProjectPatch, ProjectPath, Result, Run, RunPath,
    SeriesInfo, VersionLink,
};

/// What a sink can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkCapabilities {
    /// What was written can be read back, and so be proved.
    pub read_back: bool,
    /// Points that were written before can be replaced.
    pub rewrite_history: bool,
    /// It keeps artifacts.
    pub artifacts: bool,
    /// Contents that it has already need not be sent again ([`tracker_model::Content::Stored`]).
    pub stored_content: bool,
    /// It keeps versions that stand for others.
    pub links: bool,
}

/// A place to import into. Implementor's contract. Every writing call may be repeated: the effect
/// is that of one.
#[async_trait]
pub trait Sink: Display + Debug + Send + Sync + 'static {
    /// Which sink this is; the same over restarts.
    fn id(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> SinkCapabilities;

    /// One project, if there is one.
    async fn project(&self, path: &ProjectPath) -> Result<Option<Project>>;

    /// Creates or changes a project.
    async fn put_project(&self, path: &ProjectPath, patch: ProjectPatch) -> Result<()>;

    /// One run, if there is one.
    async fn run(&self, path: &RunPath) -> Result<Option<Run>>;

    /// What imports have said of runs, in the same order; `None` where there is no run or no import
    /// has made it. Sinks where one question about many runs costs less than many questions have
    /// their own.
    async fn stamps(&self, paths: &[RunPath]) -> Result<Vec<Option<ImportStamp>>> {
        let mut stamps = Vec::with_capacity(paths.len());
        for path in paths {
            stamps.push(self.run(path).await?.and_then(|run| run.import));
        }
        Ok(stamps)
    }

    /// The runs of a project, deleted ones too.
    fn runs(&self, path: &ProjectPath) -> BoxStream<'static, Result<Run>>;

    /// Begins to write a run; `there` is what [`Self::run`] has just answered. Until
    /// [`RunWriter::commit`] its import stamp is not complete. What an earlier writer with the same
    /// token left at a checkpoint is met again.
    ///
    /// # Errors
    /// `Conflict` if somebody else is writing the run.
    async fn open_run(
        &self,
        run: &Run,
        there: Option<&Run>,
        token: &str,
    ) -> Result<Box<dyn RunWriter>>;

    /// The series of a history of a run.
    async fn series(&self, path: &RunPath, stream: HistoryStream) -> Result<Vec<SeriesInfo>>;

    /// The points of series of a history of a run that [`Self::series`] has told of; the series
    /// one after the other, in order of their keys.
    fn points(
        &self,
        path: &RunPath,
        stream: HistoryStream,
        series: Vec<SeriesInfo>,
    ) -> BoxStream<'static, Result<PointBatch>>;

    /// The files of a run.
    fn files(&self, path: &RunPath) -> BoxStream<'static, Result<FileInfo>>;

    /// The contents of a file.
    async fn open_file(&self, path: &RunPath, name: &str) -> Result<ByteStream>;

    /// Creates or changes a collection.
    async fn put_collection(
        &self,
        path: &CollectionPath,
        patch: CollectionPatch,
    ) -> Result<Collection>;

    /// The versions of a collection, by index; none if there is no such collection.
    fn versions(&self, path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>>;

    /// Makes a version, or changes the one with the same source key.
    async fn open_version(
        &self,
        path: &CollectionPath,
        draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>>;

    /// Makes a version of a portfolio that stands for another one, or finds the one that does.
    async fn put_link(
        &self,
        path: &CollectionPath,
        target: &VersionLink,
        draft: LinkDraft,
    ) -> Result<ArtifactVersion>;

    /// The entries of a version.
    fn manifest(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ManifestEntry>>;

    /// Records that a run made or used a version.
    async fn put_use(&self, entry: ArtifactUse) -> Result<()>;
}

/// Writes one history of a run.
#[async_trait]
pub trait SeriesWriter: Debug + Send + Sync {
    /// The series that were committed before, by an earlier import.
    fn committed(&self) -> &[SeriesInfo];

    /// The series that an earlier writer with the same token left at its last checkpoint.
    fn staged(&self) -> &[SeriesInfo];

    /// Writes points; see [`tracker_model::HistoryWriter::write`].
    async fn points(&mut self, at: u64, batch: PointBatch) -> Result<()>;

    /// Makes the points so far durable, unseen.
    async fn checkpoint(&mut self) -> Result<()>;
}

/// Writes one run. Dropping it without a commit leaves what a reader saw before, but for files,
/// each of which is seen when it is there.
#[async_trait]
pub trait RunWriter: Debug + Send + Sync {
    /// Begins to write a history of the run, or goes on.
    async fn history(&mut self, stream: HistoryStream) -> Result<&mut dyn SeriesWriter>;

    /// Writes a file; several may be written at once.
    async fn file(&self, file: FileDraft, body: ByteStream) -> Result<FileInfo>;

    /// Shows all that was written, with the run as it shall be; its import stamp is complete.
    async fn commit(self: Box<Self>, run: Run) -> Result<()>;
}
