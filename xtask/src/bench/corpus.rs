//! The corpus: many runs with a few smooth series each, as MLflow keeps it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tests::{
    peers::{Mlflow, Peers, Python, Server},
    truth::Truth,
};

use crate::steps::{root, run};

/// How many of the runs get an artifact, and its size in bytes.
const ARTIFACTS: usize = 20;
const ARTIFACT_SIZE: usize = 64 << 10;

/// The measures of a corpus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) runs: u64,
    pub(super) metrics: u64,
    pub(super) points: u64,
}

impl Size {
    pub(super) fn total(self) -> u64 {
        self.runs * self.metrics * self.points
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.runs, self.metrics, self.points)
    }
}

/// The same data as a database and as a file store.
#[derive(Debug)]
pub(super) struct Corpus {
    folder: PathBuf,
    pub(super) mlflow: Python,
    pub(super) size: Size,
}

impl Corpus {
    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("mlflow.db")
    }

    pub(super) fn artifacts(&self) -> PathBuf {
        self.folder.join("artifacts")
    }

    pub(super) fn mlruns(&self) -> PathBuf {
        self.folder.join("mlruns")
    }

    /// Serves the database, which a server that is only read from leaves as it is.
    pub(super) fn serve(&self, scratch: &Path) -> Result<Server> {
        Server::of_database(
            &self.mlflow,
            &self.database(),
            &self.artifacts(),
            &scratch.join("server.log"),
        )
    }
}

/// Makes the corpus, unless it is there.
pub(super) fn prepare(peers: &Peers, folder: &Path, size: Size) -> Result<Corpus> {
    let corpus = Corpus {
        folder: folder.join(size.to_string()),
        mlflow: peers.mlflow(Mlflow::Three)?,
        size,
    };
    if !corpus.folder.exists() {
        let partial = corpus.folder.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        generate(&Corpus {
            folder: fs::canonicalize(&partial)?,
            mlflow: corpus.mlflow.clone(),
            size,
        })?;
        fs::rename(&partial, &corpus.folder)
            .with_context(|| format!("put {} in its place", corpus.folder.display()))?;
    }
    Ok(corpus)
}

fn generate(corpus: &Corpus) -> Result<()> {
    let generator = root().join("tests").join("peers").join("mlflow_corpus.py");
    let truth = corpus.folder.join("truth.json");
    {
        let server = corpus.serve(&corpus.folder)?;
        let size = corpus.size;
        let mut command = corpus.mlflow.command([&generator]);
        command
            .args(["generate", "--profile", "perf", "--prefix", "p-"])
            .args(["--artifacts-mb", "0", "--threads", "4"])
            .args(["--runs", &size.runs.to_string()])
            .args(["--metrics", &size.metrics.to_string()])
            .args(["--points", &size.points.to_string()])
            .args(["--tracking-uri", &server.url()])
            .arg("--sqlite-fast")
            .arg(corpus.database())
            .arg("--out")
            .arg(&truth);
        run(&mut command)?;
    }
    add_artifacts(corpus, &Truth::read(&truth)?)?;
    let mut convert = corpus.mlflow.command([&generator]);
    convert
        .arg("to-filestore")
        .arg("--db")
        .arg(corpus.database());
    convert.arg("--artifacts").arg(corpus.artifacts());
    convert.arg("--out").arg(corpus.mlruns());
    run(&mut convert)
}

/// Puts a file to some runs, where the server keeps what clients upload.
fn add_artifacts(corpus: &Corpus, truth: &Truth) -> Result<()> {
    for (number, (id, run)) in truth.runs.iter().take(ARTIFACTS).enumerate() {
        let folder = corpus
            .artifacts()
            .join(&run.experiment_id)
            .join(id)
            .join("artifacts")
            .join("model");
        fs::create_dir_all(&folder)?;
        let bytes = (0..ARTIFACT_SIZE).map(|i| (i * 31 + i / 251 * 7 + number * 13) as u8);
        fs::write(folder.join("weights.bin"), bytes.collect::<Vec<_>>())?;
    }
    Ok(())
}
