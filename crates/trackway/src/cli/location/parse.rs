//! Addresses with a scheme.

use std::path::PathBuf;

use url::Url;

use tracker_client::remote::Scope;

use super::{FORMS, Location, MlflowPlace, WandbPlace, without_secrets};
use crate::cli::{
    failure::{Failure, Result},
    text::{did_you_mean, nearest},
};

/// All schemes that are understood.
const SCHEMES: [&str; 13] = [
    "local",
    "mlflow+file",
    "mlflow+sqlite",
    "mlflow+http",
    "mlflow+https",
    "file",
    "sqlite",
    "http",
    "https",
    "databricks",
    "wandb",
    "wandb+http",
    "wandb+https",
];

/// The location, if the text has a scheme; `None` for a path.
pub(super) fn scheme_of(text: &str) -> Result<Option<Location>> {
    if text.is_empty() {
        return Err(Failure::usage("the address is empty").with_hint(FORMS));
    }
    if text == "databricks" {
        return Ok(Some(Location::Mlflow(MlflowPlace::Databricks(None))));
    }
    let Some((scheme, rest)) = split(text) else {
        return Ok(None);
    };
    let mlflow = |place| Ok(Some(Location::Mlflow(place)));
    match scheme.as_str() {
        "local" => Ok(Some(Location::Store(path(&scheme, rest)?))),
        "mlflow+file" => mlflow(MlflowPlace::Files(path(&scheme, rest)?)),
        "mlflow+sqlite" => mlflow(MlflowPlace::Database(database(&scheme, rest)?)),
        "sqlite" => mlflow(MlflowPlace::Database(database(&scheme, rest)?)),
        "file" => super::recognise::path(&path(&scheme, rest)?).map(Some),
        "mlflow+http" | "http" => mlflow(MlflowPlace::Server(server(&format!("http:{rest}"))?)),
        "mlflow+https" | "https" => mlflow(MlflowPlace::Server(server(&format!("https:{rest}"))?)),
        "databricks" => mlflow(MlflowPlace::Databricks(profile(rest)?)),
        "wandb" => {
            let scope = scope(rest.trim_start_matches('/'), text)?;
            Ok(Some(Location::Wandb(WandbPlace { base: None, scope })))
        }
        "wandb+http" => wandb(&format!("http:{rest}"), text),
        "wandb+https" => wandb(&format!("https:{rest}"), text),
        _ => Err(unknown(&scheme, rest, text)),
    }
}

/// The scheme in small letters and what follows its colon. A single letter is a drive.
fn split(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(legal);
    // A file may have a colon in its name, and is written with a folder or without one.
    let looks_like_a_file = !rest.starts_with("//")
        && !SCHEMES.contains(&scheme)
        && std::path::Path::new(text).exists();
    (is_scheme && !looks_like_a_file).then(|| (scheme.to_ascii_lowercase(), rest))
}

/// `DIR`, `//DIR` or `///DIR`, with the escapes of a URL undone after slashes.
fn path(scheme: &str, rest: &str) -> Result<PathBuf> {
    let Some(url) = rest.strip_prefix("//") else {
        return non_empty(scheme, rest);
    };
    let local = url.strip_prefix("localhost/").map(|p| format!("/{p}"));
    let decoded = decode(local.as_deref().unwrap_or(url));
    non_empty(scheme, &decoded)
}

/// As SQLAlchemy counts slashes: three before a path that starts here, four before one that
/// starts at the root. A single path without slashes is taken as it is.
fn database(scheme: &str, rest: &str) -> Result<PathBuf> {
    let rest = rest.split('?').next().unwrap_or_default();
    match rest.strip_prefix("///") {
        Some(path) => non_empty(scheme, path),
        None if rest.starts_with("//") => Err(Failure::usage(format!(
            "{scheme}:{rest} names a host, and an SQLite database has none"
        ))
        .with_hint(format!(
            "write {scheme}:///FILE for a file here, {scheme}:////FILE for one from the root"
        ))),
        None => non_empty(scheme, rest),
    }
}

fn non_empty(scheme: &str, path: &str) -> Result<PathBuf> {
    if path.is_empty() {
        return Err(Failure::usage(format!("{scheme}: names no path"))
            .with_hint(format!("write {scheme}:PATH")));
    }
    Ok(PathBuf::from(path))
}

fn decode(text: &str) -> String {
    // The URL library decodes queries; a path is one without plus signs.
    url::form_urlencoded::parse(
        text.replace('+', "%2B")
            .replace('&', "%26")
            .replace('=', "%3D")
            .as_bytes(),
    )
    .next()
    .map_or_else(String::new, |(key, _)| key.into_owned())
}

fn server(text: &str) -> Result<String> {
    let shown = without_secrets(text);
    let url = Url::parse(text).map_err(|e| {
        Failure::usage(format!("{shown} is not an address: {e}"))
            .with_hint("write http://HOST:PORT or https://HOST")
    })?;
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() {
        return Err(Failure::usage(format!("{shown} names no host"))
            .with_hint("write http://HOST:PORT or https://HOST"));
    }
    if host == "wandb.ai" || host.ends_with(".wandb.ai") {
        return Err(not_read(&shown).with_hint("write wandb://ENTITY/PROJECT"));
    }
    Ok(text.to_owned())
}

/// `http(s)://HOST[:PORT][/ENTITY[/PROJECT[/RUN]]]`.
fn wandb(address: &str, text: &str) -> Result<Option<Location>> {
    let shown = without_secrets(text);
    let wrong = |why: &str| {
        Failure::usage(format!("{shown} {why}"))
            .with_hint("write wandb+http://HOST:PORT/ENTITY/PROJECT; `trackway login` keeps keys")
    };
    let url = Url::parse(address).map_err(|e| wrong(&format!("is not an address: {e}")))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a key, which does not belong there"));
    }
    let mut base = url.clone();
    base.set_path("");
    base.set_query(None);
    base.set_fragment(None);
    let scope = scope(url.path().trim_start_matches('/'), text)?;
    let base = Some(base.to_string());
    Ok(Some(Location::Wandb(WandbPlace { base, scope })))
}

/// `[ENTITY[/PROJECT[/RUN]]]`, with the escapes of a URL undone.
fn scope(path: &str, text: &str) -> Result<Scope> {
    let path = path.trim_end_matches('/');
    let parts: Vec<String> = match path {
        "" => Vec::new(),
        path => path.split('/').map(decode).collect(),
    };
    let mut scope = Scope::default();
    let mut parts = parts.into_iter();
    scope.entity = parts.next().map(|name| name.parse()).transpose()?;
    scope.project = parts.next().map(|name| name.parse()).transpose()?;
    scope.run = parts.next().map(|name| name.parse()).transpose()?;
    if parts.next().is_some() {
        let shown = without_secrets(text);
        return Err(Failure::usage(format!("{shown} names more than a run"))
            .with_hint("write ENTITY, ENTITY/PROJECT or ENTITY/PROJECT/RUN behind the server"));
    }
    Ok(scope)
}

fn profile(rest: &str) -> Result<Option<String>> {
    let name = rest
        .strip_prefix("//")
        .unwrap_or(rest)
        .trim_end_matches('/');
    if name.contains('/') || name.contains('@') {
        return Err(Failure::usage(
            "the address of a Databricks workspace holds more than a profile",
        )
        .with_hint("write databricks://PROFILE with a profile of ~/.databrickscfg"));
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn unknown(scheme: &str, rest: &str, text: &str) -> Failure {
    let shown = without_secrets(text);
    let port = rest.split('/').next().unwrap_or_default();
    if !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) {
        return Failure::usage(format!("{shown} has no scheme"))
            .with_hint(format!("for a server write http://{shown}"));
    }
    match scheme {
        "wandb-offline" => return not_read(&shown),
        "postgresql" | "postgres" | "mysql" | "mssql" | "postgresql+psycopg2" | "mysql+pymysql" => {
            return Failure::usage(format!(
                "{shown} is a database that is read through its MLflow server only"
            ))
            .with_hint("name the address of the server: http://HOST:PORT");
        }
        _ => {}
    }
    let near: Vec<String> = nearest(scheme, SCHEMES)
        .into_iter()
        .take(1)
        .map(|s| format!("{s}:…"))
        .collect();
    Failure::usage(format!("{shown}: {scheme:?} is not a kind of address"))
        .with_hint(did_you_mean(&near).unwrap_or_else(|| FORMS.to_owned()))
}

/// A place of a tracker that is not read by this version.
pub(super) fn not_read(shown: &str) -> Failure {
    Failure::usage(format!(
        "{shown} is a place of W&B that is not read; its servers, MLflow and embedded stores are"
    ))
    .with_hint(FORMS)
}
