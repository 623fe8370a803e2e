//! Params and tags: files whose whole contents are the value.

use std::{collections::BTreeMap, convert::Infallible, error::Error as _, io, path::Path};

use importer_core::{Finding, Kind};
use tracker_model::Error;

use super::tree::{Leaf, walk_values};
use crate::local_files::read_small;

/// The largest value.
const MAX_VALUE: u64 = 16 << 20;
/// The most bytes that all values of one thing may have together.
const MAX_TOTAL: usize = 64 << 20;

/// What may still be read into memory for one run, experiment or model.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// All of it.
    pub(super) fn new() -> Self {
        Self(MAX_TOTAL)
    }

    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// Reads all values below a folder. What cannot be read is a finding of the given kind.
pub(super) fn read_values(
    folder: &Path,
    kind: Kind,
    budget: &mut Budget,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let done: Result<(), Infallible> = walk_values(folder, kind, &mut |leaf| {
        let found = |path: &Path, reason: &str| {
            Finding::unreadable(kind, path.display().to_string(), reason)
        };
        match leaf {
            Leaf::Finding(finding) => findings.push(finding),
            Leaf::Odd(path, ()) => findings.push(found(&path, "its name is not UTF-8")),
            Leaf::File { key, path, .. } => match read_small(&path, MAX_VALUE)
                .map(String::from_utf8)
            {
                Ok(Ok(value)) if budget.spend(key.len() + value.len()) => {
                    drop(out.insert(key, value))
                }
                Ok(Ok(_)) => findings.push(found(&path, "there are more than 64 MiB of values")),
                Ok(Err(_)) => findings.push(found(&path, "its value is not UTF-8")),
                Err(e) => findings.push(found(
                    &path,
                    &format!("its value cannot be read: {}", why(&e)),
                )),
            },
        }
        Ok(())
    });
    let Ok(()) = done;
    out
}

/// The cause of an error, without the path: equal reasons are counted together.
pub(super) fn why(error: &Error) -> String {
    match error.source().and_then(|s| s.downcast_ref::<io::Error>()) {
        Some(e) if e.kind() == io::ErrorKind::NotFound => "it is missing".to_owned(),
        Some(e) => e.kind().to_string(),
        None => error.message().to_owned(),
    }
}
