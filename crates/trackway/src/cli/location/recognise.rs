//! What a bare path is.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use super::{FORMS, Location, MlflowPlace, parse::not_read};
use crate::cli::failure::{Failure, Result};

/// The catalog of an embedded store, by which its folder is known.
const CATALOG: &str = "trackway.db";

/// Entries of a folder that are looked at to tell what it is.
const MOST_ENTRIES: usize = 10_000;

/// What there is at a path.
pub(super) fn path(path: &Path) -> Result<Location> {
    let doing = || format!("look at {}", path.display());
    let meta = fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => nothing(path),
        _ => Failure::io(doing(), &e),
    })?;
    if meta.is_dir() {
        return folder(path);
    }
    if path.extension().is_some_and(|e| e == "wandb") {
        return Err(not_read(&path.display().to_string()));
    }
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(16).read_to_end(&mut head));
    read.map_err(|e| Failure::io(doing(), &e))?;
    if head != b"SQLite format 3\0" {
        return Err(Failure::usage(format!(
            "{} is a file, but not an SQLite database",
            path.display()
        ))
        .with_hint(FORMS));
    }
    if path.file_name().is_some_and(|name| name == CATALOG) {
        return Ok(Location::Store(
            path.parent().map_or_else(PathBuf::new, Path::to_owned),
        ));
    }
    Ok(Location::Mlflow(MlflowPlace::Database(path.to_owned())))
}

fn nothing(path: &Path) -> Failure {
    let shown = path.display();
    let failure = Failure::not_found(format!("there is nothing at {shown}"));
    let text = path.to_string_lossy();
    // `localhost:5000` and `host.example` look like paths.
    let host = text.split(['/', ':']).next().unwrap_or_default();
    if host == "localhost"
        || text.contains(':')
        || (host.contains('.') && !text.starts_with('.') && !host.ends_with(".db"))
    {
        return failure.with_hint(format!("for a server write http://{shown}"));
    }
    failure.with_hint("check the path; a server is written http://HOST:PORT")
}

fn folder(path: &Path) -> Result<Location> {
    if path.join(CATALOG).is_file() {
        return Ok(Location::Store(path.to_owned()));
    }
    let entries = fs::read_dir(path)
        .map_err(|e| Failure::io(format_args!("look at {}", path.display()), &e))?;
    let (mut files, mut offline, mut empty) = (false, false, true);
    for entry in entries.flatten().take(MOST_ENTRIES) {
        empty = false;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.path().join("meta.yaml").is_file() || name == ".trash" {
            files = true;
            break;
        }
        offline |= name.starts_with("offline-run-")
            || name.starts_with("run-2")
            || name.ends_with(".wandb");
    }
    if files || path.file_name().is_some_and(|name| name == "mlruns") {
        return Ok(Location::Mlflow(MlflowPlace::Files(path.to_owned())));
    }
    let shown = path.display();
    if offline {
        return Err(not_read(&shown.to_string()));
    }
    let inside = |name: &str| path.join(name);
    let failure = Failure::usage(if empty {
        format!("{shown} is an empty folder")
    } else {
        format!("{shown} is a folder, but neither an MLflow file store nor an embedded store")
    });
    Err(match ["mlruns", ".trackway", "mlflow.db"].into_iter().map(inside).find(|p| p.exists()) {
        Some(found) => failure.with_hint(format!("did you mean {}?", found.display())),
        None if path.join("meta.yaml").is_file() => {
            failure.with_hint("this looks like one experiment: name the folder above it, and --experiment to choose")
        }
        None => failure.with_hint(FORMS),
    })
}
