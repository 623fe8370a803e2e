//! Artifacts: versions, and those that will be.

use std::{collections::HashSet, sync::Arc};

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use futures::TryStreamExt;
use serde_json::Value as Json;
use tracker_model::{
    ArtifactVersion, CollectionPatch, ErrorKind, ManifestEntry, Result, RunPath, UseRole,
    VersionLink,
};

use super::{
    Asked, GraphResult,
    collection::{
        ArtifactAlias, ArtifactCollection, ArtifactSequence, ArtifactTypeNode, CollectionNode, Tag,
    },
    exact, found,
    page::{connection, page_of, wanted},
    project::RunConnection,
    run::{FileConnection, FileList, FileNode, RunNode},
    scalars::{DateTime, Int64, JsonString},
    told,
};
use crate::{
    artifacts::{
        find::{self, Found, id_of, id_of_key, place_of},
        records::Sketch,
    },
    ids,
    signed::Grant,
    wire,
};

/// As many entries are looked for one by one; for more the whole manifest is read.
const FEW: usize = 20;

connection!(ArtifactConnection, ArtifactEdge, ArtifactNode);
connection!(
    ArtifactCollectionMembershipConnection,
    ArtifactCollectionMembershipEdge,
    ArtifactCollectionMembership
);

/// How far an artifact has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ArtifactState {
    /// It is being uploaded.
    Pending,
    /// It is a version.
    Committed,
    /// It was a version.
    Deleted,
}

/// An entry of a manifest, by its path.
#[derive(Debug, InputObject)]
pub(crate) struct ArtifactManifestEntryInput {
    name: String,
    digest: Option<String>,
    #[graphql(name = "birthArtifactID")]
    birth_artifact_id: Option<ID>,
}

/// How digests of artifacts are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ArtifactDigestAlgorithm {
    /// The MD5 of the manifest.
    #[graphql(name = "MANIFEST_MD5")]
    ManifestMd5,
    /// The XXH128 of the manifest.
    #[graphql(name = "MANIFEST_XXH128")]
    ManifestXxh128,
}

/// An artifact. What stands for it in a portfolio is not one, but a membership.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactNode {
    id: String,
    state: ArtifactState,
    version: Arc<ArtifactVersion>,
}

impl ArtifactNode {
    /// A version that is no link.
    pub(crate) fn committed(version: ArtifactVersion) -> Self {
        Self {
            id: id_of(&version),
            state: ArtifactState::Committed,
            version: Arc::new(version),
        }
    }

    pub(crate) fn deleted(version: ArtifactVersion) -> Self {
        Self {
            state: ArtifactState::Deleted,
            ..Self::committed(version)
        }
    }

    fn pending(key: &str, sketch: Sketch) -> Self {
        let mut extras = tracker_model::JsonObject::new();
        let said = serde_json::json!({"digest": sketch.digest, "historyStep": sketch.history_step});
        extras.insert(wire::EXTRAS.to_owned(), said);
        let id = id_of_key(key);
        let version = ArtifactVersion {
            collection: sketch.collection,
            index: 0,
            digest: String::new(),
            size: 0,
            entries: 0,
            aliases: sketch.aliases,
            tags: sketch.tags,
            description: sketch.description,
            metadata: sketch.metadata,
            ttl_seconds: sketch.ttl_seconds,
            created_at: sketch.created_at,
            logged_by: sketch.run,
            source_key: Some(id.clone()),
            extras,
            link_of: None,
        };
        Self {
            id,
            state: ArtifactState::Pending,
            version: Arc::new(version),
        }
    }

    pub(crate) fn of(found: Found) -> Self {
        match found {
            Found::Pending { key, sketch } => Self::pending(&key, *sketch),
            Found::Version(version) => Self::committed(*version),
        }
    }

    /// What a version or a link stands for, if the viewer may read that.
    pub(crate) async fn source(asked: &Asked, version: ArtifactVersion) -> Result<Option<Self>> {
        match find::source_of(&asked.app, &asked.viewer, version).await {
            Ok(version) => Ok(Some(Self::committed(version))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The collection; one that is not there yet while its first version is uploaded.
    async fn collection(&self, ctx: &Context<'_>) -> GraphResult<CollectionNode> {
        let asked = Asked::of(ctx)?;
        let path = &self.version.collection;
        if let Some(known) = found(asked.app.tracker.collection(path).await)? {
            return Ok(CollectionNode::new(known));
        }
        let mut patch = CollectionPatch::new();
        if let Some(key) = find::key_of_id(&self.id) {
            let sketch = find::records(&asked.app).get(&key).await.map_err(told)?;
            patch.kind = sketch.map(|sketch| sketch.kind);
        }
        Ok(CollectionNode::new(patch.create(path.clone())))
    }
}

#[Object(name = "Artifact")]
impl ArtifactNode {
    async fn id(&self) -> ID {
        ID(self.id.clone())
    }

    /// The collection that it was logged to.
    async fn artifact_sequence(&self, ctx: &Context<'_>) -> GraphResult<ArtifactSequence> {
        Ok(ArtifactSequence(self.collection(ctx).await?))
    }

    async fn version_index(&self) -> Option<i64> {
        match self.state {
            ArtifactState::Pending => None,
            _ => i64::try_from(self.version.index).ok(),
        }
    }

    async fn artifact_type(&self, ctx: &Context<'_>) -> GraphResult<ArtifactTypeNode> {
        let collection = self.collection(ctx).await?;
        Ok(collection.kind())
    }

    async fn description(&self) -> Option<&str> {
        self.version.description.as_deref()
    }

    async fn metadata(&self) -> Option<JsonString> {
        let metadata = &self.version.metadata;
        (!metadata.is_empty()).then(|| JsonString(Json::Object(metadata.clone()).to_string()))
    }

    /// -2 without one.
    async fn ttl_duration_seconds(&self) -> Int64 {
        let seconds = self
            .version
            .ttl_seconds
            .and_then(|seconds| i64::try_from(seconds).ok());
        Int64(seconds.unwrap_or(-2))
    }

    async fn ttl_is_inherited(&self) -> bool {
        self.version.ttl_seconds.is_none()
    }

    async fn tags(&self) -> Vec<Tag> {
        self.version.tags.iter().map(|tag| Tag::new(tag)).collect()
    }

    async fn history_step(&self) -> Option<Int64> {
        wire::own(&self.version.extras, "historyStep")?
            .as_i64()
            .map(Int64)
    }

    async fn state(&self) -> ArtifactState {
        self.state
    }

    /// Bytes, those of references too, as far as they are known.
    async fn size(&self) -> Int64 {
        let referenced = wire::own(&self.version.extras, "referencedBytes");
        let referenced = referenced.and_then(Json::as_u64).unwrap_or(0);
        let size = self.version.size.saturating_add(referenced);
        Int64(i64::try_from(size).unwrap_or(i64::MAX))
    }

    async fn digest(&self, ctx: &Context<'_>) -> GraphResult<String> {
        find::digest_of(&Asked::of(ctx)?.app, &self.version)
            .await
            .map_err(told)
    }

    async fn digest_algorithm(&self) -> ArtifactDigestAlgorithm {
        ArtifactDigestAlgorithm::ManifestMd5
    }

    /// What the tracker computed of the contents.
    async fn commit_hash(&self) -> Option<&str> {
        (self.state != ArtifactState::Pending).then_some(&self.version.digest)
    }

    async fn file_count(&self) -> Int64 {
        Int64(i64::try_from(self.version.entries).unwrap_or(i64::MAX))
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.version.created_at)
    }

    async fn updated_at(&self) -> Option<DateTime> {
        None
    }

    /// The aliases in the collection that it was logged to, and those in portfolios.
    async fn aliases(&self, ctx: &Context<'_>) -> GraphResult<Vec<ArtifactAlias>> {
        let asked = Asked::of(ctx)?;
        let collection = self.collection(ctx).await?;
        let mut aliases = collection.aliases_of(&self.version);
        if self.state == ArtifactState::Committed {
            let links = find::links_of(&asked.app, &asked.viewer, &self.version).await;
            for link in links.map_err(told)? {
                let portfolio = asked
                    .app
                    .tracker
                    .collection(&link.collection)
                    .await
                    .map_err(told)?;
                let portfolio = CollectionNode::new(portfolio);
                // Old clients learn the number of a link from its aliases alone.
                aliases.push(portfolio.number_of(&link));
                aliases.extend(portfolio.aliases_of(&link));
            }
        }
        Ok(aliases)
    }

    async fn current_manifest(&self) -> Option<ArtifactManifest> {
        (self.state == ArtifactState::Committed).then(|| ArtifactManifest {
            id: self.id.clone(),
            at: place_of(&self.version),
        })
    }

    /// The files, by path.
    async fn files(
        &self,
        ctx: &Context<'_>,
        names: Option<Vec<String>>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<FileConnection> {
        if self.state != ArtifactState::Committed {
            return Ok(FileConnection::new(FileList::all(Vec::new())));
        }
        files(Asked::of(ctx)?, &self.version, names, after, first).await
    }

    /// The files of these entries of its manifest.
    async fn files_by_manifest_entries(
        &self,
        ctx: &Context<'_>,
        entries: Option<Vec<ArtifactManifestEntryInput>>,
        storage_layout: Option<String>,
        manifest_version: Option<String>,
        storage_region: Option<String>,
    ) -> GraphResult<FileConnection> {
        let _ = (storage_layout, manifest_version, storage_region);
        let names: Vec<String> = entries
            .unwrap_or_default()
            .into_iter()
            .map(|e| e.name)
            .collect();
        if names.is_empty() || self.state != ArtifactState::Committed {
            return Ok(FileConnection::new(FileList::all(Vec::new())));
        }
        files(Asked::of(ctx)?, &self.version, Some(names), None, None).await
    }

    /// The run that made it.
    async fn created_by(&self, ctx: &Context<'_>) -> GraphResult<Option<RunNode>> {
        let Some(run) = &self.version.logged_by else {
            return Ok(None);
        };
        visible_run(Asked::of(ctx)?, run).await.map_err(told)
    }

    /// The runs that used it.
    async fn used_by(&self, ctx: &Context<'_>) -> GraphResult<RunConnection> {
        let asked = Asked::of(ctx)?;
        let mut runs: Vec<RunPath> = Vec::new();
        if self.state == ArtifactState::Committed {
            let version = &self.version;
            let mut uses = asked
                .app
                .tracker
                .uses_of_version(&version.collection, version.index);
            while let Some(entry) = uses.try_next().await.map_err(told)? {
                if entry.role == UseRole::Used && !runs.contains(&entry.run) {
                    runs.push(entry.run);
                }
            }
        }
        let mut nodes = Vec::new();
        for run in runs {
            nodes.extend(visible_run(asked, &run).await.map_err(told)?);
        }
        Ok(RunConnection::all(nodes))
    }

    async fn trackway(&self, ctx: &Context<'_>) -> GraphResult<Option<JsonString>> {
        let viewer = &Asked::of(ctx)?.viewer;
        Ok(exact::version_text(viewer, &self.version))
    }

    /// Where it is: in its own collection and in portfolios.
    async fn artifact_memberships(
        &self,
        ctx: &Context<'_>,
    ) -> GraphResult<ArtifactCollectionMembershipConnection> {
        let asked = Asked::of(ctx)?;
        let mut nodes = Vec::new();
        if self.state == ArtifactState::Committed {
            nodes.push(ArtifactCollectionMembership::new((*self.version).clone()));
            let links = find::links_of(&asked.app, &asked.viewer, &self.version).await;
            nodes.extend(
                links
                    .map_err(told)?
                    .into_iter()
                    .map(ArtifactCollectionMembership::new),
            );
        }
        Ok(ArtifactCollectionMembershipConnection::all(nodes))
    }
}

async fn visible_run(asked: &Asked, path: &RunPath) -> Result<Option<RunNode>> {
    if !asked.viewer.may_read(&path.entity) {
        return Ok(None);
    }
    match asked.app.tracker.run(path).await {
        Ok(run) => Ok((!run.deleted).then(|| RunNode::new(run))),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The list of an artifact's files.
#[derive(Debug)]
pub(crate) struct ArtifactManifest {
    id: String,
    at: VersionLink,
}

#[Object]
impl ArtifactManifest {
    async fn id(&self) -> ID {
        ID(ids::encode(
            "ArtifactManifest",
            &[&self.id, "wandb_manifest.json"],
        ))
    }

    async fn digest(&self, ctx: &Context<'_>) -> GraphResult<String> {
        let app = &Asked::of(ctx)?.app;
        let index = tracker_model::VersionRef::Index(self.at.index);
        let version = app
            .tracker
            .version(&self.at.collection, &index)
            .await
            .map_err(told)?;
        find::digest_of(app, &version).await.map_err(told)
    }

    async fn file(&self, ctx: &Context<'_>) -> GraphResult<ManifestFile> {
        let asked = Asked::of(ctx)?;
        let at = self.at.clone();
        Ok(ManifestFile {
            id: ID(ids::encode("File", &[&self.id, "wandb_manifest.json"])),
            direct_url: format!(
                "{}{}",
                asked.base,
                asked.app.signer.path(Grant::GetManifest { at })
            ),
        })
    }
}

/// Where a manifest can be read without a key, for a while.
#[derive(Debug, SimpleObject)]
pub(crate) struct ManifestFile {
    id: ID,
    direct_url: String,
}

/// A version in a collection, or what stands for one in a portfolio.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactCollectionMembership(Arc<ArtifactVersion>);

impl ArtifactCollectionMembership {
    pub(crate) fn new(version: ArtifactVersion) -> Self {
        Self(Arc::new(version))
    }

    async fn collection(&self, ctx: &Context<'_>) -> GraphResult<CollectionNode> {
        let collection = Asked::of(ctx)?.app.tracker.collection(&self.0.collection);
        Ok(CollectionNode::new(collection.await.map_err(told)?))
    }
}

#[Object]
impl ArtifactCollectionMembership {
    async fn id(&self) -> ID {
        let project = &self.0.collection.project;
        let index = self.0.index.to_string();
        let parts = [
            project.entity.as_str(),
            project.project.as_str(),
            &index,
            &self.0.collection.name,
        ];
        ID(ids::encode("ArtifactCollectionMembership", &parts))
    }

    async fn version_index(&self) -> Option<i64> {
        i64::try_from(self.0.index).ok()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    async fn aliases(&self, ctx: &Context<'_>) -> GraphResult<Vec<ArtifactAlias>> {
        Ok(self.collection(ctx).await?.aliases_of(&self.0))
    }

    async fn artifact_collection(&self, ctx: &Context<'_>) -> GraphResult<ArtifactCollection> {
        Ok(self.collection(ctx).await?.into())
    }

    async fn artifact(&self, ctx: &Context<'_>) -> GraphResult<Option<ArtifactNode>> {
        let source = ArtifactNode::source(Asked::of(ctx)?, (*self.0).clone());
        source.await.map_err(told)
    }

    /// Nothing where the viewer may not read what it stands for.
    async fn trackway(&self, ctx: &Context<'_>) -> GraphResult<Option<JsonString>> {
        let asked = Asked::of(ctx)?;
        let source = find::source_of(&asked.app, &asked.viewer, (*self.0).clone());
        Ok(found(source.await)?.and_then(|_| exact::version_text(&asked.viewer, &self.0)))
    }

    async fn files(
        &self,
        ctx: &Context<'_>,
        names: Option<Vec<String>>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<FileConnection> {
        let asked = Asked::of(ctx)?;
        let source = find::source_of(&asked.app, &asked.viewer, (*self.0).clone());
        let source = source.await.map_err(told)?;
        files(asked, &source, names, after, first).await
    }
}

/// The entries of a version with these names, by path.
async fn named(
    asked: &Asked,
    version: &ArtifactVersion,
    mut names: Vec<String>,
) -> Result<Vec<ManifestEntry>> {
    let (tracker, path) = (&asked.app.tracker, &version.collection);
    let mut found = Vec::with_capacity(names.len().min(1_000));
    if names.len() <= FEW {
        names.sort_unstable();
        names.dedup();
        for name in names {
            match tracker.entry(path, version.index, &name).await {
                Ok(entry) => found.push(entry),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        return Ok(found);
    }
    let names: HashSet<String> = names.into_iter().collect();
    let mut entries = tracker.manifest(path, version.index);
    while let Some(entry) = entries.try_next().await? {
        if names.contains(&entry.path) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// A page of the files of a version.
async fn files(
    asked: &Asked,
    version: &ArtifactVersion,
    names: Option<Vec<String>>,
    after: Option<String>,
    first: Option<i64>,
) -> GraphResult<FileConnection> {
    let entries = asked
        .app
        .tracker
        .manifest(&version.collection, version.index);
    let at = Arc::new(place_of(version));
    let node = |entry| FileNode::of_entry(at.clone(), entry);
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        let named = named(asked, version, names).await.map_err(told)?;
        return Ok(FileConnection::new(FileList::all(
            named.into_iter().map(node).collect(),
        )));
    }
    let page = page_of(entries, after.as_deref(), wanted(first, 50)).await;
    let (first, entries, more) = page.map_err(told)?;
    let mut list = FileList::page(first, entries.into_iter().map(node).collect(), more);
    list.total_count = i64::try_from(version.entries).ok();
    Ok(FileConnection::new(list))
}

/// What a run made or used, as far as the viewer may read it.
pub(crate) async fn of_run(
    asked: &Asked,
    run: &RunPath,
    role: UseRole,
    after: Option<String>,
    first: Option<i64>,
) -> GraphResult<ArtifactConnection> {
    let mut places: Vec<VersionLink> = Vec::new();
    let mut uses = asked.app.tracker.uses_of_run(run);
    while let Some(entry) = uses.try_next().await.map_err(told)? {
        let at = VersionLink {
            collection: entry.collection,
            index: entry.index,
        };
        let readable = asked.viewer.may_read(&at.collection.project.entity);
        if entry.role == role && readable && !places.contains(&at) {
            places.push(at);
        }
    }
    let total = i64::try_from(places.len()).ok();
    let places = futures::stream::iter(places.into_iter().map(Ok));
    let page = page_of(places, after.as_deref(), wanted(first, 50)).await;
    let (first, places, more) = page.map_err(told)?;
    let mut nodes = Vec::with_capacity(places.len());
    for at in places {
        let index = tracker_model::VersionRef::Index(at.index);
        if let Some(version) = found(asked.app.tracker.version(&at.collection, &index).await)? {
            nodes.extend(ArtifactNode::source(asked, version).await.map_err(told)?);
        }
    }
    let mut page = ArtifactConnection::page(first, nodes, more);
    page.total_count = total;
    Ok(page)
}

/// Something that a client called so.
#[derive(Debug, SimpleObject)]
pub(crate) struct ClientIdMapping {
    #[graphql(name = "serverID")]
    server_id: ID,
}

#[derive(Debug, Default)]
pub(crate) struct ArtifactQuery;

#[Object]
impl ArtifactQuery {
    async fn artifact(&self, ctx: &Context<'_>, id: ID) -> GraphResult<Option<ArtifactNode>> {
        let asked = Asked::of(ctx)?;
        let artifact = found(find::by_id(&asked.app, &asked.viewer, &id).await)?;
        Ok(artifact.map(ArtifactNode::of))
    }

    async fn artifact_collection(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> GraphResult<Option<ArtifactCollection>> {
        let asked = Asked::of(ctx)?;
        let collection = find::collection_by_id(&asked.app, &asked.viewer, &id).await;
        let collection = found(collection)?;
        Ok(collection.map(|collection| CollectionNode::new(collection).into()))
    }

    /// The artifact that a client called so before it knew the server's id for it.
    #[graphql(name = "clientIDMapping")]
    async fn client_id_mapping(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "clientID")] client_id: ID,
    ) -> GraphResult<Option<ClientIdMapping>> {
        let asked = Asked::of(ctx)?;
        let known = find::of_client(&asked.app, &asked.viewer, &client_id)
            .await
            .map_err(told)?;
        Ok(known.map(|key| ClientIdMapping {
            server_id: ID(id_of_key(&key)),
        }))
    }
}
