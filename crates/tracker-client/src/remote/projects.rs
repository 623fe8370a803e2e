//! Projects.

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::json;
use tracker_model::{
    Change, EntityName, Error, JsonPatch, Project, ProjectPatch, ProjectPath, ProjectStore, Result,
    Timestamp,
};

use super::{
    Remote, RemoteTracker,
    failure::unsupported,
    graphql::Connection,
    pages::{self, Page},
    record::{changed, members, over, time},
};

/// Projects of a page.
const PAGE: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    name: String,
    description: Option<String>,
    created_at: Option<String>,
    trackway: Option<String>,
}

impl Node {
    fn read(self, entity: &EntityName) -> Result<Project> {
        let path = ProjectPath::new(entity.clone(), self.name.parse()?);
        let created_at = time(self.created_at.as_deref()).unwrap_or(Timestamp::from_millis(0));
        let mut project = Project::new(path, created_at);
        project.description = self.description.filter(|text| !text.is_empty());
        match self.trackway {
            Some(record) => over(&project, members(&record)?, &["path"]),
            None => Ok(project),
        }
    }
}

impl Remote {
    /// All entities that the viewer may see, as far as the server tells.
    pub(super) async fn entities(&self) -> Result<Vec<EntityName>> {
        #[derive(Deserialize)]
        struct Answer {
            trackway: Entities,
        }
        #[derive(Deserialize)]
        struct Entities {
            entities: Vec<String>,
        }
        if let Some(entity) = &self.scope.entity {
            return Ok(vec![entity.clone()]);
        }
        if !self.is_exact() {
            let own = self.viewer.entity.iter().chain(&self.viewer.teams);
            let mut entities: Vec<_> = own.cloned().collect();
            entities.sort();
            entities.dedup();
            return Ok(entities);
        }
        let document = include_str!("queries/entities.graphql");
        let asked = self.graphql.ask("list the entities", document, json!({}));
        let Answer { trackway } = asked.await?;
        trackway.entities.iter().map(|name| name.parse()).collect()
    }

    /// The projects of an entity, by name.
    pub(super) async fn projects_of(
        self: &std::sync::Arc<Self>,
        entity: &EntityName,
    ) -> Result<Vec<Project>> {
        #[derive(Deserialize)]
        struct Answer {
            models: Option<Connection<Node>>,
        }
        let (remote, owner) = (self.clone(), entity.clone());
        let projects = pages::items(None, move |after| {
            let (remote, entity) = (remote.clone(), owner.clone());
            async move {
                let doing = format!("list the projects of {entity}");
                let document = include_str!("queries/projects.graphql");
                let variables = json!({ "entity": entity, "first": PAGE, "after": after });
                let Answer { models } = remote.graphql.ask(doing, document, variables).await?;
                let next = models.as_ref().and_then(Connection::next);
                let nodes = models.into_iter().flat_map(Connection::nodes);
                // What cannot be a name here is none of ours.
                let items = nodes.filter_map(|node| node.read(&entity).ok()).collect();
                Ok(Page { items, next })
            }
            .boxed()
        });
        let mut projects: Vec<Project> = projects.try_collect().await?;
        if let Some(name) = &self.scope.project {
            projects.retain(|project| project.path.project == *name);
        }
        projects.sort_by(|a, b| a.path.cmp(&b.path));
        projects.dedup_by(|a, b| a.path == b.path);
        Ok(projects)
    }

    async fn find_project(&self, path: &ProjectPath) -> Result<Option<Project>> {
        #[derive(Deserialize)]
        struct Answer {
            project: Option<Node>,
        }
        let doing = format!("ask for project {path}");
        let document = include_str!("queries/project.graphql");
        let variables = json!({ "entity": path.entity, "project": path.project });
        let Answer { project } = self.graphql.ask(doing, document, variables).await?;
        project.map(|node| node.read(&path.entity)).transpose()
    }
}

/// What a server of W&B has no place for.
fn refuse_beyond(patch: &ProjectPatch) -> Result<()> {
    let beyond = patch.created_at.is_some()
        || patch.updated_at != Change::Keep
        || patch.deleted.is_some()
        || patch.extras != JsonPatch::Keep;
    match beyond {
        true => Err(unsupported(
            "this server keeps nothing of a project but its description",
        )),
        false => Ok(()),
    }
}

#[async_trait]
impl ProjectStore for RemoteTracker {
    fn projects(&self, entity: Option<&EntityName>) -> BoxStream<'static, Result<Project>> {
        let (remote, entity) = (self.remote.clone(), entity.cloned());
        let entities = async move {
            let mut entities = match entity {
                Some(entity) => vec![entity],
                None => remote.entities().await?,
            };
            entities.sort();
            let projects = entities.into_iter().map(move |entity| {
                let remote = remote.clone();
                async move { remote.projects_of(&entity).await }
            });
            let lists = futures::stream::iter(projects).buffered(4);
            Ok::<_, Error>(
                lists
                    .map_ok(|list| futures::stream::iter(list).map(Ok))
                    .try_flatten(),
            )
        };
        entities.try_flatten_stream().boxed()
    }

    async fn project(&self, path: &ProjectPath) -> Result<Project> {
        let found = self.remote.find_project(path).await?;
        found.ok_or_else(|| Error::not_found(format_args!("project {path}")))
    }

    async fn upsert_project(&self, path: &ProjectPath, patch: ProjectPatch) -> Result<Project> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            upsert_model: Payload,
        }
        #[derive(Deserialize)]
        struct Payload {
            model: Node,
        }
        let remote = &self.remote;
        let mut input = json!({ "entityName": path.entity, "name": path.project });
        if remote.is_exact() {
            let before = remote.find_project(path).await?;
            let before =
                before.unwrap_or_else(|| Project::new(path.clone(), Timestamp::from_millis(0)));
            let set_time = patch.created_at;
            let mut after = before.clone();
            patch.apply(&mut after);
            let mut members = changed(&before, &after, &["path"]);
            if let Some(at) = set_time {
                members.insert("created_at".to_owned(), json!(at));
            }
            let members = serde_json::Value::Object(members).to_string();
            input["trackway"] = json!({ "members": members });
        } else {
            refuse_beyond(&patch)?;
            match patch.description {
                Change::Keep => {}
                Change::Set(text) => input["description"] = text.into(),
                Change::Clear => input["description"] = "".into(),
            }
        }
        let doing = format!("change project {path}");
        let document = include_str!("queries/upsert_project.graphql");
        let variables = json!({ "input": input });
        let Answer { upsert_model } = remote.graphql.ask(doing, document, variables).await?;
        upsert_model.model.read(&path.entity)
    }
}
