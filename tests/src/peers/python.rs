use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// The interpreters that are tried, after the one that `TRACKWAY_PYTHON` names.
const NAMES: [&str; 6] = [
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python",
];

/// Says yes with its version when it can make environments for the peers.
const PROBE: &str =
    "import sys, venv, ensurepip; assert sys.version_info >= (3, 10); print(sys.version)";

/// The Python of a virtual environment.
#[derive(Debug, Clone)]
pub struct Python {
    program: PathBuf,
}

impl Python {
    pub(super) fn of_environment(folder: &Path) -> Self {
        Self {
            program: folder.join(if cfg!(windows) {
                "Scripts/python.exe"
            } else {
                "bin/python"
            }),
        }
    }

    /// The interpreter to be run with some arguments, away from the settings of its user.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).stdin(Stdio::null());
        command
            .env("PYTHONUTF8", "1")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env_remove("PYTHONPATH");
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("WANDB_") {
                command.env_remove(&name);
            }
        }
        for name in [
            "MLFLOW_TRACKING_URI",
            "MLFLOW_TRACKING_TOKEN",
            "MLFLOW_TRACKING_USERNAME",
            "MLFLOW_TRACKING_PASSWORD",
        ] {
            command.env_remove(name);
        }
        command
    }
}

/// A Python of this machine that can make environments.
#[derive(Debug)]
pub(super) struct Host {
    program: String,
    pub(super) version: String,
}

impl super::Peers {
    /// Asks whether this machine has a Python that can run the peers.
    ///
    /// # Errors
    /// It has none.
    pub fn available() -> Result<()> {
        host().map(drop)
    }
}

pub(super) fn host() -> Result<Host> {
    let chosen = env::var("TRACKWAY_PYTHON").ok();
    let names: Vec<&str> = match &chosen {
        Some(name) => vec![name],
        None => NAMES.to_vec(),
    };
    for name in names {
        let Ok(output) = Command::new(name)
            .args(["-c", PROBE])
            .stdin(Stdio::null())
            .output()
        else {
            continue;
        };
        if output.status.success() {
            return Ok(Host {
                program: name.to_owned(),
                version: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            });
        }
    }
    bail!(
        "no Python of at least 3.10 with the modules venv and ensurepip; install it (Debian: python3-venv) or name it in TRACKWAY_PYTHON"
    )
}

pub(super) fn install(host: &Host, folder: &Path, requirements: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    run(
        Command::new(&host.program).args(["-m", "venv"]).arg(folder),
        "make a virtual environment",
    )?;
    let list = folder.join("requirements.txt");
    fs::write(&list, requirements)?;
    let mut pip = Python::of_environment(folder).command([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ]);
    run(pip.arg(&list), "install with pip")
}

/// Runs a program that is quiet unless it fails.
pub(super) fn run(command: &mut Command, what: &str) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{what}: start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
