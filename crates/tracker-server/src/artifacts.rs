//! Artifacts as the SDK makes them: promised first, then uploaded, then committed.
//!
//! Until its commit an artifact is only in records: what was said of it ([`records::Sketch`]), its
//! manifest, and what of it was uploaded, whose contents the tracker holds. The commit makes a
//! version of it. All of this outlives a restart of the server.

pub(crate) mod find;
pub(crate) mod manifest;
pub(crate) mod records;
pub(crate) mod transfer;
pub(crate) mod write;

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use tokio::sync::{Mutex, MutexGuard};
use tracker_model::{CollectionPath, Error, ErrorKind, Result};

/// Lets changes to one collection come one after the other: aliases and tags are read, changed and
/// written.
#[derive(Debug, Default)]
pub(crate) struct Locks([Mutex<()>; 32]);

impl Locks {
    /// Waits for the others who change the collection. Never take two at once.
    pub(crate) async fn of(&self, path: &CollectionPath) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(path);
        let [first, ..] = &self.0;
        let place = usize::from(hash.to_le_bytes()[0]) % self.0.len();
        self.0.get(place).unwrap_or(first).lock().await
    }
}

/// Checks the name of an alias.
///
/// # Errors
/// `InvalidInput`.
pub(crate) fn check_alias(alias: &str) -> Result<()> {
    let number = alias
        .strip_prefix('v')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    let why = if alias.is_empty() {
        "is empty"
    } else if alias.chars().count() > 128 {
        "has more than 128 characters"
    } else if alias.contains(['/', ':']) || alias.chars().any(char::is_control) {
        "holds a slash, a colon or a control character"
    } else if number {
        "is the name of a version by its number"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("the alias {alias:.140?} {why}")))
}

/// Under what clients think that files of artifacts lie. Nothing is looked up by it.
pub(crate) const STORAGE_ROOT: &str = "wandb_artifacts";

/// Where clients think that a file of an artifact lies.
pub(crate) fn storage_path(file: &str) -> String {
    format!("{STORAGE_ROOT}/{file}")
}

pub(crate) fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::check_alias;

    #[test]
    fn aliases() {
        for alias in ["latest", "v", "v1a", "vx", "best model", "über", "1"] {
            check_alias(alias).unwrap();
        }
        for alias in ["", "v0", "v12", "a:b", "a/b", "a\n", &"x".repeat(129)] {
            check_alias(alias).unwrap_err();
        }
    }
}
