//! From the live tail to sealed history, and from many segments to few.

use std::{collections::BTreeSet, sync::Arc};

use rusqlite::Connection;
use tracker_model::{HistoryStream, PointBatch, Result, RunPath};

use super::writer::{publish, remove_files, require_id};
use crate::{
    catalog::{Outcome, runs, segments, tail},
    history::{Buffer, Encoder, Plan, REREAD, Sealed, Series, TailChunk, View, by_series},
    storage::{NamedLock, Storage},
    store::{EmbeddedStore, Inner, blocking},
};

/// Points of a tail that make it worth sealing.
pub(super) const SEAL_FROM: u64 = 65_536;

/// More segments are made fewer, so many of them at least.
const MAX_SEGMENTS: usize = 12;
const MERGE: usize = 8;

/// Parts of fewer points, on average, are put together: each costs a place to read.
const SMALL_PART: u64 = 2048;
const SCATTERED: usize = 4096;

/// One segment of fewer points is as it should be.
const SIMPLE: u64 = 65_536;

impl EmbeddedStore {
    /// Seals what was appended to a run: it moves from the catalog to Parquet. This happens by
    /// itself when there is much of it and when the run ends. Does nothing where somebody writes.
    ///
    /// # Errors
    /// `NotFound` without the run, `StorageFull`, `Unavailable`.
    pub async fn seal(&self, run: &RunPath) -> Result<()> {
        let path = run.clone();
        let find = move |c: &_| {
            let id = runs::require(c, &path)?;
            Ok((id, tail::streams(c, id)?))
        };
        let (id, streams) = self.catalog().read("seal a history", find).await?;
        for stream in streams {
            let (inner, name) = (
                self.inner(),
                Storage::history_lock(id, segments::stream_number(stream)),
            );
            let lock = blocking("lock a history", move || {
                NamedLock::try_take(&inner.storage, &name)
            })
            .await?;
            if let Some(lock) = lock.map(Arc::new) {
                seal_locked(&self.inner(), &lock, run, id, stream).await?;
                compact_locked(&self.inner(), &lock, run, id, stream).await?;
            }
        }
        Ok(())
    }

    /// [`Self::seal`] where the caller's work is done whether or not it succeeds.
    pub(in crate::store) async fn try_seal(&self, run: &RunPath) {
        if let Err(e) = self.seal(run).await {
            tracing::warn!(%run, error = %e, "the history stays unsealed for now");
        }
    }
}

/// Seals the tail of a history whose lock the caller has.
pub(super) async fn seal_locked(
    inner: &Arc<Inner>,
    lock: &Arc<NamedLock>,
    run: &RunPath,
    id: i64,
    stream: HistoryStream,
) -> Result<()> {
    let read = move |c: &_| {
        Ok((
            segments::view(c, id, stream, None)?,
            tail::read(c, id, stream)?,
        ))
    };
    let (view, chunks) = inner.catalog.read("seal a history", read).await?;
    let Some(last) = chunks.last().map(|chunk: &TailChunk| chunk.id) else {
        return Ok(());
    };
    let (worker, path) = (Arc::clone(inner), run.clone());
    let work = blocking("seal a history", move || {
        let points = by_series(chunks, &view);
        let mut encoder = Encoder::new(Arc::clone(&worker), view);
        encoder.write(points)?;
        encoder
            .seal()?
            .map(|sealed| publish(&worker.storage, &path, sealed))
            .transpose()
    });
    let Some(segment) = work.await? else {
        return Ok(());
    };
    let path = run.clone();
    let held = Arc::clone(lock);
    let register = move |c: &_| {
        require_id(c, &path, id)?;
        // What is staged was to go on from what was sealed before.
        let files = segments::drop_staged(c, id, stream, None)?;
        segments::insert(c, id, stream, None, &segment)?;
        tail::cut(c, id, stream, last)?;
        Ok((held, files))
    };
    let (_, files) = inner.catalog.write("seal a history", register).await?;
    remove_files(inner, files).await;
    Ok(())
}

/// Puts segments together where there are many, or their parts are small, in a history whose lock
/// the caller has.
pub(super) async fn compact_locked(
    inner: &Arc<Inner>,
    lock: &Arc<NamedLock>,
    run: &RunPath,
    id: i64,
    stream: HistoryStream,
) -> Result<()> {
    let read = move |c: &_| {
        if is_simple(c, id, stream)? {
            Ok(None)
        } else {
            segments::view(c, id, stream, None).map(Some)
        }
    };
    let view = inner.catalog.read("put a history together", read).await?;
    let Some(view) = view else { return Ok(()) };
    let Some(first) = first_to_merge(&view) else {
        return Ok(());
    };
    let replaced: Vec<i64> = view.segments.iter().skip(first).map(|s| s.id).collect();
    let (worker, path) = (Arc::clone(inner), run.clone());
    let work = blocking("put a history together", move || {
        let sealed = merge(&worker, &view, first)?;
        sealed
            .map(|sealed| publish(&worker.storage, &path, sealed))
            .transpose()
    });
    let Some(segment) = work.await? else {
        return Ok(());
    };
    let path = run.clone();
    let held = Arc::clone(lock);
    let register = move |c: &_| {
        require_id(c, &path, id)?;
        let mut files = Vec::new();
        for segment in replaced {
            files.extend(segments::remove(c, segment)?);
        }
        segments::insert(c, id, stream, None, &segment)?;
        Ok((held, files))
    };
    let (_, files) = inner
        .catalog
        .write("put a history together", register)
        .await?;
    remove_files(inner, files).await;
    Ok(())
}

/// Whether there is surely nothing to put together.
pub(super) fn is_simple(c: &Connection, run: i64, stream: HistoryStream) -> Outcome<bool> {
    let (segments, points) = segments::count(c, run, stream)?;
    Ok(segments < 2 && points < SIMPLE)
}

/// The first of the segments that are to become one; those behind it go along.
fn first_to_merge(view: &View) -> Option<usize> {
    let extents: usize = view.series.values().map(|s| s.extents.len()).sum();
    let points: u64 = view.series.values().map(|s| s.info.count).sum();
    let scattered =
        extents > 4 * view.series.len() && points / (extents as u64).max(1) < SMALL_PART;
    // So many series went on side by side that their digests were not kept up.
    let undigested = |s: &Series| s.info.digest.is_none() && s.info.count <= REREAD;
    if (extents > SCATTERED && scattered) || view.series.values().any(undigested) {
        return Some(0);
    }
    let n = view.segments.len();
    if n <= MAX_SEGMENTS {
        return None;
    }
    // The newest ones, and older ones as long as these are not much larger than all newer ones
    // together: so every point is moved a few times only.
    let points = |i: usize| view.segments.get(i).map_or(0, |s| s.points);
    let mut first = n;
    let mut sum = 0;
    while first > 0 && (n - first < MERGE || points(first - 1) <= 2 * sum) {
        first -= 1;
        sum += points(first);
    }
    Some(first)
}

/// Writes what is seen of the segments from `first` on as one segment.
fn merge(inner: &Arc<Inner>, view: &View, first: usize) -> Result<Option<Sealed>> {
    let mut encoder = Encoder::merging(Arc::clone(inner), view.below(first));
    copy(inner, view, first, &mut encoder, |batch| batch)?;
    let mut sealed = encoder.seal()?;
    for part in sealed.iter_mut().flat_map(|s| &mut s.parts) {
        // Nothing has changed but the place of the points.
        if let Some(s) = view.series.get(part.key())
            && (part.info.digest.is_none() || s.info.digest.is_some())
        {
            part.info = s.info.clone();
            part.long_last = s.long_last;
            part.course = s.course;
        }
    }
    Ok(sealed)
}

/// Writes what is seen of the segments from `first` on, and kept of each batch, some series at a
/// time.
pub(super) fn copy(
    inner: &Inner,
    view: &View,
    first: usize,
    encoder: &mut Encoder,
    keep: impl Fn(PointBatch) -> PointBatch,
) -> Result<()> {
    let budget = (inner.options.history_buffer_bytes / 4).max(256 << 10);
    let (bytes, points) = view
        .segments
        .iter()
        .fold((0, 0), |(b, p), s| (b + s.bytes, p + s.points));
    // Texts take in memory about what they take in the file, compressed some times.
    let per_point = (4 * bytes / points.max(1)).max(64);
    let mut keys = BTreeSet::new();
    let mut weight = 0;
    let mut series = view.series.iter().peekable();
    while let Some((key, s)) = series.next() {
        let count: u64 = s
            .extents
            .iter()
            .filter(|e| e.segment >= first)
            .map(|e| e.count)
            .sum();
        if count > 0 {
            keys.insert(key.clone());
            weight += count * per_point;
        }
        let full = weight >= budget as u64 || series.peek().is_none();
        if full && !keys.is_empty() {
            let mut plan = Plan::of_segments(view, &keys, first);
            segments::load_data(&inner.catalog, &mut plan)?;
            let mut buffer = Buffer::new();
            let mut buffered = 0;
            let mut next: std::collections::HashMap<_, u64> = std::collections::HashMap::new();
            for batch in plan.open(&inner.storage)? {
                let batch = keep(batch?);
                if batch.is_empty() {
                    continue;
                }
                let at = next
                    .entry(batch.key.clone())
                    .or_insert_with(|| view.begin(&batch.key, first));
                buffered += batch.weight();
                let points = batch.len() as u64;
                let series = buffer.entry(batch.key.clone()).or_default();
                series.push((*at, batch));
                *at += points;
                if keys.len() == 1 && buffered >= budget {
                    encoder.write(std::mem::take(&mut buffer))?;
                    buffered = 0;
                }
            }
            encoder.write(buffer)?;
            keys.clear();
            weight = 0;
        }
    }
    Ok(())
}
