//! The runs of a project.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use query_dsl::FilterError;
use tracker_client::{KeySearch, text::thousands};
use tracker_model::{ProjectPath, RunFilter, RunOrder, RunParts, RunQuery};

use super::{
    PageResult, Visitor,
    layout::{Page, Tab, pager},
    nothing,
    params::Params,
    project_of, table,
    text::Text,
};
use crate::http::Shared;

/// Runs on a page.
const PER_PAGE: u64 = 50;

/// What is asked for, or what is wrong with it.
struct Asked {
    query: RunQuery,
    filter: Option<FilterError>,
    order: Option<FilterError>,
}

impl Asked {
    fn of(path: &ProjectPath, params: &Params) -> Self {
        let mut query = RunQuery::of_project(path).with_parts(RunParts {
            extras: false,
            ..RunParts::ALL
        });
        let (mut filter, mut order) = (None, None);
        match params.get("filter").map(RunFilter::parse) {
            None => {}
            Some(Ok(wanted)) => query = query.with_filter(wanted),
            Some(Err(error)) => filter = Some(error),
        }
        if let Some(keys) = params.get("order") {
            let keys = keys.split(',').map(str::trim).filter(|key| !key.is_empty());
            match RunOrder::parse(keys) {
                Ok(wanted) => query = query.with_order(wanted),
                Err(error) => order = Some(error),
            }
        }
        Self {
            query,
            filter,
            order,
        }
    }
}

/// `GET /{entity}/{project}`
pub(super) async fn project(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project)): Path<(String, String)>,
    params: Params,
) -> PageResult<Response> {
    let path = project_of(&visitor, &entity, &project)?;
    let about = shared.app.tracker.project(&path).await?;
    if about.deleted {
        return Err(nothing(format_args!("project {path}")));
    }
    let asked = Asked::of(&path, &params);
    let wrong = asked.filter.is_some() || asked.order.is_some();
    let runs = if wrong {
        html! {}
    } else {
        runs(&shared, &visitor, &path, asked.query.clone(), &params).await?
    };
    let body = html! {
        div.head {
            h1 { (Text(path.project.as_str())) }
            @if let Some(about) = &about.description { p.dim { (Text(about)) } }
        }
        section.card {
            @if let Some(error) = &asked.filter { (told(error, params.get("filter").unwrap_or_default())) }
            @if let Some(error) = &asked.order { (told(error, params.get("order").unwrap_or_default())) }
            form.bar method="get" role="search" {
                input.code type="search" name="filter" value=(params.get("filter").unwrap_or_default())
                    aria-label="Filter" placeholder="config.lr > 0.001 and state = finished";
                input.code type="text" name="columns" value=(params.get("columns").unwrap_or_default())
                    aria-label="Columns" placeholder="columns: config.lr, summary.loss";
                @if let Some(order) = params.get("order").filter(|_| asked.order.is_none()) {
                    input type="hidden" name="order" value=(order);
                }
                button.primary type="submit" { "Filter" }
                @if params.get("filter").or(params.get("order")).is_some() { a.button href="?" { "Clear" } }
            }
            (runs)
        }
    };
    let page = Page::new(path.to_string(), body);
    let page = page.with_visitor(&visitor).in_project(&path, Tab::Runs);
    let status = if wrong {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    Ok((status, page).into_response())
}

async fn runs(
    shared: &Shared,
    visitor: &Visitor,
    path: &ProjectPath,
    query: RunQuery,
    params: &Params,
) -> PageResult<Markup> {
    let tracker = &*shared.app.tracker;
    let whose = visitor.viewer.user.name.as_str();
    let count = usize::try_from(PER_PAGE).unwrap_or(usize::MAX);
    let pages = &shared.app.pages;
    let page = pages
        .read(tracker, whose, query.clone(), params.get("after"), count)
        .await?;
    if page.runs.is_empty() {
        return Ok(none(shared, &query).await?);
    }
    let total = tracker.count_runs(&query).await?;
    let last = page.first + page.runs.len() as u64;
    let shown = format!(
        "{}–{last} of {} runs",
        page.first + 1,
        thousands(total.max(last))
    );
    let before = (page.first > 0).then(|| match page.first.saturating_sub(PER_PAGE) {
        0 => params.without("after"),
        first => params.with("after", first),
    });
    let after = page.more.then(|| params.with("after", last));
    let columns = table::columns(params.get("columns"), &page.runs);
    Ok(html! {
        (table::table(path, &page.runs, &columns, Some(params)))
        (pager(&shown, before, after))
    })
}

/// Why there are no runs.
async fn none(shared: &Shared, query: &RunQuery) -> tracker_model::Result<Markup> {
    let Some(filter) = &query.filter else {
        return Ok(html! { p.empty { "There are no runs here." } });
    };
    let search = KeySearch::new().of_filter(filter).of_order(&query.order);
    let missing = search.missing(&*shared.app.tracker, query).await?;
    Ok(html! {
        p.empty { "No run fits." }
        @for key in &missing {
            p.dim { "No run has " code { (Text(&key.key)) } @if let Some(hint) = key.hint() { ": " (Text(&hint)) } }
        }
    })
}

/// What is wrong with an expression, where, and what was probably meant.
fn told(error: &FilterError, text: &str) -> Markup {
    let bare = error.clone().with_suggestion(None::<String>).to_string();
    let place = error.text_place().and_then(|place| {
        let (before, rest) = text.split_at_checked(place.offset)?;
        let end = rest.char_indices().skip(1).find(|(_, c)| c.is_whitespace());
        let (mark, behind) = rest.split_at_checked(end.map_or(rest.len(), |(at, _)| at))?;
        Some((before, mark, behind))
    });
    html! {
        div.error role="alert" {
            p { (Text(&bare)) }
            @if let Some(meant) = error.suggestion() { p { "Did you mean " code { (Text(meant)) } "?" } }
            @if let Some((before, mark, behind)) = place {
                pre { (Text(before)) mark { (Text(mark)) @if mark.is_empty() { "␣" } } (Text(behind)) }
            }
        }
    }
}
