//! Sweeps.

use axum::extract::{Path, State};
use futures::{StreamExt, TryStreamExt};
use maud::{Markup, html};
use serde_json::Value as Json;
use tracker_client::{Sweep, text::count};
use tracker_model::{Error, SweepState};

use super::{
    PageResult, Visitor,
    layout::{Page, Tab, bounds, numbered},
    nothing,
    params::{Params, address},
    project_of, table,
    text::{Text, shortened, time},
    values,
};
use crate::http::Shared;

/// Sweeps on a page, and runs of one that are shown.
const PER_PAGE: usize = 100;
const RUNS: usize = 50;
const AT_ONCE: usize = 8;

fn address_of(sweep: &Sweep) -> String {
    let path = sweep.path();
    address([
        path.entity.as_str(),
        path.project.as_str(),
        "sweeps",
        path.sweep.as_str(),
    ])
}

fn state(state: SweepState) -> Markup {
    html! { span class={ "state " (state.as_str()) } { (state.as_str()) } }
}

fn metric(sweep: &Sweep) -> Markup {
    html! { @if let Some((key, goal)) = sweep.metric() { (goal) " " code { (Text(key)) } } }
}

fn method(sweep: &Sweep) -> &str {
    sweep
        .config()
        .get("method")
        .and_then(Json::as_str)
        .unwrap_or_default()
}

/// `GET /{entity}/{project}/sweeps`
pub(super) async fn list(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project)): Path<(String, String)>,
    params: Params,
) -> PageResult {
    let path = project_of(&visitor, &entity, &project)?;
    let app = &shared.app;
    let all: Vec<Sweep> = app.api.sweeps_at(&path).try_collect().await?;
    let (total, (first, last)) = (all.len(), bounds(&params, all.len(), PER_PAGE));
    let shown: Vec<(Sweep, u64)> = futures::stream::iter(all.into_iter().take(last).skip(first))
        .map(|sweep| async {
            let runs = sweep.runs()?.len().await?;
            Ok::<_, Error>((sweep, runs))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let body = html! {
        div.head { h1 { "Sweeps" } }
        section.card {
            @if shown.is_empty() { p.empty { "There are no sweeps here." } } @else {
                div.scroll { table {
                    thead { tr { th { "Name" } th { "State" } th { "Method" } th { "Metric" } th.num { "Runs" } th { "Created (UTC)" } } }
                    tbody { @for (sweep, runs) in &shown { tr {
                        td.name { a href=(address_of(sweep)) { (Text(sweep.name())) } }
                        td { (state(sweep.state())) }
                        td { (Text(method(sweep))) }
                        td { (metric(sweep)) }
                        td.num { (runs) }
                        td { (time(sweep.created_at())) }
                    } } }
                } }
                (numbered(&params, total, PER_PAGE, "sweeps"))
            }
        }
    };
    let page = Page::new(format!("Sweeps · {project}"), body);
    Ok(page.with_visitor(&visitor).in_project(&path, Tab::Sweeps))
}

/// `GET /{entity}/{project}/sweeps/{sweep}`
pub(super) async fn one(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project, sweep)): Path<(String, String, String)>,
) -> PageResult {
    let path = project_of(&visitor, &entity, &project)?;
    let id = sweep.parse().map_err(|_| nothing("this sweep"))?;
    let app = &shared.app;
    let sweep = app.api.sweep_at(&path.sweep(id)).await?;
    let runs = sweep.runs()?.per_page(RUNS);
    let mut listed = runs.stream().take(RUNS);
    let mut shown = Vec::new();
    while let Some(run) = listed.try_next().await? {
        shown.push(run.record().clone());
    }
    let total = runs.len().await?;
    let best = match sweep.metric() {
        Some(_) => sweep.best_run().await?,
        None => None,
    };
    let columns = table::columns(None, &shown);
    let record = sweep.record();
    let body = html! {
        section.card.head {
            h1 { (Text(sweep.name())) }
            p { (state(sweep.state())) @if sweep.name() != sweep.id() { " " span.dim { (Text(sweep.id())) } } }
            dl.facts {
                div { dt { "Created (UTC)" } dd { (time(sweep.created_at())) } }
                @if let Some(user) = &record.user { div { dt { "User" } dd { (Text(user)) } } }
                div { dt { "Method" } dd { (Text(method(&sweep))) } }
                div { dt { "Metric" } dd { (metric(&sweep)) } }
                div { dt { "Runs" } dd {
                    (total) @if let Some(expected) = sweep.expected_run_count() { " of " (expected) }
                } }
                @if let Some(best) = &best {
                    div.long { dt { "Best run" } dd {
                        a href=(table::run_address(best.run.path())) { (Text(best.run.name())) } ": " (best.value.to_string())
                    } }
                }
            }
            @if let Some(about) = &record.description { div.notes { (Text(&shortened(about, 20_000))) } }
        }
        section.card {
            h2 { "Runs" @if sweep.metric().is_some() { ", the best first" } }
            @if shown.is_empty() { p.empty { "No run yet." } } @else {
                (table::table(&path, &shown, &columns, None))
                @if total > shown.len() as u64 { p.dim { "These are the first " (shown.len()) " of " (count(total, "run")) "." } }
            }
        }
        section.card {
            h2 { "Config" }
            @if let Some(text) = &record.config_text { pre { (Text(&shortened(text, 50_000))) } }
            @else { (values::table(sweep.config(), None)) }
        }
    };
    let page = Page::new(format!("{} · {project}", sweep.name()), body);
    Ok(page.with_visitor(&visitor).in_project(&path, Tab::Sweeps))
}
