//! A tracker on a server that speaks the protocol of W&B.
//!
//! [`RemoteTracker`] needs nothing of a server but what the SDK of W&B needs. What the model has and
//! W&B has not stands in an entry of its own, `_trackway`, of a run's config and of a version's
//! metadata, which is not shown. Servers of ours say and take records of the model beside the wire's
//! fields, so that nothing is lost with them; [`Capabilities`] tell the difference.

mod artifacts;
mod bodies;
mod failure;
mod files;
mod graphql;
mod history;
mod logs;
mod options;
mod pages;
mod projects;
mod record;
mod reports;
mod rows;
mod runs;
mod sweeps;
mod writer;

use std::{fmt, path::PathBuf, sync::Arc};

use serde::Deserialize;
use tracker_http::{Credentials, HeaderName, HeaderValue, HttpClient, Url};
use tracker_model::{
    Capabilities, EntityName, Error, ErrorKind, ProjectName, Result, RunId, Tracker, ValueKinds,
};

use failure::failure;
use graphql::GraphQl;
pub use options::{Environment, PUBLIC_CLOUD, Parts, RemoteOptions};

/// Says to servers of ours that records of the model are meant.
const HEADER: HeaderName = HeaderName::from_static("x-trackway");

/// The tracker of a server. Clones are cheap.
#[derive(Clone)]
pub struct RemoteTracker {
    remote: Arc<Remote>,
}

/// What all parts of it need.
#[derive(Debug, Clone)]
struct Remote {
    http: HttpClient,
    graphql: GraphQl,
    base: Url,
    viewer: Viewer,
    extension: Option<Extension>,
    scope: Scope,
    /// The folder where points wait until they are sent.
    spool: PathBuf,
    /// Files of artifacts that are larger are sent in parts.
    parts: Parts,
    promised: artifacts::Promised,
}

/// A part of what a server has; nothing else is seen then where lists and queries name no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only of this entity.
    pub entity: Option<EntityName>,
    /// Only projects with this name.
    pub project: Option<ProjectName>,
    /// Only runs with this id.
    pub run: Option<RunId>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// The name of the account.
    pub username: String,
    /// The entity that things belong to unless another one is named.
    pub entity: Option<EntityName>,
    /// The teams that the account is in.
    pub teams: Vec<EntityName>,
}

/// What servers of ours know beyond W&B.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extension {
    #[expect(dead_code, reason = "there is one version so far")]
    version: i64,
    can: Can,
}

/// What the tracker behind a server of ours can do.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "they are the capabilities")]
struct Can {
    atomic_changes: bool,
    atomic_commits: bool,
    logged_order: bool,
    rewrite_history: bool,
    series_digests: bool,
    stored_content: bool,
    contents: bool,
    version_indices: bool,
    links: bool,
    value_kinds: Option<String>,
    sweeps: bool,
    logs: bool,
    reports: bool,
}

impl RemoteTracker {
    /// Asks the server who the key belongs to and what the server is.
    ///
    /// # Errors
    /// `Unauthenticated` without a key or with a wrong one; `Unavailable` if nobody answers;
    /// `InvalidInput` or `Corrupt` if it is no server of this kind.
    pub async fn connect(options: &RemoteOptions) -> Result<Self> {
        let base = options.base_url().clone();
        let credentials = match options.key() {
            Some(key) => Credentials::basic("api", key.clone()),
            None => Credentials::None,
        };
        let http = options.http.clone().with_server(base.clone());
        let http = http.with_header(HEADER, HeaderValue::from_static("1"));
        let http = HttpClient::new(http.with_credentials(credentials));
        let http = http.map_err(|e| failure(e, format_args!("connect to {base}")))?;
        let url = under(&base, ["graphql"])?;
        let mut graphql = GraphQl::new(http.clone(), url);
        let viewer = viewer(&graphql, options).await?;
        let extension = match options.plain {
            true => None,
            false => extension(&graphql).await?,
        };
        if extension.is_some() {
            graphql.extend();
        }
        Ok(Self {
            remote: Arc::new(Remote {
                http,
                graphql,
                base,
                viewer,
                extension,
                scope: Scope::default(),
                spool: options.spool.clone(),
                parts: options.parts,
                promised: artifacts::Promised::default(),
            }),
        })
    }

    /// The same server, within a scope.
    #[must_use]
    pub fn within(&self, scope: Scope) -> Self {
        let remote = Remote {
            scope,
            ..(*self.remote).clone()
        };
        Self {
            remote: Arc::new(remote),
        }
    }

    /// Who the key belongs to.
    pub fn viewer(&self) -> &Viewer {
        &self.remote.viewer
    }

    /// The address of the server.
    pub fn base_url(&self) -> &Url {
        &self.remote.base
    }
}

/// The address with these parts at its end, escaped.
fn under<'a>(base: &Url, parts: impl IntoIterator<Item = &'a str>) -> Result<Url> {
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut path) => drop(path.pop_if_empty().extend(parts)),
        Err(()) => {
            return Err(Error::invalid(format!(
                "{base} is not the address of a server"
            )));
        }
    }
    Ok(url)
}

async fn viewer(graphql: &GraphQl, options: &RemoteOptions) -> Result<Viewer> {
    #[derive(Deserialize)]
    struct Answer {
        viewer: Option<Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        username: Option<String>,
        entity: Option<String>,
        teams: Option<graphql::Connection<Named>>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let doing = format!("connect to {}", options.base_url());
    let document = include_str!("remote/queries/viewer.graphql");
    let asked = graphql.ask(doing, document, serde_json::json!({})).await;
    let answer: Answer = asked.map_err(|e| match e.kind() {
        ErrorKind::Unauthenticated => e.with_hint(options.where_looked()),
        ErrorKind::Unavailable => e.with_hint(
            "look whether the server runs and is this one: wandb+http://HOST:PORT or \
             WANDB_BASE_URL say which",
        ),
        _ => e,
    })?;
    // W&B answers so to a key that it does not know.
    let node = answer.viewer.ok_or_else(|| {
        let message = format!("{} does not know the API key", options.base_url());
        Error::new(ErrorKind::Unauthenticated, message).with_hint(options.where_looked())
    })?;
    let teams = node.teams.into_iter().flat_map(graphql::Connection::nodes);
    Ok(Viewer {
        username: node.username.unwrap_or_default(),
        entity: node.entity.and_then(|name| name.parse().ok()),
        teams: teams.filter_map(|team| team.name.parse().ok()).collect(),
    })
}

async fn extension(graphql: &GraphQl) -> Result<Option<Extension>> {
    #[derive(Deserialize)]
    struct Answer {
        trackway: Extension,
    }
    let document = include_str!("remote/queries/extension.graphql");
    let asked = graphql.ask(
        "ask what the server can do",
        document,
        serde_json::json!({}),
    );
    match asked.await {
        Ok(Answer { trackway }) => Ok(Some(trackway)),
        Err(e) => match e.kind() {
            ErrorKind::Unauthenticated
            | ErrorKind::PermissionDenied
            | ErrorKind::Unavailable
            | ErrorKind::RateLimited => Err(e),
            // Others refuse what they do not know, each in its own words.
            _ => Ok(None),
        },
    }
}

impl Remote {
    /// The server knows records of the model.
    fn is_exact(&self) -> bool {
        self.extension.is_some()
    }
}

impl Tracker for RemoteTracker {
    fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::default();
        can.value_kinds = ValueKinds::all();
        if let Some(extension) = &self.remote.extension {
            can.atomic_changes = extension.can.atomic_changes;
            let theirs = &extension.can;
            can.atomic_commits = theirs.atomic_commits;
            can.logged_order = theirs.logged_order;
            can.rewrite_history = theirs.rewrite_history;
            can.series_digests = theirs.series_digests;
            can.stored_content = theirs.stored_content;
            can.contents = theirs.contents;
            can.version_indices = theirs.version_indices;
            can.links = theirs.links;
            let kinds = theirs.value_kinds.as_deref();
            if let Some(kinds) = kinds.and_then(|kinds| serde_json::from_str(kinds).ok()) {
                can.value_kinds = kinds;
            }
            can.sweeps = extension.can.sweeps;
            can.logs = extension.can.logs;
            can.reports = extension.can.reports;
        } else {
            can.links = true;
            can.logs = true;
        }
        can
    }
}

impl fmt::Display for RemoteTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "wandb+{}",
            self.remote.base.as_str().trim_end_matches('/')
        )
    }
}

impl fmt::Debug for RemoteTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteTracker")
            .field("base", &self.remote.base.as_str())
            .field("viewer", &self.remote.viewer)
            .field("extension", &self.remote.extension)
            .finish()
    }
}
