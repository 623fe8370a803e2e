//! An import that is killed at any moment, and started again, ends as if it had not been.

mod server;

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
    stand_in::StandIn,
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

/// How many imports are killed on one store before the last one, at most.
const KILLS_A_STORE: usize = 3;
/// How many are killed by the tests that are always run, for each kind of source.
const FEW: usize = 10;
/// How many are killed by `cargo xtask crash`, for each kind of source.
const MANY: usize = 30;
/// How many undisturbed imports are timed.
const UNDISTURBED: usize = 3;
/// Kills come within this part of the time that an undisturbed import takes.
const WITHIN: f64 = 0.9;

macro_rules! killed {
    ($($name:ident, $many:ident: $way:ident;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            survives(Way::$way, SMALL, FEW)
        }

        #[test]
        #[ignore = "takes a minute: cargo xtask crash"]
        fn $many() -> Result<()> {
            survives(Way::$way, SHAPE, MANY)
        }
    )*};
}

killed! {
    killed_imports_from_a_folder_end_as_undisturbed_ones,
    many_killed_imports_from_a_folder_end_as_undisturbed_ones: Folder;
    killed_imports_from_a_database_end_as_undisturbed_ones,
    many_killed_imports_from_a_database_end_as_undisturbed_ones: Database;
    killed_imports_from_a_server_end_as_undisturbed_ones,
    many_killed_imports_from_a_server_end_as_undisturbed_ones: Server;
}

/// Where the import reads from.
#[derive(Debug, Clone, Copy)]
enum Way {
    Folder,
    Database,
    Server,
}

/// A source, and how to import it.
struct Made {
    args: Vec<String>,
    /// Answers until it is dropped.
    _server: Option<StandIn>,
}

impl Way {
    /// Makes a source.
    fn make(self, folder: &Path, shape: Shape) -> Result<Made> {
        let mut server = None;
        let args = match self {
            Self::Folder => {
                mlruns::write(folder, shape)?;
                vec![folder.display().to_string()]
            }
            Self::Database => {
                database::write(folder, shape)?;
                vec![
                    format!("sqlite:///{}", folder.join("mlflow.db").display()),
                    "--artifacts-root".to_owned(),
                    folder.join("artifacts").display().to_string(),
                ]
            }
            Self::Server => {
                let server = server.insert(StandIn::of(shape)?);
                vec![format!("mlflow+{}", server.url())]
            }
        };
        Ok(Made {
            args,
            _server: server,
        })
    }

    /// The moments of the kills are the same every time, as parts of the import's duration.
    fn seed(self) -> u64 {
        match self {
            Self::Folder => 0x5167,
            Self::Database => 0x5168,
            Self::Server => 0x5169,
        }
    }
}

/// Kills imports at moments that are spread over their duration, until so many were cut short.
#[expect(clippy::print_stdout, reason = "the moments are worth reading")]
fn survives(way: Way, shape: Shape, kills: usize) -> Result<()> {
    let source = tempfile::tempdir()?;
    let made = way.make(source.path(), shape)?;
    let args = &made.args;
    let before = digest::folder(source.path())?;

    let (expected, mut time) = undisturbed(args, shape)?;

    let mut moments = Numbers::of_seed(way.seed());
    let mut kept = Vec::new();
    let mut cut = 0;
    let mut store = 0;
    while cut < kills {
        ensure!(
            store < 2 * kills,
            "only {cut} of {kills} imports were still at work when they were killed"
        );
        store += 1;
        let trackway = trackway()?;
        for kill in 0..KILLS_A_STORE {
            let moment = time.mul_f64(WITHIN * moments.fraction());
            let ended = run_until(&trackway, args, moment)?;
            cut += usize::from(ended.is_none());
            kept.push(format!(
                "{}{}",
                moment.as_millis(),
                if ended.is_none() { "" } else { " (too late)" }
            ));
            // What one import has done, the next one need not do: only the first one is whole.
            if let Some(whole) = ended {
                if kill == 0 {
                    time = time.min(whole);
                }
                break;
            }
        }
        let receipt = trackway
            .import(args, 0)
            .with_context(|| format!("the last import into store {store}"))?;
        let content = Content::of(&trackway, &receipt).with_context(|| format!("store {store}"))?;
        ensure!(
            content == expected,
            "store {store} differs:\n{}",
            content.beside(&expected)
        );
        let again = trackway.import(args, 0)?;
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
    println!(
        "{way:?}: an undisturbed import takes {} ms; seed {:#x}; killed after ms: {}; {cut} cut short in {store} stores",
        time.as_millis(),
        way.seed(),
        kept.join(", ")
    );
    ensure!(
        digest::folder(source.path())? == before,
        "the source has changed"
    );
    Ok(())
}

/// What a store holds after an undisturbed import, and how long that takes: the shortest time of
/// some, so that a machine that was busy meanwhile does not make the kills too late.
fn undisturbed(args: &[String], shape: Shape) -> Result<(Content, Duration)> {
    let mut time = Duration::MAX;
    let mut content = None;
    for _ in 0..UNDISTURBED {
        let trackway = trackway()?;
        let start = Instant::now();
        let receipt = trackway.import(args, 0)?;
        time = time.min(start.elapsed());
        if content.is_none() {
            content = Some(Content::of(&trackway, &receipt)?);
        }
    }
    let content = content.context("no import")?;
    ensure!(
        content.runs.len() == shape.runs,
        "the undisturbed import has {} runs",
        content.runs.len()
    );
    Ok((content, time))
}

/// Kills an import after some time; how long it took if it ended before.
fn run_until(trackway: &Trackway, args: &[String], moment: Duration) -> Result<Option<Duration>> {
    let start = Instant::now();
    let mut import = trackway
        .command(["import"])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    while start.elapsed() < moment {
        if import.try_wait()?.is_some() {
            return Ok(Some(start.elapsed()));
        }
        thread::sleep(Duration::from_millis(1).min(moment.saturating_sub(start.elapsed())));
    }
    let at_work = import.try_wait()?.is_none();
    import.kill()?;
    import.wait()?;
    Ok((!at_work).then(|| start.elapsed()))
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
