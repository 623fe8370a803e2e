use std::{collections::BTreeMap, fmt::Debug, task::Poll};

use futures::{TryStreamExt, stream::BoxStream};

use crate::{
    BatchBuilder, ByteStream, ErrorKind, HistoryQuery, HistoryStream, MAX_BATCH_POINTS, PointBatch,
    Precondition, Result, Run, RunPatch, RunPath, SeriesHasher, SeriesInfo, SeriesKey, Timestamp,
    Tracker, Value, ValueKinds, collect_bytes,
};

pub(super) fn run_path(id: &str) -> RunPath {
    format!("local/conformance/{id}").parse().unwrap()
}

pub(super) async fn new_run(tracker: &dyn Tracker, id: &str) -> RunPath {
    let path = run_path(id);
    upsert(tracker, &path, RunPatch::new()).await;
    path
}

pub(super) async fn upsert(tracker: &dyn Tracker, path: &RunPath, patch: RunPatch) -> Run {
    tracker
        .upsert_run(path, patch, Precondition::None)
        .await
        .expect("the run can be written")
}

/// The kind of the error that the call must end with.
#[track_caller]
pub(super) fn kind<T: Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("the call is refused").kind()
}

/// All that a stream gives.
pub(super) async fn list<T>(stream: BoxStream<'static, Result<T>>) -> Vec<T> {
    stream.try_collect().await.expect("the stream ends well")
}

/// The kind of the error that the stream must end with.
pub(super) async fn list_kind<T: Debug>(stream: BoxStream<'static, Result<T>>) -> ErrorKind {
    kind(stream.try_collect::<Vec<_>>().await)
}

pub(super) async fn bytes(stream: Result<ByteStream>) -> Vec<u8> {
    collect_bytes(stream.expect("the contents open"), usize::MAX)
        .await
        .expect("the contents are read")
}

/// A body that fails after some bytes.
pub(super) fn broken_body(piece: &'static [u8]) -> ByteStream {
    use futures::StreamExt;
    let failure = crate::Error::new(ErrorKind::Unavailable, "read the test's body");
    futures::stream::iter([Ok(bytes::Bytes::from_static(piece)), Err(failure)]).boxed()
}

/// A point, to be compared bit by bit.
#[derive(Clone)]
pub(super) struct Point {
    pub(super) row: Option<u64>,
    pub(super) step: i64,
    pub(super) time: Option<Timestamp>,
    pub(super) value: Value,
}

pub(super) fn point(row: Option<u64>, step: i64, ms: i64, value: Value) -> Point {
    Point {
        row,
        step,
        time: Some(Timestamp::from_millis(ms)),
        value,
    }
}

/// A series of doubles with times, without rows: the steps from `from` to `to`.
pub(super) fn ramp(from: i64, to: i64) -> Vec<Point> {
    #[allow(clippy::cast_precision_loss)]
    let value = |i: i64| Value::F64(i as f64 / 7.0);
    (from..to)
        .map(|i| point(None, i, 1_700_000_000_000 + 10 * i, value(i)))
        .collect()
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.value, &other.value) {
            (Value::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        };
        same && (self.row, self.step, self.time) == (other.row, other.step, other.time)
    }
}

impl Debug for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            row,
            step,
            time,
            value,
        } = self;
        match value {
            Value::F64(x) => write!(f, "({row:?} {step} {time:?} {x:?}={:x})", x.to_bits()),
            value => write!(f, "({row:?} {step} {time:?} {value:.80?})"),
        }
    }
}

/// Batches of points, cut where `cut` says so and where they must be.
pub(super) fn batches(
    key: &str,
    points: &[Point],
    mut cut: impl FnMut(usize) -> bool,
) -> Vec<PointBatch> {
    let mut builder = BatchBuilder::new(key.into());
    let mut out = Vec::new();
    for (i, p) in points.iter().enumerate() {
        if cut(i) {
            out.extend(builder.take());
        }
        out.extend(builder.push(p.row, p.step, p.time, p.value.clone()));
    }
    out.extend(builder.take());
    out
}

/// Writes whole series, one after the other, each from an index on, and commits.
pub(super) async fn write(
    tracker: &dyn Tracker,
    run: &RunPath,
    series: &[(&str, u64, Vec<Point>)],
) {
    let mut writer = tracker
        .history_writer(run, HistoryStream::Metrics, "write")
        .await
        .expect("a writer opens");
    for (key, from, points) in series {
        let mut at = *from;
        for batch in batches(key, points, |_| false) {
            let next = at + batch.len() as u64;
            writer.write(at, batch).await.expect("points are written");
            at = next;
        }
    }
    writer.commit().await.expect("the history is committed");
}

pub(super) fn points_of(batch: &PointBatch) -> Vec<Point> {
    let point = |i: usize| Point {
        row: batch.rows.as_ref().map(|rows| rows[i]),
        step: batch.steps[i],
        time: batch.times.as_ref().map(|times| times.get(i)),
        value: batch.values.get(i).unwrap(),
    };
    (0..batch.len()).map(point).collect()
}

/// The batches of a scan, which must be sound.
pub(super) async fn scan(
    tracker: &dyn Tracker,
    run: &RunPath,
    query: HistoryQuery,
) -> Vec<PointBatch> {
    let batches = list(tracker.scan(run, query)).await;
    for batch in &batches {
        batch.check().expect("a batch of a scan is sound");
        assert!(
            batch.len() <= MAX_BATCH_POINTS,
            "a scan sends {} points at once",
            batch.len()
        );
    }
    batches
}

/// The points that a query gives, by series.
pub(super) async fn read(
    tracker: &dyn Tracker,
    run: &RunPath,
    query: HistoryQuery,
) -> BTreeMap<SeriesKey, Vec<Point>> {
    let mut out: BTreeMap<SeriesKey, Vec<Point>> = BTreeMap::new();
    for batch in scan(tracker, run, query).await {
        out.entry(batch.key.clone())
            .or_default()
            .extend(points_of(&batch));
    }
    out.retain(|_, points| !points.is_empty());
    out
}

/// All points of one series.
pub(super) async fn read_one(tracker: &dyn Tracker, run: &RunPath, key: &str) -> Vec<Point> {
    read(tracker, run, HistoryQuery::new().with_keys([key]))
        .await
        .remove(key)
        .unwrap_or_default()
}

/// What must be known of a series with these points.
fn expected(key: &SeriesKey, points: &[Point]) -> SeriesInfo {
    let mut info = SeriesInfo::new(key.clone());
    let mut hasher = SeriesHasher::default();
    for batch in batches(key.as_str(), points, |_| false) {
        info.observe(&batch);
        hasher.update(&batch);
    }
    info.digest = Some(hasher.digest());
    info
}

/// Checks that the run has exactly these series, in what is said of them and in their points.
pub(super) async fn check_history<'a>(
    tracker: &dyn Tracker,
    run: &RunPath,
    series: impl IntoIterator<Item = (&'a str, Vec<Point>)>,
) {
    let wanted: BTreeMap<SeriesKey, Vec<Point>> = series
        .into_iter()
        .map(|(key, points)| (SeriesKey::from(key), points))
        .collect();
    let infos = tracker
        .series(run, HistoryStream::Metrics)
        .await
        .expect("the series are listed");
    assert_eq!(
        infos.iter().map(|info| &info.key).collect::<Vec<_>>(),
        wanted.keys().collect::<Vec<_>>(),
        "the series of {run}, by key"
    );
    for (info, (key, points)) in infos.iter().zip(&wanted) {
        let expected = expected(key, points);
        let place = format!("of series {key:?} of {run}");
        assert_eq!(
            (info.count, info.kinds, info.rows),
            (expected.count, expected.kinds, expected.rows),
            "what is known {place}"
        );
        // The rest is told where the tracker knows it, and then it is true.
        assert!(
            info.steps.is_none() || info.steps == expected.steps,
            "steps {:?} {place}",
            info.steps
        );
        assert!(
            info.times.is_none() || info.times == expected.times,
            "times {:?} {place}",
            info.times
        );
        assert!(
            info.range.is_none() || info.range == expected.range,
            "range {:?} {place}",
            info.range
        );
        let last = |value: &Value| Point {
            row: None,
            step: 0,
            time: None,
            value: value.clone(),
        };
        assert!(
            info.last.is_none() || info.last.as_ref().map(last) == expected.last.as_ref().map(last),
            "last value {:?} {place}",
            info.last
        );
        if tracker.capabilities().series_digests {
            assert_eq!(info.digest, expected.digest, "digest {place}");
        }
    }
    let read = read(tracker, run, HistoryQuery::new()).await;
    assert_eq!(
        read.keys().collect::<Vec<_>>(),
        wanted.keys().collect::<Vec<_>>(),
        "the scanned series of {run}"
    );
    for (key, points) in &wanted {
        check_points(&read[key], points, &format!("series {key:?} of {run}"));
    }
}

/// Compares points, and tells the first that differs rather than all of them.
#[track_caller]
pub(super) fn check_points(there: &[Point], wanted: &[Point], place: &str) {
    for (i, (a, b)) in there.iter().zip(wanted).enumerate() {
        assert_eq!(a, b, "point {i} of {place}");
    }
    assert_eq!(there.len(), wanted.len(), "how many points {place} has");
}

/// Pseudo-random numbers, the same ones every time.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Lets others work for a while.
pub(super) async fn turns(count: usize) {
    for _ in 0..count {
        let mut waited = false;
        futures::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut waited, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// Whether histories hold any value, in the order of logging and with rows.
pub(super) fn keeps_everything(tracker: &dyn Tracker) -> bool {
    let can = tracker.capabilities();
    can.logged_order && can.value_kinds == ValueKinds::all()
}
