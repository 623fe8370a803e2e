use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use importer_core::Source;
use tracker_model::{Error, Result};

use crate::{
    FileStoreOptions, FileStoreSource, MlflowOptions, SqliteSource,
    artifact_place::parts_of,
    blocking::{blocking, io_error},
    databricks, rest, sqlite,
};

/// Opens the source that an address names:
///
/// | address | is |
/// |---|---|
/// | a folder, `mlflow+file:DIR`, `file:///DIR` | a file store |
/// | a file, `mlflow+sqlite:FILE`, `sqlite:///RELATIVE`, `sqlite:////ABSOLUTE` | a database |
/// | `http(s)://…`, `mlflow+http(s)://…` | a tracking server |
/// | `databricks`, `databricks://PROFILE` | a Databricks workspace |
///
/// # Errors
/// `NotFound` if there is nothing; `InvalidInput` if there is something else, or if the address is
/// none of these; those of the source. Each has a hint.
pub async fn open(uri: &str, options: &MlflowOptions) -> Result<Arc<dyn Source>> {
    match Way::of(uri)? {
        Way::Server => Box::pin(rest::open(uri, options)).await,
        Way::Databricks => Box::pin(databricks::open(uri, options)).await,
        Way::Folder(path) => file_store(path, options).await,
        Way::Database => database(sqlite::path_of(uri)?, options).await,
        Way::Path(path) => {
            let found = path.clone();
            if blocking(move || is_file(&found)).await? {
                database(path, options).await
            } else {
                file_store(path, options).await
            }
        }
    }
}

async fn database(file: PathBuf, options: &MlflowOptions) -> Result<Arc<dyn Source>> {
    let options = options.clone();
    blocking(move || Ok(Arc::new(SqliteSource::open(file, &options)?) as Arc<dyn Source>)).await
}

async fn file_store(path: PathBuf, options: &MlflowOptions) -> Result<Arc<dyn Source>> {
    let options = FileStoreOptions {
        artifacts_root: options.artifacts_root.clone(),
    };
    blocking(move || Ok(Arc::new(FileStoreSource::open(path, &options)?) as Arc<dyn Source>)).await
}

/// The way that an address stands for.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Server,
    Databricks,
    Folder(PathBuf),
    Database,
    /// A folder or a file.
    Path(PathBuf),
}

impl Way {
    fn of(uri: &str) -> Result<Self> {
        if uri == "databricks" {
            return Ok(Self::Databricks);
        }
        // A path may hold a colon, and one letter before it is a drive.
        let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
        let legal = |s: &&str| {
            s.len() > 1
                && s.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        };
        let Some(scheme) = scheme.filter(legal) else {
            return Ok(Self::Path(PathBuf::from(uri)));
        };
        match scheme {
            "http" | "https" | "mlflow+http" | "mlflow+https" => Ok(Self::Server),
            "databricks" => Ok(Self::Databricks),
            "file" => Ok(Self::Folder(parts_of(uri).1)),
            "mlflow+file" => {
                let rest = uri.strip_prefix("mlflow+file:").unwrap_or(uri);
                let path = rest
                    .strip_prefix("//")
                    .filter(|path| path.starts_with('/'))
                    .unwrap_or(rest);
                Ok(Self::Folder(PathBuf::from(path)))
            }
            "mlflow+sqlite" | "sqlite" => Ok(Self::Database),
            driver if driver.starts_with("sqlite+") => Ok(Self::Database),
            _ if Path::new(uri).exists() => Ok(Self::Path(PathBuf::from(uri))),
            "postgresql" | "postgres" | "mysql" | "mssql" | "oracle" => Err(unknown(
                scheme,
                "databases of this kind are not read directly: import from the tracking server that uses it",
            )),
            driver
                if ["postgresql+", "mysql+", "mssql+"]
                    .iter()
                    .any(|d| driver.starts_with(d)) =>
            {
                Err(unknown(
                    scheme,
                    "databases of this kind are not read directly: import from the tracking server that uses it",
                ))
            }
            _ => Err(unknown(
                scheme,
                "MLflow is a folder such as ./mlruns, a database sqlite:///mlflow.db, a server http://HOST:PORT, or \
                 databricks",
            )),
        }
    }
}

/// The rest of the address may hold a password.
fn unknown(scheme: &str, hint: &str) -> Error {
    Error::invalid(format!("{scheme}: is not the address of an MLflow store")).with_hint(hint)
}

/// Whether there is a file, which must be a database, at a path, and not a folder. It is not read
/// here: closing it would take away the locks that others in this process may have on it.
fn is_file(path: &Path) -> Result<bool> {
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(path.display()).with_hint(
            "name a folder such as ./mlruns, a database, or a server such as http://localhost:5000",
        ),
        _ => io_error("opening", path, e),
    })?;
    Ok(!meta.is_dir())
}

#[cfg(test)]
mod tests {
    use tracker_model::ErrorKind;

    use super::*;

    #[test]
    fn ways() {
        let folder = |path: &str| Way::Folder(PathBuf::from(path));
        let path = |path: &str| Way::Path(PathBuf::from(path));
        for (uri, way) in [
            ("databricks", Way::Databricks),
            ("databricks://profile", Way::Databricks),
            ("http://localhost:5000", Way::Server),
            ("mlflow+https://host/prefix", Way::Server),
            ("file:///a%20b/mlruns", folder("/a b/mlruns")),
            ("mlflow+file:mlruns", folder("mlruns")),
            ("mlflow+file:///abs/mlruns", folder("/abs/mlruns")),
            ("mlflow+file:/abs/a:b", folder("/abs/a:b")),
            ("sqlite:///mlflow.db", Way::Database),
            ("sqlite+pysqlite:////x.db", Way::Database),
            ("mlflow+sqlite:x.db", Way::Database),
            ("./mlruns", path("./mlruns")),
            ("C:\\mlruns", path("C:\\mlruns")),
            ("a b: c", path("a b: c")),
        ] {
            assert_eq!(Way::of(uri).unwrap(), way, "{uri}");
        }
        for uri in [
            "postgresql://u:secret@h/db",
            "mysql+pymysql://u:secret@h/db",
            "ftp://secret",
        ] {
            let error = Way::of(uri).unwrap_err();
            assert!(
                error.hint().is_some() && !format!("{error:?}").contains("secret"),
                "{error:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_store_gets_one_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let options = MlflowOptions::new();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(at("empty"), "").unwrap();
        std::fs::write(at("text"), "this is not a database").unwrap();
        for (name, kind) in [
            ("gone", ErrorKind::NotFound),
            ("empty", ErrorKind::InvalidInput),
            ("text", ErrorKind::InvalidInput),
            ("", ErrorKind::InvalidInput),
        ] {
            let error = Box::pin(open(&at(name), &options)).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{name}: {error:?}");
            assert!(error.hint().is_some(), "{name}: {error:?}");
        }
    }
}
