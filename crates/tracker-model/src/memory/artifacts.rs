use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{MemoryTracker, State, collections::CollectionEntry, contents::Blob, stream_of};
use crate::{
    ArtifactContents, ArtifactDraft, ArtifactStore, ArtifactVersion, ArtifactWriter, ByteStream,
    CollectionPath, Content, EntryDraft, Error, ErrorKind, LinkDraft, ManifestEntry,
    ManifestHasher, Result, Timestamp, VersionLink, VersionPatch, VersionRef, artifact::distinct,
    check_file_name,
};

#[derive(Clone)]
pub(super) struct VersionEntry {
    /// What a link says of its target is not kept here: see [`State::shown`].
    pub(super) version: ArtifactVersion,
    manifest: Arc<Manifest>,
}

type Manifest = BTreeMap<String, (ManifestEntry, Option<Arc<Blob>>)>;

impl State {
    pub(super) fn version(&self, path: &CollectionPath, index: u64) -> Result<&VersionEntry> {
        let versions = &self.collection(path)?.versions;
        versions
            .get(&index)
            .ok_or_else(|| missing(path, &VersionRef::Index(index)))
    }

    /// The version that a link stands for, or the version itself.
    fn linked<'a>(&'a self, entry: &'a VersionEntry) -> &'a VersionEntry {
        let link = entry.version.link_of.as_ref();
        let target = link.and_then(|of| self.version(&of.collection, of.index).ok());
        target.unwrap_or(entry)
    }

    /// A version as others see it.
    fn shown(&self, entry: &VersionEntry) -> ArtifactVersion {
        let own = &entry.version;
        if own.link_of.is_none() {
            return own.clone();
        }
        ArtifactVersion {
            collection: own.collection.clone(),
            index: own.index,
            aliases: own.aliases.clone(),
            created_at: own.created_at,
            source_key: None,
            link_of: own.link_of.clone(),
            ..self.linked(entry).version.clone()
        }
    }

    /// Lets links and uses follow a version that gets another index.
    fn moved(&mut self, path: &CollectionPath, from: u64, to: u64) {
        let versions = self.collections.values_mut();
        let links = versions
            .flat_map(|c| c.versions.values_mut())
            .filter_map(|v| v.version.link_of.as_mut());
        for link in links.filter(|l| l.collection == *path && l.index == from) {
            link.index = to;
        }
        let uses = self.runs.values_mut().flat_map(|run| &mut run.uses);
        for entry in uses.filter(|u| u.collection == *path && u.index == from) {
            entry.index = to;
        }
    }
}

fn missing(path: &CollectionPath, version: &VersionRef) -> Error {
    Error::not_found(format_args!("version {version} of artifact {path}"))
}

impl VersionEntry {
    pub(super) fn address(&self) -> VersionLink {
        VersionLink {
            collection: self.version.collection.clone(),
            index: self.version.index,
        }
    }
}

impl CollectionEntry {
    /// The index of the version that a draft replaces, and the one that it gets.
    fn place_of(&self, draft: &ArtifactDraft) -> Result<(Option<u64>, u64)> {
        let path = &self.collection.path;
        if self.collection.portfolio {
            let message = format!("artifact {path} is a portfolio, which holds links alone");
            return Err(Error::invalid(message));
        }
        let key = draft.source_key.as_ref();
        let mut versions = self.versions.values().map(|v| &v.version);
        let same = versions.find(|v| key.is_some() && v.source_key.as_ref() == key);
        let same = same.map(|v| v.index);
        Ok((same, self.place(draft.index, same)?))
    }
}

#[async_trait]
impl ArtifactStore for MemoryTracker {
    fn versions(&self, path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>> {
        let state = self.state();
        let versions = |entry: &CollectionEntry| -> Vec<ArtifactVersion> {
            entry.versions.values().map(|v| state.shown(v)).collect()
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
            .map(|v| state.shown(v))
            .ok_or_else(|| missing(path, version))
    }

    async fn update_version(
        &self,
        path: &CollectionPath,
        index: u64,
        patch: VersionPatch,
    ) -> Result<ArtifactVersion> {
        let mut state = self.state();
        let mut entry = state.version(path, index)?.clone();
        patch.apply(&mut entry.version)?;
        state.collection_mut(path)?.put(entry);
        Ok(state.shown(state.version(path, index)?))
    }

    async fn artifact_writer(
        &self,
        path: &CollectionPath,
        draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>> {
        self.state().collection(path)?.place_of(&draft)?;
        let (tracker, path) = (self.clone(), path.clone());
        Ok(Box::new(MemoryArtifactWriter {
            tracker,
            path,
            draft,
            manifest: Manifest::new(),
        }))
    }

    async fn link_version(
        &self,
        path: &CollectionPath,
        target: &VersionLink,
        draft: LinkDraft,
    ) -> Result<ArtifactVersion> {
        let mut state = self.state();
        let collection = state.collection(path)?;
        if !collection.collection.portfolio {
            return Err(Error::invalid(format!(
                "link {target}: artifact {path} is no portfolio"
            )));
        }
        let target = state.version(&target.collection, target.index)?;
        let target = state.linked(target);
        let link_of = Some(target.address());
        let mut versions = collection.versions.values();
        let mut entry = match versions.find(|v| v.version.link_of == link_of) {
            Some(there) => there.clone(),
            None => VersionEntry {
                version: ArtifactVersion {
                    collection: path.clone(),
                    index: collection.place(draft.index, None)?,
                    aliases: Vec::new(),
                    created_at: draft.created_at.unwrap_or_else(Timestamp::now),
                    source_key: None,
                    link_of,
                    ..target.version.clone()
                },
                manifest: Arc::default(),
            },
        };
        entry.version.aliases.extend(draft.aliases);
        distinct(&mut entry.version.aliases);
        let index = entry.version.index;
        state.collection_mut(path)?.put(entry);
        Ok(state.shown(state.version(path, index)?))
    }

    async fn delete_version(&self, path: &CollectionPath, index: u64) -> Result<()> {
        let mut state = self.state();
        let gone = state.version(path, index)?.address();
        state.remove_versions([gone]);
        Ok(())
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
    async fn add(&mut self, entry: EntryDraft, content: Content) -> Result<ManifestEntry> {
        let EntryDraft { path, extras } = entry;
        check_file_name(&path)?;
        if self.manifest.contains_key(&path) {
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
            path: path.clone(),
            digests,
            reference,
            extras,
        };
        match self.manifest.entry(path) {
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
        let (same, index) = state.collection(&path)?.place_of(&draft)?;
        let mut hasher = ManifestHasher::new();
        manifest
            .values()
            .for_each(|(entry, _)| hasher.update(entry));
        let sizes = manifest
            .values()
            .filter_map(|(entry, _)| Some(entry.digests.as_ref()?.size));
        let mut aliases = draft.aliases;
        distinct(&mut aliases);
        let version = ArtifactVersion {
            collection: path.clone(),
            index,
            digest: hasher.finish(),
            size: sizes.sum(),
            entries: manifest.len() as u64,
            aliases,
            tags: draft.tags,
            description: draft.description,
            metadata: draft.metadata,
            ttl_seconds: draft.ttl_seconds,
            created_at: draft.created_at.unwrap_or_else(Timestamp::now),
            logged_by: draft.logged_by,
            source_key: draft.source_key,
            extras: draft.extras,
            link_of: None,
        };
        state.collection_mut(&path)?.put(VersionEntry {
            version: version.clone(),
            manifest: Arc::new(manifest),
        });
        if let Some(before) = same.filter(|before| *before != index) {
            state.moved(&path, before, index);
        }
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
            let version = state.linked(version);
            version
                .manifest
                .values()
                .map(|(entry, _)| entry.clone())
                .collect()
        };
        stream_of(state.version(path, index).map(entries))
    }

    async fn entry(&self, path: &CollectionPath, index: u64, entry: &str) -> Result<ManifestEntry> {
        let state = self.state();
        let version = state.linked(state.version(path, index)?);
        let found = version.manifest.get(entry).map(|(entry, _)| entry.clone());
        found.ok_or_else(|| {
            Error::not_found(format_args!(
                "file {entry:?} in version v{index} of artifact {path}"
            ))
        })
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
        match state
            .linked(state.version(path, index)?)
            .manifest
            .get(entry)
        {
            Some((_, Some(blob))) => Ok(blob.open(range)),
            Some((_, None)) => {
                let message = format!("open {}: it is a reference", place());
                Err(Error::new(ErrorKind::Unsupported, message))
            }
            None => Err(Error::not_found(format_args!("file {}", place()))),
        }
    }
}
