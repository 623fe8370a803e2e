use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::sync::Mutex;
use tracker_model::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, ArtifactWriter, ByteStream, Change, Collection,
    CollectionPatch, CollectionPath, ErrorKind, FileDraft, FileInfo, HistoryQuery, HistoryStream,
    HistoryWriter, ImportStamp, LinkDraft, ManifestEntry, PointBatch, Precondition, Project,
    ProjectPatch, ProjectPath, Result, Run, RunParts, RunPatch, RunPath, RunQuery, SeriesInfo,
    SeriesKey, Tracker, ValueKind, VersionLink,
};

use crate::{RunWriter, SeriesWriter, Sink, SinkCapabilities};

/// Any tracker as a sink.
#[derive(Debug, Clone)]
pub struct TrackerSink {
    tracker: Arc<dyn Tracker>,
    id: String,
}

impl TrackerSink {
    /// Imports go into this tracker.
    pub fn new(tracker: Arc<dyn Tracker>) -> Self {
        let id = tracker.to_string();
        Self { tracker, id }
    }
}

impl fmt::Display for TrackerSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

fn absent<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Series that are read together have at most so many points.
const GROUP: u64 = 1 << 18;

/// Cuts series into groups that are read by one scan each: a scan has a price, and a tracker may
/// send the series of one scan in any interleaving.
fn groups_of(mut series: Vec<SeriesInfo>) -> Vec<Vec<SeriesKey>> {
    series.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let mut groups: Vec<Vec<SeriesKey>> = Vec::new();
    let mut room = 0;
    for info in series {
        let texts = info.kinds.contains(ValueKind::Str) || info.kinds.contains(ValueKind::Json);
        let points = if texts { GROUP } else { info.count };
        match groups.last_mut() {
            Some(group) if points <= room => group.push(info.key),
            _ => {
                groups.push(vec![info.key]);
                room = GROUP;
            }
        }
        room = room.saturating_sub(points);
    }
    groups
}

/// The series of a group one after the other, by key.
fn scan_group(
    tracker: &dyn Tracker,
    path: &RunPath,
    stream: HistoryStream,
    group: Vec<SeriesKey>,
) -> BoxStream<'static, Result<PointBatch>> {
    let alone = group.len() == 1;
    let query = HistoryQuery::new().with_stream(stream).with_keys(group);
    let batches = tracker.scan(path, query);
    if alone {
        return batches;
    }
    let sorted = async move {
        let mut batches: Vec<PointBatch> = batches.try_collect().await?;
        // Stable: the batches of a series stay in order.
        batches.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(futures::stream::iter(batches).map(Ok))
    };
    futures::stream::once(sorted).try_flatten().boxed()
}

#[async_trait]
impl Sink for TrackerSink {
    fn id(&self) -> &str {
        &self.id
    }

    fn capabilities(&self) -> SinkCapabilities {
        let can = self.tracker.capabilities();
        SinkCapabilities {
            read_back: true,
            rewrite_history: can.rewrite_history,
            artifacts: true,
            stored_content: can.stored_content,
            links: can.links,
        }
    }

    async fn project(&self, path: &ProjectPath) -> Result<Option<Project>> {
        absent(self.tracker.project(path).await)
    }

    async fn put_project(&self, path: &ProjectPath, patch: ProjectPatch) -> Result<()> {
        self.tracker.upsert_project(path, patch).await.map(drop)
    }

    async fn run(&self, path: &RunPath) -> Result<Option<Run>> {
        absent(self.tracker.run(path).await)
    }

    async fn stamps(&self, paths: &[RunPath]) -> Result<Vec<Option<ImportStamp>>> {
        let runs = self.tracker.runs_at(paths, RunParts::NONE).await?;
        Ok(runs.into_iter().map(|run| run?.import).collect())
    }

    fn runs(&self, path: &ProjectPath) -> BoxStream<'static, Result<Run>> {
        self.tracker
            .find_runs(RunQuery::of_project(path).with_deleted(true))
    }

    async fn open_run(
        &self,
        run: &Run,
        there: Option<&Run>,
        token: &str,
    ) -> Result<Box<dyn RunWriter>> {
        let path = run.path.clone();
        if there.is_none() {
            let mut patch = RunPatch::replacing_all(run);
            patch.import = Change::of(run.import.clone().map(|stamp| ImportStamp {
                complete: false,
                ..stamp
            }));
            self.tracker
                .upsert_run(&path, patch, Precondition::None)
                .await?;
        }
        Ok(Box::new(TrackerRunWriter {
            tracker: Arc::clone(&self.tracker),
            path,
            token: token.to_owned(),
            is_new: there.is_none(),
            histories: BTreeMap::new(),
        }))
    }

    async fn series(&self, path: &RunPath, stream: HistoryStream) -> Result<Vec<SeriesInfo>> {
        self.tracker.series(path, stream).await
    }

    fn points(
        &self,
        path: &RunPath,
        stream: HistoryStream,
        series: Vec<SeriesInfo>,
    ) -> BoxStream<'static, Result<PointBatch>> {
        let (tracker, path) = (Arc::clone(&self.tracker), path.clone());
        let scan = move |group: Vec<SeriesKey>| scan_group(&*tracker, &path, stream, group);
        futures::stream::iter(groups_of(series))
            .flat_map(scan)
            .boxed()
    }

    fn files(&self, path: &RunPath) -> BoxStream<'static, Result<FileInfo>> {
        self.tracker.files(path)
    }

    async fn open_file(&self, path: &RunPath, name: &str) -> Result<ByteStream> {
        self.tracker.open_file(path, name, None).await
    }

    async fn put_collection(
        &self,
        path: &CollectionPath,
        patch: CollectionPatch,
    ) -> Result<Collection> {
        self.tracker.upsert_collection(path, patch).await
    }

    fn versions(&self, path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>> {
        let listed = self.tracker.versions(path);
        listed
            .filter_map(|version| std::future::ready(absent(version).transpose()))
            .boxed()
    }

    async fn open_version(
        &self,
        path: &CollectionPath,
        draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>> {
        self.tracker.artifact_writer(path, draft).await
    }

    async fn put_link(
        &self,
        path: &CollectionPath,
        target: &VersionLink,
        draft: LinkDraft,
    ) -> Result<ArtifactVersion> {
        self.tracker.link_version(path, target, draft).await
    }

    fn manifest(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ManifestEntry>> {
        self.tracker.manifest(path, index)
    }

    async fn put_use(&self, entry: ArtifactUse) -> Result<()> {
        self.tracker.record_use(entry).await
    }
}

struct TrackerRunWriter {
    tracker: Arc<dyn Tracker>,
    path: RunPath,
    token: String,
    is_new: bool,
    histories: BTreeMap<HistoryStream, TrackerSeriesWriter>,
}

impl fmt::Debug for TrackerRunWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackerRunWriter")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RunWriter for TrackerRunWriter {
    async fn history(&mut self, stream: HistoryStream) -> Result<&mut dyn SeriesWriter> {
        Ok(match self.histories.entry(stream) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(new) => {
                let committed = if self.is_new {
                    Vec::new()
                } else {
                    self.tracker.series(&self.path, stream).await?
                };
                let history = self
                    .tracker
                    .history_writer(&self.path, stream, &self.token)
                    .await?;
                let staged = history.staged().to_vec();
                new.insert(TrackerSeriesWriter {
                    committed,
                    written: !staged.is_empty(),
                    staged,
                    history: Mutex::new(history),
                })
            }
        })
    }

    async fn file(&self, file: FileDraft, body: ByteStream) -> Result<FileInfo> {
        self.tracker.put_file(&self.path, file, body).await
    }

    async fn commit(self: Box<Self>, run: Run) -> Result<()> {
        let written = self.histories.into_values().filter(|w| w.written);
        let mut histories = written.map(|writer| writer.history.into_inner());
        let last = if self.is_new { histories.next() } else { None };
        for history in histories {
            history.commit().await?;
        }
        if !self.is_new {
            let now = self.tracker.run(&self.path).await?;
            let wanted = Run {
                version: now.version,
                path: now.path.clone(),
                ..run.clone()
            };
            if wanted == now {
                return Ok(());
            }
        }
        let change = RunPatch::replacing_all(&run);
        let change = match last {
            Some(last) => last.commit_with(change).await?,
            None => Some(change),
        };
        if let Some(change) = change {
            self.tracker
                .upsert_run(&self.path, change, Precondition::None)
                .await?;
        }
        Ok(())
    }
}

struct TrackerSeriesWriter {
    committed: Vec<SeriesInfo>,
    staged: Vec<SeriesInfo>,
    /// There is something to commit.
    written: bool,
    history: Mutex<Box<dyn HistoryWriter>>,
}

impl fmt::Debug for TrackerSeriesWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackerSeriesWriter")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SeriesWriter for TrackerSeriesWriter {
    fn committed(&self) -> &[SeriesInfo] {
        &self.committed
    }

    fn staged(&self) -> &[SeriesInfo] {
        &self.staged
    }

    async fn points(&mut self, at: u64, batch: PointBatch) -> Result<()> {
        self.written = true;
        self.history.get_mut().write(at, batch).await
    }

    async fn checkpoint(&mut self) -> Result<()> {
        self.history.get_mut().checkpoint().await
    }
}
