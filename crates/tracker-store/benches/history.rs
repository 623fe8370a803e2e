//! The speed and size of histories, beside plain Parquet of the same columns.
//!
//! `cargo bench -p tracker-store --bench history [-- POINTS_OF_A_SERIES]` prints a table.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::print_stdout
)]

use std::{
    fs::File,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, types::Int32Type,
};
use arrow_schema::{Field, Schema};
use futures::TryStreamExt;
use parquet::{
    arrow::{ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};
use tracker_model::{
    HistoryQuery, HistoryStore, HistoryStream, PointBatch, Precondition, RunPatch, RunPath,
    RunStore, SeriesKey, Times, Values, rows_of,
};
use tracker_store::{Durability, EmbeddedStore, StoreOptions};

const BATCH: usize = 65_536;
const KEYS: usize = 10;

/// A reproducible series of pseudo-random numbers.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// How the points of a row lie in time.
#[derive(Clone, Copy, PartialEq)]
enum Clock {
    /// All of a row at once, with its number (W&B).
    Shared,
    /// Each when it was logged (MLflow).
    Own,
}

/// A decaying curve of single precision with noise, as training logs it.
fn series(key: usize, n: usize, clock: Clock, run: u64) -> Vec<PointBatch> {
    let mut values = Noise(run * 1000 + key as u64);
    let mut shared = Noise(run);
    let mut own = Noise(run * 77 + key as u64);
    let mut time = 1_700_000_000_000i64;
    let mut out = Vec::new();
    for start in (0..n).step_by(BATCH) {
        let end = n.min(start + BATCH);
        let steps: Vec<i64> = (start..end).map(|i| i64::try_from(i).unwrap()).collect();
        let mut ms = Vec::with_capacity(steps.len());
        let mut v = Vec::with_capacity(steps.len());
        for i in start..end {
            time += 100 + i64::try_from(shared.next() % 20).unwrap();
            ms.push(if clock == Clock::Own {
                time + i64::try_from(own.next() % 5).unwrap()
            } else {
                time
            });
            let x = 2.0 / (1.0 + i as f64 / 5000.0) + (values.unit() - 0.5) * 0.1;
            #[allow(clippy::cast_possible_truncation)]
            v.push(f64::from(x as f32));
        }
        out.push(PointBatch {
            key: SeriesKey::from(format!("train/metric_{key}")),
            rows: (clock == Clock::Shared).then(|| (start as u64..end as u64).collect()),
            steps,
            times: Some(Times::from_millis(ms)),
            values: Values::F64(v),
        });
    }
    out
}

fn properties() -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled(column("key"), true);
    for name in ["row", "step", "time"] {
        builder = builder.set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    for key in std::iter::once("value".to_owned()).chain((0..KEYS).map(|k| format!("m{k}"))) {
        builder = builder.set_column_encoding(column(&key), Encoding::BYTE_STREAM_SPLIT);
    }
    builder.build()
}

fn numbers(batch: &PointBatch) -> &[f64] {
    match &batch.values {
        Values::F64(v) => v,
        _ => &[],
    }
}

/// A plain Parquet file of the same columns, series after series.
fn plain_long(path: &Path, corpus: &[Vec<PointBatch>]) {
    let key = arrow_schema::DataType::Dictionary(
        Box::new(arrow_schema::DataType::Int32),
        Box::new(arrow_schema::DataType::Utf8),
    );
    let int = || arrow_schema::DataType::Int64;
    let mut fields = vec![
        Field::new("key", key, false),
        Field::new("step", int(), false),
    ];
    let rows = corpus[0][0].rows.is_some();
    if rows {
        fields.push(Field::new("row", int(), false));
    }
    fields.push(Field::new("time", int(), false));
    fields.push(Field::new("value", arrow_schema::DataType::Float64, false));
    let schema = Arc::new(Schema::new(fields));
    let mut writer = ArrowWriter::try_new(
        File::create(path).unwrap(),
        Arc::clone(&schema),
        Some(properties()),
    )
    .unwrap();
    for batch in corpus.iter().flatten() {
        let names = Arc::new(StringArray::from(vec![batch.key.as_str()]));
        let keys =
            DictionaryArray::<Int32Type>::try_new(vec![0; batch.len()].into(), names).unwrap();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(keys),
            Arc::new(Int64Array::from(batch.steps.clone())),
        ];
        if let Some(rows) = &batch.rows {
            columns.push(Arc::new(Int64Array::from_iter_values(
                rows.iter().map(|r| r.cast_signed()),
            )));
        }
        columns.push(Arc::new(Int64Array::from(
            batch.times.as_ref().unwrap().ms.clone(),
        )));
        columns.push(Arc::new(Float64Array::from(numbers(batch).to_vec())));
        writer
            .write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap())
            .unwrap();
    }
    writer.into_inner().unwrap().sync_all().unwrap();
}

/// A column for each key; the time of a row is that of its first key.
fn plain_wide(path: &Path, corpus: &[Vec<PointBatch>]) {
    let mut fields = vec![
        Field::new("step", arrow_schema::DataType::Int64, false),
        Field::new("time", arrow_schema::DataType::Int64, false),
    ];
    fields.extend(
        (0..KEYS).map(|k| Field::new(format!("m{k}"), arrow_schema::DataType::Float64, false)),
    );
    let schema = Arc::new(Schema::new(fields));
    let mut writer = ArrowWriter::try_new(
        File::create(path).unwrap(),
        Arc::clone(&schema),
        Some(properties()),
    )
    .unwrap();
    for (i, first) in corpus[0].iter().enumerate() {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(first.steps.clone())),
            Arc::new(Int64Array::from(first.times.as_ref().unwrap().ms.clone())),
        ];
        columns.extend(
            corpus
                .iter()
                .map(|s| Arc::new(Float64Array::from(numbers(&s[i]).to_vec())) as ArrayRef),
        );
        writer
            .write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap())
            .unwrap();
    }
    writer.into_inner().unwrap().sync_all().unwrap();
}

fn read_columns(path: &Path, names: &[&str], rows: std::ops::Range<usize>) -> usize {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
    let reader = builder
        .with_projection(mask)
        .with_batch_size(BATCH)
        .with_offset(rows.start)
        .with_limit(rows.len())
        .build()
        .unwrap();
    reader.map(|batch| batch.unwrap().num_rows()).sum()
}

fn line(what: &str, points: usize, time: Duration, bytes: Option<u64>) {
    let seconds = time.as_secs_f64();
    let size = bytes.map_or(String::new(), |b| {
        format!("{:6.2} B/point", b as f64 / points as f64)
    });
    println!(
        "  {what:<46} {:8.1} ms {:7.1} M points/s  {size}",
        seconds * 1e3,
        points as f64 / seconds / 1e6
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let out = work();
    (out, start.elapsed())
}

fn best<T>(mut work: impl FnMut() -> T) -> Duration {
    (0..5).map(|_| timed(&mut work).1).min().unwrap()
}

fn folder_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    entries
        .map(|e| {
            if e.path().is_dir() {
                folder_bytes(&e.path())
            } else {
                e.metadata().unwrap().len()
            }
        })
        .sum()
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|l| l.starts_with("VmHWM"))
        .unwrap_or_default()
        .to_owned();
    line.split_whitespace()
        .skip(1)
        .collect::<Vec<_>>()
        .join(" ")
}

async fn run(store: &EmbeddedStore, name: &str) -> RunPath {
    let path: RunPath = format!("local/bench/{name}").parse().unwrap();
    store
        .upsert_run(&path, RunPatch::new(), Precondition::None)
        .await
        .unwrap();
    path
}

async fn write(store: &EmbeddedStore, path: &RunPath, batches: impl Iterator<Item = PointBatch>) {
    let mut writer = store
        .history_writer(path, HistoryStream::Metrics, "bench")
        .await
        .unwrap();
    let mut next = std::collections::HashMap::<SeriesKey, u64>::new();
    for batch in batches {
        let at = next.entry(batch.key.clone()).or_default();
        let n = batch.len() as u64;
        writer.write(*at, batch).await.unwrap();
        *at += n;
    }
    writer.commit().await.unwrap();
}

async fn read(store: &EmbeddedStore, path: &RunPath, query: HistoryQuery) -> usize {
    store
        .scan(path, query)
        .try_fold(0, |n, b| async move { Ok(n + b.len()) })
        .await
        .unwrap()
}

async fn one_large_run(n: usize, clock: Clock) {
    let shared = clock == Clock::Shared;
    println!(
        "one run of {KEYS} series of {n} points, {}",
        if shared {
            "rows with one time"
        } else {
            "each with its own time"
        }
    );
    let corpus: Vec<Vec<PointBatch>> = (0..KEYS).map(|k| series(k, n, clock, 1)).collect();
    let points = n * KEYS;
    let dir = tempfile::tempdir().unwrap();
    let (long, wide) = (
        dir.path().join("long.parquet"),
        dir.path().join("wide.parquet"),
    );

    let ((), time) = timed(|| plain_long(&long, &corpus));
    line(
        "plain Parquet, long: write",
        points,
        time,
        Some(long.metadata().unwrap().len()),
    );
    if shared {
        let ((), time) = timed(|| plain_wide(&wide, &corpus));
        line(
            "plain Parquet, wide: write",
            points,
            time,
            Some(wide.metadata().unwrap().len()),
        );
    }
    let store = EmbeddedStore::open(dir.path().join("store"), StoreOptions::new())
        .await
        .unwrap();
    for (name, interleaved) in [("series", false), ("rows", true)] {
        let path = run(&store, name).await;
        let order: Vec<PointBatch> = if interleaved {
            (0..corpus[0].len())
                .flat_map(|i| corpus.iter().map(move |s| s[i].clone()))
                .collect()
        } else {
            corpus.concat()
        };
        let start = Instant::now();
        write(&store, &path, order.into_iter()).await;
        let bytes = folder_bytes(&dir.path().join("store/history/local/bench").join(name));
        line(
            &format!("store: write, {name} by {name}"),
            points,
            start.elapsed(),
            Some(bytes),
        );
    }
    let mut columns = vec!["step", "time", "value"];
    if shared {
        columns.push("row");
    }
    let bare = best(|| read_columns(&long, &columns, 3 * n..4 * n));
    line("plain Parquet, long: read one series", n, bare, None);
    if shared {
        line(
            "plain Parquet, wide: read one series",
            n,
            best(|| read_columns(&wide, &["step", "time", "m3"], 0..n)),
            None,
        );
    }
    for name in ["series", "rows"] {
        let path = run(&store, name).await;
        let mut times = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            let query = HistoryQuery::new().with_keys(["train/metric_3"]);
            assert_eq!(read(&store, &path, query).await, n);
            times.push(start.elapsed());
        }
        let time = *times.iter().min().unwrap();
        line(&format!("store, {name}: read one series"), n, time, None);
        println!(
            "    {:.2} times the bare read",
            time.as_secs_f64() / bare.as_secs_f64()
        );
    }
    let path = run(&store, "series").await;
    let start = Instant::now();
    assert_eq!(read(&store, &path, HistoryQuery::new()).await, points);
    line("store: read all series", points, start.elapsed(), None);
    let start = Instant::now();
    let scan = store.scan(&path, HistoryQuery::new().with_rows(true));
    let rows = rows_of(scan)
        .try_fold(0, |n, row| async move { Ok(n + row.values.len()) })
        .await
        .unwrap();
    assert_eq!(rows, points);
    line("store: read all rows", points, start.elapsed(), None);
    let start = Instant::now();
    store.series(&path, HistoryStream::Metrics).await.unwrap();
    println!(
        "  store: list the series {:36.1} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
}

/// Four writers at once, whose points are made as they go.
async fn four_writers(n: usize) {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), StoreOptions::new())
        .await
        .unwrap();
    let before = peak_memory();
    let start = Instant::now();
    let tasks = (0..4u64).map(|r| {
        let store = store.clone();
        tokio::spawn(async move {
            let path = run(&store, &format!("r{r}")).await;
            let mut writer = store
                .history_writer(&path, HistoryStream::Metrics, "bench")
                .await
                .unwrap();
            let mut noise = Noise(r);
            for start in (0..n).step_by(4096) {
                for key in 0..KEYS {
                    let end = n.min(start + 4096);
                    let batch = PointBatch {
                        key: SeriesKey::from(format!("m{key}")),
                        rows: Some((start as u64..end as u64).collect()),
                        steps: (start as u64..end as u64).map(u64::cast_signed).collect(),
                        times: Some(Times::from_millis(
                            (start as u64..end as u64).map(u64::cast_signed).collect(),
                        )),
                        values: Values::F64((start..end).map(|_| noise.unit()).collect()),
                    };
                    writer.write(start as u64, batch).await.unwrap();
                }
            }
            writer.commit().await.unwrap();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    println!("four writers at once, rows of {KEYS} keys");
    line(
        "store: write",
        4 * n * KEYS,
        start.elapsed(),
        Some(folder_bytes(dir.path())),
    );
    println!(
        "  peak memory of the process {}, before {before}",
        peak_memory()
    );
}

async fn many_small_runs(runs: usize, n: usize) {
    println!("{runs} runs of {KEYS} series of {n} points, each with its own time");
    let points = runs * KEYS * n;
    let dir = tempfile::tempdir().unwrap();
    let kinds = [Durability::Power, Durability::Process];
    for (tasks, durability) in [1usize, 8].into_iter().flat_map(|n| kinds.map(|d| (n, d))) {
        let folder = dir.path().join(format!("store{tasks}{durability:?}"));
        let options = StoreOptions::new().with_durability(durability);
        let store = EmbeddedStore::open(&folder, options).await.unwrap();
        let corpus: Vec<Vec<PointBatch>> = (0..runs)
            .map(|r| {
                (0..KEYS)
                    .flat_map(|k| series(k, n, Clock::Own, r as u64))
                    .collect()
            })
            .collect();
        let start = Instant::now();
        let work = corpus.into_iter().enumerate().map(|(r, batches)| {
            let store = store.clone();
            async move {
                let path = run(&store, &format!("r{r}")).await;
                write(&store, &path, batches.into_iter()).await;
                run(&store, &format!("r{r}")).await;
                Ok::<_, tracker_model::Error>(())
            }
        });
        use futures::StreamExt;
        futures::stream::iter(work)
            .buffer_unordered(tasks)
            .try_collect::<Vec<_>>()
            .await
            .unwrap();
        let time = start.elapsed();
        drop(store);
        line(
            &format!("store: write, {tasks} at once, {durability:?}"),
            points,
            time,
            Some(folder_bytes(&folder)),
        );
        println!("    {:.2} ms a run", time.as_secs_f64() * 1e3 / runs as f64);
    }
    let long = dir.path().join("long.parquet");
    let corpus: Vec<Vec<PointBatch>> = (0..runs)
        .flat_map(|r| (0..KEYS).map(move |k| series(k, n, Clock::Own, r as u64)))
        .collect();
    let ((), time) = timed(|| plain_long(&long, &corpus));
    line(
        "plain Parquet, long, one file: write",
        points,
        time,
        Some(long.metadata().unwrap().len()),
    );
}

fn main() {
    let n = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        four_writers(n).await;
        many_small_runs(200, 1000).await;
        many_small_runs(1000, 10).await;
        one_large_run(n, Clock::Own).await;
        one_large_run(n, Clock::Shared).await;
    });
    println!("peak memory, the corpus itself included: {}", peak_memory());
}
