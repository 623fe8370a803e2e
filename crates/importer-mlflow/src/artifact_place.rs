//! Where the artifacts of a store are on this machine.

use std::path::{Component, Path, PathBuf};

use tracker_model::Result;
use url::Url;

use crate::{local_files::LocalFolder, mapping::decoded_path};

/// The folders that addresses of artifacts may lead into.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactPlaces {
    /// Where relative paths begin: the server's working folder, as far as one can tell.
    base: PathBuf,
    /// Where `mlflow-artifacts:` leads.
    root: Option<PathBuf>,
    /// Whether somebody said so.
    root_given: bool,
}

/// What an address of artifacts leads to.
#[derive(Debug)]
pub(crate) enum Place {
    /// To a folder.
    Folder(LocalFolder),
    /// To a place where MLflow would make a folder with the first file: there are no artifacts.
    Empty,
    /// To nowhere that can be read from here, with the reason.
    Unreachable(&'static str),
}

/// The reason for addresses of other stores.
pub(crate) const REMOTE: &str = "the artifacts are in a store that cannot be read from here; import from the tracking server to get them";
const NO_ROOT: &str =
    "the server's artifact folder is not known here; name it with --artifacts-root";
const MOVED: &str =
    "the artifact folder does not exist here; name the folder it moved to with --artifacts-root";
const LINK: &str = "the artifact folder is a symbolic link to a folder that MLflow did not make, and is not followed";
const ODD: &str =
    "the artifact address is not one that MLflow makes for this run or model, and is not followed";

impl ArtifactPlaces {
    /// The places of a store that lies in `base`.
    pub(crate) fn new(base: &Path, root: Option<PathBuf>) -> Self {
        let root_given = root.is_some();
        let root = root.or_else(|| Some(base.join("mlartifacts")).filter(|p| p.is_dir()));
        Self {
            base: base.to_owned(),
            root,
            root_given,
        }
    }

    /// Follows an address whose path must end with `tail`, such as `[run, "artifacts"]`: MLflow
    /// makes no others, and those of a hostile store could name any folder of this machine.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn resolve(&self, uri: &str, tail: &[&str]) -> Result<Place> {
        let (scheme, path) = parts_of(uri);
        if !path.ends_with(tail.iter().collect::<PathBuf>())
            || path.components().any(|c| c == Component::ParentDir)
        {
            let known = matches!(scheme.as_str(), "" | "file" | "mlflow-artifacts");
            return Ok(Place::Unreachable(if known { ODD } else { REMOTE }));
        }
        let relative: PathBuf = path
            .components()
            .filter(|c| matches!(c, Component::Normal(_)))
            .collect();
        match scheme.as_str() {
            "mlflow-artifacts" => match &self.root {
                Some(root) => existing(&root.join(relative), tail, root, NO_ROOT),
                None => Ok(Place::Unreachable(NO_ROOT)),
            },
            "" | "file" => {
                let there = self.base.join(path);
                if let Some(found) = folder(&there, tail)? {
                    return Ok(found);
                }
                if let Some(found) = self.moved(&relative, tail)? {
                    return Ok(found);
                }
                // The folder of the experiment's parent: MLflow makes the rest when it needs it.
                let above = there
                    .ancestors()
                    .nth(tail.len() + 1)
                    .unwrap_or(&there)
                    .to_owned();
                existing(&there, tail, &above, MOVED)
            }
            _ => Ok(self
                .moved(&relative, tail)?
                .unwrap_or(Place::Unreachable(REMOTE))),
        }
    }

    /// The same artifacts below the folder that the user named: `EXPERIMENT/RUN/artifacts`.
    fn moved(&self, relative: &Path, tail: &[&str]) -> Result<Option<Place>> {
        let Some(root) = self.root.as_ref().filter(|_| self.root_given) else {
            return Ok(None);
        };
        let parts: Vec<_> = relative.components().collect();
        let short: PathBuf = parts
            .get(parts.len().saturating_sub(tail.len() + 1)..)
            .unwrap_or_default()
            .iter()
            .collect();
        for path in [root.join(relative), root.join(short)] {
            if let Some(found) = folder(&path, tail)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The scheme of an address, empty for a plain path, and its path.
pub(crate) fn parts_of(uri: &str) -> (String, PathBuf) {
    match Url::parse(uri) {
        Ok(url) if url.scheme().len() > 1 => (
            url.scheme().to_owned(),
            PathBuf::from(decoded_path(&url).trim_end_matches('/')),
        ),
        _ => (String::new(), PathBuf::from(uri.trim_end_matches('/'))),
    }
}

/// A folder of MLflow's making: its parents may be symbolic links, it may not lead elsewhere.
pub(crate) fn folder(path: &Path, tail: &[&str]) -> Result<Option<Place>> {
    folder_below(path, tail, Path::new(""))
}

/// [`folder`] where the path is known to lead through no symbolic links up to `above`.
pub(crate) fn folder_below(path: &Path, tail: &[&str], above: &Path) -> Result<Option<Place>> {
    let ours = |found: &LocalFolder| found.path().ends_with(tail.iter().collect::<PathBuf>());
    Ok(LocalFolder::open_below(path, above)?.map(|found| {
        if ours(&found) {
            Place::Folder(found)
        } else {
            Place::Unreachable(LINK)
        }
    }))
}

fn existing(path: &Path, tail: &[&str], above: &Path, otherwise: &'static str) -> Result<Place> {
    Ok(match folder(path, tail)? {
        Some(found) => found,
        None if above.is_dir() && above.parent().is_some() => Place::Empty,
        None => Place::Unreachable(otherwise),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const RUN: &str = "00000000000000000000000000000001";

    fn resolve(places: &ArtifactPlaces, uri: &str) -> String {
        match places.resolve(uri, &[RUN, "artifacts"]).unwrap() {
            Place::Folder(folder) => folder
                .path()
                .components()
                .next_back()
                .unwrap()
                .as_os_str()
                .to_str()
                .unwrap()
                .into(),
            Place::Empty => "empty".into(),
            Place::Unreachable(why) => why.into(),
        }
    }

    #[test]
    fn addresses_of_mlflow_are_followed_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        let make = |path: &str| fs::create_dir_all(base.join(path)).unwrap();
        make(&format!("mlartifacts/1/{RUN}/artifacts"));
        make(&format!("mlruns/2/{RUN}/artifacts"));
        make("secret");
        let places = ArtifactPlaces::new(&base, None);
        let at = |uri: &str| resolve(&places, uri);
        assert_eq!(
            at(&format!("mlflow-artifacts:/1/{RUN}/artifacts")),
            "artifacts"
        );
        assert_eq!(
            at(&format!("mlflow-artifacts://host:80/1/{RUN}/artifacts")),
            "artifacts"
        );
        assert_eq!(at(&format!("mlflow-artifacts:/9/{RUN}/artifacts")), "empty");
        assert_eq!(at(&format!("./mlruns/2/{RUN}/artifacts")), "artifacts");
        assert_eq!(
            at(&format!("{}/mlruns/2/{RUN}/artifacts", base.display())),
            "artifacts"
        );
        assert_eq!(
            at(&format!(
                "file://{}/mlruns/2/{RUN}/artifacts/",
                base.display()
            )),
            "artifacts"
        );
        assert_eq!(
            at(&format!("{}/mlruns/3/{RUN}/artifacts", base.display())),
            "empty"
        );
        assert_eq!(at(&format!("/gone/mlruns/2/{RUN}/artifacts")), MOVED);
        assert_eq!(at(&format!("s3://bucket/2/{RUN}/artifacts")), REMOTE);
        for odd in [
            "/etc".to_owned(),
            format!("{}/secret", base.display()),
            format!("mlflow-artifacts:/../secret/{RUN}/../../x/{RUN}/artifacts/.."),
            format!("x/../mlruns/2/{RUN}/artifacts"),
            format!("{}/mlruns/2/other/artifacts", base.display()),
        ] {
            assert_eq!(at(&odd), ODD, "{odd}");
        }
        let given = ArtifactPlaces::new(&base, Some(base.join("mlruns")));
        assert_eq!(
            resolve(&given, &format!("/gone/mlruns/2/{RUN}/artifacts")),
            "artifacts"
        );
        assert_eq!(
            resolve(&given, &format!("s3://bucket/2/{RUN}/artifacts")),
            "artifacts"
        );
        let none = ArtifactPlaces::new(&base.join("secret"), None);
        assert_eq!(
            resolve(&none, &format!("mlflow-artifacts:/1/{RUN}/artifacts")),
            NO_ROOT
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_anywhere_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(format!("mlruns/2/{RUN}"))).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join(format!("mlruns/2/{RUN}/artifacts")))
            .unwrap();
        let places = ArtifactPlaces::new(dir.path(), None);
        assert_eq!(resolve(&places, &format!("mlruns/2/{RUN}/artifacts")), LINK);
    }
}
