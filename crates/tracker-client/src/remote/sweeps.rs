//! Sweeps.

use async_trait::async_trait;
use futures::{FutureExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    Error, ProjectPath, Result, Sweep, SweepPatch, SweepPath, SweepState, SweepStore, Timestamp,
};

use super::{
    Remote, RemoteTracker,
    failure::unsupported,
    graphql::{Connection, Repeat},
    pages::{self, Page},
    record::{UserNode, changed, members, over, time},
};

/// Sweeps of a page.
const PAGE: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    name: String,
    display_name: Option<String>,
    description: Option<String>,
    state: Option<String>,
    config: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    user: Option<UserNode>,
    trackway: Option<String>,
}

impl Node {
    fn read(self, project: &ProjectPath) -> Result<Sweep> {
        let created_at = time(self.created_at.as_deref()).unwrap_or(Timestamp::from_millis(0));
        let mut sweep = Sweep::new(project.sweep(self.name.parse()?), created_at);
        if let Some(record) = &self.trackway {
            return over(&sweep, members(record)?, &["path"]);
        }
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let text = self.config.unwrap_or_default();
        if let Ok(Json::Object(config)) = serde_saphyr::from_str::<Json>(&text) {
            sweep.config = config;
        }
        // JSON says no more than the object.
        sweep.config_text = some(Some(text)).filter(|text| !text.starts_with('{'));
        sweep.name = some(self.display_name);
        sweep.description = some(self.description);
        sweep.user = self.user.and_then(|user| user.username);
        sweep.updated_at = time(self.updated_at.as_deref());
        sweep.state = self.state.as_deref().map_or(SweepState::Pending, state_of);
        sweep.version = 1;
        Ok(sweep)
    }
}

fn state_of(word: &str) -> SweepState {
    let known = SweepState::ALL.into_iter();
    known
        .into_iter()
        .find(|state| state.as_str().eq_ignore_ascii_case(word))
        .unwrap_or(SweepState::Running)
}

impl Remote {
    async fn sweep_node(&self, path: &SweepPath) -> Result<Option<Node>> {
        #[derive(Deserialize)]
        struct Answer {
            project: Option<OfProject>,
        }
        #[derive(Deserialize)]
        struct OfProject {
            sweep: Option<Node>,
        }
        let variables = json!({
            "entity": path.entity, "project": path.project, "sweep": path.sweep,
        });
        let doing = format!("ask for sweep {path}");
        let document = include_str!("queries/sweep.graphql");
        let Answer { project } = self.graphql.ask(doing, document, variables).await?;
        Ok(project.and_then(|project| project.sweep))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Upserted {
    upsert_sweep: Payload,
}

#[derive(Deserialize)]
struct Payload {
    sweep: Node,
}

impl Remote {
    async fn send_sweep(&self, path: &SweepPath, input: Json) -> Result<Sweep> {
        let doing = format!("change sweep {path}");
        let document = include_str!("queries/upsert_sweep.graphql");
        let variables = json!({ "input": input });
        let Upserted { upsert_sweep } = self.graphql.ask(doing, document, variables).await?;
        upsert_sweep.sweep.read(&path.project_path())
    }

    /// Changes a sweep that is there in W&B's words.
    async fn change_sweep(&self, id: String, before: Sweep, patch: SweepPatch) -> Result<Sweep> {
        let mut after = before.clone();
        patch.apply(&mut after);
        let path = &before.path;
        let mut input = json!({
            "id": id, "entityName": path.entity, "projectName": path.project,
        });
        let mut said = before.clone();
        let text = |text: &Option<String>| Json::from(text.clone().unwrap_or_default());
        if after.name != before.name {
            input["displayName"] = text(&after.name);
            said.name.clone_from(&after.name);
        }
        if after.description != before.description {
            input["description"] = text(&after.description);
            said.description.clone_from(&after.description);
        }
        if after.state != before.state {
            input["state"] = after.state.as_str().to_ascii_uppercase().into();
            said.state = after.state;
        }
        if (&after.config, &after.config_text) != (&before.config, &before.config_text) {
            let config = || Json::Object(after.config.clone()).to_string();
            // JSON is YAML, too.
            input["config"] = after.config_text.clone().unwrap_or_else(config).into();
            said.config.clone_from(&after.config);
            said.config_text.clone_from(&after.config_text);
        }
        said.version = after.version;
        if said != after {
            return Err(unsupported(
                "this server keeps of a sweep its name, description, state and config",
            ));
        }
        self.send_sweep(path, input).await
    }
}

#[async_trait]
impl SweepStore for RemoteTracker {
    async fn upsert_sweep(&self, path: &SweepPath, patch: SweepPatch) -> Result<Sweep> {
        let remote = &self.remote;
        let project = path.project_path();
        let node = remote.sweep_node(path).await?;
        let id = node.as_ref().map(|node| node.id.clone());
        let before = node.map(|node| node.read(&project)).transpose()?;
        if !remote.is_exact() {
            let (Some(id), Some(before)) = (id, before) else {
                return Err(unsupported(
                    "this server chooses the ids of sweeps by itself",
                ));
            };
            return remote.change_sweep(id, before, patch).await;
        }
        let is_new = before.is_none();
        let before = before.unwrap_or_else(|| Sweep::new(path.clone(), Timestamp::now()));
        let set_time = patch.created_at.filter(|_| is_new);
        let mut after = before.clone();
        patch.apply(&mut after);
        let mut members = changed(&before, &after, &["path", "version"]);
        if let Some(at) = set_time {
            members.insert("created_at".to_owned(), json!(at));
        }
        let members = Json::Object(members).to_string();
        let input = json!({
            "id": path.sweep, "entityName": path.entity, "projectName": path.project,
            "trackway": { "members": members },
        });
        remote.send_sweep(path, input).await
    }

    async fn sweep(&self, path: &SweepPath) -> Result<Sweep> {
        let node = self.remote.sweep_node(path).await?;
        let node = node.ok_or_else(|| Error::not_found(format_args!("sweep {path}")))?;
        node.read(&path.project_path())
    }

    fn sweeps(&self, project: &ProjectPath) -> BoxStream<'static, Result<Sweep>> {
        #[derive(Deserialize)]
        struct Answer {
            project: Option<OfProject>,
        }
        #[derive(Deserialize)]
        struct OfProject {
            sweeps: Option<Connection<Node>>,
        }
        let (remote, path) = (self.remote.clone(), project.clone());
        let pages = pages::items(None, move |after| {
            let (remote, path) = (remote.clone(), path.clone());
            async move {
                let variables = json!({
                    "entity": path.entity, "project": path.project, "first": PAGE, "after": after,
                });
                let doing = format!("list the sweeps of {path}");
                let document = include_str!("queries/sweeps.graphql");
                let Answer { project } = remote.graphql.ask(doing, document, variables).await?;
                let found = project.ok_or_else(|| Error::not_found(format_args!("project {path}")));
                let sweeps = found?.sweeps;
                let next = sweeps.as_ref().and_then(Connection::next);
                let nodes = sweeps.into_iter().flat_map(Connection::nodes);
                let items = nodes.map(|node| node.read(&path)).collect::<Result<_>>()?;
                Ok(Page { items, next })
            }
            .boxed()
        });
        if self.remote.is_exact() {
            return pages;
        }
        pages::sorted(pages, |a: &Sweep, b| {
            let newest = b.created_at.cmp(&a.created_at);
            newest.then_with(|| a.path.sweep.cmp(&b.path.sweep))
        })
    }

    async fn delete_sweep(&self, path: &SweepPath) -> Result<()> {
        let remote = &self.remote;
        if !remote.is_exact() {
            return Err(unsupported("this server does not delete sweeps"));
        }
        let node = remote.sweep_node(path).await?;
        let node = node.ok_or_else(|| Error::not_found(format_args!("sweep {path}")))?;
        let doing = format!("delete sweep {path}");
        let document = include_str!("queries/delete_sweep.graphql");
        let variables = json!({ "id": node.id });
        let asked = remote
            .graphql
            .send(doing, document, variables, Repeat::Unsafe);
        asked.await.map(|_: serde::de::IgnoredAny| ())
    }
}
