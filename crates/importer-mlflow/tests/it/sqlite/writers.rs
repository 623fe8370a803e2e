//! Reading beside a server that goes on writing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use importer_core::{PointItem, PointsQuery, Source};
use rusqlite::{Connection, params};

use super::database::{Database, Version, run_id};
use crate::read::{everything, runs};

/// What MLflow's own connections wait for a lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes points until it is told to stop. Answers how many, and the longest time that one took.
fn writer(file: std::path::PathBuf, stop: &AtomicBool) -> (i64, Duration) {
    let c = Connection::open(file).unwrap();
    c.busy_timeout(PATIENCE).unwrap();
    let (mut step, mut longest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let sql = "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES ('live', 1, ?1, ?2, ?1, 0)";
        c.execute(sql, params![step, run_id(1)]).unwrap();
        longest = longest.max(began.elapsed());
        step += 1;
        thread::sleep(Duration::from_millis(1));
    }
    (step, longest)
}

/// Several readers, one of which is slow to take what was read, and a writer.
async fn beside(mode: &str) {
    let db = Database::new(Version::New);
    db.run(&format!("PRAGMA journal_mode = {mode}"));
    db.with_status(1, 1, "RUNNING", "active");
    for n in 2..6 {
        let id = db.finished(n);
        db.run("BEGIN");
        for step in 0..20_000 {
            db.point(&id, "loss", step, step, 1.0);
        }
        db.run("COMMIT");
    }
    let source = Arc::new(db.open());
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (file, stop) = (db.file(), Arc::clone(&stop));
        thread::spawn(move || writer(file, &stop))
    };

    // A stream that is begun and left lying.
    let all = runs(&*source).await.0;
    let long = all.iter().find(|r| r.id == run_id(2)).unwrap();
    let mut lying = source.points(long, PointsQuery::new());
    assert!(matches!(
        lying.try_next().await.unwrap(),
        Some(PointItem::Batch(_))
    ));
    let mut listing = source.projects(&everything());
    assert!(listing.try_next().await.unwrap().is_some());

    let live = all.iter().find(|r| r.id == run_id(1)).unwrap().clone();
    let began = Instant::now();
    let mut seen = 0;
    while began.elapsed() < Duration::from_secs(3) {
        let mut readers = Vec::new();
        for run in all.iter().filter(|r| r.id != live.id) {
            let (source, run) = (Arc::clone(&source), run.clone());
            readers.push(tokio::spawn(async move {
                let mut points = source.points(&run, PointsQuery::new());
                let mut count = 0;
                while let Some(item) = points.try_next().await.unwrap() {
                    if let PointItem::Batch(batch) = item {
                        count += batch.len();
                    }
                }
                count
            }));
        }
        for reader in readers {
            assert_eq!(reader.await.unwrap(), 20_000);
        }
        let items: Vec<_> = source
            .points(&live, PointsQuery::new())
            .try_collect()
            .await
            .unwrap();
        let points: usize = items
            .iter()
            .map(|i| {
                if let PointItem::Batch(b) = i {
                    b.len()
                } else {
                    0
                }
            })
            .sum();
        assert!(points >= seen, "what was there once is there again");
        seen = points;
    }
    stop.store(true, Ordering::Relaxed);
    let (written, longest) = writing.join().unwrap();
    assert!(seen > 0 && written >= i64::try_from(seen).unwrap());
    assert!(written > 50, "the writer goes on: {written} points in 3 s");
    assert!(
        longest < PATIENCE / 2,
        "{mode}: a write waited for {longest:?}"
    );
    drop(lying);
    drop(listing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rollback_journal() {
    beside("DELETE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_ahead_log() {
    beside("WAL").await;
}
