use std::{fs, io::Write as _, path::Path};

use clap::Args;
use serde::Serialize;
use tracker_client::remote::{Environment, RemoteOptions, RemoteTracker};
use tracker_http::{ExposeSecret as _, SecretString, netrc};
use tracker_model::ErrorKind;

use crate::cli::{
    Shell, ask,
    failure::{Exit, Failure, Result},
};

/// Where a server is whose address has no scheme.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Keep the key for a server, where the SDK of W&B keeps it and finds it, too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway login http://localhost:8080         asks for the key
  trackway login http://localhost:8080 --api-key - < key.txt
  trackway login                               the server of WANDB_BASE_URL, or the public cloud")]
pub(crate) struct LoginArgs {
    /// The server: http://HOST:PORT or https://HOST [default: WANDB_BASE_URL, the settings of W&B, the public cloud]
    #[arg(value_name = "HOST")]
    host: Option<String>,
    /// The key; `-` reads it from standard input [default: WANDB_API_KEY, else it is asked for]
    #[arg(long, value_name = "KEY", hide_env_values = true)]
    api_key: Option<SecretString>,
    /// Take another key although there is one
    #[arg(long)]
    relogin: bool,
}

#[derive(Debug, Serialize)]
struct Shape<'a> {
    server: &'a str,
    username: &'a str,
    entity: Option<&'a str>,
    teams: Vec<&'a str>,
}

pub(super) async fn run(shell: &mut Shell, args: LoginArgs) -> Result<Exit> {
    let environment = Environment::of_process();
    let host = args.host.as_deref().map(address);
    let known = RemoteOptions::discover(host.as_deref(), None, &environment)?;
    let given = match args.api_key {
        Some(key) if key.expose_secret() == "-" => Some(ask::secret_from_stdin()?),
        key => key,
    };
    let base = known.base_url().to_string();
    let (options, is_new) = match given {
        Some(key) => (known.with_key(key), true),
        // A key of the environment is kept as well as one that is typed.
        None if known.has_key() && !args.relogin => {
            let kept = environment.keeps(&known)?;
            (known, !kept)
        }
        None => {
            let asked = ask::secret(shell, &format!("API key for {base}"))?;
            let key = asked.ok_or_else(|| {
                Failure::usage(format!(
                    "there is no key for {base}, and nobody can be asked"
                ))
                .with_hint("--api-key - reads it from standard input")
            })?;
            (known.with_key(key), true)
        }
    };
    let tracker = Box::pin(RemoteTracker::connect(&options)).await;
    let tracker = tracker.map_err(|e| match e.kind() {
        ErrorKind::Unauthenticated => {
            Failure::new(Exit::Unauthorised, format!("{base} does not take this key")).with_hint(
                format!("`trackway login {base} --relogin` asks for another one"),
            )
        }
        _ => e.into(),
    })?;
    if is_new && let Some(key) = options.key_to_keep() {
        let path = environment.netrc_to_write().ok_or_else(|| {
            Failure::new(Exit::Failed, "there is no home folder to keep the key in")
                .with_hint("set NETRC to the file of logins")
        })?;
        keep(&path, &options.machine(), key)?;
        shell
            .talk
            .note(format!("the key is kept in {}", path.display()));
    }
    let viewer = tracker.viewer();
    let shape = Shape {
        server: &base,
        username: &viewer.username,
        entity: viewer.entity.as_ref().map(|entity| entity.as_str()),
        teams: viewer.teams.iter().map(|team| team.as_str()).collect(),
    };
    match shell.out.is_json() {
        true => shell.out.document(&shape)?,
        false => shell
            .out
            .line(format!("logged in to {base} as {}", viewer.username))?,
    }
    Ok(Exit::Ok)
}

/// An address with its scheme: plain HTTP for this machine and for ports, else HTTPS.
fn address(text: &str) -> String {
    let text = text.strip_prefix("wandb+").unwrap_or(text);
    if text.contains("://") {
        return text.to_owned();
    }
    let host = text.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let plain = LOCAL.contains(&name) || LOCAL.contains(&host) || name != host;
    format!("{}://{text}", if plain { "http" } else { "https" })
}

/// Writes a login into the file of logins, which only its owner may read afterwards.
fn keep(path: &Path, machine: &str, key: &SecretString) -> Result<()> {
    // A link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = |e: &std::io::Error| Failure::io(format_args!("write {}", path.display()), e);
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Failure::io(format_args!("read {}", path.display()), &e)),
    };
    let text = netrc::with_login(&before, machine, "user", key).map_err(|e| {
        Failure::new(
            Exit::Failed,
            format!("keep the key in {}: {e}", path.display()),
        )
        .with_hint("write the entry by hand")
    })?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // Files of this kind are for their owner alone.
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .map_err(|e| failed(&e))?;
    file.write_all(text.expose_secret().as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|e| failed(&e))?;
    file.persist(&path).map_err(|e| failed(&e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_a_scheme() {
        for (text, wanted) in [
            ("localhost:8080", "http://localhost:8080"),
            ("localhost", "http://localhost"),
            ("10.0.0.1:80", "http://10.0.0.1:80"),
            ("wandb.example", "https://wandb.example"),
            ("wandb+http://h", "http://h"),
            ("https://h/x", "https://h/x"),
        ] {
            assert_eq!(address(text), wanted);
        }
    }

    #[test]
    fn a_login_is_kept_beside_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".netrc");
        fs::write(&path, "machine a login x password y\n").unwrap();
        for key in ["first-key", "second-key"] {
            keep(&path, "h:1", &SecretString::from(key)).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "machine a login x password y\nmachine h:1\n  login user\n  password second-key\n"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
