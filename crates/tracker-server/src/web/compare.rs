//! Runs side by side.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::{Path, State};
use maud::{Markup, html};
use tracker_client::{Comparison, Run, chart::has_numbers, titles};
use tracker_model::{Result, SeriesInfo};

use super::{
    PageResult, Visitor,
    charts::{Look, Plan, charts},
    found,
    layout::{Page, Tab, bare, bounds, numbered},
    params::Params,
    project_of, table,
    text::Text,
    values,
};
use crate::{app::App, http::Shared};

/// Runs that are compared, and charts on a page.
const RUNS: usize = 20;
const CHARTS: usize = 12;
/// Rows of values.
const ROWS: usize = 2_000;

/// `GET /{entity}/{project}/compare?run=…&run=…`
pub(super) async fn page(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project)): Path<(String, String)>,
    params: Params,
) -> PageResult {
    let path = project_of(&visitor, &entity, &project)?;
    let app = &shared.app;
    let (mut runs, mut missing): (Vec<Run>, Vec<&str>) = Default::default();
    for id in params.all("run") {
        if runs.iter().any(|run| run.id() == id) {
            continue;
        }
        let run = match id.parse() {
            Ok(id) if runs.len() < RUNS => found(app.api.run_at(&path.run(id)).await)?,
            _ => None,
        };
        match run.filter(|run| !run.record().deleted) {
            Some(run) => runs.push(run),
            None => missing.push(id),
        }
    }
    let names = titles(&runs);
    let body = html! {
        div.head { h1 { "Compare " (runs.len()) " runs" } }
        @if !missing.is_empty() {
            div.error role="alert" {
                p { "Left out, as they do not exist or are more than " (RUNS) ": " }
                @for id in missing.iter().take(RUNS) { span.tag { (Text(id)) } }
            }
        }
        @if runs.len() < 2 {
            section.card { p.empty { "Choose two runs or more in the table of runs." } }
        } @else {
            section.card { h2 { "Config and summary" } (side_by_side(&runs, &names, &params)) }
            section.card #charts { h2 { "Charts" } (common(app, &runs, &names, &params).await?) }
        }
    };
    let page = Page::new(format!("Compare · {project}"), body);
    Ok(page.with_visitor(&visitor).in_project(&path, Tab::Runs))
}

fn side_by_side(runs: &[Run], names: &[String], params: &Params) -> Markup {
    let mut compared = Comparison::of(runs);
    let all = params.get("all").is_some();
    let total = compared.rows().len();
    if !all {
        compared = compared.only_differing();
    }
    let rows = compared.rows();
    html! {
        p.dim {
            @if all { (rows.len()) " keys · " a href={ "?" (bare(&params.without("all"))) } { "only those that differ" } }
            @else { (rows.len()) " of " (total) " keys differ · " a href=(params.with("all", 1)) { "all keys" } }
        }
        div.scroll { table {
            thead { tr {
                th scope="col" { "Key" }
                @for (run, name) in runs.iter().zip(names) {
                    th.cell scope="col" { a href=(table::run_address(run.path())) { (Text(name)) } }
                }
            } }
            tbody {
                @for row in rows.iter().take(ROWS) {
                    tr {
                        td.key { span.dim { (row.section.as_str()) "." } (Text(&row.key())) }
                        @for value in &row.values { (values::cell(value.as_ref())) }
                    }
                }
            }
        } }
        @if rows.len() > ROWS { p.dim { "These are the first " (ROWS) "." } }
    }
}

/// A chart for each series that two of the runs or more have.
async fn common(app: &Arc<App>, runs: &[Run], names: &[String], params: &Params) -> Result<Markup> {
    let look = Look::of(params);
    let mut of_runs: Vec<Vec<SeriesInfo>> = Vec::with_capacity(runs.len());
    for run in runs {
        of_runs.push(run.series(look.stream()).await?);
    }
    let mut lines: BTreeMap<String, Vec<(String, Run, SeriesInfo)>> = BTreeMap::new();
    for ((run, name), series) in runs.iter().zip(names).zip(of_runs) {
        for series in series {
            let key = series.key.to_string();
            if has_numbers(&series) && !key.starts_with('_') {
                let mine = (name.clone(), run.clone(), series);
                lines.entry(key).or_default().push(mine);
            }
        }
    }
    let wanted = params.get("q").map(str::to_lowercase);
    lines.retain(|key, lines| {
        let fits = wanted
            .as_ref()
            .is_none_or(|wanted| key.to_lowercase().contains(wanted.as_str()));
        fits && lines.len() > 1
    });
    let total = lines.len();
    let (first, last) = bounds(params, total, CHARTS);
    let plans = lines.into_iter().take(last).skip(first);
    let plans = plans.map(|(title, lines)| Plan { title, lines });
    let drawn = charts(app, &look, plans.collect()).await?;
    Ok(html! {
        form.bar method="get" action="#charts" role="search" {
            @for run in runs { input type="hidden" name="run" value=(run.id()); }
            @for name in ["all", "x", "log"] {
                @if let Some(value) = params.get(name) { input type="hidden" name=(name) value=(value); }
            }
            input type="search" name="q" value=(params.get("q").unwrap_or_default()) aria-label="Search charts" placeholder="search charts";
            button type="submit" { "Search" }
            (look.links(params))
        }
        @if total == 0 { p.empty { "There is no such series that two of the runs have." } }
        @else { (drawn) (numbered(params, total, CHARTS, "series")) }
    })
}
