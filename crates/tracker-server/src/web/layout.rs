//! What all pages look like.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use tracker_client::text::thousands;
use tracker_model::ProjectPath;

use super::{
    Visitor,
    params::{Params, address},
    text::Text,
};

/// The one stylesheet, in every page.
const STYLE: &str = include_str!("style.css");

/// A curve.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Cpath d='M1 3c2 9 6 10 14 10' fill='none' stroke='%233987e5' stroke-width='2.5'/%3E%3C/svg%3E";

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    body: Markup,
    who: Option<String>,
    /// Addresses and names of what the page is in.
    trail: Vec<(String, String)>,
    tabs: Option<Markup>,
}

/// The parts of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Runs,
    Sweeps,
    Artifacts,
    Reports,
}

impl Page {
    pub(super) fn new(title: impl Into<String>, body: Markup) -> Self {
        Self {
            title: title.into(),
            body,
            who: None,
            trail: Vec::new(),
            tabs: None,
        }
    }

    /// For whom it is.
    pub(super) fn with_visitor(mut self, visitor: &Visitor) -> Self {
        self.who = Some(visitor.viewer.user.name.to_string());
        self
    }

    /// In an entity.
    pub(super) fn in_entity(mut self, entity: &str) -> Self {
        self.trail.push((address([entity]), entity.to_owned()));
        self
    }

    /// In a part of a project.
    pub(super) fn in_project(self, path: &ProjectPath, tab: Tab) -> Self {
        let (entity, project) = (path.entity.as_str(), path.project.as_str());
        let mut page = self.in_entity(entity);
        let to = address([entity, project]);
        page.tabs = Some(html! {
            nav.tabs aria-label="Project" {
                @for (name, end, this) in [
                    ("Runs", "", Tab::Runs),
                    ("Sweeps", "/sweeps", Tab::Sweeps),
                    ("Artifacts", "/artifacts", Tab::Artifacts),
                    ("Reports", "/reports", Tab::Reports),
                ] {
                    a href={ (to) (end) } aria-current=[(this == tab).then_some("page")] { (name) }
                }
            }
        });
        page.trail.push((to, project.to_owned()));
        page
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (Text(&self.title)) " · Trackway" }
                    link rel="icon" href=(ICON);
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header.top {
                        nav.trail aria-label="Place" {
                            a.brand href="/" { "Trackway" }
                            @for (to, name) in &self.trail {
                                span.dim aria-hidden="true" { "/" }
                                a href=(to) { (Text(name)) }
                            }
                        }
                        @if let Some(who) = &self.who {
                            form.who method="post" action="/logout" {
                                span.dim { (Text(who)) }
                                button.plain type="submit" { "Log out" }
                            }
                        }
                    }
                    @if let Some(tabs) = &self.tabs { (tabs) }
                    main { (self.body) }
                }
            }
        };
        Html(page.into_string()).into_response()
    }
}

/// Links to the pages before and after one, with what is on it.
pub(super) fn pager(what: &str, before: Option<Params>, after: Option<Params>) -> Markup {
    html! {
        nav.pager aria-label="Pages" {
            span.dim { (what) }
            @if let Some(before) = before { a.button rel="prev" href={ "?" (bare(&before)) } { "← Previous" } }
            @if let Some(after) = after { a.button rel="next" href={ "?" (bare(&after)) } { "Next →" } }
        }
    }
}

/// Without the `?`, which has to be there even if nothing follows: an empty link leads back to all
/// that the address says.
pub(super) fn bare(params: &Params) -> String {
    params.to_string().trim_start_matches('?').to_owned()
}

/// Links between numbered pages of so many things, each with `per_page` of them.
pub(super) fn numbered(params: &Params, total: usize, per_page: usize, what: &str) -> Markup {
    let (first, last) = bounds(params, total, per_page);
    let page = params.page();
    let shown = match total {
        0 => format!("no {what}"),
        _ => format!(
            "{}–{} of {} {what}",
            first + 1,
            last,
            thousands(total as u64)
        ),
    };
    pager(
        &shown,
        (first > 0).then(|| params.with("page", page - 1)),
        (last < total).then(|| params.with("page", page + 1)),
    )
}

/// The things on the page that is asked for; the last page if there are not so many.
pub(super) fn bounds(params: &Params, total: usize, per_page: usize) -> (usize, usize) {
    let page = params.page().min(total.div_ceil(per_page).max(1));
    let first = (page - 1) * per_page;
    (first, (first + per_page).min(total))
}
