//! The suite that every tracker passes.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tracker_model::{RecordStore, Tracker, conformance, tracker_conformance};
use tracker_store::{EmbeddedStore, StoreOptions};

tracker_conformance!(|| async {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance");
    fs::create_dir_all(&root).unwrap();
    // Nobody tells when a tracker of the suite is dropped: the next ones clear away.
    let old = SystemTime::now() - Duration::from_secs(600);
    for entry in fs::read_dir(&root).unwrap().filter_map(Result::ok) {
        if entry
            .metadata()
            .and_then(|m| m.modified())
            .is_ok_and(|m| m < old)
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let dir = tempfile::tempdir_in(root).unwrap().keep();
    let store = EmbeddedStore::open(dir, StoreOptions::new()).await.unwrap();
    Arc::new(store) as Arc<dyn Tracker>
});

#[tokio::test]
async fn records() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let fresh = || async {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = dir.path().join(n.to_string());
        let store = EmbeddedStore::open(dir, StoreOptions::new()).await.unwrap();
        Arc::new(store) as Arc<dyn RecordStore>
    };
    conformance::records(fresh).await;
}
