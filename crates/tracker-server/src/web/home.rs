//! The projects.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use futures::{StreamExt, TryStreamExt, stream};
use maud::html;
use tracker_client::text::thousands;
use tracker_model::{EntityName, Error, Project, Result, RunParts, RunQuery, Timestamp, Tracker};

use super::{
    PageResult, Visitor,
    layout::{Page, bounds, numbered},
    nothing,
    params::{Params, address},
    readable,
    text::{Text, shortened, time},
};
use crate::{app::App, http::Shared};

/// Projects on a page.
const PER_PAGE: usize = 100;
/// Projects that are asked about at once.
const AT_ONCE: usize = 8;

/// `GET /`
pub(super) async fn all(
    State(shared): State<Shared>,
    visitor: Visitor,
    params: Params,
) -> PageResult {
    let viewer = &visitor.viewer;
    let projects = if viewer.user.admin {
        projects_of(&shared.app, None).await?
    } else {
        let mine: BTreeSet<&EntityName> = viewer.teams.keys().chain([&viewer.user.name]).collect();
        let mut projects = Vec::new();
        for entity in mine {
            projects.extend(projects_of(&shared.app, Some(entity)).await?);
        }
        projects
    };
    let page = listed(&shared.app, projects, &params, "Projects").await?;
    Ok(page.with_visitor(&visitor))
}

/// `GET /{entity}`
pub(super) async fn of_entity(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path(entity): Path<String>,
    params: Params,
) -> PageResult {
    let name: EntityName = entity.parse().map_err(|_| nothing("this entity"))?;
    readable(&visitor.viewer, &name)?;
    let projects = projects_of(&shared.app, Some(&name)).await?;
    if projects.is_empty() && name != visitor.viewer.user.name {
        return Err(nothing(format_args!("entity {name}")));
    }
    let page = listed(&shared.app, projects, &params, &entity).await?;
    Ok(page.with_visitor(&visitor).in_entity(&entity))
}

async fn projects_of(app: &App, entity: Option<&EntityName>) -> Result<Vec<Project>> {
    let there = |project: &Project| std::future::ready(!project.deleted);
    app.tracker
        .projects(entity)
        .try_filter(there)
        .try_collect()
        .await
}

/// When something last happened in a project.
async fn activity(tracker: &dyn Tracker, project: &Project) -> Result<Timestamp> {
    let said = project.updated_at.unwrap_or(project.created_at);
    let newest = RunQuery::of_project(&project.path).with_limit(1);
    let mut runs = tracker.find_runs(newest.with_parts(RunParts::NONE));
    let run = runs.try_next().await?;
    let times = run
        .into_iter()
        .flat_map(|run| [Some(run.created_at), run.heartbeat_at, run.ended_at]);
    Ok(times.flatten().fold(said, Timestamp::max))
}

/// The projects, those with the newest activity first, in groups by entity.
async fn listed(app: &App, projects: Vec<Project>, params: &Params, title: &str) -> PageResult {
    let tracker = &*app.tracker;
    let mut dated: Vec<(Timestamp, Project)> = stream::iter(projects)
        .map(|project| async { Ok::<_, Error>((activity(tracker, &project).await?, project)) })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut newest: BTreeMap<EntityName, Timestamp> = BTreeMap::new();
    for (at, project) in &dated {
        let newest = newest.entry(project.path.entity.clone()).or_insert(*at);
        *newest = (*newest).max(*at);
    }
    dated.sort_by_cached_key(|(at, project)| {
        let entity = &project.path.entity;
        let of_entity = newest.get(entity).copied();
        (
            std::cmp::Reverse(of_entity),
            entity.clone(),
            std::cmp::Reverse(*at),
        )
    });
    let (total, (first, last)) = (dated.len(), bounds(params, dated.len(), PER_PAGE));
    let shown: Vec<(Timestamp, Project, u64)> =
        stream::iter(dated.into_iter().take(last).skip(first))
            .map(|(at, project)| async move {
                let runs = tracker
                    .count_runs(&RunQuery::of_project(&project.path))
                    .await?;
                Ok::<_, Error>((at, project, runs))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
    let body = html! {
        div.head { h1 { (Text(title)) } }
        @if shown.is_empty() {
            section.card { p.empty { "There are no projects yet: the first run that is logged makes one." } }
        }
        @for group in shown.chunk_by(|(_, a, _), (_, b, _)| a.path.entity == b.path.entity) {
            @if let Some((_, project, _)) = group.first() {
                @let entity = project.path.entity.as_str();
                section.card {
                    h2 { a href=(address([entity])) { (Text(entity)) } }
                    div.scroll { table {
                        thead { tr { th scope="col" { "Project" } th.num scope="col" { "Runs" } th scope="col" { "Last activity (UTC)" } th scope="col" { "Description" } } }
                        tbody {
                            @for (at, project, runs) in group {
                                @let name = project.path.project.as_str();
                                tr {
                                    td.name { a href=(address([entity, name])) { (Text(name)) } }
                                    td.num { (thousands(*runs)) }
                                    td { (time(*at)) }
                                    td.cell { @if let Some(about) = &project.description { (Text(&shortened(about, 200))) } }
                                }
                            }
                        }
                    } }
                }
            }
        }
        @if total > PER_PAGE { (numbered(params, total, PER_PAGE, "projects")) }
    };
    Ok(Page::new(title, body))
}
