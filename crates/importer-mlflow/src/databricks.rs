//! Databricks: an MLflow server with names, logins and files of its own.

mod oauth;
mod options;
mod profile;
mod signed;

use std::sync::Arc;

use importer_core::Source;
use tracker_model::Result;

use crate::{
    MlflowOptions,
    rest::{self, RestSource},
};
use profile::{Login, Profile};

pub use options::DatabricksOptions;

pub(crate) use oauth::OAuth;
pub(crate) use signed::open_signed;

/// Opens the workspace that `databricks` or `databricks://PROFILE` means.
///
/// # Errors
/// `InvalidInput`, `NotFound` or `Unauthenticated` when the host or the login is not known or
/// refused, `Unavailable` if nobody answers: each with a hint.
pub async fn open(uri: &str, options: &MlflowOptions) -> Result<Arc<dyn Source>> {
    let Profile { host, login } = profile::resolve(uri, &options.server.databricks)?;
    let mut http = rest::http_options(&options.server);
    let oauth = match login {
        Login::Fixed(credentials) => {
            http = http.with_credentials(credentials);
            None
        }
        Login::Client(id, secret) => Some(OAuth::new(&host, &id, secret)),
    };
    let api = rest::Api::new(host, http, oauth)
        .map_err(|e| rest::failure(e, "prepare the connection to Databricks"))?;
    let server = rest::Server::databricks(&api).await?;
    Ok(Arc::new(RestSource::new(api, server, options)))
}
