//! Which workspace, and who asks: the address, the options and the configuration file.

use tracker_http::{Credentials, SecretString, Url, ini::Ini};
use tracker_model::{Error, ErrorKind, Result};

use super::DatabricksOptions;
use crate::rest::failure;

/// The profile that is used if none is named.
const DEFAULT: &str = "DEFAULT";
const HINT: &str = "set DATABRICKS_HOST and DATABRICKS_TOKEN, or run `databricks configure` and name a profile as in databricks://PROFILE";

/// A workspace and who asks it.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) host: Url,
    pub(super) login: Login,
}

/// Who asks.
#[derive(Debug)]
pub(super) enum Login {
    /// By what is sent with each request.
    Fixed(Credentials),
    /// By tokens that are asked for with the id and secret of a service principal.
    Client(String, SecretString),
}

/// The settings that an address (`databricks` or `databricks://PROFILE`) leads to.
pub(super) fn resolve(uri: &str, options: &DatabricksOptions) -> Result<Profile> {
    let named = uri
        .strip_prefix("databricks")
        .unwrap_or(uri)
        .trim_start_matches("://")
        .trim_matches('/');
    if named.contains(':') {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{uri} names a secret scope, which only Databricks itself can read"),
        )
        .with_hint("name a profile of ~/.databrickscfg instead, as in databricks://PROFILE"));
    }
    let named = Some(named).filter(|name| !name.is_empty());
    let profile = named.or(options.profile.as_deref()).unwrap_or(DEFAULT);
    let file = match &options.config_file {
        Some(path) => {
            Ini::read(path).map_err(|e| failure(e, "read the configuration of Databricks"))?
        }
        None => Ini::default(),
    };
    if profile != DEFAULT && !file.has_section(profile) {
        let message = format!("the configuration of Databricks has no profile {profile:?}");
        let known = file.sections().collect::<Vec<_>>().join(", ");
        let hint = if known.is_empty() {
            HINT.to_owned()
        } else {
            format!("the profiles are: {known}")
        };
        return Err(Error::new(ErrorKind::NotFound, message).with_hint(hint));
    }
    // A profile that the address names is meant, whatever the environment says.
    let own = |option: Option<String>, key: &str| {
        let in_file = || {
            file.get(profile, key)
                .map(str::to_owned)
                .filter(|v| !v.is_empty())
        };
        if named.is_some() {
            in_file()
        } else {
            option.or_else(in_file)
        }
    };
    let secret = |option: &Option<SecretString>, key: &str| {
        let in_file = || {
            file.get(profile, key)
                .filter(|v| !v.is_empty())
                .map(SecretString::from)
        };
        if named.is_some() {
            in_file()
        } else {
            option.clone().or_else(in_file)
        }
    };
    let Some(host) = own(options.host.clone(), "host") else {
        return Err(Error::invalid(format!(
            "no host is known for the Databricks profile {profile:?}"
        ))
        .with_hint(HINT));
    };
    let host = parse_host(&host)?;
    let login = if let Some(token) = secret(&options.token, "token") {
        Login::Fixed(Credentials::bearer(token))
    } else if let (Some(id), Some(secret)) = (
        own(options.client_id.clone(), "client_id"),
        secret(&options.client_secret, "client_secret"),
    ) {
        Login::Client(id, secret)
    } else if let (Some(user), Some(password)) = (
        own(options.username.clone(), "username"),
        secret(&options.password, "password"),
    ) {
        Login::Fixed(Credentials::basic(user, password))
    } else {
        let message = format!("no login is known for the Databricks profile {profile:?}");
        return Err(Error::new(ErrorKind::Unauthenticated, message).with_hint(HINT));
    };
    Ok(Profile { host, login })
}

fn parse_host(host: &str) -> Result<Url> {
    let text = if host.contains("://") {
        host.to_owned()
    } else {
        format!("https://{host}")
    };
    Url::parse(&text).map_err(|e| {
        Error::invalid(format!("the host of Databricks is not an address: {e}")).with_hint(HINT)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn config() -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(
            b"[DEFAULT]\nhost = https://default.example\ntoken = canary\n[team]\nhost = team.example\nclient_id = id\nclient_secret = canary\ntoken =\n",
        )
        .unwrap();
        file
    }

    #[test]
    fn the_address_names_a_profile() {
        let file = config();
        let options = DatabricksOptions::default()
            .with_config_file(file.path())
            .with_host("https://env.example")
            .with_token("other");
        let team = resolve("databricks://team", &options).unwrap();
        assert_eq!(team.host.as_str(), "https://team.example/");
        assert!(matches!(&team.login, Login::Client(id, _) if id == "id"));
        assert!(!format!("{team:?} {options:?}").contains("canary"));
        assert_eq!(
            resolve("databricks", &options).unwrap().host.as_str(),
            "https://env.example/"
        );
    }

    #[test]
    fn what_is_missing_is_told() {
        let file = config();
        let options = DatabricksOptions::default().with_config_file(file.path());
        assert_eq!(
            resolve("databricks", &options).unwrap().host.as_str(),
            "https://default.example/"
        );
        let error = resolve("databricks://nobody", &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.hint(), Some("the profiles are: DEFAULT, team"));
        let error = resolve("databricks://a:b", &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let error = resolve("databricks", &DatabricksOptions::default()).unwrap_err();
        assert!(error.hint().unwrap().contains("DATABRICKS_HOST"));
        let error =
            resolve("databricks", &DatabricksOptions::default().with_host("h")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
}
