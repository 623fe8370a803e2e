use std::{fmt, sync::Arc};

use tracker_http::{
    HeaderName, HeaderValue, HttpClient, HttpOptions, RedactedUrl, Request, Result, Url,
};

use super::endpoint::Endpoint;
use crate::databricks::OAuth;

/// The header that chooses a workspace.
const WORKSPACE: HeaderName = HeaderName::from_static("x-mlflow-workspace");

/// The REST interface of one server: the one place where requests begin.
#[derive(Clone)]
pub(crate) struct Api {
    shared: Arc<Shared>,
    workspace: Option<HeaderValue>,
}

struct Shared {
    client: HttpClient,
    /// The address, a static prefix included.
    base: Url,
    /// Where tokens come from that expire.
    oauth: Option<OAuth>,
}

impl Api {
    /// The interface of the server that the options name.
    ///
    /// # Errors
    /// Those of [`HttpClient::new`].
    pub(crate) fn new(base: Url, options: HttpOptions, oauth: Option<OAuth>) -> Result<Self> {
        let client = HttpClient::new(options.with_server(base.clone()))?;
        let mut base = base;
        // Both fail only where there is no host.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                base,
                oauth,
            }),
            workspace: None,
        })
    }

    /// The same server, in a workspace.
    pub(crate) fn in_workspace(&self, name: &str) -> Self {
        // What a header cannot carry is the name of no workspace: the server will say so.
        let workspace = HeaderValue::from_bytes(name.as_bytes()).ok();
        Self {
            shared: Arc::clone(&self.shared),
            workspace,
        }
    }

    /// The workspace, if one was chosen.
    pub(crate) fn workspace(&self) -> Option<&str> {
        self.workspace.as_ref().and_then(|name| name.to_str().ok())
    }

    /// The address, without user and password, without a slash at its end.
    pub(crate) fn location(&self) -> String {
        RedactedUrl::new(self.shared.base.clone())
            .to_string()
            .trim_end_matches('/')
            .to_owned()
    }

    /// How many requests may be under way at once.
    pub(crate) fn max_in_flight(&self) -> usize {
        self.shared.client.options().max_in_flight.max(1)
    }

    /// Begins a call.
    ///
    /// # Errors
    /// When a token must be asked for first and is refused.
    pub(crate) async fn call(&self, endpoint: Endpoint) -> Result<Request> {
        self.call_below(endpoint, "", "").await
    }

    /// Begins a call whose path holds an id, or goes on with `/`-separated names, which are
    /// percent-encoded once.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub(crate) async fn call_below(
        &self,
        endpoint: Endpoint,
        id: &str,
        below: &str,
    ) -> Result<Request> {
        let mut url = self.shared.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            path.extend(
                endpoint
                    .path()
                    .split('/')
                    .map(|part| if part == "{id}" { id } else { part }),
            );
            path.extend(below.split('/').filter(|part| !part.is_empty()));
        }
        let client = match &self.shared.oauth {
            Some(oauth) => oauth.client(&self.shared.client).await?,
            None => self.shared.client.clone(),
        };
        // Every call of the list only reads, so that it may be repeated.
        let request = client.request(endpoint.method(), url).idempotent();
        Ok(match &self.workspace {
            Some(workspace) => request.header(WORKSPACE, workspace.clone()),
            None => request,
        })
    }

    /// Begins the download from a signed address of another server.
    pub(crate) fn download_signed(&self, url: Url) -> Request {
        self.shared.client.get(url).anonymous().sensitive()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("location", &self.location())
            .finish_non_exhaustive()
    }
}
