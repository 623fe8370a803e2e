use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ByteStream, Change, Digests, Error, JsonObject, JsonPatch, ProjectPath, Result, RunPath,
    Timestamp,
};

/// `entity/project/collection`: the versions of one artifact.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CollectionPath {
    /// The project that it is in.
    pub project: ProjectPath,
    /// The collection's name: any text that is not empty, has no control character and at most
    /// 512 characters.
    pub name: String,
}

impl CollectionPath {
    /// The address of a collection.
    ///
    /// # Errors
    /// `InvalidInput` if the name is not legal.
    pub fn new(project: ProjectPath, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || name.chars().count() > 512 || name.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "artifact name {:?} is empty, longer than 512 characters or holds a control character",
                name.chars().take(80).collect::<String>()
            )));
        }
        Ok(Self { project, name })
    }
}

impl fmt::Display for CollectionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.name)
    }
}

impl fmt::Debug for CollectionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The versions of one artifact. Source: W&B artifact collection, MLflow registered model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collection {
    /// The address.
    pub path: CollectionPath,
    /// What its versions are, such as `model` or `dataset`.
    pub kind: String,
    /// Free text, Markdown.
    pub description: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed at its source.
    pub updated_at: Option<Timestamp>,
    /// What the source says that this model has no name for, verbatim, under the source's name.
    pub extras: JsonObject,
    /// Whether it holds links to versions of other collections, and nothing else. Source: W&B
    /// portfolio, registry collection.
    #[serde(default)]
    pub portfolio: bool,
}

/// A change to a collection: what it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CollectionPatch {
    /// Another name in the same project, under which the collection goes on with its versions,
    /// their links and their lineage. It does not stay under the old one.
    pub name: Option<String>,
    /// See [`Collection::kind`]; a new collection without it is of the kind `artifact`.
    pub kind: Option<String>,
    /// See [`Collection::description`].
    pub description: Change<String>,
    /// See [`Collection::created_at`]. A new collection without it is created now.
    pub created_at: Option<Timestamp>,
    /// See [`Collection::updated_at`].
    pub updated_at: Change<Timestamp>,
    /// See [`Collection::extras`].
    pub extras: JsonPatch,
    /// See [`Collection::portfolio`]; a new collection without it is none. It is said when the
    /// collection is made and stays so.
    pub portfolio: Option<bool>,
}

impl CollectionPatch {
    /// A change that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The collection that the change makes where there is none; nothing is renamed.
    pub fn create(self, path: CollectionPath) -> Collection {
        let mut collection = Collection {
            path,
            kind: "artifact".to_owned(),
            description: None,
            created_at: Timestamp::now(),
            updated_at: None,
            extras: JsonObject::new(),
            portfolio: self.portfolio.unwrap_or(false),
        };
        self.make(&mut collection);
        collection
    }

    /// Makes the change to a collection that is there.
    ///
    /// # Errors
    /// `InvalidInput` if it says otherwise than the collection whether that is a portfolio, or for a
    /// name that is not legal. That no other collection has the name is the tracker's to check.
    pub fn apply(self, collection: &mut Collection) -> Result<()> {
        if self.portfolio.is_some_and(|p| p != collection.portfolio) {
            let (path, a) = (
                &collection.path,
                if collection.portfolio { "a" } else { "no" },
            );
            let message = format!("artifact {path} is {a} portfolio, and stays what it is");
            return Err(Error::invalid(message));
        }
        if let Some(name) = &self.name {
            let project = collection.path.project.clone();
            collection.path = CollectionPath::new(project, name.as_str())?;
        }
        self.make(collection);
        Ok(())
    }

    fn make(self, collection: &mut Collection) {
        if let Some(kind) = self.kind {
            collection.kind = kind;
        }
        self.description.apply(&mut collection.description);
        collection.created_at = self.created_at.unwrap_or(collection.created_at);
        self.updated_at.apply(&mut collection.updated_at);
        self.extras.apply(&mut collection.extras);
    }
}

/// Which version of a collection: `v3`, or an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionRef {
    /// By its index.
    Index(u64),
    /// By an alias; `latest` is the version with the highest index unless it is set as an alias.
    Alias(String),
}

impl FromStr for VersionRef {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        if s.is_empty() {
            return Err(Error::invalid(
                "the version of an artifact is empty: it needs v0, v1… or an alias",
            ));
        }
        Ok(match s.strip_prefix('v').and_then(|n| n.parse().ok()) {
            Some(index) => Self::Index(index),
            None => Self::Alias(s.to_owned()),
        })
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "v{index}"),
            Self::Alias(alias) => f.write_str(alias),
        }
    }
}

/// One version of an artifact. Its contents never change; its aliases and texts may.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArtifactVersion {
    /// The collection.
    pub collection: CollectionPath,
    /// The number in the collection, as the source had it: gaps stay gaps.
    pub index: u64,
    /// The digest of the manifest, as [`ManifestHasher`] computes it or as the tracker's service
    /// does; the same for the same contents.
    pub digest: String,
    /// Bytes of all entries that are stored here.
    pub size: u64,
    /// Number of entries in the manifest.
    pub entries: u64,
    /// The names that point to this version.
    pub aliases: Vec<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Free text, Markdown.
    pub description: Option<String>,
    /// What the source or the user says of it.
    pub metadata: JsonObject,
    /// Seconds after its creation when it may be deleted, if ever.
    pub ttl_seconds: Option<u64>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The run that logged it.
    pub logged_by: Option<RunPath>,
    /// The identity that an import gave it, so that a repeat finds it again.
    pub source_key: Option<String>,
    /// What the source says that this model has no name for, verbatim, under the source's name.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub extras: JsonObject,
    /// The version that this one stands for, in a portfolio. What such a link says of itself is
    /// its place, its aliases and when it was made; all else is what the linked version says now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_of: Option<VersionLink>,
}

/// A version that another one stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VersionLink {
    /// The collection.
    pub collection: CollectionPath,
    /// The version's index.
    pub index: u64,
}

impl fmt::Display for VersionLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:v{}", self.collection, self.index)
    }
}

/// A link that is to be made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LinkDraft {
    /// The number it must have; `None` takes the next. Known with
    /// [`crate::Capabilities::version_indices`].
    pub index: Option<u64>,
    /// Aliases that it gets beside those it has. They move here from any other version.
    pub aliases: Vec<String>,
    /// When it was made; `None` is now.
    pub created_at: Option<Timestamp>,
}

impl LinkDraft {
    /// A link without aliases.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`aliases`](Self::aliases).
    #[must_use]
    pub fn with_aliases<A: Into<String>>(mut self, aliases: impl IntoIterator<Item = A>) -> Self {
        self.aliases = aliases.into_iter().map(Into::into).collect();
        self
    }
}

/// A version that is to be made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ArtifactDraft {
    /// The number it must have; `None` takes the next.
    pub index: Option<u64>,
    /// See [`ArtifactVersion::aliases`]. An alias moves here from any other version.
    pub aliases: Vec<String>,
    /// See [`ArtifactVersion::tags`].
    pub tags: Vec<String>,
    /// See [`ArtifactVersion::description`].
    pub description: Option<String>,
    /// See [`ArtifactVersion::metadata`].
    pub metadata: JsonObject,
    /// See [`ArtifactVersion::ttl_seconds`].
    pub ttl_seconds: Option<u64>,
    /// See [`ArtifactVersion::created_at`]; `None` is now.
    pub created_at: Option<Timestamp>,
    /// See [`ArtifactVersion::logged_by`].
    pub logged_by: Option<RunPath>,
    /// See [`ArtifactVersion::source_key`]. If a version of the collection has this key already,
    /// committing updates that version's texts, aliases and contents.
    pub source_key: Option<String>,
    /// See [`ArtifactVersion::extras`].
    pub extras: JsonObject,
}

impl ArtifactDraft {
    /// A version with nothing said of it.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A change to a version: what it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VersionPatch {
    /// The aliases it shall have, all of them. They move here from other versions.
    pub aliases: Option<Vec<String>>,
    /// The labels it shall have, all of them.
    pub tags: Option<Vec<String>>,
    /// See [`ArtifactVersion::description`].
    pub description: Change<String>,
    /// See [`ArtifactVersion::metadata`].
    pub metadata: JsonPatch,
    /// See [`ArtifactVersion::ttl_seconds`].
    pub ttl_seconds: Change<u64>,
    /// See [`ArtifactVersion::extras`].
    pub extras: JsonPatch,
}

impl VersionPatch {
    /// A change that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the change. That aliases leave other versions is the tracker's to do.
    ///
    /// # Errors
    /// `InvalidInput` for a link, unless only its aliases change.
    pub fn apply(self, version: &mut ArtifactVersion) -> Result<()> {
        let Self { aliases, .. } = &self;
        let aliases_only = Self {
            aliases: aliases.clone(),
            ..Self::default()
        };
        if let (Some(link), true) = (&version.link_of, self != aliases_only) {
            let (path, index) = (&version.collection, version.index);
            let message = format!(
                "version v{index} of artifact {path} is a link, whose aliases alone are its own"
            );
            return Err(Error::invalid(message).with_hint(format!("change {link}, which it links")));
        }
        if let Some(aliases) = self.aliases {
            version.aliases = aliases;
            distinct(&mut version.aliases);
        }
        if let Some(tags) = self.tags {
            version.tags = tags;
        }
        self.description.apply(&mut version.description);
        self.metadata.apply(&mut version.metadata);
        self.ttl_seconds.apply(&mut version.ttl_seconds);
        self.extras.apply(&mut version.extras);
        Ok(())
    }
}

/// Leaves each name where it comes first.
pub(crate) fn distinct(names: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
}

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The path inside the artifact; see [`crate::check_file_name`].
    pub path: String,
    /// Size and digests; `None` for a reference that nobody has read.
    pub digests: Option<Digests>,
    /// The URL where the contents are, if they are not here.
    pub reference: Option<String>,
    /// What the source says that this model has no name for, verbatim, under the source's name.
    /// It is no part of the digest of a version.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub extras: JsonObject,
}

/// A file of an artifact that is to be added.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EntryDraft {
    /// See [`ManifestEntry::path`].
    pub path: String,
    /// See [`ManifestEntry::extras`].
    pub extras: JsonObject,
}

impl EntryDraft {
    /// A file of which nothing is known but its path.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            extras: JsonObject::new(),
        }
    }
}

impl From<&str> for EntryDraft {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

/// Computes [`ArtifactVersion::digest`], entry by entry in byte order of their paths.
///
/// An entry is written as its path, the 64 hexadecimal digits of its BLAKE3 digest (nothing if it
/// is unknown) and its reference (nothing if it has none), each with its length in bytes (8 bytes,
/// little endian) in front.
#[derive(Clone, Default)]
pub struct ManifestHasher(blake3::Hasher);

impl ManifestHasher {
    /// No entry yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next entry.
    pub fn update(&mut self, entry: &ManifestEntry) {
        let hash = entry.digests.as_ref().map_or("", |d| &d.blake3);
        let reference = entry.reference.as_deref().unwrap_or_default();
        for text in [&entry.path, hash, reference] {
            self.0.update(&(text.len() as u64).to_le_bytes());
            self.0.update(text.as_bytes());
        }
    }

    /// The digest of all entries, 64 hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

impl fmt::Debug for ManifestHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestHasher").finish_non_exhaustive()
    }
}

/// Where the contents of a new entry come from.
pub enum Content {
    /// From these bytes.
    Bytes(ByteStream),
    /// They stay at this URL.
    Reference(String),
    /// The tracker holds contents with these digests already. `NotFound` if it does not.
    Stored(Digests),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(_) => f.write_str("Bytes"),
            Self::Reference(_) => f.write_str("Reference"),
            Self::Stored(digests) => write!(f, "Stored({digests:?})"),
        }
    }
}

/// What a run did with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseRole {
    /// It made the version.
    Logged,
    /// It read the version.
    Used,
}

/// A run and a version that have to do with each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArtifactUse {
    /// The run.
    pub run: RunPath,
    /// The collection.
    pub collection: CollectionPath,
    /// The version's index.
    pub index: u64,
    /// What the run did.
    pub role: UseRole,
    /// At which step, if the source says so. Source: MLflow `outputs.model_outputs[].step`.
    pub step: Option<i64>,
}
