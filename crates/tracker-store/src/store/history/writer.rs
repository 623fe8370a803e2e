use std::{collections::HashMap, fmt, sync::Arc};

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tracker_model::{
    Error, HistoryStream, HistoryWriter, PointBatch, Precondition, Result, RunPatch, RunPath,
    SeriesInfo, SeriesKey,
};

use super::seal;
use crate::{
    catalog::{
        Catalog, runs,
        segments::{self, NewSegment},
        tail,
    },
    error::{Doing, unexpected},
    history::{Buffer, Encoder, Sealed, SegmentBody, View, encode, push_joined},
    storage::{NamedLock, Storage},
    store::{EmbeddedStore, Inner, blocking, runs::upsert},
};

/// A batch of more bytes than any column can hold.
const MAX_BATCH_BYTES: usize = 1 << 30;

/// Writes one history. While it encodes what it has, it takes more.
pub(super) struct StoreWriter {
    inner: Arc<Inner>,
    run: RunPath,
    id: i64,
    stream: HistoryStream,
    token: String,
    staged: Vec<SeriesInfo>,
    has_staged: bool,
    /// What was committed and staged when this writer began.
    before: HashMap<SeriesKey, Next>,
    next: HashMap<SeriesKey, Next>,
    buffer: Buffer,
    buffered: usize,
    encoder: Working,
    /// Every change to the catalog has it too, until it is committed: it may outlive this writer.
    lock: Arc<NamedLock>,
}

/// What is there when a writer begins.
struct Before {
    has_tail: bool,
    /// Whether something is staged under other tokens.
    has_others: bool,
    view: View,
}

impl Before {
    fn read(catalog: &Catalog, run: i64, stream: HistoryStream, token: &str) -> Result<Self> {
        catalog.read_now("open a history", |c| {
            Ok(Self {
                has_tail: tail::streams(c, run)?.contains(&stream),
                has_others: segments::has_other_staged(c, run, stream, token)?,
                view: segments::view(c, run, stream, Some(token))?,
            })
        })
    }
}

/// Where a series goes on.
#[derive(Clone, Copy)]
struct Next {
    index: u64,
    last_row: Option<u64>,
}

enum Working {
    Idle(Box<Encoder>),
    Busy(JoinHandle<Result<Box<Encoder>>>),
    /// An earlier call failed, and what it had is lost.
    Failed,
}

impl fmt::Debug for StoreWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreWriter")
            .field("run", &self.run)
            .field("stream", &self.stream)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl StoreWriter {
    pub(super) async fn open(
        store: &EmbeddedStore,
        run: &RunPath,
        stream: HistoryStream,
        token: &str,
    ) -> Result<Self> {
        store.catalog().check_writable()?;
        let inner = store.inner();
        let (reader, path, wanted) = (Arc::clone(&inner), run.clone(), token.to_owned());
        let open = blocking("open a history", move || {
            let catalog = &reader.catalog;
            let id = catalog.read_now("open a history", |c| runs::require(c, &path))?;
            let name = Storage::history_lock(id, segments::stream_number(stream));
            let what = format_args!("the history of run {path}");
            let lock = NamedLock::take(&reader.storage, &name, what)?;
            Ok((id, lock, Before::read(catalog, id, stream, &wanted)?))
        });
        let (id, lock, mut before) = open.await?;
        let lock = Arc::new(lock);
        if before.has_tail {
            seal::seal_locked(&inner, &lock, run, id, stream).await?;
            let (reader, wanted) = (Arc::clone(&inner), token.to_owned());
            let read = move || Before::read(&reader.catalog, id, stream, &wanted);
            before = blocking("open a history", read).await?;
        }
        let view = before.view;
        if before.has_others {
            let but = token.to_owned();
            let drop = move |c: &_| segments::drop_staged(c, id, stream, Some(&but));
            let paths = store.catalog().write("open a history", drop).await?;
            remove_files(&inner, paths).await;
        }
        let has_staged = view.segments.iter().any(|s| s.staged);
        let is_staged = |i: usize| view.segments.get(i).is_some_and(|s| s.staged);
        let staged = view
            .series
            .values()
            .filter(|s| s.extents.iter().any(|e| is_staged(e.segment)));
        let staged = staged.map(|s| s.info.clone()).collect();
        let before = view.series.iter();
        let before = before
            .map(|(key, s)| {
                (
                    key.clone(),
                    Next {
                        index: s.info.count,
                        last_row: s.course.last_row,
                    },
                )
            })
            .collect();
        Ok(Self {
            encoder: Working::Idle(Box::new(Encoder::new(Arc::clone(&inner), view))),
            inner,
            run: run.clone(),
            id,
            stream,
            token: token.to_owned(),
            staged,
            has_staged,
            before,
            next: HashMap::new(),
            buffer: Buffer::new(),
            buffered: 0,
            lock,
        })
    }

    /// Checks where a batch belongs, and notes where its series goes on.
    fn accept(&mut self, at: u64, batch: &PointBatch) -> Result<()> {
        if batch.weight() > MAX_BATCH_BYTES {
            return Err(Error::invalid(format!(
                "a batch of {:?} is larger than 1 GiB",
                batch.key
            )));
        }
        let (index, last_row) = match (self.next.get(&batch.key), self.before.get(&batch.key)) {
            (Some(next), _) if next.index != at => {
                return Err(gap(&batch.key, next.index, at));
            }
            (Some(next), _) => (at, next.last_row),
            (None, before) => {
                let count = before.map_or(0, |b| b.index);
                if at > count {
                    return Err(gap(&batch.key, count, at));
                }
                // What comes before a point that is replaced is not known here.
                (
                    at,
                    before.filter(|b| b.index == at).and_then(|b| b.last_row),
                )
            }
        };
        let first = batch.rows.as_ref().and_then(|rows| rows.first());
        if let (Some(first), Some(last)) = (first, last_row)
            && *first <= last
        {
            return Err(Error::invalid(format!(
                "the rows of {:?} do not ascend: {first} follows {last}",
                batch.key
            )));
        }
        let last_row = batch
            .rows
            .as_ref()
            .and_then(|rows| rows.last())
            .copied()
            .or(last_row);
        self.next.insert(
            batch.key.clone(),
            Next {
                index: index + batch.len() as u64,
                last_row,
            },
        );
        Ok(())
    }

    /// The encoder, when it has done what it is doing.
    async fn idle(&mut self) -> Result<Box<Encoder>> {
        if let Working::Busy(task) = &mut self.encoder {
            let ended = |e| unexpected("write a history: the thread ended").with_source(e);
            let done = task.await.map_err(ended).and_then(|done| done);
            match done {
                Ok(encoder) => self.encoder = Working::Idle(encoder),
                Err(e) => {
                    self.encoder = Working::Failed;
                    return Err(self.cause(e).await);
                }
            }
        }
        match std::mem::replace(&mut self.encoder, Working::Failed) {
            Working::Idle(encoder) => Ok(encoder),
            _ => Err(unexpected(format!(
                "write the history of run {}: an earlier write failed",
                self.run
            ))),
        }
    }

    /// What a failure to encode comes from: perhaps all of the run is gone.
    async fn cause(&mut self, e: Error) -> Error {
        let (run, id) = (self.run.clone(), self.id);
        let read = move |c: &_| require_id(c, &run, id);
        let there = self.inner.catalog.read("write a history", read).await;
        there.err().unwrap_or(e)
    }

    /// Begins to encode what is buffered.
    async fn flush(&mut self) -> Result<()> {
        let mut encoder = self.idle().await?;
        let buffer = std::mem::take(&mut self.buffer);
        self.buffered = 0;
        self.encoder = Working::Busy(tokio::task::spawn_blocking(move || {
            encoder.write(buffer)?;
            Ok(encoder)
        }));
        Ok(())
    }

    /// Ends the present segment, and gives its file a name.
    async fn seal(&mut self) -> Result<Option<NewSegment>> {
        let mut encoder = self.idle().await?;
        let buffer = std::mem::take(&mut self.buffer);
        self.buffered = 0;
        let (inner, run) = (Arc::clone(&self.inner), self.run.clone());
        let work = blocking("write a history", move || {
            encoder.write(buffer)?;
            let sealed = encoder.seal()?;
            let named = sealed
                .map(|s| publish(&inner.storage, &run, s))
                .transpose()?;
            Ok((encoder, named))
        });
        match work.await {
            Ok((encoder, named)) => {
                self.encoder = Working::Idle(encoder);
                Ok(named)
            }
            Err(e) => Err(self.cause(e).await),
        }
    }
}

/// Gives the bytes of a segment their place, durably.
pub(super) fn publish(storage: &Storage, run: &RunPath, sealed: Sealed) -> Result<NewSegment> {
    let parts = encode(&sealed.parts)?;
    let (path, data) = match sealed.body {
        SegmentBody::Inline(data) => (None, Some(data)),
        SegmentBody::File(draft) => {
            let path = format!(
                "{}/{}.parquet",
                Storage::run_folder(run),
                uuid::Uuid::now_v7()
            );
            draft.publish(&storage.history().join(&path))?;
            (Some(path), None)
        }
    };
    Ok(NewSegment {
        path,
        data,
        bytes: sealed.bytes,
        points: sealed.points,
        parts,
    })
}

/// Removes files that nothing names any more. What cannot be removed is left for gc.
pub(in crate::store) async fn remove_files(inner: &Arc<Inner>, paths: Vec<String>) {
    if paths.is_empty() {
        return;
    }
    let inner = Arc::clone(inner);
    let remove = blocking("remove histories", move || {
        for path in paths {
            let path = inner.storage.history().join(path);
            std::fs::remove_file(&path).doing(format_args!("remove {}", path.display()))?;
            // The folders of a run that is gone; those in use are not empty.
            for dir in path.ancestors().skip(1).take(3) {
                if std::fs::remove_dir(dir).is_err() {
                    break;
                }
            }
        }
        Ok(())
    });
    if let Err(e) = remove.await {
        tracing::warn!(error = %e, "left for gc");
    }
}

fn gap(key: &SeriesKey, next: u64, at: u64) -> Error {
    Error::invalid(format!(
        "the points of {key:?} must go on at index {next}, not {at}"
    ))
}

#[async_trait]
impl HistoryWriter for StoreWriter {
    fn staged(&self) -> &[SeriesInfo] {
        &self.staged
    }

    async fn write(&mut self, at: u64, batch: PointBatch) -> Result<()> {
        if matches!(self.encoder, Working::Failed) {
            return self.idle().await.map(drop);
        }
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        // Half of the memory waits here, the other half is being encoded.
        if self.buffered > 0
            && self.buffered + batch.weight()
                > self.inner.options.history_buffer_bytes.max(1 << 20) / 3
        {
            self.flush().await?;
        }
        self.accept(at, &batch)?;
        // What is joined to others takes no more than its points.
        self.buffered += batch.weight() + 16;
        push_joined(self.buffer.entry(batch.key.clone()).or_default(), at, batch);
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<()> {
        let Some(segment) = self.seal().await? else {
            return Ok(());
        };
        let (run, id, stream, token) = (self.run.clone(), self.id, self.stream, self.token.clone());
        let lock = Arc::clone(&self.lock);
        let stage = move |c: &_| {
            require_id(c, &run, id)?;
            segments::insert(c, id, stream, Some(&token), &segment)?;
            Ok(lock)
        };
        self.inner.catalog.write("write a history", stage).await?;
        self.has_staged = true;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.show(None).await.map(drop)
    }

    async fn commit_with(self: Box<Self>, change: RunPatch) -> Result<Option<RunPatch>> {
        self.show(Some(change)).await
    }
}

impl StoreWriter {
    /// Shows what was written and changes the run in one transaction; answers with the change if
    /// there was nothing to show.
    async fn show(mut self: Box<Self>, change: Option<RunPatch>) -> Result<Option<RunPatch>> {
        let segment = self.seal().await?;
        if segment.is_none() && !self.has_staged {
            return Ok(change);
        }
        let (run, id, stream, token) = (self.run.clone(), self.id, self.stream, self.token.clone());
        let last_row = self
            .next
            .values()
            .chain(self.before.values())
            .filter_map(|n| n.last_row)
            .max();
        let lock = Arc::clone(&self.lock);
        let show = move |c: &_| {
            require_id(c, &run, id)?;
            segments::show(c, id, stream, &token)?;
            if let Some(segment) = &segment {
                segments::insert(c, id, stream, None, segment)?;
            }
            tail::rows_committed(c, id, stream, last_row)?;
            let mut files = Vec::new();
            if segments::count(c, id, stream)?.0 > 1 {
                let view = segments::view(c, id, stream, None)?;
                for segment in view
                    .replaced()
                    .into_iter()
                    .filter_map(|i| view.segments.get(i))
                {
                    files.extend(segments::remove(c, segment.id)?);
                }
            }
            let ended = match change {
                Some(change) => upsert(c, run, change, Precondition::None)?.ended_live,
                None => false,
            };
            Ok((lock, files, seal::is_simple(c, id, stream)?, ended))
        };
        let (_, files, simple, ended) = self.inner.catalog.write("commit a history", show).await?;
        remove_files(&self.inner, files).await;
        if !simple
            && let Err(e) =
                seal::compact_locked(&self.inner, &self.lock, &self.run, self.id, self.stream).await
        {
            tracing::warn!(run = %self.run, error = %e, "the history stays in many segments for now");
        }
        if ended {
            let store = EmbeddedStore {
                inner: Arc::clone(&self.inner),
            };
            let run = self.run.clone();
            drop(self);
            store.try_seal(&run).await;
        }
        Ok(None)
    }
}

/// Fails if the run was deleted meanwhile, even if there is another one with its name.
pub(super) fn require_id(
    c: &rusqlite::Connection,
    run: &RunPath,
    id: i64,
) -> crate::catalog::Outcome<()> {
    if runs::require(c, run)? == id {
        Ok(())
    } else {
        Err(Error::not_found(format_args!("run {run}")).into())
    }
}
