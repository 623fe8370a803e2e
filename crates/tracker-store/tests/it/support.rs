use futures::{Stream, TryStreamExt};
use tempfile::TempDir;
use tracker_model::{
    BatchBuilder, HistoryQuery, HistoryStore, HistoryStream, PointBatch, Precondition, Result,
    RunPatch, RunPath, RunStore, SeriesKey, Timestamp, Value,
};
use tracker_store::{EmbeddedStore, StoreOptions};

pub(crate) struct Place {
    pub(crate) store: EmbeddedStore,
    pub(crate) dir: TempDir,
}

pub(crate) async fn store() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), StoreOptions::new())
        .await
        .unwrap();
    Place { store, dir }
}

pub(crate) fn run(text: &str) -> RunPath {
    text.parse().unwrap()
}

pub(crate) async fn with_run(store: &EmbeddedStore, text: &str) -> RunPath {
    let path = run(text);
    store
        .upsert_run(&path, RunPatch::new(), Precondition::None)
        .await
        .unwrap();
    path
}

pub(crate) async fn all<T>(stream: impl Stream<Item = Result<T>>) -> Vec<T> {
    stream.try_collect().await.unwrap()
}

pub(crate) type Point = (Option<u64>, i64, Option<Timestamp>, Value);

pub(crate) fn batches(key: &str, points: impl IntoIterator<Item = Point>) -> Vec<PointBatch> {
    let mut builder = BatchBuilder::new(SeriesKey::from(key));
    let mut out: Vec<_> = points
        .into_iter()
        .filter_map(|(r, s, t, v)| builder.push(r, s, t, v))
        .collect();
    out.extend(builder.take());
    out
}

pub(crate) fn points(batch: &PointBatch) -> impl Iterator<Item = Point> {
    (0..batch.len()).map(|i| {
        let row = batch.rows.as_ref().map(|r| r[i]);
        (
            row,
            batch.steps[i],
            batch.times.as_ref().map(|t| t.get(i)),
            batch.values.get(i).unwrap(),
        )
    })
}

/// All points of one series as text, so that NaN equals itself and 0.0 differs from -0.0.
pub(crate) async fn series(store: &EmbeddedStore, run: &RunPath, key: &str) -> Vec<String> {
    let query = HistoryQuery::new().with_keys([key]);
    let batches = all(store.scan(run, query)).await;
    assert!(
        batches
            .iter()
            .all(|b| b.key.as_str() == key && b.check().is_ok())
    );
    batches.iter().flat_map(points).map(|p| text(&p)).collect()
}

pub(crate) fn text((row, step, time, value): &Point) -> String {
    let value = match value {
        Value::F64(x) => format!("f64 {:016x}", x.to_bits()),
        other => format!("{other:?}"),
    };
    format!("{row:?} {step} {time:?} {value}")
}

pub(crate) async fn write(
    store: &EmbeddedStore,
    run: &RunPath,
    key: &str,
    at: u64,
    points: Vec<Point>,
) {
    let mut writer = store
        .history_writer(run, HistoryStream::Metrics, "t")
        .await
        .unwrap();
    let mut at = at;
    for batch in batches(key, points) {
        let n = batch.len() as u64;
        writer.write(at, batch).await.unwrap();
        at += n;
    }
    writer.commit().await.unwrap();
}
