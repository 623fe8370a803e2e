//! Collections.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::{FutureExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    Change, Collection, CollectionPatch, CollectionPath, CollectionStore, Error, ErrorKind,
    JsonObject, ProjectPath, Result, Timestamp,
};

use super::{Named, OfProject, PAGE, page, record_of, text_of, variables};
use crate::remote::{
    Remote, RemoteTracker,
    failure::unsupported,
    graphql::{Connection, Repeat},
    pages::{self, Page},
    record::{EXTRAS, time},
};

/// Collections that were made here and have no versions yet: W&B keeps none of these, and learns of
/// them with their first version.
#[derive(Debug, Clone, Default)]
pub(in crate::remote) struct Promised(Arc<Mutex<BTreeMap<CollectionPath, Collection>>>);

impl Promised {
    fn get(&self, path: &CollectionPath) -> Option<Collection> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(path).cloned()
    }

    fn put(&self, collection: Collection) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(collection.path.clone(), collection);
    }

    /// Forgets a collection that the server has now, or that is deleted.
    fn take(&self, path: &CollectionPath) -> Option<Collection> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(path)
    }
}

/// A collection as a server has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(rename = "__typename")]
    type_name: Option<String>,
    id: String,
    name: String,
    description: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    default_artifact_type: Option<Named>,
    tags: Option<Connection<Named>>,
    trackway: Option<String>,
}

impl Node {
    fn read(self, project: &ProjectPath) -> Result<Collection> {
        if let Some(record) = &self.trackway {
            return record_of(record);
        }
        let tags = self.tags.into_iter().flat_map(Connection::nodes);
        let tags: Vec<String> = tags.map(|tag| tag.name).collect();
        let mut extras = JsonObject::new();
        if !tags.is_empty() {
            extras.insert(EXTRAS.to_owned(), json!({ "tags": tags }));
        }
        let created_at = time(self.created_at.as_deref()).unwrap_or(Timestamp::from_millis(0));
        Ok(Collection {
            path: CollectionPath::new(project.clone(), self.name)?,
            kind: self
                .default_artifact_type
                .map_or_else(String::new, |kind| kind.name),
            description: self.description.filter(|text| !text.is_empty()),
            created_at,
            updated_at: time(self.updated_at.as_deref()),
            extras,
            portfolio: self.type_name.as_deref() == Some("ArtifactPortfolio"),
        })
    }
}

/// A collection, and what the server calls it.
pub(super) struct Found {
    pub(super) id: String,
    pub(super) collection: Collection,
}

impl Remote {
    /// The collection that a server has.
    pub(super) async fn find_collection(&self, path: &CollectionPath) -> Result<Option<Found>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct OfCollection {
            artifact_collection: Option<Node>,
        }
        let doing = format!("ask for artifact {path}");
        let document = concat!(
            include_str!("../queries/collection.graphql"),
            include_str!("../queries/fragment_collection.graphql")
        );
        let asked = self.graphql.ask(doing, document, variables(path));
        let OfProject::<OfCollection> { project } = asked.await?;
        let node = project.and_then(|project| project.artifact_collection);
        let Some(node) = node else { return Ok(None) };
        let id = node.id.clone();
        let collection = node.read(&path.project)?;
        Ok(Some(Found { id, collection }))
    }

    /// A collection that the server has or will have.
    pub(super) async fn known_collection(&self, path: &CollectionPath) -> Result<Collection> {
        let found = self.find_collection(path).await?;
        let found = found.map(|found| found.collection);
        let found = found.or_else(|| self.promised.get(path));
        found.ok_or_else(|| Error::not_found(format_args!("artifact {path}")))
    }

    /// Says of a collection that was made here what its first version could not say.
    pub(super) async fn keep_promise(&self, path: &CollectionPath) -> Result<()> {
        let Some(Collection { description, .. }) = self.promised.take(path) else {
            return Ok(());
        };
        if description.is_none() {
            return Ok(());
        }
        let mut patch = CollectionPatch::new();
        patch.description = Change::of(description);
        self.change_collection(path, patch).await.map(drop)
    }

    /// Changes a collection as far as W&B has words for it.
    async fn change_collection(
        &self,
        path: &CollectionPath,
        patch: CollectionPatch,
    ) -> Result<Collection> {
        let refused = || {
            unsupported("this server keeps nothing of a collection but its type and description")
        };
        let Some(Found { id, collection }) = self.find_collection(path).await? else {
            let collection = match self.promised.get(path) {
                Some(mut known) => {
                    let name = patch.name.is_some();
                    patch.apply(&mut known)?;
                    if name && known.path != *path {
                        self.refuse_taken(&known.path).await?;
                        self.promised.take(path);
                    }
                    known
                }
                None if patch.name.is_some() => {
                    return Err(Error::not_found(format_args!("artifact {path}")));
                }
                None => {
                    if patch.created_at.is_some() {
                        return Err(refused());
                    }
                    patch.create(path.clone())
                }
            };
            if !collection.extras.is_empty() || collection.updated_at.is_some() {
                return Err(refused());
            }
            self.promised.put(collection.clone());
            return Ok(collection);
        };
        let mut after = collection.clone();
        patch.apply(&mut after)?;
        let said = Collection {
            path: after.path.clone(),
            kind: after.kind.clone(),
            description: after.description.clone(),
            ..collection.clone()
        };
        if said != after {
            return Err(refused());
        }
        if after.path != *path {
            self.refuse_taken(&after.path).await?;
        }
        let doing = || format!("change artifact {path}");
        if after.kind != collection.kind {
            if collection.portfolio {
                return Err(unsupported("a portfolio keeps its type on this server"));
            }
            let input = json!({
                "artifactSequenceID": id, "destinationArtifactTypeName": after.kind,
            });
            let document = include_str!("../queries/move_sequence.graphql");
            let variables = json!({ "input": input });
            self.make(doing(), document, variables, Repeat::Safe)
                .await?;
        }
        if (&after.description, &after.path) != (&collection.description, path) {
            let (document, of) = match collection.portfolio {
                true => (
                    include_str!("../queries/update_portfolio.graphql"),
                    "artifactPortfolioID",
                ),
                false => (
                    include_str!("../queries/update_sequence.graphql"),
                    "artifactSequenceID",
                ),
            };
            let mut input = json!({ of: id });
            if after.description != collection.description {
                input["description"] = after.description.clone().unwrap_or_default().into();
            }
            if after.path != *path {
                input["name"] = after.path.name.as_str().into();
            }
            let variables = json!({ "input": input });
            self.make(doing(), document, variables, Repeat::Safe)
                .await?;
        }
        let found = self.find_collection(&after.path).await?;
        found
            .map(|found| found.collection)
            .ok_or_else(|| Error::new(ErrorKind::Conflict, format!("artifact {path} is gone")))
    }

    /// Refuses a name that a collection has already.
    async fn refuse_taken(&self, path: &CollectionPath) -> Result<()> {
        match self.known_collection(path).await {
            Ok(_) => {
                let message = format!("there is an artifact {path} already");
                Err(Error::new(ErrorKind::AlreadyExists, message))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }
}

#[async_trait]
impl CollectionStore for RemoteTracker {
    fn collections(&self, project: &ProjectPath) -> BoxStream<'static, Result<Collection>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Collections {
            artifact_collections: Option<Connection<Node>>,
        }
        let (remote, path) = (self.remote.clone(), project.clone());
        let pages = pages::items(None, move |after| {
            let (remote, path) = (remote.clone(), path.clone());
            async move {
                let variables = json!({
                    "entity": path.entity, "project": path.project, "first": PAGE, "after": after,
                });
                let doing = format!("list the artifacts of {path}");
                let document = concat!(
                    include_str!("../queries/collections.graphql"),
                    include_str!("../queries/fragment_collection.graphql")
                );
                let asked = remote.graphql.ask(doing, document, variables);
                let OfProject::<Collections> { project } = asked.await?;
                let found = project.ok_or_else(|| Error::not_found(format_args!("project {path}")));
                let (nodes, next) = page(found?.artifact_collections);
                let items = nodes.into_iter().map(|node| node.read(&path));
                let items = items.collect::<Result<_>>()?;
                Ok(Page { items, next })
            }
            .boxed()
        });
        if self.remote.is_exact() {
            return pages;
        }
        // Others list them in an order of their own.
        pages::sorted(pages, |a: &Collection, b| a.path.name.cmp(&b.path.name))
    }

    async fn collection(&self, path: &CollectionPath) -> Result<Collection> {
        self.remote.known_collection(path).await
    }

    async fn upsert_collection(
        &self,
        path: &CollectionPath,
        patch: CollectionPatch,
    ) -> Result<Collection> {
        if !self.remote.is_exact() {
            return self.remote.change_collection(path, patch).await;
        }
        let variables = json!({ "at": text_of(path)?, "patch": text_of(&patch)? });
        let document = include_str!("../queries/exact_upsert_collection.graphql");
        let doing = format!("change artifact {path}");
        // What has another name is not found under the old one.
        let repeat = match patch.name {
            Some(_) => Repeat::Unsafe,
            None => Repeat::Safe,
        };
        self.remote.change(doing, document, variables, repeat).await
    }

    async fn delete_collection(&self, path: &CollectionPath) -> Result<()> {
        let remote = &self.remote;
        let doing = format!("delete artifact {path}");
        if remote.is_exact() {
            let variables = json!({ "at": text_of(path)? });
            let document = include_str!("../queries/exact_delete_collection.graphql");
            return remote
                .make(doing, document, variables, Repeat::Unsafe)
                .await;
        }
        let Some(Found { id, collection }) = remote.find_collection(path).await? else {
            let missing = || Error::not_found(format_args!("artifact {path}"));
            return remote.promised.take(path).map(drop).ok_or_else(missing);
        };
        let (document, input): (_, Json) = match collection.portfolio {
            true => (
                include_str!("../queries/delete_portfolio.graphql"),
                json!({ "artifactPortfolioID": id }),
            ),
            false => (
                include_str!("../queries/delete_sequence.graphql"),
                json!({ "artifactSequenceID": id }),
            ),
        };
        let variables = json!({ "input": input });
        remote
            .make(doing, document, variables, Repeat::Unsafe)
            .await
    }
}
