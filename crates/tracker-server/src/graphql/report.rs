//! Reports, which the wire calls views.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use futures::TryStreamExt as _;
use tracker_model::{
    Change, Error, ErrorKind, ProjectPath, Report, ReportPatch, ReportPath, Result, Timestamp,
};

use super::{
    Asked, GraphResult,
    exact::{self, ExactInput},
    found,
    page::{connection, page_of, wanted},
    project::{ProjectNode, project_at},
    scalars::{DateTime, JsonString},
    session::{Success, UserNode},
    told,
};
use crate::{ids, sweeps::hand_out::random_id};

connection!(ViewConnection, ViewEdge, ViewNode);

/// The kind of a report that is not named otherwise.
const RUNS: &str = "runs";

/// A report.
#[derive(Debug, Clone)]
pub(crate) struct ViewNode(Arc<Report>);

#[Object(name = "View")]
impl ViewNode {
    async fn id(&self) -> ID {
        ID(id_of(&self.0.path))
    }

    #[graphql(name = "type")]
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    async fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    async fn display_name(&self) -> Option<&str> {
        self.0.title.as_deref()
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    async fn user(&self) -> Option<UserNode> {
        self.0.user.clone().map(UserNode::Named)
    }

    /// JSON text.
    async fn spec(&self) -> &str {
        &self.0.spec
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at.unwrap_or(self.0.created_at))
    }

    async fn project(&self, ctx: &Context<'_>) -> GraphResult<Option<ProjectNode>> {
        project_at(Asked::of(ctx)?, &self.0.path.project_path()).await
    }

    async fn trackway(&self) -> Option<JsonString> {
        exact::record_text(&*self.0)
    }

    async fn entity_name(&self) -> &str {
        self.0.path.entity.as_str()
    }
}

fn id_of(path: &ReportPath) -> String {
    let (entity, project) = (path.entity.as_str(), path.project.as_str());
    ids::encode("View", &[path.report.as_str(), project, entity])
}

/// The report with this id.
pub(crate) fn path_of(id: &str) -> Result<ReportPath> {
    let [report, project, entity] = ids::decode("View", id)?;
    format!("{entity}/{project}/{report}").parse()
}

/// The reports of a project, newest first.
pub(crate) async fn views_of(
    asked: &Asked,
    project: &ProjectPath,
    kind: Option<String>,
    name: Option<String>,
    after: Option<&str>,
    first: Option<i64>,
) -> GraphResult<ViewConnection> {
    let (kind, name) = (
        kind.filter(|kind| !kind.is_empty()),
        name.filter(|name| !name.is_empty()),
    );
    let reports = asked
        .app
        .tracker
        .reports(project)
        .try_filter(move |report| {
            let fits = kind.as_ref().is_none_or(|kind| *kind == report.kind)
                && name
                    .as_ref()
                    .is_none_or(|name| report.name.as_ref() == Some(name));
            std::future::ready(fits)
        });
    let page = page_of(reports, after, wanted(first, 50)).await;
    let (first, reports, more) = page.map_err(told)?;
    let nodes = reports.into_iter().map(|report| ViewNode(Arc::new(report)));
    Ok(ViewConnection::page(first, nodes.collect(), more))
}

#[derive(Debug, Default)]
pub(crate) struct ReportQuery;

#[Object]
impl ReportQuery {
    async fn view(&self, ctx: &Context<'_>, id: ID) -> GraphResult<Option<ViewNode>> {
        let asked = Asked::of(ctx)?;
        let Ok(path) = path_of(&id) else {
            return Ok(None);
        };
        if found(asked.viewer.read(&path.entity))?.is_none() {
            return Ok(None);
        }
        let report = found(asked.app.tracker.report(&path).await)?;
        Ok(report.map(|report| ViewNode(Arc::new(report))))
    }
}

/// What made a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ViewSource {
    /// A page in a browser.
    WandbUi,
    /// A program.
    WandbSdk,
}

#[derive(Debug, InputObject)]
pub(crate) struct UpsertViewInput {
    id: Option<ID>,
    entity_name: Option<String>,
    project_name: Option<String>,
    #[graphql(name = "type")]
    kind: Option<String>,
    name: Option<String>,
    display_name: Option<String>,
    description: Option<String>,
    spec: Option<String>,
    created_using: Option<ViewSource>,
    trackway: Option<ExactInput>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct UpsertViewPayload {
    view: Option<ViewNode>,
    /// Whether there was no such report.
    inserted: bool,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteViewInput {
    id: ID,
    delete_drafts: Option<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct ReportMutation;

#[Object]
impl ReportMutation {
    /// Makes a report, or changes what is named of one.
    async fn upsert_view(
        &self,
        ctx: &Context<'_>,
        input: UpsertViewInput,
    ) -> GraphResult<UpsertViewPayload> {
        let (report, inserted) = upsert(Asked::of(ctx)?, input).await.map_err(told)?;
        Ok(UpsertViewPayload {
            view: Some(ViewNode(Arc::new(report))),
            inserted,
        })
    }

    async fn delete_view(&self, ctx: &Context<'_>, input: DeleteViewInput) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let path = path_of(&input.id).map_err(told)?;
        asked.viewer.write(&path.entity).map_err(told)?;
        asked.app.tracker.delete_report(&path).await.map_err(told)?;
        Ok(Success::yes())
    }
}

async fn upsert(asked: &Asked, input: UpsertViewInput) -> Result<(Report, bool)> {
    let given = input.id.clone().filter(|id| !id.is_empty());
    let path = match &given {
        // Who knows records knows their names, too.
        Some(id) if input.trackway.is_some() => {
            let entity = asked.entity(input.entity_name.as_deref())?;
            let project = input.project_name.as_deref().unwrap_or_default();
            ProjectPath::new(entity, project.parse()?).report(id.parse()?)
        }
        Some(id) => path_of(id)?,
        None => {
            let entity = asked.entity(input.entity_name.as_deref())?;
            let project = input
                .project_name
                .as_deref()
                .filter(|name| !name.is_empty());
            let project = project.ok_or_else(|| Error::invalid("a report needs a project"))?;
            format!("{entity}/{project}/{}", random_id()?).parse()?
        }
    };
    asked.viewer.write(&path.entity)?;
    if let Some(exact) = input.trackway {
        let (before, inserted) = match asked.app.tracker.report(&path).await {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                (Report::new(path.clone(), Timestamp::now()), true)
            }
            there => (there?, false),
        };
        let patch = exact.report(&before)?;
        let report = asked.app.tracker.upsert_report(&path, patch).await?;
        return Ok((report, inserted));
    }
    let mut patch = ReportPatch::new();
    if given.is_some() {
        asked.app.tracker.report(&path).await?;
    } else {
        patch.user = Change::Set(asked.viewer.user.name.to_string());
        patch.kind = Some(RUNS.to_owned());
    }
    let set = |text: Option<String>| text.map_or(Change::Keep, Change::Set);
    patch.kind = input.kind.or(patch.kind);
    patch.name = set(input.name);
    patch.title = set(input.display_name);
    patch.description = set(input.description);
    patch.spec = input.spec;
    patch.updated_at = Change::Set(Timestamp::now());
    let report = asked.app.tracker.upsert_report(&path, patch).await?;
    Ok((report, given.is_none()))
}
