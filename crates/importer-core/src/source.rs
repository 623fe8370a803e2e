use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Debug, Display},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};
use tracker_model::{
    ArtifactDraft, ByteStream, CollectionPatch, EntityName, Error, FileDraft, HistoryStream,
    JsonObject, PointBatch, ProjectName, ProjectPatch, Result, Run, RunId, RunPath, RunState,
    SeriesKey, Timestamp, UseRole,
};

use crate::{Kind, Selection};

/// Which source: the same over restarts, the same for everybody who reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId {
    /// The kind of tracker, one word, such as `mlflow`. Names the source's place in `extras`.
    pub kind: String,
    /// Where it is: an address or an absolute path, without secrets.
    pub location: String,
}

impl Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.location)
    }
}

/// What a source can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceCapabilities {
    /// [`Source::points`] sends series one after the other, each of them whole.
    pub series_in_turn: bool,
    /// An equal [`RunRef::fingerprint`] proves that nothing of the run has changed, files and
    /// points of running runs included. Otherwise it proves so for runs that have ended.
    pub exact_fingerprints: bool,
    /// It has artifacts, see [`Source::artifacts`].
    pub artifacts: bool,
    /// It has system metrics, see [`PointsQuery::stream`].
    pub system: bool,
}

impl SourceCapabilities {
    /// The histories that a run may have.
    pub(crate) fn streams(&self) -> impl Iterator<Item = HistoryStream> + use<> {
        let system = self.system.then_some(HistoryStream::System);
        std::iter::once(HistoryStream::Metrics).chain(system)
    }
}

/// Something of a source, or something to say of it.
#[derive(Debug, Clone)]
pub enum SourceItem<T> {
    /// The thing itself.
    Item(T),
    /// What could not be carried as it was. What a rule changed comes right before the item that
    /// it changed, so that it counts only if the item does.
    Finding(Finding),
}

/// What became of data that did not arrive as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It arrived, changed by a named rule.
    Normalised,
    /// The source has it, and the target cannot hold it.
    Lost,
    /// The source should have it, and cannot give it: torn, missing, refused.
    Unreadable,
}

/// Data that did not arrive as it was. Every such datum is in one finding; of a datum that several
/// rules changed there is one for each rule, and it is counted once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What became of it.
    pub outcome: Outcome,
    /// What it is.
    pub kind: Kind,
    /// How many.
    pub count: u64,
    /// Where, so that a person finds it: a file and line, a run and key. Findings of one datum of
    /// a kind, points aside, that name the same place are of the same datum.
    pub place: String,
    /// Why: the rule's name for [`Outcome::Normalised`], else a sentence without a full stop.
    /// Equal reasons are counted together: what differs belongs into `place`.
    pub reason: String,
}

impl Finding {
    /// One datum that the source cannot give.
    pub fn unreadable(kind: Kind, place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Unreadable,
            kind,
            count: 1,
            place: place.into(),
            reason: reason.into(),
        }
    }

    /// One datum that the target cannot hold.
    pub fn lost(kind: Kind, place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Lost,
            kind,
            count: 1,
            place: place.into(),
            reason: reason.into(),
        }
    }

    /// One datum that a named rule changed. It is delivered as well.
    pub fn normalised(kind: Kind, place: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Normalised,
            kind,
            count: 1,
            place: place.into(),
            reason: rule.into(),
        }
    }

    /// So many of them.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = count;
        self
    }
}

/// A project of the source. Source: MLflow experiment.
#[derive(Debug, Clone)]
pub struct SourceProject {
    /// Its identity at the source.
    pub id: String,
    /// Its name at the source; any text.
    pub name: String,
    /// What is known of it.
    pub patch: ProjectPatch,
    /// How many key-value tags of it are in the patch.
    pub tags: u64,
    /// Whether it was deleted at the source.
    pub deleted: bool,
}

impl SourceProject {
    /// A project of which nothing but its name is known.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            patch: ProjectPatch::new(),
            tags: 0,
            deleted: false,
        }
    }
}

/// A run in a listing: enough to decide whether to read it.
#[derive(Clone)]
pub struct RunRef {
    /// The project, as listed.
    pub project: Arc<SourceProject>,
    /// The run's identity at the source.
    pub id: String,
    /// The display name.
    pub name: Option<String>,
    /// When it began, for selection by time.
    pub started_at: Option<Timestamp>,
    /// Whether it was deleted at the source.
    pub deleted: bool,
    /// Whether it has ended.
    pub ended: bool,
    /// A hash over what the listing says of the run; see [`SourceCapabilities::exact_fingerprints`].
    pub fingerprint: String,
    /// What the source wants to remember of the listing, so that it need not ask twice.
    pub detail: Option<Arc<dyn Any + Send + Sync>>,
}

impl RunRef {
    /// A run that has ended; the fingerprint tells when it has changed.
    pub fn new(
        project: &Arc<SourceProject>,
        id: impl Into<String>,
        fingerprint: impl Into<String>,
    ) -> Self {
        Self {
            project: Arc::clone(project),
            id: id.into(),
            name: None,
            started_at: None,
            deleted: false,
            ended: true,
            fingerprint: fingerprint.into(),
            detail: None,
        }
    }
}

impl Debug for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunRef")
            .field("project", &self.project.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// All of a run but its history, files and artifacts.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// The run; the pipeline sets its address and its import stamp. Parameters are in `config`
    /// (one datum of [`Kind::Params`] for each key), dataset inputs in `inputs`.
    pub run: Run,
    /// Key-value tags, verbatim. The pipeline puts them into `extras` under the source's kind, as
    /// `tags`.
    pub tags: BTreeMap<String, String>,
    /// What of the record could not be carried as it was.
    pub findings: Vec<Finding>,
}

impl RunRecord {
    /// The run as its listing tells it, to be filled in; if the listing says that it has ended, it
    /// ended well.
    ///
    /// # Errors
    /// None in practice: names are made legal.
    pub fn new(run: &RunRef) -> Result<Self> {
        let path = RunPath::new(
            EntityName::new("local")?,
            ProjectName::legalised(&run.project.name),
            RunId::legalised(&run.id),
        );
        let mut record = Run::new(path, run.started_at.unwrap_or(Timestamp::from_millis(0)));
        record.name = run.name.clone();
        record.started_at = run.started_at;
        record.state = if run.ended {
            RunState::Finished
        } else {
            RunState::Running
        };
        record.deleted = run.deleted;
        Ok(Self {
            run: record,
            tags: BTreeMap::new(),
            findings: Vec::new(),
        })
    }
}

/// Which points of a run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PointsQuery {
    /// Of which history. A source is asked for system metrics only if it has the
    /// [capability](SourceCapabilities::system).
    pub stream: HistoryStream,
    /// Only these series.
    pub only: Option<BTreeSet<SeriesKey>>,
    /// Not these series.
    pub except: BTreeSet<SeriesKey>,
}

impl PointsQuery {
    /// All points of the metrics.
    pub fn new() -> Self {
        Self::default()
    }

    /// All points of a history.
    pub fn of(stream: HistoryStream) -> Self {
        Self {
            stream,
            ..Self::default()
        }
    }

    /// Whether the series is asked for.
    pub fn wants(&self, key: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(key)) && !self.except.contains(key)
    }
}

/// What a stream of points brings.
#[derive(Debug, Clone)]
pub enum PointItem {
    /// The next points of a series.
    Batch(PointBatch),
    /// Keys of the summary that are known only now; set over those of the record. With
    /// [`SourceCapabilities::series_in_turn`], those that come with a series come before the
    /// points of the next one: an import that is cut off there does not read the series again.
    Summary(JsonObject),
    /// What could not be carried as it was. With [`SourceCapabilities::series_in_turn`], what is
    /// found in a series comes before the points of the next one.
    Finding(Finding),
}

/// A file of a run at the source.
#[derive(Clone)]
pub struct SourceFile {
    /// Its name, and what is known of it.
    pub draft: FileDraft,
    /// Bytes, if known before reading. Reading another number of bytes is an error.
    pub size: Option<u64>,
    /// A mark that is equal only if the contents are (such as size and time of change, or an
    /// entity tag); with it a file that has not changed is not read again.
    pub mark: Option<String>,
    /// What the source needs to find the contents.
    pub detail: Option<Arc<dyn Any + Send + Sync>>,
}

impl Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceFile")
            .field("name", &self.draft.name)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A version of an artifact at the source, or a collection that has none.
#[derive(Clone)]
pub struct SourceArtifact {
    /// The project that it belongs to; `None` for what stands above projects (a registry), which
    /// the pipeline puts into a project named `project_name`.
    pub project: Option<Arc<SourceProject>>,
    /// The project's name if there is none at the source, such as `registered-models`.
    pub project_name: String,
    /// The collection's name.
    pub collection: String,
    /// What is known of the collection.
    pub patch: CollectionPatch,
    /// The version; its `source_key` is set, its `logged_by` is the pipeline's to set.
    pub version: Option<ArtifactDraft>,
    /// The version that this one stands for. Such a link comes after what it links, and has no
    /// entries of its own.
    pub link: Option<SourceLink>,
    /// A hash over what the listing says of the version and its collection.
    pub fingerprint: String,
    /// An equal fingerprint proves that the contents are the same too.
    pub immutable: bool,
    /// The id, at the source, of the run that logged it.
    pub logged_by: Option<String>,
    /// The runs that have to do with it.
    pub uses: Vec<SourceUse>,
    /// What the source needs to list the entries.
    pub detail: Option<Arc<dyn Any + Send + Sync>>,
}

impl Debug for SourceArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceArtifact")
            .field("collection", &self.collection)
            .field(
                "version",
                &self.version.as_ref().and_then(|v| v.source_key.as_deref()),
            )
            .finish_non_exhaustive()
    }
}

/// A version of an artifact that another one stands for.
#[derive(Debug, Clone)]
pub struct SourceLink {
    /// The project that it is in.
    pub project: Arc<SourceProject>,
    /// The collection's name.
    pub collection: String,
    /// Its source key.
    pub source_key: String,
}

/// A run that made or used an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUse {
    /// The run's id at the source.
    pub run: String,
    /// What it did.
    pub role: UseRole,
    /// At which step, if the source says so.
    pub step: Option<i64>,
}

/// One file of an artifact at the source.
#[derive(Clone)]
pub struct SourceEntry {
    /// The path inside the artifact.
    pub path: String,
    /// See [`tracker_model::ManifestEntry::extras`].
    pub extras: JsonObject,
    /// Bytes, if known before reading.
    pub size: Option<u64>,
    /// Where the contents are.
    pub content: EntryContent,
}

impl Debug for SourceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceEntry")
            .field("path", &self.path)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Where the contents of an entry are.
#[derive(Clone)]
pub enum EntryContent {
    /// At the source; this is what [`Source::open_entry`] needs to find them.
    Source(Arc<dyn Any + Send + Sync>),
    /// They are the file `name` of the run with the id `run` at the source. If that run was
    /// imported they are not read again; else [`Source::open_entry`] opens them by `detail`.
    RunFile {
        /// The run's id at the source.
        run: String,
        /// The file's name in the run.
        name: String,
        /// What the source needs to find the contents.
        detail: Arc<dyn Any + Send + Sync>,
    },
    /// They stay where they are.
    Reference(String),
}

impl Debug for EntryContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(_) => f.write_str("Source"),
            Self::RunFile { run, name, .. } => write!(f, "RunFile({run}, {name:?})"),
            Self::Reference(url) => write!(f, "Reference({url:?})"),
        }
    }
}

/// A place to import from. Implementor's contract.
///
/// A source only reads. An error of a stream ends it; what concerns one datum alone is a
/// [`Finding`], and the stream goes on. Every stream may be dropped at any point.
///
/// The methods for files and for artifacts have bodies for sources that have none. A source that
/// wraps another implements them all; `#[deny(clippy::missing_trait_methods)]` sees to it.
#[async_trait]
pub trait Source: Display + Debug + Send + Sync + 'static {
    /// Which source this is.
    fn id(&self) -> &SourceId;

    /// What it can do.
    fn capabilities(&self) -> SourceCapabilities;

    /// The projects that the selection may concern, deleted ones only if it asks for them.
    fn projects(
        &self,
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceProject>>>;

    /// The runs of a project that the selection may concern: it may be narrowed here (by time,
    /// deletion), and is applied again by the pipeline. A run comes once.
    fn runs(
        &self,
        project: &Arc<SourceProject>,
        selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<RunRef>>>;

    /// One run.
    ///
    /// # Errors
    /// `NotFound` if it is gone meanwhile, `Corrupt` if it cannot be understood: the run fails,
    /// the import goes on.
    async fn run(&self, run: &RunRef) -> Result<RunRecord>;

    /// The points of a run. Within a series they come in order of logging.
    fn points(&self, run: &RunRef, query: PointsQuery) -> BoxStream<'static, Result<PointItem>>;

    /// The files of a run.
    fn files(&self, _run: &RunRef) -> BoxStream<'static, Result<SourceItem<SourceFile>>> {
        futures::stream::empty().boxed()
    }

    /// The contents of a file of a run.
    ///
    /// # Errors
    /// The file is counted as unreadable, the import goes on; unless a retry may help.
    async fn open_file(&self, _run: &RunRef, file: &SourceFile) -> Result<ByteStream> {
        Err(Error::not_found(format_args!("file {:?}", file.draft.name)))
    }

    /// All artifacts of the projects, and what stands above projects; versions of a collection in
    /// order of their indices.
    fn artifacts(
        &self,
        _projects: &[Arc<SourceProject>],
        _selection: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceArtifact>>> {
        futures::stream::empty().boxed()
    }

    /// The entries of a version.
    fn entries(
        &self,
        _artifact: &SourceArtifact,
    ) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
        futures::stream::empty().boxed()
    }

    /// The contents of an entry.
    ///
    /// # Errors
    /// The entry is counted as unreadable, the import goes on; unless a retry may help.
    async fn open_entry(
        &self,
        _artifact: &SourceArtifact,
        entry: &SourceEntry,
    ) -> Result<ByteStream> {
        Err(Error::not_found(format_args!("entry {:?}", entry.path)))
    }
}
