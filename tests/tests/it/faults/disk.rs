//! A disk that is full, or may not be written to.
#![cfg(unix)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use tests::mlruns::{self, Shape};

use crate::trackway;

/// More than fits.
const LARGE: Shape = Shape {
    runs: 4,
    metrics: 4,
    points: 50_000,
    files: 2,
};

#[test]
fn a_full_disk() -> Result<()> {
    let source = tempfile::tempdir()?;
    mlruns::write(source.path(), LARGE)?;
    let trackway = trackway()?;
    let folder = trackway.scratch().join("small");
    fs::create_dir(&folder)?;
    let Some(_disk) = Disk::mount(&folder) else {
        println!("SKIPPED: no small disk can be mounted here; only root can");
        return Ok(());
    };
    let store = folder.join("store");
    let mut import = trackway.command(["import"]);
    let output = import
        .arg(source.path())
        .arg("--to")
        .arg(&store)
        .env("TMPDIR", &folder)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(!said.contains("panicked"), "{said}");
    ensure!(said.contains("space") || said.contains("full"), "{said}");
    ensure!(
        said.lines()
            .any(|line| line.trim_start().starts_with("hint:")),
        "{said}"
    );

    // With room again, the same command ends well, and nothing of the first one is in the way.
    Disk::resize(&folder, "200m")?;
    let receipt = trackway.scratch().join("receipt.json");
    let mut again = trackway.command(["import"]);
    again
        .arg(source.path())
        .arg("--to")
        .arg(&store)
        .arg("--report")
        .arg(&receipt);
    let output = again.env("TMPDIR", &folder).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    trackway
        .stdout([
            "fsck".as_ref(),
            "--read-data".as_ref(),
            "--store".as_ref(),
            store.as_os_str(),
        ])
        .map(drop)
}

#[test]
fn a_store_that_may_not_be_written_to() -> Result<()> {
    let source = tempfile::tempdir()?;
    mlruns::write(source.path(), super::SMALL)?;
    let trackway = trackway()?;
    // Not even root can make a folder here.
    let mut import = trackway.command(["import"]);
    let output = import
        .arg(source.path())
        .args(["--to", "/proc/trackway"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        matches!(output.status.code(), Some(1 | 2 | 4 | 5)),
        "{}: {said}",
        output.status
    );
    ensure!(
        said.lines()
            .filter(|line| line.starts_with("error: "))
            .count()
            == 1,
        "{said}"
    );
    ensure!(said.contains("/proc/trackway"), "{said}");
    Ok(())
}

/// A small disk in memory. Dropping it takes it away.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(folder: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(folder);
        let status = mount.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status
            .is_ok_and(|status| status.success())
            .then_some(Self(folder))
    }

    fn resize(folder: &Path, size: &str) -> Result<()> {
        let mut mount = Command::new("mount");
        mount
            .args(["-o", &format!("remount,size={size}")])
            .arg(folder);
        ensure!(
            mount.status().context("start mount")?.success(),
            "the disk stays small"
        );
        Ok(())
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
