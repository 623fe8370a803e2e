//! What every request needs.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, Uri, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::TryStreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracker_client::Api;
use tracker_model::{
    Change, EntityName, Error, ErrorKind, Precondition, RecordStore, Result, RunFilter, RunPatch,
    RunPath, RunQuery, RunState, Timestamp, Tracker,
};

use crate::{
    Accounts, Options,
    accounts::{Viewer, secret},
    artifacts::Locks,
    error::{HttpError, HttpResult},
    live::{Ends, Heartbeats},
    pages::Pages,
    signed::Signer,
    windows::Windows,
};

/// How many series are read for charts at one time.
const DRAWN_AT_ONCE: usize = 8;

/// The state of a server.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) tracker: Arc<dyn Tracker>,
    pub(crate) api: Api,
    pub(crate) records: Arc<dyn RecordStore>,
    pub(crate) accounts: Accounts,
    pub(crate) signer: Signer,
    /// Signs who is logged in on a page.
    pub(crate) sessions: Signer,
    /// How many series may be read for charts at one time, by all pages together.
    pub(crate) drawing: Semaphore,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) ends: Ends,
    pub(crate) pages: Pages,
    pub(crate) windows: Windows,
    pub(crate) locks: Locks,
    pub(crate) options: Options,
    bodies: Arc<Semaphore>,
}

impl App {
    pub(crate) async fn new(
        tracker: Arc<dyn Tracker>,
        records: Arc<dyn RecordStore>,
        options: Options,
    ) -> Result<Self> {
        let signer = Signer::new(secret(&*records, "url-key").await?, options.url_lifetime);
        let session_key = secret(&*records, "session-key").await?;
        let sessions = Signer::new(session_key, options.session_lifetime);
        let budget = options
            .body_budget
            .max(options.max_body)
            .min(Semaphore::MAX_PERMITS);
        Ok(Self {
            api: Api::new(tracker.clone()).without_cache(),
            tracker,
            accounts: Accounts::open(records.clone()).await?,
            records,
            signer,
            sessions,
            drawing: Semaphore::new(DRAWN_AT_ONCE),
            heartbeats: Heartbeats::default(),
            ends: Ends::default(),
            pages: Pages::default(),
            windows: Windows::default(),
            locks: Locks::default(),
            bodies: Arc::new(Semaphore::new(budget)),
            options,
        })
    }

    /// Who makes the request: by `Authorization: Basic base64("api:KEY")` or `Bearer KEY`.
    pub(crate) async fn viewer(&self, headers: &HeaderMap) -> HttpResult<Arc<Viewer>> {
        let known = self.known(headers).await?;
        known.ok_or_else(HttpError::unauthenticated)
    }

    /// As [`App::viewer`]; `None` without a key, or for one that is none.
    pub(crate) async fn known(&self, headers: &HeaderMap) -> Result<Option<Arc<Viewer>>> {
        let key = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| key_of(value.to_str().ok()?));
        match key {
            Some(key) => self.accounts.viewer(&key).await,
            None => Ok(None),
        }
    }

    /// What the URLs begin with that this client is told.
    pub(crate) fn base_url(&self, headers: &HeaderMap, uri: &Uri) -> String {
        if let Some(url) = &self.options.public_url {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| uri.authority().map(|authority| authority.as_str()))
            .unwrap_or("localhost");
        format!("http://{host}")
    }

    /// Room for a body of this many bytes, waited for.
    pub(crate) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes.max(1)).unwrap_or(u32::MAX);
        self.bodies.clone().acquire_many_owned(bytes).await.ok()
    }

    /// Marks runs as crashed that have been silent for too long.
    pub(crate) async fn bury(&self) -> Result<u64> {
        let limit = i64::try_from(self.options.heartbeat_timeout.as_millis()).unwrap_or(i64::MAX);
        let filter =
            RunFilter::parse("state = running or state = preempting").map_err(Error::of_query)?;
        let mut runs = self.tracker.find_runs(RunQuery::new().with_filter(filter));
        let mut buried = 0;
        while let Some(run) = runs.try_next().await? {
            // A run without a sign of life was not logged through a server: an import says itself
            // what became of it.
            let Some(heard) = run.heartbeat_at else {
                continue;
            };
            if Timestamp::now()
                .as_millis()
                .saturating_sub(heard.as_millis())
                <= limit
            {
                continue;
            }
            let mut patch = RunPatch::new().with_state(match run.state {
                RunState::Preempting => RunState::Preempted,
                _ => RunState::Crashed,
            });
            patch.ended_at = Change::Set(heard);
            let pre = match self.tracker.capabilities().atomic_changes {
                // It may speak again this very moment.
                true => Precondition::Version(run.version),
                false => Precondition::Present,
            };
            match self.tracker.upsert_run(&run.path, patch, pre).await {
                Ok(_) => {
                    tracing::info!(run = %run.path, "nothing heard of a run for too long: crashed");
                    buried += 1;
                }
                Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(buried)
    }

    /// Buries runs until the server ends.
    pub(crate) async fn bury_forever(self: Arc<Self>) {
        let every = (self.options.heartbeat_timeout / 5).max(Duration::from_millis(100));
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Runs get the time to speak again after a restart.
        tokio::time::sleep(self.options.heartbeat_timeout).await;
        loop {
            ticks.tick().await;
            self.windows.tidy();
            if let Err(error) = self.bury().await {
                tracing::warn!(%error, "could not look for crashed runs");
            }
        }
    }
}

impl Viewer {
    /// # Errors
    /// `NotFound`: whoever may not read an entity is not told what is in it.
    pub(crate) fn read(&self, entity: &EntityName) -> Result<()> {
        match self.may_read(entity) {
            true => Ok(()),
            false => Err(Error::not_found(format_args!("entity {entity}"))),
        }
    }

    /// # Errors
    /// `PermissionDenied`, or `NotFound` for an entity that may not even be read.
    pub(crate) fn write(&self, entity: &EntityName) -> Result<()> {
        self.read(entity)?;
        match self.may_write(entity) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("you may read entity {entity}, not write to it"),
            )),
        }
    }
}

fn key_of(authorization: &str) -> Option<String> {
    let (scheme, rest) = authorization.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => {
            let bytes = STANDARD.decode(rest.trim()).ok()?;
            let (_, key) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
            Some(key.to_owned())
        }
        "bearer" => Some(rest.trim().to_owned()),
        _ => None,
    }
}

/// The run that a path of the wire names.
pub(crate) fn run_path(entity: &str, project: &str, run: &str) -> Result<RunPath> {
    Ok(RunPath::new(
        entity.parse()?,
        project.parse()?,
        run.parse()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::key_of;

    #[test]
    fn keys_in_headers() {
        assert_eq!(key_of("Basic YXBpOmtleTp4").as_deref(), Some("key:x"));
        assert_eq!(key_of("bearer abc").as_deref(), Some("abc"));
        for header in [
            "",
            "Basic",
            "Basic !",
            "Basic YXBp",
            "Digest x",
            "Basic /w==",
        ] {
            assert_eq!(key_of(header), None, "{header}");
        }
    }
}
