//! Collections of artifacts, and the types that they have.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{Context, ID, Interface, Object, SimpleObject};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value as Json, json};
use tracker_model::{
    ArtifactVersion, Collection, CollectionPath, JsonObject, JsonPatch, ProjectPath, Result,
    Timestamp,
};

use super::{
    Asked, GraphResult,
    artifact::{ArtifactCollectionMembership, ArtifactDigestAlgorithm, ArtifactNode},
    exact, found,
    listing::{self, Field, Listing},
    page::{self, PageInfo, connection, page_of, wanted},
    project::{ProjectNode, project_at},
    scalars::{DateTime, JsonString},
    told,
};
use crate::{artifacts::find, ids, wire};

connection!(
    ArtifactCollectionConnection,
    ArtifactCollectionEdge,
    ArtifactCollection
);
connection!(ArtifactTypeConnection, ArtifactTypeEdge, ArtifactTypeNode);
connection!(ArtifactAliasConnection, ArtifactAliasEdge, ArtifactAlias);
connection!(TagConnection, TagEdge, Tag);

/// What the tags of a collection are kept as, as the model has none.
const TAGS: &str = "tags";

/// A collection of versions, or of links to versions.
#[derive(Debug, Clone)]
pub(crate) struct CollectionNode(Arc<Collection>, bool);

impl CollectionNode {
    pub(crate) fn new(collection: Collection) -> Self {
        Self(Arc::new(collection), true)
    }

    /// One that was just deleted.
    pub(crate) fn deleted(collection: Collection) -> Self {
        Self(Arc::new(collection), false)
    }

    fn path(&self) -> &CollectionPath {
        &self.0.path
    }

    pub(crate) fn kind(&self) -> ArtifactTypeNode {
        ArtifactTypeNode {
            project: self.0.path.project.clone(),
            name: self.0.kind.clone(),
            created_at: self.0.created_at,
        }
    }

    /// The aliases of a version of the collection.
    pub(crate) fn aliases_of(&self, version: &ArtifactVersion) -> Vec<ArtifactAlias> {
        let alias = |alias: &String| ArtifactAlias {
            alias: alias.clone(),
            collection: self.clone(),
        };
        version.aliases.iter().map(alias).collect()
    }
}

impl CollectionNode {
    /// The number of a version of the collection, as an alias.
    pub(crate) fn number_of(&self, version: &ArtifactVersion) -> ArtifactAlias {
        ArtifactAlias {
            alias: format!("v{}", version.index),
            collection: self.clone(),
        }
    }
}

/// The tags of a collection.
pub(crate) fn tags_of(collection: &Collection) -> Vec<String> {
    let tags = wire::own(&collection.extras, TAGS).and_then(Json::as_array);
    let tags = tags.into_iter().flatten().filter_map(Json::as_str);
    tags.map(str::to_owned).collect()
}

/// What gives a collection these tags.
pub(crate) fn with_tags(extras: &JsonObject, tags: Vec<String>) -> JsonPatch {
    wire::with_own(extras, TAGS, tags.into())
}

/// The fields that both kinds of collections have. An interface knows results by that name alone.
macro_rules! collection_object {
    ($(#[$doc:meta])* $type:ident $name:tt { $($own:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $type(pub(crate) CollectionNode);

        #[Object(name = $name)]
        impl $type {
            async fn id(&self) -> ID {
                ID(ids::of_collection(self.0.path()))
            }

            async fn name(&self) -> String {
                self.0.path().name.clone()
            }

            async fn description(&self) -> Option<String> {
                self.0.0.description.clone()
            }

            async fn created_at(&self) -> DateTime {
                DateTime(self.0.0.created_at)
            }

            async fn updated_at(&self) -> Option<DateTime> {
                self.0.0.updated_at.map(DateTime)
            }

            /// Whether it is there.
            async fn state(&self) -> &'static str {
                if self.0.1 { "READY" } else { "DELETED" }
            }

            async fn project(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<ProjectNode>> {
                project_at(Asked::of(ctx)?, &self.0.path().project).await
            }

            async fn default_artifact_type(&self) -> ArtifactTypeNode {
                self.0.kind()
            }

            async fn trackway(&self) -> Option<JsonString> {
                exact::record_text(&*self.0.0)
            }

            async fn tags(&self) -> TagConnection {
                let tags = tags_of(&self.0.0);
                TagConnection::all(tags.iter().map(|tag| Tag::new(tag)).collect())
            }

            async fn aliases(
                &self,
                ctx: &Context<'_>,
                after: Option<String>,
                first: Option<i64>,
            ) -> async_graphql::Result<ArtifactAliasConnection> {
                self.0.aliases(Asked::of(ctx)?, after, first).await.map_err(told)
            }

            /// The versions, newest first.
            async fn artifacts(
                &self,
                ctx: &Context<'_>,
                after: Option<String>,
                first: Option<i64>,
                order: Option<String>,
                filters: Option<JsonString>,
            ) -> async_graphql::Result<VersionedArtifactConnection> {
                let asked = Asked::of(ctx)?;
                let page = self.0.artifacts(asked, after, first, order, filters);
                page.await.map_err(told)
            }

            /// The version with this alias, number (`v3`) or digest.
            async fn artifact_membership(
                &self,
                ctx: &Context<'_>,
                alias_name: String,
            ) -> async_graphql::Result<Option<ArtifactCollectionMembership>> {
                let app = &Asked::of(ctx)?.app;
                let version = find::in_collection(app, self.0.path(), &alias_name).await;
                Ok(found(version)?.map(ArtifactCollectionMembership::new))
            }

            $($own)*
        }
    };
}

collection_object! {
    /// A collection of versions.
    ArtifactSequence "ArtifactSequence" {
        async fn latest_artifact(&self, ctx: &Context<'_>) -> GraphResult<Option<ArtifactNode>> {
            let asked = Asked::of(ctx)?;
            let latest = find::in_collection(&asked.app, self.0.path(), "latest").await;
            match found(latest)? {
                Some(version) => ArtifactNode::source(asked, version).await.map_err(told),
                None => Ok(None),
            }
        }

        async fn digest_algorithm(&self) -> ArtifactDigestAlgorithm {
            ArtifactDigestAlgorithm::ManifestMd5
        }
    }
}

collection_object! {
    /// A collection of links to versions of others.
    ArtifactPortfolio "ArtifactPortfolio" {}
}

/// A collection of either kind.
#[expect(clippy::duplicated_attributes, reason = "they are of different fields")]
#[derive(Debug, Clone, Interface)]
#[graphql(
    field(name = "id", ty = "ID"),
    field(name = "name", ty = "String"),
    field(name = "description", ty = "Option<String>"),
    field(name = "created_at", ty = "DateTime"),
    field(name = "updated_at", ty = "Option<DateTime>"),
    field(name = "state", ty = "&'static str"),
    field(name = "project", ty = "Option<ProjectNode>"),
    field(name = "default_artifact_type", ty = "ArtifactTypeNode"),
    field(name = "trackway", ty = "Option<JsonString>"),
    field(name = "tags", ty = "TagConnection"),
    field(
        name = "aliases",
        ty = "ArtifactAliasConnection",
        arg(name = "after", ty = "Option<String>"),
        arg(name = "first", ty = "Option<i64>")
    ),
    field(
        name = "artifacts",
        ty = "VersionedArtifactConnection",
        arg(name = "after", ty = "Option<String>"),
        arg(name = "first", ty = "Option<i64>"),
        arg(name = "order", ty = "Option<String>"),
        arg(name = "filters", ty = "Option<JsonString>")
    ),
    field(
        name = "artifact_membership",
        ty = "Option<ArtifactCollectionMembership>",
        arg(name = "alias_name", ty = "String")
    )
)]
pub(crate) enum ArtifactCollection {
    /// Versions.
    Sequence(ArtifactSequence),
    /// Links.
    Portfolio(ArtifactPortfolio),
}

impl From<CollectionNode> for ArtifactCollection {
    fn from(node: CollectionNode) -> Self {
        match node.0.portfolio {
            true => Self::Portfolio(ArtifactPortfolio(node)),
            false => Self::Sequence(ArtifactSequence(node)),
        }
    }
}

impl CollectionNode {
    async fn aliases(
        &self,
        asked: &Asked,
        after: Option<String>,
        first: Option<i64>,
    ) -> Result<ArtifactAliasConnection> {
        let mut all = Vec::new();
        let mut versions = asked.app.tracker.versions(self.path());
        while let Some(version) = versions.try_next().await? {
            all.extend(self.aliases_of(&version));
        }
        let total = i64::try_from(all.len()).ok();
        let all = futures::stream::iter(all.into_iter().map(Ok));
        let (first, aliases, more) = page_of(all, after.as_deref(), wanted(first, 100)).await?;
        let mut page = ArtifactAliasConnection::page(first, aliases, more);
        page.total_count = total;
        Ok(page)
    }

    async fn artifacts(
        &self,
        asked: &Asked,
        after: Option<String>,
        first: Option<i64>,
        order: Option<String>,
        filters: Option<JsonString>,
    ) -> Result<VersionedArtifactConnection> {
        // What clients ask for by themselves is true of all versions.
        let filters = filters.filter(|JsonString(text)| {
            let said = serde_json::from_str::<Json>(text);
            said.map_or(true, |said| said != json!({"state": COMMITTED}))
        });
        let listing = Listing::parse(filters.as_ref(), order.as_deref(), &VERSION_FIELDS)?;
        let mut versions: Vec<ArtifactVersion> = asked
            .app
            .tracker
            .versions(self.path())
            .try_collect()
            .await?;
        versions.reverse();
        let versions = listing.apply(versions, version_document);
        let total = i64::try_from(versions.len()).ok();
        let versions = futures::stream::iter(versions.into_iter().map(Ok));
        let page = page_of(versions, after.as_deref(), wanted(first, 50)).await?;
        let (first, versions, more) = page;
        let end = first + versions.len() as u64;
        let mut edges = Vec::with_capacity(versions.len());
        for (place, version) in (first + 1..).zip(versions) {
            let name = format!("v{}", version.index);
            let trackway = exact::version_text(&asked.viewer, &version);
            if let Some(node) = ArtifactNode::source(asked, version).await? {
                edges.push(VersionedArtifactEdge {
                    cursor: place.to_string(),
                    version: name,
                    trackway,
                    node,
                });
            }
        }
        Ok(VersionedArtifactConnection {
            page_info: PageInfo {
                start_cursor: edges.first().map(|edge| edge.cursor.clone()),
                end_cursor: (end > first).then(|| end.to_string()),
                has_next_page: more,
                has_previous_page: first > 0,
            },
            edges,
            total_count: total,
        })
    }
}

/// The state of all versions.
const COMMITTED: &str = "COMMITTED";

/// What versions are filtered and ordered by.
const VERSION_FIELDS: [Field; 12] = [
    Field("state", &[]),
    Field("versionIndex", &["version_index"]),
    Field("createdAt", &["created_at"]),
    Field("tags", &["tag"]),
    Field("aliases", &["alias"]),
    Field("digest", &[]),
    Field("description", &[]),
    Field("metadata", &[]),
    Field("size", &[]),
    Field("fileCount", &["file_count"]),
    Field("historyStep", &["history_step"]),
    Field("ttlDurationSeconds", &["ttl_duration_seconds"]),
];

fn version_document(version: &ArtifactVersion) -> Json {
    let said = |key| wire::own(&version.extras, key);
    json!({
        "state": COMMITTED,
        "versionIndex": version.index,
        "createdAt": listing::time(version.created_at),
        "tags": version.tags,
        "aliases": version.aliases,
        "digest": said("digest"),
        "description": version.description,
        "metadata": version.metadata,
        "size": version.size,
        "fileCount": version.entries,
        "historyStep": said("historyStep"),
        "ttlDurationSeconds": version.ttl_seconds,
    })
}

/// What collections are filtered and ordered by.
const COLLECTION_FIELDS: [Field; 7] = [
    Field("name", &[]),
    Field("type", &["artifactType"]),
    Field("description", &[]),
    Field("createdAt", &["created_at"]),
    Field("updatedAt", &["updated_at"]),
    Field("tags", &["tag"]),
    Field("state", &[]),
];

fn collection_document(collection: &Collection) -> Json {
    json!({
        "name": collection.path.name,
        "type": collection.kind,
        "description": collection.description,
        "createdAt": listing::time(collection.created_at),
        "updatedAt": collection.updated_at.map(listing::time),
        "tags": tags_of(collection),
        "state": "READY",
    })
}

/// Versions of a collection.
#[derive(Debug, SimpleObject)]
pub(crate) struct VersionedArtifactConnection {
    edges: Vec<VersionedArtifactEdge>,
    page_info: PageInfo,
    total_count: Option<i64>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct VersionedArtifactEdge {
    cursor: String,
    /// The number in the collection, such as `v3`.
    version: String,
    trackway: Option<JsonString>,
    node: ArtifactNode,
}

/// A name of a version within a collection.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactAlias {
    alias: String,
    collection: CollectionNode,
}

#[Object]
impl ArtifactAlias {
    async fn id(&self) -> ID {
        let path = self.collection.path();
        let (entity, project) = (path.project.entity.as_str(), path.project.project.as_str());
        ID(ids::encode(
            "ArtifactAlias",
            &[entity, project, &self.alias, &path.name],
        ))
    }

    async fn alias(&self) -> &str {
        &self.alias
    }

    async fn artifact_collection(&self) -> ArtifactCollection {
        self.collection.clone().into()
    }
}

/// A label.
#[derive(Debug, SimpleObject)]
pub(crate) struct Tag {
    id: ID,
    name: String,
    tag_category_name: Option<String>,
}

impl Tag {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            id: ID(ids::encode("Tag", &[name])),
            name: name.to_owned(),
            tag_category_name: None,
        }
    }
}

/// What artifacts are. There are as many as the collections of a project have.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactTypeNode {
    pub(crate) project: ProjectPath,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

impl ArtifactTypeNode {
    /// The types of a project, by name.
    pub(crate) async fn of_project(asked: &Asked, project: &ProjectPath) -> Result<Vec<Self>> {
        let mut types: BTreeMap<String, Timestamp> = BTreeMap::new();
        let mut collections = asked.app.tracker.collections(project);
        while let Some(collection) = collections.try_next().await? {
            let at = types
                .entry(collection.kind)
                .or_insert(collection.created_at);
            *at = collection.created_at.min(*at);
        }
        let node = |(name, created_at)| Self {
            project: project.clone(),
            name,
            created_at,
        };
        Ok(types.into_iter().map(node).collect())
    }

    async fn collection_named(
        &self,
        asked: &Asked,
        name: &str,
    ) -> GraphResult<Option<CollectionNode>> {
        let node = in_project(asked, &self.project, name).await?;
        Ok(node.filter(|node| node.0.kind == self.name))
    }
}

#[Object(name = "ArtifactType")]
impl ArtifactTypeNode {
    async fn id(&self) -> ID {
        let (entity, project) = (self.project.entity.as_str(), self.project.project.as_str());
        ID(ids::encode("ArtifactType", &[entity, project, &self.name]))
    }

    async fn name(&self) -> &str {
        &self.name
    }

    async fn description(&self) -> Option<String> {
        None
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.created_at)
    }

    async fn artifact_collection(
        &self,
        ctx: &Context<'_>,
        name: String,
    ) -> GraphResult<Option<ArtifactCollection>> {
        let node = self.collection_named(Asked::of(ctx)?, &name).await?;
        Ok(node.map(ArtifactCollection::from))
    }

    async fn artifact_sequence(
        &self,
        ctx: &Context<'_>,
        name: String,
    ) -> GraphResult<Option<ArtifactSequence>> {
        let node = self.collection_named(Asked::of(ctx)?, &name).await?;
        Ok(node.filter(|node| !node.0.portfolio).map(ArtifactSequence))
    }

    async fn artifact_collections(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
        filters: Option<JsonString>,
        order: Option<String>,
    ) -> GraphResult<ArtifactCollectionConnection> {
        let wanted = Wanted {
            kind: Some(self.name.clone()),
            after,
            first,
            filters,
            order,
        };
        let page = collections(Asked::of(ctx)?, &self.project, wanted).await;
        page.map_err(told)
    }

    /// A version by its name: `collection:v3`, `collection:alias`.
    async fn artifact(&self, ctx: &Context<'_>, name: String) -> GraphResult<Option<ArtifactNode>> {
        let asked = Asked::of(ctx)?;
        let Some(version) = found(find::by_name(&asked.app, &self.project, &name).await)? else {
            return Ok(None);
        };
        match self
            .collection_named(asked, &version.collection.name)
            .await?
        {
            Some(_) => ArtifactNode::source(asked, version).await.map_err(told),
            None => Ok(None),
        }
    }
}

/// The collection of a project with this name.
pub(crate) async fn in_project(
    asked: &Asked,
    project: &ProjectPath,
    name: &str,
) -> GraphResult<Option<CollectionNode>> {
    let Ok(path) = CollectionPath::new(project.clone(), name) else {
        return Ok(None);
    };
    let collection = found(asked.app.tracker.collection(&path).await)?;
    Ok(collection.map(CollectionNode::new))
}

/// Which collections of a project a client wants.
pub(crate) struct Wanted {
    pub(crate) kind: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) first: Option<i64>,
    pub(crate) filters: Option<JsonString>,
    pub(crate) order: Option<String>,
}

/// A page of the collections of a project, by name unless it is told otherwise.
pub(crate) async fn collections(
    asked: &Asked,
    project: &ProjectPath,
    wanted: Wanted,
) -> Result<ArtifactCollectionConnection> {
    let Wanted {
        kind,
        after,
        first,
        filters,
        order,
    } = wanted;
    let listing = Listing::parse(filters.as_ref(), order.as_deref(), &COLLECTION_FIELDS)?;
    let all = asked
        .app
        .tracker
        .collections(project)
        .try_filter(move |collection| {
            std::future::ready(kind.as_ref().is_none_or(|kind| collection.kind == *kind))
        });
    let all = listing.apply(all.try_collect().await?, collection_document);
    let total = i64::try_from(all.len()).ok();
    let all = futures::stream::iter(all.into_iter().map(Ok)).boxed();
    let (first, collections, more) =
        page_of(all, after.as_deref(), page::wanted(first, 50)).await?;
    let nodes = collections
        .into_iter()
        .map(|c| CollectionNode::new(c).into());
    let mut page = ArtifactCollectionConnection::page(first, nodes.collect(), more);
    page.total_count = total;
    Ok(page)
}
