//! Routes, and what all requests go through.

use std::{io::Read as _, sync::Arc, time::Instant};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
};
use tracker_model::{ByteStream, ErrorKind};

use crate::{
    app::{App, run_path},
    artifacts::transfer,
    error::{HttpError, HttpResult},
    exact, files, graphql,
    metrics::Metrics,
    stream, web,
};

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) app: Arc<App>,
    pub(crate) schema: graphql::Schema,
    pub(crate) known: graphql::known::KnownFields,
    pub(crate) metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

pub(crate) fn router(shared: Shared) -> Router {
    let talk = Router::new()
        .route("/graphql", post(graphql::serve))
        .route(
            "/files/{entity}/{project}/{run}/file_stream",
            post(file_stream),
        )
        .layer(compression());
    Router::new()
        .merge(talk)
        .route(
            "/files/{entity}/{project}/{run}/{*name}",
            get(files::of_run),
        )
        .route(
            "/storage/{token}/{*name}",
            put(files::upload).post(files::upload).get(files::download),
        )
        .route(
            "/artifactsV2/{region}/{entity}/{*rest}",
            get(transfer::by_md5),
        )
        .nest("/trackway/{entity}/{project}/{run}", exact_routes())
        .route(
            "/trackway/contents",
            post(exact::put_content).get(exact::open_content),
        )
        .route("/metrics", get(metrics))
        .merge(web::pages().layer(compression()))
        .merge(web::files())
        .fallback(missing)
        .layer(middleware::from_fn(plain_when_near))
        .layer(middleware::from_fn_with_state(shared.clone(), admit))
        // What watches the server is answered however much there is to do.
        .route("/healthz", get(async || "ok"))
        .route("/ready", get(ready))
        .with_state(shared)
}

/// Answers of a size that is worth it are compressed, but for those that are so already.
fn compression() -> CompressionLayer<impl Predicate> {
    let worth_it = SizeAbove::new(1024)
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::IMAGES);
    CompressionLayer::new()
        .gzip(true)
        .quality(CompressionLevel::Fastest)
        .compress_when(worth_it)
}

/// A client on this machine: it would unpack what was packed a moment ago, and nothing is gained.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Near;

/// Takes requests of clients on this machine for such that want no compression.
async fn plain_when_near(mut request: Request, next: Next) -> Response {
    if request.extensions().get::<Near>().is_some() {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    next.run(request).await
}

fn exact_routes() -> Router<Shared> {
    Router::new()
        .route("/scan", post(exact::scan))
        .route("/series", get(exact::series))
        .route("/append", post(exact::append))
        .route("/next", get(exact::next_row))
        .route("/truncate", post(exact::truncate))
        .route("/commit", post(exact::commit))
}

/// Counts requests, and refuses those that are too many.
async fn admit(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let limit = shared.app.options.max_requests;
    let began = Instant::now();
    let Some(active) = shared.metrics.enter(limit) else {
        shared
            .metrics
            .count("refused", StatusCode::TOO_MANY_REQUESTS, began.elapsed());
        return HttpError::busy().into_response();
    };
    let route = route_of(&request);
    let streams = route == "file_stream";
    let mut response = next.run(request).await;
    if streams && active.share() > 0.5 {
        // Clients that log slow down to what is left.
        let headers = response.headers_mut();
        headers.insert("ratelimit-remaining", HeaderValue::from(active.left()));
        headers.insert("ratelimit-reset", HeaderValue::from(1));
    }
    let status = response.status();
    shared.metrics.count(route, status, began.elapsed());
    tracing::debug!(route, status = status.as_u16(), elapsed = ?began.elapsed(), "answered");
    response
}

fn route_of(request: &Request) -> &'static str {
    let path = request.uri().path();
    match path.split('/').nth(1).unwrap_or_default() {
        "graphql" => "graphql",
        "files" if path.ends_with("/file_stream") && request.method() == Method::POST => {
            "file_stream"
        }
        "files" => "files",
        "storage" | "artifactsV2" => "storage",
        "trackway" => "trackway",
        "metrics" => "metrics",
        _ => "pages",
    }
}

async fn missing(request: Request) -> Response {
    let what = format_args!("{:.200}", request.uri().path()).to_string();
    if web::wants_page(request.headers()) {
        return web::missing(&what);
    }
    HttpError::not_found(what).into_response()
}

/// Whether the tracker answers.
async fn ready(State(shared): State<Shared>) -> Result<&'static str, HttpError> {
    let asked = shared.app.records.record("server", "url-key").await;
    asked.map(|_| "ready").map_err(HttpError::from)
}

async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> HttpResult<Response> {
    let viewer = shared.app.viewer(&headers).await?;
    if !viewer.user.admin {
        return Err(HttpError::new(StatusCode::FORBIDDEN, "this is for admins"));
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, shared.metrics.text()).into_response())
}

async fn file_stream(
    State(shared): State<Shared>,
    Path((entity, project, run)): Path<(String, String, String)>,
    request: Request,
) -> HttpResult<Response> {
    let app = &shared.app;
    let viewer = app.viewer(request.headers()).await?;
    let path = run_path(&entity, &project, &run)?;
    viewer.write(&path.entity)?;
    let (bytes, room) = read_body(app, request).await?;
    let body = tokio::task::spawn_blocking(move || stream::parse(&bytes).map(|body| (body, room)));
    let (body, _room) = body.await.map_err(|e| unexpected(&e))??;
    Ok(Json(stream::receive(app, &path, body).await?).into_response())
}

fn unexpected(error: &dyn std::error::Error) -> HttpError {
    tracing::error!(%error, "a task failed");
    HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed")
}

/// The whole body, decompressed, and the permit for the memory that it takes.
pub(crate) async fn read_body(
    app: &App,
    request: Request,
) -> HttpResult<(Bytes, Option<OwnedSemaphorePermit>)> {
    let limit = app.options.max_body;
    let too_large = || {
        HttpError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {limit} bytes"),
        )
    };
    let headers = request.headers();
    let length: Option<usize> = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let zipped = match headers
        .get(header::CONTENT_ENCODING)
        .map(HeaderValue::as_bytes)
    {
        None | Some(b"identity") => false,
        Some(b"gzip") => true,
        Some(_) => {
            return Err(HttpError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the only encoding of bodies is gzip",
            ));
        }
    };
    let expected = match (length, zipped) {
        (Some(length), false) => length,
        // How much comes out is known afterwards; mostly ten times as much.
        (Some(length), true) => length.saturating_mul(10).clamp(1 << 20, limit),
        (None, _) => limit,
    };
    let room = app.room(expected).await;
    let mut raw = Vec::with_capacity(length.unwrap_or(0).min(1 << 20));
    let mut pieces = pieces_of(app, request.into_body());
    while let Some(piece) = pieces.try_next().await? {
        if raw.len() + piece.len() > limit {
            return Err(too_large());
        }
        raw.extend_from_slice(&piece);
    }
    if !zipped {
        return Ok((raw.into(), room));
    }
    let unzipped = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        let mut reader = flate2::read::MultiGzDecoder::new(&*raw).take(limit as u64 + 1);
        reader.read_to_end(&mut out).map(|_| out)
    });
    match unzipped.await.map_err(|e| unexpected(&e))? {
        Ok(out) if out.len() <= limit => Ok((out.into(), room)),
        Ok(_) => Err(too_large()),
        Err(_) => Err(HttpError::bad_request("the body is not gzip")),
    }
}

/// The body piece by piece; a client that is silent for too long is cut off.
pub(crate) fn pieces_of(app: &App, body: Body) -> ByteStream {
    let patience = app.options.idle_timeout;
    let pieces = futures::stream::unfold(body, move |mut body| async move {
        loop {
            let frame = match tokio::time::timeout(patience, body.frame()).await {
                Ok(frame) => frame?,
                Err(_) => {
                    let message = "the client was silent for too long";
                    let error = tracker_model::Error::new(ErrorKind::InvalidInput, message);
                    return Some((Err(error), Body::empty()));
                }
            };
            match frame.map(|frame| frame.into_data()) {
                Ok(Ok(data)) => return Some((Ok(data), body)),
                // Trailers.
                Ok(Err(_)) => {}
                Err(error) => {
                    let message = format!("the body was cut off: {error}");
                    return Some((Err(tracker_model::Error::invalid(message)), Body::empty()));
                }
            }
        }
    });
    pieces.boxed()
}

/// JSON that is there as text already.
pub(crate) fn json_text(status: StatusCode, text: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// An answer of GraphQL that is only an error.
pub(crate) fn graphql_error(status: StatusCode, message: &str) -> Response {
    (
        status,
        Json(json!({"data": null, "errors": [{"message": message}]})),
    )
        .into_response()
}
