//! Whether a server is one of MLflow, and what it can do.

use semver::Version;
use serde::Deserialize;
use tracker_http::ErrorKind as Http;
use tracker_model::{Error, ErrorKind, Result};

use super::{
    api::Api,
    endpoint::Endpoint,
    failure::failure,
    wire::{Experiments, SearchExperiments},
};

/// The first version whose servers give the history of a metric page by page, in order of time.
const PAGED_HISTORY: Version = Version::new(3, 4, 0);
/// The first version whose servers thin out no series that is within the limit.
const EXACT_INTERVALS: Version = Version::new(3, 14, 0);
/// Bytes of a short answer.
const SHORT: u64 = 1024;

/// What is known of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    /// The version, where the server tells it.
    pub(crate) version: Option<Version>,
    /// Whether runs and experiments lie in workspaces.
    pub(crate) has_workspaces: bool,
    /// Whether the tables of a database are behind it, as far as is known.
    pub(crate) has_database: bool,
    /// Whether it is Databricks.
    pub(crate) is_databricks: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerInfo {
    store_type: Option<String>,
    workspaces_enabled: bool,
}

impl Server {
    /// Asks the server.
    ///
    /// # Errors
    /// Those of the transport; `Unsupported` if something else than MLflow answers.
    pub(crate) async fn probe(api: &Api) -> Result<Self> {
        // The call that everything begins with: it tells whether the address and the login are
        // right. The others may be missing, or hidden by a proxy.
        let listed = match search(api).await {
            Ok(listed) => listed,
            Err(e) => return Err(refused(api, e)),
        };
        let (version, info, healthy) = tokio::join!(version(api), info(api), healthy(api));
        if !listed && version.is_none() && info.is_none() && !healthy {
            let what = format!(
                "{} answers, but not as an MLflow tracking server does",
                api.location()
            );
            return Err(Error::new(ErrorKind::Unsupported, what).with_hint(ADDRESS));
        }
        let info = info.unwrap_or_default();
        let server = Self {
            version,
            has_workspaces: info.workspaces_enabled,
            has_database: info.store_type.as_deref() == Some("SqlStore"),
            is_databricks: false,
        };
        tracing::debug!(?server, "probed");
        Ok(server)
    }

    /// Databricks, which tells nothing of itself.
    ///
    /// # Errors
    /// Those of the transport.
    pub(crate) async fn databricks(api: &Api) -> Result<Self> {
        search(api).await.map_err(|e| refused(api, e))?;
        Ok(Self {
            is_databricks: true,
            ..Self::default()
        })
    }

    /// Whether a history is given page by page.
    pub(crate) fn pages_history(&self) -> bool {
        self.is_databricks || self.is_from(&PAGED_HISTORY)
    }

    /// Whether a history is given in order of time, step and value, over all pages.
    pub(crate) fn orders_history(&self) -> bool {
        self.has_database && self.is_from(&PAGED_HISTORY)
    }

    /// Whether an answer of the interval call that is below its limit is complete.
    pub(crate) fn has_exact_intervals(&self) -> bool {
        self.is_from(&EXACT_INTERVALS)
    }

    fn is_from(&self, first: &Version) -> bool {
        self.version.as_ref().is_some_and(|version| {
            (version.major, version.minor, version.patch) >= (first.major, first.minor, first.patch)
        })
    }
}

const ADDRESS: &str =
    "give the address that MLFLOW_TRACKING_URI has, with its path prefix if there is one";

async fn search(api: &Api) -> tracker_http::Result<bool> {
    let body = SearchExperiments {
        max_results: 1,
        view_type: "ALL",
        page_token: None,
    };
    let answer: Experiments = api
        .call(Endpoint::SearchExperiments)
        .await?
        .json_body(&body)
        .json()
        .await?;
    Ok(!answer.experiments.is_empty())
}

fn refused(api: &Api, e: tracker_http::Error) -> Error {
    let (kind, page) = (e.kind(), e.to_string().contains("HTML"));
    let out = failure(e, format!("ask {} for its experiments", api.location()));
    match kind {
        Http::NotFound | Http::Unsupported | Http::Corrupt => {
            let out = if page && kind != Http::Corrupt {
                out.context("there is no MLflow tracking server at this address")
            } else {
                out
            };
            out.with_hint(ADDRESS)
        }
        Http::Unavailable => {
            out.with_hint("check that the server runs and that the address is right")
        }
        _ => out,
    }
}

async fn version(api: &Api) -> Option<Version> {
    let text = api
        .call(Endpoint::Version)
        .await
        .ok()?
        .text_limited(SHORT)
        .await
        .ok()?;
    parse_version(text.trim())
}

/// Reads a version of Python's kind, such as `3.5.0rc0` or `2.22.1.dev0`.
fn parse_version(text: &str) -> Option<Version> {
    let mut numbers = text.splitn(3, '.').map(|part| {
        let digits = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part.get(..digits)?.parse().ok()
    });
    let (major, minor) = (numbers.next()??, numbers.next()??);
    Some(Version::new(
        major,
        minor,
        numbers.next().flatten().unwrap_or(0),
    ))
}

async fn info(api: &Api) -> Option<ServerInfo> {
    api.call(Endpoint::ServerInfo).await.ok()?.json().await.ok()
}

/// Whether the server answers at all: it knows the call, or says that it does not.
pub(crate) async fn answers(api: &Api) -> bool {
    match api.call(Endpoint::Health).await {
        Ok(request) => match request.text_limited(SHORT).await {
            Ok(_) => true,
            Err(e) => e.status().is_some_and(|status| status.is_client_error()),
        },
        Err(_) => false,
    }
}

async fn healthy(api: &Api) -> bool {
    match api.call(Endpoint::Health).await {
        Ok(request) => request
            .text_limited(SHORT)
            .await
            .is_ok_and(|text| text.trim() == "OK"),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("3.17.2"), Some(Version::new(3, 17, 2)));
        assert_eq!(parse_version("2.22.0rc1"), Some(Version::new(2, 22, 0)));
        assert_eq!(parse_version("2.0.dev0"), Some(Version::new(2, 0, 0)));
        assert_eq!(parse_version("3"), None);
        assert_eq!(parse_version("<html>"), None);
    }
}
