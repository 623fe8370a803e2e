//! Connections that read and never write.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior,
    backup::{Backup, StepResult},
    config::DbConfig,
    ffi,
};
use tempfile::TempDir;
use tracker_model::{Error, ErrorKind, Result};

use super::schema::Schema;
use crate::blocking::io_error;

/// How long a reader waits for a writer that holds the whole file: a commit.
const BUSY: Duration = Duration::from_secs(30);
/// Statements that each connection keeps ready.
const STATEMENTS: usize = 64;
/// Pages that are copied at once: some milliseconds.
const PAGES: i32 = 1024;

/// A database file, and the connections that read it: one for each reader, kept for the next.
#[derive(Debug)]
pub(super) struct Database {
    file: PathBuf,
    way: Way,
    schema: Schema,
    idle: Mutex<Vec<Connection>>,
    /// Where the private copy is, if there is one.
    _copy: Option<TempDir>,
}

/// How connections are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Read-only.
    ReadOnly,
    /// Able to write, and told not to. A write-ahead log that nobody has open begins with two
    /// files beside the database; only such a connection takes them away again.
    Queries,
}

impl Database {
    /// Opens the file and reads its schema. Where tables have no index over runs, what is opened is
    /// a private copy that has: otherwise each run would cost a look at the rows of all.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` if it is not a database of MLflow; `Corrupt`.
    pub(super) fn open(file: &Path) -> Result<Self> {
        let opened = Self::open_there(file)?;
        let tables = opened.schema.unindexed();
        match tables.is_empty() {
            true => Ok(opened),
            false => opened.indexed(&tables),
        }
    }

    fn open_there(file: &Path) -> Result<Self> {
        let doing = "opening the MLflow database";
        let meta = fs::metadata(file).map_err(|e| {
            io_error(doing, file, e)
                .with_hint("name the file of the database, such as sqlite:///mlflow.db")
        })?;
        if meta.is_dir() {
            let error = Error::invalid(format!(
                "{} is a folder, not the file of a database",
                file.display()
            ));
            let inner = file.join("mlflow.db");
            return Err(match inner.is_file() {
                true => error.with_hint(format!("use sqlite:///{}", inner.display())),
                false => error.with_hint("name the file; for a file store such as mlruns name the folder without sqlite:"),
            });
        }
        if !meta.is_file() {
            return Err(Error::invalid(format!(
                "{} is a pipe, socket or device, not a database",
                file.display()
            ))
            .with_hint("name the file of the database, such as sqlite:///mlflow.db"));
        }
        if meta.len() == 0 {
            return Err(Error::invalid(format!(
                "{} is empty, not an MLflow database",
                file.display()
            ))
            .with_hint("MLflow makes its tables when a server starts with --backend-store-uri"));
        }
        let file = fs::canonicalize(file).map_err(|e| io_error(doing, file, e))?;
        let exists = |suffix: &str| beside(&file, suffix).symlink_metadata().is_ok();
        let had_log = exists("-wal");
        // A log without its index has no owner, and reading it would leave an index behind.
        if had_log && !exists("-shm") {
            return Self::open_copy(&file);
        }
        match Self::open_as(file.clone(), Way::ReadOnly, None) {
            Ok(opened) => {
                let mode: String = opened.read("opening", |c| {
                    c.query_row("PRAGMA journal_mode", [], |row| row.get(0))
                })?;
                if mode != "wal" || had_log {
                    return Ok(opened);
                }
                // Opened before the first is dropped: the last to close takes the files away.
                Self::open_as(file.clone(), Way::Queries, None)
                    .map_err(|refused| refused.into_error(&file))
            }
            Err(Refused::Unfinished) => Self::open_copy(&file),
            Err(Refused::Other(error)) => Err(error),
        }
    }

    /// What a process that was cut off has left must be put in order before it can be read: in a
    /// private copy.
    fn open_copy(file: &Path) -> Result<Self> {
        let doing =
            "copying the MLflow database, which a process that was cut off left unfinished,";
        let dir = tempfile::tempdir().map_err(|e| io_error(doing, file, e))?;
        let copy = dir.path().join("mlflow.db");
        let before = stamps(file);
        for suffix in ["", "-wal", "-journal"] {
            match fs::copy(beside(file, suffix), beside(&copy, suffix)) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
                Err(e) => return Err(io_error(doing, file, e)),
            }
        }
        if stamps(file) != before {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{} is being written to", file.display()),
            )
            .with_hint("try again"));
        }
        Self::open_as(copy, Way::Queries, Some(dir)).map_err(|refused| refused.into_error(file))
    }

    /// A private copy of the database as it is now, with indices over runs for these tables.
    /// Without the space for it, the database itself.
    fn indexed(self, tables: &[&str]) -> Result<Self> {
        let doing = "copying the MLflow database, which has no indices over runs,";
        let place = self.file.display();
        tracing::warn!(
            "{place} has no index over runs in {}, as databases of MLflow before 1.25: it is copied to the folder \
             for temporary files, and read there with such indices",
            tables.join(", ")
        );
        let dir = tempfile::tempdir().map_err(|e| io_error(doing, &self.file, e))?;
        let copy = dir.path().join("mlflow.db");
        match self.with(|from| copy_indexed(from, &copy, tables)) {
            Ok(()) => Self::open_as(copy, Way::ReadOnly, Some(dir))
                .map_err(|refused| refused.into_error(&self.file)),
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                tracing::warn!(
                    "there is no space for a copy of {place}: it is read without, which takes longer with every run"
                );
                Ok(self)
            }
            Err(e) => Err(failure(doing, &self.file, e)),
        }
    }

    fn open_as(
        file: PathBuf,
        way: Way,
        copy: Option<TempDir>,
    ) -> std::result::Result<Self, Refused> {
        let mut database = Self {
            file,
            way,
            schema: Schema::default(),
            idle: Mutex::default(),
            _copy: copy,
        };
        let schema = database
            .with(Schema::read)
            .map_err(|e| match is_unfinished(&e) {
                true => Refused::Unfinished,
                false => Refused::Other(failure("opening", &database.file, e)),
            })?;
        schema.check(&database.file).map_err(Refused::Other)?;
        database.schema = schema;
        Ok(database)
    }

    /// Its tables.
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Reads in one transaction, which must be short: while it lasts, writers of a database with a
    /// rollback journal cannot commit.
    ///
    /// # Errors
    /// Those of the database; `doing` says what was being done.
    pub(super) fn read<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let in_transaction = |connection: &Connection| {
            let transaction =
                Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
            let out = work(&transaction)?;
            transaction.commit()?;
            Ok(out)
        };
        self.with(in_transaction)
            .map_err(|e| failure(doing, &self.file, e))
    }

    /// Lends a connection: one that is idle, or a new one.
    fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = idle().pop();
        let connection = spare.map_or_else(|| self.connect(), Ok)?;
        let out = work(&connection);
        idle().push(connection);
        out
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = match self.way {
            Way::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Way::Queries => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let connection =
            Connection::open_with_flags(&self.file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(connection)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The last connection to close moves the log into the database: not if somebody else wrote it.
        let written = fs::metadata(beside(&self.file, "-wal")).is_ok_and(|meta| meta.len() > 0);
        if written && self._copy.is_none() {
            for connection in self.idle.get_mut().unwrap_or_else(PoisonError::into_inner) {
                // At worst the log is moved, as any other reader does.
                drop(connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true));
            }
        }
    }
}

/// Copies a database, and makes indices over runs for these tables of the copy.
fn copy_indexed(from: &Connection, to: &Path, tables: &[&str]) -> rusqlite::Result<()> {
    let mut copy = Connection::open(to)?;
    copy.pragma_update(None, "trusted_schema", false)?;
    copy.pragma_update(None, "cell_size_check", true)?;
    let backup = Backup::new(from, &mut copy)?;
    let mut steps = 0;
    loop {
        // Every commit of a writer between two steps begins the copy anew: at last he has to wait.
        let patience = 3 * (1 + backup.progress().pagecount / PAGES);
        match backup.step(if steps <= patience { PAGES } else { -1 })? {
            StepResult::Done => break,
            StepResult::More => steps += 1,
            _ => {
                let busy = ffi::Error::new(ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None));
            }
        }
    }
    drop(backup);
    // Nobody needs the copy after a crash.
    copy.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    copy.pragma_update(None, "synchronous", "OFF")?;
    for table in tables {
        copy.execute_batch(&format!(
            "CREATE INDEX trackway_{table}_by_run ON {table} (run_uuid)"
        ))?;
    }
    Ok(())
}

/// Why a database could not be opened.
enum Refused {
    /// A process that was cut off has left something to put in order.
    Unfinished,
    Other(Error),
}

impl Refused {
    fn into_error(self, file: &Path) -> Error {
        match self {
            Self::Other(error) => error,
            Self::Unfinished => Error::new(
                ErrorKind::Corrupt,
                format!(
                    "{} is unfinished and cannot be put in order",
                    file.display()
                ),
            ),
        }
    }
}

fn is_unfinished(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|e| e.extended_code);
    matches!(
        code,
        Some(
            ffi::SQLITE_READONLY_ROLLBACK
                | ffi::SQLITE_READONLY_RECOVERY
                | ffi::SQLITE_READONLY_CANTINIT
        )
    )
}

/// A file that SQLite keeps beside the database.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    PathBuf::from(name)
}

fn stamps(file: &Path) -> [Option<(u64, SystemTime)>; 3] {
    ["", "-wal", "-journal"].map(|suffix| {
        let meta = fs::metadata(beside(file, suffix)).ok()?;
        Some((meta.len(), meta.modified().ok()?))
    })
}

/// What a failure of the database means to the caller.
fn failure(doing: &str, file: &Path, error: rusqlite::Error) -> Error {
    let place = file.display();
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            let message =
                format!("{doing} {place}: it is not an SQLite database, or it is encrypted");
            return Error::invalid(message)
                .with_source(error)
                .with_hint("name the file that MLflow's --backend-store-uri names; an encrypted database must be decrypted first");
        }
        Some(ErrorCode::DatabaseCorrupt) => (
            ErrorKind::Corrupt,
            "the file is damaged; if it was copied while a server ran, copy it again with sqlite3's .backup, else try its .recover",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Unavailable,
            "another process keeps the database locked; try again when it is less busy",
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => (
            ErrorKind::PermissionDenied,
            "a database with a write-ahead log can only be read in a folder that can be written to: copy it to one",
        ),
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            (ErrorKind::PermissionDenied, "make the file readable")
        }
        Some(ErrorCode::DiskFull) => (
            ErrorKind::StorageFull,
            "free space in the folder for temporary files",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            ErrorKind::Unavailable,
            "check the disk, or copy the database to a local one",
        ),
        _ => (
            ErrorKind::Corrupt,
            "the database may be one of a version of MLflow that is not known here",
        ),
    };
    Error::new(kind, format!("{doing} {place}: {error}"))
        .with_source(error)
        .with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_run_are_found_without_a_look_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mlflow.db");
        let made = Connection::open(&file).unwrap();
        made.execute_batch(
            "CREATE TABLE experiments (experiment_id, name);
             CREATE TABLE runs (run_uuid, experiment_id);
             CREATE TABLE metrics (run_uuid, key, value, timestamp);
             CREATE TABLE params (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
             CREATE TABLE tags (run_uuid, key, value);
             CREATE INDEX some ON tags (run_uuid) WHERE key > 'a';
             CREATE TABLE latest_metrics (run_uuid, key, value);
             CREATE INDEX all_of_them ON latest_metrics (run_uuid, key);",
        )
        .unwrap();
        let plan = |c: &Connection, table: &str| {
            let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE run_uuid = 'x'");
            c.query_row(&sql, [], |row| row.get::<_, String>(3))
        };
        assert!(plan(&made, "metrics").unwrap().starts_with("SCAN"));
        let opened = Database::open(&file).unwrap();
        assert_eq!(
            opened.schema().metrics_by_run.as_deref(),
            Some("trackway_metrics_by_run")
        );
        for table in ["runs", "metrics", "params", "tags", "latest_metrics"] {
            let plan = opened.read("asking", |c| plan(c, table)).unwrap();
            assert!(plan.starts_with("SEARCH"), "{table}: {plan}");
        }
        let copy = opened.file.clone();
        assert_ne!(copy, file);
        drop(opened);
        assert!(!copy.exists() && !copy.parent().unwrap().exists());
    }
}
