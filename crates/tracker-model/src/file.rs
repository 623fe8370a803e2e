use serde::{Deserialize, Serialize};

use crate::{Digests, Error, JsonObject, Result, Timestamp};

/// A file of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileInfo {
    /// The path inside the run, `/` between folders. See [`check_file_name`].
    pub name: String,
    /// Size and digests.
    #[serde(flatten)]
    pub digests: Digests,
    /// When it was last changed, if known.
    pub modified_at: Option<Timestamp>,
    /// What the source says that this model has no name for.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub extras: JsonObject,
}

/// A file that is to be put into a run.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct FileDraft {
    /// The path inside the run.
    pub name: String,
    /// When it was last changed, if known.
    pub modified_at: Option<Timestamp>,
    /// What the source says that this model has no name for.
    pub extras: JsonObject,
}

impl FileDraft {
    /// A file with this path inside the run.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

/// Checks the path of a file: relative, with `/` between its parts, none of which is empty, `.` or
/// `..`, without NUL, of at most 4,096 bytes. Everything else that a file system or an object
/// store can hold is legal, backslashes and colons too: a name never becomes a path on disk
/// unchecked.
///
/// # Errors
/// `InvalidInput`, with the reason.
pub fn check_file_name(name: &str) -> Result<()> {
    let why = if name.len() > 4096 {
        "is longer than 4096 bytes"
    } else if name.contains('\0') {
        "holds a NUL"
    } else if name.split('/').any(|part| part == "..") {
        "has a part '..', which would leave its folder"
    } else if name.starts_with('/') {
        "is absolute"
    } else if name.split('/').any(|part| part.is_empty() || part == ".") {
        "has an empty part or a part '.'"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!(
        "file name {:?} {why}",
        name.chars().take(200).collect::<String>()
    )))
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_checked_name_stays_in_its_folder(name in "[a./\\\\ \u{0}ü]{0,12}") {
            if check_file_name(&name).is_ok() {
                let parts: Vec<_> = Path::new(&name).components().collect();
                prop_assert!(!parts.is_empty());
                prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))));
                let path = Path::new("root").join(&name);
                let wanted = ["root/", &name].concat();
                prop_assert_eq!(path.to_str(), Some(wanted.as_str()));
            }
        }
    }
}
