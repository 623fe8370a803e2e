use std::path::PathBuf;

use tracker_model::{Error, Result};

/// The file of `sqlite:///RELATIVE`, `sqlite:////ABSOLUTE` (as MLflow writes them, a driver such as
/// `sqlite+pysqlite` and options behind a `?` included, nothing percent-decoded),
/// `mlflow+sqlite:FILE` or a plain path.
///
/// # Errors
/// `InvalidInput` if it names no file.
pub(crate) fn path_of(uri: &str) -> Result<PathBuf> {
    if let Some(path) = uri.strip_prefix("mlflow+sqlite:") {
        return match path.strip_prefix("//") {
            Some(_) => url_path(uri, path),
            None => file(uri, path),
        };
    }
    match uri.split_once(':') {
        Some((scheme, rest)) if scheme == "sqlite" || scheme.starts_with("sqlite+") => {
            url_path(uri, rest)
        }
        _ => file(uri, uri),
    }
}

/// What stands behind the scheme: `///RELATIVE` or `////ABSOLUTE`.
fn url_path(uri: &str, rest: &str) -> Result<PathBuf> {
    let Some(path) = rest.strip_prefix("///") else {
        return Err(Error::invalid(format!("{uri:?} is not the address of an SQLite file"))
            .with_hint("write sqlite:///FILE for a relative path, sqlite:////FOLDER/FILE for an absolute one, or the path alone"));
    };
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    file(uri, path)
}

fn file(uri: &str, path: &str) -> Result<PathBuf> {
    if path.is_empty() || path == ":memory:" {
        return Err(Error::invalid(format!("{uri:?} names no file"))
            .with_hint("name the file of the database, such as sqlite:///mlflow.db"));
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (uri, path) in [
            ("mlflow.db", "mlflow.db"),
            ("/x/ml flow%20.db", "/x/ml flow%20.db"),
            ("sqlite:///rel/a.db", "rel/a.db"),
            ("sqlite:////abs/a.db", "/abs/a.db"),
            (
                "sqlite+pysqlite:////abs/a%20b.db?timeout=5",
                "/abs/a%20b.db",
            ),
            ("mlflow+sqlite:rel.db", "rel.db"),
            ("mlflow+sqlite:/abs/a?.db", "/abs/a?.db"),
            ("mlflow+sqlite:///rel.db", "rel.db"),
            ("C:\\mlflow.db", "C:\\mlflow.db"),
        ] {
            assert_eq!(path_of(uri).unwrap(), PathBuf::from(path), "{uri}");
        }
    }

    #[test]
    fn addresses_without_a_file() {
        for uri in [
            "",
            "sqlite://",
            "sqlite:",
            "sqlite://host/x",
            "sqlite:///",
            "sqlite:///:memory:",
            "mlflow+sqlite:",
        ] {
            let error = path_of(uri).unwrap_err();
            assert!(error.hint().is_some(), "{uri}: {error}");
        }
    }
}
