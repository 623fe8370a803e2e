use std::{
    fmt,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tracker_model::Result;

use super::Outcome;
use crate::error::{Failure, unexpected};

/// Jobs that wait at most.
const QUEUE: usize = 128;
/// Jobs that share a transaction at most, and for how long others are kept from writing.
const GROUP: usize = 64;
const GROUP_TIME: Duration = Duration::from_millis(50);

/// The thread that writes.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("trackway-catalog".to_owned())
            .spawn(move || work(&connection, jobs))
            .map_err(|e| unexpected("start the thread of the catalog").with_source(e))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || unexpected(format!("{doing}: the thread of the catalog has ended"));
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Typed {
            doing,
            job: Some(job),
            outcome: None,
            reply,
        });
        self.queue
            .as_ref()
            .ok_or_else(gone)?
            .send(job)
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Gives free room back to the disk; what somebody is reading stays for now.
    pub(super) async fn shrink(&self) -> Result<()> {
        self.write("shrink the catalog", |c| {
            Ok(c.prepare("PRAGMA incremental_vacuum")?
                .query([])?
                .next()
                .map(drop)?)
        })
        .await
    }

    pub(super) fn try_write(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<()> + Send + 'static,
    ) {
        let (reply, _) = oneshot::channel();
        let job = Box::new(Typed {
            doing,
            job: Some(job),
            outcome: None,
            reply,
        });
        if self.queue.as_ref().is_none_or(|q| q.try_send(job).is_err()) {
            tracing::debug!(doing, "the catalog is busy: left for gc");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // The thread ends when it has done what is in the queue.
            let _ = thread.join();
        }
    }
}

/// A job with its answer.
trait Job: Send {
    /// Does the work, inside a transaction.
    fn run(&mut self, connection: &Connection);
    /// Gives the answer; `failed` if the transaction was not committed.
    fn settle(self: Box<Self>, failed: Option<&rusqlite::Error>);
}

struct Typed<T, F> {
    doing: &'static str,
    job: Option<F>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Outcome<T> + Send> Job for Typed<T, F> {
    fn run(&mut self, connection: &Connection) {
        let Some(job) = self.job.take() else { return };
        let outcome = in_savepoint(connection, job);
        self.outcome = Some(outcome.map_err(|e| e.into_error(self.doing)));
    }

    fn settle(self: Box<Self>, failed: Option<&rusqlite::Error>) {
        let answer = match (failed, self.outcome) {
            // A job that failed by itself says why, whatever became of the others.
            (_, Some(Err(e))) => Err(e),
            (Some(e), _) => Err(Failure::Sql(copy(e)).into_error(self.doing)),
            (None, Some(answer)) => answer,
            (None, None) => Err(unexpected(format!("{}: was not begun", self.doing))),
        };
        // The caller may have lost interest.
        let _ = self.reply.send(answer);
    }
}

/// An error with the same code and text, as several jobs wait for the same commit.
fn copy(e: &rusqlite::Error) -> rusqlite::Error {
    match e {
        rusqlite::Error::SqliteFailure(code, text) => {
            rusqlite::Error::SqliteFailure(*code, text.clone())
        }
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> Outcome<T>,
) -> Outcome<T> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let outcome = job(connection).and_then(|answer| {
        connection.prepare_cached("RELEASE job")?.execute([])?;
        Ok(answer)
    });
    if outcome.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
    }
    outcome
}

fn work(connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut group = Vec::new();
        let outcome = transaction(connection, first, &mut jobs, &mut group);
        if outcome.is_err() && !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        for job in group {
            job.settle(outcome.as_ref().err());
        }
    }
    // Keeps the statistics of the planner fresh.
    let _ = connection.execute_batch("PRAGMA optimize");
}

fn transaction(
    connection: &Connection,
    first: Box<dyn Job>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
    group: &mut Vec<Box<dyn Job>>,
) -> Result<(), rusqlite::Error> {
    let begin = execute(connection, "BEGIN IMMEDIATE");
    let start = Instant::now();
    let mut next = Some(first);
    if let Err(e) = begin {
        group.extend(next);
        return Err(e);
    }
    while let Some(mut job) = next {
        job.run(connection);
        group.push(job);
        if connection.is_autocommit() {
            // SQLite has given up the whole transaction, as it does when the disk is full.
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                Some("the transaction was given up".to_owned()),
            ));
        }
        let more = group.len() < GROUP && start.elapsed() < GROUP_TIME;
        next = if more { jobs.try_recv().ok() } else { None };
    }
    execute(connection, "COMMIT")
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
