//! Histories as the model has them, for clients of ours: `/trackway/{entity}/{project}/{run}/…`.
//!
//! The wire's histories are rows of JSON: the order of logging, the kinds of values and points
//! without a row are lost on the way. Here points come and go in frames ([`tracker_client::frames`]).
//!
//! `/trackway/contents` are contents that nothing names, for admins.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::json;
use tracker_client::frames::{self, Frame};
use tracker_model::{
    Digests, Error, HistoryQuery, HistoryStream, PointBatch, Result, RunPath, SampleQuery,
    SeriesKey,
};

use crate::{
    app::run_path,
    error::HttpResult,
    files,
    http::{Shared, pieces_of, read_body},
};

/// The run of a path.
type Address = Path<(String, String, String)>;

/// What is said of a request beside its body.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Said {
    stream: HistoryStream,
    /// A row.
    at: u64,
    token: String,
}

/// Which points.
#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    stream: HistoryStream,
    keys: Option<Vec<SeriesKey>>,
    steps: Option<(i64, i64)>,
    #[serde(default)]
    from_index: u64,
    #[serde(default)]
    by_rows: bool,
    /// So many of each series; all without.
    samples: Option<usize>,
}

async fn readable(shared: &Shared, path: Address, headers: &HeaderMap) -> HttpResult<RunPath> {
    let viewer = shared.app.viewer(headers).await?;
    let Path((entity, project, run)) = path;
    let path = run_path(&entity, &project, &run)?;
    viewer.read(&path.entity)?;
    Ok(path)
}

async fn writable(shared: &Shared, path: Address, headers: &HeaderMap) -> HttpResult<RunPath> {
    let viewer = shared.app.viewer(headers).await?;
    let Path((entity, project, run)) = path;
    let path = run_path(&entity, &project, &run)?;
    viewer.write(&path.entity)?;
    Ok(path)
}

fn encoded(frame: &Frame) -> Result<Bytes> {
    let mut bytes = Vec::new();
    frames::encode(frame, &mut bytes)?;
    Ok(bytes.into())
}

fn answer(frames: BoxStream<'static, Result<Bytes>>) -> Response {
    let end = futures::stream::iter([Ok(Bytes::from_static(&frames::END))]);
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    (kind, Body::from_stream(frames.chain(end))).into_response()
}

fn frames_of(batch: PointBatch) -> BoxStream<'static, Result<Bytes>> {
    let frames: Vec<_> = frames::pieces(0, &batch)
        .map(|(at, batch)| encoded(&Frame::Points { at, batch }))
        .collect();
    futures::stream::iter(frames).boxed()
}

/// The points that a query asks for.
pub(crate) async fn scan(
    State(shared): State<Shared>,
    path: Address,
    request: Request,
) -> HttpResult<Response> {
    let path = readable(&shared, path, request.headers()).await?;
    let (body, _room) = read_body(&shared.app, request).await?;
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|e| Error::invalid(format!("the query of a history cannot be read: {e}")))?;
    let tracker = &shared.app.tracker;
    let steps = asked.steps.map(|(first, last)| first..=last);
    if let Some(samples) = asked.samples {
        let mut query = SampleQuery::new(samples).with_stream(asked.stream);
        (query.keys, query.steps) = (asked.keys, steps);
        let batches = tracker.sample(&path, query).await?;
        return Ok(answer(
            futures::stream::iter(batches).flat_map(frames_of).boxed(),
        ));
    }
    let mut query = HistoryQuery::new()
        .with_stream(asked.stream)
        .with_from_index(asked.from_index)
        .with_rows(asked.by_rows);
    (query.keys, query.steps) = (asked.keys, steps);
    let mut batches = tracker.scan(&path, query);
    // Whether it can be read at all is known with the first of them.
    let first = batches.try_next().await?;
    let batches = futures::stream::iter(first.map(Ok)).chain(batches);
    let frames = batches.map_ok(frames_of).try_flatten();
    Ok(answer(frames.boxed()))
}

/// What is known of the series.
pub(crate) async fn series(
    State(shared): State<Shared>,
    path: Address,
    Query(said): Query<Said>,
    request: Request,
) -> HttpResult<Response> {
    let path = readable(&shared, path, request.headers()).await?;
    let series = shared.app.tracker.series(&path, said.stream).await?;
    let frames = series.into_iter().map(|info| encoded(&Frame::Series(info)));
    Ok(answer(futures::stream::iter(frames).boxed()))
}

/// Appends rows from a number on.
pub(crate) async fn append(
    State(shared): State<Shared>,
    path: Address,
    Query(said): Query<Said>,
    request: Request,
) -> HttpResult<Response> {
    let path = writable(&shared, path, request.headers()).await?;
    let (body, _room) = read_body(&shared.app, request).await?;
    let mut frames = frames::decoded(tracker_model::bytes_of(body));
    let mut batches = Vec::new();
    while let Some(frame) = frames.try_next().await? {
        if let Frame::Points { batch, .. } = frame {
            batches.push(batch);
        }
    }
    let tracker = &shared.app.tracker;
    let next = tracker.append(&path, said.stream, said.at, batches).await?;
    Ok(Json(json!({ "next": next })).into_response())
}

/// The number of the next row.
pub(crate) async fn next_row(
    State(shared): State<Shared>,
    path: Address,
    Query(said): Query<Said>,
    request: Request,
) -> HttpResult<Response> {
    let path = readable(&shared, path, request.headers()).await?;
    let next = shared.app.tracker.next_row(&path, said.stream).await?;
    Ok(Json(json!({ "next": next })).into_response())
}

/// Drops the rows from a number on.
pub(crate) async fn truncate(
    State(shared): State<Shared>,
    path: Address,
    Query(said): Query<Said>,
    request: Request,
) -> HttpResult<Response> {
    let path = writable(&shared, path, request.headers()).await?;
    let tracker = &shared.app.tracker;
    tracker.truncate(&path, said.stream, said.at).await?;
    Ok(Json(json!({})).into_response())
}

/// Writes all points of the body, which are seen when all of them are there.
pub(crate) async fn commit(
    State(shared): State<Shared>,
    path: Address,
    Query(said): Query<Said>,
    request: Request,
) -> HttpResult<Response> {
    let path = writable(&shared, path, request.headers()).await?;
    let app = &shared.app;
    let mut frames = frames::decoded(pieces_of(app, request.into_body()));
    let writer = app.tracker.history_writer(&path, said.stream, &said.token);
    let mut writer = writer.await?;
    while let Some(frame) = frames.try_next().await? {
        if let Frame::Points { at, batch } = frame {
            writer.write(at, batch).await?;
        }
    }
    writer.commit().await?;
    Ok(Json(json!({})).into_response())
}

/// Takes contents in.
pub(crate) async fn put_content(
    State(shared): State<Shared>,
    request: Request,
) -> HttpResult<Response> {
    let app = &shared.app;
    app.viewer(request.headers()).await?.may_name_contents()?;
    let body = pieces_of(app, request.into_body());
    Ok(Json(app.tracker.put_content(body).await?).into_response())
}

/// Contents that are here, or a part of them.
pub(crate) async fn open_content(
    State(shared): State<Shared>,
    Query(digests): Query<Digests>,
    method: Method,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let app = &shared.app;
    app.viewer(&headers).await?.may_name_contents()?;
    if method == Method::HEAD {
        // Nothing else is asked than whether they are here.
        drop(app.tracker.open_content(&digests, Some(0..0)).await?);
    }
    let open = |range| app.tracker.open_content(&digests, range);
    files::answer(
        &method,
        &headers,
        "contents",
        digests.size,
        &digests.md5,
        open,
    )
    .await
}
