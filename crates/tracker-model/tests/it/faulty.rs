//! A tracker with one fault, or with few capabilities.

use std::{fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream, stream::BoxStream};
use tracker_model::{
    ArtifactContents, ArtifactDraft, ArtifactStore, ArtifactUse, ArtifactVersion, ArtifactWriter,
    BatchBuilder, ByteStream, Capabilities, Change, Collection, CollectionPatch, CollectionPath,
    CollectionStore, Content, ContentHasher, ContentStore, Digests, EntityName, EntryDraft, Error,
    ErrorKind, FileDraft, FileInfo, FileStore, HistoryQuery, HistoryStore, HistoryStream,
    HistoryWriter, JsonPatch, Lineage, LinkDraft, LogLine, LogStore, ManifestEntry, MemoryTracker,
    PointBatch, Precondition, Project, ProjectPatch, ProjectPath, ProjectStore, Report,
    ReportPatch, ReportPath, ReportStore, Result, Run, RunOrder, RunPatch, RunPath, RunQuery,
    RunStore, SampleQuery, SeriesInfo, SeriesKey, Sweep, SweepPatch, SweepPath, SweepStore,
    Timestamp, Tracker, ValueKind, Values, VersionLink, VersionPatch, VersionRef, bytes_of,
    group_rows, rows_of, split_rows,
};

/// What a careless implementor may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    ProjectsInDisorder,
    VersionUnchecked,
    LimitIgnored,
    DeletedListed,
    FilterIgnored,
    CountIgnoresFilter,
    OrderIgnored,
    MergeReplaces,
    LostUpdates,
    MillisecondsOnly,
    ZeroWithoutSign,
    TimesInMilliseconds,
    FromIndexIgnored,
    StepsIgnored,
    KeysArePrefixes,
    KeysTrimmed,
    TokensIgnored,
    CheckpointsIgnored,
    OneStream,
    NoDigests,
    RowsForgotten,
    GapsAppended,
    ByRowsIgnored,
    GroupsUnbounded,
    SeriesByRowsInTurn,
    SamplesAreTheFirst,
    SamplesAreAll,
    NamesMadeLegal,
    NamesInLowerCase,
    RangesIgnored,
    BrokenBodiesKept,
    IndicesIgnored,
    SourceKeysIgnored,
    AliasesInDrafts,
    UsesTwice,
    StepsOfUsesLost,
    SweepsInDisorder,
    SweepTextsLost,
    SweepsOfAllProjects,
    LogLinesKept,
    LogLabelsLost,
    LogHalfWritten,
    LogLengthIsCount,
    ReportSpecsTidied,
    ReportsInDisorder,
    ContentsForgotten,
    IndicesGivenAgain,
    DeletionsIgnored,
    LinkAliasesReplaced,
    LinksAreVersions,
    LinksOfLinks,
    PortfoliosChange,
    EntryExtrasLost,
    VersionExtrasLost,
    TruncatesAfter,
    TruncatesAll,
    NextRowIsSeries,
    RunIdsInLowerCase,
    /// No fault: it can do little, and says so.
    Modest,
    /// It can do little, and does not say so.
    SecretlyModest,
}

#[derive(Debug)]
pub(crate) struct FaultyTracker {
    inner: MemoryTracker,
    fault: Fault,
}

impl FaultyTracker {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            inner: MemoryTracker::new(),
            fault,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn modest(&self) -> bool {
        matches!(self.fault, Fault::Modest | Fault::SecretlyModest)
    }

    fn path(&self, path: &RunPath) -> RunPath {
        if self.is(Fault::RunIdsInLowerCase) {
            let lower = path.to_string().to_lowercase();
            lower.parse().unwrap_or_else(|_| path.clone())
        } else {
            path.clone()
        }
    }

    fn stream(&self, stream: HistoryStream) -> HistoryStream {
        if self.is(Fault::OneStream) {
            HistoryStream::Metrics
        } else {
            stream
        }
    }

    fn name(&self, name: &str) -> String {
        match self.fault {
            Fault::NamesMadeLegal => name
                .split('/')
                .filter(|p| !["", ".", ".."].contains(p))
                .collect::<Vec<_>>()
                .join("/"),
            Fault::NamesInLowerCase => name.to_lowercase(),
            _ => name.to_owned(),
        }
    }

    fn range(&self, range: Option<Range<u64>>) -> Option<Range<u64>> {
        range.filter(|_| !self.is(Fault::RangesIgnored))
    }
}

impl fmt::Display for FaultyTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

impl Tracker for FaultyTracker {
    fn capabilities(&self) -> Capabilities {
        if !self.is(Fault::Modest) {
            return Capabilities::all();
        }
        let mut little = Capabilities::default();
        little.value_kinds.insert(ValueKind::F64);
        little
    }
}

fn now<T: Send + 'static>(items: Vec<T>) -> BoxStream<'static, Result<T>> {
    stream::iter(items).map(Ok).boxed()
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "do what this tracker cannot do")
}

/// What a future gives, as a stream.
fn later<T: Send + 'static>(
    items: impl Future<Output = Result<Vec<T>>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    stream::once(items).map_ok(now).try_flatten().boxed()
}

#[async_trait]
impl ProjectStore for FaultyTracker {
    fn projects(&self, entity: Option<&EntityName>) -> BoxStream<'static, Result<Project>> {
        let all = self.inner.projects(entity);
        if self.is(Fault::ProjectsInDisorder) {
            return later(
                all.try_collect()
                    .map(|all: Result<Vec<_>>| all.map(|v| v.into_iter().rev().collect())),
            );
        }
        all
    }

    async fn project(&self, path: &ProjectPath) -> Result<Project> {
        self.inner.project(path).await
    }

    async fn upsert_project(&self, path: &ProjectPath, patch: ProjectPatch) -> Result<Project> {
        self.inner.upsert_project(path, patch).await
    }
}

#[async_trait]
impl RunStore for FaultyTracker {
    async fn upsert_run(
        &self,
        path: &RunPath,
        mut patch: RunPatch,
        mut pre: Precondition,
    ) -> Result<Run> {
        let path = &self.path(path);
        match (self.fault, pre) {
            (Fault::VersionUnchecked, Precondition::Version(_)) => pre = Precondition::Present,
            (Fault::Modest | Fault::SecretlyModest, Precondition::Version(_)) => {
                return Err(unsupported());
            }
            (Fault::MillisecondsOnly, _) => {
                patch.created_at = patch
                    .created_at
                    .map(|t| Timestamp::from_millis(t.as_millis()));
            }
            (Fault::MergeReplaces, _) => {
                if let JsonPatch::Merge { set, .. } = patch.config {
                    patch.config = JsonPatch::Replace(set);
                }
            }
            (Fault::LostUpdates, Precondition::None) => {
                if let Ok(mut run) = self.inner.run(path).await {
                    tokio::task::yield_now().await;
                    patch.apply(&mut run);
                    patch = RunPatch::replacing_all(&run);
                }
            }
            _ => {}
        }
        self.inner.upsert_run(path, patch, pre).await
    }

    async fn run(&self, path: &RunPath) -> Result<Run> {
        self.inner.run(&self.path(path)).await
    }

    fn find_runs(&self, mut query: RunQuery) -> BoxStream<'static, Result<Run>> {
        match self.fault {
            Fault::LimitIgnored => query.limit = None,
            Fault::DeletedListed => query.include_deleted = true,
            Fault::FilterIgnored => query.filter = None,
            Fault::OrderIgnored => query.order = RunOrder::NewestFirst,
            _ => {}
        }
        self.inner.find_runs(query)
    }

    async fn count_runs(&self, query: &RunQuery) -> Result<u64> {
        let mut query = query.clone();
        if self.is(Fault::CountIgnoresFilter) {
            query.filter = None;
        }
        self.inner.count_runs(&query).await
    }

    async fn delete_run(&self, path: &RunPath) -> Result<()> {
        self.inner.delete_run(&self.path(path)).await
    }
}

#[async_trait]
impl HistoryStore for FaultyTracker {
    async fn append(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        at: u64,
        batches: Vec<PointBatch>,
    ) -> Result<u64> {
        let at = if self.is(Fault::GapsAppended) { 0 } else { at };
        self.inner
            .append(&self.path(run), self.stream(stream), at, batches)
            .await
    }

    async fn next_row(&self, run: &RunPath, stream: HistoryStream) -> Result<u64> {
        let run = self.path(run);
        if self.is(Fault::NextRowIsSeries) {
            let series = self.inner.series(&run, stream).await?;
            return Ok(series.iter().map(|s| s.count).max().unwrap_or(0));
        }
        self.inner.next_row(&run, self.stream(stream)).await
    }

    async fn truncate(&self, run: &RunPath, stream: HistoryStream, from_row: u64) -> Result<()> {
        if self.modest() {
            return Err(unsupported());
        }
        let run = self.path(run);
        let from_row = match self.fault {
            Fault::TruncatesAfter => from_row + 1,
            Fault::TruncatesAll => 0,
            _ => from_row,
        };
        self.inner
            .truncate(&run, self.stream(stream), from_row)
            .await
    }

    async fn history_writer(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        token: &str,
    ) -> Result<Box<dyn HistoryWriter>> {
        let token = if self.is(Fault::TokensIgnored) {
            "always"
        } else {
            token
        };
        let inner = self
            .inner
            .history_writer(&self.path(run), self.stream(stream), token)
            .await?;
        let committed = self
            .inner
            .series(&self.path(run), self.stream(stream))
            .await?;
        Ok(Box::new(FaultyWriter {
            inner,
            fault: self.fault,
            committed,
        }))
    }

    async fn series(&self, run: &RunPath, stream: HistoryStream) -> Result<Vec<SeriesInfo>> {
        let mut infos = self
            .inner
            .series(&self.path(run), self.stream(stream))
            .await?;
        if self.is(Fault::NoDigests) || self.modest() {
            infos.iter_mut().for_each(|info| info.digest = None);
        }
        Ok(infos)
    }

    fn scan(
        &self,
        run: &RunPath,
        mut query: HistoryQuery,
    ) -> BoxStream<'static, Result<PointBatch>> {
        query.stream = self.stream(query.stream);
        let run = self.path(run);
        let rows = query.by_rows;
        if self.modest() {
            query.by_rows = false;
            let forget = |mut batch: PointBatch| {
                batch.rows = None;
                batch
            };
            let plain = self.inner.scan(&run, query).map_ok(forget).boxed();
            if !rows {
                return plain;
            }
            let derive = |all: Result<Vec<_>>| all.and_then(group_rows).and_then(split_rows);
            return later(plain.try_collect().map(derive));
        }
        match self.fault {
            Fault::FromIndexIgnored => query.from_index = 0,
            Fault::StepsIgnored => query.steps = None,
            Fault::ByRowsIgnored => query.by_rows = false,
            Fault::KeysArePrefixes => {
                if let Some(keys) = query.keys.take() {
                    let wanted = move |b: &PointBatch| {
                        keys.iter().any(|k| b.key.as_str().starts_with(k.as_str()))
                    };
                    return self
                        .inner
                        .scan(&run, query)
                        .try_filter(move |b| std::future::ready(wanted(b)))
                        .boxed();
                }
            }
            Fault::GroupsUnbounded if rows => {
                let rows = rows_of(self.inner.scan(&run, query)).try_collect::<Vec<_>>();
                return later(rows.map(|rows| {
                    let mut series = std::collections::BTreeMap::new();
                    let mut out = Vec::new();
                    for row in rows? {
                        for (key, value) in row.values {
                            let builder = series
                                .entry(key.clone())
                                .or_insert_with(|| BatchBuilder::new(key));
                            out.extend(builder.push(Some(row.row), row.step, row.time, value));
                        }
                    }
                    out.extend(series.values_mut().filter_map(BatchBuilder::take));
                    out.sort_by_key(|b| b.rows.as_ref().map(|rows| rows[0]));
                    Ok(out)
                }));
            }
            Fault::SeriesByRowsInTurn if rows => {
                let batches = self.inner.scan(&run, query).try_collect::<Vec<_>>();
                return later(batches.map(|batches| {
                    let mut batches = batches?;
                    batches.sort_by(|a, b| a.key.cmp(&b.key));
                    Ok(batches)
                }));
            }
            _ => {}
        }
        self.inner.scan(&run, query)
    }

    async fn sample(&self, run: &RunPath, query: SampleQuery) -> Result<Vec<PointBatch>> {
        let run = self.path(run);
        let samples = query.samples;
        let mut scan = HistoryQuery::new().with_stream(query.stream);
        (scan.keys, scan.steps) = (query.keys.clone(), query.steps.clone());
        match self.fault {
            Fault::SamplesAreAll => self.inner.scan(&run, scan).try_collect().await,
            Fault::SamplesAreTheFirst => {
                let first = |b: PointBatch| b.slice(0, samples);
                self.inner
                    .scan(&run, scan)
                    .map_ok(first)
                    .try_collect()
                    .await
            }
            _ => self.inner.sample(&run, query).await,
        }
    }
}

#[derive(Debug)]
struct FaultyWriter {
    inner: Box<dyn HistoryWriter>,
    fault: Fault,
    committed: Vec<SeriesInfo>,
}

#[async_trait]
impl HistoryWriter for FaultyWriter {
    fn staged(&self) -> &[SeriesInfo] {
        self.inner.staged()
    }

    async fn write(&mut self, at: u64, mut batch: PointBatch) -> Result<()> {
        match self.fault {
            Fault::ZeroWithoutSign => {
                if let Values::F64(values) = &mut batch.values {
                    values
                        .iter_mut()
                        .filter(|x| **x == 0.0)
                        .for_each(|x| *x = 0.0);
                }
            }
            Fault::TimesInMilliseconds => {
                if let Some(times) = &mut batch.times {
                    times.sub_ns = None;
                }
            }
            Fault::KeysTrimmed => batch.key = SeriesKey::from(batch.key.as_str().trim()),
            Fault::RowsForgotten => batch.rows = None,
            Fault::Modest | Fault::SecretlyModest => {
                let rewrites = self
                    .committed
                    .iter()
                    .any(|info| info.key == batch.key && at < info.count);
                if rewrites || batch.values.kind() != ValueKind::F64 {
                    return Err(unsupported());
                }
            }
            _ => {}
        }
        self.inner.write(at, batch).await
    }

    async fn checkpoint(&mut self) -> Result<()> {
        match self.fault {
            Fault::CheckpointsIgnored => Ok(()),
            _ => self.inner.checkpoint().await,
        }
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.inner.commit().await
    }
}

#[async_trait]
impl FileStore for FaultyTracker {
    async fn put_file(
        &self,
        run: &RunPath,
        mut file: FileDraft,
        body: ByteStream,
    ) -> Result<FileInfo> {
        file.name = self.name(&file.name);
        if self.is(Fault::BrokenBodiesKept) {
            let pieces: Vec<Bytes> = body
                .take_while(|p| std::future::ready(p.is_ok()))
                .filter_map(|p| async { p.ok() })
                .collect()
                .await;
            return self
                .inner
                .put_file(&self.path(run), file, bytes_of(pieces.concat()))
                .await;
        }
        self.inner.put_file(&self.path(run), file, body).await
    }

    fn files(&self, run: &RunPath) -> BoxStream<'static, Result<FileInfo>> {
        self.inner.files(&self.path(run))
    }

    async fn open_file(
        &self,
        run: &RunPath,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        self.inner
            .open_file(&self.path(run), &self.name(name), self.range(range))
            .await
    }

    async fn delete_file(&self, run: &RunPath, name: &str) -> Result<()> {
        self.inner
            .delete_file(&self.path(run), &self.name(name))
            .await
    }
}

#[async_trait]
impl CollectionStore for FaultyTracker {
    fn collections(&self, project: &ProjectPath) -> BoxStream<'static, Result<Collection>> {
        self.inner.collections(project)
    }

    async fn collection(&self, path: &CollectionPath) -> Result<Collection> {
        self.inner.collection(path).await
    }

    async fn upsert_collection(
        &self,
        path: &CollectionPath,
        mut patch: CollectionPatch,
    ) -> Result<Collection> {
        if self.modest() && patch.portfolio == Some(true) {
            return Err(unsupported());
        }
        if self.is(Fault::PortfoliosChange) && self.inner.collection(path).await.is_ok() {
            patch.portfolio = None;
        }
        self.inner.upsert_collection(path, patch).await
    }

    async fn delete_collection(&self, path: &CollectionPath) -> Result<()> {
        if self.is(Fault::DeletionsIgnored) {
            return self.inner.collection(path).await.map(drop);
        }
        self.inner.delete_collection(path).await
    }
}

#[async_trait]
impl ArtifactStore for FaultyTracker {
    fn versions(&self, path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>> {
        self.inner.versions(path)
    }

    async fn version(
        &self,
        path: &CollectionPath,
        version: &VersionRef,
    ) -> Result<ArtifactVersion> {
        self.inner.version(path, version).await
    }

    async fn update_version(
        &self,
        path: &CollectionPath,
        index: u64,
        patch: VersionPatch,
    ) -> Result<ArtifactVersion> {
        self.inner.update_version(path, index, patch).await
    }

    async fn artifact_writer(
        &self,
        path: &CollectionPath,
        mut draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>> {
        match self.fault {
            Fault::IndicesIgnored | Fault::Modest | Fault::SecretlyModest => draft.index = None,
            Fault::SourceKeysIgnored => draft.source_key = None,
            Fault::VersionExtrasLost => draft.extras.clear(),
            Fault::IndicesGivenAgain if draft.source_key.is_none() => {
                let versions = self.inner.versions(path).try_collect::<Vec<_>>().await?;
                let next = versions.last().map_or(0, |v| v.index + 1);
                draft.index = draft.index.or(Some(next));
            }
            Fault::AliasesInDrafts => {
                // The aliases leave their version before the new one is there.
                for version in self.inner.versions(path).try_collect::<Vec<_>>().await? {
                    let mut patch = VersionPatch::new();
                    patch.aliases = Some(
                        version
                            .aliases
                            .into_iter()
                            .filter(|a| !draft.aliases.contains(a))
                            .collect(),
                    );
                    self.inner
                        .update_version(path, version.index, patch)
                        .await?;
                }
            }
            _ => {}
        }
        let inner = self.inner.artifact_writer(path, draft).await?;
        Ok(if self.modest() || self.is(Fault::EntryExtrasLost) {
            let modest = self.modest();
            Box::new(FaultyArtifactWriter { inner, modest })
        } else {
            inner
        })
    }

    async fn link_version(
        &self,
        path: &CollectionPath,
        target: &VersionLink,
        draft: LinkDraft,
    ) -> Result<ArtifactVersion> {
        if self.modest() {
            return Err(unsupported());
        }
        let aliases = draft.aliases.clone();
        let mut version = self.inner.link_version(path, target, draft).await?;
        match self.fault {
            Fault::LinkAliasesReplaced => {
                let mut patch = VersionPatch::new();
                patch.aliases = Some(aliases);
                let index = version.index;
                version = self.inner.update_version(path, index, patch).await?;
            }
            Fault::LinksAreVersions => version.link_of = None,
            Fault::LinksOfLinks => version.link_of = Some(target.clone()),
            _ => {}
        }
        Ok(version)
    }

    async fn delete_version(&self, path: &CollectionPath, index: u64) -> Result<()> {
        if self.is(Fault::DeletionsIgnored) {
            let version = VersionRef::Index(index);
            return self.inner.version(path, &version).await.map(drop);
        }
        self.inner.delete_version(path, index).await
    }
}

#[derive(Debug)]
struct FaultyArtifactWriter {
    inner: Box<dyn ArtifactWriter>,
    modest: bool,
}

#[async_trait]
impl ArtifactWriter for FaultyArtifactWriter {
    async fn add(&mut self, mut entry: EntryDraft, content: Content) -> Result<ManifestEntry> {
        match content {
            Content::Stored(_) if self.modest => return Err(unsupported()),
            _ if !self.modest => entry.extras.clear(),
            _ => {}
        }
        self.inner.add(entry, content).await
    }

    async fn commit(self: Box<Self>) -> Result<ArtifactVersion> {
        self.inner.commit().await
    }
}

#[async_trait]
impl ArtifactContents for FaultyTracker {
    fn manifest(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ManifestEntry>> {
        self.inner.manifest(path, index)
    }

    async fn open_entry(
        &self,
        path: &CollectionPath,
        index: u64,
        entry: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        self.inner
            .open_entry(path, index, entry, self.range(range))
            .await
    }
}

#[async_trait]
impl Lineage for FaultyTracker {
    async fn record_use(&self, mut entry: ArtifactUse) -> Result<()> {
        if self.is(Fault::StepsOfUsesLost) {
            entry.step = None;
        }
        self.inner.record_use(entry).await
    }

    fn uses_of_run(&self, run: &RunPath) -> BoxStream<'static, Result<ArtifactUse>> {
        let uses = self.inner.uses_of_run(&self.path(run));
        if self.is(Fault::UsesTwice) {
            let twice = |u: ArtifactUse| now(vec![u.clone(), u]);
            return uses.map_ok(twice).try_flatten().boxed();
        }
        uses
    }

    fn uses_of_version(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ArtifactUse>> {
        self.inner.uses_of_version(path, index)
    }
}

#[async_trait]
impl SweepStore for FaultyTracker {
    async fn upsert_sweep(&self, path: &SweepPath, mut patch: SweepPatch) -> Result<Sweep> {
        if self.modest() {
            return Err(Error::new(ErrorKind::Unsupported, "keep a sweep"));
        }
        if self.is(Fault::SweepTextsLost) {
            patch.config_text = Change::Keep;
        }
        self.inner.upsert_sweep(path, patch).await
    }

    async fn sweep(&self, path: &SweepPath) -> Result<Sweep> {
        self.inner.sweep(path).await
    }

    fn sweeps(&self, project: &ProjectPath) -> BoxStream<'static, Result<Sweep>> {
        match self.fault {
            Fault::SweepsInDisorder => {
                let newest_last = |mut sweeps: Vec<Sweep>| {
                    sweeps.reverse();
                    stream::iter(sweeps).map(Ok)
                };
                let sweeps = self.inner.sweeps(project).try_collect::<Vec<_>>();
                sweeps.map_ok(newest_last).try_flatten_stream().boxed()
            }
            Fault::SweepsOfAllProjects => {
                let inner = self.inner.clone();
                let sweeps = self.inner.projects(None);
                sweeps
                    .map_ok(move |project| inner.sweeps(&project.path))
                    .try_flatten()
                    .boxed()
            }
            _ => self.inner.sweeps(project),
        }
    }

    async fn delete_sweep(&self, path: &SweepPath) -> Result<()> {
        self.inner.delete_sweep(path).await
    }
}

#[async_trait]
impl LogStore for FaultyTracker {
    async fn write_log(&self, run: &RunPath, mut lines: Vec<LogLine>) -> Result<()> {
        if self.modest() {
            return Err(unsupported());
        }
        match self.fault {
            Fault::LogLinesKept => {
                let length = self.inner.log_length(run).await?;
                lines.retain(|line| line.number >= length);
            }
            Fault::LogLabelsLost => lines.iter_mut().for_each(|line| line.label = None),
            Fault::LogHalfWritten => {
                for line in lines {
                    self.inner.write_log(run, vec![line]).await?;
                }
                return Ok(());
            }
            _ => {}
        }
        self.inner.write_log(&self.path(run), lines).await
    }

    fn log_lines(
        &self,
        run: &RunPath,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Vec<LogLine>>> {
        let range = self.range(Some(range)).unwrap_or(0..u64::MAX);
        self.inner.log_lines(&self.path(run), range)
    }

    async fn log_length(&self, run: &RunPath) -> Result<u64> {
        if self.is(Fault::LogLengthIsCount) {
            let lines = self.inner.log_lines(run, 0..u64::MAX);
            let add = |sum, lines: Vec<LogLine>| async move { Ok(sum + lines.len() as u64) };
            return lines.try_fold(0, add).await;
        }
        self.inner.log_length(&self.path(run)).await
    }
}

#[async_trait]
impl ReportStore for FaultyTracker {
    async fn upsert_report(&self, path: &ReportPath, mut patch: ReportPatch) -> Result<Report> {
        if self.modest() {
            return Err(unsupported());
        }
        if let (Some(spec), true) = (&mut patch.spec, self.is(Fault::ReportSpecsTidied)) {
            *spec = spec.trim().to_owned();
        }
        self.inner.upsert_report(path, patch).await
    }

    async fn report(&self, path: &ReportPath) -> Result<Report> {
        self.inner.report(path).await
    }

    fn reports(&self, project: &ProjectPath) -> BoxStream<'static, Result<Report>> {
        let reports = self.inner.reports(project);
        if self.is(Fault::ReportsInDisorder) {
            let all = reports.try_collect::<Vec<_>>();
            return later(all.map_ok(|all| all.into_iter().rev().collect()));
        }
        reports
    }

    async fn delete_report(&self, path: &ReportPath) -> Result<()> {
        self.inner.delete_report(path).await
    }
}

#[async_trait]
impl ContentStore for FaultyTracker {
    async fn put_content(&self, body: ByteStream) -> Result<Digests> {
        if self.modest() {
            return Err(unsupported());
        }
        if self.is(Fault::ContentsForgotten) {
            let mut hasher = ContentHasher::new();
            let pieces: Vec<Bytes> = body.try_collect().await?;
            pieces.iter().for_each(|piece| hasher.update(piece));
            return Ok(hasher.finish());
        }
        self.inner.put_content(body).await
    }

    async fn open_content(
        &self,
        digests: &Digests,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        if self.modest() {
            return Err(unsupported());
        }
        self.inner.open_content(digests, self.range(range)).await
    }
}
