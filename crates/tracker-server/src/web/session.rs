//! Who looks at pages: logging in and out.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use tracker_model::Result;

use super::{PageError, PageResult, layout::Page, params::Params};
use crate::{accounts::Viewer, app::App, http::Shared};

const COOKIE: &str = "trackway_session";

/// Who is logged in: whoever has this key, as long as it is a key.
#[derive(Debug, Serialize, Deserialize)]
struct Session {
    key: String,
}

/// Whoever asks for a page and may use the server. Others are sent to where one logs in.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) viewer: Arc<Viewer>,
}

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        match viewer(&shared.app, &parts.headers).await {
            Ok(Some(viewer)) => Ok(Self { viewer }),
            Ok(None) => Err(to_login(&parts.uri)),
            Err(error) => Err(PageError::from(error).into_response()),
        }
    }
}

/// By the header that programs send, or by the cookie.
async fn viewer(app: &App, headers: &HeaderMap) -> Result<Option<Arc<Viewer>>> {
    if headers.contains_key(header::AUTHORIZATION) {
        return app.known(headers).await;
    }
    for token in cookies(headers) {
        if let Some(session) = app.sessions.read::<Session>(token)
            && let Some(viewer) = app.accounts.viewer_of(&session.key).await?
        {
            return Ok(Some(viewer));
        }
    }
    Ok(None)
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(header::COOKIE).into_iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn to_login(uri: &Uri) -> Response {
    let wanted = uri.path_and_query().map_or("/", |path| path.as_str());
    let asked = match wanted {
        "/" => Params::default(),
        wanted => Params::default().with("next", wanted),
    };
    see(&format!("/login{asked}"))
}

/// Sends a browser to another page.
pub(super) fn see(place: &str) -> Response {
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// A path of this server, or nothing: a browser takes `//host` and `/\host` for other servers, and
/// passes over white space.
fn local(place: &str) -> Option<&str> {
    let plain = place.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    (plain && place.starts_with('/') && !place.starts_with("//")).then_some(place)
}

/// `GET /login`
pub(super) async fn form(params: Params) -> Page {
    login_page(params.get("next"), None)
}

fn login_page(next: Option<&str>, refused: Option<Markup>) -> Page {
    let body = html! {
        section.card.narrow {
            h1 { "Log in" }
            @if let Some(refused) = refused { div.error role="alert" { (refused) } }
            form method="post" action="/login" {
                label for="key" { "API key" }
                input #key type="password" name="key" autocomplete="current-password" required autofocus;
                @if let Some(next) = next.and_then(local) { input type="hidden" name="next" value=(next); }
                button.primary type="submit" { "Log in" }
            }
            p.dim { "The server printed a key when it was first started; " code { "trackway user" } " makes more." }
        }
    };
    Page::new("Log in", body)
}

/// `POST /login`
pub(super) async fn log_in(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> PageResult<Response> {
    from_here(&headers)?;
    let app = &shared.app;
    let said = Params::read(&body);
    let next = said.get("next").and_then(local);
    let known = match said.get("key") {
        Some(key) => app.accounts.identify(key).await?,
        None => None,
    };
    let Some((key, _)) = known else {
        let page = login_page(next, Some(html! { "This is not a key of this server." }));
        return Ok((StatusCode::FORBIDDEN, page).into_response());
    };
    let token = app.sessions.token(Session { key });
    let age = app.options.session_lifetime.as_secs();
    Ok(with_cookie(app, see(next.unwrap_or("/")), &token, age))
}

/// `POST /logout`
pub(super) async fn log_out(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> PageResult<Response> {
    from_here(&headers)?;
    Ok(with_cookie(&shared.app, see("/login"), "", 0))
}

fn with_cookie(app: &App, mut response: Response, value: &str, seconds: u64) -> Response {
    let safe = app.options.public_url.as_ref().map(url::Url::scheme) == Some("https");
    let secure = if safe { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Refuses forms of other sites, as far as the browser says where they are from.
fn from_here(headers: &HeaderMap) -> PageResult<()> {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(PageError {
            status: StatusCode::FORBIDDEN,
            message: "another site wanted to log you in or out".to_owned(),
            hint: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn only_paths_of_this_server() {
        for place in ["/", "/a/b?c=d%20e#f", "/a//b"] {
            assert_eq!(local(place), Some(place));
        }
        for place in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "/a b",
            "/ü",
            "/\r\nset-cookie: a=b",
            "javascript:alert(1)",
        ] {
            assert_eq!(local(place), None, "{place}");
        }
    }
}
