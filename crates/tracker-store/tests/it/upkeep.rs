//! Checking and sweeping.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tracker_model::{
    ArtifactDraft, ArtifactStore, CollectionPatch, CollectionPath, CollectionStore, Content,
    FileDraft, FileStore, HistoryStore, HistoryStream, RunPath, RunStore, Value, bytes_of,
};
use tracker_store::{
    EmbeddedStore, FsckEvent, FsckOptions, FsckReport, GcOptions, Problem, ProblemKind,
};

use crate::support::{Place, all, batches, run, store, with_run, write};

pub(crate) async fn fsck(store: &EmbeddedStore, read_data: bool) -> (Vec<Problem>, FsckReport) {
    let events = all(store.fsck(FsckOptions::new().with_read_data(read_data))).await;
    let problems = events.iter().filter_map(|e| {
        if let FsckEvent::Problem(p) = e {
            Some(p.clone())
        } else {
            None
        }
    });
    let report = match events.last() {
        Some(FsckEvent::Finished(report)) => report,
        other => unreachable!("the last event is {other:?}"),
    };
    let problems: Vec<_> = problems.collect();
    assert_eq!(problems.len() as u64, report.problems);
    (problems, report.clone())
}

pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut out: Vec<_> = entries
        .flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] })
        .collect();
    out.sort();
    out
}

pub(crate) fn noise(n: usize, seed: u64) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let mut out = vec![0; n];
    hasher.finalize_xof().fill(&mut out);
    out
}

fn numbers(n: u64, seed: u64) -> Vec<crate::support::Point> {
    let bytes = noise(usize::try_from(n * 8).unwrap(), seed);
    let value = |b: &[u8]| Value::I64(i64::from_le_bytes(b.try_into().unwrap()));
    bytes
        .chunks(8)
        .enumerate()
        .map(|(i, b)| (None, i64::try_from(i).unwrap(), None, value(b)))
        .collect()
}

/// A store with some of everything.
async fn filled() -> (Place, RunPath, CollectionPath) {
    let place = store().await;
    let s = &place.store;
    let path = with_run(s, "local/p/r").await;
    write(s, &path, "large", 0, numbers(30_000, 1)).await;
    write(s, &path, "small", 0, numbers(10, 2)).await;
    s.append(
        &path,
        HistoryStream::System,
        0,
        batches("cpu", [(Some(0), 0, None, Value::F64(0.5))]),
    )
    .await
    .unwrap();
    for (name, size) in [("large.bin", 100_000), ("small.bin", 100)] {
        s.put_file(&path, FileDraft::new(name), bytes_of(noise(size, 3)))
            .await
            .unwrap();
    }
    let artifact = CollectionPath::new(path.project_path(), "a").unwrap();
    s.upsert_collection(&artifact, CollectionPatch::new())
        .await
        .unwrap();
    let mut writer = s
        .artifact_writer(&artifact, ArtifactDraft::new())
        .await
        .unwrap();
    writer
        .add("x".into(), Content::Bytes(bytes_of(noise(50_000, 4))))
        .await
        .unwrap();
    writer
        .add("y".into(), Content::Reference("s3://b/k".into()))
        .await
        .unwrap();
    writer.commit().await.unwrap();
    (place, path, artifact)
}

#[tokio::test]
async fn a_whole_store_has_no_problems() {
    let (place, ..) = filled().await;
    for read_data in [false, true] {
        let (problems, report) = fsck(&place.store, read_data).await;
        assert_eq!(problems, []);
        assert_eq!(
            (report.runs, report.segments, report.blobs, report.versions),
            (1, 2, 3, 1)
        );
        assert_eq!(report.points, 30_011);
        assert_eq!((report.orphans, report.unused_blobs), (0, 0));
        assert_eq!(report.bytes_read > 300_000, read_data);
    }
}

/// What fsck says after the damage, in a quick look and in a thorough one.
async fn after(damage: impl FnOnce(&Path)) -> (Vec<ProblemKind>, Vec<ProblemKind>) {
    let (place, ..) = filled().await;
    damage(place.dir.path());
    let kinds = |problems: Vec<Problem>| {
        assert!(
            problems
                .iter()
                .all(|p| !p.message.is_empty() && !p.hint.is_empty()),
            "{problems:?}"
        );
        problems.iter().map(|p| p.kind).collect::<Vec<_>>()
    };
    (
        kinds(fsck(&place.store, false).await.0),
        kinds(fsck(&place.store, true).await.0),
    )
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x55;
    fs::write(path, bytes).unwrap();
}

pub(crate) fn sql(dir: &Path, statement: &str) {
    let db = rusqlite::Connection::open(dir.join("trackway.db")).unwrap();
    assert!(db.execute(statement, []).unwrap() > 0, "{statement}");
}

#[tokio::test]
async fn every_kind_of_damage_is_found() {
    use ProblemKind::{Artifact, Contents, History};
    let blob = |dir: &Path, i: usize| files(&dir.join("blobs"))[i].clone();
    let history = |dir: &Path| files(&dir.join("history"))[0].clone();

    assert_eq!(
        after(|dir| fs::remove_file(blob(dir, 0)).unwrap()).await,
        (vec![Contents], vec![Contents])
    );
    assert_eq!(
        after(|dir| fs::write(blob(dir, 1), "short").unwrap()).await,
        (vec![Contents], vec![Contents])
    );
    assert_eq!(
        after(|dir| flip(&blob(dir, 0), 77)).await,
        (vec![], vec![Contents])
    );
    let change = "UPDATE blob_data SET data = zeroblob(100)";
    assert_eq!(
        after(|dir| sql(dir, change)).await,
        (vec![Contents], vec![Contents])
    );

    assert_eq!(
        after(|dir| fs::remove_file(history(dir)).unwrap()).await,
        (vec![History], vec![History])
    );
    let truncate = |dir: &Path| {
        fs::File::options()
            .write(true)
            .open(history(dir))
            .unwrap()
            .set_len(1000)
            .unwrap()
    };
    assert_eq!(after(truncate).await, (vec![History], vec![History]));
    // In the middle of a page: only reading it tells.
    let (quick, thorough) = after(|dir| flip(&history(dir), 100_000)).await;
    assert_eq!((quick, thorough), (vec![], vec![History]));
    let (quick, thorough) = after(|dir| sql(dir, "DELETE FROM segment_data")).await;
    assert_eq!((quick, thorough), (vec![History], vec![History]));
    let index = "UPDATE segment SET parts = x'0102030405' WHERE path IS NULL";
    assert_eq!(
        after(|dir| sql(dir, index)).await,
        (vec![History], vec![History])
    );
    let tail = "UPDATE tail SET data = x'01ffffffff'";
    assert_eq!(
        after(|dir| sql(dir, tail)).await,
        (vec![History], vec![History])
    );

    let entry = "UPDATE entry SET reference = 'elsewhere' WHERE path = 'y'";
    assert_eq!(
        after(|dir| sql(dir, entry)).await,
        (vec![Artifact], vec![Artifact])
    );
}

#[tokio::test]
async fn a_damaged_history_is_an_error_and_no_panic() {
    let (place, run, _) = filled().await;
    let path = files(&place.dir.path().join("history"))[0].clone();
    let whole = fs::read(&path).unwrap();
    // All over the file, and every byte of its end.
    let places = (0..whole.len())
        .step_by(4801)
        .chain(whole.len() - 1500..whole.len());
    for at in places {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, bytes).unwrap();
        let scan = place.store.scan(&run, tracker_model::HistoryQuery::new());
        // Some bytes of a file say nothing of its points; all others are found by fsck.
        if let Err(e) = futures::TryStreamExt::try_collect::<Vec<_>>(scan).await {
            assert_eq!(e.kind(), tracker_model::ErrorKind::Corrupt, "at {at}: {e}");
        }
    }
}

#[tokio::test]
async fn what_nothing_uses_is_swept_and_nothing_else() {
    let (place, path, artifact) = filled().await;
    let s = &place.store;
    let dir = place.dir.path();
    let now = || {
        GcOptions::new()
            .with_grace(Duration::ZERO)
            .with_staged_for(Duration::ZERO)
    };
    assert_eq!(
        s.gc(now()).await.unwrap(),
        tracker_store::GcReport::default()
    );

    // Two files go; one of them has its contents in an artifact too.
    s.delete_file(&path, "large.bin").await.unwrap();
    s.delete_file(&path, "small.bin").await.unwrap();
    s.put_file(&path, FileDraft::new("x"), bytes_of(noise(50_000, 4)))
        .await
        .unwrap();
    s.delete_file(&path, "x").await.unwrap();
    // A run goes, a writer stages and goes, a crash leaves files.
    let other = with_run(s, "local/p/other").await;
    write(s, &other, "k", 0, numbers(30_000, 9)).await;
    s.delete_run(&other).await.unwrap();
    let mut writer = s
        .history_writer(&path, HistoryStream::System, "t")
        .await
        .unwrap();
    writer
        .write(0, batches("k", numbers(30_000, 10)).remove(0))
        .await
        .unwrap();
    writer.checkpoint().await.unwrap();
    let busy = s.gc(now().with_dry_run(true)).await.unwrap();
    assert_eq!(busy.staged, 0);
    drop(writer);
    fs::create_dir_all(dir.join("history/a/b/c")).unwrap();
    fs::write(dir.join("history/a/b/c/left.parquet"), "left").unwrap();
    fs::create_dir_all(dir.join("blobs/ab")).unwrap();
    fs::write(dir.join("blobs/ab").join("ab".repeat(32)), "left").unwrap();

    let young = s.gc(GcOptions::new()).await.unwrap();
    assert_eq!(young.bytes(), 0);
    let dry = s.gc(now().with_dry_run(true)).await.unwrap();
    assert_eq!((dry.blobs, dry.orphans, dry.staged), (2, 2, 1));
    assert_eq!(dry.blob_bytes, 100_100);
    let before = files(dir).len();
    assert_eq!(s.gc(now()).await.unwrap(), dry);
    assert_eq!(files(dir).len(), before - 4);
    assert_eq!(s.gc(now()).await.unwrap().bytes(), 0);
    let (problems, report) = fsck(s, true).await;
    assert_eq!(problems, []);
    assert_eq!(
        (report.orphans, report.unused_blobs, report.blobs),
        (0, 0, 1)
    );
    assert_eq!(
        s.version(&artifact, &"latest".parse().unwrap())
            .await
            .unwrap()
            .entries,
        2
    );
}

#[tokio::test]
async fn sweeping_beside_writers_harms_nothing() {
    let place = store().await;
    let path = with_run(&place.store, "local/p/r").await;
    let other = EmbeddedStore::open(place.dir.path(), tracker_store::StoreOptions::new())
        .await
        .unwrap();
    let sweep = tokio::spawn(async move {
        for _ in 0..30 {
            other
                .gc(GcOptions::new().with_grace(Duration::from_millis(300)))
                .await
                .unwrap();
        }
    });
    // The same few contents come and go again and again.
    for i in 0..200u64 {
        let name = format!("f{}", i % 3);
        let body = noise(if i % 2 == 0 { 20_000 } else { 200 }, i % 5);
        place
            .store
            .put_file(&path, FileDraft::new(&name), bytes_of(body))
            .await
            .unwrap();
        if i % 4 == 0 {
            place.store.delete_file(&path, &name).await.unwrap();
        }
    }
    sweep.await.unwrap();
    assert_eq!(fsck(&place.store, true).await.0, []);
}

#[tokio::test]
async fn a_read_only_store_is_checked_and_not_swept() {
    let (place, ..) = filled().await;
    let options = tracker_store::StoreOptions::new().with_read_only(true);
    let reader = EmbeddedStore::open(place.dir.path(), options)
        .await
        .unwrap();
    assert_eq!(fsck(&reader, true).await.0, []);
    let e = reader.gc(GcOptions::new()).await.unwrap_err();
    assert_eq!(e.kind(), tracker_model::ErrorKind::PermissionDenied);
    assert_eq!(reader.run(&run("local/p/r")).await.unwrap().version, 1);
}
