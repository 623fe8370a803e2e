use std::collections::BTreeMap;

use futures::TryStreamExt;

use super::{BatchBuilder, HistoryQuery, PointBatch, SampleQuery, SeriesKey, Value};
use crate::{HistoryStore, Result, RunPath, Timestamp};

#[derive(Clone)]
struct Point {
    row: Option<u64>,
    step: i64,
    time: Option<Timestamp>,
    value: Value,
}

/// The least and the greatest point of a bucket, with their indices.
#[derive(Default)]
struct Bucket {
    low: Option<(u64, f64, Point)>,
    high: Option<(u64, f64, Point)>,
    first: Option<(u64, Point)>,
}

struct Thinner {
    /// How many points are looked at; what comes later was logged meanwhile.
    count: u64,
    /// How many points one bucket has; 0 if there are no buckets.
    per_bucket: u64,
    /// Whether all points are kept.
    whole: bool,
    seen: u64,
    bucket: Bucket,
    kept: Vec<(u64, Point)>,
    last: Option<(u64, Point)>,
}

impl Thinner {
    fn new(count: u64, samples: usize) -> Self {
        let samples = samples as u64;
        // The first and the last point, and two of each bucket between them.
        let buckets = samples.saturating_sub(2) / 2;
        Self {
            count,
            per_bucket: if buckets == 0 {
                0
            } else {
                count.div_ceil(buckets)
            },
            whole: count <= samples,
            seen: 0,
            bucket: Bucket::default(),
            kept: Vec::new(),
            last: None,
        }
    }

    fn push(&mut self, point: Point, number: Option<f64>) {
        let i = self.seen;
        if i >= self.count {
            return;
        }
        self.seen += 1;
        if i == 0 || self.whole {
            self.kept.push((i, point.clone()));
        }
        if self.whole {
            return;
        }
        self.last = Some((i, point.clone()));
        if self.per_bucket == 0 {
            return;
        }
        match number.filter(|x| !x.is_nan()) {
            Some(x) => {
                if self.bucket.low.as_ref().is_none_or(|(_, y, _)| x < *y) {
                    self.bucket.low = Some((i, x, point.clone()));
                }
                if self.bucket.high.as_ref().is_none_or(|(_, y, _)| x > *y) {
                    self.bucket.high = Some((i, x, point));
                }
            }
            None if self.bucket.first.is_none() => self.bucket.first = Some((i, point)),
            None => {}
        }
        if self.seen.is_multiple_of(self.per_bucket) {
            self.close();
        }
    }

    fn close(&mut self) {
        let Bucket { low, high, first } = std::mem::take(&mut self.bucket);
        let extremes = [low, high].into_iter().flatten().map(|(i, _, p)| (i, p));
        let before = self.kept.len();
        self.kept.extend(extremes);
        if self.kept.len() == before {
            self.kept.extend(first);
        }
    }

    fn finish(mut self, key: SeriesKey) -> Vec<PointBatch> {
        self.close();
        self.kept.extend(self.last.take());
        self.kept.sort_by_key(|(i, _)| *i);
        self.kept.dedup_by_key(|(i, _)| *i);
        let mut builder = BatchBuilder::new(key);
        let mut out: Vec<PointBatch> = self
            .kept
            .into_iter()
            .filter_map(|(_, p)| builder.push(p.row, p.step, p.time, p.value))
            .collect();
        out.extend(builder.take());
        out
    }
}

/// [`HistoryStore::sample`] by one scan of the series, in memory that depends on the number of
/// samples alone. A series that has no more points than `samples` comes whole.
///
/// # Errors
/// Those of [`HistoryStore::series`] and [`HistoryStore::scan`].
pub async fn sample_by_scan<S: HistoryStore + ?Sized>(
    store: &S,
    run: &RunPath,
    query: SampleQuery,
) -> Result<Vec<PointBatch>> {
    let mut thinners: BTreeMap<SeriesKey, Thinner> = BTreeMap::new();
    for info in store.series(run, query.stream).await? {
        if query
            .keys
            .as_ref()
            .is_none_or(|keys| keys.contains(&info.key))
        {
            thinners.insert(info.key, Thinner::new(info.count, query.samples.max(2)));
        }
    }
    let scan = HistoryQuery {
        stream: query.stream,
        keys: query.keys,
        steps: query.steps,
        ..HistoryQuery::default()
    };
    let mut batches = store.scan(run, scan);
    while let Some(batch) = batches.try_next().await? {
        // A key that appeared after the series were listed is not in this sample.
        let Some(thinner) = thinners.get_mut(&batch.key) else {
            continue;
        };
        for i in 0..batch.len() {
            let (Some(step), Some(value)) = (batch.steps.get(i), batch.values.get(i)) else {
                continue;
            };
            let point = Point {
                row: batch.rows.as_ref().and_then(|r| r.get(i)).copied(),
                step: *step,
                time: batch.times.as_ref().map(|t| t.get(i)),
                value,
            };
            thinner.push(point, batch.values.number(i));
        }
    }
    Ok(thinners
        .into_iter()
        .flat_map(|(key, thinner)| thinner.finish(key))
        .collect())
}
