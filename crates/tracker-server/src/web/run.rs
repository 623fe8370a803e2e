//! One run.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use futures::{TryStreamExt, future::try_join3};
use maud::{Markup, html};
use tracker_client::{Run, chart::has_numbers, text::bytes};
use tracker_model::{HistoryStream, Result, SeriesInfo, UseRole};

use super::{
    PageResult, Visitor,
    charts::{Look, Plan, charts},
    contents, found,
    layout::{Page, Tab, bare, bounds, numbered},
    logs, nothing,
    params::{Params, address},
    run_of, session, table,
    text::{Text, shortened, time},
    values,
};
use crate::{accounts::Viewer, app::App, http::Shared};

/// Charts on a page.
const CHARTS: usize = 24;
/// Files and artifacts that are shown.
const FILES: usize = 500;
const ARTIFACTS: usize = 200;
/// Characters of notes.
const NOTES: usize = 20_000;

/// `GET /{entity}/{project}/runs/{run}/{part}`, the places that W&B has: all are on one page.
pub(super) async fn part(
    visitor: Visitor,
    Path((entity, project, run, part)): Path<(String, String, String, String)>,
) -> PageResult<Response> {
    let to = table::run_address(&run_of(&visitor, &entity, &project, &run)?);
    let place = match part.as_str() {
        "overview" | "workspace" | "charts" => "",
        "files" => "#files",
        "logs" => "#console",
        "artifacts" => "#artifacts",
        "system" => "?stream=system#charts",
        _ => return Err(nothing(format_args!("{part} of run {run}"))),
    };
    Ok(session::see(&format!("{to}{place}")))
}

/// `GET /{entity}/{project}/runs/{run}`
pub(super) async fn page(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project, run)): Path<(String, String, String)>,
    params: Params,
) -> PageResult {
    let path = run_of(&visitor, &entity, &project, &run)?;
    let app = &shared.app;
    let run = app.api.run_at(&path).await?;
    if run.record().deleted {
        return Err(nothing(format_args!("run {path}")));
    }
    let series = drawn(app, &run, &params);
    let rest = try_join3(
        files(&run),
        logs::console(&*app.tracker, &run),
        artifacts(app, &visitor.viewer, &run),
    );
    let (series, (files, console, artifacts)) = futures::future::try_join(series, rest).await?;
    let body = html! {
        (header(&run))
        section.card #charts { (series) }
        div.columns {
            section.card #summary { h2 { "Summary" } (values::table(run.summary(), Some(&path))) }
            section.card #config { h2 { "Config" } (values::table(run.config(), Some(&path))) }
        }
        section.card #console { h2 { "Console" } (console) }
        div.columns {
            section.card #files { h2 { "Files" } (files) }
            section.card #artifacts { h2 { "Artifacts" } (artifacts) }
        }
    };
    let title = format!("{} · {}", run.name(), path.project);
    let page = Page::new(title, body).with_visitor(&visitor);
    Ok(page.in_project(&path.project_path(), Tab::Runs))
}

fn header(run: &Run) -> Markup {
    let record = run.record();
    let path = run.path();
    let text = |text: &str| html! { (Text(&shortened(text, 1_000))) };
    let in_project = |parts: &[&str]| {
        let project = [path.entity.as_str(), path.project.as_str()];
        address(project.into_iter().chain(parts.iter().copied()))
    };
    let mut facts: Vec<(&str, bool, Markup)> =
        vec![("Created (UTC)", false, time(record.created_at))];
    let mut fact = |name, long, value: Option<Markup>| {
        if let Some(value) = value {
            facts.push((name, long, value));
        }
    };
    fact("Started (UTC)", false, record.started_at.map(time));
    fact("Ended (UTC)", false, record.ended_at.map(time));
    fact(
        "Duration",
        false,
        table::duration_of(record).map(|took| html! { (took) }),
    );
    fact("User", false, run.user().map(text));
    fact("Host", false, run.host().map(text));
    fact("Group", false, run.group().map(text));
    fact("Job type", false, run.job_type().map(text));
    fact(
        "Sweep",
        false,
        run.sweep().map(|sweep| {
            html! { a href=(in_project(&["sweeps", sweep])) { (Text(sweep)) } }
        }),
    );
    fact(
        "Parent",
        false,
        run.parent().map(|parent| {
            html! { a href=(in_project(&["runs", parent.as_str()])) { (Text(parent.as_str())) } }
        }),
    );
    fact(
        "Program",
        true,
        run.command().map(|command| {
            html! { code { (Text(&shortened(&command.join(" "), 1_000))) } }
        }),
    );
    let git = record.git.as_ref();
    fact(
        "Git commit",
        true,
        run.commit().map(|commit| html! { code { (text(commit)) } }),
    );
    fact(
        "Git branch",
        false,
        git.and_then(|git| git.branch.as_deref()).map(text),
    );
    fact(
        "Git remote",
        true,
        git.and_then(|git| git.remote.as_deref()).map(text),
    );
    html! {
        section.card.head {
            h1 { (Text(run.name())) }
            p {
                (table::state(run.state())) " "
                @if run.name() != run.id() { span.dim { (Text(run.id())) } " " }
                (table::tags(run.tags()))
            }
            dl.facts {
                @for (name, long, value) in &facts {
                    div.long[*long] { dt { (name) } dd { (value) } }
                }
            }
            @if let Some(notes) = run.notes().filter(|notes| !notes.trim().is_empty()) {
                div.notes { (Text(&shortened(notes, NOTES))) }
            }
            nav.jump aria-label="Parts of the page" {
                a href="#charts" { "Charts" } a href="#summary" { "Summary" } a href="#config" { "Config" }
                a href="#console" { "Console" } a href="#files" { "Files" } a href="#artifacts" { "Artifacts" }
            }
        }
    }
}

/// The charts of one page, and how to come to the others.
async fn drawn(app: &Arc<App>, run: &Run, params: &Params) -> Result<Markup> {
    let look = Look::of(params);
    let all = run.series(look.stream()).await?;
    let wanted = params.get("q").map(str::to_lowercase);
    let fits = |series: &SeriesInfo| match &wanted {
        Some(wanted) => series.key.as_str().to_lowercase().contains(wanted.as_str()),
        // What begins so is of the SDK: the time, the step.
        None => !series.key.as_str().starts_with('_'),
    };
    let series: Vec<&SeriesInfo> = all.iter().filter(|s| has_numbers(s) && fits(s)).collect();
    let others = all.iter().filter(|s| !has_numbers(s) && fits(s)).count();
    let (first, last) = bounds(params, series.len(), CHARTS);
    let plans = series.iter().take(last).skip(first);
    let plans = plans.map(|series| Plan {
        title: series.key.to_string(),
        lines: vec![(series.key.to_string(), run.clone(), (*series).clone())],
    });
    let drawn = charts(app, &look, plans.collect()).await?;
    let system = look.stream() == HistoryStream::System;
    let tab = |name, this: bool, to: &Params| {
        html! { a href={ "?" (bare(to)) "#charts" } aria-current=[this.then_some("page")] { (name) } }
    };
    let plain = Params::default();
    Ok(html! {
        nav.tabs aria-label="Charts" {
            (tab("Metrics", !system, &plain))
            (tab("System", system, &plain.with("stream", "system")))
        }
        form.bar method="get" action="#charts" role="search" {
            @for name in ["stream", "x", "log"] {
                @if let Some(value) = params.get(name) { input type="hidden" name=(name) value=(value); }
            }
            input type="search" name="q" value=(params.get("q").unwrap_or_default()) aria-label="Search charts" placeholder="search charts";
            button type="submit" { "Search" }
            (look.links(params))
        }
        @if series.is_empty() {
            p.empty {
                @if wanted.is_some() { "No series of numbers has such a key." }
                @else if system { "Nothing was measured of the machine." }
                @else { "No numbers were logged." }
            }
        } @else {
            (drawn)
            (numbered(params, series.len(), CHARTS, "series"))
        }
        @if others > 0 { p.dim { (others) " series of other values than numbers are not drawn." } }
    })
}

async fn files(run: &Run) -> Result<Markup> {
    let mut listed = run.files();
    let mut files = Vec::new();
    let mut more = false;
    while let Some(file) = listed.try_next().await? {
        if files.len() == FILES {
            more = true;
            break;
        }
        files.push(file);
    }
    Ok(html! {
        @if files.is_empty() { p.empty { "No files." } } @else {
            div.scroll { table { tbody {
                @for file in &files {
                    tr {
                        td.wide { a href=(contents::address_of(run.path(), file.name())) { (Text(file.name())) } }
                        td.num { (bytes(file.digests().size)) }
                    }
                }
            } } }
            @if more { p.dim { "These are the first " (FILES) "." } }
        }
    })
}

/// What the run made and used, as far as the viewer may see it.
async fn artifacts(app: &App, viewer: &Viewer, run: &Run) -> Result<Markup> {
    let mut uses = app.tracker.uses_of_run(run.path());
    let mut rows = Vec::new();
    let mut more = false;
    while let Some(entry) = uses.try_next().await? {
        if !viewer.may_read(&entry.collection.project.entity) {
            continue;
        }
        if rows.len() == ARTIFACTS {
            more = true;
            break;
        }
        if let Some(collection) = found(app.tracker.collection(&entry.collection).await)? {
            rows.push((entry, collection.kind));
        }
    }
    Ok(html! {
        @if rows.is_empty() { p.empty { "None." } } @else {
            div.scroll { table { tbody {
                @for (entry, kind) in &rows {
                    @let path = &entry.collection;
                    @let version = format!("v{}", entry.index);
                    @let to = address([path.project.entity.as_str(), path.project.project.as_str(), "artifacts", kind, &path.name, &version]);
                    tr {
                        td { @match entry.role { UseRole::Logged => "made", UseRole::Used => "used" } }
                        td.wide { a href=(to) { (Text(&path.name)) ":" (version) } }
                        td { (Text(kind)) }
                    }
                }
            } } }
            @if more { p.dim { "These are the first " (ARTIFACTS) "." } }
        }
    })
}
