//! Our pages in a real Chromium, which logs in, opens every kind of page and follows links.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use tests::peers::{self, Peers};

use crate::trackway;

/// Looks, and says what is wrong. Argument: a folder for screenshots.
const LOOK: &str = include_str!("../../../peers/browser.py");
/// Runs, charts and models that were imported.
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/mlruns");

#[test]
#[ignore = "needs Chromium: cargo xtask interop"]
fn browser_shows_every_page() -> Result<()> {
    let chromium = peers::chromium()?;
    let peers = Peers::from_env()?;
    let python = peers.browser()?;
    let trackway = trackway()?;
    trackway.stdout(["import".as_ref(), Path::new(DATA)])?;
    let server = trackway.serve("127.0.0.1:0", None)?;
    let script = trackway.scratch().join("browser.py");
    fs::write(&script, LOOK)?;
    let shots = peers.folder().join("screenshots");
    let mut command = python.command([&script, &shots]);
    command
        .env("TRACKWAY_URL", &server.url)
        .env("TRACKWAY_KEY", &server.key)
        .env("CHROMIUM", chromium);
    let output = command.output().context("start Python")?;
    ensure!(
        output.status.success(),
        "the pages are not as they should be (see {}):\n{}{}",
        shots.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
