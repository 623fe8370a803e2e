//! Files that are seen only when they are complete.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;
use tempfile::NamedTempFile;

use super::{
    failure::{Failure, Result},
    output::Output,
};

/// A file that takes its name in one step, when all of it is written.
#[derive(Debug)]
pub(crate) struct WholeFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl WholeFile {
    /// Begins to write, beside the place of the file.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        check(path)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".trackway-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any program makes files; the umask takes away what it must.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder
            .tempfile_in(folder(path))
            .map_err(|e| failed(path, &e))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// What to write to.
    pub(crate) fn writer(&self) -> Result<BufWriter<File>> {
        let file = self.file.reopen().map_err(|e| self.failed(&e))?;
        Ok(BufWriter::with_capacity(256 << 10, file))
    }

    /// Shows the file. All of it must have been written and flushed.
    pub(crate) fn end(self) -> Result<()> {
        self.file
            .as_file()
            .sync_all()
            .map_err(|e| self.failed(&e))?;
        let Self { path, file } = self;
        file.persist(&path).map_err(|e| failed(&path, &e.error))?;
        Ok(())
    }

    /// Says what an error of writing means.
    pub(crate) fn failed(&self, e: &io::Error) -> Failure {
        failed(&self.path, e)
    }
}

/// Whether a file can be made here, as far as can be told without making one.
pub(crate) fn check(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", path.display()))
            .with_hint("name a file in it"));
    }
    if !folder(path).is_dir() {
        return Err(Failure::not_found(format!(
            "there is no folder {} to write into",
            folder(path).display()
        )));
    }
    Ok(())
}

/// Writes a JSON document into a file, or to standard output for `-`.
pub(crate) fn write_json(path: &Path, shape: &impl Serialize, out: &mut Output) -> Result<()> {
    if path == Path::new("-") {
        return out.document(shape);
    }
    let file = WholeFile::new(path)?;
    let mut to = file.writer()?;
    let written = serde_json::to_writer_pretty(&mut to, shape).map_err(Into::into);
    written
        .and_then(|()| to.write_all(b"\n"))
        .and_then(|()| to.flush())
        .map_err(|e| file.failed(&e))?;
    file.end()
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn failed(path: &Path, e: &io::Error) -> Failure {
    Failure::io(format_args!("write {}", path.display()), e)
}
