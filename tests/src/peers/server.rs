use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
};

use anyhow::{Context, Result, bail};

use super::Python;

/// Looks after a server and stops it when its standard input ends, even if this process is killed.
const KEEPER: &str = include_str!("../../peers/serve.py");

/// A running MLflow server on loopback. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    keeper: Child,
    port: u16,
}

impl Server {
    /// Serves an SQLite database, its artifacts through the server.
    ///
    /// # Errors
    /// The server does not come up.
    pub fn of_database(
        python: &Python,
        database: &Path,
        artifacts: &Path,
        log: &Path,
    ) -> Result<Self> {
        let store = format!("sqlite:///{}", database.display());
        Self::start(
            python,
            &[
                OsStr::new("--store"),
                store.as_ref(),
                OsStr::new("--artifacts"),
                artifacts.as_ref(),
            ],
            log,
        )
    }

    /// Serves a file store, whose artifacts clients read and write themselves.
    ///
    /// # Errors
    /// The server does not come up.
    pub fn of_folder(python: &Python, folder: &Path, log: &Path) -> Result<Self> {
        Self::start(python, &[OsStr::new("--store"), folder.as_ref()], log)
    }

    fn start(python: &Python, args: &[&OsStr], log: &Path) -> Result<Self> {
        let mut command = python.command(["-c", KEEPER]);
        command.args(args).arg("--log").arg(log);
        // MLflow leaves traces where it is started.
        command.current_dir(log.parent().context("the log has no folder")?);
        let mut keeper = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the MLflow server")?;
        let mut line = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .context("wait for the MLflow server")?;
        }
        match line.trim().parse() {
            Ok(port) => Ok(Self { keeper, port }),
            Err(_) => {
                let said = fs::read_to_string(log).unwrap_or_default();
                stop(&mut keeper);
                bail!("the MLflow server did not come up; it said:\n{said}")
            }
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.keeper);
    }
}

fn stop(keeper: &mut Child) {
    drop(keeper.stdin.take());
    // Nothing is left to be done about a keeper that can't be waited for.
    let _ = keeper.wait();
}
