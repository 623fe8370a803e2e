//! What a service keeps beside histories and files: logs, records, contents to come, versions that
//! go; and stores of before.

use std::{fs, path::Path, time::Duration};

use tracker_model::{
    ArtifactDraft, ArtifactStore, CollectionPatch, CollectionPath, CollectionStore, Content,
    ContentStore, EntryDraft, ErrorKind, LinkDraft, LogLine, LogStore, RecordCondition,
    RecordStore, RunPath, VersionLink, VersionRef, bytes_of,
};
use tracker_store::{EmbeddedStore, GcOptions, StoreOptions};

use crate::{
    support::{Place, all, run, store, with_run},
    upkeep::{files, fsck, noise, sql},
};

fn now() -> GcOptions {
    GcOptions::new().with_grace(Duration::ZERO)
}

async fn again(place: &Place) -> EmbeddedStore {
    EmbeddedStore::open(place.dir.path(), StoreOptions::new())
        .await
        .unwrap()
}

async fn collection(store: &EmbeddedStore, name: &str, portfolio: bool) -> CollectionPath {
    let path = CollectionPath::new("local/p".parse().unwrap(), name).unwrap();
    let mut patch = CollectionPatch::new();
    patch.portfolio = Some(portfolio);
    store.upsert_collection(&path, patch).await.unwrap();
    path
}

#[tokio::test]
async fn contents_without_a_name_stay_for_a_day() {
    let place = store().await;
    let s = &place.store;
    let path = collection(s, "a", false).await;
    for size in [100, 50_000] {
        let body = || bytes_of(noise(size, 1));
        let digests = s.put_content(body()).await.unwrap();
        assert_eq!(s.gc(now()).await.unwrap().blobs, 0);
        let (problems, report) = fsck(s, true).await;
        assert_eq!((problems, report.unused_blobs), (vec![], 0));

        // Known from before and about to go: they stay for another day.
        let late = "UPDATE blob SET created_ms = 0, held_ms = 1";
        sql(place.dir.path(), late);
        assert_eq!(s.gc(now().with_dry_run(true)).await.unwrap().blobs, 1);
        assert_eq!(s.put_content(body()).await.unwrap(), digests);
        assert_eq!(s.gc(now()).await.unwrap().blobs, 0);
        sql(place.dir.path(), late);
        assert_eq!(s.gc(now()).await.unwrap().blobs, 1);
        let gone = s.open_content(&digests, None).await;
        assert_eq!(gone.err().map(|e| e.kind()), Some(ErrorKind::NotFound));

        // A version holds them without an end.
        s.put_content(body()).await.unwrap();
        let mut writer = s
            .artifact_writer(&path, ArtifactDraft::new())
            .await
            .unwrap();
        writer
            .add("x".into(), Content::Stored(digests))
            .await
            .unwrap();
        let version = writer.commit().await.unwrap();
        sql(place.dir.path(), late);
        assert_eq!(s.gc(now()).await.unwrap().blobs, 0);
        s.delete_version(&path, version.index).await.unwrap();
        assert_eq!(s.gc(now()).await.unwrap().blobs, 1);
    }
    assert_eq!(files(&place.dir.path().join("blobs")).len(), 0);
}

#[tokio::test]
async fn what_is_deleted_leaves_nothing_behind() {
    let place = store().await;
    let s = &place.store;
    let (path, portfolio) = (
        collection(s, "a", false).await,
        collection(s, "b", true).await,
    );
    for body in 0..3 {
        let mut writer = s
            .artifact_writer(&path, ArtifactDraft::new())
            .await
            .unwrap();
        for (entry, seed) in [("same", 9), ("own", body)] {
            let body = Content::Bytes(bytes_of(noise(50_000, seed)));
            writer.add(EntryDraft::new(entry), body).await.unwrap();
        }
        let index = writer.commit().await.unwrap().index;
        let target = VersionLink {
            collection: path.clone(),
            index,
        };
        s.link_version(&portfolio, &target, LinkDraft::new())
            .await
            .unwrap();
    }
    s.delete_version(&path, 1).await.unwrap();
    let gone = s.gc(now()).await.unwrap();
    assert_eq!(
        (gone.blobs, gone.drafts),
        (1, 0),
        "contents that others have stay"
    );
    assert_eq!(fsck(s, true).await.0, []);
    s.delete_collection(&path).await.unwrap();
    let (problems, report) = fsck(s, true).await;
    assert_eq!((problems, report.versions), (vec![], 0));
    let gone = s.gc(now()).await.unwrap();
    assert_eq!((gone.blobs, gone.drafts), (3, 0));
    assert!(files(&place.dir.path().join("blobs")).is_empty());
}

#[tokio::test]
async fn handles_see_each_others_records_and_logs_at_once() {
    let place = store().await;
    let (one, two) = (&place.store, again(&place).await);
    let path = with_run(one, "local/p/r").await;
    for n in 1..20u64 {
        let pre = match n {
            1 => RecordCondition::Absent,
            _ => RecordCondition::Version(n - 1),
        };
        let (writer, reader) = if n % 2 == 0 { (one, &two) } else { (&two, one) };
        let put = writer.put_record("s", "k", n.into(), pre).await.unwrap();
        assert_eq!(reader.record("s", "k").await.unwrap(), Some(put));
        writer
            .write_log(&path, vec![LogLine::new(n, "x")])
            .await
            .unwrap();
        assert_eq!(reader.log_length(&path).await.unwrap(), n + 1);
    }
}

#[tokio::test]
async fn a_read_only_store_refuses_every_part() {
    let place = store().await;
    let path = with_run(&place.store, "local/p/r").await;
    let options = StoreOptions::new().with_read_only(true);
    let s = EmbeddedStore::open(place.dir.path(), options)
        .await
        .unwrap();
    let refused = [
        s.write_log(&path, vec![LogLine::new(0, "x")]).await.err(),
        s.put_content(bytes_of("x")).await.err(),
        s.put_record("s", "k", 1.into(), RecordCondition::None)
            .await
            .err(),
    ];
    for error in refused {
        assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::PermissionDenied));
    }
    assert_eq!(s.log_length(&path).await.unwrap(), 0);
}

#[tokio::test]
async fn long_logs_are_read_in_bounded_pieces() {
    const LINES: u64 = 200_000;
    let place = store().await;
    let path: RunPath = with_run(&place.store, "local/p/r").await;
    let text = "x".repeat(100);
    for from in (0..LINES).step_by(20_000) {
        let lines = (from..from + 20_000)
            .map(|n| LogLine::new(n, &text))
            .collect();
        place.store.write_log(&path, lines).await.unwrap();
    }
    let long = (LINES..LINES + 8).map(|n| LogLine::new(n, "y".repeat(2 << 20)));
    place.store.write_log(&path, long.collect()).await.unwrap();
    let batches = all(place.store.log_lines(&path, 0..u64::MAX)).await;
    let bytes = |lines: &Vec<LogLine>| lines.iter().map(|l| l.text.len()).sum::<usize>();
    assert!(
        batches
            .iter()
            .all(|b| b.len() <= 2000 && bytes(b) <= 3 << 20)
    );
    let numbers: Vec<u64> = batches.iter().flatten().map(|l| l.number).collect();
    assert!(numbers.into_iter().eq(0..LINES + 8));
    drop(place.store);

    // The length is found, and not counted.
    let db = rusqlite::Connection::open(place.dir.path().join("trackway.db")).unwrap();
    let plan = "EXPLAIN QUERY PLAN SELECT max(number) FROM log_line WHERE run = 1";
    let plan: String = db.query_row(plan, [], |r| r.get(3)).unwrap();
    assert!(
        plan.starts_with("SEARCH") && plan.contains("run=?"),
        "{plan}"
    );
}

/// A store that was made before there were portfolios.
fn older(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let db = rusqlite::Connection::open(dir.join("trackway.db")).unwrap();
    for step in [
        include_str!("../../src/catalog/0001.sql"),
        include_str!("../../src/catalog/0002.sql"),
        include_str!("../../src/catalog/0003.sql"),
        "INSERT INTO project VALUES (1, 'local', 'p', NULL, 0, 0, NULL, NULL, 0, NULL);
         INSERT INTO collection VALUES (1, 1, 'a', 'model', NULL, 0, 0, NULL, NULL, NULL);
         INSERT INTO collection VALUES (2, 1, 'b', 'model', NULL, 0, 0, NULL, NULL, NULL);
         INSERT INTO manifest VALUES (1, 0), (2, 0);
         INSERT INTO entry (manifest, path, reference) VALUES (1, 'x', 's3://b/k');
         INSERT INTO version (collection, idx, manifest, digest, size, entries, tags, created_ms, created_ns)
             VALUES (1, 4, 1, 'd', 0, 1, '[]', 0, 0), (1, 7, 2, 'd', 0, 0, '[]', 0, 0);
         PRAGMA application_id = 1416784727; PRAGMA user_version = 3; PRAGMA journal_mode = WAL;",
    ] {
        db.execute_batch(step).unwrap();
    }
}

#[tokio::test]
async fn a_store_of_before_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    older(dir.path());
    let options = StoreOptions::new().with_read_only(true);
    let e = EmbeddedStore::open(dir.path(), options).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    let s = EmbeddedStore::open(dir.path(), StoreOptions::new())
        .await
        .unwrap();
    let path = CollectionPath::new(run("local/p/r").project_path(), "a").unwrap();
    let there = s.version(&path, &VersionRef::Index(4)).await.unwrap();
    assert_eq!((there.entries, there.link_of), (1, None));
    assert!(there.extras.is_empty() && !s.collection(&path).await.unwrap().portfolio);
    s.delete_version(&path, 7).await.unwrap();
    let next = async |path: &CollectionPath| {
        let writer = s.artifact_writer(path, ArtifactDraft::new()).await.unwrap();
        writer.commit().await.unwrap().index
    };
    assert_eq!(next(&path).await, 8);
    let empty = CollectionPath::new(path.project.clone(), "b").unwrap();
    assert_eq!(next(&empty).await, 0);
}
