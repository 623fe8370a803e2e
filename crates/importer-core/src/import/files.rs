use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tracker_model::{ByteStream, Error, ErrorKind, FileInfo, Result, Retry, check_file_name};

use super::{
    account::Account,
    job::Job,
    listing::{Listed, Listing},
};
use crate::{Event, Finding, Kind, Observer, RunRef, RunWriter, SourceFile};

/// Files of one run that are read at once.
const AT_ONCE: usize = 8;
/// The key in a file's extras that remembers the source's mark.
const MARK: &str = "source_mark";

/// What came of the files of a run.
#[derive(Debug, Default)]
pub(super) struct CopiedFiles {
    /// The files as the target has them now.
    pub(super) files: BTreeMap<String, FileInfo>,
    pub(super) findings: Vec<Finding>,
    pub(super) changed: bool,
    unchanged: Vec<u64>,
    copied: Vec<u64>,
}

impl CopiedFiles {
    /// Counts what arrived and what was there.
    pub(super) fn count(&self, account: &mut Account) {
        account.arrived(Kind::Files, self.copied.len() as u64);
        account.arrived(Kind::Bytes, self.copied.iter().sum());
        account.skipped(Kind::Files, self.unchanged.len() as u64);
        account.skipped(Kind::Bytes, self.unchanged.iter().sum());
    }
}

enum Done {
    /// With what rules changed of it.
    Copied(Box<FileInfo>, Vec<Finding>),
    Unchanged(Box<FileInfo>),
    Found(Finding),
}

/// Reads the files of a run and writes those that the target does not have.
pub(super) async fn copy(
    job: &Job,
    run: &RunRef,
    writer: &dyn RunWriter,
    there: &BTreeMap<String, FileInfo>,
) -> Result<CopiedFiles> {
    let mut copied = CopiedFiles::default();
    let mut files = Listing::new(job.source.files(run));
    let mut listed_all = false;
    let mut running: FuturesUnordered<BoxFuture<'_, Result<Done>>> = FuturesUnordered::new();
    loop {
        let done = tokio::select! {
            item = files.try_next(), if !listed_all && running.len() < AT_ONCE => {
                match item? {
                    Some(Listed::Item(file, changes)) => {
                        let there = there.get(&file.draft.name);
                        running.push(one(job, run, writer, there, file, changes).boxed());
                    }
                    Some(Listed::Finding(finding)) => copied.findings.push(finding),
                    None => listed_all = true,
                }
                continue;
            }
            Some(done) = running.next() => done?,
            else => return Ok(copied),
        };
        match done {
            Done::Found(finding) => copied.findings.push(finding),
            Done::Copied(info, changes) => {
                copied.findings.extend(changes);
                copied.changed |= there
                    .get(&info.name)
                    .is_none_or(|f| f.digests != info.digests);
                copied.copied.push(info.digests.size);
                copied.files.insert(info.name.clone(), *info);
            }
            Done::Unchanged(info) => {
                copied.unchanged.push(info.digests.size);
                copied.files.insert(info.name.clone(), *info);
            }
        }
    }
}

async fn one(
    job: &Job,
    run: &RunRef,
    writer: &dyn RunWriter,
    there: Option<&FileInfo>,
    file: SourceFile,
    changes: Vec<Finding>,
) -> Result<Done> {
    let place = || format!("run {}, {:?}", run.id, file.draft.name);
    if let Err(e) = check_file_name(&file.draft.name) {
        return Ok(Done::Found(Finding::lost(
            Kind::Files,
            place(),
            name_problem(&e),
        )));
    }
    if job.options.incremental
        && let Some(info) = there
        && file.mark.is_some()
        && info.extras.get(MARK).and_then(|m| m.as_str()) == file.mark.as_deref()
        && file.size.is_none_or(|size| size == info.digests.size)
    {
        return Ok(Done::Unchanged(Box::new(info.clone())));
    }
    let body = match job.source.open_file(run, &file).await {
        Ok(body) => body,
        Err(e) if may_help(&e) => return Err(e.context(format_args!("read {}", place()))),
        Err(e) => {
            return Ok(Done::Found(Finding::unreadable(
                Kind::Files,
                place(),
                e.message(),
            )));
        }
    };
    let (body, failure) = watched(job, body, file.size);
    let mut draft = file.draft.clone();
    if let Some(mark) = &file.mark {
        draft.extras.insert(MARK.to_owned(), mark.as_str().into());
    }
    match writer.file(draft, body).await {
        Ok(info) => Ok(Done::Copied(Box::new(info), changes)),
        Err(e) => match failure.take() {
            // The source failed, not the sink.
            Some(e) if may_help(&e) => Err(e.context(format_args!("read {}", place()))),
            Some(e) => Ok(Done::Found(Finding::unreadable(
                Kind::Files,
                place(),
                e.message(),
            ))),
            None => Err(e.context(format_args!("write {}", place()))),
        },
    }
}

/// What is wrong with a name, without the name.
pub(super) fn name_problem(e: &Error) -> String {
    let text = e.message();
    format!(
        "its name {}",
        text.rsplit_once("\" ").map_or(text, |(_, why)| why)
    )
}

/// Whether the same call may succeed later, so that the run is better tried again as a whole.
pub(super) fn may_help(e: &Error) -> bool {
    e.retry() != Retry::Never
}

/// The error that a source's stream ended with.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceFailure(Arc<Mutex<Option<Error>>>);

impl SourceFailure {
    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, e: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
    }
}

/// Counts the bytes of a source's stream, holds it to the size that was told, and remembers the
/// source's error, so that it can be told from one of the sink.
pub(super) fn watched(
    job: &Job,
    body: ByteStream,
    size: Option<u64>,
) -> (ByteStream, SourceFailure) {
    let failure = SourceFailure::default();
    let watch = Watch {
        body,
        size,
        seen: 0,
        failure: failure.clone(),
        observer: Arc::clone(&job.observer),
    };
    let stream = futures::stream::unfold(Some(watch), |watch| async move { watch?.next().await });
    (stream.boxed(), failure)
}

struct Watch {
    body: ByteStream,
    size: Option<u64>,
    seen: u64,
    failure: SourceFailure,
    observer: Arc<dyn Observer>,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<Bytes>, Option<Self>)> {
        match self.body.next().await {
            Some(Ok(piece)) => {
                self.seen += piece.len() as u64;
                self.observer.on(&Event::Bytes(piece.len() as u64));
                Some((Ok(piece), Some(self)))
            }
            Some(Err(e)) => self.fail(e),
            None => {
                let size = self.size.filter(|size| *size != self.seen)?;
                let message = format!("the source lists {size} bytes and sends {}", self.seen);
                self.fail(Error::new(ErrorKind::Corrupt, message))
            }
        }
    }

    fn fail(self, e: Error) -> Option<(Result<Bytes>, Option<Self>)> {
        let told = Error::new(e.kind(), e.message());
        self.failure.set(e);
        Some((Err(told), None))
    }
}
