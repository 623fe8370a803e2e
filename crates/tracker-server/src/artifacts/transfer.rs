//! Contents of artifacts, in and out.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, TryStreamExt};
use tracker_model::{
    ArtifactVersion, ByteStream, CollectionPath, Digests, Error, ErrorKind, ProjectPath,
    RecordCondition, Result, VersionLink, VersionRef,
};

use super::{
    find::{self, padded, place_of, records},
    manifest,
    records::State as Progress,
};
use crate::{
    accounts::Viewer,
    app::App,
    error::{HttpError, HttpResult},
    files::{another_md5, answer},
    http::Shared,
};

/// Takes in a file of an artifact that is not committed yet. The tracker has the MD5 when it has the
/// contents: nothing names those with another than was promised, and they are forgotten in time.
///
/// # Errors
/// `InvalidInput` for another MD5 than was promised.
pub(crate) async fn put_entry(
    app: &App,
    key: &str,
    body: ByteStream,
    promised: Option<[u8; 16]>,
) -> Result<Digests> {
    check_pending(app, key).await?;
    let digests = app.tracker.put_content(body).await?;
    if promised.is_some_and(|md5| hex::encode(md5) != digests.md5) {
        return Err(another_md5());
    }
    records(app).uploaded(key, &digests).await?;
    Ok(digests)
}

/// Takes in the manifest of an artifact that is not committed yet.
pub(crate) async fn put_manifest(
    app: &App,
    key: &str,
    name: &str,
    promised: &str,
    body: ByteStream,
) -> Result<Digests> {
    check_pending(app, key).await?;
    let limit = app.options.max_body;
    let digests = app.tracker.put_content(limited(body, limit)).await?;
    let changed = || Error::new(ErrorKind::Conflict, "the manifest was replaced meanwhile");
    let (mut record, version) = records(app)
        .manifest(key, name)
        .await?
        .ok_or_else(changed)?;
    if record.digest != promised {
        return Err(changed());
    }
    record.stored = Some(digests.clone());
    let pre = RecordCondition::Version(version);
    records(app).put_manifest(key, name, &record, pre).await?;
    Ok(digests)
}

async fn check_pending(app: &App, key: &str) -> Result<()> {
    match records(app).get(key).await?.map(|sketch| sketch.state) {
        Some(Progress::Pending) => Ok(()),
        Some(_) => Err(Error::new(
            ErrorKind::Conflict,
            "the artifact is committed already",
        )),
        None => Err(Error::not_found("the artifact")),
    }
}

fn limited(body: ByteStream, limit: usize) -> ByteStream {
    let mut left = limit;
    let pieces = body.and_then(move |piece| {
        let after = left.checked_sub(piece.len());
        left = after.unwrap_or(0);
        std::future::ready(match after {
            Some(_) => Ok(piece),
            None => Err(Error::invalid(format!(
                "the manifest has more than {limit} bytes"
            ))),
        })
    });
    pieces.boxed()
}

/// Answers with a file of a version.
async fn contents(
    app: &App,
    at: &VersionLink,
    path: &str,
    digests: &Digests,
    method: &Method,
    headers: &HeaderMap,
) -> HttpResult<Response> {
    let open = |range| {
        app.tracker
            .open_entry(&at.collection, at.index, path, range)
    };
    answer(method, headers, path, digests.size, &digests.md5, open).await
}

/// Answers with the manifest of a version.
pub(crate) async fn manifest_of(
    app: &App,
    at: &VersionLink,
    method: &Method,
) -> HttpResult<Response> {
    let version = app
        .tracker
        .version(&at.collection, &VersionRef::Index(at.index))
        .await?;
    let body = match *method == Method::HEAD {
        true => axum::body::Body::empty(),
        false => axum::body::Body::from_stream(manifest::text(&*app.tracker, &version)),
    };
    Ok((
        StatusCode::OK,
        [(header::CONTENT_TYPE, "application/json")],
        body,
    )
        .into_response())
}

/// `GET /artifactsV2/{region}/{entity}/…`: a file by its MD5, with a key. What follows is
/// `{artifact that first had it}/{md5}` or `{project}/{collection}/{artifact}/{md5}/{name}`.
pub(crate) async fn by_md5(
    State(shared): State<Shared>,
    Path((_, entity, rest)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let app = &shared.app;
    let viewer = app.viewer(&headers).await?;
    let missing = || HttpError::not_found("the file of an artifact");
    let parts: Vec<&str> = rest.split('/').collect();
    let (collection, birth, md5) = match parts[..] {
        [birth, md5] => (None, birth, md5),
        [project, ref collection @ .., birth, md5, _] if !collection.is_empty() => {
            let project = ProjectPath::new(entity.parse()?, project.parse()?);
            let name = collection.join("/");
            // Some clients name the version too.
            let name = name
                .rsplit_once(':')
                .map_or(name.as_str(), |(name, _)| name);
            (Some(CollectionPath::new(project, name)?), birth, md5)
        }
        _ => return Err(missing()),
    };
    let born = find::version_by_id(app, &viewer, &padded(birth)).await;
    let born = match born {
        Ok(version) => Some(version),
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::Conflict
            ) =>
        {
            None
        }
        Err(e) => return Err(e.into()),
    };
    if let Some(version) = born
        && let Some(found) = with_md5(app, &version, md5).await?
    {
        let at = place_of(&version);
        return contents(app, &at, &found.0, &found.1, &method, &headers).await;
    }
    // The version that first had it may be deleted, while others still have it.
    if let Some(path) = collection {
        let (version, found) = in_collection(app, &viewer, &path, md5)
            .await?
            .ok_or_else(missing)?;
        return contents(
            app,
            &place_of(&version),
            &found.0,
            &found.1,
            &method,
            &headers,
        )
        .await;
    }
    Err(missing())
}

async fn in_collection(
    app: &App,
    viewer: &Viewer,
    path: &CollectionPath,
    md5: &str,
) -> Result<Option<(ArtifactVersion, (String, Digests))>> {
    viewer.read(&path.project.entity)?;
    let mut versions = app.tracker.versions(path);
    while let Some(version) = versions.try_next().await? {
        let version = match find::source_of(app, viewer, version).await {
            Ok(version) => version,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        if let Some(found) = with_md5(app, &version, md5).await? {
            return Ok(Some((version, found)));
        }
    }
    Ok(None)
}

/// A file of a version with this MD5 in hexadecimal digits.
async fn with_md5(
    app: &App,
    version: &ArtifactVersion,
    md5: &str,
) -> Result<Option<(String, Digests)>> {
    let mut entries = app.tracker.manifest(&version.collection, version.index);
    while let Some(entry) = entries.try_next().await? {
        if let Some(digests) = entry.digests
            && digests.md5 == md5
        {
            return Ok(Some((entry.path, digests)));
        }
    }
    Ok(None)
}
