use std::{collections::BTreeMap, fmt, path::PathBuf};

use tracker_http::SecretString;

/// How Databricks is reached. What is given here beats the configuration file.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct DatabricksOptions {
    /// The workspace's address. Variable `DATABRICKS_HOST`.
    pub host: Option<String>,
    /// A personal access token. Variable `DATABRICKS_TOKEN`.
    pub token: Option<SecretString>,
    /// A user, for basic authentication. Variable `DATABRICKS_USERNAME`.
    pub username: Option<String>,
    /// The user's password. Variable `DATABRICKS_PASSWORD`.
    pub password: Option<SecretString>,
    /// A service principal. Variable `DATABRICKS_CLIENT_ID`.
    pub client_id: Option<String>,
    /// The service principal's secret. Variable `DATABRICKS_CLIENT_SECRET`.
    pub client_secret: Option<SecretString>,
    /// The configuration file. Variable `DATABRICKS_CONFIG_FILE`, else `~/.databrickscfg`.
    pub config_file: Option<PathBuf>,
    /// The profile in the configuration file, unless the address names one. Variable
    /// `DATABRICKS_CONFIG_PROFILE`, else `DEFAULT`.
    pub profile: Option<String>,
}

impl DatabricksOptions {
    /// What the environment says, which is given.
    pub fn from_env(env: &BTreeMap<String, String>) -> Self {
        let var = |name: &str| env.get(name).map(String::as_str).filter(|v| !v.is_empty());
        let text = |name: &str| var(name).map(str::to_owned);
        let secret = |name: &str| var(name).map(SecretString::from);
        let home = var("HOME")
            .or_else(|| var("USERPROFILE"))
            .map(PathBuf::from);
        let usual = || {
            home.map(|home| home.join(".databrickscfg"))
                .filter(|path| path.exists())
        };
        Self {
            host: text("DATABRICKS_HOST"),
            token: secret("DATABRICKS_TOKEN"),
            username: text("DATABRICKS_USERNAME"),
            password: secret("DATABRICKS_PASSWORD"),
            client_id: text("DATABRICKS_CLIENT_ID"),
            client_secret: secret("DATABRICKS_CLIENT_SECRET"),
            config_file: var("DATABRICKS_CONFIG_FILE")
                .map(PathBuf::from)
                .or_else(usual),
            profile: text("DATABRICKS_CONFIG_PROFILE"),
        }
    }

    /// Sets the workspace's address.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets [`DatabricksOptions::token`].
    #[must_use]
    pub fn with_token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the service principal and its secret.
    #[must_use]
    pub fn with_client(mut self, id: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        self.client_id = Some(id.into());
        self.client_secret = Some(secret.into());
        self
    }

    /// Sets [`DatabricksOptions::config_file`].
    #[must_use]
    pub fn with_config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// Sets [`DatabricksOptions::profile`].
    #[must_use]
    pub fn with_profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }
}

/// Who asks stays hidden.
impl fmt::Debug for DatabricksOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabricksOptions")
            .field("host", &self.host)
            .field("has_token", &self.token.is_some())
            .field("has_password", &self.password.is_some())
            .field("has_client", &self.client_id.is_some())
            .field("config_file", &self.config_file)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
