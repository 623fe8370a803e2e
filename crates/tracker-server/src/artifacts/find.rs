//! From ids and names to versions, for whoever may read them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::TryStreamExt;
use tracker_model::{
    ArtifactVersion, Collection, CollectionPath, Error, ErrorKind, ProjectPath, Result,
    VersionLink, VersionRef,
};

use super::{
    manifest,
    records::{Artifacts, Sketch, State},
};
use crate::{accounts::Viewer, app::App, ids, wire};

/// What is noted of artifacts beside the tracker.
pub(crate) fn records(app: &App) -> Artifacts<'_> {
    Artifacts(&*app.records)
}

/// What the id of an artifact says.
enum Named {
    /// One that was made here: where it is stands in a record.
    Here(String),
    /// One that came otherwise: where it is.
    At(VersionLink),
}

/// The id of an artifact with this key of its record.
pub(crate) fn id_of_key(key: &str) -> String {
    ids::encode("Artifact", &[key])
}

/// The key of the record of an artifact that was made here.
pub(crate) fn key_of_id(id: &str) -> Option<String> {
    let [key] = ids::decode("Artifact", id).ok()?;
    is_key(&key).then_some(key)
}

fn is_key(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn named(id: &str) -> Result<Named> {
    if let Some(key) = key_of_id(id) {
        return Ok(Named::Here(key));
    }
    let [entity, project, index, name] = ids::decode("Artifact", id)?;
    let wrong = |_| Error::invalid(format!("{id:.80?} is not the id of an artifact"));
    let collection =
        CollectionPath::new(ProjectPath::new(entity.parse()?, project.parse()?), name)?;
    let index = index.parse().map_err(wrong)?;
    Ok(Named::At(VersionLink { collection, index }))
}

/// The id of a version that is no link.
pub(crate) fn id_of(version: &ArtifactVersion) -> String {
    let own = wire::own(&version.extras, "id").and_then(|id| id.as_str());
    if let Some(id) = own
        && version.source_key.as_deref() == Some(id)
        && key_of_id(id).is_some()
    {
        return id.to_owned();
    }
    id_at(&place_of(version))
}

/// The id of a version that came otherwise than by the wire: where it is.
pub(crate) fn id_at(at: &VersionLink) -> String {
    let project = &at.collection.project;
    let index = at.index.to_string();
    let parts = [
        project.entity.as_str(),
        project.project.as_str(),
        &index,
        &at.collection.name,
    ];
    ids::encode("Artifact", &parts)
}

pub(crate) fn place_of(version: &ArtifactVersion) -> VersionLink {
    VersionLink {
        collection: version.collection.clone(),
        index: version.index,
    }
}

/// The digest of a version as W&B has it.
pub(crate) async fn digest_of(app: &App, version: &ArtifactVersion) -> Result<String> {
    match wire::own(&version.extras, "digest").and_then(|digest| digest.as_str()) {
        Some(digest) => Ok(digest.to_owned()),
        None => manifest::digest(&*app.tracker, &place_of(version)).await,
    }
}

/// An artifact as far as it has come.
#[derive(Debug)]
pub(crate) enum Found {
    Pending { key: String, sketch: Box<Sketch> },
    Version(Box<ArtifactVersion>),
}

fn missing(id: &str) -> Error {
    Error::not_found(format_args!("artifact {id:.80?}"))
}

/// Tells nobody more of what may not be read than of what is not there.
fn hidden(id: &str) -> impl Fn(Error) -> Error {
    let missing = missing(id);
    let message = missing.message().to_owned();
    move |e| match e.kind() {
        ErrorKind::NotFound => Error::new(ErrorKind::NotFound, message.clone()),
        _ => e,
    }
}

/// The artifact with this id.
///
/// # Errors
/// `NotFound`, also for what the viewer may not read; `InvalidInput`.
pub(crate) async fn by_id(app: &App, viewer: &Viewer, id: &str) -> Result<Found> {
    match named(id)? {
        Named::At(at) => {
            viewer
                .read(&at.collection.project.entity)
                .map_err(hidden(id))?;
            // A link has the id of what it links, and another protocol's id is its record's alone.
            let meant = |version: &ArtifactVersion| {
                version.link_of.is_none() && id_of(version) == id_at(&place_of(version))
            };
            let version = renamed_version(app, &at.collection, at.index, meant).await?;
            let version = version.ok_or_else(|| missing(id))?;
            Ok(Found::Version(Box::new(version)))
        }
        Named::Here(key) => {
            let sketch = records(app).get(&key).await?.ok_or_else(|| missing(id))?;
            viewer
                .read(&sketch.collection.project.entity)
                .map_err(hidden(id))?;
            let index = match sketch.state {
                State::Pending => {
                    let sketch = Box::new(sketch);
                    return Ok(Found::Pending { key, sketch });
                }
                State::Committed(index) => index,
                State::Deleted => return Err(missing(id)),
            };
            let meant = |version: &ArtifactVersion| match &sketch.exact {
                Some(draft) => {
                    version.source_key == draft.source_key
                        && Some(version.created_at) == draft.created_at
                }
                None => version.source_key.as_deref() == Some(id),
            };
            let version = renamed_version(app, &sketch.collection, index, meant).await?;
            let version = version.ok_or_else(|| missing(id))?;
            Ok(Found::Version(Box::new(version)))
        }
    }
}

/// How many names of a collection are looked under.
const MAX_NAMES: usize = 64;

/// The version that is meant, in the collection with this name or one that once had it.
async fn renamed_version(
    app: &App,
    path: &CollectionPath,
    index: u64,
    meant: impl Fn(&ArtifactVersion) -> bool + Send,
) -> Result<Option<ArtifactVersion>> {
    let at = VersionRef::Index(index);
    let mut names = vec![path.clone()];
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        match app.tracker.version(&name, &at).await {
            Ok(version) if meant(&version) => return Ok(Some(version)),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        more_names(app, &mut names, &name).await?;
        next += 1;
    }
    Ok(None)
}

/// The collection with this id: the one that has the name which the id is made of, or the one that
/// had it last.
///
/// # Errors
/// `NotFound`, also for what the viewer may not read; `InvalidInput`.
pub(crate) async fn collection_by_id(app: &App, viewer: &Viewer, id: &str) -> Result<Collection> {
    let path = ids::collection(id)?;
    viewer.read(&path.project.entity)?;
    let mut names = vec![path.clone()];
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        match app.tracker.collection(&name).await {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
        more_names(app, &mut names, &name).await?;
        next += 1;
    }
    Err(Error::not_found(format_args!("artifact {path}")))
}

async fn more_names(
    app: &App,
    names: &mut Vec<CollectionPath>,
    name: &CollectionPath,
) -> Result<()> {
    for later in records(app).renamed(name).await? {
        if names.len() < MAX_NAMES && !names.contains(&later) {
            names.push(later);
        }
    }
    Ok(())
}

/// The version with this id.
///
/// # Errors
/// Those of [`by_id`]; `Conflict` if it is not committed.
pub(crate) async fn version_by_id(app: &App, viewer: &Viewer, id: &str) -> Result<ArtifactVersion> {
    match by_id(app, viewer, id).await? {
        Found::Version(version) => Ok(*version),
        Found::Pending { .. } => Err(Error::new(
            ErrorKind::Conflict,
            format!("artifact {id:.80?} is not committed yet"),
        )),
    }
}

/// What a link stands for, or the version itself.
///
/// # Errors
/// `NotFound` if the viewer may not read that.
pub(crate) async fn source_of(
    app: &App,
    viewer: &Viewer,
    version: ArtifactVersion,
) -> Result<ArtifactVersion> {
    match &version.link_of {
        None => Ok(version),
        Some(link) => {
            viewer.read(&link.collection.project.entity)?;
            let at = VersionRef::Index(link.index);
            app.tracker.version(&link.collection, &at).await
        }
    }
}

/// The version of a name such as `model:v3`, `model:best`, `model:DIGEST` or `model`.
///
/// # Errors
/// `NotFound`.
pub(crate) async fn by_name(
    app: &App,
    project: &ProjectPath,
    name: &str,
) -> Result<ArtifactVersion> {
    let (collection, which) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let absent = |_| Error::not_found(format_args!("artifact {project}/{name:.200}"));
    let path = CollectionPath::new(project.clone(), collection).map_err(absent)?;
    in_collection(app, &path, which).await
}

/// The version of a collection by its number, an alias or its digest.
///
/// # Errors
/// `NotFound`.
pub(crate) async fn in_collection(
    app: &App,
    path: &CollectionPath,
    which: &str,
) -> Result<ArtifactVersion> {
    let absent = || Error::not_found(format_args!("version {which:.80} of artifact {path}"));
    let version: VersionRef = which.parse().map_err(|_| absent())?;
    match app.tracker.version(path, &version).await {
        Err(e) if e.kind() == ErrorKind::NotFound && is_key(which) => {
            let key = records(app).with_digest(path, which).await?.ok_or(e)?;
            let sketch = records(app).get(&key).await?.ok_or_else(absent)?;
            match sketch.state {
                State::Committed(index) => {
                    let version = app.tracker.version(path, &VersionRef::Index(index)).await?;
                    match version.source_key.as_deref() == Some(&id_of_key(&key)) {
                        true => Ok(version),
                        false => Err(absent()),
                    }
                }
                _ => Err(absent()),
            }
        }
        found => found,
    }
}

/// The link of a portfolio to a version, if there is one.
pub(crate) async fn link_in(
    app: &App,
    portfolio: &CollectionPath,
    to: &VersionLink,
) -> Result<Option<ArtifactVersion>> {
    let mut versions = app.tracker.versions(portfolio);
    loop {
        match versions.try_next().await {
            Ok(Some(version)) if version.link_of.as_ref() == Some(to) => return Ok(Some(version)),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        }
    }
}

/// The links to a version, in portfolios that the viewer may read.
pub(crate) async fn links_of(
    app: &App,
    viewer: &Viewer,
    version: &ArtifactVersion,
) -> Result<Vec<ArtifactVersion>> {
    let to = place_of(version);
    let mut out = Vec::new();
    for portfolio in records(app).links(&id_of(version)).await? {
        if viewer.may_read(&portfolio.project.entity) {
            out.extend(link_in(app, &portfolio, &to).await?);
        }
    }
    Ok(out)
}

/// The key of the artifact that a client calls so, among those that the viewer may read.
pub(crate) async fn of_client(app: &App, viewer: &Viewer, client: &str) -> Result<Option<String>> {
    let mut known = records(app).of_client(client).await?;
    known.retain(|(_, sketch)| viewer.may_read(&sketch.collection.project.entity));
    let committed = |sketch: &Sketch| matches!(sketch.state, State::Committed(_));
    let place = known.iter().rposition(|(_, sketch)| committed(sketch));
    let place = place.or_else(|| known.len().checked_sub(1));
    Ok(place.map(|place| known.swap_remove(place).0))
}

/// The id in base64 that URLs of W&B may have without padding.
pub(crate) fn padded(id: &str) -> String {
    let unpadded = id.trim_end_matches('=');
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(unpadded);
    bytes.map_or_else(|_| id.to_owned(), |bytes| STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracker_model::{
        ArtifactDraft, ArtifactStore, CollectionPatch, CollectionStore, MemoryTracker,
    };

    use super::*;

    async fn version(source_key: Option<&str>, id: Option<&str>) -> ArtifactVersion {
        let tracker = MemoryTracker::new();
        let path = CollectionPath::new("e/p".parse().unwrap(), "a:b/c").unwrap();
        tracker
            .upsert_collection(&path, CollectionPatch::new())
            .await
            .unwrap();
        let mut draft = ArtifactDraft::new();
        draft.source_key = source_key.map(str::to_owned);
        if let Some(id) = id {
            draft.extras.insert("wandb".to_owned(), json!({"id": id}));
        }
        let writer = tracker.artifact_writer(&path, draft).await.unwrap();
        writer.commit().await.unwrap()
    }

    #[tokio::test]
    async fn ids_of_versions_that_were_not_made_here_say_where_they_are() {
        let id = id_of_key("0123456789abcdef0123456789abcdef");
        assert_eq!(id_of(&version(Some(&id), Some(&id)).await), id);
        // An import of what another server has may name that server's id.
        for (key, said) in [
            (None, None),
            (Some("mlflow:x"), None),
            (None, Some(id.as_str())),
            (Some("1"), Some("1")),
        ] {
            let version = version(key, said).await;
            let id = id_of(&version);
            assert!(
                matches!(named(&id).unwrap(), Named::At(at) if at == place_of(&version)),
                "{id}"
            );
        }
    }

    #[test]
    fn other_texts_are_no_ids() {
        for id in [
            "",
            "?",
            &ids::encode("Artifact", &["1"]),
            &ids::encode("Run", &["a", "b", "0", "c"]),
            &ids::encode("Artifact", &["a", "b", "x", "c"]),
            &ids::encode("Artifact", &["a", "..", "0", "c"]),
        ] {
            assert!(named(id).is_err(), "{id}");
        }
    }
}
