use std::{collections::HashSet, fmt, sync::Arc};

use async_trait::async_trait;
use rusqlite::Connection;
use tracker_model::{
    ArtifactDraft, ArtifactVersion, ArtifactWriter, CollectionPath, Content, Digests, EntryDraft,
    Error, JsonObject, ManifestEntry, Result, check_file_name,
};

use crate::{
    catalog::{Outcome, artifacts, blobs},
    storage::{BlobBody, Incoming, NamedLock, Storage},
    store::{EmbeddedStore, blocking},
};

/// Entries and bytes that wait for a common transaction.
const GROUP: usize = 256;
const GROUP_BYTES: u64 = 1 << 20;

/// Makes one version. Its entries are kept in a manifest that no version has yet, under a lock
/// that tells the sweep that somebody is at work.
pub(super) struct StoreArtifactWriter {
    store: EmbeddedStore,
    path: CollectionPath,
    draft: ArtifactDraft,
    manifest: Option<(i64, NamedLock)>,
    waiting: Vec<Pending>,
    waiting_bytes: u64,
    /// Hashes of the paths so far.
    paths: HashSet<[u8; 16]>,
    failed: bool,
}

struct Pending {
    path: String,
    extras: JsonObject,
    what: What,
}

enum What {
    New(Box<Incoming>),
    Reference(String),
    Stored(Digests),
}

impl fmt::Debug for StoreArtifactWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreArtifactWriter")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl StoreArtifactWriter {
    pub(super) fn new(store: &EmbeddedStore, path: CollectionPath, draft: ArtifactDraft) -> Self {
        Self {
            store: store.clone(),
            path,
            draft,
            manifest: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            paths: HashSet::new(),
            failed: false,
        }
    }

    /// Puts what waits into the manifest.
    async fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.failed = true;
        let inner = self.store.inner();
        if self.manifest.is_none() {
            let create = inner
                .catalog
                .write("write an artifact", artifacts::create_manifest)
                .await?;
            let locked = Arc::clone(&inner);
            let lock = blocking("lock an artifact", move || {
                NamedLock::take(
                    &locked.storage,
                    &Storage::manifest_lock(create),
                    "the artifact",
                )
            });
            self.manifest = Some((create, lock.await?));
        }
        if let Some((manifest, _)) = &self.manifest {
            let (manifest, storage) = (*manifest, inner.storage.clone());
            let add = move |c: &Connection| add_all(c, &storage, manifest, waiting);
            inner.catalog.write("write an artifact", add).await?;
        }
        self.failed = false;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.failed {
            return Err(Error::invalid(format!(
                "write artifact {}: an earlier call failed",
                self.path
            )));
        }
        Ok(())
    }
}

fn add_all(c: &Connection, storage: &Storage, manifest: i64, waiting: Vec<Pending>) -> Outcome<()> {
    for Pending { path, extras, what } in waiting {
        let (blob, reference) = match what {
            What::New(incoming) => (Some(blobs::ensure(c, storage, *incoming)?), None),
            What::Stored(digests) => (Some(blobs::require(c, storage, &digests)?), None),
            What::Reference(url) => (None, Some(url)),
        };
        artifacts::add_entry(c, manifest, &path, blob, reference.as_deref(), &extras)?;
    }
    Ok(())
}

#[async_trait]
impl ArtifactWriter for StoreArtifactWriter {
    async fn add(&mut self, entry: EntryDraft, content: Content) -> Result<ManifestEntry> {
        self.check()?;
        let EntryDraft { path, extras, .. } = entry;
        check_file_name(&path)?;
        let mut hash = [0; 16];
        blake3::Hasher::new()
            .update(path.as_bytes())
            .finalize_xof()
            .fill(&mut hash);
        if self.paths.contains(&hash) {
            return Err(Error::invalid(format!(
                "artifact {} is given {path:?} twice",
                self.path
            )));
        }
        let mut entry = ManifestEntry {
            path: path.clone(),
            digests: None,
            reference: None,
            extras: extras.clone(),
        };
        let what = match content {
            Content::Bytes(body) => {
                let incoming = self.store.receive(body).await?;
                entry.digests = Some(incoming.digests.clone());
                if matches!(incoming.body, BlobBody::Inline(_)) {
                    self.waiting_bytes += incoming.digests.size;
                }
                What::New(Box::new(incoming))
            }
            Content::Reference(url) => {
                entry.reference = Some(url.clone());
                What::Reference(url)
            }
            Content::Stored(digests) => {
                let (storage, wanted) = (self.store.inner().storage.clone(), digests.clone());
                let find = move |c: &_| blobs::require(c, &storage, &wanted);
                self.store.catalog().read("write an artifact", find).await?;
                entry.digests = Some(digests.clone());
                What::Stored(digests)
            }
        };
        // Contents in a file are named in the catalog soon, so that no sweep takes them.
        let urgent =
            matches!(&what, What::New(incoming) if !matches!(incoming.body, BlobBody::Inline(_)));
        self.waiting.push(Pending { path, extras, what });
        self.paths.insert(hash);
        if self.waiting.len() >= GROUP || self.waiting_bytes >= GROUP_BYTES || urgent {
            self.flush().await?;
        }
        Ok(entry)
    }

    async fn commit(mut self: Box<Self>) -> Result<ArtifactVersion> {
        self.check()?;
        let waiting = std::mem::take(&mut self.waiting);
        let inner = self.store.inner();
        let (path, draft, storage) = (self.path.clone(), self.draft.clone(), inner.storage.clone());
        let manifest = self.manifest.as_ref().map(|(id, _)| *id);
        let commit = move |c: &Connection| {
            let manifest = manifest.map_or_else(|| artifacts::create_manifest(c), Ok)?;
            add_all(c, &storage, manifest, waiting)?;
            artifacts::put_version(c, &path, &draft, manifest)
        };
        let version = inner.catalog.write("commit an artifact", commit).await?;
        self.manifest = None;
        Ok(version)
    }
}

impl Drop for StoreArtifactWriter {
    fn drop(&mut self) {
        // Does nothing to a manifest that has become a version's.
        if let Some((manifest, lock)) = self.manifest.take() {
            self.store.catalog().try_write("drop a draft", move |c| {
                let _held = lock;
                artifacts::drop_manifest(c, manifest)
            });
        }
    }
}
