//! Turning the points that a writer takes into segments.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use tracker_model::{PointBatch, Result, SeriesHasher, SeriesInfo, SeriesKey};

use super::{
    index::{Course, Part, Shape, shape_of},
    scan::Plan,
    segment::{SegmentBody, SegmentFile},
    view::View,
};
use crate::{catalog::segments, error::unexpected, store::Inner};

/// Points that wait to be written, with the index of the first of each batch.
pub(crate) type Buffer = BTreeMap<SeriesKey, Vec<(u64, PointBatch)>>;

/// The digest of a longer series is not continued when points are added to it.
pub(crate) const REREAD: u64 = 4 << 20;

/// Hashers that are kept for series which may go on. Each takes 2 KiB.
const HASHERS: usize = 2048;

/// A finished segment that nobody knows of yet.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) body: SegmentBody,
    pub(crate) bytes: u64,
    pub(crate) points: u64,
    pub(crate) parts: Vec<Part>,
}

/// Writes segments of one history, on threads that may block.
pub(crate) struct Encoder {
    inner: Arc<Inner>,
    /// What was there before.
    base: View,
    series: HashMap<SeriesKey, State>,
    /// The series that have a hasher, the oldest first.
    hashed: VecDeque<SeriesKey>,
    last_key: Option<SeriesKey>,
    segment: Option<SegmentFile>,
    /// Whether what is known of the series is known elsewhere.
    merging: bool,
}

/// A series as far as it is written.
struct State {
    info: SeriesInfo,
    course: Course,
    long_last: bool,
    hasher: Option<Box<SeriesHasher>>,
    /// Whether it is among [`Encoder::hashed`].
    queued: bool,
}

impl Encoder {
    pub(crate) fn new(inner: Arc<Inner>, base: View) -> Self {
        Self {
            inner,
            base,
            series: HashMap::new(),
            hashed: VecDeque::new(),
            last_key: None,
            segment: None,
            merging: false,
        }
    }

    /// Puts segments together that go on from `base`: what is known of their series does not
    /// change, and need not be found out again by reading what comes before.
    pub(crate) fn merging(inner: Arc<Inner>, base: View) -> Self {
        Self {
            merging: true,
            ..Self::new(inner, base)
        }
    }

    /// Writes points, sorted by series.
    pub(crate) fn write(&mut self, buffer: Buffer) -> Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let batches = buffer.values().flatten();
        let points = batches.map(|(_, batch)| batch.len()).sum();
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => none.insert(SegmentFile::create(&self.inner.storage)?),
        };
        segment.expect(points);
        for (key, batches) in buffer {
            self.write_series(&key, &batches)?;
        }
        // Long texts do not wait in memory for more.
        self.segment.as_mut().map_or(Ok(()), SegmentFile::flush)
    }

    fn write_series(&mut self, key: &SeriesKey, batches: &[(u64, PointBatch)]) -> Result<()> {
        let Some((from, _)) = batches.first() else {
            return Ok(());
        };
        let mut state = match self.series.remove(key) {
            Some(state) if state.info.count == *from => state,
            _ => self.begin_series(key, *from)?,
        };
        let Some(segment) = &mut self.segment else {
            return Err(unexpected("write a history: no segment was begun"));
        };
        if self.last_key.as_ref() != Some(key) {
            segment.next_series()?;
            self.last_key = Some(key.clone());
        }
        let mut shape = Shape::default();
        let mut count = 0;
        for (_, batch) in batches {
            segment.write(batch)?;
            if let Some(hasher) = &mut state.hasher {
                hasher.update(batch);
            }
            state.observe(batch);
            if !batch.is_empty() {
                shape.extend(shape_of(batch));
            }
            count += batch.len() as u64;
        }
        state.info.digest = state.hasher.as_mut().map(|h| h.digest());
        segment.end_part(Part {
            line: 0,
            count,
            from: *from,
            shape,
            course: state.course,
            long_last: state.long_last,
            info: state.info.clone(),
        });
        self.park(key, state);
        Ok(())
    }

    /// Keeps the state of a series for its next points, in little memory.
    fn park(&mut self, key: &SeriesKey, mut state: State) {
        if let Some(hasher) = &mut state.hasher {
            // A clone leaves the buffer behind.
            **hasher = SeriesHasher::clone(hasher);
        }
        if state.hasher.is_some() && !state.queued {
            state.queued = true;
            self.hashed.push_back(key.clone());
        }
        self.series.insert(key.clone(), state);
        while self.hashed.len() > HASHERS {
            let Some(oldest) = self.hashed.pop_front() else {
                break;
            };
            if let Some(state) = self.series.get_mut(&oldest) {
                state.hasher = None;
            }
        }
    }

    /// The state of a series whose points before `from` are there already.
    fn begin_series(&self, key: &SeriesKey, from: u64) -> Result<State> {
        let fresh = State {
            info: SeriesInfo::new(key.clone()),
            course: Course::default(),
            long_last: false,
            hasher: Some(Box::default()),
            queued: false,
        };
        if from == 0 {
            return Ok(fresh);
        }
        let Some(base) = self.base.series.get(key) else {
            return Err(unexpected(format!(
                "write a history: series {key:?} begins at point {from}"
            )));
        };
        if from == base.info.count && (self.merging || from > REREAD) {
            return Ok(State {
                info: base.info.clone(),
                course: base.course,
                long_last: base.long_last,
                hasher: None,
                queued: false,
            });
        }
        let mut state = fresh;
        let keys = BTreeSet::from([key.clone()]);
        let mut plan = Plan::new(&self.base, Some(&keys), 0..from);
        segments::load_data(&self.inner.catalog, &mut plan)?;
        for batch in plan.open(&self.inner.storage)? {
            let batch = batch?;
            if let Some(hasher) = &mut state.hasher {
                hasher.update(&batch);
            }
            state.observe(&batch);
        }
        Ok(state)
    }

    /// Ends the present segment, if anything was written.
    pub(crate) fn seal(&mut self) -> Result<Option<Sealed>> {
        let Some(segment) = self.segment.take() else {
            return Ok(None);
        };
        self.last_key = None;
        let points = segment.lines();
        let (body, bytes, parts) = segment.finish()?;
        Ok(Some(Sealed {
            body,
            bytes,
            points,
            parts,
        }))
    }
}

impl State {
    fn observe(&mut self, batch: &PointBatch) {
        self.info.observe(batch);
        self.course.observe(batch);
        self.long_last &= batch.is_empty();
    }
}
