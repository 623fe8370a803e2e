//! Reports, which the wire calls views.

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, TryStreamExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    Error, ProjectPath, Report, ReportId, ReportPatch, ReportPath, ReportStore, Result, Timestamp,
};

use super::{
    Remote, RemoteTracker,
    failure::unsupported,
    graphql::{Connection, Repeat},
    pages::{self, Page},
    record::{UserNode, changed, members, time},
};

/// Reports of a page.
const PAGE: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    display_name: Option<String>,
    description: Option<String>,
    spec: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    user: Option<UserNode>,
    trackway: Option<String>,
}

impl Node {
    fn read(self, project: &ProjectPath) -> Result<Report> {
        if let Some(record) = &self.trackway {
            let record = Json::Object(members(record)?);
            return serde_json::from_value(record).map_err(|e| {
                let message = "the server says of a report what cannot be read";
                Error::new(tracker_model::ErrorKind::Corrupt, message).with_source(e)
            });
        }
        let created_at = time(self.created_at.as_deref()).unwrap_or(Timestamp::from_millis(0));
        let path = project.report(ReportId::legalised(&self.id));
        let mut report = Report::new(path, created_at);
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        report.kind = self.kind.unwrap_or(report.kind);
        report.title = some(self.display_name);
        report.name = some(self.name);
        report.description = some(self.description);
        report.user = self.user.and_then(|user| user.username);
        report.spec = self.spec.unwrap_or(report.spec);
        report.updated_at = time(self.updated_at.as_deref());
        report.version = 1;
        Ok(report)
    }
}

/// A report, and what the server calls it.
type Found = (String, Report);

impl Remote {
    fn views(
        self: &std::sync::Arc<Self>,
        project: &ProjectPath,
    ) -> BoxStream<'static, Result<Found>> {
        #[derive(Deserialize)]
        struct Answer {
            project: Option<OfProject>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct OfProject {
            all_views: Option<Connection<Node>>,
        }
        let (remote, path) = (self.clone(), project.clone());
        pages::items(None, move |after| {
            let (remote, path) = (remote.clone(), path.clone());
            async move {
                // Others want to know which kind; theirs is the usual one.
                let kind = (!remote.is_exact()).then_some("runs");
                let variables = json!({
                    "entity": path.entity, "project": path.project, "type": kind,
                    "first": PAGE, "after": after,
                });
                let doing = format!("list the reports of {path}");
                let document = include_str!("queries/views.graphql");
                let Answer { project } = remote.graphql.ask(doing, document, variables).await?;
                let found = project.ok_or_else(|| Error::not_found(format_args!("project {path}")));
                let views = found?.all_views;
                let next = views.as_ref().and_then(Connection::next);
                let nodes = views.into_iter().flat_map(Connection::nodes);
                let items = nodes.map(|node| Ok((node.id.clone(), node.read(&path)?)));
                let items = items.collect::<Result<_>>()?;
                Ok(Page { items, next })
            }
            .boxed()
        })
    }

    async fn find_report(self: &std::sync::Arc<Self>, path: &ReportPath) -> Result<Option<Found>> {
        let mut views = self.views(&path.project_path());
        loop {
            match views.try_next().await {
                Ok(Some(found)) if found.1.path == *path => return Ok(Some(found)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                // Without a project there is no report in it.
                Err(e) if e.kind() == tracker_model::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Upserted {
    upsert_view: Payload,
}

#[derive(Deserialize)]
struct Payload {
    view: Node,
}

impl Remote {
    async fn send_report(&self, path: &ReportPath, input: Json) -> Result<Report> {
        let doing = format!("change report {path}");
        let document = include_str!("queries/upsert_view.graphql");
        let variables = json!({ "input": input });
        let Upserted { upsert_view } = self.graphql.ask(doing, document, variables).await?;
        upsert_view.view.read(&path.project_path())
    }

    /// Changes a report that is there in W&B's words.
    async fn change_report(
        &self,
        id: String,
        before: Report,
        patch: ReportPatch,
    ) -> Result<Report> {
        let mut after = before.clone();
        patch.apply(&mut after);
        let path = &before.path;
        let mut input = json!({
            "id": id, "entityName": path.entity, "projectName": path.project,
            "type": after.kind, "spec": after.spec,
        });
        let text = |text: &Option<String>| Json::from(text.clone().unwrap_or_default());
        if after.title != before.title {
            input["displayName"] = text(&after.title);
        }
        if after.name != before.name {
            input["name"] = text(&after.name);
        }
        if after.description != before.description {
            input["description"] = text(&after.description);
        }
        let mut said = before.clone();
        said.kind.clone_from(&after.kind);
        said.spec.clone_from(&after.spec);
        said.title.clone_from(&after.title);
        said.name.clone_from(&after.name);
        said.description.clone_from(&after.description);
        said.version = after.version;
        if said != after {
            return Err(unsupported(
                "this server keeps of a report its title, name, description, kind and spec",
            ));
        }
        self.send_report(path, input).await
    }
}

#[async_trait]
impl ReportStore for RemoteTracker {
    async fn upsert_report(&self, path: &ReportPath, patch: ReportPatch) -> Result<Report> {
        let remote = &self.remote;
        let found = remote.find_report(path).await?;
        if !remote.is_exact() {
            let Some((id, before)) = found else {
                return Err(unsupported(
                    "this server chooses the ids of reports by itself",
                ));
            };
            return remote.change_report(id, before, patch).await;
        }
        let before = found.map(|(_, report)| report);
        let is_new = before.is_none();
        let before = before.unwrap_or_else(|| Report::new(path.clone(), Timestamp::now()));
        let set_time = patch.created_at.filter(|_| is_new);
        let mut after = before.clone();
        patch.apply(&mut after);
        let mut members = changed(&before, &after, &["path", "version"]);
        if let Some(at) = set_time {
            members.insert("created_at".to_owned(), json!(at));
        }
        let members = Json::Object(members).to_string();
        let input = json!({
            "id": path.report, "entityName": path.entity, "projectName": path.project,
            "trackway": { "members": members },
        });
        remote.send_report(path, input).await
    }

    async fn report(&self, path: &ReportPath) -> Result<Report> {
        let found = self.remote.find_report(path).await?;
        let (_, report) = found.ok_or_else(|| Error::not_found(format_args!("report {path}")))?;
        Ok(report)
    }

    fn reports(&self, project: &ProjectPath) -> BoxStream<'static, Result<Report>> {
        let views = self.remote.views(project).map_ok(|(_, report)| report);
        if self.remote.is_exact() {
            return views.boxed();
        }
        pages::sorted(views.boxed(), |a: &Report, b| {
            let newest = b.created_at.cmp(&a.created_at);
            newest.then_with(|| a.path.report.cmp(&b.path.report))
        })
    }

    async fn delete_report(&self, path: &ReportPath) -> Result<()> {
        let found = self.remote.find_report(path).await?;
        let (id, _) = found.ok_or_else(|| Error::not_found(format_args!("report {path}")))?;
        let doing = format!("delete report {path}");
        let document = include_str!("queries/delete_view.graphql");
        let variables = json!({ "id": id });
        let asked = self
            .remote
            .graphql
            .send(doing, document, variables, Repeat::Unsafe);
        asked.await.map(|_: serde::de::IgnoredAny| ())
    }
}
