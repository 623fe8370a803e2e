//! Tokens of a service principal, which expire after an hour.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::sync::Mutex;
use tracker_http::{Bytes, Credentials, HeaderValue, HttpClient, Result, SecretString, Url};

/// A token is used no longer than until so long before its end.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a token is taken to live that does not say it.
const USUAL_LIFE: Duration = Duration::from_secs(3600);

/// Gets tokens for a service principal, and keeps them as long as they are good.
#[derive(Clone)]
pub(crate) struct OAuth {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Url,
    principal: Credentials,
    current: Mutex<Option<(Instant, HttpClient)>>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: Option<u64>,
}

impl OAuth {
    /// For the service principal of a workspace.
    pub(super) fn new(host: &Url, client_id: &str, client_secret: SecretString) -> Self {
        let mut endpoint = host.clone();
        endpoint.set_path("/oidc/v1/token");
        let principal = Credentials::basic(client_id, client_secret);
        Self {
            shared: Arc::new(Shared {
                endpoint,
                principal,
                current: Mutex::new(None),
            }),
        }
    }

    /// The client with a token that is good.
    pub(crate) async fn client(&self, client: &HttpClient) -> Result<HttpClient> {
        let mut current = self.shared.current.lock().await;
        if let Some((end, client)) = &*current
            && Instant::now() < *end
        {
            return Ok(client.clone());
        }
        let asked = Instant::now();
        let form = Bytes::from_static(b"grant_type=client_credentials&scope=all-apis");
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let request = client
            .with_credentials(&self.shared.principal)?
            .post(self.shared.endpoint.clone());
        let token: Token = request.idempotent().body(media_type, form).json().await?;
        let life = token.expires_in.map_or(USUAL_LIFE, Duration::from_secs);
        let client = client.with_credentials(&Credentials::bearer(token.access_token))?;
        *current = Some((asked + life.saturating_sub(MARGIN), client.clone()));
        Ok(client)
    }
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OAuth")
    }
}
