use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use crate::{Credentials, Observer, RedactedUrl};

/// How an [`HttpClient`](crate::HttpClient) works.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpOptions {
    /// The server that the credentials and the headers are for: scheme, host and port count.
    /// Requests to other servers, and redirects to them, go without. A user and a password in it
    /// are used as credentials if there are no others.
    pub server: Option<Url>,
    /// Who asks.
    pub credentials: Credentials,
    /// Headers for every request to the server. Secrets belong to the credentials.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The `User-Agent` header; by default `trackway/VERSION`.
    pub user_agent: String,
    /// The longest time to connect; by default 10 s.
    pub connect_timeout: Duration,
    /// The longest silence: from the request to the head of the answer, and between two pieces of
    /// the body. By default 120 s.
    pub timeout: Duration,
    /// How often and how long failures are tried again.
    pub retry: RetryOptions,
    /// Which servers are trusted, and our own certificate.
    pub tls: TlsOptions,
    /// Upper bound of requests that wait for an answer at the same time, and of the connections
    /// that are kept for the next requests; by default 8, at least 1. The client lowers it while
    /// the server cannot cope.
    pub max_in_flight: usize,
    /// The most redirects that a request follows; by default 10.
    pub max_redirects: usize,
    /// The largest body that is held in memory, in bytes after decompression; by default 256 MiB.
    pub max_body_bytes: u64,
    /// Hears of every request, wait and retry.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            server: None,
            credentials: Credentials::None,
            headers: Vec::new(),
            user_agent: concat!("trackway/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(120),
            retry: RetryOptions::default(),
            tls: TlsOptions::default(),
            max_in_flight: 8,
            max_redirects: 10,
            max_body_bytes: 256 << 20,
            observer: None,
        }
    }
}

/// The server goes without user and password, the headers without values.
impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpOptions")
            .field("server", &self.server.clone().map(RedactedUrl::new))
            .field("credentials", &self.credentials)
            .field("headers", &names)
            .field("user_agent", &self.user_agent)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .field("tls", &self.tls)
            .field("max_in_flight", &self.max_in_flight)
            .field("max_redirects", &self.max_redirects)
            .field("max_body_bytes", &self.max_body_bytes)
            .finish_non_exhaustive()
    }
}

impl HttpOptions {
    /// Sets [`server`](Self::server).
    #[must_use]
    pub fn with_server(mut self, server: Url) -> Self {
        self.server = Some(server);
        self
    }

    /// Sets [`credentials`](Self::credentials). They need a server that they are for.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Adds a header for every request to the server.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets [`user_agent`](Self::user_agent).
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sets [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn with_connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets [`retry`](Self::retry).
    #[must_use]
    pub fn with_retry(mut self, retry: RetryOptions) -> Self {
        self.retry = retry;
        self
    }

    /// Sets [`tls`](Self::tls).
    #[must_use]
    pub fn with_tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Sets [`max_in_flight`](Self::max_in_flight).
    #[must_use]
    pub fn with_max_in_flight(mut self, max_in_flight: usize) -> Self {
        self.max_in_flight = max_in_flight;
        self
    }

    /// Sets [`max_redirects`](Self::max_redirects).
    #[must_use]
    pub fn with_max_redirects(mut self, max_redirects: usize) -> Self {
        self.max_redirects = max_redirects;
        self
    }

    /// Sets [`max_body_bytes`](Self::max_body_bytes).
    #[must_use]
    pub fn with_max_body_bytes(mut self, max_body_bytes: u64) -> Self {
        self.max_body_bytes = max_body_bytes;
        self
    }

    /// Sets [`observer`](Self::observer).
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }
}

/// How often and how long failures are tried again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RetryOptions {
    /// The most tries of a request; by default 10, at least 1.
    pub max_tries: u32,
    /// The most tries to connect to a host that has never answered yet, so that a wrong address
    /// is told soon; by default 3, at least 1.
    pub max_first_tries: u32,
    /// The most time for all tries of a request and the waits between them, without the waits
    /// that the server asks for; by default 3 minutes.
    pub max_elapsed: Duration,
    /// The first wait; each further one is twice as long, and up to twice that by chance. By
    /// default 500 ms.
    pub min_delay: Duration,
    /// The longest wait, before chance; by default 30 s.
    pub max_delay: Duration,
    /// The longest wait that a server may ask for; by default 5 minutes. A request whose server
    /// asks for more fails.
    pub max_retry_after: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            max_tries: 10,
            max_first_tries: 3,
            max_elapsed: Duration::from_secs(180),
            min_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(300),
        }
    }
}

impl RetryOptions {
    /// Everything is tried once.
    pub fn never() -> Self {
        Self {
            max_tries: 1,
            ..Self::default()
        }
    }

    /// Sets [`max_tries`](Self::max_tries).
    #[must_use]
    pub fn with_max_tries(mut self, max_tries: u32) -> Self {
        self.max_tries = max_tries;
        self
    }

    /// Sets [`max_first_tries`](Self::max_first_tries).
    #[must_use]
    pub fn with_max_first_tries(mut self, max_first_tries: u32) -> Self {
        self.max_first_tries = max_first_tries;
        self
    }

    /// Sets [`max_elapsed`](Self::max_elapsed).
    #[must_use]
    pub fn with_max_elapsed(mut self, max_elapsed: Duration) -> Self {
        self.max_elapsed = max_elapsed;
        self
    }

    /// Sets [`min_delay`](Self::min_delay) and [`max_delay`](Self::max_delay).
    #[must_use]
    pub fn with_delays(mut self, min: Duration, max: Duration) -> Self {
        self.min_delay = min;
        self.max_delay = max;
        self
    }

    /// Sets [`max_retry_after`](Self::max_retry_after).
    #[must_use]
    pub fn with_max_retry_after(mut self, max_retry_after: Duration) -> Self {
        self.max_retry_after = max_retry_after;
        self
    }
}

/// Which servers are trusted, and our own certificate.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// A PEM file with the certificates of the authorities to trust, instead of the system's: as
    /// Python's `REQUESTS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
    /// A PEM file with authorities to trust besides the system's.
    pub extra_ca_bundle: Option<PathBuf>,
    /// A PEM file with our own certificate and its private key.
    pub client_identity: Option<PathBuf>,
    /// Trust everybody: whoever is on the way can read and change everything. Excludes the
    /// bundles.
    pub insecure: bool,
}

impl TlsOptions {
    /// Sets [`ca_bundle`](Self::ca_bundle).
    #[must_use]
    pub fn with_ca_bundle(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_bundle = Some(path.into());
        self
    }

    /// Sets [`extra_ca_bundle`](Self::extra_ca_bundle).
    #[must_use]
    pub fn with_extra_ca_bundle(mut self, path: impl Into<PathBuf>) -> Self {
        self.extra_ca_bundle = Some(path.into());
        self
    }

    /// Sets [`client_identity`](Self::client_identity).
    #[must_use]
    pub fn with_client_identity(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_identity = Some(path.into());
        self
    }

    /// Sets [`insecure`](Self::insecure).
    #[must_use]
    pub fn with_insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }
}
