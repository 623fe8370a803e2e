use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use tracker_model::{
    HistoryStream, JsonObject, PointBatch, Result, SeriesDigest, SeriesHasher, SeriesInfo,
    SeriesKey,
};

use super::{account::Account, job::Job};
use crate::{
    Event, Finding, Kind, LedgerEntry, LedgerKey, PointItem, PointsQuery, RunRef, SeriesWriter,
};

/// What the source sent of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceSeries {
    pub(crate) count: u64,
    pub(crate) digest: SeriesDigest,
}

/// What came of the points of a run.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) series: BTreeMap<SeriesKey, SourceSeries>,
    pub(super) summary: JsonObject,
    pub(super) findings: Vec<Finding>,
    /// Whether anything was written.
    pub(super) changed: bool,
    /// How many points had been committed by an earlier import, and are the same.
    known: u64,
}

/// A series on its way: what the target has of it is compared, what is new is written.
struct Progress {
    sent: SeriesHasher,
    /// How many points the target has, and their digest.
    there: Option<(u64, SeriesDigest)>,
    /// The target has other points than the source.
    differs: bool,
}

impl Progress {
    /// The part of the batch that the target does not have, and its place in the series.
    fn take(&mut self, batch: PointBatch) -> Option<(u64, PointBatch)> {
        let start = self.sent.count();
        let Some((count, digest)) = self.there.filter(|(count, _)| start < *count) else {
            self.sent.update(&batch);
            return (!self.differs).then_some((start, batch));
        };
        let known = usize::try_from(count - start)
            .unwrap_or(usize::MAX)
            .min(batch.len());
        self.sent.update_range(&batch, 0, known);
        if self.sent.count() == count {
            self.differs = self.sent.digest() != digest;
        }
        if known == batch.len() {
            return None;
        }
        self.sent.update_range(&batch, known, batch.len());
        (!self.differs).then(|| (count, batch.slice(known, batch.len())))
    }
}

/// What a cut-off import of the same run left, and how this one leaves it.
pub(super) struct Resume<'a> {
    pub(super) key: LedgerKey,
    /// What the other import told of the same run in the same place.
    pub(super) left: Option<&'a LedgerEntry>,
    /// An entry of the ledger that is not done, for this one to complete.
    pub(super) unfinished: LedgerEntry,
}

/// Reads a history of a run and writes the points that the target does not have.
pub(super) async fn copy(
    job: &Job,
    run: &RunRef,
    stream: HistoryStream,
    writer: &mut dyn SeriesWriter,
    resume: Option<&Resume<'_>>,
) -> Result<Copied> {
    let mut there: BTreeMap<SeriesKey, SeriesInfo> = writer
        .committed()
        .iter()
        .chain(writer.staged())
        .map(|s| (s.key.clone(), s.clone()))
        .collect();
    let staged: BTreeSet<SeriesKey> = writer.staged().iter().map(|s| s.key.clone()).collect();
    let mut copied = Copied {
        changed: !staged.is_empty(),
        ..Copied::default()
    };
    let mut query = PointsQuery::of(stream);
    // Series that an import which was cut off had staged whole need not be read again.
    if let Some(left) = resume.and_then(|resume| resume.left) {
        for key in left.staged.iter().map(SeriesKey::from) {
            let info = there.get(&key).filter(|_| staged.contains(&key));
            if let Some((count, digest)) = info.and_then(|s| Some((s.count, s.digest?))) {
                copied
                    .series
                    .insert(key.clone(), SourceSeries { count, digest });
                query.except.insert(key);
            }
        }
        copied.summary = left.summary.clone();
    }
    let in_turn = job.source.capabilities().series_in_turn;
    let mut series: BTreeMap<SeriesKey, Progress> = BTreeMap::new();
    let mut since = 0;
    let mut points = job.source.points(run, query);
    while let Some(item) = points.try_next().await? {
        let batch = match item {
            PointItem::Batch(batch) => batch,
            PointItem::Summary(part) => {
                copied.summary.extend(part);
                continue;
            }
            PointItem::Finding(finding) => {
                copied.findings.push(finding);
                continue;
            }
        };
        batch.check()?;
        job.observer.on(&Event::Points(batch.len() as u64));
        let key = batch.key.clone();
        if !series.contains_key(&key) {
            let there = match there.remove(&key) {
                Some(info) => known(job, run, stream, info, &staged).await?,
                None => None,
            };
            series.insert(
                key.clone(),
                Progress {
                    sent: SeriesHasher::default(),
                    there,
                    differs: false,
                },
            );
        }
        let Some(progress) = series.get_mut(&key) else {
            continue;
        };
        if let Some((at, new)) = progress.take(batch) {
            since += new.len() as u64;
            copied.changed = true;
            writer.points(at, new).await?;
        }
        if since >= job.options.checkpoint {
            since = 0;
            writer.checkpoint().await?;
            // What was found in a series is told only when it is read, so it is read again.
            if let Some(resume) = resume.filter(|_| in_turn && copied.findings.is_empty()) {
                let whole = series.keys().filter(|k| **k != key);
                let staged = whole
                    .chain(copied.series.keys())
                    .map(ToString::to_string)
                    .collect();
                let entry = LedgerEntry {
                    staged,
                    summary: copied.summary.clone(),
                    ..resume.unfinished.clone()
                };
                job.ledger
                    .settle(job.source.id(), &resume.key, entry)
                    .await?;
            }
        }
    }
    drop(points);
    let other: BTreeSet<SeriesKey> = series
        .iter()
        .filter(|(_, p)| p.differs || p.there.is_some_and(|(count, _)| p.sent.count() < count))
        .map(|(key, _)| key.clone())
        .collect();
    copied.known = series
        .iter()
        .filter(|(key, p)| !p.differs && !staged.contains(*key) && !other.contains(*key))
        .filter_map(|(_, p)| p.there.map(|(count, _)| count))
        .sum();
    copied.series.extend(series.into_iter().map(|(key, mut p)| {
        let sent = SourceSeries {
            count: p.sent.count(),
            digest: p.sent.digest(),
        };
        (key, sent)
    }));
    if !other.is_empty() {
        rewrite(job, run, stream, writer, other, &mut copied).await?;
    }
    Ok(copied)
}

/// How many points of a series the target has, and their digest.
async fn known(
    job: &Job,
    run: &RunRef,
    stream: HistoryStream,
    info: SeriesInfo,
    staged: &BTreeSet<SeriesKey>,
) -> Result<Option<(u64, SeriesDigest)>> {
    if info.count == 0 {
        return Ok(None);
    }
    if let Some(digest) = info.digest {
        return Ok(Some((info.count, digest)));
    }
    if staged.contains(&info.key) {
        // Staged points cannot be read back: they are written anew.
        return Ok(None);
    }
    let path = job.target(run).await?;
    let mut hasher = SeriesHasher::default();
    let mut batches = job.sink.points(&path, stream, vec![info]);
    while let Some(batch) = batches.try_next().await? {
        hasher.update(&batch);
    }
    Ok(Some((hasher.count(), hasher.digest())))
}

/// Writes series anew whose points at the source are not those that the target has: points came
/// in between, or went.
async fn rewrite(
    job: &Job,
    run: &RunRef,
    stream: HistoryStream,
    writer: &mut dyn SeriesWriter,
    keys: BTreeSet<SeriesKey>,
    copied: &mut Copied,
) -> Result<()> {
    let mut series: BTreeMap<SeriesKey, SeriesHasher> = BTreeMap::new();
    let rewritable = job.sink.capabilities().rewrite_history;
    let mut points = job.source.points(
        run,
        PointsQuery {
            only: Some(keys),
            ..PointsQuery::of(stream)
        },
    );
    while let Some(item) = points.try_next().await? {
        // Findings and the summary came with the first reading.
        let PointItem::Batch(batch) = item else {
            continue;
        };
        let hasher = series.entry(batch.key.clone()).or_default();
        let at = hasher.count();
        hasher.update(&batch);
        if rewritable {
            copied.changed = true;
            writer.points(at, batch).await?;
        }
    }
    for (key, mut hasher) in series {
        let sent = SourceSeries {
            count: hasher.count(),
            digest: hasher.digest(),
        };
        if rewritable {
            copied.series.insert(key, sent);
        } else {
            copied.series.remove(&key);
            let place = format!("run {}, {key:?}", run.id);
            let reason = "points were inserted before points that the target has, and it cannot change those";
            copied
                .findings
                .push(Finding::lost(Kind::Points, place, reason).times(sent.count));
        }
    }
    Ok(())
}

impl Copied {
    /// Counts what arrived and what was there.
    pub(super) fn count(&self, account: &mut Account) {
        let sent: u64 = self.series.values().map(|s| s.count).sum();
        account.arrived(Kind::Points, sent - self.known.min(sent));
        account.skipped(Kind::Points, self.known.min(sent));
    }
}
