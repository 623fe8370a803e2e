//! The built `trackway`, run against a store of its own.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::BufReader,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// A running `trackway serve`. Dropping it stops it at once.
#[derive(Debug)]
pub struct Serving {
    child: Child,
    /// Where it serves.
    pub url: String,
    /// The key of its first user.
    pub key: String,
}

impl Serving {
    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the server and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An empty embedded store and the program to work on it.
#[derive(Debug)]
pub struct Trackway {
    program: PathBuf,
    folder: TempDir,
}

impl Trackway {
    /// A store in a temporary folder, for the program at a path.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn at(program: &str) -> Result<Self> {
        Ok(Self {
            program: program.into(),
            folder: TempDir::new()?,
        })
    }

    /// The store's folder.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A folder for whatever belongs to the test.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The program with some arguments, with nothing of the caller's settings.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if ["TRACKWAY_", "MLFLOW_", "WANDB_", "DATABRICKS_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(&name);
            }
        }
        command
            .env("TRACKWAY_HOME", self.store())
            .env("HOME", self.folder.path())
            .env("NO_COLOR", "1");
        command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn output(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
        self.command(args).output().context("start trackway")
    }

    /// What it prints.
    ///
    /// # Errors
    /// It does not succeed.
    pub fn stdout(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
        let mut command = self.command(args);
        let output = command.output().context("start trackway")?;
        ensure!(
            output.status.success(),
            "{command:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).context("trackway prints UTF-8")
    }

    /// Serves the store at this address; port 0 takes a free one. The key is that of an earlier
    /// start, if there was one. What it logs goes to `serve.log` in the scratch folder.
    ///
    /// # Errors
    /// It does not come up.
    pub fn serve(&self, listen: &str, known_key: Option<&str>) -> Result<Serving> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("serve.log"))?;
        let mut child = self
            .command(["serve", "--json", "--listen", listen])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start trackway serve")?;
        let said = child.stdout.take().context("no output")?;
        let mut said = serde_json::Deserializer::from_reader(BufReader::new(said)).into_iter();
        let said: Value = match said.next() {
            Some(Ok(said)) => said,
            _ => {
                let log = fs::read_to_string(self.folder.path().join("serve.log"))?;
                let _ = child.kill();
                bail!("trackway serve did not come up: {log}");
            }
        };
        let text = |key: &str| said.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Serving {
            child,
            url: text("url").context("no address")?,
            key: text("api_key")
                .or(known_key.map(str::to_owned))
                .context("no key")?,
        })
    }

    /// Lets the program find the key of a server. Answers what names the server after `--from`.
    ///
    /// # Errors
    /// The key cannot be kept.
    pub fn login(&self, serving: &Serving) -> Result<String> {
        let url = serving.url.trim_end_matches('/');
        let host = url.trim_start_matches("http://");
        let netrc = format!("machine {host} login user password {}\n", serving.key);
        fs::write(self.folder.path().join(".netrc"), netrc)?;
        Ok(format!("wandb+{url}"))
    }

    /// Imports and returns the receipt. `expected` is the exit code.
    ///
    /// # Errors
    /// It exits otherwise, or leaves no receipt.
    pub fn import(
        &self,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        expected: i32,
    ) -> Result<Value> {
        let receipt = self.folder.path().join("receipt.json");
        let mut command = self.command(["import"]);
        command.args(args).arg("--report").arg(&receipt);
        let output = command.output().context("start trackway")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(expected),
            "{command:?}: {}, expected {expected}\n{said}",
            output.status
        );
        let text = fs::read(&receipt)
            .with_context(|| format!("read the receipt; trackway said\n{said}"))?;
        serde_json::from_slice(&text).context("understand the receipt")
    }
}
