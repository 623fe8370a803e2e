//! One place where the failures of SQLite, of the disk and of Parquet become errors of the
//! contract.

use std::{fmt, io};

use rusqlite::ErrorCode;
use tracker_model::{Error, ErrorKind, Result};

const FULL_HINT: &str = "free some space (`trackway gc` removes what is not used) and try again";
const CORRUPT_HINT: &str =
    "run `trackway fsck` to see what is damaged, and restore the store from a copy";

/// Says what was being done, and finds the kind.
pub(crate) trait Doing<T> {
    /// `what` as in "read file x": the message becomes "read file x: why".
    fn doing(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: Classify> Doing<T> for Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|e| e.classify(what))
    }
}

/// A failure that knows its kind.
pub(crate) trait Classify {
    fn classify(self, what: impl fmt::Display) -> Error;
}

impl Classify for Error {
    fn classify(self, what: impl fmt::Display) -> Error {
        self.context(what)
    }
}

impl Classify for io::Error {
    fn classify(self, what: impl fmt::Display) -> Error {
        // One of ours that went through an interface of the standard library.
        let this = match self.downcast::<Error>() {
            Ok(e) => return e.context(what),
            Err(this) => this,
        };
        let kind = match this.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::PermissionDenied
            }
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        };
        hinted(Error::new(kind, format!("{what}: {this}")).with_source(this))
    }
}

impl Classify for rusqlite::Error {
    fn classify(self, what: impl fmt::Display) -> Error {
        let kind = match &self {
            Self::SqliteFailure(e, _) => match e.code {
                ErrorCode::DiskFull => ErrorKind::StorageFull,
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::SystemIoFailure => ErrorKind::Unavailable,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => ErrorKind::Corrupt,
                ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
                    ErrorKind::PermissionDenied
                }
                ErrorCode::TooBig => ErrorKind::InvalidInput,
                _ => ErrorKind::Unexpected,
            },
            Self::FromSqlConversionFailure(..)
            | Self::IntegralValueOutOfRange(..)
            | Self::Utf8Error(..)
            | Self::InvalidColumnType(..) => ErrorKind::Corrupt,
            _ => ErrorKind::Unexpected,
        };
        hinted(Error::new(kind, format!("{what}: {self}")).with_source(self))
    }
}

impl Classify for parquet::errors::ParquetError {
    fn classify(self, what: impl fmt::Display) -> Error {
        match self {
            Self::External(source) => match source.downcast::<io::Error>() {
                Ok(e) => e.classify(what),
                Err(source) => corrupt(format!("{what}: {source}")),
            },
            other => corrupt(format!("{what}: {other}")),
        }
    }
}

/// Stored bytes are not what they should be.
pub(crate) fn corrupt(message: impl Into<String>) -> Error {
    hinted(Error::new(ErrorKind::Corrupt, message))
}

/// A thing that should not happen, such as a thread that is gone.
pub(crate) fn unexpected(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unexpected, message)
}

fn hinted(error: Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull => error.with_hint(FULL_HINT),
        ErrorKind::Corrupt => error.with_hint(CORRUPT_HINT),
        _ => error,
    }
}

/// What goes wrong inside a job of the catalog: SQLite, or the contract.
#[derive(Debug)]
pub(crate) enum Failure {
    Sql(rusqlite::Error),
    Model(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Model(e)
    }
}

impl Failure {
    /// The error of the contract; `doing` is said of failures of SQLite alone.
    pub(crate) fn into_error(self, doing: impl fmt::Display) -> Error {
        match self {
            Self::Sql(e) => e.classify(doing),
            Self::Model(e) => e,
        }
    }
}
