use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tracker_model::{Error, ErrorKind, ProjectPath, Result};

use super::{Ledger, LedgerEntry, LedgerKey};
use crate::SourceId;

/// "trwl", so that a file of another kind is recognised.
const APPLICATION_ID: i32 = 0x7472_776c;
const SCHEMA_VERSION: i32 = 1;
const SCHEMA: &str = "
    CREATE TABLE projects (
        source TEXT NOT NULL, id TEXT NOT NULL, target TEXT NOT NULL,
        PRIMARY KEY (source, id)
    ) WITHOUT ROWID;
    CREATE INDEX projects_by_target ON projects (source, target);
    CREATE TABLE entries (
        source TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, entry TEXT NOT NULL,
        PRIMARY KEY (source, kind, id)
    );
";

/// A ledger in an SQLite file, beside a store or anywhere else on a local disk.
#[derive(Clone)]
pub struct SqliteLedger {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

impl SqliteLedger {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// `InvalidInput` if the file is something else or of a newer version; `Unavailable` or
    /// `StorageFull` if it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let connection = Connection::open(&path)
            .and_then(|c| {
                c.busy_timeout(Duration::from_secs(60))?;
                Ok(c)
            })
            .map_err(|e| failed(&path, &e))?;
        let id: i32 = connection
            .query_row(
                "SELECT application_id FROM pragma_application_id",
                [],
                |r| r.get(0),
            )
            .map_err(|e| failed(&path, &e))?;
        let version: i32 = connection
            .query_row("SELECT user_version FROM pragma_user_version", [], |r| {
                r.get(0)
            })
            .map_err(|e| failed(&path, &e))?;
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))
            .map_err(|e| failed(&path, &e))?;
        if id != APPLICATION_ID && tables > 0 {
            return Err(Error::invalid(format!(
                "{} is a database of another kind, not a ledger",
                path.display()
            ))
            .with_hint("name another file for the ledger"));
        }
        if version > SCHEMA_VERSION {
            return Err(Error::invalid(format!(
                "the ledger {} was made by a newer version of Trackway",
                path.display()
            ))
            .with_hint("install that version, or name another file for the ledger"));
        }
        Self::prepare(&connection).map_err(|e| failed(&path, &e))?;
        Ok(Self {
            path,
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    fn prepare(connection: &Connection) -> rusqlite::Result<()> {
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let version: i32 =
            connection.query_row("SELECT user_version FROM pragma_user_version", [], |r| {
                r.get(0)
            })?;
        if version < SCHEMA_VERSION {
            connection.execute_batch(SCHEMA)?;
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        connection.execute_batch("COMMIT")
    }

    /// Looks something up. One row by its key is read sooner than another thread is woken, and
    /// readers do not wait for writers: only where the connection is in use another thread does it.
    async fn look_up<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        if let Ok(connection) = self.connection.try_lock() {
            return work(&connection).map_err(|e| failed(&self.path, &e));
        }
        self.with(work).await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            work(&connection.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await;
        match done {
            Ok(result) => result.map_err(|e| failed(&self.path, &e)),
            Err(e) => Err(Error::new(
                ErrorKind::Unexpected,
                format!("use the ledger {}: {e}", self.path.display()),
            )),
        }
    }
}

fn failed(path: &Path, e: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let kind = match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => ErrorKind::Corrupt,
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            ErrorKind::InvalidInput
        }
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("use the ledger {}: {e}", path.display()))
}

fn read_entry(
    connection: &Connection,
    source: &str,
    kind: &str,
    id: &str,
) -> rusqlite::Result<Option<LedgerEntry>> {
    let mut statement = connection
        .prepare_cached("SELECT entry FROM entries WHERE source = ? AND kind = ? AND id = ?")?;
    let mut rows = statement.query(params![source, kind, id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    // An entry that does not parse is one that was never written: its run is done again.
    Ok(serde_json::from_str(row.get_ref(0)?.as_str()?).ok())
}

fn id_of(key: &LedgerKey) -> (&'static str, &str) {
    match key {
        LedgerKey::Run(id) => ("run", id),
        LedgerKey::Artifact(id) => ("artifact", id),
    }
}

impl fmt::Display for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteLedger({self})")
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn project(&self, source: &SourceId, id: &str) -> Result<Option<ProjectPath>> {
        let (source, id) = (source.to_string(), id.to_owned());
        let target: Option<String> = self
            .look_up(move |c| {
                c.prepare_cached("SELECT target FROM projects WHERE source = ? AND id = ?")?
                    .query_row(params![source, id], |r| r.get(0))
                    .optional()
            })
            .await?;
        target.map(|t| t.parse()).transpose()
    }

    async fn bind_project(
        &self,
        source: &SourceId,
        id: &str,
        target: &ProjectPath,
    ) -> Result<bool> {
        let (source, id, target) = (source.to_string(), id.to_owned(), target.to_string());
        self.with(move |c| {
            // One statement, so that two imports cannot both take the name.
            let changed = c
                .prepare_cached(
                    "INSERT INTO projects (source, id, target) SELECT ?1, ?2, ?3
                     WHERE NOT EXISTS (SELECT 1 FROM projects WHERE source = ?1 AND target = ?3 AND id <> ?2)
                     ON CONFLICT (source, id) DO UPDATE SET target = excluded.target",
                )?
                .execute(params![source, id, target])?;
            Ok(changed > 0)
        })
        .await
    }

    async fn entry(&self, source: &SourceId, key: &LedgerKey) -> Result<Option<LedgerEntry>> {
        let (kind, id) = id_of(key);
        let (source, id) = (source.to_string(), id.to_owned());
        self.look_up(move |c| read_entry(c, &source, kind, &id))
            .await
    }

    async fn entries(
        &self,
        source: &SourceId,
        keys: &[LedgerKey],
    ) -> Result<Vec<Option<LedgerEntry>>> {
        let (source, keys) = (source.to_string(), keys.to_vec());
        self.with(move |c| {
            let snapshot = c.unchecked_transaction()?;
            let entries = keys.iter().map(|key| {
                let (kind, id) = id_of(key);
                read_entry(&snapshot, &source, kind, id)
            });
            let entries = entries.collect::<rusqlite::Result<_>>()?;
            snapshot.commit()?;
            Ok(entries)
        })
        .await
    }

    async fn settle(&self, source: &SourceId, key: &LedgerKey, entry: LedgerEntry) -> Result<()> {
        let (kind, id) = id_of(key);
        let (source, id) = (source.to_string(), id.to_owned());
        let text = serde_json::to_string(&entry).map_err(|e| {
            Error::new(
                ErrorKind::Unexpected,
                format!("write an entry of the ledger: {e}"),
            )
        })?;
        self.with(move |c| {
            c.prepare_cached(
                "INSERT INTO entries (source, kind, id, entry) VALUES (?, ?, ?, ?)
                 ON CONFLICT (source, kind, id) DO UPDATE SET entry = excluded.entry",
            )?
            .execute(params![source, kind, id, text])
            .map(drop)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SourceId {
        SourceId {
            kind: "mlflow".to_owned(),
            location: "here".to_owned(),
        }
    }

    #[tokio::test]
    async fn keeps_what_it_was_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let entry = LedgerEntry {
            target: "a/b/c".to_owned(),
            done: true,
            ..LedgerEntry::default()
        };
        let key = LedgerKey::Run("1".to_owned());
        SqliteLedger::open(&path)
            .unwrap()
            .settle(&source(), &key, entry.clone())
            .await
            .unwrap();
        let again = SqliteLedger::open(&path).unwrap();
        assert_eq!(again.entry(&source(), &key).await.unwrap(), Some(entry));
        assert_eq!(
            again
                .entry(&source(), &LedgerKey::Artifact("1".to_owned()))
                .await
                .unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn many_are_answered_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let sqlite = SqliteLedger::open(dir.path().join("ledger.db")).unwrap();
        let memory = super::super::MemoryLedger::new();
        for ledger in [&sqlite as &dyn Ledger, &memory] {
            let entry = |target: &str| LedgerEntry {
                target: target.to_owned(),
                ..LedgerEntry::default()
            };
            let key = |id: &str| LedgerKey::Run(id.to_owned());
            for id in ["1", "2"] {
                ledger.settle(&source(), &key(id), entry(id)).await.unwrap();
            }
            let asked = [key("2"), LedgerKey::Artifact("1".to_owned()), key("1")];
            assert_eq!(
                ledger.entries(&source(), &asked).await.unwrap(),
                [Some(entry("2")), None, Some(entry("1"))]
            );
        }
    }

    #[tokio::test]
    async fn one_project_each() {
        let dir = tempfile::tempdir().unwrap();
        let sqlite = SqliteLedger::open(dir.path().join("ledger.db")).unwrap();
        let memory = super::super::MemoryLedger::new();
        let target: ProjectPath = "local/p".parse().unwrap();
        for ledger in [&sqlite as &dyn Ledger, &memory] {
            assert!(ledger.bind_project(&source(), "1", &target).await.unwrap());
            assert!(ledger.bind_project(&source(), "1", &target).await.unwrap());
            assert!(!ledger.bind_project(&source(), "2", &target).await.unwrap());
            assert_eq!(
                ledger.project(&source(), "1").await.unwrap(),
                Some(target.clone())
            );
            assert_eq!(ledger.project(&source(), "2").await.unwrap(), None);
        }
    }

    #[test]
    fn refuses_what_is_no_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other.db");
        Connection::open(&other)
            .unwrap()
            .execute_batch("CREATE TABLE t (a)")
            .unwrap();
        assert_eq!(
            SqliteLedger::open(&other).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        let text = dir.path().join("notes.txt");
        std::fs::write(&text, "not a database at all, but a text").unwrap();
        assert_eq!(
            SqliteLedger::open(&text).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }
}
