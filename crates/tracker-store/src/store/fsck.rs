mod contents;
mod histories;

use std::{fmt, sync::Arc};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde::Serialize;
use tokio::sync::mpsc;
use tracker_model::{Error, Result};

use super::{EmbeddedStore, Inner, gc::Files};
use crate::{
    catalog::{audit, sweep},
    error::unexpected,
};

/// Lines of SQLite's own check that are given at most.
const MAX_LINES: usize = 100;

/// How [`EmbeddedStore::fsck`] looks.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FsckOptions {
    /// Reads all histories and all contents, and compares their digests. Otherwise only what the
    /// catalog says is compared with the sizes and the ends of files.
    pub read_data: bool,
}

impl FsckOptions {
    /// The quick look.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`read_data`](Self::read_data).
    #[must_use]
    pub fn with_read_data(mut self, read_data: bool) -> Self {
        self.read_data = read_data;
        self
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// The catalog itself is damaged.
    Catalog,
    /// Points of a run are missing or changed.
    History,
    /// The contents of a file or of an artifact are missing or changed.
    Contents,
    /// An artifact's version differs from its manifest.
    Artifact,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// What it is about.
    pub kind: ProblemKind,
    /// The run, the file, the artifact: what cannot be trusted.
    pub place: String,
    /// What is wrong with it, one line.
    pub message: String,
    /// What can be done, one line.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// What was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FsckReport {
    /// Runs.
    pub runs: u64,
    /// Sealed segments of histories, staged ones too.
    pub segments: u64,
    /// Points in them that are seen, and in live tails.
    pub points: u64,
    /// Contents.
    pub blobs: u64,
    /// Versions of artifacts.
    pub versions: u64,
    /// Bytes of histories and contents that were read.
    pub bytes_read: u64,
    /// Things that are wrong.
    pub problems: u64,
    /// Contents that nothing uses: no harm, gc removes them.
    pub unused_blobs: u64,
    /// Files that the catalog does not name: no harm, gc removes them.
    pub orphans: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
}

/// What [`EmbeddedStore::fsck`] has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FsckEvent {
    /// Something is wrong.
    Problem(Problem),
    /// How far it is; comes now and then.
    Progress(FsckReport),
    /// The end: all was looked at.
    Finished(FsckReport),
}

impl EmbeddedStore {
    /// Looks whether the store is whole: the catalog, every segment of every history, every
    /// content, every artifact. Changes nothing, and may run beside readers and writers. An item
    /// is an error if it could not go on.
    pub fn fsck(&self, options: FsckOptions) -> BoxStream<'static, Result<FsckEvent>> {
        let (events, receiver) = mpsc::channel(64);
        let mut fsck = Fsck {
            inner: self.inner(),
            options,
            report: FsckReport::default(),
            events,
        };
        let task = tokio::task::spawn_blocking(move || match fsck.look() {
            Ok(()) => fsck.send(Ok(FsckEvent::Finished(fsck.report.clone()))),
            Err(Stop::Error(e)) => fsck.send(Err(e)),
            Err(Stop::Unheard) => Err(Stop::Unheard),
        });
        let next = |(mut receiver, task): (
            mpsc::Receiver<_>,
            Option<tokio::task::JoinHandle<_>>,
        )| async move {
            if let Some(event) = receiver.recv().await {
                return Some((event, (receiver, task)));
            }
            match task?.await {
                Ok(_) => None,
                Err(e) => Some((
                    Err(unexpected("check the store: the thread ended").with_source(e)),
                    (receiver, None),
                )),
            }
        };
        stream::unfold((receiver, Some(task)), next).boxed()
    }
}

struct Fsck {
    inner: Arc<Inner>,
    options: FsckOptions,
    report: FsckReport,
    events: mpsc::Sender<Result<FsckEvent>>,
}

/// Why it does not go on.
enum Stop {
    Error(Error),
    /// Nobody listens any more.
    Unheard,
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Self::Error(e)
    }
}

impl Fsck {
    fn look(&mut self) -> Result<(), Stop> {
        let thorough = self.options.read_data;
        let lines = self.inner.catalog.read_now("check the catalog", |c| {
            audit::integrity(c, thorough, MAX_LINES)
        })?;
        for line in lines {
            self.problem(
                ProblemKind::Catalog,
                "trackway.db",
                line,
                "restore the store from a copy",
            )?;
        }
        self.report.runs = self
            .inner
            .catalog
            .read_now("count runs", audit::count_runs)?;
        self.histories()?;
        self.blobs()?;
        self.versions()?;
        self.orphans()
    }

    fn send(&self, event: Result<FsckEvent>) -> Result<(), Stop> {
        self.events.blocking_send(event).map_err(|_| Stop::Unheard)
    }

    fn progress(&self) -> Result<(), Stop> {
        self.send(Ok(FsckEvent::Progress(self.report.clone())))
    }

    fn problem(
        &mut self,
        kind: ProblemKind,
        place: impl fmt::Display,
        message: impl fmt::Display,
        hint: &str,
    ) -> Result<(), Stop> {
        self.report.problems += 1;
        let problem = Problem {
            kind,
            place: place.to_string(),
            message: message.to_string(),
            hint: hint.to_owned(),
        };
        self.send(Ok(FsckEvent::Problem(problem)))
    }

    fn orphans(&mut self) -> Result<(), Stop> {
        let storage = self.inner.storage.clone();
        for (root, is_blob) in [(storage.blobs(), true), (storage.history(), false)] {
            for path in Files::new(root.clone()) {
                let path = path?;
                let name = path
                    .strip_prefix(&root)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .into_owned();
                let known = self.inner.catalog.read_now("look for orphans", |c| {
                    if is_blob {
                        sweep::knows_blob(
                            c,
                            path.file_name()
                                .and_then(|n| n.to_str())
                                .unwrap_or_default(),
                        )
                    } else {
                        sweep::knows_history(c, &name)
                    }
                })?;
                if !known {
                    self.report.orphans += 1;
                    self.report.orphan_bytes += std::fs::metadata(&path).map_or(0, |m| m.len());
                }
            }
        }
        Ok(())
    }
}
