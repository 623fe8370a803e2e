use url::Url;

/// The one entry of a version whose files are at an address that cannot be read.
pub(crate) const REFERENCE_ENTRY: &str = "source";
/// The reason for such an entry.
pub(crate) const UNREACHABLE_VERSION: &str =
    "the version's files are at an address that cannot be read from here";

/// Where the files of a version of a registered model are, as its `source` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelSource {
    /// They are those of a logged model, or below a folder of it.
    LoggedModel {
        /// Its id.
        model_id: String,
        /// The folder, empty for all.
        path: String,
    },
    /// They are those of another version of a registered model.
    Version {
        /// The model's name.
        name: String,
        /// The version.
        version: u64,
    },
    /// They are files of a run.
    Run {
        /// The run's id.
        run_id: String,
        /// The folder below the run's artifacts, or one file; empty for all.
        path: String,
    },
    /// They are somewhere else.
    Elsewhere,
}

impl ModelSource {
    /// Reads a `source`: `models:/m-…`, `models:/NAME/VERSION`, `runs:/RUN/PATH`, and any address
    /// whose path ends like those of MLflow's own artifact stores:
    /// `…/RUN/artifacts/PATH`, `…/models/m-…/artifacts/PATH`.
    pub(crate) fn parse(source: &str) -> Self {
        if let Some(rest) = source.strip_prefix("models:/") {
            let rest = rest.trim_matches('/');
            return match rest.rsplit_once('/') {
                None if rest.starts_with("m-") => Self::LoggedModel {
                    model_id: rest.to_owned(),
                    path: String::new(),
                },
                Some((name, version)) => match version.parse() {
                    Ok(version) => Self::Version {
                        name: name.to_owned(),
                        version,
                    },
                    Err(_) => Self::Elsewhere,
                },
                None => Self::Elsewhere,
            };
        }
        if let Some(rest) = source.strip_prefix("runs:/") {
            let rest = rest.trim_matches('/');
            let (run_id, path) = rest.split_once('/').unwrap_or((rest, ""));
            return match run_id {
                "" => Self::Elsewhere,
                _ => Self::Run {
                    run_id: run_id.to_owned(),
                    path: path.trim_matches('/').to_owned(),
                },
            };
        }
        let path = Url::parse(source).map_or_else(|_| source.to_owned(), |url| decoded_path(&url));
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let below = |i: usize| parts.get(i..).unwrap_or_default().join("/");
        for (i, window) in parts.windows(2).enumerate().rev() {
            let [owner, "artifacts"] = window else {
                continue;
            };
            if i > 0 && parts.get(i - 1) == Some(&"models") && owner.starts_with("m-") {
                return Self::LoggedModel {
                    model_id: (*owner).to_owned(),
                    path: below(i + 2),
                };
            }
            if is_run_id(owner) {
                return Self::Run {
                    run_id: (*owner).to_owned(),
                    path: below(i + 2),
                };
            }
        }
        Self::Elsewhere
    }
}

fn is_run_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The path of a URL, percent-decoded if that gives text.
pub(crate) fn decoded_path(url: &Url) -> String {
    let raw = url.path();
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let code = match (byte, ahead.next(), ahead.next()) {
            (b'%', Some(high), Some(low)) => hex(high).zip(hex(low)).map(|(h, l)| h << 4 | l),
            _ => None,
        };
        match code {
            Some(code) => {
                out.push(code);
                bytes = ahead;
            }
            None => out.push(byte),
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| raw.to_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let run = |path: &str| ModelSource::Run {
            run_id: "0".repeat(32),
            path: path.into(),
        };
        let id = "0".repeat(32);
        let model = |path: &str| ModelSource::LoggedModel {
            model_id: "m-1".into(),
            path: path.into(),
        };
        for (source, want) in [
            ("models:/m-1".to_owned(), model("")),
            (
                "models:/a/b c/7".into(),
                ModelSource::Version {
                    name: "a/b c".into(),
                    version: 7,
                },
            ),
            ("models:/a/Production".into(), ModelSource::Elsewhere),
            (format!("runs:/{id}/a/b"), run("a/b")),
            (format!("runs:/{id}"), run("")),
            ("runs:/".into(), ModelSource::Elsewhere),
            (
                format!("mlflow-artifacts:/3/{id}/artifacts/model"),
                run("model"),
            ),
            (
                format!("file:///x/mlruns/3/{id}/artifacts/a%20b"),
                run("a b"),
            ),
            (format!("/x/mlruns/3/{id}/artifacts"), run("")),
            (format!("s3://bucket/x/3/{id}/artifacts/m/"), run("m")),
            ("mlflow-artifacts:/7/models/m-1/artifacts".into(), model("")),
            ("dbfs:/7/models/m-1/artifacts/data".into(), model("data")),
            ("s3://bucket/model".into(), ModelSource::Elsewhere),
            (String::new(), ModelSource::Elsewhere),
        ] {
            assert_eq!(ModelSource::parse(&source), want, "{source}");
        }
    }
}
