use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tracker_model::{Result, SeriesDigest, SeriesHasher, SeriesKey};

use super::{Fsck, ProblemKind, Stop};
use crate::{
    catalog::{
        audit::{self, HistoryKey},
        segments, tail,
    },
    history::{self, Part, Plan, Segment, View},
};

const PAGE: usize = 200;

/// Series whose digests are computed at once.
const SERIES: usize = 1024;

const HINT: &str = "import the run again, or restore the store from a copy";

impl Fsck {
    pub(super) fn histories(&mut self) -> Result<(), Stop> {
        let mut after = (0, -1);
        loop {
            let page = self
                .inner
                .catalog
                .read_now("list histories", |c| audit::histories(c, after, PAGE))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = (last.run, last.stream);
            for key in page {
                self.history(&key)?;
            }
            self.progress()?;
        }
    }

    fn history(&mut self, key: &HistoryKey) -> Result<(), Stop> {
        let found = self
            .inner
            .catalog
            .read_now("read a history", |c| audit::segments_of(c, key))?;
        let mut view = View::default();
        let mut whole = true;
        for (segment, parts) in found {
            self.report.segments += 1;
            let (id, staged) = (segment.id, segment.staged);
            let checked = parts.and_then(|parts| {
                self.segment(&segment, &parts)?;
                if whole && !staged {
                    view.push(segment, parts)
                } else {
                    Ok(())
                }
            });
            if let Err(e) = checked
                && self.is_there(key, id)?
            {
                whole = false;
                self.problem(
                    ProblemKind::History,
                    format_args!("run {}", key.path),
                    e,
                    HINT,
                )?;
            }
        }
        self.report.points += view.series.values().map(|s| s.info.count).sum::<u64>();
        self.tail(key)?;
        if whole && self.options.read_data {
            self.read_series(key, &view)?;
        }
        Ok(())
    }

    /// Whether a segment is still there: its run may have been deleted, or its history written
    /// anew, since it was listed.
    fn is_there(&self, key: &HistoryKey, segment: i64) -> Result<bool, Stop> {
        let now = self
            .inner
            .catalog
            .read_now("read a history", |c| audit::segments_of(c, key))?;
        Ok(now.iter().any(|(s, _)| s.id == segment))
    }

    /// Compares a segment with its index, by the file's size and end alone.
    fn segment(&mut self, segment: &Segment, parts: &[Part]) -> Result<()> {
        let mut segment = segment.clone();
        if segment.path.is_none() {
            let id = segment.id;
            let data = self
                .inner
                .catalog
                .read_now("read a history", |c| audit::data_of(c, id))?;
            segment.data = data.map(Bytes::from);
        }
        history::check_segment(&self.inner.storage, &segment, parts)
    }

    fn tail(&mut self, key: &HistoryKey) -> Result<(), Stop> {
        let Some(stream) = key.stream() else {
            return Ok(());
        };
        match self
            .inner
            .catalog
            .read_now("read a history", |c| tail::read(c, key.run, stream))
        {
            Ok(chunks) => {
                let points = chunks
                    .iter()
                    .flat_map(|c| &c.batches)
                    .map(|b| b.len() as u64);
                self.report.points += points.sum::<u64>();
                Ok(())
            }
            Err(e) => self.problem(
                ProblemKind::History,
                format_args!("run {}", key.path),
                e,
                HINT,
            ),
        }
    }

    fn read_series(&mut self, key: &HistoryKey, view: &View) -> Result<(), Stop> {
        self.report.bytes_read += view.segments.iter().map(|s| s.bytes).sum::<u64>();
        let keys: Vec<&SeriesKey> = view.series.keys().collect();
        for some in keys.chunks(SERIES) {
            let some: BTreeSet<SeriesKey> = some.iter().map(|key| (*key).clone()).collect();
            match self.digests(view, &some) {
                Ok(real) => {
                    for name in &some {
                        let Some(known) = view.series.get(name).map(|s| &s.info) else {
                            continue;
                        };
                        let (count, digest) = real.get(name).copied().unwrap_or_default();
                        let same =
                            count == known.count && known.digest.is_none_or(|d| Some(d) == digest);
                        if !same {
                            let message =
                                format!("the points of {name:?} are not those that were written");
                            self.problem(
                                ProblemKind::History,
                                format_args!("run {}", key.path),
                                message,
                                HINT,
                            )?;
                        }
                    }
                }
                Err(e) => {
                    let mut all_there = true;
                    for segment in &view.segments {
                        all_there &= self.is_there(key, segment.id)?;
                    }
                    if all_there {
                        self.problem(
                            ProblemKind::History,
                            format_args!("run {}", key.path),
                            e,
                            HINT,
                        )?;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn digests(
        &self,
        view: &View,
        keys: &BTreeSet<SeriesKey>,
    ) -> Result<BTreeMap<SeriesKey, (u64, Option<SeriesDigest>)>> {
        let mut plan = Plan::new(view, Some(keys), 0..u64::MAX);
        segments::load_data(&self.inner.catalog, &mut plan)?;
        let mut hashers: BTreeMap<SeriesKey, SeriesHasher> = BTreeMap::new();
        let mut last: Option<SeriesKey> = None;
        for batch in plan.open(&self.inner.storage)? {
            let batch = batch?;
            if let Some(before) = last
                .filter(|last| *last != batch.key)
                .and_then(|last| hashers.get_mut(&last))
            {
                // A clone leaves the buffer behind.
                before.digest();
                *before = before.clone();
            }
            hashers.entry(batch.key.clone()).or_default().update(&batch);
            last = Some(batch.key);
        }
        Ok(hashers
            .into_iter()
            .map(|(key, mut h)| (key, (h.count(), Some(h.digest()))))
            .collect())
    }
}
