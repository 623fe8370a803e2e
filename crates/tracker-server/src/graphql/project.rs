//! Projects and the lists in them.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use futures::StreamExt;
use tracker_model::{
    EntityName, Project, ProjectPath, Result, RunFilter, RunOrder, RunParts, RunPath, RunQuery,
};

use super::{
    Asked, GraphResult,
    artifact::{ArtifactCollectionMembership, ArtifactNode},
    collection::{
        self, ArtifactCollection, ArtifactCollectionConnection, ArtifactTypeConnection,
        ArtifactTypeNode,
    },
    exact, found,
    page::{connection, page_of, wanted},
    report::{ViewConnection, views_of},
    run::RunNode,
    scalars::{DateTime, JsonString},
    session::{EntityNode, UserNode},
    sweep::{SweepConnection, SweepNode, count_sweeps, sweep_named, sweeps_of},
    told,
};
use crate::{artifacts::find, ids};

connection!(ProjectConnection, ProjectEdge, ProjectNode);
connection!(RunConnection, RunEdge, RunNode);

/// A project.
#[derive(Debug, Clone)]
pub(crate) struct ProjectNode(pub(crate) Arc<Project>);

impl ProjectNode {
    pub(crate) fn path(&self) -> &ProjectPath {
        &self.0.path
    }

    fn query(&self, filters: Option<JsonString>, order: Option<String>) -> Result<RunQuery> {
        let mut query = RunQuery::of_project(self.path());
        if let Some(JsonString(text)) = filters
            && !matches!(text.trim(), "" | "{}" | "null")
        {
            let filter = RunFilter::parse(&text).map_err(tracker_model::Error::of_query)?;
            query = query.with_filter(filter);
        }
        if let Some(order) = order.filter(|order| !order.trim().is_empty()) {
            let keys = order
                .split(',')
                .map(str::trim)
                .filter(|key| !key.is_empty());
            let order = RunOrder::parse(keys).map_err(tracker_model::Error::of_query)?;
            query = query.with_order(order);
        }
        Ok(query)
    }

    async fn run_named(&self, ctx: &Context<'_>, name: &str) -> GraphResult<Option<RunNode>> {
        let asked = Asked::of(ctx)?;
        let Ok(run) = name.parse() else {
            return Ok(None);
        };
        let path = self.path().run(run);
        let run = found(asked.app.tracker.run(&path).await)?;
        Ok(run
            .filter(|run| asked.exact || !run.deleted)
            .map(RunNode::new))
    }
}

/// Which parts of runs a selection below `edges.node` needs.
fn parts(ctx: &Context<'_>) -> RunParts {
    let node = ctx.look_ahead().field("edges").field("node");
    let any = |names: &[&str]| names.iter().any(|name| node.field(name).exists());
    RunParts {
        config: any(&["config"]),
        summary: any(&["summaryMetrics"]),
        extras: any(&[
            "config",
            "trackway",
            "wandbConfig",
            "description",
            "exitcode",
            "runInfo",
        ]),
        ..RunParts::NONE
    }
}

#[Object(name = "Project")]
impl ProjectNode {
    async fn id(&self) -> ID {
        ID(ids::of_project(self.path()))
    }

    /// A number that is the project's alone on this server.
    async fn internal_id(&self) -> ID {
        ID(ids::number_of_project(self.path()).to_string())
    }

    async fn name(&self) -> &str {
        self.path().project.as_str()
    }

    async fn entity_name(&self) -> &str {
        self.path().entity.as_str()
    }

    async fn entity(&self) -> EntityNode {
        EntityNode::new(self.path().entity.clone())
    }

    async fn user(&self, ctx: &Context<'_>) -> GraphResult<Option<UserNode>> {
        let user = Asked::of(ctx)?.app.accounts.user(&self.path().entity);
        Ok(user.await.map_err(told)?.map(UserNode::Account))
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    async fn updated_at(&self) -> Option<DateTime> {
        self.0.updated_at.map(DateTime)
    }

    async fn trackway(&self) -> Option<JsonString> {
        exact::record_text(&*self.0)
    }

    async fn access(&self) -> &'static str {
        "PRIVATE"
    }

    async fn views(&self) -> JsonString {
        JsonString("{}".to_owned())
    }

    async fn repo(&self) -> Option<String> {
        None
    }

    async fn docker_image(&self) -> Option<String> {
        None
    }

    async fn is_benchmark(&self) -> bool {
        false
    }

    async fn read_only(&self, ctx: &Context<'_>) -> GraphResult<bool> {
        Ok(!Asked::of(ctx)?.viewer.may_write(&self.path().entity))
    }

    /// A version by its name: `collection:v3`, `collection:alias` or `collection:digest`.
    async fn artifact(
        &self,
        ctx: &Context<'_>,
        name: String,
        enable_tracking: Option<bool>,
    ) -> GraphResult<Option<ArtifactNode>> {
        let _ = enable_tracking;
        let asked = Asked::of(ctx)?;
        match found(find::by_name(&asked.app, self.path(), &name).await)? {
            Some(version) => ArtifactNode::source(asked, version).await.map_err(told),
            None => Ok(None),
        }
    }

    /// The place of such a version, which may be a link to one elsewhere.
    async fn artifact_collection_membership(
        &self,
        ctx: &Context<'_>,
        name: String,
    ) -> GraphResult<Option<ArtifactCollectionMembership>> {
        let app = &Asked::of(ctx)?.app;
        let version = found(find::by_name(app, self.path(), &name).await)?;
        Ok(version.map(ArtifactCollectionMembership::new))
    }

    async fn artifact_collection(
        &self,
        ctx: &Context<'_>,
        name: String,
    ) -> GraphResult<Option<ArtifactCollection>> {
        let node = collection::in_project(Asked::of(ctx)?, self.path(), &name).await?;
        Ok(node.map(ArtifactCollection::from))
    }

    async fn artifact_collections(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
        filters: Option<JsonString>,
        order: Option<String>,
    ) -> GraphResult<ArtifactCollectionConnection> {
        let wanted = collection::Wanted {
            kind: None,
            after,
            first,
            filters,
            order,
        };
        let page = collection::collections(Asked::of(ctx)?, self.path(), wanted).await;
        page.map_err(told)
    }

    async fn artifact_type(
        &self,
        ctx: &Context<'_>,
        name: String,
    ) -> GraphResult<Option<ArtifactTypeNode>> {
        let types = ArtifactTypeNode::of_project(Asked::of(ctx)?, self.path()).await;
        Ok(types
            .map_err(told)?
            .into_iter()
            .find(|kind| kind.name == name))
    }

    async fn artifact_types(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
        include_all: Option<bool>,
    ) -> GraphResult<ArtifactTypeConnection> {
        let _ = include_all;
        let types = ArtifactTypeNode::of_project(Asked::of(ctx)?, self.path()).await;
        let types = futures::stream::iter(types.map_err(told)?.into_iter().map(Ok));
        let page = page_of(types, after.as_deref(), wanted(first, 50)).await;
        let (first, types, more) = page.map_err(told)?;
        Ok(ArtifactTypeConnection::page(first, types, more))
    }

    async fn run_count(&self, ctx: &Context<'_>, filters: Option<JsonString>) -> GraphResult<u64> {
        let asked = Asked::of(ctx)?;
        let query = self.query(filters, None).map_err(told)?;
        asked
            .app
            .tracker
            .count_runs(&query.with_deleted(asked.exact))
            .await
            .map_err(told)
    }

    async fn runs(
        &self,
        ctx: &Context<'_>,
        filters: Option<JsonString>,
        order: Option<String>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<RunConnection> {
        let query = self
            .query(filters, order)
            .map_err(told)?
            .with_parts(parts(ctx));
        self.page(ctx, query, after, first).await
    }

    /// The same under its old name.
    async fn buckets(
        &self,
        ctx: &Context<'_>,
        filters: Option<JsonString>,
        order: Option<String>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<RunConnection> {
        let query = self
            .query(filters, order)
            .map_err(told)?
            .with_parts(parts(ctx));
        self.page(ctx, query, after, first).await
    }

    async fn run(
        &self,
        ctx: &Context<'_>,
        name: String,
        desc: Option<String>,
    ) -> GraphResult<Option<RunNode>> {
        let _ = desc;
        self.run_named(ctx, &name).await
    }

    async fn sweep(&self, ctx: &Context<'_>, sweep_name: String) -> GraphResult<Option<SweepNode>> {
        sweep_named(Asked::of(ctx)?, self.path(), &sweep_name).await
    }

    /// Its reports.
    async fn all_views(
        &self,
        ctx: &Context<'_>,
        view_type: Option<String>,
        view_name: Option<String>,
        first: Option<i64>,
        after: Option<String>,
    ) -> GraphResult<ViewConnection> {
        let after = after.as_deref();
        views_of(
            Asked::of(ctx)?,
            self.path(),
            view_type,
            view_name,
            after,
            first,
        )
        .await
    }

    async fn sweeps(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
        filters: Option<JsonString>,
    ) -> GraphResult<SweepConnection> {
        let _ = filters;
        sweeps_of(Asked::of(ctx)?, self.path(), after.as_deref(), first).await
    }

    async fn total_sweeps(&self, ctx: &Context<'_>) -> GraphResult<u64> {
        count_sweeps(Asked::of(ctx)?, self.path())
            .await
            .map_err(told)
    }

    /// The same under its old name.
    async fn bucket(
        &self,
        ctx: &Context<'_>,
        name: String,
        missing_ok: Option<bool>,
        desc: Option<String>,
    ) -> GraphResult<Option<RunNode>> {
        let _ = (missing_ok, desc);
        self.run_named(ctx, &name).await
    }
}

impl ProjectNode {
    async fn page(
        &self,
        ctx: &Context<'_>,
        query: RunQuery,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<RunConnection> {
        let asked = Asked::of(ctx)?;
        let query = query.with_deleted(asked.exact);
        let whose = asked.viewer.user.name.as_str();
        let pages = &asked.app.pages;
        let page = pages.read(
            &*asked.app.tracker,
            whose,
            query,
            after.as_deref(),
            wanted(first, 50),
        );
        let page = page.await.map_err(told)?;
        let nodes = page.runs.into_iter().map(RunNode::new).collect();
        Ok(RunConnection::page(page.first, nodes, page.more))
    }
}

/// The projects of an entity.
pub(crate) async fn projects_of(
    asked: &Asked,
    entity: &EntityName,
    after: Option<&str>,
    first: Option<i64>,
) -> GraphResult<ProjectConnection> {
    if found(asked.viewer.read(entity))?.is_none() {
        return Ok(ProjectConnection::all(Vec::new()));
    }
    let exact = asked.exact;
    let projects = asked
        .app
        .tracker
        .projects(Some(entity))
        .filter(move |project| {
            let shown = exact || project.as_ref().map_or(true, |project| !project.deleted);
            std::future::ready(shown)
        });
    let (first, projects, more) = page_of(projects, after, wanted(first, 50))
        .await
        .map_err(told)?;
    let nodes = projects
        .into_iter()
        .map(|project| ProjectNode(Arc::new(project)));
    Ok(ProjectConnection::page(first, nodes.collect(), more))
}

/// The project, if there is one that the viewer may see.
pub(crate) async fn project_at(
    asked: &Asked,
    path: &ProjectPath,
) -> GraphResult<Option<ProjectNode>> {
    if found(asked.viewer.read(&path.entity))?.is_none() {
        return Ok(None);
    }
    let project = found(asked.app.tracker.project(path).await)?;
    let shown = project.filter(|project| asked.exact || !project.deleted);
    Ok(shown.map(|project| ProjectNode(Arc::new(project))))
}

/// The run of an id, for those who may change it.
pub(crate) fn writable_run(asked: &Asked, id: &str) -> Result<RunPath> {
    let path = ids::run(id)?;
    asked.viewer.write(&path.entity)?;
    Ok(path)
}

#[derive(Debug, Default)]
pub(crate) struct ProjectQuery;

#[Object]
impl ProjectQuery {
    async fn project(
        &self,
        ctx: &Context<'_>,
        name: Option<String>,
        entity_name: Option<String>,
    ) -> GraphResult<Option<ProjectNode>> {
        named(ctx, name, entity_name).await
    }

    /// The same under its old name.
    async fn model(
        &self,
        ctx: &Context<'_>,
        name: Option<String>,
        entity_name: Option<String>,
    ) -> GraphResult<Option<ProjectNode>> {
        named(ctx, name, entity_name).await
    }

    async fn models(
        &self,
        ctx: &Context<'_>,
        entity_name: Option<String>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<ProjectConnection> {
        let asked = Asked::of(ctx)?;
        let entity = asked.entity(entity_name.as_deref()).map_err(told)?;
        projects_of(asked, &entity, after.as_deref(), first).await
    }
}

async fn named(
    ctx: &Context<'_>,
    name: Option<String>,
    entity: Option<String>,
) -> GraphResult<Option<ProjectNode>> {
    let asked = Asked::of(ctx)?;
    let path = asked.entity(entity.as_deref()).and_then(|entity| {
        let project = name.as_deref().filter(|name| !name.is_empty());
        let project = project.unwrap_or(super::UNCATEGORIZED).parse()?;
        Ok(ProjectPath::new(entity, project))
    });
    match path {
        Ok(path) => project_at(asked, &path).await,
        // What cannot be a name is the name of nothing.
        Err(_) => Ok(None),
    }
}
