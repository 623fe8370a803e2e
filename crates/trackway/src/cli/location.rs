//! Where things are: everything is addressed by a URI, and the obvious forms are recognised.

mod parse;
mod recognise;

use std::{fmt, path::PathBuf};

use tracker_client::remote::Scope;

use super::failure::Result;

/// A place to read from or to write to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// An embedded store, by its folder.
    Store(PathBuf),
    /// MLflow.
    Mlflow(MlflowPlace),
    /// A server of the W&B protocol.
    Wandb(WandbPlace),
}

/// A server of the W&B protocol, and what of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct WandbPlace {
    /// The address; the one of the environment or the public cloud without.
    pub(crate) base: Option<String>,
    /// Only what is in it.
    pub(crate) scope: Scope,
}

/// The ways to MLflow.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum MlflowPlace {
    /// A file store, by its folder.
    Files(PathBuf),
    /// A database, by its file.
    Database(PathBuf),
    /// A tracking server. The address may hold a password.
    Server(String),
    /// A Databricks workspace, by the name of its profile.
    Databricks(Option<String>),
}

/// What a user may write, for hints.
const FORMS: &str = "name a folder (./mlruns), a database (sqlite:///mlflow.db), a server (http://HOST:PORT), \
                     databricks://PROFILE, or a store (local:DIR)";

impl Location {
    /// Understands an address. Looks at the disk to tell what a bare path is.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match parse::scheme_of(text)? {
            Some(location) => Ok(location),
            None => recognise::path(text.as_ref()),
        }
    }

    /// Understands an address with a scheme; `None` for a path.
    pub(crate) fn with_scheme(text: &str) -> Result<Option<Self>> {
        parse::scheme_of(text)
    }

    /// What it is, for messages: one or two words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Store(_) => "an embedded store",
            Self::Mlflow(MlflowPlace::Files(_)) => "an MLflow file store",
            Self::Mlflow(MlflowPlace::Database(_)) => "an MLflow database",
            Self::Mlflow(MlflowPlace::Server(_)) => "an MLflow server",
            Self::Mlflow(MlflowPlace::Databricks(_)) => "a Databricks workspace",
            Self::Wandb(_) => "a W&B server",
        }
    }
}

/// The address in its full form, without secrets.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(dir) => write!(f, "local:{}", dir.display()),
            Self::Mlflow(MlflowPlace::Files(dir)) => write!(f, "mlflow+file:{}", dir.display()),
            Self::Mlflow(MlflowPlace::Database(file)) => {
                write!(f, "mlflow+sqlite:{}", file.display())
            }
            Self::Mlflow(MlflowPlace::Server(url)) => write!(f, "mlflow+{}", without_secrets(url)),
            Self::Mlflow(MlflowPlace::Databricks(None)) => f.write_str("databricks"),
            Self::Mlflow(MlflowPlace::Databricks(Some(profile))) => {
                write!(f, "databricks://{profile}")
            }
            Self::Wandb(place) => {
                match &place.base {
                    Some(base) => write!(f, "wandb+{}", base.trim_end_matches('/'))?,
                    None => f.write_str("wandb:/")?,
                }
                let Scope {
                    entity,
                    project,
                    run,
                } = &place.scope;
                let entity = entity.as_ref().map(ToString::to_string);
                let project = project.as_ref().map(ToString::to_string);
                let run = run.as_ref().map(ToString::to_string);
                for part in [entity, project, run].into_iter().flatten() {
                    write!(f, "/{part}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An address as it may be shown: user, password, query and fragment are left out.
pub(crate) fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest
        .split_once('/')
        .map_or((rest, None), |(a, p)| (a, Some(p)));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests;
