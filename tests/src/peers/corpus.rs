use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Mlflow, Python, Server, python};
use crate::{digest, truth::Truth};

const GENERATOR: &str = include_str!("../../peers/mlflow_corpus.py");

/// More than a page of runs in one experiment; more workers only make SQLite wait.
const SIZE: [&str; 8] = [
    "--runs",
    "1010",
    "--points",
    "100",
    "--artifacts-mb",
    "1",
    "--threads",
    "4",
];

/// Where MLflow keeps a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// An SQLite database and a folder of artifacts, and the same data converted to a file store.
    Database,
    /// A file store that MLflow wrote itself.
    Folder,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "a database",
            Self::Folder => "a file store",
        })
    }
}

/// A store that a real server filled. It is shared: nobody may change it.
#[derive(Debug, Clone)]
pub struct Corpus {
    folder: PathBuf,
    layout: Layout,
    mlflow: Python,
}

impl Corpus {
    pub(super) fn new(folder: PathBuf, layout: Layout, mlflow: Python) -> Self {
        Self {
            folder,
            layout,
            mlflow,
        }
    }

    /// The SQLite database.
    pub fn database(&self) -> PathBuf {
        self.folder.join("mlflow.db")
    }

    /// Where the server of the database keeps artifacts.
    pub fn artifacts(&self) -> PathBuf {
        self.folder.join("artifacts")
    }

    /// The file store.
    pub fn mlruns(&self) -> PathBuf {
        self.folder.join("mlruns")
    }

    /// What the store holds; the file store of a converted database, see [`Corpus::truth_of_mlruns`].
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn truth(&self) -> Result<Truth> {
        Truth::read(&self.folder.join("truth.json"))
    }

    /// What the file store holds: it cannot have all keys that a database can.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn truth_of_mlruns(&self) -> Result<Truth> {
        match self.layout {
            Layout::Database => Truth::read(&self.folder.join("truth-mlruns.json")),
            Layout::Folder => self.truth(),
        }
    }

    /// The Python that has the MLflow of this store.
    pub fn mlflow(&self) -> &Python {
        &self.mlflow
    }

    /// Starts a server over a copy of the database, made in `scratch`, and the shared artifacts.
    ///
    /// # Errors
    /// The copy cannot be made, or the server does not come up.
    pub fn serve(&self, scratch: &Path) -> Result<Server> {
        let database = scratch.join("mlflow.db");
        fs::copy(self.database(), &database).context("copy the database")?;
        Server::of_database(
            &self.mlflow,
            &database,
            &self.artifacts(),
            &scratch.join("server.log"),
        )
    }
}

/// The name of a corpus's folder: all that goes into it.
pub(super) fn name(version: Mlflow, layout: Layout) -> String {
    let hash =
        digest::bytes(format!("{GENERATOR}\n{}\n{SIZE:?}", version.requirements()).as_bytes());
    let kind = match layout {
        Layout::Database => "database",
        Layout::Folder => "folder",
    };
    format!("mlflow{}-{kind}-{}", version.major(), &hash[..12])
}

pub(super) fn generate(
    mlflow: &Python,
    version: Mlflow,
    layout: Layout,
    folder: &Path,
) -> Result<()> {
    let folder = &fs::canonicalize(folder)?;
    let (database, artifacts, mlruns, log) = (
        folder.join("mlflow.db"),
        folder.join("artifacts"),
        folder.join("mlruns"),
        folder.join("server.log"),
    );
    let truth = folder.join("truth.json");
    {
        let server = match layout {
            Layout::Database => Server::of_database(mlflow, &database, &artifacts, &log)?,
            Layout::Folder => Server::of_folder(mlflow, &mlruns, &log)?,
        };
        let mut generator = mlflow.command([
            "-c",
            GENERATOR,
            "generate",
            "--profile",
            "nasty",
            "--traces",
        ]);
        generator
            .args(SIZE)
            .arg("--tracking-uri")
            .arg(server.url())
            .arg("--out")
            .arg(&truth)
            .current_dir(folder);
        if layout == Layout::Folder {
            generator.arg("--file-store");
        }
        python::run(
            &mut generator,
            &format!("fill {layout} of MLflow {}", version.major()),
        )?;
    }
    if layout == Layout::Database {
        let mut convert = mlflow.command(["-c", GENERATOR, "to-filestore"]);
        convert
            .arg("--db")
            .arg(&database)
            .arg("--artifacts")
            .arg(&artifacts)
            .arg("--out")
            .arg(&mlruns);
        convert
            .arg("--truth")
            .arg(&truth)
            .arg("--truth-out")
            .arg(folder.join("truth-mlruns.json"));
        python::run(&mut convert, "convert the database to a file store")?;
    }
    Ok(())
}
