use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tracker_model::Result;

use super::{Outcome, schema};
use crate::{StoreOptions, error::unexpected};

/// Connections that are kept for later.
const MAX_IDLE: usize = 8;

/// A few connections that read, opened when they are needed.
pub(super) struct Readers {
    permits: Arc<Semaphore>,
    pool: Arc<Pool>,
}

struct Pool {
    file: PathBuf,
    read_only_store: bool,
    idle: Mutex<Vec<Connection>>,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("file", &self.pool.file)
            .finish_non_exhaustive()
    }
}

impl Readers {
    pub(super) fn new(file: PathBuf, options: &StoreOptions) -> Self {
        let pool = Pool {
            file,
            read_only_store: options.read_only,
            idle: Mutex::new(Vec::new()),
        };
        Self {
            permits: Arc::new(Semaphore::new(options.readers.max(1))),
            pool: Arc::new(pool),
        }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| unexpected(format!("{doing}: the store is closed")))?;
        let pool = Arc::clone(&self.pool);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            pool.read(doing, job)
        });
        task.await
            .map_err(|e| unexpected(format!("{doing}: the reading thread ended")).with_source(e))?
    }

    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.permits.try_acquire().ok();
        if let Some((_permit, connection)) = permit.zip(self.pool.idle()) {
            return self.pool.read_with(connection, doing, job);
        }
        self.read(doing, job).await
    }

    pub(super) fn read_now<T>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T>,
    ) -> Result<T> {
        self.pool.read(doing, job)
    }
}

fn in_snapshot<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> Outcome<T>,
) -> Outcome<T> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let answer = job(connection);
    // Where it does not end, the connection is not used again; what the job said comes first.
    let ended = connection
        .prepare_cached("COMMIT")
        .and_then(|mut commit| commit.execute([]));
    let answer = answer?;
    ended?;
    Ok(answer)
}

impl Pool {
    fn read<T>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T>,
    ) -> Result<T> {
        let connection = match self.idle() {
            Some(connection) => connection,
            None => schema::open_reader(&self.file, self.read_only_store)?,
        };
        self.read_with(connection, doing, job)
    }

    fn read_with<T>(
        &self,
        connection: Connection,
        doing: &'static str,
        job: impl FnOnce(&Connection) -> Outcome<T>,
    ) -> Result<T> {
        let answer = in_snapshot(&connection, job).map_err(|e| e.into_error(doing));
        self.give_back(connection);
        answer
    }

    fn idle(&self) -> Option<Connection> {
        self.idle.lock().ok().and_then(|mut idle| idle.pop())
    }

    fn give_back(&self, connection: Connection) {
        if let (true, Ok(mut idle)) = (connection.is_autocommit(), self.idle.lock())
            && idle.len() < MAX_IDLE
        {
            idle.push(connection);
        }
    }
}
