//! Which server, and with which key: what is said, then the environment, then the files that the
//! SDK of W&B keeps.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use tracker_http::{ExposeSecret, HttpOptions, SecretString, Url, ini::Ini, netrc::Netrc};
use tracker_model::{Error, Result};

use super::failure::failure;

/// The public cloud of W&B, where nothing else is said.
pub const PUBLIC_CLOUD: &str = "https://api.wandb.ai";

/// The section of W&B's settings files.
const SECTION: &str = "default";

/// Where to look for what was not said.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Environment {
    /// The variables: `WANDB_BASE_URL`, `WANDB_API_KEY`, `WANDB_CONFIG_DIR`, `NETRC`.
    variables: Variables,
    /// The folder of the user, for `.netrc` and `.config/wandb/settings`.
    pub home: Option<PathBuf>,
    /// The folder of the work, for `wandb/settings`.
    pub work: Option<PathBuf>,
}

/// Variables; not all of them are for everybody's eyes.
#[derive(Clone, Default)]
struct Variables(BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let wanted = [
            "WANDB_BASE_URL",
            "WANDB_API_KEY",
            "WANDB_CONFIG_DIR",
            "NETRC",
        ];
        let variables = wanted.iter().filter_map(|name| {
            let value = std::env::var(name).ok()?;
            Some(((*name).to_owned(), value))
        });
        Self {
            variables: Variables(variables.collect()),
            home: std::env::home_dir(),
            work: std::env::current_dir().ok(),
        }
    }

    /// With a variable.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.0.insert(name.into(), value.into());
        self
    }

    /// With another folder of the user.
    #[must_use]
    pub fn with_home(mut self, home: impl Into<PathBuf>) -> Self {
        self.home = Some(home.into());
        self
    }

    /// With another folder of the work.
    #[must_use]
    pub fn with_work(mut self, work: impl Into<PathBuf>) -> Self {
        self.work = Some(work.into());
        self
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let value = self.variables.0.get(name)?.trim();
        Some(value).filter(|value| !value.is_empty())
    }

    /// Where logins are, if there is such a file: `$NETRC`, `.netrc` or `_netrc`.
    fn netrc(&self) -> Option<PathBuf> {
        let named = self.variable("NETRC").map(PathBuf::from);
        let in_home = || {
            let home = self.home.as_ref()?;
            [".netrc", "_netrc"]
                .iter()
                .map(|name| home.join(name))
                .find(|path| path.exists())
        };
        named.or_else(in_home).filter(|path| path.exists())
    }

    /// Whether the key of the options stands in the file of logins.
    ///
    /// # Errors
    /// `InvalidInput` if the file cannot be read.
    pub fn keeps(&self, options: &RemoteOptions) -> Result<bool> {
        let Some(path) = self.netrc() else {
            return Ok(false);
        };
        let netrc = Netrc::read(&path).map_err(|e| failure(e, "read the logins"))?;
        let hosts = hosts(&options.base_url);
        let kept = hosts.iter().find_map(|host| netrc.named(host));
        let key = options.key.as_ref().map(ExposeSecret::expose_secret);
        Ok(kept.map(|login| login.password.expose_secret()) == key)
    }

    /// Where a login is to be written.
    pub fn netrc_to_write(&self) -> Option<PathBuf> {
        let named = self.variable("NETRC").map(PathBuf::from);
        named
            .or_else(|| self.netrc())
            .or_else(|| Some(self.home.as_ref()?.join(".netrc")))
    }

    /// The settings files, the stronger first.
    fn settings(&self) -> Vec<PathBuf> {
        let work = self
            .work
            .iter()
            .flat_map(|work| ["wandb", ".wandb"].map(|folder| work.join(folder).join("settings")));
        let global = match self.variable("WANDB_CONFIG_DIR") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => self.home.as_ref().map(|home| home.join(".config/wandb")),
        };
        let global = global.map(|folder| folder.join("settings"));
        work.chain(global).filter(|path| path.is_file()).collect()
    }
}

/// A server and the key for it.
#[derive(Clone)]
pub struct RemoteOptions {
    base_url: Url,
    key: Option<SecretString>,
    /// Where a key was looked for.
    looked: Vec<String>,
    /// How requests are made; the server and the credentials in it are not used.
    pub http: HttpOptions,
    /// Use nothing but what any server of W&B knows.
    pub plain: bool,
    /// The folder where points of a history wait until all of them are sent.
    pub spool: PathBuf,
    /// How large files of artifacts are sent.
    pub parts: Parts,
}

/// Large files are sent in parts, one after the other, to servers that take parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parts {
    /// Files of this many bytes or more. Default: 2 GiB, as the SDK of W&B has it.
    pub from: u64,
    /// The bytes of a part, more where there would be more than 10,000. Default: 100 MiB.
    pub size: u64,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            from: 2 << 30,
            size: 100 << 20,
        }
    }
}

impl Parts {
    /// Files from this many bytes on, in parts of this many.
    pub fn new(from: u64, size: u64) -> Self {
        Self { from, size }
    }
}

impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("base_url", &self.base_url.as_str())
            .field("key", &self.key.as_ref().map(|_| "***"))
            .field("plain", &self.plain)
            .finish_non_exhaustive()
    }
}

impl RemoteOptions {
    /// A server with this key.
    ///
    /// # Errors
    /// `InvalidInput` for what is no address of a server.
    pub fn new(base_url: &str, key: impl Into<SecretString>) -> Result<Self> {
        Ok(Self {
            base_url: address(base_url)?,
            key: Some(key.into()),
            looked: Vec::new(),
            http: HttpOptions::default(),
            plain: false,
            spool: spool(),
            parts: Parts::default(),
        })
    }

    /// The server and the key: what is given here, else what the environment says, else what the
    /// SDK of W&B has kept. Without any the server is [`PUBLIC_CLOUD`], and there is no key.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is none, and for files that cannot be read.
    pub fn discover(
        base_url: Option<&str>,
        key: Option<SecretString>,
        environment: &Environment,
    ) -> Result<Self> {
        let mut settings = Vec::new();
        for path in environment.settings() {
            let ini = Ini::read(&path).map_err(|e| failure(e, "read the settings of W&B"))?;
            settings.push((path, ini));
        }
        let setting = |name| {
            let values = settings
                .iter()
                .filter_map(|(_, ini)| ini.get(SECTION, name));
            values.map(str::trim).find(|value| !value.is_empty())
        };
        let base_url = base_url
            .or_else(|| environment.variable("WANDB_BASE_URL"))
            .or_else(|| setting("base_url"))
            .unwrap_or(PUBLIC_CLOUD);
        let (base_url, mut key) = (address(base_url)?, key);
        let mut looked = vec!["the key that was given".to_owned()];
        if key.is_none() {
            looked.push("WANDB_API_KEY".to_owned());
            key = environment
                .variable("WANDB_API_KEY")
                .map(SecretString::from);
        }
        if key.is_none()
            && let Some(path) = environment.netrc()
        {
            let hosts = hosts(&base_url);
            looked.push(format!(
                "machine {} in {}",
                hosts.join(" or "),
                path.display()
            ));
            let netrc = Netrc::read(&path).map_err(|e| failure(e, "read the logins"))?;
            let login = hosts.iter().find_map(|host| netrc.named(host));
            key = login.map(|login| login.password.clone());
        }
        if key.is_none() {
            let files = settings.iter().map(|(path, _)| path.display());
            looked.extend(files.map(|path| format!("api_key in {path}")));
            key = setting("api_key").map(SecretString::from);
        }
        Ok(Self {
            base_url,
            key,
            looked,
            http: HttpOptions::default(),
            plain: false,
            spool: spool(),
            parts: Parts::default(),
        })
    }

    /// The address of the server.
    pub fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// How a `.netrc` file calls the server: the host, with the port if one is named.
    pub fn machine(&self) -> String {
        hosts(&self.base_url).swap_remove(0)
    }

    /// Whether there is a key.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The key, for whoever keeps it.
    pub fn key_to_keep(&self) -> Option<&SecretString> {
        self.key.as_ref()
    }

    pub(super) fn key(&self) -> Option<&SecretString> {
        self.key.as_ref()
    }

    /// What to do without a key that the server takes.
    pub(super) fn where_looked(&self) -> String {
        if self.key.is_some() {
            return format!("log in anew: `trackway login {} --relogin`", self.machine());
        }
        format!(
            "`trackway login {}` keeps one; there was none in {}",
            self.machine(),
            self.looked.join(", ")
        )
    }

    /// With another key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<SecretString>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With another folder where points wait until they are sent.
    #[must_use]
    pub fn with_spool(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spool = folder.into();
        self
    }

    /// With these ways to make requests.
    #[must_use]
    pub fn with_http(mut self, http: HttpOptions) -> Self {
        self.http = http;
        self
    }

    /// With nothing but what any server of W&B knows, or with all that this one knows.
    #[must_use]
    pub fn with_plain(mut self, plain: bool) -> Self {
        self.plain = plain;
        self
    }
}

/// The usual place for what waits to be sent.
fn spool() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let cache = cache.map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")));
    cache
        .unwrap_or_else(std::env::temp_dir)
        .join("trackway/unsent")
}

/// The names that a `.netrc` file may have for the server.
fn hosts(url: &Url) -> Vec<String> {
    let host = url.host_str().unwrap_or_default().to_owned();
    match url.port() {
        Some(port) => vec![format!("{host}:{port}"), host],
        None => vec![host],
    }
}

/// The address of a server, without what could be a secret.
fn address(text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::invalid(format!("the address of the server is none: {why}"))
            .with_hint("write http://HOST:PORT or https://HOST")
    };
    let mut url = Url::parse(text.trim()).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("it needs http or https, and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a key does not belong into it"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn key_of(options: &RemoteOptions) -> Option<String> {
        options.key().map(|key| key.expose_secret().to_owned())
    }

    #[test]
    fn what_is_said_comes_before_the_environment_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let global = home.join(".config/wandb");
        fs::create_dir_all(&global).unwrap();
        fs::create_dir_all(home.join("work/wandb")).unwrap();
        let mut environment = Environment::default()
            .with_home(home)
            .with_work(home.join("work"));
        let found = |environment: &Environment| {
            let found = RemoteOptions::discover(None, None, environment).unwrap();
            (found.base_url().to_string(), key_of(&found))
        };
        assert_eq!(
            found(&environment),
            ("https://api.wandb.ai/".to_owned(), None)
        );
        fs::write(
            global.join("settings"),
            "[default]\nbase_url = http://far:1/x/\napi_key = from-settings\n",
        )
        .unwrap();
        let key = |key: &str| Some(key.to_owned());
        assert_eq!(
            found(&environment),
            ("http://far:1/x".to_owned(), key("from-settings"))
        );
        fs::write(
            home.join("work/wandb/settings"),
            "[default]\nbase_url = http://near:8080\n",
        )
        .unwrap();
        fs::write(
            home.join(".netrc"),
            "machine near login user password by-host\nmachine near:8080 login user password by-port\n",
        )
        .unwrap();
        assert_eq!(
            found(&environment),
            ("http://near:8080/".to_owned(), key("by-port"))
        );
        environment = environment
            .with_variable("WANDB_BASE_URL", "http://near:9")
            .with_variable("WANDB_API_KEY", " ");
        assert_eq!(
            found(&environment),
            ("http://near:9/".to_owned(), key("by-host"))
        );
        environment = environment.with_variable("WANDB_API_KEY", "from-env");
        assert_eq!(found(&environment).1, key("from-env"));
        let given = RemoteOptions::discover(
            Some("https://said"),
            Some("given".to_owned().into()),
            &environment,
        )
        .unwrap();
        assert_eq!(given.base_url().as_str(), "https://said/");
        assert_eq!(key_of(&given), key("given"));
        let shown = format!("{given:?} {environment:?}");
        assert!(
            !shown.contains("given") && !shown.contains("from-env"),
            "{shown}"
        );
    }

    #[test]
    fn without_a_key_it_says_where_it_looked() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join(".netrc"),
            "machine other login x password y\n",
        )
        .unwrap();
        let environment = Environment::default().with_home(folder.path());
        let found = RemoteOptions::discover(Some("http://h:1"), None, &environment).unwrap();
        let said = found.where_looked();
        for part in [
            "WANDB_API_KEY",
            "machine h:1 or h in ",
            ".netrc",
            "trackway login h:1",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "",
            "ftp://h",
            "h:1",
            "http://",
            "http://api:key@h",
            "https://key@h/",
        ] {
            let error = RemoteOptions::new(text, "k".to_owned()).unwrap_err();
            assert_eq!(
                error.kind(),
                tracker_model::ErrorKind::InvalidInput,
                "{text}"
            );
            assert!(!error.to_string().contains("key@"), "{error}");
        }
    }
}
