//! The embedded store as a sink.

use std::sync::{Arc, Mutex};

use importer_core::{Sink, TrackerSink, conformance};
use tracker_store::{EmbeddedStore, StoreOptions};

#[tokio::test]
async fn embedded_store_is_a_sink() {
    let folders = Mutex::new(Vec::new());
    let fresh = || async {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path().join("store"), StoreOptions::new()).await.unwrap();
        folders.lock().unwrap().push(folder);
        Arc::new(TrackerSink::new(Arc::new(store))) as Arc<dyn Sink>
    };
    conformance::sink(fresh).await;
}
