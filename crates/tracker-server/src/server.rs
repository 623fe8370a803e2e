//! Connections, from the first to the last.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tracker_model::{RecordStore, Result, Tracker};

use crate::{
    Accounts, Options,
    app::App,
    graphql,
    http::{Near, Shared, router},
    metrics::Metrics,
};

/// How long requests that are under way may take after the server was told to end.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// A server of the W&B protocol over a tracker.
///
/// ```no_run
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use tracker_model::MemoryTracker;
/// use tracker_server::{Options, Server};
///
/// let tracker = Arc::new(MemoryTracker::new());
/// let server = Server::new(tracker.clone(), tracker, Options::new()).await?;
/// let key = server.ensure_user().await?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// server.serve(listener, async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Server {
    shared: Shared,
}

impl Server {
    /// A server over this tracker, with accounts and other small things in these records.
    ///
    /// # Errors
    /// Those of the records.
    pub async fn new(
        tracker: Arc<dyn Tracker>,
        records: Arc<dyn RecordStore>,
        options: Options,
    ) -> Result<Self> {
        let (schema, known) = graphql::schema(&options).await?;
        let app = Arc::new(App::new(tracker, records, options).await?);
        let metrics = Arc::new(Metrics::default());
        let shared = Shared {
            app,
            schema,
            known,
            metrics,
        };
        Ok(Self { shared })
    }

    /// Users, keys and teams.
    pub fn accounts(&self) -> &Accounts {
        &self.shared.app.accounts
    }

    /// Makes the user `local` if there is no user; see [`Accounts::ensure_one`].
    ///
    /// # Errors
    /// Those of the records.
    pub async fn ensure_user(&self) -> Result<Option<SecretString>> {
        self.accounts().ensure_one().await
    }

    /// All that is served, for a service that has more to serve.
    pub fn router(&self) -> Router {
        router(self.shared.clone())
    }

    /// The schema in GraphQL's own language.
    pub fn sdl(&self) -> String {
        self.shared.schema.sdl()
    }

    /// Marks as crashed what has been silent for too long, and answers how many runs these were.
    /// [`Server::serve`] does it by itself.
    ///
    /// # Errors
    /// Those of the tracker.
    pub async fn mark_crashed(&self) -> Result<u64> {
        self.shared.app.bury().await
    }

    /// Serves until `stop` is there; then ends what is under way.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let watch = tokio::spawn(self.shared.app.clone().bury_forever());
        let far = TowerToHyperService::new(self.router());
        let near = TowerToHyperService::new(self.router().layer(Extension(Near)));
        let graceful = GracefulShutdown::new();
        let patience = self.shared.app.options.idle_timeout;
        let mut stop = std::pin::pin!(stop);
        loop {
            let (stream, address) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // No more files can be opened, or the client is gone already.
                        tracing::warn!(%error, "a connection was not taken");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
                () = &mut stop => break,
            };
            // Answers are small: they must not wait for more to come.
            let _ = stream.set_nodelay(true);
            let is_near = address.ip().to_canonical().is_loopback();
            let service = if is_near { &near } else { &far };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(patience)
                .max_buf_size(256 << 10)
                .serve_connection(TokioIo::new(stream), service.clone());
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection broke");
                }
            });
        }
        drop(listener);
        watch.abort();
        if tokio::time::timeout(LAST_WORDS, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some requests were cut off at the end");
        }
    }
}
