use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{MemoryTracker, State, contents::Blob, stream_of};
use crate::{
    ArtifactContents, ArtifactDraft, ArtifactStore, ArtifactVersion, ArtifactWriter, ByteStream,
    Collection, CollectionPatch, CollectionPath, Content, Error, ErrorKind, JsonObject,
    ManifestEntry, ManifestHasher, ProjectPath, Result, Timestamp, VersionPatch, VersionRef,
    check_file_name,
};

pub(super) struct CollectionEntry {
    collection: Collection,
    versions: BTreeMap<u64, VersionEntry>,
}

pub(super) struct VersionEntry {
    version: ArtifactVersion,
    manifest: Arc<Manifest>,
}

type Manifest = BTreeMap<String, (ManifestEntry, Option<Arc<Blob>>)>;

impl State {
    fn collection(&self, path: &CollectionPath) -> Result<&CollectionEntry> {
        self.collections
            .get(path)
            .ok_or_else(|| Error::not_found(format_args!("artifact {path}")))
    }

    fn collection_mut(&mut self, path: &CollectionPath) -> Result<&mut CollectionEntry> {
        self.collections
            .get_mut(path)
            .ok_or_else(|| Error::not_found(format_args!("artifact {path}")))
    }

    pub(super) fn version(&self, path: &CollectionPath, index: u64) -> Result<&VersionEntry> {
        let versions = &self.collection(path)?.versions;
        versions
            .get(&index)
            .ok_or_else(|| missing(path, &VersionRef::Index(index)))
    }
}

fn missing(path: &CollectionPath, version: &VersionRef) -> Error {
    Error::not_found(format_args!("version {version} of artifact {path}"))
}

impl CollectionEntry {
    /// The index that a version with this draft gets.
    fn place(&self, draft: &ArtifactDraft) -> Result<u64> {
        let key = draft.source_key.as_ref();
        let same = self.versions.values().map(|v| &v.version);
        let same = same
            .filter(|v| key.is_some() && v.source_key.as_ref() == key)
            .map(|v| v.index)
            .next();
        let next = || {
            self.versions
                .last_key_value()
                .map_or(Some(0), |(last, _)| last.checked_add(1))
        };
        let path = &self.collection.path;
        let index = match draft.index.or(same) {
            Some(index) => index,
            None => next()
                .ok_or_else(|| Error::invalid(format!("artifact {path} has no next index")))?,
        };
        if same != Some(index) && self.versions.contains_key(&index) {
            let message = format!("version v{index} of artifact {path} exists already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        Ok(index)
    }

    /// Puts a version in its place; its aliases leave all others.
    fn put(&mut self, entry: VersionEntry) {
        let aliases = &entry.version.aliases;
        for other in self.versions.values_mut() {
            other
                .version
                .aliases
                .retain(|alias| !aliases.contains(alias));
        }
        let key = &entry.version.source_key;
        self.versions
            .retain(|_, v| key.is_none() || v.version.source_key != *key);
        self.versions.insert(entry.version.index, entry);
    }
}

fn distinct(mut names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[async_trait]
impl ArtifactStore for MemoryTracker {
    fn collections(&self, project: &ProjectPath) -> BoxStream<'static, Result<Collection>> {
        let state = self.state();
        let found = state.project(project).map(|_| {
            let all = state.collections.values().map(|entry| &entry.collection);
            all.filter(|c| c.path.project == *project)
                .cloned()
                .collect::<Vec<_>>()
        });
        stream_of(found)
    }

    async fn upsert_collection(
        &self,
        path: &CollectionPath,
        patch: CollectionPatch,
    ) -> Result<Collection> {
        let mut state = self.state();
        state.project_mut(&path.project);
        let make = || CollectionEntry {
            collection: Collection {
                path: path.clone(),
                kind: "artifact".to_owned(),
                description: None,
                created_at: Timestamp::now(),
                updated_at: None,
                extras: JsonObject::new(),
            },
            versions: BTreeMap::new(),
        };
        let entry = state.collections.entry(path.clone()).or_insert_with(make);
        patch.apply(&mut entry.collection);
        Ok(entry.collection.clone())
    }

    fn versions(&self, path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>> {
        let state = self.state();
        let versions = |entry: &CollectionEntry| -> Vec<ArtifactVersion> {
            entry.versions.values().map(|v| v.version.clone()).collect()
        };
        stream_of(state.collection(path).map(versions))
    }

    async fn version(
        &self,
        path: &CollectionPath,
        version: &VersionRef,
    ) -> Result<ArtifactVersion> {
        let state = self.state();
        let versions = &state.collection(path)?.versions;
        let found = match version {
            VersionRef::Index(index) => versions.get(index),
            VersionRef::Alias(alias) => {
                let named = versions
                    .values()
                    .find(|v| v.version.aliases.contains(alias));
                let latest = || {
                    versions
                        .last_key_value()
                        .filter(|_| alias == "latest")
                        .map(|(_, v)| v)
                };
                named.or_else(latest)
            }
        };
        found
            .map(|v| v.version.clone())
            .ok_or_else(|| missing(path, version))
    }

    async fn update_version(
        &self,
        path: &CollectionPath,
        index: u64,
        patch: VersionPatch,
    ) -> Result<ArtifactVersion> {
        let mut state = self.state();
        let collection = state.collection_mut(path)?;
        let found = collection.versions.remove(&index);
        let mut entry = found.ok_or_else(|| missing(path, &VersionRef::Index(index)))?;
        let version = &mut entry.version;
        if let Some(aliases) = patch.aliases {
            version.aliases = distinct(aliases);
        }
        if let Some(tags) = patch.tags {
            version.tags = tags;
        }
        patch.description.apply(&mut version.description);
        patch.metadata.apply(&mut version.metadata);
        let changed = version.clone();
        collection.put(entry);
        Ok(changed)
    }

    async fn artifact_writer(
        &self,
        path: &CollectionPath,
        draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>> {
        self.state().collection(path)?.place(&draft)?;
        let (tracker, path) = (self.clone(), path.clone());
        Ok(Box::new(MemoryArtifactWriter {
            tracker,
            path,
            draft,
            manifest: Manifest::new(),
        }))
    }
}

struct MemoryArtifactWriter {
    tracker: MemoryTracker,
    path: CollectionPath,
    draft: ArtifactDraft,
    manifest: Manifest,
}

impl fmt::Debug for MemoryArtifactWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryArtifactWriter")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ArtifactWriter for MemoryArtifactWriter {
    async fn add(&mut self, path: &str, content: Content) -> Result<ManifestEntry> {
        check_file_name(path)?;
        if self.manifest.contains_key(path) {
            return Err(Error::invalid(format!(
                "artifact {} has the path {path:?} twice",
                self.path
            )));
        }
        let (blob, reference) = match content {
            Content::Bytes(body) => {
                let blob = Blob::read(body).await?;
                (Some(self.tracker.state().contents.keep(blob)), None)
            }
            Content::Reference(url) => (None, Some(url)),
            Content::Stored(digests) => (Some(self.tracker.state().contents.find(&digests)?), None),
        };
        let digests = blob.as_ref().map(|blob| blob.digests.clone());
        let entry = ManifestEntry {
            path: path.to_owned(),
            digests,
            reference,
        };
        match self.manifest.entry(path.to_owned()) {
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => drop(place.insert((entry.clone(), blob))),
        }
        Ok(entry)
    }

    async fn commit(self: Box<Self>) -> Result<ArtifactVersion> {
        let Self {
            tracker,
            path,
            draft,
            manifest,
        } = *self;
        let mut state = tracker.state();
        let collection = state.collection_mut(&path)?;
        let index = collection.place(&draft)?;
        let mut hasher = ManifestHasher::new();
        manifest
            .values()
            .for_each(|(entry, _)| hasher.update(entry));
        let sizes = manifest
            .values()
            .filter_map(|(entry, _)| Some(entry.digests.as_ref()?.size));
        let version = ArtifactVersion {
            collection: path,
            index,
            digest: hasher.finish(),
            size: sizes.sum(),
            entries: manifest.len() as u64,
            aliases: distinct(draft.aliases),
            tags: draft.tags,
            description: draft.description,
            metadata: draft.metadata,
            ttl_seconds: draft.ttl_seconds,
            created_at: draft.created_at.unwrap_or_else(Timestamp::now),
            logged_by: draft.logged_by,
            source_key: draft.source_key,
        };
        collection.put(VersionEntry {
            version: version.clone(),
            manifest: Arc::new(manifest),
        });
        Ok(version)
    }
}

#[async_trait]
impl ArtifactContents for MemoryTracker {
    fn manifest(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ManifestEntry>> {
        let state = self.state();
        let entries = |version: &VersionEntry| -> Vec<ManifestEntry> {
            version
                .manifest
                .values()
                .map(|(entry, _)| entry.clone())
                .collect()
        };
        stream_of(state.version(path, index).map(entries))
    }

    async fn open_entry(
        &self,
        path: &CollectionPath,
        index: u64,
        entry: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        let state = self.state();
        let place = || format!("{entry:?} in version v{index} of artifact {path}");
        match state.version(path, index)?.manifest.get(entry) {
            Some((_, Some(blob))) => Ok(blob.open(range)),
            Some((_, None)) => {
                let message = format!("open {}: it is a reference", place());
                Err(Error::new(ErrorKind::Unsupported, message))
            }
            None => Err(Error::not_found(format_args!("file {}", place()))),
        }
    }
}
