//! How fast history is written and read, beside plain Parquet with the same columns.
//!
//! Prints one JSON document a line: `name`, `unit`, and the figure of each of the `rounds`. With a
//! folder as its argument it makes a store and a plain file there, for commands to be measured with,
//! and measures the plain file alone.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, TimestampMillisecondArray,
    types::Int32Type,
};
use futures::TryStreamExt;
use parquet::{
    arrow::{ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::WriterProperties,
};
use tracker_model::{
    HistoryQuery, HistoryStore, HistoryStream, PointBatch, Precondition, RunPatch, RunPath,
    RunStore, Times, Values,
};
use tracker_store::{EmbeddedStore, StoreOptions};

const SERIES: usize = 10;
const POINTS: usize = 1_000_000;
const BATCH: usize = 50_000;
const ROUNDS: usize = 5;
const TOTAL: f64 = (SERIES * POINTS) as f64;

#[tokio::main]
async fn main() {
    let data: Vec<PointBatch> = (0..SERIES).flat_map(batches).collect();
    if let Some(path) = std::env::args_os().nth(1) {
        return keep(Path::new(&path), &data).await;
    }
    let mut figures: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for round in 0..=ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let measured = measure(folder.path(), &data).await;
        // The first round warms the caches.
        if round > 0 {
            for (name, unit, figure) in measured {
                figures.entry((name, unit)).or_default().push(figure);
            }
        }
    }
    for ((name, unit), rounds) in figures {
        println!("{{\"name\":{name:?},\"unit\":{unit:?},\"rounds\":{rounds:?}}}");
    }
}

async fn measure(folder: &Path, data: &[PointBatch]) -> Vec<(&'static str, &'static str, f64)> {
    let home = folder.join("store");
    let (store, run) = new_store(&home).await;
    let start = Instant::now();
    write(&store, &run, data).await;
    let written = start.elapsed();

    let (all_file, one_file) = (folder.join("all.parquet"), folder.join("one.parquet"));
    let start = Instant::now();
    write_parquet(&all_file, data);
    let plain_write = start.elapsed();
    let series = one_series(data);
    write_parquet(&one_file, series);

    let start = Instant::now();
    assert_eq!(
        scan(&store, &run, HistoryQuery::new()).await,
        SERIES * POINTS
    );
    let read = start.elapsed();
    let plain_read = timed(|| assert_eq!(read_parquet(&all_file, 4), SERIES * POINTS));

    // So short a time is easily disturbed: the best of several counts, of both alike.
    let (mut one, mut plain_one) = (Duration::MAX, Duration::MAX);
    for _ in 0..10 {
        let query = HistoryQuery::new().with_keys([series[0].key.clone()]);
        let start = Instant::now();
        assert_eq!(scan(&store, &run, query).await, POINTS);
        one = one.min(start.elapsed());
        let plain = timed(|| assert_eq!(read_parquet(&one_file, 4), POINTS));
        plain_one = plain_one.min(plain);
    }

    let rate = |time: Duration| TOTAL / time.as_secs_f64();
    let ratio = |ours: Duration, plain: Duration| ours.as_secs_f64() / plain.as_secs_f64();
    vec![
        ("write", "points/s", rate(written)),
        ("write, plain Parquet", "points/s", rate(plain_write)),
        (
            "write: time / plain Parquet",
            "×",
            ratio(written, plain_write),
        ),
        ("read", "points/s", rate(read)),
        ("read, plain Parquet", "points/s", rate(plain_read)),
        ("read: time / plain Parquet", "×", ratio(read, plain_read)),
        ("one series of 1M", "ms", one.as_secs_f64() * 1e3),
        (
            "one series of 1M, plain Parquet",
            "ms",
            plain_one.as_secs_f64() * 1e3,
        ),
        (
            "one series of 1M: time / plain Parquet",
            "×",
            ratio(one, plain_one),
        ),
        (
            "size",
            "bytes/point",
            size(&home.join("history")) as f64 / TOTAL,
        ),
        (
            "size, plain Parquet",
            "bytes/point",
            size(&all_file) as f64 / TOTAL,
        ),
    ]
}

/// Makes a store with all of the data and a file with one series, and measures how long the file
/// takes to be read.
async fn keep(folder: &Path, data: &[PointBatch]) {
    let (home, file) = (folder.join("store"), folder.join("one.parquet"));
    let (store, run) = new_store(&home).await;
    write(&store, &run, data).await;
    write_parquet(&file, one_series(data));
    let rounds: Vec<f64> = (0..=2 * ROUNDS)
        .map(|_| timed(|| assert_eq!(read_parquet(&file, 4), POINTS)).as_secs_f64() * 1e3)
        .skip(1)
        .collect();
    println!("{{\"name\":\"one series, plain Parquet\",\"unit\":\"ms\",\"rounds\":{rounds:?}}}");
}

async fn new_store(home: &Path) -> (EmbeddedStore, RunPath) {
    let store = EmbeddedStore::open(home, StoreOptions::new())
        .await
        .unwrap();
    let run: RunPath = "local/speed/run".parse().unwrap();
    store
        .upsert_run(&run, RunPatch::new(), Precondition::None)
        .await
        .unwrap();
    (store, run)
}

async fn write(store: &EmbeddedStore, run: &RunPath, data: &[PointBatch]) {
    let mut writer = store
        .history_writer(run, HistoryStream::Metrics, "speed")
        .await
        .unwrap();
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for batch in data {
        let end = ends.entry(batch.key.as_str()).or_default();
        writer.write(*end, batch.clone()).await.unwrap();
        *end += batch.len() as u64;
    }
    writer.commit().await.unwrap();
}

fn one_series(data: &[PointBatch]) -> &[PointBatch] {
    &data[3 * POINTS / BATCH..4 * POINTS / BATCH]
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

async fn scan(store: &EmbeddedStore, run: &RunPath, query: HistoryQuery) -> usize {
    let mut points = 0;
    let mut batches = store.scan(run, query);
    while let Some(batch) = batches.try_next().await.unwrap() {
        points += batch.len();
    }
    points
}

/// Numbers that look random.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// A noisy curve, logged about once a second, all series together.
fn batches(series: usize) -> Vec<PointBatch> {
    let (mut noise, mut jitter) = (random(series as u64 + 1), random(1));
    let mut value = 3.0;
    let key = format!("train/metric{series}");
    let batch = |start: usize| {
        let (mut steps, mut ms, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for step in start..start + BATCH {
            value = value * 0.9999 + (noise() % 10_000) as f64 * 1e-6 - 0.005;
            steps.push(step as i64);
            ms.push(1_700_000_000_000 + step as i64 * 1000 + (jitter() % 40) as i64);
            values.push(value);
        }
        PointBatch {
            key: key.as_str().into(),
            rows: None,
            steps,
            times: Some(Times::from_millis(ms)),
            values: Values::F64(values),
        }
    };
    (0..POINTS).step_by(BATCH).map(batch).collect()
}

fn write_parquet(path: &Path, data: &[PointBatch]) {
    let record = |batch: &PointBatch| {
        let Values::F64(values) = &batch.values else {
            unreachable!("all values are doubles")
        };
        let key: DictionaryArray<Int32Type> =
            std::iter::repeat_n(batch.key.as_str(), batch.len()).collect();
        let times = batch.times.as_ref().unwrap().ms.clone();
        let columns: [(&str, ArrayRef); 4] = [
            ("key", Arc::new(key)),
            ("step", Arc::new(Int64Array::from(batch.steps.clone()))),
            ("time", Arc::new(TimestampMillisecondArray::from(times))),
            ("value", Arc::new(Float64Array::from(values.clone()))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled("key".into(), true)
        .set_column_encoding("step".into(), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding("time".into(), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding("value".into(), Encoding::BYTE_STREAM_SPLIT)
        .build();
    let file = File::create(path).unwrap();
    let mut writer =
        ArrowWriter::try_new(file, record(&data[0]).schema(), Some(properties)).unwrap();
    for batch in data {
        writer.write(&record(batch)).unwrap();
    }
    writer.into_inner().unwrap().sync_all().unwrap();
}

fn read_parquet(path: &Path, columns: usize) -> usize {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let mask = ProjectionMask::roots(builder.parquet_schema(), 1..columns);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(1 << 16)
        .build()
        .unwrap();
    reader.map(|batch| batch.unwrap().num_rows()).sum()
}

fn size(path: &Path) -> u64 {
    if path.is_file() {
        return path.metadata().unwrap().len();
    }
    let entries = std::fs::read_dir(path).unwrap();
    entries.map(|entry| size(&entry.unwrap().path())).sum()
}
