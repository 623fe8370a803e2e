//! A server over memory, and requests to it.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{Request, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value as Json, json};
use tracker_model::MemoryTracker;
use tracker_server::{Options, Server};

use crate::support::{Answer, send};

/// A server with the users `local`, an admin, and `eve`, who is not.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) tracker: Arc<MemoryTracker>,
    router: Router,
    key: String,
    other: String,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Local,
    Eve,
    Nobody,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(Options::new()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let tracker = Arc::new(MemoryTracker::new());
        let server = Server::new(tracker.clone(), tracker.clone(), options)
            .await
            .unwrap();
        let key = server.ensure_user().await.unwrap().unwrap();
        let eve = SecretString::from("eves-own-key");
        let added = server
            .accounts()
            .add_user("eve".parse().unwrap(), false, Some(eve));
        let (_, other) = added.await.unwrap();
        Self {
            router: server.router(),
            server,
            tracker,
            key: key.expose_secret().to_owned(),
            other: other.expose_secret().to_owned(),
        }
    }

    pub(crate) fn authorization(&self, who: Who) -> Option<String> {
        let key = match who {
            Who::Local => &self.key,
            Who::Eve => &self.other,
            Who::Nobody => return None,
        };
        Some(format!("Basic {}", STANDARD.encode(format!("api:{key}"))))
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    /// Sends a request of somebody.
    pub(crate) async fn ask(
        &self,
        who: Who,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "server.example");
        if let Some(authorization) = self.authorization(who) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Asks a GraphQL query.
    pub(crate) async fn query(&self, who: Who, query: &str, variables: Json) -> Json {
        let body = json!({"query": query, "variables": variables}).to_string();
        self.ask(who, "POST", "/graphql", body).await.json()
    }

    /// Asks a GraphQL query that must be answered without errors.
    pub(crate) async fn data(&self, query: &str, variables: Json) -> Json {
        let answer = self.query(Who::Local, query, variables).await;
        assert_eq!(answer.get("errors"), None, "{query}");
        answer["data"].clone()
    }

    /// Begins a run of the project `p`.
    pub(crate) async fn begin(&self, run: &str) -> Json {
        let begin = "mutation($run: String) { upsertBucket(input: {name: $run, modelName: \"p\", host: \"h\"}) \
             { inserted bucket { id name displayName state historyLineCount project { name entity { name } } } } }";
        self.data(begin, json!({"run": run})).await["upsertBucket"].clone()
    }

    /// Sends lines of a run of the project `p`.
    pub(crate) async fn stream(&self, who: Who, run: &str, body: &Json) -> Answer {
        let path = format!("/files/local/p/{run}/file_stream");
        self.ask(who, "POST", &path, body.to_string()).await
    }

    /// All rows of a run of the project `p`.
    pub(crate) async fn rows(&self, run: &str) -> Vec<String> {
        let query = "query($run: String!) { project(name: \"p\", entityName: \"local\") { run(name: $run) { history(minStep: 0) } } }";
        let data = self.data(query, json!({"run": run})).await;
        let rows = data["project"]["run"]["history"]
            .as_array()
            .unwrap()
            .clone();
        rows.iter()
            .map(|row| row.as_str().unwrap().to_owned())
            .collect()
    }

    /// The path of a URL that the server gave.
    pub(crate) fn path_of(url: &str) -> &str {
        url.strip_prefix("http://server.example").unwrap()
    }
}
