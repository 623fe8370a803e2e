use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Method;
use reqwest::redirect::Policy;
use url::Url;

use crate::concurrency::Concurrency;
use crate::credentials::Authorization;
use crate::pacer::Pacer;
use crate::{Credentials, Error, ErrorKind, Event, HttpOptions, RedactedUrl, Request, Result, tls};

/// Connections are given up after this time without use, before the usual servers close them:
/// a request on a connection that is being closed fails.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// A client of one server: its connections, credentials, pace and retries.
///
/// Clones are cheap and share all of it.
#[derive(Clone)]
pub struct HttpClient {
    shared: Arc<Shared>,
    authorization: Arc<Authorization>,
}

struct Shared {
    options: HttpOptions,
    api: reqwest::Client,
    /// Without decompression, for downloads.
    raw: OnceLock<reqwest::Client>,
    pacer: Pacer,
    concurrency: Concurrency,
}

impl HttpClient {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidInput` when options contradict each other or credentials cannot be sent, `Tls` when
    /// a certificate file cannot be used.
    pub fn new(mut options: HttpOptions) -> Result<Self> {
        if let Some(server) = &mut options.server {
            require_http(server)?;
            if options.credentials.is_none()
                && let Some(credentials) = Credentials::from_url(server)
            {
                options.credentials = credentials;
            }
            strip_userinfo(server);
        } else if !options.credentials.is_none() || !options.headers.is_empty() {
            let message = "credentials and headers need the server that they are for";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let authorization = Arc::new(Authorization::new(&options.credentials)?);
        let api = build(&options, true)?;
        let concurrency = Concurrency::new(options.max_in_flight);
        let shared = Shared {
            options,
            api,
            raw: OnceLock::new(),
            pacer: Pacer::default(),
            concurrency,
        };
        Ok(Self {
            shared: Arc::new(shared),
            authorization,
        })
    }

    /// The same client for somebody else: connections, pace and options are shared. For tokens
    /// that expire.
    ///
    /// # Errors
    /// `InvalidInput` when the credentials cannot be sent, or there is no server that they are for.
    pub fn with_credentials(&self, credentials: &Credentials) -> Result<Self> {
        if self.shared.options.server.is_none() && !credentials.is_none() {
            let message = "credentials need the server that they are for";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let authorization = Arc::new(Authorization::new(credentials)?);
        Ok(Self {
            shared: Arc::clone(&self.shared),
            authorization,
        })
    }

    /// Begins a GET request.
    pub fn get(&self, url: Url) -> Request {
        self.request(Method::GET, url)
    }

    /// Begins a HEAD request.
    pub fn head(&self, url: Url) -> Request {
        self.request(Method::HEAD, url)
    }

    /// Begins a POST request.
    pub fn post(&self, url: Url) -> Request {
        self.request(Method::POST, url)
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: Url) -> Request {
        Request::new(self.clone(), method, url)
    }

    /// How many requests may wait for an answer at once, adapted to the server. A request holds
    /// its permit until its answer begins, or is read if it is read as a whole.
    pub fn concurrency(&self) -> &Concurrency {
        &self.shared.concurrency
    }

    /// The options that this client was made with.
    pub fn options(&self) -> &HttpOptions {
        &self.shared.options
    }

    pub(crate) fn authorization(&self) -> &Authorization {
        &self.authorization
    }

    pub(crate) fn pacer(&self) -> &Pacer {
        &self.shared.pacer
    }

    pub(crate) fn api(&self) -> &reqwest::Client {
        &self.shared.api
    }

    pub(crate) fn raw(&self) -> Result<&reqwest::Client> {
        if let Some(raw) = self.shared.raw.get() {
            return Ok(raw);
        }
        let raw = build(&self.shared.options, false)?;
        Ok(self.shared.raw.get_or_init(|| raw))
    }

    pub(crate) fn observe(&self, event: &Event<'_>) {
        tracing::debug!(?event);
        if let Some(observer) = &self.shared.options.observer {
            observer.observe(event);
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field(
                "server",
                &self.shared.options.server.clone().map(RedactedUrl::new),
            )
            .field("authorization", &self.authorization)
            .field("concurrency", &self.shared.concurrency.limit())
            .finish_non_exhaustive()
    }
}

const _: fn() = || {
    fn is_handle<T: Send + Sync + Clone + 'static>() {}
    is_handle::<HttpClient>();
    is_handle::<Concurrency>();
};

pub(crate) fn require_http(url: &Url) -> Result<()> {
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        return Ok(());
    }
    let message = format!(
        "`{}` addresses cannot be asked over HTTP: http or https is needed",
        url.scheme()
    );
    Err(Error::new(ErrorKind::InvalidInput, message))
}

pub(crate) fn strip_userinfo(url: &mut Url) {
    // Both fail only where there is no host, and then there is no userinfo either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

fn build(options: &HttpOptions, decompress: bool) -> Result<reqwest::Client> {
    let builder = || {
        let builder = reqwest::Client::builder()
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(options.max_in_flight.max(1))
            .tcp_keepalive(Duration::from_secs(60))
            .gzip(decompress)
            .referer(false)
            .redirect(Policy::none());
        tls::configure(builder, &options.tls)
    };
    let built = match builder()?.build() {
        // A machine without certificates can still talk to servers without TLS.
        Err(error) if tls::has_no_system_roots(&error) => builder()?.tls_certs_only([]).build(),
        built => built,
    };
    built.map_err(|error| {
        let kind = if tls::find::<rustls::Error>(&error).is_some() {
            ErrorKind::Tls
        } else {
            ErrorKind::InvalidInput
        };
        Error::new(kind, "set up the HTTP client")
            .with_detail(tls::root_cause(&error))
            .with_source(error.without_url())
    })
}
