//! Pages for people: HTML that the server writes, without scripts, with nothing from elsewhere.
//!
//! Who looks at them logs in with an API key and gets a cookie, which counts for pages alone.

mod artifacts;
mod charts;
mod compare;
mod contents;
mod home;
mod layout;
mod logs;
mod params;
mod reports;
mod run;
mod runs;
mod session;
mod sweeps;
mod table;
mod text;
mod values;

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use maud::html;
use tracker_model::{EntityName, Error, ErrorKind, ProjectPath, RunPath};

use self::{layout::Page, session::Visitor, text::Text};
use crate::{
    accounts::Viewer,
    error::{HttpError, status_of},
    http::Shared,
};

/// What pages may load and where their forms go.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What files may, which anybody may have written.
const FILE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The pages.
pub(crate) fn pages() -> Router<Shared> {
    Router::new()
        .route("/", get(home::all))
        .route("/login", get(session::form).post(session::log_in))
        .route("/logout", post(session::log_out))
        .route("/{entity}", get(home::of_entity))
        .route("/{entity}/{project}", get(runs::project))
        .route("/{entity}/{project}/workspace", get(runs::project))
        .route("/{entity}/{project}/overview", get(runs::project))
        .route("/{entity}/{project}/table", get(runs::project))
        .route("/{entity}/{project}/runs", get(runs::project))
        .route("/{entity}/{project}/runs/{run}", get(run::page))
        .route("/{entity}/{project}/runs/{run}/{part}", get(run::part))
        .route("/{entity}/{project}/compare", get(compare::page))
        .route("/{entity}/{project}/sweeps", get(sweeps::list))
        .route("/{entity}/{project}/sweeps/{sweep}", get(sweeps::one))
        .route("/{entity}/{project}/artifacts", get(artifacts::list))
        .route(
            "/{entity}/{project}/artifacts/{kind}",
            get(artifacts::of_kind),
        )
        .route(
            "/{entity}/{project}/artifacts/{kind}/{name}",
            get(artifacts::collection),
        )
        .route(
            "/{entity}/{project}/artifacts/{kind}/{name}/{version}",
            get(artifacts::version),
        )
        .route("/{entity}/{project}/reports", get(reports::list))
        .route("/{entity}/{project}/reports/{*slug}", get(reports::one))
        .layer(middleware::map_response(async |response| {
            guarded(response, POLICY)
        }))
}

/// Files and console output, for the links and the images of pages.
pub(crate) fn files() -> Router<Shared> {
    Router::new()
        .route(
            "/web/files/{entity}/{project}/{run}/{*name}",
            get(contents::file),
        )
        .route("/web/logs/{entity}/{project}/{run}", get(contents::console))
        .layer(middleware::map_response(async |response| {
            guarded(response, FILE_POLICY)
        }))
}

/// With what tells a browser to do no more than show it.
fn guarded(mut response: Response, policy: &'static str) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the client is a browser that shows a page.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    accepted.any(|accept| accept.to_str().is_ok_and(|text| text.contains("text/html")))
}

/// The page that says that there is no such page.
pub(crate) fn missing(what: &str) -> Response {
    let error = Error::not_found(format_args!("{what}"));
    guarded(PageError::from(error).into_response(), POLICY)
}

/// Why there is no page.
#[derive(Debug)]
struct PageError {
    status: StatusCode,
    message: String,
    hint: Option<String>,
}

type PageResult<T = Page> = Result<T, PageError>;

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        let status = status_of(&error);
        if status.is_server_error() {
            tracing::error!(%error, "a page failed");
        }
        Self {
            status,
            message: error.message().to_owned(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

impl From<HttpError> for PageError {
    fn from(error: HttpError) -> Self {
        let (status, message) = error.into_parts();
        Self {
            status,
            message,
            hint: None,
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let title = match self.status {
            StatusCode::NOT_FOUND => "Not found",
            status if status.is_server_error() => "Something went wrong",
            _ => "That cannot be shown",
        };
        let body = html! {
            section.card.narrow {
                h1 { (title) }
                p { (Text(&self.message)) }
                @if let Some(hint) = &self.hint { p.dim { (Text(hint)) } }
                p { a href="/" { "All projects" } }
            }
        };
        (self.status, Page::new(title, body)).into_response()
    }
}

/// The project of an address, if the viewer may see it.
fn project_of(visitor: &Visitor, entity: &str, project: &str) -> PageResult<ProjectPath> {
    let path: Result<ProjectPath, _> = format!("{entity}/{project}").parse();
    let path = path.map_err(|_| nothing(format_args!("project {entity}/{project}")))?;
    readable(&visitor.viewer, &path.entity)?;
    Ok(path)
}

/// The run of an address, if the viewer may see it.
fn run_of(visitor: &Visitor, entity: &str, project: &str, run: &str) -> PageResult<RunPath> {
    let project = project_of(visitor, entity, project)?;
    let run = run.parse();
    Ok(project.run(run.map_err(|_| nothing("this run"))?))
}

fn readable(viewer: &Viewer, entity: &EntityName) -> PageResult<()> {
    Ok(viewer.read(entity)?)
}

fn nothing(what: impl std::fmt::Display) -> PageError {
    Error::not_found(what).into()
}

/// What is not there is `None`.
fn found<T>(answer: tracker_model::Result<T>) -> tracker_model::Result<Option<T>> {
    match answer {
        Ok(thing) => Ok(Some(thing)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
