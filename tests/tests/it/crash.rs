//! An import that is killed at any moment, and started again, ends as if it had not been.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    cli::Trackway,
    digest,
    mlruns::{self, Numbers, Shape},
};

use crate::{database, trackway};

/// Large enough that the import is killed in all of its stages.
const SHAPE: Shape = Shape {
    runs: 24,
    metrics: 6,
    points: 2500,
    files: 4,
};
const SMALL: Shape = Shape {
    runs: 8,
    metrics: 3,
    points: 1000,
    files: 3,
};

/// How many imports are killed on one store before the last one.
const KILLS_A_STORE: usize = 3;

#[test]
fn killed_imports_from_a_folder_end_as_undisturbed_ones() -> Result<()> {
    survives(Way::Folder, SMALL, 12)
}

#[test]
fn killed_imports_from_a_database_end_as_undisturbed_ones() -> Result<()> {
    survives(Way::Database, SMALL, 12)
}

#[test]
#[ignore = "takes a minute: cargo xtask crash"]
fn many_killed_imports_from_a_folder_end_as_undisturbed_ones() -> Result<()> {
    survives(Way::Folder, SHAPE, 30)
}

#[test]
#[ignore = "takes a minute: cargo xtask crash"]
fn many_killed_imports_from_a_database_end_as_undisturbed_ones() -> Result<()> {
    survives(Way::Database, SHAPE, 30)
}

/// Where the import reads from.
#[derive(Debug, Clone, Copy)]
enum Way {
    Folder,
    Database,
}

impl Way {
    /// Makes a source, and tells how to import it.
    fn make(self, folder: &Path, shape: Shape) -> Result<Vec<String>> {
        match self {
            Self::Folder => {
                mlruns::write(folder, shape)?;
                Ok(vec![folder.display().to_string()])
            }
            Self::Database => {
                database::write(folder, shape)?;
                Ok(vec![
                    format!("sqlite:///{}", folder.join("mlflow.db").display()),
                    "--artifacts-root".to_owned(),
                    folder.join("artifacts").display().to_string(),
                ])
            }
        }
    }
}

/// Kills imports at moments that are spread over their duration.
fn survives(way: Way, shape: Shape, kills: usize) -> Result<()> {
    let source = tempfile::tempdir()?;
    let args = way.make(source.path(), shape)?;
    let before = digest::folder(source.path())?;

    let calm = trackway()?;
    let start = Instant::now();
    let receipt = calm.import(&args, 0)?;
    let time = start.elapsed();
    let expected = Content::of(&calm, &receipt)?;
    ensure!(
        expected.runs.len() == shape.runs,
        "the undisturbed import has {} runs",
        expected.runs.len()
    );

    let mut moments = Numbers::of_seed(0x5167);
    let mut cut = 0;
    for store in 0..kills / KILLS_A_STORE {
        let trackway = trackway()?;
        for _ in 0..KILLS_A_STORE {
            // What one import has done, the next one need not do: it ends sooner.
            let moment = time.mul_f64(0.6 * moments.fraction());
            cut += usize::from(kill(&trackway, &args, moment)?);
        }
        let receipt = trackway
            .import(&args, 0)
            .with_context(|| format!("the last import into store {store}"))?;
        let content = Content::of(&trackway, &receipt).with_context(|| format!("store {store}"))?;
        ensure!(
            content == expected,
            "store {store} differs:\n{}",
            content.beside(&expected)
        );
        let again = trackway.import(&args, 0)?;
        let statuses: BTreeSet<&str> = again["runs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|run| run["status"].as_str())
            .collect();
        ensure!(
            statuses == BTreeSet::from(["unchanged"]),
            "a further import says {statuses:?}"
        );
    }
    ensure!(
        cut >= 1,
        "only {cut} of {kills} imports were still at work when they were killed"
    );
    ensure!(
        digest::folder(source.path())? == before,
        "the source has changed"
    );
    Ok(())
}

/// Kills an import after some time; whether it was still at work.
fn kill(trackway: &Trackway, args: &[String], after: Duration) -> Result<bool> {
    let mut import = trackway
        .command(["import"])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    thread::sleep(after);
    let at_work = import.try_wait()?.is_none();
    import.kill()?;
    import.wait()?;
    Ok(at_work)
}

/// What a store holds, as its readers tell it.
#[derive(Debug, PartialEq)]
struct Content {
    /// The runs, without what an import writes of itself.
    runs: Vec<Value>,
    /// A checksum over the history of each.
    histories: Vec<String>,
    /// The files of each.
    files: Vec<Vec<Value>>,
    /// How many blobs are kept.
    blobs: usize,
    /// How many pieces of history are kept.
    pieces: usize,
}

impl Content {
    fn of(trackway: &Trackway, receipt: &Value) -> Result<Self> {
        ensure!(
            receipt["failures"] == json!([]) && receipt["losses"] == json!([]),
            "{receipt}"
        );
        trackway.stdout(["fsck", "--read-data"])?;
        trackway.stdout(["gc", "--grace", "0s", "--staged-for", "0s"])?;
        let mut runs = Vec::new();
        for line in trackway.stdout(["runs", "--jsonl"])?.lines() {
            let mut run: Value = serde_json::from_str(line)?;
            run["created_at"].take();
            runs.push(run);
        }
        runs.sort_by_key(|run| run["id"].to_string());
        let (mut histories, mut files) = (Vec::new(), Vec::new());
        for run in &runs {
            let text = |field: &str| run[field].as_str().unwrap_or_default();
            let path = format!("{}/{}/{}", text("entity"), text("project"), text("id"));
            histories.push(digest::bytes(
                trackway
                    .stdout(["history", &path, "--all", "--jsonl"])?
                    .as_bytes(),
            ));
            let listed = trackway.stdout(["files", "ls", &path, "--jsonl"])?;
            files.push(
                listed
                    .lines()
                    .map(serde_json::from_str)
                    .collect::<Result<_, _>>()?,
            );
        }
        let store = trackway.store();
        Ok(Self {
            runs,
            histories,
            files,
            blobs: count(&store.join("blobs"))?,
            pieces: count(&store.join("history"))?,
        })
    }

    /// Where two differ, shortly.
    fn beside(&self, other: &Self) -> String {
        let pairs = self
            .runs
            .iter()
            .zip(&other.runs)
            .filter(|(a, b)| a != b)
            .map(|(a, b)| format!("{a}\n{b}"));
        let runs: Vec<String> = pairs.take(3).collect();
        format!(
            "{} runs of {}, {} blobs of {}, {} pieces of {}, histories equal: {}, files equal: {}\n{}",
            self.runs.len(),
            other.runs.len(),
            self.blobs,
            other.blobs,
            self.pieces,
            other.pieces,
            self.histories == other.histories,
            self.files == other.files,
            runs.join("\n")
        )
    }
}

/// The files in a folder and below.
fn count(folder: &Path) -> Result<usize> {
    Ok(digest::walk(folder)?
        .iter()
        .filter(|path| path.is_file())
        .count())
}
