use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use tracker_http::{Observer, RetryOptions, SecretString, TlsOptions};
use tracker_model::{Error, Result};

use crate::databricks::DatabricksOptions;

/// How a tracking server is reached. The names of the variables are those of MLflow's own client.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The user, for basic authentication. A user in the address beats it. Variable
    /// `MLFLOW_TRACKING_USERNAME`.
    pub username: Option<String>,
    /// The user's password. Variable `MLFLOW_TRACKING_PASSWORD`.
    pub password: Option<SecretString>,
    /// A token, for bearer authentication; a user beats it. Variable `MLFLOW_TRACKING_TOKEN`.
    pub token: Option<SecretString>,
    /// MLflow's file with a user and a password, for what is not given above.
    pub credentials_file: Option<PathBuf>,
    /// A `.netrc` file, for servers to which nothing above applies.
    pub netrc_file: Option<PathBuf>,
    /// Which servers are trusted, and our own certificate. Variables
    /// `MLFLOW_TRACKING_INSECURE_TLS`, `MLFLOW_TRACKING_SERVER_CERT_PATH`,
    /// `MLFLOW_TRACKING_CLIENT_CERT_PATH`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`.
    pub tls: TlsOptions,
    /// The longest silence of the server; `None` is 120 s. Variable
    /// `MLFLOW_HTTP_REQUEST_TIMEOUT`, in seconds.
    pub timeout: Option<Duration>,
    /// How failures are tried again. Variables `MLFLOW_HTTP_REQUEST_MAX_RETRIES`,
    /// `MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR` (the first wait, in seconds).
    pub retry: RetryOptions,
    /// Only this workspace, on a server that has them; `None` reads all of them. Variable
    /// `MLFLOW_WORKSPACE`.
    pub workspace: Option<String>,
    /// The most requests that wait for an answer at once; `None` is 8.
    pub max_in_flight: Option<usize>,
    /// Hears of every request, wait and retry.
    pub observer: Option<Arc<dyn Observer>>,
    /// How Databricks is reached.
    pub databricks: DatabricksOptions,
}

impl ServerOptions {
    /// Nobody in particular, with the usual patience.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the variables of MLflow and Databricks say, and where their files are in the home
    /// folder that `HOME` (or `USERPROFILE`) names. The environment is given, so that nothing is
    /// read behind the caller's back.
    ///
    /// # Errors
    /// `InvalidInput` for a variable whose value is not what it must be.
    pub fn from_env(env: &BTreeMap<String, String>) -> Result<Self> {
        let var = |name: &str| env.get(name).map(String::as_str).filter(|v| !v.is_empty());
        let home = var("HOME")
            .or_else(|| var("USERPROFILE"))
            .map(PathBuf::from);
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name));

        let mut tls =
            TlsOptions::default().with_insecure(flag(var("MLFLOW_TRACKING_INSECURE_TLS")));
        let usual = || {
            var("REQUESTS_CA_BUNDLE")
                .or_else(|| var("CURL_CA_BUNDLE"))
                .filter(|_| !tls.insecure)
        };
        tls.ca_bundle = var("MLFLOW_TRACKING_SERVER_CERT_PATH")
            .or_else(usual)
            .map(PathBuf::from);
        tls.client_identity = var("MLFLOW_TRACKING_CLIENT_CERT_PATH").map(PathBuf::from);

        let mut retry = RetryOptions::default();
        if let Some(retries) = number::<u32>("MLFLOW_HTTP_REQUEST_MAX_RETRIES", var)? {
            retry.max_tries = retries.saturating_add(1);
        }
        if let Some(factor) = seconds("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", var)? {
            retry.min_delay = factor.min(retry.max_delay);
        }
        let netrc = var("NETRC")
            .map(PathBuf::from)
            .or_else(|| in_home(".netrc"));
        Ok(Self {
            username: var("MLFLOW_TRACKING_USERNAME").map(str::to_owned),
            password: var("MLFLOW_TRACKING_PASSWORD").map(SecretString::from),
            token: var("MLFLOW_TRACKING_TOKEN").map(SecretString::from),
            credentials_file: in_home(".mlflow/credentials").filter(|path| path.exists()),
            netrc_file: netrc.filter(|path| path.exists()),
            tls,
            timeout: seconds("MLFLOW_HTTP_REQUEST_TIMEOUT", var)?,
            retry,
            workspace: var("MLFLOW_WORKSPACE").map(str::to_owned),
            max_in_flight: None,
            observer: None,
            databricks: DatabricksOptions::from_env(env),
        })
    }

    /// Sets the user and the password.
    #[must_use]
    pub fn with_basic(
        mut self,
        username: impl Into<String>,
        password: impl Into<SecretString>,
    ) -> Self {
        self.username = Some(username.into());
        self.password = Some(password.into());
        self
    }

    /// Sets [`ServerOptions::token`].
    #[must_use]
    pub fn with_token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets [`ServerOptions::tls`].
    #[must_use]
    pub fn with_tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Sets [`ServerOptions::retry`].
    #[must_use]
    pub fn with_retry(mut self, retry: RetryOptions) -> Self {
        self.retry = retry;
        self
    }

    /// Sets [`ServerOptions::timeout`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets [`ServerOptions::workspace`].
    #[must_use]
    pub fn with_workspace(mut self, workspace: impl Into<String>) -> Self {
        self.workspace = Some(workspace.into());
        self
    }

    /// Sets [`ServerOptions::max_in_flight`].
    #[must_use]
    pub fn with_max_in_flight(mut self, max_in_flight: usize) -> Self {
        self.max_in_flight = Some(max_in_flight);
        self
    }

    /// Sets [`ServerOptions::observer`].
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets [`ServerOptions::databricks`].
    #[must_use]
    pub fn with_databricks(mut self, databricks: DatabricksOptions) -> Self {
        self.databricks = databricks;
        self
    }
}

/// Who asks stays hidden.
impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("has_user", &self.username.is_some())
            .field("has_token", &self.token.is_some())
            .field("credentials_file", &self.credentials_file)
            .field("netrc_file", &self.netrc_file)
            .field("tls", &self.tls)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .field("workspace", &self.workspace)
            .field("max_in_flight", &self.max_in_flight)
            .field("databricks", &self.databricks)
            .finish_non_exhaustive()
    }
}

fn flag(value: Option<&str>) -> bool {
    value.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}

fn number<'e, T: std::str::FromStr>(
    name: &str,
    var: impl Fn(&str) -> Option<&'e str>,
) -> Result<Option<T>> {
    let Some(value) = var(name) else {
        return Ok(None);
    };
    let wrong = || {
        Error::invalid(format!(
            "the variable {name} must be a number and is {value:?}"
        ))
    };
    value.trim().parse().map(Some).map_err(|_| wrong())
}

fn seconds<'e>(name: &str, var: impl Fn(&str) -> Option<&'e str>) -> Result<Option<Duration>> {
    let Some(value) = number::<f64>(name, var)? else {
        return Ok(None);
    };
    Duration::try_from_secs_f64(value).map(Some).map_err(|_| {
        Error::invalid(format!(
            "the variable {name} must be a number of seconds and is {value}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn variables() {
        let options = ServerOptions::from_env(&env(&[
            ("MLFLOW_TRACKING_USERNAME", "me"),
            ("MLFLOW_TRACKING_PASSWORD", "canary"),
            ("MLFLOW_TRACKING_TOKEN", ""),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "1.5"),
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
            ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/ca.pem"),
            ("REQUESTS_CA_BUNDLE", "/other.pem"),
            ("MLFLOW_WORKSPACE", "team"),
        ]))
        .unwrap();
        assert_eq!(options.username.as_deref(), Some("me"));
        assert!(options.token.is_none());
        assert_eq!(options.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(options.retry.max_tries, 3);
        assert_eq!(options.tls.ca_bundle, Some("/ca.pem".into()));
        assert_eq!(options.workspace.as_deref(), Some("team"));
        assert!(!format!("{options:?}").contains("canary"));
    }

    #[test]
    fn insecure_beats_the_usual_bundle() {
        let pairs = [
            ("MLFLOW_TRACKING_INSECURE_TLS", "True"),
            ("REQUESTS_CA_BUNDLE", "/other.pem"),
        ];
        let options = ServerOptions::from_env(&env(&pairs)).unwrap();
        assert!(options.tls.insecure && options.tls.ca_bundle.is_none());
    }

    #[test]
    fn a_wrong_number_is_told() {
        let error =
            ServerOptions::from_env(&env(&[("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the variable MLFLOW_HTTP_REQUEST_TIMEOUT must be a number and is \"soon\""
        );
    }
}
