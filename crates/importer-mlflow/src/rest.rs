//! Over HTTP: tracking servers.

mod api;
mod artifacts;
mod connect;
mod endpoint;
mod failure;
mod files;
mod history;
mod listing;
mod models;
mod number;
mod options;
mod pages;
mod probe;
mod search_filter;
mod source;
mod traces;
mod wire;

use std::sync::Arc;

use importer_core::Source;
use tracker_model::Result;

use crate::MlflowOptions;

pub use options::ServerOptions;
pub use source::RestSource;

pub(crate) use api::Api;
pub(crate) use connect::http_options;
pub(crate) use endpoint::Endpoint;
pub(crate) use failure::failure;
pub(crate) use files::{FileTree, Owner, bytes, refusal};
pub(crate) use probe::Server;

/// Opens a tracking server of MLflow 2 or 3 at `http(s)://` or `mlflow+http(s)://`; the path of the
/// address is the server's prefix. Asks the server what it is.
///
/// # Errors
/// `InvalidInput` for an address or options that cannot be used, `Unauthenticated` for a wrong
/// login, `Unavailable` if nobody answers, and others if something else than MLflow does: each
/// with a hint.
pub async fn open(uri: &str, options: &MlflowOptions) -> Result<Arc<dyn Source>> {
    let api = connect::server(uri, &options.server)?;
    let server = Box::pin(Server::probe(&api)).await?;
    Ok(Arc::new(RestSource::new(api, server, options)))
}
