use std::{
    fmt::{Debug, Display},
    ops::Range,
};

use async_trait::async_trait;
use futures::{TryStreamExt as _, future::try_join_all, stream::BoxStream};

use crate::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, ByteStream, Collection, CollectionPatch,
    CollectionPath, Content, Digests, EntityName, EntryDraft, Error, ErrorKind, FileDraft,
    FileInfo, HistoryQuery, HistoryStream, LinkDraft, LogLine, ManifestEntry, PointBatch,
    Precondition, Project, ProjectPatch, ProjectPath, Report, ReportPatch, ReportPath, Result, Run,
    RunParts, RunPatch, RunPath, RunQuery, SampleQuery, SeriesInfo, Sweep, SweepPatch, SweepPath,
    ValueKinds, VersionLink, VersionPatch, VersionRef,
};

/// Runs that [`RunStore::runs_at`] asks for at once where a tracker has no better way.
const ASKED_AT_ONCE: usize = 8;

/// What a tracker can do. Ask this, rather than trying and failing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// A change to a run is one step: merges of several writers lose nothing, and
    /// [`Precondition::Version`] is known. Otherwise a change is a reading and a writing.
    pub atomic_changes: bool,
    /// The commit of a [`HistoryWriter`] is one step. Otherwise readers may see a part of it
    /// meanwhile, and one that was cut off is ended by the next writer with the same token.
    pub atomic_commits: bool,
    /// The kinds of values that a history holds; others are `Unsupported`.
    pub value_kinds: ValueKinds,
    /// Series keep the order of logging, equal points and row numbers. Otherwise a series is in
    /// order of time and step, has equal points once, and its rows are derived.
    pub logged_order: bool,
    /// A [`HistoryWriter`] may replace points that were committed before, and
    /// [`HistoryStore::truncate`] drops some.
    pub rewrite_history: bool,
    /// [`SeriesInfo::digest`] is known without reading the series.
    pub series_digests: bool,
    /// [`Content::Stored`] is understood.
    pub stored_content: bool,
    /// Contents are taken in that nothing names yet ([`ContentStore`]).
    pub contents: bool,
    /// [`ArtifactDraft::index`] is obeyed.
    pub version_indices: bool,
    /// A version may be a link to another one. Otherwise there are no portfolios.
    pub links: bool,
    /// It keeps sweeps. Otherwise it has none, and to make one is `Unsupported`.
    pub sweeps: bool,
    /// It keeps what runs print. Otherwise all logs are empty, and to write one is `Unsupported`.
    pub logs: bool,
    /// It keeps reports. Otherwise it has none, and to make one is `Unsupported`.
    pub reports: bool,
}

impl Capabilities {
    /// Everything.
    pub fn all() -> Self {
        Self {
            atomic_changes: true,
            atomic_commits: true,
            value_kinds: ValueKinds::all(),
            logged_order: true,
            rewrite_history: true,
            series_digests: true,
            stored_content: true,
            contents: true,
            version_indices: true,
            links: true,
            sweeps: true,
            logs: true,
            reports: true,
        }
    }
}

/// The projects of a tracker. Implementor's contract.
#[async_trait]
pub trait ProjectStore: Display + Debug + Send + Sync + 'static {
    /// All projects, or those of one entity, by address.
    fn projects(&self, entity: Option<&EntityName>) -> BoxStream<'static, Result<Project>>;

    /// One project.
    ///
    /// # Errors
    /// `NotFound`.
    async fn project(&self, path: &ProjectPath) -> Result<Project>;

    /// Creates the project if there is none, makes the change in one step, and answers what is
    /// there now.
    async fn upsert_project(&self, path: &ProjectPath, patch: ProjectPatch) -> Result<Project>;
}

/// The runs of a tracker. Implementor's contract.
#[async_trait]
pub trait RunStore: Display + Debug + Send + Sync + 'static {
    /// Creates the run (and its project) if there is none, makes the change in one step, and
    /// answers what is there now. Durable when it answers.
    ///
    /// # Errors
    /// Those of the [`Precondition`]; `Unsupported` for [`Precondition::Version`] without
    /// [`Capabilities::atomic_changes`].
    async fn upsert_run(&self, path: &RunPath, patch: RunPatch, pre: Precondition) -> Result<Run>;

    /// One run, deleted ones too.
    ///
    /// # Errors
    /// `NotFound`.
    async fn run(&self, path: &RunPath) -> Result<Run>;

    /// The runs at these addresses, in the same order, deleted ones too; `None` where there is
    /// none. Objects that are not asked for may be left out. Trackers where one question about many
    /// runs costs less than many questions have their own.
    async fn runs_at(&self, paths: &[RunPath], _parts: RunParts) -> Result<Vec<Option<Run>>> {
        let mut runs = Vec::with_capacity(paths.len());
        for some in paths.chunks(ASKED_AT_ONCE) {
            let some = some.iter().map(|path| async move {
                match self.run(path).await {
                    Ok(run) => Ok(Some(run)),
                    Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
                    Err(e) => Err(e),
                }
            });
            runs.extend(try_join_all(some).await?);
        }
        Ok(runs)
    }

    /// The runs that the query asks for, in its order. A run that changes meanwhile comes once; one
    /// that is made or deleted meanwhile may come or not.
    fn find_runs(&self, query: RunQuery) -> BoxStream<'static, Result<Run>>;

    /// How many runs the query asks for, its limit aside.
    async fn count_runs(&self, query: &RunQuery) -> Result<u64>;

    /// Deletes the run with its history, its files and its part in the lineage, for good.
    ///
    /// # Errors
    /// `NotFound`. `Unsupported` where runs can only be marked ([`RunPatch::deleted`]).
    async fn delete_run(&self, path: &RunPath) -> Result<()>;
}

/// The history of runs. Implementor's contract.
///
/// A series is the sequence of points of one key in one stream. Its points have an order, that of
/// logging; the *index* of a point is its place in that order, from 0. Points of a series may have
/// a *row* number, which ties together what was logged together; rows ascend within a series.
#[async_trait]
pub trait HistoryStore: Display + Debug + Send + Sync + 'static {
    /// Appends rows to a live run, all of them or, with an error, none. Durable when it answers.
    ///
    /// Every batch has row numbers, all of them at least `at`, which says that the caller knows the
    /// rows before it to be there: a client says the number of its first row, and what was lost on
    /// the way is noticed; a server that must take what comes says 0. Rows before the next row are
    /// left alone, so that the same call twice has the effect of one. Answers the number of the
    /// next row, the one after the greatest.
    ///
    /// # Errors
    /// `NotFound` without the run. `InvalidInput` without row numbers, with rows that do not ascend
    /// within a series, or with a gap between the next row and `at`. `Unsupported` for kinds of
    /// values that are not in [`Capabilities::value_kinds`]. `Conflict` if a [`HistoryWriter`] of
    /// this history is open and the tracker cannot do both.
    async fn append(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        at: u64,
        batches: Vec<PointBatch>,
    ) -> Result<u64>;

    /// The number that the next appended row may have, the one after the greatest: what
    /// [`Self::append`] answers to a call without batches.
    ///
    /// # Errors
    /// `NotFound` without the run.
    async fn next_row(&self, run: &RunPath, stream: HistoryStream) -> Result<u64>;

    /// Drops the points of all rows from this one on, in one step, durably. Points without a row
    /// number stay, series without points vanish, and what a writer has staged is dropped.
    /// [`Self::append`] goes on after the rows that are left. Source: W&B rewinds a run.
    ///
    /// # Errors
    /// `NotFound` without the run; `Conflict` if somebody is writing; `Unsupported` without
    /// [`Capabilities::rewrite_history`].
    async fn truncate(&self, run: &RunPath, stream: HistoryStream, from_row: u64) -> Result<()>;

    /// Writes much history at once. Nothing is seen by readers before the writer commits; what
    /// was written up to a checkpoint survives a crash and is met again ([`HistoryWriter::staged`])
    /// by the next writer with the same `token`. A writer with another token drops it.
    ///
    /// # Errors
    /// `NotFound` without the run. `Conflict` if somebody else is writing.
    async fn history_writer(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        token: &str,
    ) -> Result<Box<dyn HistoryWriter>>;

    /// All series of the stream that have points, by key.
    ///
    /// # Errors
    /// `NotFound` without the run.
    async fn series(&self, run: &RunPath, stream: HistoryStream) -> Result<Vec<SeriesInfo>>;

    /// The points that the query asks for; a batch holds points of one series. Within a series,
    /// points come in order of logging. How series interleave is up to the tracker: a store of
    /// series sends them one after the other, a server of rows all of them together.
    ///
    /// A query for rows ([`HistoryQuery::by_rows`]) changes this. Every batch then has row
    /// numbers, which ascend within each series of the answer, and the first rows of the batches
    /// never go back: when a batch begins at row `r`, all points of the rows before `r` have come.
    /// The points that have come and belong to row `r` or later are never more than
    /// [`crate::MAX_BATCH_POINTS`] and those of one row, so that whoever puts rows together
    /// ([`crate::rows_of`]) needs little memory. [`crate::RowSplitter`] cuts rows so.
    ///
    /// # Errors
    /// `NotFound` without the run.
    fn scan(&self, run: &RunPath, query: HistoryQuery) -> BoxStream<'static, Result<PointBatch>>;

    /// At most `samples` points of each series asked for: the first, the last, and the least and
    /// the greatest of each bucket. Deterministic. [`crate::sample_by_scan`] implements it over
    /// the rest of the trait.
    async fn sample(&self, run: &RunPath, query: SampleQuery) -> Result<Vec<PointBatch>>;
}

/// Writes much history of one run. Dropping it without a commit loses what came after the last
/// checkpoint.
#[async_trait]
pub trait HistoryWriter: Debug + Send {
    /// The series that an earlier writer with the same token has written to, as they were at its
    /// last checkpoint and will be after a commit: `count` is the index where a series goes on.
    fn staged(&self) -> &[SeriesInfo];

    /// Writes points of one series. `at` is the index of the first of them in the series; points
    /// that an earlier writer committed or staged at or after `at` are replaced by those of this
    /// writer. Within one writer, the batches of a series follow each other without a gap. A batch
    /// without points changes nothing.
    ///
    /// # Errors
    /// `InvalidInput` with a gap, or with rows that do not ascend. `Unsupported` if `at` is before
    /// the end of what is committed and the tracker cannot rewrite, and for kinds of values that
    /// are not in [`Capabilities::value_kinds`].
    async fn write(&mut self, at: u64, batch: PointBatch) -> Result<()>;

    /// Makes what was written durable, still unseen.
    async fn checkpoint(&mut self) -> Result<()>;

    /// Shows all that was written and staged, in one step ([`Capabilities::atomic_commits`]),
    /// durably.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Commits and then changes the run, in one step where that costs less than two; nobody sees
    /// the change without the points. Answers with the change if it is still to be made.
    ///
    /// # Errors
    /// As those of [`Self::commit`] and of [`RunStore::upsert_run`].
    async fn commit_with(self: Box<Self>, change: RunPatch) -> Result<Option<RunPatch>> {
        self.commit().await?;
        Ok(Some(change))
    }
}

/// The files of runs. Implementor's contract.
#[async_trait]
pub trait FileStore: Display + Debug + Send + Sync + 'static {
    /// Puts a file into a run, in place of one with the same name. Seen only when all of it is
    /// there. Reads the contents as a stream.
    ///
    /// # Errors
    /// `NotFound` without the run, `InvalidInput` for a name that [`crate::check_file_name`]
    /// refuses, and those of the stream.
    async fn put_file(&self, run: &RunPath, file: FileDraft, body: ByteStream) -> Result<FileInfo>;

    /// The files of a run, by name.
    ///
    /// # Errors
    /// `NotFound` without the run.
    fn files(&self, run: &RunPath) -> BoxStream<'static, Result<FileInfo>>;

    /// The contents of a file, or a part of them (clipped to what is there).
    ///
    /// # Errors
    /// `NotFound`.
    async fn open_file(
        &self,
        run: &RunPath,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream>;

    /// Deletes a file.
    ///
    /// # Errors
    /// `NotFound`.
    async fn delete_file(&self, run: &RunPath, name: &str) -> Result<()>;
}

/// The collections of artifacts. Implementor's contract.
#[async_trait]
pub trait CollectionStore: Display + Debug + Send + Sync + 'static {
    /// The collections of a project, by name.
    ///
    /// # Errors
    /// `NotFound` without the project.
    fn collections(&self, project: &ProjectPath) -> BoxStream<'static, Result<Collection>>;

    /// One collection.
    ///
    /// # Errors
    /// `NotFound`.
    async fn collection(&self, path: &CollectionPath) -> Result<Collection>;

    /// Creates the collection (and its project) if there is none, makes the change in one step, and
    /// answers what is there now. Durable when it answers.
    ///
    /// # Errors
    /// `InvalidInput` if a collection that is there would become a portfolio, or no longer be one;
    /// `NotFound` and `AlreadyExists` for [`CollectionPatch::name`] without a collection or with
    /// one that has that name; `Unsupported` for a portfolio without [`Capabilities::links`].
    async fn upsert_collection(
        &self,
        path: &CollectionPath,
        patch: CollectionPatch,
    ) -> Result<Collection>;

    /// Deletes the collection with its versions, their aliases and their part in the lineage, and
    /// with the links to them in other collections, for good.
    ///
    /// # Errors
    /// `NotFound`.
    async fn delete_collection(&self, path: &CollectionPath) -> Result<()>;
}

/// The versions of artifacts. Implementor's contract.
#[async_trait]
pub trait ArtifactStore: Display + Debug + Send + Sync + 'static {
    /// The versions of a collection, by index.
    ///
    /// # Errors
    /// `NotFound` without the collection.
    fn versions(&self, path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>>;

    /// One version.
    ///
    /// # Errors
    /// `NotFound`.
    async fn version(&self, path: &CollectionPath, version: &VersionRef)
    -> Result<ArtifactVersion>;

    /// Changes what is said of a version, in one step.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` for a link, of which only the aliases change.
    async fn update_version(
        &self,
        path: &CollectionPath,
        index: u64,
        patch: VersionPatch,
    ) -> Result<ArtifactVersion>;

    /// Makes a version. The collection must exist.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` if another version (by its source key) has the index;
    /// `InvalidInput` for a portfolio.
    async fn artifact_writer(
        &self,
        path: &CollectionPath,
        draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>>;

    /// Makes a version of a portfolio that stands for a version elsewhere, in one step, durably. A
    /// link to a link is a link to what that one links. Where the portfolio has a link to the
    /// target already, that one gets the aliases and is answered.
    ///
    /// # Errors
    /// `NotFound` without the portfolio or the target; `InvalidInput` if the collection is no
    /// portfolio; `AlreadyExists` if another version has the index; `Unsupported` without
    /// [`Capabilities::links`].
    async fn link_version(
        &self,
        path: &CollectionPath,
        target: &VersionLink,
        draft: LinkDraft,
    ) -> Result<ArtifactVersion>;

    /// Deletes a version with its aliases and its part in the lineage, and with the links to it,
    /// for good. The tracker does not give its index to another version; only a draft that asks
    /// for the index can have it again. Contents that others have stay.
    ///
    /// # Errors
    /// `NotFound`.
    async fn delete_version(&self, path: &CollectionPath, index: u64) -> Result<()>;
}

/// Makes one version of an artifact. Dropping it without a commit leaves no version.
#[async_trait]
pub trait ArtifactWriter: Debug + Send {
    /// Adds one file, in any order of paths.
    ///
    /// # Errors
    /// `InvalidInput` for a path given twice or one that [`crate::check_file_name`] refuses,
    /// `NotFound` for [`Content::Stored`] that is not, `Unsupported` where the tracker does not
    /// know it, and those of the stream. The writer can go on after an error.
    async fn add(&mut self, entry: EntryDraft, content: Content) -> Result<ManifestEntry>;

    /// Makes the version seen, in one step, durably.
    ///
    /// # Errors
    /// Those of [`ArtifactStore::artifact_writer`], if others were faster.
    async fn commit(self: Box<Self>) -> Result<ArtifactVersion>;
}

/// What is in a version of an artifact. Implementor's contract.
#[async_trait]
pub trait ArtifactContents: Display + Debug + Send + Sync + 'static {
    /// The entries of a version, by path.
    ///
    /// # Errors
    /// `NotFound` without the version.
    fn manifest(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ManifestEntry>>;

    /// One entry of a version. Trackers where it costs less than reading the manifest have their
    /// own.
    ///
    /// # Errors
    /// `NotFound`.
    async fn entry(&self, path: &CollectionPath, index: u64, entry: &str) -> Result<ManifestEntry> {
        let mut entries = self.manifest(path, index);
        while let Some(found) = entries.try_next().await? {
            if found.path == entry {
                return Ok(found);
            }
        }
        let what = format_args!("{entry:?} of artifact {path}:v{index}");
        Err(Error::not_found(what))
    }

    /// The contents of an entry, or a part of them (clipped to what is there).
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` for a reference.
    async fn open_entry(
        &self,
        path: &CollectionPath,
        index: u64,
        entry: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream>;
}

/// Which runs made and used which artifacts. Implementor's contract.
#[async_trait]
pub trait Lineage: Display + Debug + Send + Sync + 'static {
    /// Records that a run made or used a version. The same twice is once.
    ///
    /// # Errors
    /// `NotFound` without the run or the version.
    async fn record_use(&self, entry: ArtifactUse) -> Result<()>;

    /// What a run made and used. A tracker may count [`crate::ArtifactVersion::logged_by`] as
    /// recorded.
    ///
    /// # Errors
    /// `NotFound` without the run.
    fn uses_of_run(&self, run: &RunPath) -> BoxStream<'static, Result<ArtifactUse>>;

    /// Which runs made and used a version.
    ///
    /// # Errors
    /// `NotFound` without the version.
    fn uses_of_version(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ArtifactUse>>;
}

/// The sweeps of a tracker. Implementor's contract.
#[async_trait]
pub trait SweepStore: Display + Debug + Send + Sync + 'static {
    /// Creates the sweep (and its project) if there is none, makes the change in one step, and
    /// answers what is there now. Durable when it answers.
    ///
    /// # Errors
    /// `Unsupported` without [`Capabilities::sweeps`].
    async fn upsert_sweep(&self, path: &SweepPath, patch: SweepPatch) -> Result<Sweep>;

    /// One sweep.
    ///
    /// # Errors
    /// `NotFound`.
    async fn sweep(&self, path: &SweepPath) -> Result<Sweep>;

    /// The sweeps of a project, newest first, then by id.
    ///
    /// # Errors
    /// `NotFound` without the project.
    fn sweeps(&self, project: &ProjectPath) -> BoxStream<'static, Result<Sweep>>;

    /// Deletes the sweep. Its runs stay, and go on naming it.
    ///
    /// # Errors
    /// `NotFound`.
    async fn delete_sweep(&self, path: &SweepPath) -> Result<()>;
}

/// What runs print, line by line. Implementor's contract.
#[async_trait]
pub trait LogStore: Display + Debug + Send + Sync + 'static {
    /// Writes lines in place of those with the same numbers, all of them or, with an error, none.
    /// Of lines with one number the last counts: a progress bar writes its line again and again.
    /// Durable when it answers.
    ///
    /// # Errors
    /// `NotFound` without the run; `InvalidInput` for a number beyond [`crate::MAX_ROW`];
    /// `Unsupported` without [`Capabilities::logs`].
    async fn write_log(&self, run: &RunPath, lines: Vec<LogLine>) -> Result<()>;

    /// The lines with numbers in the range, in order, in batches of bounded size, none of them
    /// empty.
    ///
    /// # Errors
    /// `NotFound` without the run.
    fn log_lines(
        &self,
        run: &RunPath,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Vec<LogLine>>>;

    /// One after the greatest number of a line; 0 without lines.
    ///
    /// # Errors
    /// `NotFound` without the run.
    async fn log_length(&self, run: &RunPath) -> Result<u64>;
}

/// The reports of a tracker. Implementor's contract.
#[async_trait]
pub trait ReportStore: Display + Debug + Send + Sync + 'static {
    /// Creates the report (and its project) if there is none, makes the change in one step, and
    /// answers what is there now. Durable when it answers.
    ///
    /// # Errors
    /// `Unsupported` without [`Capabilities::reports`].
    async fn upsert_report(&self, path: &ReportPath, patch: ReportPatch) -> Result<Report>;

    /// One report.
    ///
    /// # Errors
    /// `NotFound`.
    async fn report(&self, path: &ReportPath) -> Result<Report>;

    /// The reports of a project, newest first, then by id.
    ///
    /// # Errors
    /// `NotFound` without the project.
    fn reports(&self, project: &ProjectPath) -> BoxStream<'static, Result<Report>>;

    /// Deletes the report.
    ///
    /// # Errors
    /// `NotFound`.
    async fn delete_report(&self, path: &ReportPath) -> Result<()>;
}

/// Contents that nothing names yet. Implementor's contract.
#[async_trait]
pub trait ContentStore: Display + Debug + Send + Sync + 'static {
    /// Takes contents in. They are durable when it answers and stay for 24 hours at least, those
    /// that were there already too; within that time [`Content::Stored`] takes them into a version.
    ///
    /// # Errors
    /// Those of the stream; `Unsupported` without [`Capabilities::contents`].
    async fn put_content(&self, body: ByteStream) -> Result<Digests>;

    /// Contents that are here, whatever names them, or a part of them (clipped to what is there).
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` without [`Capabilities::contents`].
    async fn open_content(
        &self,
        digests: &Digests,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream>;
}

/// A place where runs are kept: the sum of its parts.
///
/// Implementations are shared behind an `Arc`; every method may be called from many tasks at once,
/// and every future and stream may be dropped at any point without harm.
pub trait Tracker:
    ProjectStore
    + RunStore
    + HistoryStore
    + FileStore
    + CollectionStore
    + ArtifactStore
    + ArtifactContents
    + Lineage
    + SweepStore
    + LogStore
    + ReportStore
    + ContentStore
{
    /// What this tracker can do.
    fn capabilities(&self) -> Capabilities;
}
