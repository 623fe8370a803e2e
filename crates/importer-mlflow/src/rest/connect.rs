//! From an address and options to a connection.

use tracker_http::{Credentials, HttpOptions, Url, ini::Ini, netrc::Netrc};
use tracker_model::{Error, Result};

use super::{ServerOptions, api::Api, failure::failure};

/// The section of MLflow's credentials file.
const SECTION: &str = "mlflow";

/// The interface of a tracking server at `http(s)://` or `mlflow+http(s)://`, with the credentials
/// that apply to it. Nothing is sent yet.
pub(super) fn server(uri: &str, options: &ServerOptions) -> Result<Api> {
    let plain = uri.strip_prefix("mlflow+").unwrap_or(uri);
    // The text is not shown: it may hold a password.
    let url = Url::parse(plain).map_err(|e| {
        Error::invalid(format!(
            "the address of the tracking server is not one: {e}"
        ))
        .with_hint("it has the form http://HOST:PORT or https://HOST/PREFIX")
    })?;
    let mut http = http_options(options);
    if let Some(credentials) = credentials(&url, options)? {
        http = http.with_credentials(credentials);
    }
    Api::new(url, http, None)
        .map_err(|e| failure(e, "prepare the connection to the tracking server"))
}

/// The options of the transport, without credentials.
pub(crate) fn http_options(options: &ServerOptions) -> HttpOptions {
    let mut http = HttpOptions::default()
        .with_tls(options.tls.clone())
        .with_retry(options.retry.clone());
    if let Some(timeout) = options.timeout {
        http = http.with_timeout(timeout);
    }
    if let Some(max) = options.max_in_flight {
        http = http.with_max_in_flight(max);
    }
    if let Some(observer) = &options.observer {
        http = http.with_observer(observer.clone());
    }
    http
}

/// Who asks: the address, then user and password, then the token, then the `.netrc` file.
fn credentials(url: &Url, options: &ServerOptions) -> Result<Option<Credentials>> {
    if let Some(own) = Credentials::from_url(url) {
        return Ok(Some(own));
    }
    let file = match &options.credentials_file {
        Some(path) => Ini::read(path).map_err(|e| failure(e, "read MLflow's credentials file"))?,
        None => Ini::default(),
    };
    let user = options
        .username
        .as_deref()
        .or_else(|| file.get(SECTION, "mlflow_tracking_username"));
    let password = options.password.clone().or_else(|| {
        file.get(SECTION, "mlflow_tracking_password")
            .map(Into::into)
    });
    if let (Some(user), Some(password)) = (user, password) {
        return Ok(Some(Credentials::basic(user, password)));
    }
    if let Some(token) = &options.token {
        return Ok(Some(Credentials::bearer(token.clone())));
    }
    let Some(path) = &options.netrc_file else {
        return Ok(None);
    };
    let netrc =
        Netrc::read(path).map_err(|e| failure(e, "read the login of the tracking server"))?;
    Ok(url
        .host_str()
        .and_then(|host| netrc.find(host)?.credentials()))
}
