use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{MemoryTracker, State, artifacts::VersionEntry, stream_of};
use crate::{
    Collection, CollectionPatch, CollectionPath, CollectionStore, Error, ErrorKind, ProjectPath,
    Result, VersionLink,
};

pub(super) struct CollectionEntry {
    pub(super) collection: Collection,
    pub(super) versions: BTreeMap<u64, VersionEntry>,
    /// The greatest index that a version has had.
    last: Option<u64>,
}

impl State {
    pub(super) fn collection(&self, path: &CollectionPath) -> Result<&CollectionEntry> {
        self.collections
            .get(path)
            .ok_or_else(|| Error::not_found(format_args!("artifact {path}")))
    }

    pub(super) fn collection_mut(&mut self, path: &CollectionPath) -> Result<&mut CollectionEntry> {
        self.collections
            .get_mut(path)
            .ok_or_else(|| Error::not_found(format_args!("artifact {path}")))
    }

    /// Gives a collection another name, wherever it is named.
    fn rename(&mut self, from: &CollectionPath, to: &CollectionPath) -> Result<()> {
        if self.collections.contains_key(to) {
            let message = format!("artifact {to} exists already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        if let Some(entry) = self.collections.remove(from) {
            self.collections.insert(to.clone(), entry);
        }
        let versions = self.collections.values_mut();
        let versions = versions.flat_map(|c| c.versions.values_mut());
        let named = versions.flat_map(|v| {
            let link = v.version.link_of.as_mut().map(|link| &mut link.collection);
            link.into_iter().chain([&mut v.version.collection])
        });
        let uses = self.runs.values_mut().flat_map(|run| &mut run.uses);
        for path in named.chain(uses.map(|u| &mut u.collection)) {
            if path == from {
                path.clone_from(to);
            }
        }
        Ok(())
    }

    /// Removes versions with the links to them.
    pub(super) fn remove_versions(&mut self, gone: impl IntoIterator<Item = VersionLink>) {
        let mut gone: HashSet<VersionLink> = gone.into_iter().collect();
        let versions = self.collections.values().flat_map(|c| c.versions.values());
        let links: Vec<VersionLink> = versions
            .filter(|v| {
                v.version
                    .link_of
                    .as_ref()
                    .is_some_and(|of| gone.contains(of))
            })
            .map(VersionEntry::address)
            .collect();
        gone.extend(links);
        for collection in self.collections.values_mut() {
            collection
                .versions
                .retain(|_, v| !gone.contains(&v.address()));
        }
        for run in self.runs.values_mut() {
            let of = |u: &crate::ArtifactUse| VersionLink {
                collection: u.collection.clone(),
                index: u.index,
            };
            run.uses.retain(|u| !gone.contains(&of(u)));
        }
    }
}

impl CollectionEntry {
    /// The index that a version gets: the one it is to have, or the next. `same` is the index of
    /// the version that it replaces.
    pub(super) fn place(&self, wanted: Option<u64>, same: Option<u64>) -> Result<u64> {
        let path = &self.collection.path;
        let next = || self.last.map_or(Some(0), |last| last.checked_add(1));
        let index = match wanted.or(same) {
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
    pub(super) fn put(&mut self, entry: VersionEntry) {
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
        self.last = self.last.max(Some(entry.version.index));
        self.versions.insert(entry.version.index, entry);
    }
}

#[async_trait]
impl CollectionStore for MemoryTracker {
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

    async fn collection(&self, path: &CollectionPath) -> Result<Collection> {
        Ok(self.state().collection(path)?.collection.clone())
    }

    async fn upsert_collection(
        &self,
        path: &CollectionPath,
        patch: CollectionPatch,
    ) -> Result<Collection> {
        // Made by hand, a path may hold any name.
        let path = CollectionPath::new(path.project.clone(), path.name.clone())?;
        let mut state = self.state();
        if let Some(entry) = state.collections.get(&path) {
            let mut changed = entry.collection.clone();
            patch.apply(&mut changed)?;
            if changed.path != path {
                state.rename(&path, &changed.path)?;
            }
            state.collection_mut(&changed.path)?.collection = changed.clone();
            return Ok(changed);
        }
        if patch.name.is_some() {
            return Err(Error::not_found(format_args!("artifact {path}")));
        }
        state.project_mut(&path.project);
        let collection = patch.create(path.clone());
        let entry = CollectionEntry {
            collection: collection.clone(),
            versions: BTreeMap::new(),
            last: None,
        };
        state.collections.insert(path, entry);
        Ok(collection)
    }

    async fn delete_collection(&self, path: &CollectionPath) -> Result<()> {
        let mut state = self.state();
        let versions = &state.collection(path)?.versions;
        let gone: Vec<VersionLink> = versions.values().map(VersionEntry::address).collect();
        state.remove_versions(gone);
        state.collections.remove(path);
        Ok(())
    }
}
