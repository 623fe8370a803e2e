//! Files of runs: uploads to signed URLs, downloads with a key or a signed URL.

use std::ops::Range;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::StreamExt;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use tracker_model::{
    ByteStream, Error, FileDraft, FileInfo, JsonObject, Result, RunPath, Timestamp,
};

use crate::{
    app::{App, run_path},
    artifacts::{manifest::md5_of, transfer},
    error::{HttpError, HttpResult},
    http::{Shared, pieces_of},
    signed::Grant,
};

fn expired() -> HttpError {
    HttpError::new(
        StatusCode::FORBIDDEN,
        "this URL has expired, or was never valid; ask for a new one",
    )
}

/// `PUT /storage/{token}/{name}`: contents for what the token allows.
pub(crate) async fn upload(
    State(shared): State<Shared>,
    Path((token, _)): Path<(String, String)>,
    request: Request,
) -> HttpResult<Response> {
    let app = &shared.app;
    let grant = app.signer.check(&token).ok_or_else(expired)?;
    let headers = request.headers().clone();
    let said = promised(&headers)?;
    let pieces = pieces_of(app, request.into_body());
    // What a grant is for, and what the client says, if it says something.
    let wanted = |md5: &str| {
        let of_grant = (!md5.is_empty()).then(|| md5_of(md5)).transpose()?;
        if let (Some(said), Some(wanted)) = (said, of_grant)
            && said != wanted
        {
            return Err(Error::invalid("Content-MD5 is not what this URL is for"));
        }
        Ok(of_grant.or(said))
    };
    match grant {
        Grant::PutFile { run, name } => {
            let mut draft = FileDraft::new(name);
            draft.modified_at = Some(Timestamp::now());
            told(&headers, &mut draft)?;
            let body = match said {
                None => pieces,
                Some(wanted) => checked(pieces, wanted),
            };
            let info = app.tracker.put_file(&run, draft, body).await?;
            Ok(stored(&info.digests.md5))
        }
        Grant::PutEntry { artifact, md5, .. } => {
            let digests = transfer::put_entry(app, &artifact, pieces, wanted(&md5)?).await?;
            Ok(stored(&digests.md5))
        }
        Grant::PutManifest {
            artifact,
            name,
            md5,
        } => {
            let body = match wanted(&md5)? {
                None => pieces,
                Some(wanted) => checked(pieces, wanted),
            };
            Ok(stored(
                &transfer::put_manifest(app, &artifact, &name, &md5, body)
                    .await?
                    .md5,
            ))
        }
        Grant::GetFile { .. } | Grant::GetEntry { .. } | Grant::GetManifest { .. } => Err(
            HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "this URL is for downloads"),
        ),
    }
}

/// What a client that means records of the model says of a file beside its contents: base64 of JSON
/// with `modified_at` and `extras`.
const TOLD: &str = "x-trackway-file";

#[derive(Deserialize)]
struct Told {
    modified_at: Option<Timestamp>,
    #[serde(default)]
    extras: JsonObject,
}

fn told(headers: &HeaderMap, draft: &mut FileDraft) -> HttpResult<()> {
    let Some(value) = headers.get(TOLD) else {
        return Ok(());
    };
    let told = STANDARD.decode(value.as_bytes()).ok();
    let told = told.and_then(|json| serde_json::from_slice::<Told>(&json).ok());
    let told = told.ok_or_else(|| {
        HttpError::bad_request(format!(
            "{TOLD} is not the base64 of what is said of a file"
        ))
    })?;
    (draft.modified_at, draft.extras) = (told.modified_at, told.extras);
    Ok(())
}

/// What a client of an object store expects.
fn stored(md5: &str) -> Response {
    let mut response = StatusCode::OK.into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{md5}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The MD5 that a client promises of its contents.
fn promised(headers: &HeaderMap) -> HttpResult<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else {
        return Ok(None);
    };
    match value.to_str().ok().and_then(|text| md5_of(text).ok()) {
        Some(digest) => Ok(Some(digest)),
        None => Err(HttpError::bad_request(
            "Content-MD5 is not the base64 of 16 bytes",
        )),
    }
}

/// Lets contents through and fails at their end if they have another MD5.
fn checked(pieces: ByteStream, wanted: [u8; 16]) -> ByteStream {
    let state = Some((pieces, Md5::new()));
    futures::stream::unfold(state, move |state| async move {
        let (mut pieces, mut hasher) = state?;
        match pieces.next().await {
            Some(Ok(piece)) => {
                hasher.update(&piece);
                Some((Ok(piece), Some((pieces, hasher))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if hasher.finalize().as_slice() == wanted => None,
            None => Some((Err(another_md5()), None)),
        }
    })
    .boxed()
}

/// What those are told whose contents are not what they promised.
pub(crate) fn another_md5() -> Error {
    Error::invalid("the contents do not have the MD5 that was promised")
}

/// `GET /storage/{token}/{name}`: contents that the token allows to read.
pub(crate) async fn download(
    State(shared): State<Shared>,
    Path((token, _)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let app = &shared.app;
    match app.signer.check(&token).ok_or_else(expired)? {
        Grant::GetFile { run, name } => file(app, &run, &name, &method, &headers).await,
        Grant::GetEntry {
            at,
            path,
            size,
            md5,
        } => {
            let open = |range| {
                app.tracker
                    .open_entry(&at.collection, at.index, &path, range)
            };
            answer(&method, &headers, &path, size, &md5, open).await
        }
        Grant::GetManifest { at } => transfer::manifest_of(app, &at, &method).await,
        Grant::PutFile { .. } | Grant::PutEntry { .. } | Grant::PutManifest { .. } => Err(
            HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "this URL is for uploads"),
        ),
    }
}

/// `GET /files/{entity}/{project}/{run}/{name}`: a file, with a key.
pub(crate) async fn of_run(
    State(shared): State<Shared>,
    Path((entity, project, run, name)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let app = &shared.app;
    let viewer = app.viewer(&headers).await?;
    let path = run_path(&entity, &project, &run)?;
    viewer.read(&path.entity)?;
    file(app, &path, &name, &method, &headers).await
}

pub(crate) async fn file(
    app: &App,
    run: &RunPath,
    name: &str,
    method: &Method,
    headers: &HeaderMap,
) -> HttpResult<Response> {
    let info = find(app, run, name).await?;
    let tag = info.digests.md5.clone();
    let size = info.digests.size;
    answer(method, headers, name, size, &tag, |range| {
        app.tracker.open_file(run, name, range)
    })
    .await
}

/// What is known of a file.
pub(crate) async fn find(app: &App, run: &RunPath, name: &str) -> Result<FileInfo> {
    let mut files = app.tracker.files(run);
    while let Some(info) = files.next().await {
        let info = info?;
        if info.name == name {
            return Ok(info);
        }
    }
    Err(Error::not_found(format_args!("file {name:?} of run {run}")))
}

/// Answers with contents or a part of them.
pub(crate) async fn answer<F>(
    method: &Method,
    headers: &HeaderMap,
    name: &str,
    size: u64,
    tag: &str,
    open: impl FnOnce(Option<Range<u64>>) -> F,
) -> HttpResult<Response>
where
    F: Future<Output = Result<ByteStream>>,
{
    let wanted = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let range = match wanted.map(|text| byte_range(text, size)) {
        None | Some(Wanted::All) => None,
        Some(Wanted::Part(range)) => Some(range),
        Some(Wanted::Nothing) => {
            let whole = format!("bytes */{size}");
            let headers = [(header::CONTENT_RANGE, whole)];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    let (start, end) = range
        .as_ref()
        .map_or((0, size), |range| (range.start, range.end));
    let body = match *method == Method::HEAD {
        true => Body::empty(),
        false => Body::from_stream(open(range.clone()).await?),
    };
    let mut response = Response::builder()
        .status(if range.is_some() {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        })
        .header(header::CONTENT_LENGTH, end - start)
        .header(header::CONTENT_TYPE, mime_of(name))
        .header(header::ACCEPT_RANGES, "bytes")
        // What users upload is never run by a browser as if it were ours.
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CONTENT_SECURITY_POLICY, "sandbox")
        .header(header::ETAG, format!("\"{tag}\""));
    if range.is_some() {
        response = response.header(
            header::CONTENT_RANGE,
            format!("bytes {start}-{}/{size}", end.saturating_sub(1)),
        );
    }
    response
        .body(body)
        .map_err(|e| HttpError::bad_request(format!("the answer cannot be said: {e}")))
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// One range of bytes: `bytes=0-99`, `bytes=100-`, `bytes=-100`. Whatever else may be said there is
/// answered with everything, as the rules of HTTP allow.
fn byte_range(text: &str, size: u64) -> Wanted {
    let Some((from, to)) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Wanted::All;
    };
    let (from, to) = (from.trim(), to.trim());
    let range = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(size),
        (Ok(from), Err(_)) if to.is_empty() => from..size,
        (Err(_), Ok(last)) if from.is_empty() => size.saturating_sub(last)..size,
        _ => return Wanted::All,
    };
    if range.start >= range.end {
        Wanted::Nothing
    } else {
        Wanted::Part(range)
    }
}

/// The kind of contents that a name promises.
pub(crate) fn mime_of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "json" => "application/json",
        "txt" | "log" | "md" | "py" | "yaml" | "yml" | "patch" | "jsonl" | "toml" => {
            "text/plain; charset=utf-8"
        }
        "csv" => "text/csv; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "pdf" => "application/pdf",
        "gz" => "application/gzip",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_bytes() {
        for (text, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=0-99", Wanted::Part(0..10)),
            ("bytes=3-", Wanted::Part(3..10)),
            ("bytes=-4", Wanted::Part(6..10)),
            ("bytes=-40", Wanted::Part(0..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("lines=0-1", Wanted::All),
            (
                "bytes=18446744073709551615-18446744073709551615",
                Wanted::Nothing,
            ),
        ] {
            assert_eq!(byte_range(text, 10), wanted, "{text}");
        }
        assert_eq!(byte_range("bytes=0-", 0), Wanted::Nothing);
    }
}
