//! A server without a network, and those who ask it.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header::HeaderMap},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;
use tracker_model::MemoryTracker;
use tracker_server::{Accounts, Options, Server};

/// A server, over a tracker that outlives it.
pub(crate) struct World {
    pub(crate) tracker: Arc<MemoryTracker>,
    server: Server,
}

/// Somebody who asks.
#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    authorization: String,
}

/// An answer of HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(MemoryTracker::new())).await
    }

    async fn over(tracker: Arc<MemoryTracker>) -> Self {
        Self::with_options(tracker, Options::new()).await
    }

    /// Over what a tracker holds already.
    pub(crate) async fn with_options(tracker: Arc<MemoryTracker>, options: Options) -> Self {
        let server = Server::new(tracker.clone(), tracker.clone(), options);
        let server = server.await.unwrap();
        Self { tracker, server }
    }

    /// The accounts.
    pub(crate) fn accounts(&self) -> &Accounts {
        self.server.accounts()
    }

    /// All that is served.
    pub(crate) fn router(&self) -> Router {
        self.server.router()
    }

    /// Another server over what this one leaves behind.
    pub(crate) async fn restarted(self) -> Self {
        Self::over(self.tracker).await
    }

    /// A new user, who is no admin.
    pub(crate) async fn user(&self, name: &str) -> Client {
        let accounts = self.server.accounts();
        let made = accounts.add_user(name.parse().unwrap(), false, None).await;
        self.client(made.unwrap().1.expose_secret())
    }

    /// A further key of a user.
    pub(crate) async fn again(&self, name: &str) -> Client {
        let name = name.parse().unwrap();
        let made = self.server.accounts().generate_key(&name, None).await;
        self.client(made.unwrap().1.expose_secret())
    }

    fn client(&self, key: &str) -> Client {
        Client {
            router: self.server.router(),
            authorization: format!("Basic {}", STANDARD.encode(format!("api:{key}"))),
        }
    }
}

impl Client {
    /// Asks by GraphQL, and answers the data, or the message of the first error.
    pub(crate) async fn try_ask(&self, query: &str, variables: Json) -> Result<Json, String> {
        let body = json!({"query": query, "variables": variables}).to_string();
        let answer = self
            .send(Method::POST, "/graphql", body.into_bytes(), &[])
            .await;
        let mut answer: Json = serde_json::from_slice(&answer.body).unwrap();
        match answer["errors"][0]["message"].as_str() {
            Some(message) => Err(message.to_owned()),
            None => Ok(answer["data"].take()),
        }
    }

    pub(crate) async fn ask(&self, query: &str, variables: Json) -> Json {
        self.try_ask(query, variables).await.unwrap()
    }

    pub(crate) async fn put(&self, url: &str, body: &[u8]) -> StatusCode {
        self.send(Method::PUT, url, body.to_vec(), &[]).await.status
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, Vec::new(), &[]).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let path = url.strip_prefix("http://server").unwrap_or(url);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "server")
            .header("authorization", &self.authorization)
            .header("content-length", body.len());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        send(&self.router, request).await
    }
}

/// Sends a request as it is.
pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}
