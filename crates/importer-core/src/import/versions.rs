use std::collections::HashMap;

use futures::TryStreamExt;
use tracker_model::{ArtifactVersion, CollectionPath, Result, VersionLink};

use super::targets::Targets;
use crate::{Sink, SourceLink};

/// The versions that the target has of the collection that was asked for last: a source lists one
/// collection after the other, and each is read once.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    of: Option<CollectionPath>,
    by_key: HashMap<String, ArtifactVersion>,
    by_link: HashMap<VersionLink, ArtifactVersion>,
}

impl Versions {
    /// The version that an import made with this source key, if there is one.
    pub(crate) async fn find(
        &mut self,
        sink: &dyn Sink,
        path: &CollectionPath,
        source_key: &str,
    ) -> Result<Option<ArtifactVersion>> {
        self.read(sink, path).await?;
        Ok(self.by_key.get(source_key).cloned())
    }

    /// The version that stands for another one, if there is one.
    pub(crate) async fn find_link(
        &mut self,
        sink: &dyn Sink,
        path: &CollectionPath,
        target: &VersionLink,
    ) -> Result<Option<ArtifactVersion>> {
        self.read(sink, path).await?;
        Ok(self.by_link.get(target).cloned())
    }

    async fn read(&mut self, sink: &dyn Sink, path: &CollectionPath) -> Result<()> {
        if self.of.as_ref() != Some(path) {
            self.of = None;
            self.by_key.clear();
            self.by_link.clear();
            let mut versions = sink.versions(path);
            while let Some(version) = versions.try_next().await? {
                self.note(version);
            }
            self.of = Some(path.clone());
        }
        Ok(())
    }

    /// A version was made or changed.
    pub(crate) fn put(&mut self, path: &CollectionPath, version: ArtifactVersion) {
        if self.of.as_ref() == Some(path) {
            self.note(version);
        }
    }

    fn note(&mut self, version: ArtifactVersion) {
        if let Some(target) = &version.link_of {
            self.by_link.insert(target.clone(), version);
        } else if let Some(key) = &version.source_key {
            self.by_key.insert(key.clone(), version);
        }
    }

    /// The version in the target that a version of the source links, if it was imported.
    pub(crate) async fn target(
        &mut self,
        sink: &dyn Sink,
        targets: &Targets,
        link: &SourceLink,
    ) -> Result<Option<VersionLink>> {
        let project = targets
            .project(&link.project.id, &link.project.name)
            .await?;
        let collection = CollectionPath::new(project, &link.collection)?;
        let found = self.find(sink, &collection, &link.source_key).await?;
        Ok(found.map(|version| VersionLink {
            collection,
            index: version.index,
        }))
    }
}
