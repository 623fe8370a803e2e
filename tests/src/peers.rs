//! Real MLflow servers and W&B SDKs, in virtual environments of their own, and stores that they
//! filled.
//!
//! Everything lies in one folder and is made once: environments by the pinned requirements, stores
//! by the generator, its arguments and the requirements. A change of any of these makes a new one.

mod corpus;
mod python;
mod server;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};

pub use self::{
    corpus::{Corpus, Layout},
    python::Python,
    server::Server,
};
use crate::digest;

/// The variable that names the folder of the peers. Tests with real peers want it.
pub const FOLDER_VARIABLE: &str = "TRACKWAY_PEERS";

/// A version of MLflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mlflow {
    /// 2.x, served by gunicorn, without logged models.
    Two,
    /// 3.x, served by uvicorn.
    Three,
}

impl Mlflow {
    /// The first number of the version.
    pub fn major(self) -> u8 {
        match self {
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    fn requirements(self) -> &'static str {
        match self {
            Self::Two => include_str!("../peers/requirements-mlflow2.txt"),
            Self::Three => include_str!("../peers/requirements-mlflow3.txt"),
        }
    }
}

/// A version of the W&B SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wandb {
    /// The last that asks by introspection what a server can do.
    V0_21,
    /// One between.
    V0_28,
    /// The current one.
    V0_31,
}

impl Wandb {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V0_31, Self::V0_28, Self::V0_21];

    /// The version, as pip knows it.
    pub fn version(self) -> &'static str {
        match self {
            Self::V0_21 => "0.21.4",
            Self::V0_28 => "0.28.2",
            Self::V0_31 => "0.31.0",
        }
    }

    fn requirements(self) -> String {
        let with = include_str!("../peers/requirements-wandb.txt");
        format!("wandb=={}\n{with}", self.version())
    }
}

/// The Chromium of this machine: what `CHROMIUM` names, or one by the names that it usually has.
///
/// # Errors
/// There is none.
pub fn chromium() -> Result<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    let folders: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut programs = folders
        .iter()
        .flat_map(|folder| names.map(|name| folder.join(name)));
    programs
        .find(|program| program.is_file())
        .context("no Chromium; install it (Debian: chromium) or name it in CHROMIUM")
}

/// The folder of the peers.
#[derive(Debug, Clone)]
pub struct Peers {
    folder: PathBuf,
}

impl Peers {
    /// The peers in a folder, which is made when something is put into it.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The peers in the folder that `TRACKWAY_PEERS` names.
    ///
    /// # Errors
    /// The variable is not set.
    pub fn from_env() -> Result<Self> {
        let folder = env::var_os(FOLDER_VARIABLE).with_context(|| {
            format!(
                "{FOLDER_VARIABLE} is not set; `cargo xtask interop` sets it and runs these tests"
            )
        })?;
        Ok(Self::at(folder))
    }

    /// A Python that has MLflow, installed if it is not there yet.
    ///
    /// # Errors
    /// There is no Python for it, or pip fails.
    pub fn mlflow(&self, version: Mlflow) -> Result<Python> {
        let name = format!("mlflow{}", version.major());
        self.environment(&name, version.requirements())
    }

    /// A Python that has the W&B SDK, installed if it is not there yet.
    ///
    /// # Errors
    /// There is no Python for it, or pip fails.
    pub fn wandb(&self, version: Wandb) -> Result<Python> {
        let name = format!("wandb-{}", version.version());
        self.environment(&name, &version.requirements())
    }

    /// A Python that drives a browser, installed if it is not there yet.
    ///
    /// # Errors
    /// There is no Python for it, or pip fails.
    pub fn browser(&self) -> Result<Python> {
        let requirements = include_str!("../peers/requirements-browser.txt");
        self.environment("browser", requirements)
    }

    /// A Python that has another server of the W&B protocol, installed if it is not there yet.
    ///
    /// # Errors
    /// There is no Python for it, or pip fails.
    pub fn openwandb(&self) -> Result<Python> {
        let requirements = include_str!("../peers/requirements-openwandb.txt");
        self.environment("openwandb", requirements)
    }

    fn environment(&self, name: &str, requirements: &str) -> Result<Python> {
        let host = python::host()?;
        let hash = digest::bytes(format!("{}\n{requirements}", host.version).as_bytes());
        let folder = self
            .folder
            .join("venvs")
            .join(format!("{name}-{}", &hash[..12]));
        let _lock = self.lock(&format!("venv-{name}"))?;
        let marker = folder.join("complete");
        if !marker.exists() {
            let progress = Progress::start(format!("installing {name}"));
            remove(&folder)?;
            python::install(&host, &folder, requirements)?;
            fs::write(&marker, "")?;
            progress.done();
        }
        Ok(Python::of_environment(&folder))
    }

    /// A store that a real server filled.
    ///
    /// # Errors
    /// MLflow cannot be had, or its server or the generator fails.
    pub fn corpus(&self, version: Mlflow, layout: Layout) -> Result<Corpus> {
        let mlflow = self.mlflow(version)?;
        let name = corpus::name(version, layout);
        let folder = self.folder.join("corpora").join(&name);
        let _lock = self.lock(&format!("corpus-{name}"))?;
        if !folder.exists() {
            let progress =
                Progress::start(format!("letting MLflow {} write {layout}", version.major()));
            let half = folder.with_extension("partial");
            remove(&half)?;
            fs::create_dir_all(&half)?;
            corpus::generate(&mlflow, version, layout, &half)?;
            fs::rename(&half, &folder)
                .with_context(|| format!("put {} in its place", folder.display()))?;
            progress.done();
        }
        Ok(Corpus::new(folder, layout, mlflow))
    }

    /// Lets one process at a time prepare a thing.
    fn lock(&self, name: &str) -> Result<fs::File> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("create {}", self.folder.display()))?;
        let file = fs::File::create(self.folder.join(format!("{name}.lock")))?;
        file.lock().with_context(|| format!("lock {name}"))?;
        Ok(file)
    }
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

/// Tells people on standard error what takes so long.
struct Progress {
    what: String,
    start: Instant,
}

impl Progress {
    #[expect(clippy::print_stderr, reason = "talk to whoever waits")]
    fn start(what: String) -> Self {
        eprintln!("peers: {what} (once)");
        Self {
            what,
            start: Instant::now(),
        }
    }

    #[expect(clippy::print_stderr, reason = "talk to whoever waits")]
    fn done(self) {
        eprintln!(
            "peers: {} took {:.0} s",
            self.what,
            self.start.elapsed().as_secs_f64()
        );
    }
}
