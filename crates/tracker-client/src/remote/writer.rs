//! Much history at once: points wait on the disk, and are sent together.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, OpenOptions, TryLockError},
    io::{BufReader, BufWriter, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use futures::TryStreamExt;
use tokio::task::JoinHandle;
use tracker_http::Method;
use tracker_model::{
    ContentHasher, Error, ErrorKind, HistoryQuery, HistoryStore as _, HistoryStream, HistoryWriter,
    PointBatch, Result, RunParts, RunPath, SeriesInfo, SeriesKey,
};

use super::{
    Remote, RemoteTracker,
    failure::{failure, unsupported},
    history::{disk, frames_kind, word},
};
use crate::frames::{self, Decoder, Frame};

/// Bytes that are read of a spool at once.
const PIECE: usize = 256 << 10;

/// The place on this machine where the points of a history wait.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    points: PathBuf,
    lock: PathBuf,
    what: String,
}

impl Spool {
    pub(super) fn of(remote: &Remote, run: &RunPath, stream: HistoryStream) -> Self {
        let what = format!("{run} ({})", word(stream));
        let mut hasher = ContentHasher::new();
        hasher.update(format!("{}\n{what}", remote.base).as_bytes());
        let name = hasher.finish().sha256;
        let folder = remote.spool.clone();
        Self {
            points: folder.join(format!("{name}.points")),
            lock: folder.join(format!("{name}.lock")),
            folder,
            what,
        }
    }

    /// Keeps others away as long as the lock is held.
    ///
    /// # Errors
    /// `Conflict` if somebody is there.
    pub(super) async fn lock(&self) -> Result<Lock> {
        let (folder, path, what) = (self.folder.clone(), self.lock.clone(), self.what.clone());
        let locked = tokio::task::spawn_blocking(move || Lock::take(&folder, path, &what));
        locked.await.map_err(not_done)?
    }

    /// Forgets what waits.
    pub(super) async fn remove(&self) -> Result<()> {
        match tokio::fs::remove_file(&self.points).await {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(disk("remove points that were not sent", e))
            }
            _ => Ok(()),
        }
    }
}

fn not_done(e: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unexpected, "keep points until they are sent").with_source(e)
}

/// Says that somebody writes a history. The file of it goes with it.
#[derive(Debug)]
pub(super) struct Lock {
    /// Holds the lock.
    _file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Elsewhere a file cannot be removed as long as it is open; it does no harm.
        #[cfg(unix)]
        drop(std::fs::remove_file(&self.path));
        #[cfg(not(unix))]
        let _ = &self.path;
    }
}

impl Lock {
    fn take(folder: &Path, path: PathBuf, what: &str) -> Result<Self> {
        let doing = "prepare to write a history";
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            // What waits there is not for everybody.
            builder.mode(0o700);
        }
        builder.create(folder).map_err(|e| disk(doing, e))?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        loop {
            let file = options.open(&path).map_err(|e| disk(doing, e))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let message = format!("somebody else is writing the history of run {what}");
                    return Err(Error::new(ErrorKind::Conflict, message));
                }
                Err(TryLockError::Error(e)) => return Err(disk(doing, e)),
            }
            // Whoever held it before may have removed the file since it was opened.
            if is_at(&file, &path).map_err(|e| disk(doing, e))? {
                return Ok(Self { _file: file, path });
            }
        }
    }
}

/// Whether the open file is the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (open, there) = (
        file.metadata()?,
        match std::fs::metadata(path) {
            Ok(there) => there,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e),
        },
    );
    Ok((open.dev(), open.ino()) == (there.dev(), there.ino()))
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> std::io::Result<bool> {
    Ok(true)
}

/// How far a series goes.
#[derive(Debug, Clone, Default)]
struct End {
    /// The index where it goes on.
    next: u64,
    /// The row of the last point, where that is known.
    row: Option<u64>,
    /// Whether this writer has written to it.
    touched: bool,
}

/// Writes much history of one run of a server of ours.
#[derive(Debug)]
pub(super) struct Writer {
    remote: Arc<Remote>,
    run: RunPath,
    stream: HistoryStream,
    token: String,
    spool: Spool,
    place: Arc<Place>,
    /// Frames that are to be written to the file.
    pending: Vec<u8>,
    /// What is being written beside what is done here.
    writing: Option<JoinHandle<std::io::Result<()>>>,
    committed: HashMap<SeriesKey, SeriesInfo>,
    staged: Vec<SeriesInfo>,
    ends: HashMap<SeriesKey, End>,
    /// Whether points that wait were written again.
    has_cuts: bool,
    is_empty: bool,
}

/// Where points wait. Whoever writes to the file keeps others away, even when the writer is gone.
#[derive(Debug)]
struct Place {
    file: File,
    _lock: Lock,
}

/// What waits of an earlier writer.
#[derive(Default)]
struct Found {
    /// Bytes up to the last checkpoint.
    length: u64,
    staged: BTreeMap<SeriesKey, (SeriesInfo, End)>,
    has_cuts: bool,
}

impl Writer {
    pub(super) async fn open(
        remote: &Arc<Remote>,
        run: &RunPath,
        stream: HistoryStream,
        token: &str,
    ) -> Result<Self> {
        let series = remote.exact_series(run, stream).await?;
        let committed: HashMap<_, _> = series.into_iter().map(|s| (s.key.clone(), s)).collect();
        let there = remote.read_run(run, RunParts::NONE).await?;
        let there = there.ok_or_else(|| Error::not_found(format_args!("run {run}")))?;
        let begin = Frame::Begin {
            token: token.to_owned(),
            // A new run with an old id was created at another time.
            run: there.run.created_at.to_string(),
        };
        let spool = Spool::of(remote, run, stream);
        let lock = spool.lock().await?;
        let opened = tokio::task::spawn_blocking({
            let (path, committed) = (spool.points.clone(), committed.clone());
            move || reopen(&path, &begin, &committed)
        });
        let (file, pending, found) = opened.await.map_err(not_done)??;
        let place = Place { file, _lock: lock };
        let mut ends: HashMap<SeriesKey, End> = committed
            .iter()
            .map(|(key, info)| {
                let next = info.count;
                (
                    key.clone(),
                    End {
                        next,
                        ..End::default()
                    },
                )
            })
            .collect();
        let is_empty = found.staged.is_empty();
        let mut staged = Vec::new();
        for (key, (info, end)) in found.staged {
            staged.push(info);
            ends.insert(key, end);
        }
        Ok(Self {
            remote: remote.clone(),
            run: run.clone(),
            stream,
            token: token.to_owned(),
            spool,
            place: Arc::new(place),
            pending,
            writing: None,
            committed,
            staged,
            ends,
            has_cuts: found.has_cuts,
            is_empty,
        })
    }

    /// The row of a point that is committed.
    async fn row_at(&self, key: &SeriesKey, index: u64) -> Result<Option<u64>> {
        let tracker = RemoteTracker {
            remote: self.remote.clone(),
        };
        let query = HistoryQuery::new()
            .with_stream(self.stream)
            .with_keys([key.as_str()])
            .with_from_index(index);
        let first = tracker.scan(&self.run, query).try_next().await?;
        Ok(first.and_then(|batch| batch.rows?.first().copied()))
    }

    /// Checks that the batch goes on where the series ends, or before. Answers whether it takes the
    /// place of points that wait.
    async fn check(&self, at: u64, batch: &PointBatch) -> Result<bool> {
        batch.check()?;
        let key = &batch.key;
        let end = self.ends.get(key).cloned().unwrap_or_default();
        let committed = self.committed.get(key).map_or(0, |info| info.count);
        if at > end.next || (end.touched && at != end.next) {
            return Err(Error::invalid(format!(
                "points of {key:?} from {at} on do not follow those up to {}",
                end.next
            )));
        }
        let can = self
            .remote
            .extension
            .as_ref()
            .map(|extension| &extension.can);
        if at < committed && !can.is_some_and(|can| can.rewrite_history) {
            return Err(unsupported("points of this server are not replaced"));
        }
        let before = match (at == end.next).then_some(end.row).flatten() {
            Some(row) => Some(row),
            None if at > 0 && at <= committed && batch.rows.is_some() => {
                self.row_at(key, at - 1).await?
            }
            None => None,
        };
        let first = batch.rows.as_ref().and_then(|rows| rows.first());
        if let (Some(before), Some(first)) = (before, first)
            && *first <= before
        {
            return Err(Error::invalid(format!(
                "row {first} of {key:?} does not come after row {before}"
            )));
        }
        Ok(at < end.next && !end.touched && end.next > committed)
    }

    /// Writes a frame to the file, sooner or later.
    async fn put(&mut self, frame: &Frame) -> Result<()> {
        frames::encode(frame, &mut self.pending)?;
        match self.pending.len() >= PIECE {
            true => self.write_pending(|_| Ok(())).await,
            false => Ok(()),
        }
    }

    /// Waits until what was given to the disk is there.
    async fn written(&mut self) -> Result<()> {
        if let Some(writing) = &mut self.writing {
            let written = writing.await;
            self.writing = None;
            written
                .map_err(not_done)?
                .map_err(|e| disk("keep points until they are sent", e))?;
        }
        Ok(())
    }

    /// Begins to write what is pending, after what was given to the disk before, and then does more
    /// with the file.
    async fn write_pending(
        &mut self,
        then: impl FnOnce(&File) -> std::io::Result<()> + Send + 'static,
    ) -> Result<()> {
        self.written().await?;
        let (place, bytes) = (self.place.clone(), std::mem::take(&mut self.pending));
        self.writing = Some(tokio::task::spawn_blocking(move || {
            (&place.file).write_all(&bytes)?;
            then(&place.file)
        }));
        Ok(())
    }

    async fn sync(&mut self) -> Result<()> {
        self.write_pending(File::sync_all).await?;
        self.written().await
    }
}

/// Opens a spool and reads what waits in it for the writer that begins so. Answers what is to be
/// written first, too.
fn reopen(
    path: &Path,
    begin: &Frame,
    committed: &HashMap<SeriesKey, SeriesInfo>,
) -> Result<(File, Vec<u8>, Found)> {
    let doing = "read points that were not sent";
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path).map_err(|e| disk(doing, e))?;
    let found = read_staged(&mut file, begin, committed).map_err(|e| disk(doing, e))?;
    let placed = file
        .set_len(found.length)
        .and_then(|()| file.seek(SeekFrom::End(0)));
    placed.map_err(|e| disk(doing, e))?;
    let mut first = Vec::new();
    if found.length == 0 {
        frames::encode(begin, &mut first)?;
    }
    Ok((file, first, found))
}

fn read_staged(
    file: &mut File,
    begin: &Frame,
    committed: &HashMap<SeriesKey, SeriesInfo>,
) -> std::io::Result<Found> {
    let mut found = Found::default();
    let mut waiting: Vec<(u64, PointBatch)> = Vec::new();
    let mut frames = Frames::new(BufReader::new(file));
    if frames.next()?.as_ref() != Some(begin) {
        return Ok(found);
    }
    while let Some(frame) = frames.next()? {
        match frame {
            Frame::Points { at, batch } => waiting.push((at, batch)),
            Frame::Checkpoint => {
                for (at, batch) in waiting.drain(..) {
                    observe(&mut found, at, &batch, committed);
                }
                found.length = frames.decoder.position();
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Takes account of points that wait.
fn observe(
    found: &mut Found,
    at: u64,
    batch: &PointBatch,
    committed: &HashMap<SeriesKey, SeriesInfo>,
) {
    let key = &batch.key;
    let known = found.staged.remove(key).map(|(info, _)| info);
    let is_staged = known.is_some();
    let before = known.or_else(|| committed.get(key).cloned());
    let mut info = before.unwrap_or_else(|| SeriesInfo::new(key.clone()));
    if at < info.count {
        found.has_cuts |= is_staged;
        // What is left of it is not known without reading it.
        info = SeriesInfo::new(key.clone());
        info.count = at;
    }
    info.observe(batch);
    info.count = at + batch.len() as u64;
    info.digest = None;
    let end = End {
        next: info.count,
        row: batch.rows.as_ref().and_then(|rows| rows.last()).copied(),
        touched: false,
    };
    found.staged.insert(key.clone(), (info, end));
}

/// The frames of a file, as far as they can be read.
struct Frames<R> {
    from: R,
    decoder: Decoder,
}

impl<R: std::io::Read> Frames<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            decoder: Decoder::new(),
        }
    }

    fn next(&mut self) -> std::io::Result<Option<Frame>> {
        let mut piece = vec![0; PIECE];
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) if self.decoder.is_ended() => return Ok(None),
                Ok(None) => {}
                // What a crash has left behind the last checkpoint.
                Err(_) => return Ok(None),
            }
            let read = self.from.read(&mut piece)?;
            if read == 0 {
                return Ok(None);
            }
            self.decoder.push(piece.get(..read).unwrap_or_default());
        }
    }
}

/// Copies the points that count: of those with one index the last.
fn compacted(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut places: Vec<(SeriesKey, u64, u64)> = Vec::new();
    let mut frames = Frames::new(File::open(path)?);
    while let Some(frame) = frames.next()? {
        if let Frame::Points { at, batch } = frame {
            places.push((batch.key.clone(), at, batch.len() as u64));
        }
    }
    let mut limits: HashMap<SeriesKey, u64> = HashMap::new();
    let mut kept: Vec<u64> = places
        .into_iter()
        .rev()
        .map(|(key, at, length)| {
            let limit = limits.entry(key).or_insert(u64::MAX);
            let kept = limit.saturating_sub(at).min(length);
            *limit = at.min(*limit);
            kept
        })
        .collect();
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut out = BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
    let mut frames = Frames::new(File::open(path)?);
    while let Some(frame) = frames.next()? {
        if let Frame::Points { at, batch } = frame {
            let kept = usize::try_from(kept.pop().unwrap_or(0)).unwrap_or(usize::MAX);
            let batch = batch.slice(0, kept);
            if !batch.is_empty() {
                let mut bytes = Vec::new();
                let frame = Frame::Points { at, batch };
                frames::encode(&frame, &mut bytes).map_err(std::io::Error::other)?;
                out.write_all(&bytes)?;
            }
        }
    }
    out.write_all(&frames::END)?;
    out.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
}

#[async_trait]
impl HistoryWriter for Writer {
    fn staged(&self) -> &[SeriesInfo] {
        &self.staged
    }

    async fn write(&mut self, at: u64, batch: PointBatch) -> Result<()> {
        if batch.is_empty() {
            return batch.check();
        }
        self.has_cuts |= self.check(at, &batch).await?;
        for (at, batch) in frames::pieces(at, &batch) {
            self.put(&Frame::Points { at, batch }).await?;
        }
        self.is_empty = false;
        let rows = batch.rows.as_ref().and_then(|rows| rows.last()).copied();
        let end = self.ends.entry(batch.key.clone()).or_default();
        *end = End {
            next: at + batch.len() as u64,
            row: rows,
            touched: true,
        };
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<()> {
        self.put(&Frame::Checkpoint).await?;
        self.sync().await
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        if self.is_empty {
            return self.spool.remove().await;
        }
        // Whoever comes after a commit that was cut off ends it.
        self.checkpoint().await?;
        let doing = "send points";
        let source = self.spool.points.clone();
        let (path, copy) = if self.has_cuts {
            let copied = tokio::task::spawn_blocking(move || compacted(&source));
            let copied = copied.await.map_err(std::io::Error::other).flatten();
            let copy = copied.map_err(|e| disk(doing, e))?.into_temp_path();
            (copy.to_path_buf(), Some(copy))
        } else {
            self.pending.extend_from_slice(&frames::END);
            self.write_pending(|_| Ok(())).await?;
            self.written().await?;
            (source, None)
        };
        let about = tokio::fs::metadata(&path).await;
        let length = about.map_err(|e| disk(doing, e))?.len();
        let request = self
            .remote
            .exact_request(Method::POST, &self.run, "commit")?;
        let request = request
            .query([("stream", word(self.stream)), ("token", &self.token)])
            .file_body(frames_kind(), path, length);
        let doing = format!("send the history of run {}", self.run);
        let sent = request.send().await.map_err(|e| failure(e, doing));
        drop(copy);
        // The end that was written behind the last checkpoint is passed over by the next writer.
        sent?;
        self.spool.remove().await
    }
}

#[cfg(test)]
mod tests {
    use tracker_model::{BatchBuilder, Value};

    use super::*;

    fn batch(key: &str, values: std::ops::Range<i64>) -> PointBatch {
        let mut builder = BatchBuilder::new(key.into());
        for value in values {
            builder.push(None, value, None, Value::I64(value));
        }
        builder.take().unwrap()
    }

    #[test]
    fn of_points_with_one_index_the_last_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points");
        let mut bytes = Vec::new();
        let writes = [
            ("a", 0, 0..5),
            ("b", 2, 0..3),
            ("a", 5, 5..8),
            ("a", 3, 10..14),
            ("a", 6, 20..21),
        ];
        for (key, at, values) in writes {
            let batch = batch(key, values);
            frames::encode(&Frame::Points { at, batch }, &mut bytes).unwrap();
            frames::encode(&Frame::Checkpoint, &mut bytes).unwrap();
        }
        std::fs::write(&path, bytes).unwrap();
        let sent = compacted(&path).unwrap();
        let mut frames = Frames::new(File::open(sent.path()).unwrap());
        let mut there = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            there.push(frame);
        }
        assert!(frames.decoder.is_ended());
        let wanted = [
            ("a", 0, 0..3),
            ("b", 2, 0..3),
            ("a", 3, 10..13),
            ("a", 6, 20..21),
        ];
        let wanted = wanted.map(|(key, at, values)| Frame::Points {
            at,
            batch: batch(key, values),
        });
        assert_eq!(there, wanted);
    }
}
