//! Another server of the same protocol, from PyPI.

use std::{
    fs::File,
    net::TcpListener,
    process::{Child, Stdio},
};

use anyhow::{Result, ensure};
use tempfile::TempDir;
use tests::peers::{Peers, Python};

use super::Place;
use crate::{bench::process, steps::output};

/// The key that it makes for its first user.
const KEY: &str = "local0000000000000000000000000000000000000000";

/// `openwandb` over an SQLite database of its own. It ends with this.
pub(super) struct OpenWandb {
    child: Child,
    port: u16,
    python: Python,
    /// Goes after the server.
    folder: TempDir,
}

impl Drop for OpenWandb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl OpenWandb {
    pub(super) fn start(peers: &Peers) -> Result<Self> {
        let python = peers.openwandb()?;
        let folder = TempDir::with_prefix("openwandb-")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = python.command(["-m", "openwandb", "serve", "--host", "127.0.0.1"]);
        command
            .args(["--log-level", "warning", "--port", &port.to_string()])
            .arg("--data-dir")
            .arg(folder.path())
            .env("HOME", folder.path())
            .stdout(File::create(folder.path().join("log"))?)
            .stderr(Stdio::null());
        let server = Self {
            child: command.spawn()?,
            port,
            python,
            folder,
        };
        process::answers(server.port)?;
        Ok(server)
    }

    pub(super) fn place(&self) -> Place {
        Place {
            url: format!("http://127.0.0.1:{}", self.port),
            key: KEY.to_owned(),
            entity: "default".to_owned(),
        }
    }

    /// Makes sure that it has so many values.
    pub(super) fn check(&self, values: u64) -> Result<()> {
        let count = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM metrics').fetchone()[0])";
        let database = self.folder.path().join("openwandb.db");
        let mut command = self.python.command(["-c", count]);
        let said = output(command.arg(database))?;
        ensure!(
            said.trim() == values.to_string(),
            "openwandb has {} values of {values}",
            said.trim()
        );
        Ok(())
    }
}
