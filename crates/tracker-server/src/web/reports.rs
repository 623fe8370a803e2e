//! Reports, as far as they are text.

use axum::extract::{Path, State};
use futures::TryStreamExt;
use maud::{Markup, html};
use serde_json::Value as Json;
use tracker_model::{ProjectPath, Report, ReportPath};

use super::{
    PageResult, Visitor,
    layout::{Page, Tab, bounds, numbered},
    nothing,
    params::{Params, address},
    project_of,
    text::{Text, time},
};
use crate::{graphql, http::Shared};

/// Reports on a page.
const PER_PAGE: usize = 100;
/// Blocks of a report that are shown.
const BLOCKS: usize = 2_000;

fn title_of(report: &Report) -> &str {
    let named = report.title.as_deref().or(report.name.as_deref());
    named
        .filter(|title| !title.trim().is_empty())
        .unwrap_or("Untitled report")
}

fn address_of(report: &Report) -> String {
    let path = &report.path;
    address([
        path.entity.as_str(),
        path.project.as_str(),
        "reports",
        path.report.as_str(),
    ])
}

/// `GET /{entity}/{project}/reports`
pub(super) async fn list(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project)): Path<(String, String)>,
    params: Params,
) -> PageResult {
    let path = project_of(&visitor, &entity, &project)?;
    let all: Vec<Report> = shared.app.tracker.reports(&path).try_collect().await?;
    let (first, last) = bounds(&params, all.len(), PER_PAGE);
    let shown = all.get(first..last).unwrap_or_default();
    let body = html! {
        div.head { h1 { "Reports" } }
        section.card {
            @if shown.is_empty() { p.empty { "There are no reports here." } } @else {
                div.scroll { table {
                    thead { tr { th { "Title" } th { "Author" } th { "Created (UTC)" } } }
                    tbody { @for report in shown { tr {
                        td.name { a href=(address_of(report)) { (Text(title_of(report))) } }
                        td.cell { @if let Some(user) = &report.user { (Text(user)) } }
                        td { (time(report.created_at)) }
                    } } }
                } }
                (numbered(&params, all.len(), PER_PAGE, "reports"))
            }
        }
    };
    let page = Page::new(format!("Reports · {project}"), body);
    Ok(page.with_visitor(&visitor).in_project(&path, Tab::Reports))
}

/// `GET /{entity}/{project}/reports/{slug}`: the id of a report, or as W&B has it, `TITLE--ID`, where
/// the id is that of GraphQL.
pub(super) async fn one(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project, slug)): Path<(String, String, String)>,
) -> PageResult {
    let project = project_of(&visitor, &entity, &project)?;
    let path = path_of(&project, &slug).ok_or_else(|| nothing("this report"))?;
    let report = shared.app.tracker.report(&path).await?;
    let body = html! {
        section.card.head {
            h1 { (Text(title_of(&report))) }
            p.dim {
                @if let Some(user) = &report.user { (Text(user)) " · " }
                (time(report.created_at))
            }
            @if let Some(about) = &report.description { div.notes { (Text(about)) } }
        }
        section.card { (blocks(&report.spec)) }
    };
    let page = Page::new(format!("{} · {}", title_of(&report), project.project), body);
    Ok(page
        .with_visitor(&visitor)
        .in_project(&project, Tab::Reports))
}

fn path_of(project: &ProjectPath, slug: &str) -> Option<ReportPath> {
    let id = slug.rsplit_once("--").map_or(slug, |(_, id)| id);
    let of_graphql = graphql::report_at(id).ok();
    match of_graphql {
        Some(path) => (path.project_path() == *project).then_some(path),
        None => Some(project.report(id.parse().ok()?)),
    }
}

/// The headings and paragraphs of a report.
fn blocks(spec: &str) -> Markup {
    let spec: Json = serde_json::from_str(spec).unwrap_or_default();
    let blocks = spec.get("blocks").and_then(Json::as_array);
    let blocks = blocks.map(Vec::as_slice).unwrap_or_default();
    html! {
        @if blocks.is_empty() { p.empty { "There is no text in it." } }
        @for block in blocks.iter().take(BLOCKS) { (block_of(block)) }
    }
}

fn block_of(block: &Json) -> Markup {
    let kind = block.get("type").and_then(Json::as_str).unwrap_or_default();
    let said = text_of(block);
    let shown = Text(&said);
    match kind {
        "heading" => match block.get("level").and_then(Json::as_u64) {
            Some(0 | 1) => html! { h2 { (shown) } },
            _ => html! { h3 { (shown) } },
        },
        "code-block" | "latex" => html! { pre { (shown) } },
        "list" => {
            let items = block.get("children").and_then(Json::as_array);
            let items = items.map(Vec::as_slice).unwrap_or_default();
            html! { ul { @for item in items { li { (Text(&text_of(item))) } } } }
        }
        "horizontal-rule" => html! { hr; },
        _ if said.trim().is_empty() => html! {
            @if !kind.is_empty() && kind != "paragraph" { p.dim { "[" (Text(kind)) "]" } }
        },
        _ => html! { p { (shown) } },
    }
}

/// All that is written in a block.
fn text_of(block: &Json) -> String {
    fn collect(block: &Json, to: &mut String) {
        for key in ["text", "content"] {
            if let Some(text) = block.get(key).and_then(Json::as_str) {
                to.push_str(text);
            }
        }
        for child in block
            .get("children")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            collect(child, to);
        }
    }
    let mut text = String::new();
    collect(block, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_report() {
        let spec = r#"{"version":5,"blocks":[
            {"type":"heading","level":1,"children":[{"text":"Big <b>"}]},
            {"type":"heading","level":2,"children":[{"text":"Small"}]},
            {"type":"paragraph","children":[{"text":"one "},{"type":"link","url":"javascript:x","children":[{"text":"two"}]}]},
            {"type":"list","children":[{"type":"list-item","children":[{"type":"paragraph","children":[{"text":"item"}]}]}]},
            {"type":"panel-grid","metadata":{}},
            {"type":"paragraph","children":[{"text":""}]}]}"#;
        assert_eq!(
            blocks(spec).into_string(),
            "<h2>Big &lt;b&gt;</h2><h3>Small</h3><p>one two</p><ul><li>item</li></ul><p class=\"dim\">[panel-grid]</p>"
        );
        for spec in [
            "",
            "[]",
            "{\"blocks\":1}",
            "{\"blocks\":[1,null,{\"type\":2}]}",
        ] {
            assert!(!blocks(spec).into_string().contains("<h2"), "{spec}");
        }
    }

    #[test]
    fn slugs_of_both_kinds() {
        let project: ProjectPath = "e/p".parse().unwrap();
        let wanted: ReportPath = "e/p/abc".parse().unwrap();
        let id = crate::ids::encode("View", &["abc", "p", "e"]);
        let bare = id.trim_end_matches('=');
        for slug in ["abc", "A-title--abc", &format!("A--title--{bare}"), &id] {
            assert_eq!(path_of(&project, slug).as_ref(), Some(&wanted), "{slug}");
        }
        let foreign = crate::ids::encode("View", &["abc", "p", "other"]);
        assert_eq!(path_of(&project, &foreign), None);
    }
}
