use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::Connection;
use tracker_model::Result;

use super::{EmbeddedStore, Inner, blocking};
use crate::{
    catalog::{artifacts, sweep},
    error::Doing,
    storage::{NamedLock, Storage},
};

/// Things that are removed in one transaction.
const GROUP: usize = 200;

/// Nothing younger is taken for forgotten, whatever the options say: it may be between two steps.
const FRESH: Duration = Duration::from_secs(60);

/// What [`EmbeddedStore::gc`] removes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GcOptions {
    /// Only what is older; by default an hour.
    pub grace: Duration,
    /// Histories that a writer has staged and not committed, and that nobody has gone on with for
    /// so long; by default 7 days.
    pub staged_for: Duration,
    /// Removes nothing, and says what would be.
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(3600),
            staged_for: Duration::from_secs(7 * 24 * 3600),
            dry_run: false,
        }
    }
}

impl GcOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`grace`](Self::grace).
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets [`staged_for`](Self::staged_for).
    #[must_use]
    pub fn with_staged_for(mut self, staged_for: Duration) -> Self {
        self.staged_for = staged_for;
        self
    }

    /// Sets [`dry_run`](Self::dry_run).
    #[must_use]
    pub fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What [`EmbeddedStore::gc`] removed, or would have.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct GcReport {
    /// Contents that no file and no artifact has.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Files in the folders of the store that the catalog does not name: what a crash left.
    pub orphans: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// Staged histories that nobody has gone on with.
    pub staged: u64,
    /// Their bytes.
    pub staged_bytes: u64,
    /// Artifacts whose writer ended before its commit.
    pub drafts: u64,
}

impl GcReport {
    /// All bytes together.
    pub fn bytes(&self) -> u64 {
        self.blob_bytes + self.orphan_bytes + self.staged_bytes
    }
}

impl EmbeddedStore {
    /// Removes what nothing refers to. Safe beside readers and writers, in this process and in
    /// others: what somebody is writing is locked, what has just been written is young, and what
    /// is removed is removed in a transaction in which nobody can begin to refer to it.
    ///
    /// # Errors
    /// `PermissionDenied` in a read-only store, unless it is a dry run; `Unavailable`.
    pub async fn gc(&self, options: GcOptions) -> Result<GcReport> {
        if !options.dry_run {
            self.catalog().check_writable()?;
        }
        let mut gc = Gc {
            inner: self.inner(),
            options,
            report: GcReport::default(),
        };
        gc.drafts().await?;
        gc.staged().await?;
        gc.blobs().await?;
        gc.orphans().await?;
        gc.temporary().await?;
        if !gc.options.dry_run {
            gc.inner.catalog.shrink().await?;
        }
        Ok(gc.report)
    }
}

struct Gc {
    inner: Arc<Inner>,
    options: GcOptions,
    report: GcReport,
}

impl Gc {
    /// Takes a lock that only the living hold.
    async fn lock(&self, name: String) -> Result<Option<NamedLock>> {
        let inner = Arc::clone(&self.inner);
        blocking("look for a lock", move || {
            NamedLock::try_take(&inner.storage, &name)
        })
        .await
    }

    async fn drafts(&mut self) -> Result<()> {
        let cutoff = sweep::cutoff(self.options.grace.max(FRESH));
        let find = move |c: &_| sweep::loose_manifests(c, cutoff);
        for manifest in self.inner.catalog.read("look for drafts", find).await? {
            let Some(lock) = self.lock(Storage::manifest_lock(manifest)).await? else {
                continue;
            };
            self.report.drafts += 1;
            if !self.options.dry_run {
                let remove = move |c: &_| artifacts::drop_manifest(c, manifest);
                self.inner.catalog.write("remove a draft", remove).await?;
            }
            drop(lock);
        }
        Ok(())
    }

    async fn staged(&mut self) -> Result<()> {
        let cutoff = sweep::cutoff(self.options.staged_for);
        let find = move |c: &_| sweep::waiting(c, cutoff);
        for waiting in self
            .inner
            .catalog
            .read("look for staged histories", find)
            .await?
        {
            let name = Storage::history_lock(waiting.run, waiting.stream);
            let Some(lock) = self.lock(name).await? else {
                continue;
            };
            self.report.staged += 1;
            self.report.staged_bytes += waiting.bytes;
            if !self.options.dry_run {
                let id = waiting.id;
                self.inner
                    .catalog
                    .write("remove a staged history", move |c| {
                        sweep::drop_waiting(c, id)
                    })
                    .await?;
                super::history::remove_files(&self.inner, waiting.path.into_iter().collect()).await;
            }
            drop(lock);
        }
        Ok(())
    }

    async fn blobs(&mut self) -> Result<()> {
        let (age, dry_run) = (self.options.grace, self.options.dry_run);
        let cutoff = sweep::cutoff(age);
        let mut after = 0;
        loop {
            let find = move |c: &_| sweep::loose_blobs(c, after, cutoff, GROUP);
            let found = self
                .inner
                .catalog
                .read("look for contents that nothing uses", find)
                .await?;
            let Some(last) = found.last() else {
                return Ok(());
            };
            after = last.id;
            let removed = if dry_run {
                found.iter().map(|b| b.size).collect()
            } else {
                let storage = self.inner.storage.clone();
                let (from, to) = (found.first().map_or(0, |b| b.id) - 1, after);
                let remove = move |c: &Connection| {
                    let mut removed = Vec::new();
                    // Asked again, as somebody may use them now.
                    for blob in sweep::loose_blobs(c, from, cutoff, GROUP)?
                        .iter()
                        .filter(|b| b.id <= to)
                    {
                        if sweep::remove_blob(c, &storage, blob, age)? {
                            removed.push(blob.size);
                        }
                    }
                    Ok(removed)
                };
                self.inner
                    .catalog
                    .write("remove contents that nothing uses", remove)
                    .await?
            };
            self.report.blobs += removed.len() as u64;
            self.report.blob_bytes += removed.iter().sum::<u64>();
        }
    }

    /// Files that the catalog does not name.
    async fn orphans(&mut self) -> Result<()> {
        let storage = self.inner.storage.clone();
        for (root, known) in [
            (
                storage.blobs(),
                (|c, path| sweep::knows_blob(c, file_name(path))) as Known,
            ),
            (storage.history(), |c, path| sweep::knows_history(c, path)),
        ] {
            let (walker, age) = (root.clone(), self.options.grace);
            let mut files = blocking("look for files", move || Ok(Files::new(walker))).await?;
            loop {
                let next = move || {
                    let mut group = Vec::new();
                    while group.len() < GROUP {
                        let Some(path) = files.next().transpose()? else {
                            break;
                        };
                        if sweep::is_old(&path, age)
                            .doing(format_args!("read {}", path.display()))?
                            .is_some()
                        {
                            group.push(path);
                        }
                    }
                    Ok((files, group))
                };
                let (rest, group) = blocking("look for files", next).await?;
                files = rest;
                if group.is_empty() {
                    break;
                }
                self.remove_orphans(&root, group, known).await?;
            }
        }
        Ok(())
    }

    async fn remove_orphans(
        &mut self,
        root: &Path,
        group: Vec<PathBuf>,
        known: Known,
    ) -> Result<()> {
        let (root, age, dry_run) = (root.to_owned(), self.options.grace, self.options.dry_run);
        let look = move |c: &Connection| {
            let mut removed = Vec::new();
            for path in group {
                let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy();
                if known(c, &name)? {
                    continue;
                }
                let doing = || format!("remove {}", path.display());
                if let Some(size) = sweep::is_old(&path, age).doing(doing())? {
                    removed.push(size);
                    if !dry_run {
                        fs::remove_file(&path).doing(doing())?;
                    }
                }
            }
            Ok(removed)
        };
        let removed = if dry_run {
            self.inner.catalog.read("look for orphans", look).await?
        } else {
            self.inner.catalog.write("remove orphans", look).await?
        };
        self.report.orphans += removed.len() as u64;
        self.report.orphan_bytes += removed.iter().sum::<u64>();
        Ok(())
    }

    /// What dead processes were writing.
    async fn temporary(&mut self) -> Result<()> {
        let (inner, dry_run) = (Arc::clone(&self.inner), self.options.dry_run);
        let look = move || {
            let mut removed = Vec::new();
            for path in Files::new(inner.storage.tmp()) {
                let path = path?;
                let doing = || format!("remove {}", path.display());
                let Some(size) = sweep::is_old(&path, FRESH).doing(doing())? else {
                    continue;
                };
                // Whoever lives has it locked. Locked here until it is gone, so that nobody takes
                // a lock that is about to vanish.
                let Ok(file) = File::open(&path) else {
                    continue;
                };
                if file.try_lock().is_ok() {
                    removed.push(size);
                    if !dry_run {
                        fs::remove_file(&path).doing(doing())?;
                    }
                }
            }
            Ok(removed)
        };
        let removed: Vec<u64> = blocking("remove temporary files", look).await?;
        self.report.orphans += removed.len() as u64;
        self.report.orphan_bytes += removed.iter().sum::<u64>();
        Ok(())
    }
}

/// Whether the catalog names the file with this path below its folder.
type Known = fn(&Connection, &str) -> crate::catalog::Outcome<bool>;

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The files below a folder, folder by folder.
pub(super) struct Files {
    folders: Vec<PathBuf>,
    open: Option<fs::ReadDir>,
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            folders: vec![root],
            open: None,
        }
    }
}

impl Iterator for Files {
    type Item = Result<PathBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(open) = &mut self.open else {
                let folder = self.folders.pop()?;
                match fs::read_dir(&folder) {
                    Ok(open) => self.open = Some(open),
                    // A run was deleted meanwhile.
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                    Err(e) => {
                        return Some(
                            Err(e).doing(format_args!("read the folder {}", folder.display())),
                        );
                    }
                }
                continue;
            };
            match open.next() {
                None => self.open = None,
                Some(Err(e)) => return Some(Err(e).doing("read a folder")),
                Some(Ok(entry)) => match entry.file_type() {
                    Ok(kind) if kind.is_dir() => self.folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => return Some(Ok(entry.path())),
                    _ => {}
                },
            }
        }
    }
}
