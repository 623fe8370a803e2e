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
use tracker_model::{MemoryTracker, RecordStore, Tracker, conformance};
use tracker_server::{Options, Server};
use tracker_store::{EmbeddedStore, StoreOptions};

/// A tracker of a fresh server over these.
async fn serve(
    tracker: Arc<dyn Tracker>,
    records: Arc<dyn RecordStore>,
    plain: bool,
) -> RemoteTracker {
    let server = Server::new(tracker, records, Options::new()).await.unwrap();
    let key = server.ensure_user().await.unwrap().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server.serve(listener, pending()));
    let options = RemoteOptions::new(&address, key.expose_secret().to_owned()).unwrap();
    let http = HttpOptions::default().with_retry(RetryOptions::never());
    let spool = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unsent");
    let spool = spool.join(std::process::id().to_string());
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
    projects runs run_queries history_bulk history_append history_rows rewinds samples files logs
    sweeps reports names
);
