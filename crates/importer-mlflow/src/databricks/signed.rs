//! Files by signed addresses: Databricks gives no bytes itself.

use serde::Deserialize;
use tracker_http::{HeaderName, HeaderValue, Url};
use tracker_model::{ByteStream, Error, ErrorKind, Result};

use crate::rest::{Endpoint, FileTree, Owner, bytes, failure, refusal};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    /// Of a run.
    credential_infos: Vec<Credential>,
    /// Of a logged model.
    credentials: Vec<ModelCredential>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelCredential {
    credential_info: Credential,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Credential {
    signed_uri: String,
    headers: Vec<Header>,
}

/// The address is a secret.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Header {
    name: String,
    value: String,
}

/// Begins to read a file of a run or a logged model.
///
/// # Errors
/// As [`FileTree::open`].
pub(crate) async fn open_signed(tree: &FileTree, path: &str) -> Result<ByteStream> {
    let doing = "ask for the signed address of a file";
    let failed = |e: tracker_http::Error| match e.kind() {
        tracker_http::ErrorKind::NotFound => refusal(&e),
        _ => failure(e, doing),
    };
    let (request, body) = match &tree.owner {
        Owner::Run(id) => (
            tree.api.call(Endpoint::ArtifactCredentials).await,
            serde_json::json!({ "run_id": id, "path": [path] }),
        ),
        Owner::Model(id) => (
            tree.api
                .call_below(Endpoint::ModelArtifactCredentials, id, "")
                .await,
            serde_json::json!({ "paths": [path] }),
        ),
    };
    let request = request.map_err(failed)?.json_body(&body).sensitive();
    let answer: Answer = request.json().await.map_err(failed)?;
    let credentials = answer.credentials.into_iter().map(|c| c.credential_info);
    let Some(credential) = answer
        .credential_infos
        .into_iter()
        .chain(credentials)
        .next()
    else {
        return Err(Error::new(
            ErrorKind::NotFound,
            "Databricks lists the file and gives no address for it",
        ));
    };
    let wrong = || {
        Error::new(
            ErrorKind::Corrupt,
            "Databricks gives an address for a file that is not one",
        )
    };
    let url = Url::parse(&credential.signed_uri).map_err(|_| wrong())?;
    let mut request = tree.api.download_signed(url);
    for header in credential.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(&header.value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    let download = request.download().await.map_err(|e| match e.kind() {
        tracker_http::ErrorKind::NotFound => refusal(&e),
        _ => failure(e, "read a file from its signed address"),
    })?;
    Ok(bytes(download.into_stream()))
}
