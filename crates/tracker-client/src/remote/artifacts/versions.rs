//! Versions, and what links them.

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    ArtifactDraft, ArtifactStore, ArtifactVersion, ArtifactWriter, Change, CollectionPath, Error,
    ErrorKind, JsonPatch, LinkDraft, Result, VersionLink, VersionPatch, VersionRef,
};

use super::{Node, OfProject, PAGE, record_of, text_of, upload, variables, with};
use crate::remote::{
    Remote, RemoteTracker,
    graphql::Repeat,
    pages::{self, Page},
    record::{RESERVED, time},
};

/// The alias of the version with the highest index, unless it is set.
const LATEST: &str = "latest";

/// A version in a collection, and what the server calls both.
pub(super) struct Placed {
    pub(super) version: ArtifactVersion,
    pub(super) id: String,
    pub(super) collection_id: String,
    /// The metadata as it is there, with what is ours in it.
    metadata: Option<String>,
}

impl Remote {
    /// The version that a server has under an alias or number.
    pub(super) async fn find_version(
        &self,
        path: &CollectionPath,
        which: &VersionRef,
    ) -> Result<Option<Placed>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct InProject {
            artifact_collection: Option<InCollection>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct InCollection {
            id: String,
            artifact_membership: Option<Membership>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Membership {
            version_index: Option<u64>,
            created_at: Option<String>,
            artifact: Option<Node>,
            trackway: Option<String>,
        }
        let doing = format!("ask for version {which} of artifact {path}");
        let document = concat!(
            include_str!("../queries/version.graphql"),
            include_str!("../queries/fragment_version.graphql")
        );
        let variables = with(variables(path), json!({ "alias": which.to_string() }));
        let asked = self.graphql.ask(doing, document, variables);
        let OfProject::<InProject> { project } = asked.await?;
        let Some(collection) = project.and_then(|project| project.artifact_collection) else {
            return Ok(None);
        };
        let Some(membership) = collection.artifact_membership else {
            return Ok(None);
        };
        let Some(node) = membership.artifact else {
            return Ok(None);
        };
        let (id, metadata) = (node.id.clone(), node.metadata.clone());
        let version = match &membership.trackway {
            Some(record) => record_of(record)?,
            None => {
                let index = membership.version_index.or(node.version_index).unwrap_or(0);
                let mut version = node.read(path, index)?;
                if version.link_of.is_some() {
                    let at = time(membership.created_at.as_deref());
                    version.created_at = at.unwrap_or(version.created_at);
                }
                version
            }
        };
        // Servers find versions by their digests, too.
        let named = match which {
            VersionRef::Index(index) => version.index == *index,
            VersionRef::Alias(alias) => alias == LATEST || version.aliases.contains(alias),
        };
        Ok(named.then_some(Placed {
            version,
            id,
            collection_id: collection.id,
            metadata,
        }))
    }

    /// As [`Self::find_version`]; what is not there is an error.
    pub(super) async fn placed(&self, path: &CollectionPath, which: &VersionRef) -> Result<Placed> {
        let found = self.find_version(path, which).await?;
        let missing = || Error::not_found(format_args!("version {which} of artifact {path}"));
        found.ok_or_else(missing)
    }

    /// The version with an id.
    pub(super) async fn version_with_id(&self, id: &str) -> Result<ArtifactVersion> {
        #[derive(Deserialize)]
        struct Answer {
            artifact: Option<Node>,
        }
        let document = concat!(
            include_str!("../queries/artifact.graphql"),
            include_str!("../queries/fragment_version.graphql")
        );
        let asked = self
            .graphql
            .ask("ask for a version", document, json!({ "id": id }));
        let Answer { artifact } = asked.await?;
        let node = artifact.ok_or_else(|| Error::not_found("the version"))?;
        let VersionLink { collection, index } = node.place()?;
        node.read(&collection, index)
    }

    /// Changes a version in W&B's words: one thing after the other.
    pub(super) async fn change_version(
        &self,
        path: &CollectionPath,
        index: u64,
        patch: VersionPatch,
    ) -> Result<ArtifactVersion> {
        let which = VersionRef::Index(index);
        let before = self.placed(path, &which).await?;
        let mut after = before.version.clone();
        patch.clone().apply(&mut after)?;
        if patch.extras != JsonPatch::Keep && after.extras != before.version.extras {
            let message = "the extras of a version do not change on this server";
            return Err(crate::remote::failure::unsupported(message));
        }
        let doing = || format!("change version {which} of artifact {path}");
        let mut input = json!({ "artifactID": before.id });
        let mut changes = false;
        let mut set = |name: &str, value: Json| {
            input[name] = value;
            changes = true;
        };
        if after.description != before.version.description {
            set(
                "description",
                after.description.clone().unwrap_or_default().into(),
            );
        }
        if after.metadata != before.version.metadata {
            let mut metadata = after.metadata.clone();
            if let Some(ours) = reserved_of(before.metadata.as_deref()) {
                metadata.insert(RESERVED.to_owned(), ours);
            }
            set("metadata", Json::Object(metadata).to_string().into());
        }
        if after.ttl_seconds != before.version.ttl_seconds {
            let seconds = after.ttl_seconds.and_then(|s| i64::try_from(s).ok());
            set("ttlDurationSeconds", seconds.unwrap_or(-1).into());
        }
        let missing = |from: &[String], of: &[String]| -> Vec<String> {
            let missing = of.iter().filter(|name| !from.contains(name));
            missing.cloned().collect()
        };
        let tags = |names: Vec<String>| -> Json {
            names
                .into_iter()
                .map(|name| json!({ "tagName": name }))
                .collect()
        };
        let (old, new) = (&before.version.tags, &after.tags);
        if old != new {
            set("tagsToAdd", tags(missing(old, new)));
            set("tagsToDelete", tags(missing(new, old)));
        }
        if changes {
            let document = include_str!("../queries/update_artifact.graphql");
            let variables = json!({ "input": input });
            self.make(doing(), document, variables, Repeat::Safe)
                .await?;
        }
        let (old, new) = (&before.version.aliases, &after.aliases);
        for (names, document) in [
            (
                missing(old, new),
                include_str!("../queries/add_aliases.graphql"),
            ),
            (
                missing(new, old),
                include_str!("../queries/delete_aliases.graphql"),
            ),
        ] {
            if names.is_empty() {
                continue;
            }
            let aliases: Json = names.iter().map(|alias| alias_of(path, alias)).collect();
            let input = json!({ "artifactID": before.id, "aliases": aliases });
            let variables = json!({ "input": input });
            self.make(doing(), document, variables, Repeat::Safe)
                .await?;
        }
        Ok(self.placed(path, &which).await?.version)
    }

    /// Links a version in W&B's words.
    async fn link(
        &self,
        path: &CollectionPath,
        target: &VersionLink,
        draft: &LinkDraft,
    ) -> Result<ArtifactVersion> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            link_artifact: Linked,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Linked {
            version_index: Option<u64>,
        }
        let portfolio = self.known_collection(path).await?;
        if !portfolio.portfolio {
            return Err(Error::invalid(format!("artifact {path} is no portfolio")));
        }
        let which = VersionRef::Index(target.index);
        let source = self.placed(&target.collection, &which).await?;
        let alias = |alias: &String| json!({ "artifactCollectionName": path.name, "alias": alias });
        let input = json!({
            "artifactID": source.id, "artifactPortfolioName": path.name,
            "entityName": path.project.entity, "projectName": path.project.project,
            "aliases": draft.aliases.iter().map(alias).collect::<Json>(),
        });
        let doing = format!("link {target} to artifact {path}");
        let document = include_str!("../queries/link_artifact.graphql");
        let variables = json!({ "input": input });
        let asked = self.graphql.send(&doing, document, variables, Repeat::Safe);
        let Answer { link_artifact } = asked.await?;
        self.keep_promise(path).await?;
        let index = link_artifact.version_index.ok_or_else(|| {
            let message = format!("{doing}: the server says not where it is");
            Error::new(ErrorKind::Corrupt, message)
        })?;
        Ok(self.placed(path, &VersionRef::Index(index)).await?.version)
    }
}

/// What of metadata is ours.
fn reserved_of(metadata: Option<&str>) -> Option<Json> {
    let metadata = crate::json_object("the metadata", metadata?).ok()?;
    metadata.get(RESERVED).cloned()
}

fn alias_of(path: &CollectionPath, alias: &str) -> Json {
    json!({
        "alias": alias, "artifactCollectionName": path.name,
        "entityName": path.project.entity, "projectName": path.project.project,
    })
}

fn address(path: &CollectionPath, index: u64) -> VersionLink {
    VersionLink {
        collection: path.clone(),
        index,
    }
}

#[async_trait]
impl ArtifactStore for RemoteTracker {
    fn versions(&self, path: &CollectionPath) -> BoxStream<'static, Result<ArtifactVersion>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct InProject {
            artifact_collection: Option<InCollection>,
        }
        #[derive(Deserialize)]
        struct InCollection {
            artifacts: Option<Versions>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Versions {
            #[serde(default = "Vec::new")]
            edges: Vec<Edge>,
            page_info: Option<crate::remote::graphql::PageInfo>,
        }
        #[derive(Deserialize)]
        struct Edge {
            version: Option<String>,
            node: Option<Node>,
            trackway: Option<String>,
        }
        let (remote, path) = (self.remote.clone(), path.clone());
        let exact = remote.is_exact();
        let pages = pages::items(None, move |after| {
            let (remote, path) = (remote.clone(), path.clone());
            async move {
                let order = exact.then_some("+versionIndex");
                let more = json!({ "order": order, "first": PAGE, "after": after });
                let doing = format!("list the versions of artifact {path}");
                let document = concat!(
                    include_str!("../queries/versions.graphql"),
                    include_str!("../queries/fragment_version.graphql")
                );
                let asked = remote
                    .graphql
                    .ask(doing, document, with(variables(&path), more));
                let OfProject::<InProject> { project } = asked.await?;
                let Some(found) = project.and_then(|project| project.artifact_collection) else {
                    remote.known_collection(&path).await?;
                    return Ok(Page {
                        items: Vec::new(),
                        next: None,
                    });
                };
                let Some(versions) = found.artifacts else {
                    return Ok(Page {
                        items: Vec::new(),
                        next: None,
                    });
                };
                let mut items = Vec::with_capacity(versions.edges.len());
                for edge in versions.edges {
                    if let Some(record) = &edge.trackway {
                        items.push(record_of(record)?);
                    } else if let Some(node) = edge.node {
                        let number = edge.version.as_deref().and_then(|v| v.strip_prefix('v'));
                        let number = number.and_then(|number| number.parse().ok());
                        let index = number.or(node.version_index).unwrap_or(0);
                        items.push(node.read(&path, index)?);
                    }
                }
                let next = versions.page_info.and_then(|info| info.next());
                Ok(Page { items, next })
            }
            .boxed()
        });
        if exact {
            return pages;
        }
        // Others begin with the newest.
        let sorted = async move {
            let mut all: Vec<ArtifactVersion> = pages.try_collect().await?;
            all.sort_by_key(|version| version.index);
            Ok::<_, Error>(futures::stream::iter(all).map(Ok))
        };
        sorted.try_flatten_stream().boxed()
    }

    async fn version(&self, path: &CollectionPath, which: &VersionRef) -> Result<ArtifactVersion> {
        let found = self.remote.find_version(path, which).await?;
        match (found, which) {
            (Some(found), _) => Ok(found.version),
            // On other servers it is an alias like others.
            (None, VersionRef::Alias(alias)) if alias == LATEST && !self.remote.is_exact() => {
                let last = self
                    .versions(path)
                    .try_fold(None, |_, version| std::future::ready(Ok(Some(version))));
                let missing = || Error::not_found(format_args!("a version of artifact {path}"));
                last.await?.ok_or_else(missing)
            }
            (None, which) => Err(Error::not_found(format_args!(
                "version {which} of artifact {path}"
            ))),
        }
    }

    async fn update_version(
        &self,
        path: &CollectionPath,
        index: u64,
        patch: VersionPatch,
    ) -> Result<ArtifactVersion> {
        let remote = &self.remote;
        if !remote.is_exact() {
            return remote.change_version(path, index, patch).await;
        }
        let at = text_of(address(path, index))?;
        let variables = json!({ "at": at, "patch": text_of(&patch)? });
        let document = include_str!("../queries/exact_update_version.graphql");
        let doing = format!("change version v{index} of artifact {path}");
        remote
            .change(doing, document, variables, Repeat::Safe)
            .await
    }

    async fn artifact_writer(
        &self,
        path: &CollectionPath,
        draft: ArtifactDraft,
    ) -> Result<Box<dyn ArtifactWriter>> {
        let writer = upload::Writer::open(&self.remote, path, draft).await?;
        Ok(Box::new(writer))
    }

    async fn link_version(
        &self,
        path: &CollectionPath,
        target: &VersionLink,
        draft: LinkDraft,
    ) -> Result<ArtifactVersion> {
        let remote = &self.remote;
        if !remote.is_exact() {
            return remote.link(path, target, &draft).await;
        }
        let variables = json!({
            "at": text_of(path)?, "target": text_of(target)?, "draft": text_of(&draft)?,
        });
        let document = include_str!("../queries/exact_link_version.graphql");
        let doing = format!("link {target} to artifact {path}");
        remote
            .change(doing, document, variables, Repeat::Safe)
            .await
    }

    async fn delete_version(&self, path: &CollectionPath, index: u64) -> Result<()> {
        let remote = &self.remote;
        let doing = format!("delete version v{index} of artifact {path}");
        if remote.is_exact() {
            let variables = json!({ "at": text_of(address(path, index))? });
            let document = include_str!("../queries/exact_delete_version.graphql");
            return remote
                .make(doing, document, variables, Repeat::Unsafe)
                .await;
        }
        let found = remote.placed(path, &VersionRef::Index(index)).await?;
        let (document, input) = match found.version.link_of {
            Some(_) => (
                include_str!("../queries/unlink_artifact.graphql"),
                json!({ "artifactID": found.id, "artifactPortfolioID": found.collection_id }),
            ),
            None => (
                include_str!("../queries/delete_artifact.graphql"),
                json!({ "artifactID": found.id, "deleteAliases": true }),
            ),
        };
        let variables = json!({ "input": input });
        remote
            .make(doing, document, variables, Repeat::Unsafe)
            .await
    }
}

/// What a draft says in place of what is there, for a server where contents stay.
pub(super) fn texts_of(draft: &ArtifactDraft) -> VersionPatch {
    let mut patch = VersionPatch::new();
    patch.aliases = Some(draft.aliases.clone());
    patch.tags = Some(draft.tags.clone());
    patch.description = Change::of(draft.description.clone());
    patch.metadata = JsonPatch::Replace(draft.metadata.clone());
    patch.ttl_seconds = Change::of(draft.ttl_seconds);
    patch
}
