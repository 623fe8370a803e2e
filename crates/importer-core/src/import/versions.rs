use std::collections::HashMap;

use futures::TryStreamExt;
use tracker_model::{ArtifactVersion, CollectionPath, Result};

use crate::Sink;

/// The versions that the target has of the collection that was asked for last: a source lists one
/// collection after the other, and each is read once.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    of: Option<CollectionPath>,
    by_key: HashMap<String, ArtifactVersion>,
}

impl Versions {
    /// The version that an import made with this source key, if there is one.
    pub(crate) async fn find(
        &mut self,
        sink: &dyn Sink,
        path: &CollectionPath,
        source_key: &str,
    ) -> Result<Option<ArtifactVersion>> {
        if self.of.as_ref() != Some(path) {
            self.of = None;
            self.by_key.clear();
            let mut versions = sink.versions(path);
            while let Some(version) = versions.try_next().await? {
                self.note(version);
            }
            self.of = Some(path.clone());
        }
        Ok(self.by_key.get(source_key).cloned())
    }

    /// A version was made or changed.
    pub(crate) fn put(&mut self, path: &CollectionPath, version: ArtifactVersion) {
        if self.of.as_ref() == Some(path) {
            self.note(version);
        }
    }

    fn note(&mut self, version: ArtifactVersion) {
        if let Some(key) = &version.source_key {
            self.by_key.insert(key.clone(), version);
        }
    }
}
