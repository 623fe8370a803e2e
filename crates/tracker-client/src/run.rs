use std::{fmt, path::Path, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tracker_model::{
    ByteStream, Error, ErrorKind, FileDraft, HistoryStream, JsonObject, Result, RunId, RunPath,
    RunState, SeriesInfo, Timestamp, Tracker,
};

use crate::{Api, File, Folder, Patterns, RowShape, RunEdit, Saved, file};

/// Files that are saved at once.
const AT_ONCE: usize = 4;

/// So many files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub files: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// What [`Run::download_files`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// Files that were written.
    pub written: Amount,
    /// Files that were there already, byte for byte.
    pub there: Amount,
}

/// A run as it was read, and a way to the rest of it.
///
/// Source: `wandb.apis.public.Run`.
#[derive(Clone)]
pub struct Run {
    api: Api,
    record: Arc<tracker_model::Run>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("path", self.path())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Run {
    pub(crate) fn new(api: Api, record: Arc<tracker_model::Run>) -> Self {
        Self { api, record }
    }

    pub(crate) fn tracker(&self) -> &Arc<dyn Tracker> {
        self.api.tracker()
    }

    /// All that was read.
    pub fn record(&self) -> &tracker_model::Run {
        &self.record
    }

    /// The address.
    pub fn path(&self) -> &RunPath {
        &self.record.path
    }

    /// The identity inside the project.
    pub fn id(&self) -> &str {
        self.record.path.run.as_str()
    }

    /// The display name, or the id where there is none.
    pub fn name(&self) -> &str {
        self.record.name.as_deref().unwrap_or_else(|| self.id())
    }

    /// What it is doing.
    pub fn state(&self) -> RunState {
        self.record.state
    }

    /// When the tracker first heard of it.
    pub fn created_at(&self) -> Timestamp {
        self.record.created_at
    }

    /// When the execution began.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.record.started_at
    }

    /// When it ended.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.record.ended_at
    }

    /// When it was last heard of.
    pub fn heartbeat_at(&self) -> Option<Timestamp> {
        self.record.heartbeat_at
    }

    /// From the beginning of the execution to its end, or for one that has not ended to when it was
    /// last heard of. `None` if one of both is not known, or they are in the wrong order.
    pub fn duration(&self) -> Option<Duration> {
        let end = self.record.ended_at.or(self.record.heartbeat_at)?;
        let ns = end.as_nanos() - self.record.started_at?.as_nanos();
        u64::try_from(ns).ok().map(Duration::from_nanos)
    }

    /// Who ran it.
    pub fn user(&self) -> Option<&str> {
        self.record.user.as_deref()
    }

    /// On which host.
    pub fn host(&self) -> Option<&str> {
        self.record.host.as_deref()
    }

    /// The group that it belongs to.
    pub fn group(&self) -> Option<&str> {
        self.record.group.as_deref()
    }

    /// What it did in the group.
    pub fn job_type(&self) -> Option<&str> {
        self.record.job_type.as_deref()
    }

    /// The id of the run that started this one.
    pub fn parent(&self) -> Option<&RunId> {
        self.record.parent.as_ref()
    }

    /// The id of the sweep that it is a part of.
    pub fn sweep(&self) -> Option<&str> {
        self.record.sweep.as_deref()
    }

    /// The address of its page, `BASE/ENTITY/PROJECT/runs/RUN`, if the API knows a base
    /// ([`Api::with_base_url`]).
    pub fn url(&self) -> Option<String> {
        self.api.page_of(self.path())
    }

    /// The hyperparameters.
    pub fn config(&self) -> &JsonObject {
        &self.record.config
    }

    /// The results.
    pub fn summary(&self) -> &JsonObject {
        &self.record.summary
    }

    /// Labels.
    pub fn tags(&self) -> &[String] {
        &self.record.tags
    }

    /// Free text, Markdown.
    pub fn notes(&self) -> Option<&str> {
        self.record.notes.as_deref()
    }

    /// The commit of the code, a hash.
    pub fn commit(&self) -> Option<&str> {
        self.record.git.as_ref()?.commit.as_deref()
    }

    /// The program with its arguments.
    pub fn command(&self) -> Option<Vec<&str>> {
        let program = self.record.program.as_deref()?;
        let args = self.record.args.iter().map(String::as_str);
        Some(std::iter::once(program).chain(args).collect())
    }

    /// How rows of the history look as JSON, with the time since the run began.
    pub fn row_shape(&self) -> RowShape {
        RowShape::new().with_start(self.record.started_at)
    }

    /// Reads the run anew.
    ///
    /// # Errors
    /// `NotFound` if it is gone.
    pub async fn reload(&mut self) -> Result<()> {
        let record = self.tracker().run(&self.record.path).await?;
        self.now(record);
        Ok(())
    }

    /// The run is like this, and the API is to know it.
    fn now(&mut self, record: tracker_model::Run) {
        self.record = Arc::new(record);
        if let Some(cache) = self.api.cache() {
            cache.changed(&self.record);
        }
    }

    /// Changes the run where it is kept, and here.
    ///
    /// # Errors
    /// Those of [`RunEdit::preview`]; `NotFound` if the run is gone.
    pub async fn edit(&mut self, edit: RunEdit) -> Result<()> {
        let record = edit.make(&**self.tracker(), &self.record.path).await?;
        self.now(record);
        Ok(())
    }

    /// Marks the run as ended by somebody, now, if it has not ended. Nothing is done to its program.
    ///
    /// # Errors
    /// `NotFound` if the run is gone.
    pub async fn stop(&mut self) -> Result<()> {
        self.edit(RunEdit::new().stop(Timestamp::now())).await
    }

    /// Deletes the run with its history, its files and its part in the lineage, for good.
    ///
    /// # Errors
    /// `NotFound` if it is gone.
    pub async fn delete(self) -> Result<()> {
        self.tracker().delete_run(&self.record.path).await?;
        if let Some(cache) = self.api.cache() {
            cache.gone(&self.record.path);
        }
        Ok(())
    }

    /// The series of one of its histories, by key.
    ///
    /// # Errors
    /// `NotFound` if the run is gone.
    pub async fn series(&self, stream: HistoryStream) -> Result<Vec<SeriesInfo>> {
        self.tracker().series(&self.record.path, stream).await
    }

    /// Its files, by name.
    pub fn files(&self) -> BoxStream<'static, Result<File>> {
        let (tracker, path) = (Arc::clone(self.tracker()), self.record.path.clone());
        self.tracker()
            .files(&self.record.path)
            .map_ok(move |info| File::new(Arc::clone(&tracker), path.clone(), info))
            .boxed()
    }

    /// One of its files.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn file(&self, name: &str) -> Result<File> {
        let mut files = self.files();
        while let Some(file) = files.try_next().await? {
            if file.name() == name {
                return Ok(file);
            }
        }
        Err(Error::not_found(format_args!(
            "file {name:?} of run {}",
            self.record.path
        )))
    }

    /// Saves the files whose names fit the patterns into a folder, several at once. See
    /// [`Patterns`].
    ///
    /// # Errors
    /// Those of [`Folder::save`]; files that were saved before stay.
    pub async fn download_files(&self, patterns: &Patterns, folder: &Folder) -> Result<Downloaded> {
        let mut files = self
            .files()
            .try_filter(|file| std::future::ready(patterns.want(file.name())))
            .map_ok(async |file| Ok((file.save_to(folder).await?, file.digests().size)))
            .try_buffer_unordered(AT_ONCE);
        let mut done = Downloaded::default();
        while let Some((saved, bytes)) = files.try_next().await? {
            match saved {
                Saved::Written => done.written.add(bytes),
                Saved::There => done.there.add(bytes),
            }
        }
        Ok(done)
    }

    /// Deletes the files whose names fit the patterns, for good. See [`Patterns`]; without any, all
    /// files go.
    ///
    /// # Errors
    /// `NotFound` if the run is gone, and those of the tracker; files that were deleted before stay
    /// so.
    pub async fn delete_files(&self, patterns: &Patterns) -> Result<Amount> {
        let files = self.files();
        // A list that is read to its end cannot stumble over what is deleted from it.
        let found: Vec<File> = files
            .try_filter(|file| std::future::ready(patterns.want(file.name())))
            .try_collect()
            .await?;
        let mut deleted = Amount::default();
        for file in found {
            let bytes = file.digests().size;
            match file.delete().await {
                Ok(()) => deleted.add(bytes),
                // Somebody else was faster.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(deleted)
    }

    /// Puts a file of this machine into the run, under its path below `root`, or under its own name
    /// without one. A file with that name is replaced.
    ///
    /// # Errors
    /// `InvalidInput` if the file is not below the root or has no legal name; those of reading and
    /// of the tracker.
    pub async fn upload_file(&self, path: &Path, root: Option<&Path>) -> Result<File> {
        let name = file::name_below(path, root)?;
        let (draft, body) = file::of_disk(path, name).await?;
        self.put_file(draft, body).await
    }

    /// Puts bytes into the run as a file. A file with that name is replaced.
    ///
    /// # Errors
    /// `InvalidInput` if the name is not legal; those of the body and of the tracker.
    pub async fn put_file(&self, draft: FileDraft, body: ByteStream) -> Result<File> {
        let path = &self.record.path;
        let info = self.tracker().put_file(path, draft, body).await?;
        Ok(File::new(Arc::clone(self.tracker()), path.clone(), info))
    }
}
