//! Folders of values: a file for each key, and a folder for each part of a key before a slash.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use importer_core::{Finding, Kind};

use crate::local_files::{Entry, measured_entries, sorted_entries};

/// Parts of a key. MLflow allows keys of 250 characters.
const MAX_DEPTH: usize = 256;

/// What a folder of values holds.
#[derive(Debug)]
pub(super) enum Leaf<M = ()> {
    /// A value.
    File {
        /// The path below the folder, `/` between the parts.
        key: String,
        /// Where it is.
        path: PathBuf,
        /// What else was asked of it.
        meta: M,
    },
    /// A file whose name is not UTF-8.
    Odd(PathBuf, M),
    /// Something that is not a value.
    Finding(Finding),
}

/// Walks over all values below a folder, in byte order of their keys. A folder that does not exist
/// has none. Findings are of the given kind.
pub(super) fn walk_values<E>(
    folder: &Path,
    kind: Kind,
    visit: &mut dyn FnMut(Leaf) -> Result<(), E>,
) -> Result<(), E> {
    descend(folder, "", 0, kind, sorted_entries, visit)
}

/// [`walk_values`] with sizes and times of the files.
pub(super) fn measure_values<E>(
    folder: &Path,
    kind: Kind,
    visit: &mut dyn FnMut(Leaf<io::Result<fs::Metadata>>) -> Result<(), E>,
) -> Result<(), E> {
    descend(folder, "", 0, kind, measured_entries, visit)
}

fn descend<M, E>(
    folder: &Path,
    prefix: &str,
    depth: usize,
    kind: Kind,
    list: fn(&Path) -> io::Result<Vec<Entry<M>>>,
    visit: &mut dyn FnMut(Leaf<M>) -> Result<(), E>,
) -> Result<(), E> {
    let found = |path: &Path, reason: &str| {
        Leaf::Finding(Finding::unreadable(
            kind,
            path.display().to_string(),
            reason,
        ))
    };
    let entries = match list(folder) {
        Ok(entries) => entries,
        Err(e) if depth == 0 && e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => {
            return visit(found(
                folder,
                &format!("the folder cannot be read: {}", e.kind()),
            ));
        }
    };
    for entry in entries {
        let path = folder.join(&entry.name);
        if is_debris(&entry.name) {
            continue;
        }
        let Some(name) = entry.name.to_str() else {
            visit(if entry.kind.is_file() {
                Leaf::Odd(path, entry.meta)
            } else {
                found(&path, "its name is not UTF-8")
            })?;
            continue;
        };
        let key = if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}/{name}")
        };
        if entry.kind.is_file() {
            visit(Leaf::File {
                key,
                path,
                meta: entry.meta,
            })?;
        } else if entry.kind.is_dir() && depth < MAX_DEPTH {
            descend(&path, &key, depth + 1, kind, list, visit)?;
        } else {
            visit(found(
                &path,
                "it is not a file: a symbolic link, pipe, socket or device, or too deep a folder",
            ))?;
        }
    }
    Ok(())
}

/// Files that file managers leave behind, which are nobody's data.
pub(super) fn is_debris(name: &OsStr) -> bool {
    name == ".DS_Store" || name == "Thumbs.db" || name == "desktop.ini"
}
