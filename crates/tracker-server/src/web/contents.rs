//! Contents that pages link to.

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, Method, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::TryStreamExt;
use tracker_model::RunPath;

use super::{PageResult, Visitor, params::address, run_of, text::of_terminal};
use crate::{files, http::Shared};

/// The address of a file of a run, for whoever is logged in.
pub(super) fn address_of(run: &RunPath, name: &str) -> String {
    let run = [
        "web",
        "files",
        run.entity.as_str(),
        run.project.as_str(),
        run.run.as_str(),
    ];
    address(run.into_iter().chain(name.split('/')))
}

/// The address of all that a run printed.
pub(super) fn console_of(run: &RunPath) -> String {
    address([
        "web",
        "logs",
        run.entity.as_str(),
        run.project.as_str(),
        run.run.as_str(),
    ])
}

/// Whether a page shows the file.
pub(super) fn is_image(name: &str) -> bool {
    files::mime_of(name).starts_with("image/")
}

/// `GET /web/files/{entity}/{project}/{run}/{name}`
pub(super) async fn file(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project, run, name)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> PageResult<Response> {
    let path = run_of(&visitor, &entity, &project, &run)?;
    let mut response = files::file(&shared.app, &path, &name, &method, &headers).await?;
    if !is_image(&name) {
        let saved = HeaderValue::from_static("attachment");
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, saved);
    }
    Ok(response)
}

/// `GET /web/logs/{entity}/{project}/{run}`: all that a run printed, as text.
pub(super) async fn console(
    State(shared): State<Shared>,
    visitor: Visitor,
    Path((entity, project, run)): Path<(String, String, String)>,
) -> PageResult<Response> {
    let path = run_of(&visitor, &entity, &project, &run)?;
    let run = shared.app.api.run_at(&path).await?;
    let lines = run.logs().await?.map_ok(|line| {
        let mut line = of_terminal(&line);
        line.push('\n');
        line
    });
    // A piece of the answer for each line would be slow to send.
    let pieces = lines
        .try_chunks(512)
        .map_ok(|lines| Bytes::from(lines.concat()));
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let body = Body::from_stream(pieces.map_err(|e| e.1));
    Ok((kind, body).into_response())
}
