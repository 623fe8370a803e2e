//! The catalog: everything of a store but the bytes of histories, files and artifacts. The only
//! module with SQL.
//!
//! Jobs are closures over a connection. Those that write go through one thread, which runs what
//! is waiting in one transaction, so that many small changes share one flush of the disk; each
//! job has its own savepoint, so that one that fails takes nothing of the others with it. Those
//! that read take one of a few connections and see one snapshot.

pub(crate) mod artifacts;
pub(crate) mod audit;
pub(crate) mod blobs;
pub(crate) mod collections;
pub(crate) mod files;
mod json;
pub(crate) mod lineage;
pub(crate) mod logs;
pub(crate) mod projects;
mod readers;
pub(crate) mod records;
pub(crate) mod reports;
pub(crate) mod run_query;
mod run_row;
pub(crate) mod runs;
mod schema;
pub(crate) mod segments;
pub(crate) mod sweep;
pub(crate) mod sweeps;
pub(crate) mod tail;
mod writer;

use std::path::Path;

use rusqlite::Connection;
use tracker_model::{Error, ErrorKind, Result};

use crate::{StoreOptions, error::Failure};

/// The answer of a job.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// The catalog of one store, shared by all its handles.
#[derive(Debug)]
pub(crate) struct Catalog {
    // Before the writer, so that its connection is the last one to close: it then leaves no log
    // that the next process would have to read.
    readers: readers::Readers,
    writer: Option<writer::Writer>,
}

impl Catalog {
    /// Opens the catalog in `file`, and makes or updates its tables unless it is read-only.
    pub(crate) fn open(file: &Path, options: &StoreOptions) -> Result<Self> {
        let writer = if options.read_only {
            schema::check(file)?;
            None
        } else {
            let connection = schema::open_writer(file, options.durability)?;
            Some(writer::Writer::start(connection)?)
        };
        Ok(Self {
            writer,
            readers: readers::Readers::new(file.to_owned(), options),
        })
    }

    /// Runs a job that changes the catalog. When it answers, the change is durable; when it
    /// fails, nothing has changed. Dropping the future does not stop a job that has begun.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.writer()?.write(doing, job).await
    }

    /// Like [`Self::write`] where nobody waits for the answer, as in `drop`. If the queue is full
    /// the job is not done.
    pub(crate) fn try_write(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<()> + Send + 'static,
    ) {
        if let Some(writer) = &self.writer {
            writer.try_write(doing, job);
        }
    }

    /// Gives free room at the end of the file and in the log back to the disk.
    pub(crate) async fn shrink(&self) -> Result<()> {
        self.writer()?.shrink().await
    }

    /// Fails if the store is read-only.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.writer().map(|_| ())
    }

    fn writer(&self) -> Result<&writer::Writer> {
        self.writer.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::PermissionDenied, "the store is opened read-only")
                .with_hint("open it for writing to change it")
        })
    }

    /// Runs a job that reads, with one snapshot of the catalog.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.read(doing, job).await
    }

    /// Like [`Self::read`] for a few rows by their keys: they are read sooner than another thread
    /// is woken, and readers do not wait for writers. Only where no connection is free another
    /// thread does it.
    pub(crate) async fn look_up<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.look_up(doing, job).await
    }

    /// Like [`Self::read`] on a thread that may block.
    pub(crate) fn read_now<T>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T>,
    ) -> Result<T> {
        self.readers.read_now(doing, job)
    }
}
