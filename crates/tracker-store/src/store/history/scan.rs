//! Reading histories.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Range, RangeInclusive},
};

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::task::JoinHandle;
use tracker_model::{ErrorKind, HistoryQuery, PointBatch, Result, RunPath, SeriesKey};

use crate::{
    catalog::{runs, segments, tail},
    error::{corrupt, unexpected},
    history::{
        Batches, Buffer, Course, Inputs, Lanes, MAX_LANES, Numbering, Plan, View, by_rows,
        by_series, is_small, lane_points, select,
    },
    store::{EmbeddedStore, Inner, blocking},
};

/// Points and bytes that are read at once.
const CHUNK: usize = 65_536;
const CHUNK_BYTES: usize = 4 << 20;

/// How often a scan begins anew when a file that it was to read has just been replaced.
const TRIES: usize = 3;

pub(super) fn scan(
    store: EmbeddedStore,
    run: RunPath,
    query: HistoryQuery,
) -> BoxStream<'static, Result<PointBatch>> {
    stream::once(async move {
        for _ in 0..TRIES {
            let (inner, run, query) = (store.inner(), run.clone(), query.clone());
            let begin = move || match open(&inner, &run, &query)? {
                Some(batches) => chunk(batches).map(Some),
                None => Ok(None),
            };
            if let Some(first) = blocking("read a history", begin).await? {
                return Ok(ahead(first));
            }
        }
        Err(corrupt(format!(
            "the files of the history of run {run} are missing"
        )))
    })
    .try_flatten()
    .boxed()
}

/// The points of a query, read when they are asked for; `None` if a file is gone.
fn open(inner: &Inner, run: &RunPath, query: &HistoryQuery) -> Result<Option<Batches>> {
    let keys = query
        .keys
        .as_ref()
        .map(|keys| keys.iter().cloned().collect::<BTreeSet<_>>());
    let indices = query.from_index..u64::MAX;
    let (view, tail, plan) = inner.catalog.read_now("read a history", |c| {
        let run = runs::require(c, run)?;
        let view = segments::view(c, run, query.stream, None)?;
        let tail = by_series(tail::read(c, run, query.stream)?, &view);
        let mut plan = Plan::new(&view, keys.as_ref(), indices.clone());
        segments::fill(c, &mut plan)?;
        Ok((view, tail, plan))
    })?;
    let tail_points = tail
        .values()
        .flatten()
        .map(|(_, batch)| batch.len() as u64)
        .sum::<u64>();
    let steps = query.steps.as_ref();
    let mut inputs = Inputs::new(&inner.storage);
    let mut points = 0;
    let opened = plan.within(steps, &mut inputs).and_then(|plan| {
        points = plan.points() + tail_points;
        plan.open_in(&mut inputs, CHUNK)
    });
    let scan = match opened {
        // A commit elsewhere has just replaced the file.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        scan => scan?,
    };
    if query.by_rows
        && !is_small(points)
        && let Some(lanes) = lanes(&view, &tail, keys.as_ref(), query, &mut inputs)?
    {
        return Ok(Some(Box::new(lanes)));
    }
    let scan = scan.chain(select(tail, keys.as_ref(), &indices).into_iter().map(Ok));
    let scan = within(scan, query.steps.clone());
    if query.by_rows {
        by_rows(scan, points, &inner.storage.tmp()).map(Some)
    } else {
        Ok(Some(scan))
    }
}

/// Readers of the series side by side, if each is in order of rows by itself.
fn lanes(
    view: &View,
    tail: &Buffer,
    keys: Option<&BTreeSet<SeriesKey>>,
    query: &HistoryQuery,
    inputs: &mut Inputs,
) -> Result<Option<Lanes>> {
    let mut courses: BTreeMap<&SeriesKey, Course> = BTreeMap::new();
    let wanted = |key: &SeriesKey| keys.is_none_or(|keys| keys.contains(key));
    courses.extend(
        view.series
            .iter()
            .filter(|(key, _)| wanted(key))
            .map(|(key, s)| (key, s.course)),
    );
    for (key, batches) in tail.iter().filter(|(key, _)| wanted(key)) {
        let course = courses.entry(key).or_default();
        batches.iter().for_each(|(_, batch)| course.observe(batch));
    }
    let ordered = courses
        .values()
        .all(|c| c.is_numbered() || c.is_derivable());
    if courses.len() > MAX_LANES || !ordered {
        return Ok(None);
    }
    let (mut given, mut derived) = (Vec::new(), Vec::new());
    let points = lane_points(courses.len());
    let indices: Range<u64> = query.from_index..u64::MAX;
    for (key, course) in courses {
        let only = BTreeSet::from([key.clone()]);
        let sealed = Plan::new(view, Some(&only), indices.clone())
            .within(query.steps.as_ref(), inputs)?
            .open_in(inputs, points)?;
        let live = tail
            .get_key_value(key)
            .map(|(key, batches)| (key.clone(), batches.clone()));
        let live = select(live.into_iter().collect(), None, &indices);
        let lane = within(sealed.chain(live.into_iter().map(Ok)), query.steps.clone());
        if course.is_numbered() {
            &mut given
        } else {
            &mut derived
        }
        .push(lane);
    }
    let given = Lanes::new(given, Numbering::Given);
    Ok(Some(given.then(Lanes::new(derived, Numbering::Derived))))
}

/// The points whose step is in the range.
fn within(
    batches: impl Iterator<Item = Result<PointBatch>> + Send + 'static,
    steps: Option<RangeInclusive<i64>>,
) -> Batches {
    let Some(steps) = steps else {
        return Box::new(batches);
    };
    Box::new(batches.filter_map(move |batch| {
        let points = match &batch {
            Ok(points) if !points.steps.iter().all(|s| steps.contains(s)) => points,
            _ => return Some(batch),
        };
        let kept = points.filter(|i| points.steps.get(i).is_some_and(|s| steps.contains(s)));
        (!kept.is_empty()).then_some(Ok(kept))
    }))
}

/// Batches that were read, and those that come after them.
type Chunk = (Vec<PointBatch>, Option<Batches>);

/// Reads the next chunk.
fn chunk(mut batches: Batches) -> Result<Chunk> {
    let (mut chunk, mut points, mut bytes) = (Vec::new(), 0, 0);
    for batch in batches.by_ref() {
        let batch = batch?;
        points += batch.len();
        bytes += batch.weight();
        chunk.push(batch);
        if points >= CHUNK || bytes >= CHUNK_BYTES {
            return Ok((chunk, Some(batches)));
        }
    }
    Ok((chunk, None))
}

/// Batches as a stream, read a chunk ahead on a thread that may block.
fn ahead((first, rest): Chunk) -> BoxStream<'static, Result<PointBatch>> {
    fn next(batches: Batches) -> JoinHandle<Result<Chunk>> {
        tokio::task::spawn_blocking(move || chunk(batches))
    }
    let rest = stream::try_unfold(rest.map(next), |task| async move {
        let Some(task) = task else { return Ok(None) };
        let ended = |e| unexpected("read a history: the thread ended").with_source(e);
        let (chunk, batches) = task.await.map_err(ended)??;
        Ok::<_, tracker_model::Error>(Some((
            stream::iter(chunk.into_iter().map(Ok)),
            batches.map(next),
        )))
    });
    stream::iter(first.into_iter().map(Ok))
        .chain(rest.try_flatten())
        .boxed()
}
