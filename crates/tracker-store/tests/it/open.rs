use tracker_model::{ErrorKind, ProjectPatch, ProjectStore};
use tracker_store::{EmbeddedStore, StoreOptions};

use crate::support::{all, run, store};

#[tokio::test]
async fn only_stores_and_empty_folders_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("a/b");
    let e = EmbeddedStore::open_existing(&missing, StoreOptions::new())
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    assert!(!missing.exists());
    EmbeddedStore::open(&missing, StoreOptions::new())
        .await
        .unwrap();
    EmbeddedStore::open_existing(&missing, StoreOptions::new())
        .await
        .unwrap();

    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let e = EmbeddedStore::open(dir.path(), StoreOptions::new())
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidInput);
    assert!(e.message().contains("not empty"), "{e}");
    assert!(e.hint().is_some());

    let file = dir.path().join("notes.txt");
    assert!(
        EmbeddedStore::open(&file, StoreOptions::new())
            .await
            .is_err()
    );
}

/// A log that is left behind is read by everyone who opens the store; so is what opening writes.
#[tokio::test]
async fn no_log_is_left_and_opening_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("trackway.db-wal");
    let store = EmbeddedStore::open(dir.path(), StoreOptions::new())
        .await
        .unwrap();
    let project = "local/p".parse().unwrap();
    let named = ProjectPatch::new();
    store.upsert_project(&project, named).await.unwrap();
    store.project(&project).await.unwrap();
    assert!(log.metadata().unwrap().len() > 0);
    drop(store);
    assert!(!log.exists());
    let store = EmbeddedStore::open(dir.path(), StoreOptions::new())
        .await
        .unwrap();
    store.project(&project).await.unwrap();
    assert_eq!(log.metadata().unwrap().len(), 0);
}

/// Large pages for new stores; those of others stay as they are.
#[tokio::test]
async fn pages_of_a_catalog_keep_their_size() {
    for (made_with, wanted) in [(None, 16_384), (Some(4096), 4096)] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("trackway.db");
        let open = || EmbeddedStore::open(dir.path(), StoreOptions::new());
        drop(open().await.unwrap());
        if let Some(size) = made_with {
            let remade = format!("PRAGMA journal_mode = DELETE; PRAGMA page_size = {size}; VACUUM");
            let db = rusqlite::Connection::open(&file).unwrap();
            db.execute_batch(&remade).unwrap();
        }
        drop(open().await.unwrap());
        let db = rusqlite::Connection::open(&file).unwrap();
        let size: i64 = db
            .query_row("PRAGMA page_size", [], |row| row.get(0))
            .unwrap();
        assert_eq!(size, wanted);
    }
}

#[tokio::test]
async fn foreign_and_newer_databases_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("trackway.db"),
        "this is no database, it is a text file",
    )
    .unwrap();
    let e = EmbeddedStore::open(dir.path(), StoreOptions::new())
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Corrupt);

    let other = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(other.path().join("trackway.db")).unwrap();
    db.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(db);
    let e = EmbeddedStore::open(other.path(), StoreOptions::new())
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidInput);

    let place = store().await;
    drop(place.store);
    let db = rusqlite::Connection::open(place.dir.path().join("trackway.db")).unwrap();
    db.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(db);
    for options in [
        StoreOptions::new(),
        StoreOptions::new().with_read_only(true),
    ] {
        let e = EmbeddedStore::open(place.dir.path(), options)
            .await
            .unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.message().contains("made by a newer Trackway"), "{e}");
    }
}

#[tokio::test]
async fn a_read_only_store_changes_nothing() {
    let place = store().await;
    let project = run("local/p/r").project_path();
    place
        .store
        .upsert_project(&project, ProjectPatch::new())
        .await
        .unwrap();
    let options = StoreOptions::new().with_read_only(true);
    let reader = EmbeddedStore::open(place.dir.path(), options.clone())
        .await
        .unwrap();
    assert_eq!(all(reader.projects(None)).await.len(), 1);
    let e = reader
        .upsert_project(&project, ProjectPatch::new())
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::PermissionDenied);
    // It sees what others write.
    place
        .store
        .upsert_project(&run("local/q/r").project_path(), ProjectPatch::new())
        .await
        .unwrap();
    assert_eq!(all(reader.projects(None)).await.len(), 2);

    let nowhere = tempfile::tempdir().unwrap();
    let e = EmbeddedStore::open(nowhere.path(), options)
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
}
