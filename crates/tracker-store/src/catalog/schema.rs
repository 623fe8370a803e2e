use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use tracker_model::{Error, ErrorKind, Result};

use crate::{Durability, error::Doing};

/// "TrkW": says whose database it is.
const APPLICATION_ID: i32 = 0x5472_6b57;

/// The steps from an empty database to the present one; the version is the number of steps taken.
const MIGRATIONS: [&str; 4] = [
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
];

/// Bytes of a page of a new catalog. Runs with their objects take a kilobyte or two, histories more:
/// larger pages are fewer, and each costs a call of the system. Those of other stores stay as they are.
const PAGE: u32 = 16_384;

/// How long a process waits for another one that writes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn open_writer(file: &Path, durability: Durability) -> Result<Connection> {
    let doing = || format!("open the catalog {}", file.display());
    let connection = Connection::open(file).doing(doing())?;
    set_up(&connection).doing(doing())?;
    refuse_foreign(&connection, file)?;
    // Takes effect in a new database alone; in another it would only write and flush.
    let pages: i64 = connection
        .query_row("PRAGMA page_count", [], |r| r.get(0))
        .doing(doing())?;
    if pages == 0 {
        connection
            .execute_batch(&format!(
                "PRAGMA page_size = {PAGE}; PRAGMA auto_vacuum = INCREMENTAL"
            ))
            .doing(doing())?;
    }
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))
        .doing(doing())?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{}: its disk has no shared memory", doing()),
        )
        .with_hint("keep the store on a local disk"));
    }
    let synchronous = match durability {
        Durability::Power => "FULL",
        Durability::Process => "NORMAL",
    };
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON;
             PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8000;"
        ))
        .doing(doing())?;
    migrate(&connection, file)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

pub(super) fn open_reader(file: &Path, read_only_store: bool) -> Result<Connection> {
    let doing = || format!("read the catalog {}", file.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).doing(doing())?;
    set_up(&connection).doing(doing())?;
    let probe = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    if let (Err(e), true) = (&probe, read_only_store) {
        // Where not even the shared memory of the log can be made, as on a read-only medium, and
        // nothing is in the log, the file can be read as it is.
        if is_cannot_open(e) && !has_log(file) {
            let uri = format!("file:{}?immutable=1", percent(file));
            connection = Connection::open_with_flags(&uri, flags | OpenFlags::SQLITE_OPEN_URI)
                .doing(doing())?;
            set_up(&connection).doing(doing())?;
        }
    } else {
        probe.doing(doing())?;
    }
    connection
        .execute_batch("PRAGMA query_only = ON;")
        .and_then(|()| cache_much(&connection))
        .doing(doing())?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Whether the file is a catalog that this version can read.
pub(super) fn check(file: &Path) -> Result<()> {
    let connection = open_reader(file, true)?;
    refuse_foreign(&connection, file)?;
    match version(&connection).doing(format_args!("open the catalog {}", file.display()))? {
        v if v == MIGRATIONS.len() => Ok(()),
        0 => Err(not_a_store(file)),
        v => Err(Error::new(
            ErrorKind::Unsupported,
            format!("the store {} is of an older version ({v})", file.display()),
        )
        .with_hint("open it once for writing, which updates it")),
    }
}

/// For readers that go through a table once: what they read is not needed again, and few pages, used
/// again and again, stay in the processor's own cache.
pub(super) fn cache_little(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -256)
}

/// What readers keep between jobs.
pub(super) fn cache_much(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -4000)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    // A plan does not depend on the parameters: statements are not prepared anew for each use.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;",
    )
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.query_row("PRAGMA user_version", [], |r| r.get(0))
}

fn not_a_store(file: &Path) -> Error {
    Error::invalid(format!(
        "{} is not the catalog of a Trackway store",
        file.display()
    ))
    .with_hint("name another folder; a store is made in a new or empty one")
}

/// Refuses databases of other programs and of newer versions of this one.
fn refuse_foreign(connection: &Connection, file: &Path) -> Result<()> {
    let read = || -> rusqlite::Result<(i32, usize, i64)> {
        Ok((
            connection.query_row("PRAGMA application_id", [], |r| r.get(0))?,
            version(connection)?,
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?,
        ))
    };
    let (id, version, tables) =
        read().doing(format_args!("open the catalog {}", file.display()))?;
    if id == APPLICATION_ID && version > MIGRATIONS.len() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the store {} was made by a newer Trackway (its version is {version})",
                file.display()
            ),
        )
        .with_hint("install that version or a later one"));
    }
    if id == APPLICATION_ID || (id == 0 && version == 0 && tables == 0) {
        Ok(())
    } else {
        Err(not_a_store(file))
    }
}

fn migrate(connection: &Connection, file: &Path) -> Result<()> {
    let doing = || format!("update the catalog {}", file.display());
    if version(connection).doing(doing())? == MIGRATIONS.len() {
        return Ok(());
    }
    let steps = || -> rusqlite::Result<()> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        // Another process may have been quicker.
        for step in MIGRATIONS.iter().skip(version(connection)?) {
            connection.execute_batch(step)?;
        }
        connection.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}; COMMIT",
            MIGRATIONS.len()
        ))
    };
    steps().doing(doing())
}

fn is_cannot_open(e: &rusqlite::Error) -> bool {
    matches!(
        e.sqlite_error_code(),
        Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly)
    )
}

fn has_log(file: &Path) -> bool {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|m| m.len() > 0)
}

fn percent(file: &Path) -> String {
    let text = file.to_string_lossy();
    text.replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23")
}
