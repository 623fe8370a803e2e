//! Artifacts.

use axum::extract::{Path, State};
use futures::TryStreamExt;
use maud::{Markup, html};
use tracker_client::text::{bytes, thousands};
use tracker_model::{
    ArtifactVersion, Collection, CollectionPath, EntityName, ManifestEntry, ProjectPath, UseRole,
    VersionRef,
};

use super::{
    PageResult, Visitor,
    layout::{Page, Tab, bounds, numbered},
    nothing,
    params::{Params, address},
    project_of, table,
    text::{Text, shortened, time},
    values,
};
use crate::{accounts::Viewer, app::App, http::Shared};

/// Collections or versions on a page, entries of a version that are shown, and runs.
const PER_PAGE: usize = 100;
const ENTRIES: usize = 200;
const RUNS: usize = 100;

fn address_of(path: &CollectionPath, kind: &str, version: Option<&str>) -> String {
    let project = &path.project;
    let parts = [
        project.entity.as_str(),
        project.project.as_str(),
        "artifacts",
        kind,
        &path.name,
    ];
    address(parts.into_iter().chain(version))
}

/// `GET /{entity}/{project}/artifacts`
pub(super) async fn list(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project)): Path<(String, String)>,
    params: Params,
) -> PageResult {
    let path = project_of(&visitor, &entity, &project)?;
    listed(&shared.app, &visitor, &path, None, &params).await
}

/// `GET /{entity}/{project}/artifacts/{kind}`
pub(super) async fn of_kind(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project, kind)): Path<(String, String, String)>,
    params: Params,
) -> PageResult {
    let path = project_of(&visitor, &entity, &project)?;
    listed(&shared.app, &visitor, &path, Some(&kind), &params).await
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    path: &ProjectPath,
    kind: Option<&str>,
    params: &Params,
) -> PageResult {
    let mut all: Vec<Collection> = app.tracker.collections(path).try_collect().await?;
    all.retain(|collection| kind.is_none_or(|kind| collection.kind == kind));
    all.sort_by(|a, b| (&a.kind, &a.path.name).cmp(&(&b.kind, &b.path.name)));
    let (first, last) = bounds(params, all.len(), PER_PAGE);
    let shown = all.get(first..last).unwrap_or_default();
    let base = address([path.entity.as_str(), path.project.as_str(), "artifacts"]);
    let body = html! {
        div.head {
            h1 { "Artifacts" @if let Some(kind) = kind { " of type " (Text(kind)) } }
            @if kind.is_some() { p { a href=(base) { "All artifacts" } } }
        }
        section.card {
            @if shown.is_empty() { p.empty { "There are no artifacts here." } } @else {
                div.scroll { table {
                    thead { tr { th { "Name" } th { "Type" } th { "Created (UTC)" } th { "Description" } } }
                    tbody { @for collection in shown { tr {
                        td.name { a href=(address_of(&collection.path, &collection.kind, None)) { (Text(&collection.path.name)) } }
                        td { a href={ (base) (address([collection.kind.as_str()])) } { (Text(&collection.kind)) } @if collection.portfolio { " " span.dim { "portfolio" } } }
                        td { (time(collection.created_at)) }
                        td.cell { @if let Some(about) = &collection.description { (Text(&shortened(about, 200))) } }
                    } } }
                } }
                (numbered(params, all.len(), PER_PAGE, "artifacts"))
            }
        }
    };
    let page = Page::new(format!("Artifacts · {}", path.project), body);
    Ok(page.with_visitor(visitor).in_project(path, Tab::Artifacts))
}

/// The collection of an address, which has to be of this type.
async fn find(app: &App, project: &ProjectPath, kind: &str, name: &str) -> PageResult<Collection> {
    let path = CollectionPath::new(project.clone(), name).map_err(|_| nothing("this artifact"))?;
    let collection = app.tracker.collection(&path).await?;
    match collection.kind == kind {
        true => Ok(collection),
        false => Err(nothing(format_args!("artifact {name} of type {kind}"))),
    }
}

/// Whether the viewer may see a version: a link shows what is in another entity.
fn may_see(viewer: &Viewer, version: &ArtifactVersion) -> bool {
    let read = |entity: &EntityName| viewer.may_read(entity);
    version
        .link_of
        .as_ref()
        .is_none_or(|link| read(&link.collection.project.entity))
}

/// `GET /{entity}/{project}/artifacts/{kind}/{name}`
pub(super) async fn collection(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project, kind, name)): Path<(String, String, String, String)>,
    params: Params,
) -> PageResult {
    let path = project_of(&visitor, &entity, &project)?;
    let app = &shared.app;
    let collection = find(app, &path, &kind, &name).await?;
    let mut versions: Vec<ArtifactVersion> =
        app.tracker.versions(&collection.path).try_collect().await?;
    versions.retain(|version| may_see(&visitor.viewer, version));
    versions.reverse();
    let (first, last) = bounds(&params, versions.len(), PER_PAGE);
    let shown = versions.get(first..last).unwrap_or_default();
    let body = html! {
        section.card.head {
            h1 { (Text(&name)) }
            p.dim { (Text(&kind)) @if collection.portfolio { ", a portfolio" } }
            @if let Some(about) = &collection.description { div.notes { (Text(&shortened(about, 20_000))) } }
        }
        section.card {
            h2 { "Versions" }
            @if shown.is_empty() { p.empty { "There are no versions." } } @else {
                div.scroll { table {
                    thead { tr { th { "Version" } th { "Aliases" } th.num { "Size" } th.num { "Files" } th { "Created (UTC)" } th { "Made by" } } }
                    tbody { @for version in shown { tr {
                        @let index = format!("v{}", version.index);
                        td.name { a href=(address_of(&collection.path, &kind, Some(&index))) { (index) } }
                        td.cell { (table::tags(&version.aliases)) }
                        td.num { (bytes(version.size)) }
                        td.num { (thousands(version.entries)) }
                        td { (time(version.created_at)) }
                        td.cell { (made_by(&visitor.viewer, version)) }
                    } } }
                } }
                (numbered(&params, versions.len(), PER_PAGE, "versions"))
            }
        }
    };
    let page = Page::new(format!("{name} · {project}"), body);
    Ok(page
        .with_visitor(&visitor)
        .in_project(&path, Tab::Artifacts))
}

fn made_by(viewer: &Viewer, version: &ArtifactVersion) -> Markup {
    let run = version
        .logged_by
        .as_ref()
        .filter(|run| viewer.may_read(&run.entity));
    html! { @if let Some(run) = run { a href=(table::run_address(run)) { (Text(run.run.as_str())) } } }
}

/// `GET /{entity}/{project}/artifacts/{kind}/{name}/{version}`
pub(super) async fn version(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project, kind, name, version)): Path<(String, String, String, String, String)>,
) -> PageResult {
    let path = project_of(&visitor, &entity, &project)?;
    let (app, viewer) = (&shared.app, &visitor.viewer);
    let collection = find(app, &path, &kind, &name).await?;
    let wanted: VersionRef = version.parse()?;
    let version = app.tracker.version(&collection.path, &wanted).await?;
    if !may_see(viewer, &version) {
        return Err(nothing(format_args!("version {wanted} of artifact {name}")));
    }
    let mut manifest = app.tracker.manifest(&collection.path, version.index);
    let mut entries: Vec<ManifestEntry> = Vec::new();
    while entries.len() < ENTRIES
        && let Some(entry) = manifest.try_next().await?
    {
        entries.push(entry);
    }
    let mut uses = app.tracker.uses_of_version(&collection.path, version.index);
    let mut users = Vec::new();
    while users.len() < RUNS
        && let Some(entry) = uses.try_next().await?
    {
        if entry.role == UseRole::Used && viewer.may_read(&entry.run.entity) {
            users.push(entry.run);
        }
    }
    let index = format!("v{}", version.index);
    let body = html! {
        section.card.head {
            h1 { a href=(address_of(&collection.path, &kind, None)) { (Text(&name)) } ":" (index) }
            p { span.dim { (Text(&kind)) } " " (table::tags(&version.aliases)) (table::tags(&version.tags)) }
            dl.facts {
                div { dt { "Created (UTC)" } dd { (time(version.created_at)) } }
                div { dt { "Size" } dd { (bytes(version.size)) } }
                div { dt { "Files" } dd { (thousands(version.entries)) } }
                @if version.logged_by.is_some() { div { dt { "Made by" } dd { (made_by(viewer, &version)) } } }
                @if let Some(link) = &version.link_of { div.long { dt { "Link to" } dd { (Text(&link.to_string())) } } }
                div.long { dt { "Digest" } dd { code { (Text(&version.digest)) } } }
            }
            @if let Some(about) = &version.description { div.notes { (Text(&shortened(about, 20_000))) } }
        }
        section.card {
            h2 { "Files" }
            @if entries.is_empty() { p.empty { "No files." } } @else {
                div.scroll { table { tbody { @for entry in &entries { tr {
                    td.wide { (Text(&entry.path)) @if let Some(to) = &entry.reference { " " span.dim { (Text(&shortened(to, 500))) } } }
                    td.num { @if let Some(digests) = &entry.digests { (bytes(digests.size)) } }
                } } } } }
                @if version.entries > entries.len() as u64 { p.dim { "These are the first " (entries.len()) "." } }
            }
        }
        div.columns {
            section.card { h2 { "Metadata" } (values::table(&version.metadata, None)) }
            section.card {
                h2 { "Used by" }
                @if users.is_empty() { p.empty { "No run." } }
                ul.list { @for run in &users { li { a href=(table::run_address(run)) { (Text(&run.to_string())) } } } }
            }
        }
    };
    let page = Page::new(format!("{name}:{index} · {project}"), body);
    Ok(page
        .with_visitor(&visitor)
        .in_project(&path, Tab::Artifacts))
}
