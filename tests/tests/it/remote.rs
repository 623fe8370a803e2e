//! The tracker of a server: the suite of trackers over a real server on a loopback port.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[cfg(feature = "trackway")]
mod commands;
mod faults;
mod plain;

use std::{
    future::pending,
    path::Path,
    sync::{Arc, Mutex},
};

use tracker_client::remote::{RemoteOptions, RemoteTracker};
use tracker_http::{ExposeSecret, HttpOptions, RetryOptions};
use tracker_model::{
    BatchBuilder, ErrorKind, HistoryStore, HistoryStream, MemoryTracker, Precondition, RecordStore,
    RunPatch, RunPath, RunStore, Tracker, Value, conformance,
};
use tracker_server::{Options, Server};
use tracker_store::{EmbeddedStore, StoreOptions};

/// A tracker of a fresh server over these.
async fn serve(
    tracker: Arc<dyn Tracker>,
    records: Arc<dyn RecordStore>,
    plain: bool,
) -> RemoteTracker {
    let spool = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unsent");
    let spool = spool.join(std::process::id().to_string());
    serve_with(tracker, records, plain, &spool).await
}

/// The same, with a folder for what waits.
async fn serve_with(
    tracker: Arc<dyn Tracker>,
    records: Arc<dyn RecordStore>,
    plain: bool,
    spool: &Path,
) -> RemoteTracker {
    let server = Server::new(tracker, records, Options::new()).await.unwrap();
    let key = server.ensure_user().await.unwrap().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server.serve(listener, pending()));
    let options = RemoteOptions::new(&address, key.expose_secret().to_owned()).unwrap();
    let http = HttpOptions::default().with_retry(RetryOptions::never());
    let options = options.with_http(http).with_spool(spool).with_plain(plain);
    RemoteTracker::connect(&options).await.unwrap()
}

async fn over_memory() -> Arc<dyn Tracker> {
    let memory = Arc::new(MemoryTracker::new());
    Arc::new(serve(memory.clone(), memory, false).await)
}

/// Keeps the folders of stores until the test ends.
#[derive(Default)]
struct Folders(Mutex<Vec<tempfile::TempDir>>);

impl Folders {
    async fn over_store(&self) -> Arc<dyn Tracker> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = EmbeddedStore::open(path, StoreOptions::new())
            .await
            .unwrap();
        self.0.lock().unwrap().push(folder);
        let store = Arc::new(store);
        Arc::new(serve(store.clone(), store, false).await)
    }
}

macro_rules! parts {
    ($($part:ident)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $part() {
                super::conformance::$part(super::over_memory).await;
            })*
        }

        mod store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $part() {
                let folders = super::Folders::default();
                super::conformance::$part(|| folders.over_store()).await;
            })*
        }
    };
}

parts!(
    projects runs run_queries history_bulk history_append history_rows rewinds samples files
    contents artifacts links deletions lineage sweeps logs reports names concurrency
);

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_points_that_were_sent() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("unsent");
    let left = || -> Vec<String> {
        let files = std::fs::read_dir(&spool).unwrap();
        let kind = |file: std::io::Result<std::fs::DirEntry>| {
            let path = file.unwrap().path();
            path.extension().unwrap().to_str().unwrap().to_owned()
        };
        let mut kinds: Vec<String> = files.map(kind).collect();
        kinds.sort_unstable();
        kinds
    };
    let memory = Arc::new(MemoryTracker::new());
    let tracker = serve_with(memory.clone(), memory, false, &spool).await;
    let run: RunPath = "local/p/r".parse().unwrap();
    let made = tracker.upsert_run(&run, RunPatch::new(), Precondition::None);
    made.await.unwrap();
    let stream = HistoryStream::Metrics;
    let batch = || {
        let mut builder = BatchBuilder::new("a".into());
        for step in 0..50_000 {
            builder.push(None, step, None, Value::I64(step));
        }
        builder.take().unwrap()
    };
    for round in 0..2 {
        let mut writer = tracker.history_writer(&run, stream, "t").await.unwrap();
        let other = tracker.history_writer(&run, stream, "t").await;
        assert_eq!(other.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(left(), ["lock", "points"]);
        writer.write(50_000 * round, batch()).await.unwrap();
        writer.checkpoint().await.unwrap();
        drop(writer);
        assert_eq!(left(), ["points"], "what was checkpointed waits");
        let writer = tracker.history_writer(&run, stream, "t").await.unwrap();
        assert_eq!(
            writer.staged().iter().map(|s| s.count).sum::<u64>(),
            50_000 * (round + 1)
        );
        writer.commit().await.unwrap();
        assert!(left().is_empty(), "{:?}", left());
    }
    let series = tracker.series(&run, stream).await.unwrap();
    assert_eq!(series[0].count, 100_000);
}
