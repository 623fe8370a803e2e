use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use importer_core::Source;
use importer_mlflow::{MlflowOptions, SqliteSource};
use rusqlite::Connection;
use tracker_model::{Error, ErrorKind};

use super::database::{Database, Version, contents, run_id};
use crate::read::{history, run, runs};

fn refused(file: &Path) -> Error {
    let error = SqliteSource::open(file, &MlflowOptions::new()).unwrap_err();
    assert!(error.hint().is_some(), "{error:?}");
    error
}

#[test]
fn what_is_no_database_of_mlflow_gets_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("empty"), "").unwrap();
    fs::write(at("text"), "words".repeat(1000)).unwrap();
    Connection::open(at("other"))
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    Connection::open(at("runs"))
        .unwrap()
        .execute_batch("CREATE TABLE experiments (experiment_id, name); CREATE TABLE runs (id)")
        .unwrap();
    for (name, kind, word) in [
        ("gone", ErrorKind::NotFound, "gone"),
        ("", ErrorKind::InvalidInput, "is a folder"),
        ("empty", ErrorKind::InvalidInput, "is empty"),
        (
            "text",
            ErrorKind::InvalidInput,
            "not an SQLite database, or it is encrypted",
        ),
        (
            "other",
            ErrorKind::InvalidInput,
            "lacks the table experiments",
        ),
        (
            "runs",
            ErrorKind::InvalidInput,
            "lacks the column runs.run_uuid",
        ),
    ] {
        let error = refused(&at(name));
        assert_eq!(error.kind(), kind, "{name}: {error:?}");
        assert!(error.message().contains(word), "{name}: {error:?}");
    }
    let options = MlflowOptions::new().with_artifacts_root(at("nowhere"));
    let db = Database::new(Version::New);
    assert_eq!(
        SqliteSource::open(db.file(), &options).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

/// A database with a run of many pages.
fn long(version: Version) -> Database {
    let db = Database::new(version);
    let id = db.finished(1);
    db.run("BEGIN");
    for step in 0..5000 {
        db.point(&id, "loss", step, step, 1.0);
    }
    db.run("COMMIT");
    db
}

#[tokio::test]
async fn a_damaged_database_says_so() {
    let dir = long(Version::New).close();
    let file = dir.path().join("mlflow.db");
    let mut bytes = fs::read(&file).unwrap();
    // All pages behind those of the schema are gone.
    let keep = 24 * 4096;
    assert!(bytes.len() > 2 * keep);
    bytes[keep..].fill(0x5a);
    fs::write(&file, bytes).unwrap();
    let source = SqliteSource::open(&file, &MlflowOptions::new());
    let error = match source {
        Err(error) => error,
        Ok(source) => {
            let selection = crate::read::everything();
            let listed: Result<Vec<_>, _> =
                futures::TryStreamExt::try_collect(Source::projects(&source, &selection)).await;
            listed.unwrap_err()
        }
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.hint().unwrap().contains("damaged"), "{error:?}");
}

async fn read_all(file: &Path) -> usize {
    let source = SqliteSource::open(file, &MlflowOptions::new()).unwrap();
    assert_eq!(runs(&source).await.0.len(), 1);
    let (one, _) = run(&source, &run_id(1)).await;
    let points = history(&source, &one).await.points["loss"].len();
    drop(crate::read::artifacts(&source).await);
    points
}

#[tokio::test]
async fn nothing_is_written_to_a_database_or_beside_it() {
    for mode in ["DELETE", "WAL", "TRUNCATE"] {
        let db = long(Version::New);
        db.run(&format!("PRAGMA journal_mode = {mode}"));
        db.point(&run_id(1), "loss", -1, 0, 1.0);
        let dir = db.close();
        let before = contents(dir.path());
        for _ in 0..2 {
            assert_eq!(
                read_all(&dir.path().join("mlflow.db")).await,
                5001,
                "{mode}"
            );
            assert_eq!(contents(dir.path()), before, "{mode}");
        }
    }
}

/// Copies what a process that is cut off at this moment leaves.
fn cut_off(db: &Database, files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in files {
        fs::copy(db.base().join(name), dir.path().join(name)).unwrap();
    }
    dir
}

#[tokio::test]
async fn what_a_server_that_was_killed_left_is_read_and_left_alone() {
    // A log that nobody has moved into the database, with its index and without.
    let db = long(Version::New);
    db.run("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
    for step in 0..7 {
        db.point(&run_id(1), "loss", -1 - step, 0, 1.0);
    }
    let without = cut_off(&db, &["mlflow.db", "mlflow.db-wal"]);
    let with = cut_off(&db, &["mlflow.db", "mlflow.db-wal", "mlflow.db-shm"]);
    for dir in [without, with] {
        let before = contents(dir.path());
        assert_eq!(read_all(&dir.path().join("mlflow.db")).await, 5007);
        let after = contents(dir.path());
        assert_eq!(
            after.keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>()
        );
        for name in ["mlflow.db", "mlflow.db-wal"] {
            assert_eq!(after[name], before[name], "{name}");
        }
    }

    // A change that was half written, and must be undone.
    let db = long(Version::New);
    db.run("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 5; PRAGMA synchronous = FULL; PRAGMA cache_spill = ON; BEGIN");
    db.run("DELETE FROM metrics WHERE step % 2 = 0; UPDATE runs SET name = 'half'");
    let dir = cut_off(&db, &["mlflow.db", "mlflow.db-journal"]);
    let before = contents(dir.path());
    assert_eq!(read_all(&dir.path().join("mlflow.db")).await, 5000);
    assert_eq!(contents(dir.path()), before);
}

/// As those of MLflow before 1.25: the rows of a run are read from a private copy.
#[tokio::test]
async fn a_database_without_indices_over_runs_is_read_from_an_indexed_copy() {
    let db = Database::new(Version::New);
    for table in ["metrics", "params", "tags", "latest_metrics"] {
        db.run(&format!("DROP INDEX index_{table}_run_uuid"));
    }
    db.run("DROP INDEX index_metrics_run_uuid_key_step");
    for n in 1..=3 {
        let id = db.finished(n);
        db.pair("params", &id, "n", &n.to_string());
        for step in 0..10 {
            db.point(&id, "loss", step, step, f64::from(n));
        }
    }
    let before = contents(db.base());
    let source = db.open();
    assert!(source.capabilities().exact_fingerprints);
    for n in 1..=3 {
        let (one, record) = run(&source, &run_id(n)).await;
        assert_eq!(record.run.config["n"], n.to_string());
        let points = &history(&source, &one).await.points["loss"];
        let bits = f64::from(n).to_bits();
        assert_eq!(points.len(), 10);
        assert!(points.iter().all(|point| point.2 == bits));
    }
    drop(source);
    assert_eq!(contents(db.base()), before);
}

#[tokio::test]
async fn a_busy_writer_does_not_keep_a_copy_from_being_made() {
    let db = Database::new(Version::Old);
    let id = db.finished(1);
    // Several steps of copying.
    db.pair("params", &id, "large", &"x".repeat(12 << 20));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (file, stop) = (db.file(), Arc::clone(&stop));
        move || {
            let c = Connection::open(file).unwrap();
            c.busy_timeout(Duration::from_secs(30)).unwrap();
            c.execute_batch("PRAGMA synchronous = OFF").unwrap();
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                c.execute("INSERT INTO tags VALUES (?1, 'v', 'other')", [written])
                    .unwrap();
                written += 1;
            }
            written
        }
    });
    let source = db.open();
    stop.store(true, Ordering::Relaxed);
    assert!(writer.join().unwrap() > 0);
    let (_, record) = run(&source, &id).await;
    assert_eq!(
        record.run.config["large"].as_str().map(str::len),
        Some(12 << 20)
    );
}
