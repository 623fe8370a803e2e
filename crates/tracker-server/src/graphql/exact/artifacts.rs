//! Artifacts as the model has them, for clients of ours: addresses, changes and answers are JSON
//! texts of the model's own types.

use async_graphql::{Context, Object, SimpleObject};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracker_model::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, CollectionPatch, CollectionPath, Error, LinkDraft,
    Result, RunPath, VersionLink, VersionPatch, VersionRef,
};

use super::record_text;
use crate::{
    accounts::Viewer,
    artifacts::{
        find::{self, id_of, key_of_id, place_of, records},
        records::State,
        write,
    },
    graphql::{
        Asked, GraphResult,
        page::{page_of, wanted},
        scalars::JsonString,
        session::Success,
        told,
    },
};

fn read<T: DeserializeOwned>(what: &str, JsonString(text): &JsonString) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::invalid(format!("{what} cannot be read: {e}")))
}

fn collection(text: &JsonString) -> Result<CollectionPath> {
    let CollectionPath { project, name } = read("the address of a collection", text)?;
    CollectionPath::new(project, name)
}

fn version(text: &JsonString) -> Result<VersionLink> {
    let VersionLink { collection, index } = read("the address of a version", text)?;
    let collection = CollectionPath::new(collection.project, collection.name)?;
    Ok(VersionLink { collection, index })
}

/// The record of a version, as far as the viewer may know it.
pub(crate) fn version_text(viewer: &Viewer, version: &ArtifactVersion) -> Option<JsonString> {
    let hidden = |run: &RunPath| !viewer.may_read(&run.entity);
    if version.logged_by.as_ref().is_some_and(hidden) {
        let mut version = version.clone();
        version.logged_by = None;
        return record_text(&version);
    }
    record_text(version)
}

/// What a client of ours says of a version that it will upload.
///
/// # Errors
/// `InvalidInput` for what is no draft; `NotFound` or `PermissionDenied` where a run made it that
/// the viewer may not write to.
pub(crate) fn draft(asked: &Asked, text: &JsonString) -> Result<ArtifactDraft> {
    let mut draft: ArtifactDraft = read("the draft of a version", text)?;
    if let Some(run) = &draft.logged_by {
        asked.viewer.write(&run.entity)?;
    }
    // An answer that was lost is known again by it.
    draft
        .created_at
        .get_or_insert_with(tracker_model::Timestamp::now);
    Ok(draft)
}

async fn upsert_collection(
    asked: &Asked,
    at: &JsonString,
    patch: &JsonString,
) -> Result<JsonString> {
    let path = collection(at)?;
    asked.viewer.write(&path.project.entity)?;
    let patch: CollectionPatch = read("the change of a collection", patch)?;
    let app = &asked.app;
    let _lock = app.locks.of(&path).await;
    if let Some(name) = patch.name.as_ref().filter(|name| **name != path.name) {
        let to = CollectionPath::new(path.project.clone(), name.as_str())?;
        let collection = app.tracker.collection(&path).await?;
        write::prepare_rename(app, &collection, &to).await?;
    }
    said(&app.tracker.upsert_collection(&path, patch).await?)
}

fn said<T: Serialize>(record: &T) -> Result<JsonString> {
    record_text(record).ok_or_else(|| {
        Error::new(
            tracker_model::ErrorKind::Unexpected,
            "a record cannot be written",
        )
    })
}

async fn delete_collection(asked: &Asked, at: &JsonString) -> Result<()> {
    let path = collection(at)?;
    asked.viewer.write(&path.project.entity)?;
    let _lock = asked.app.locks.of(&path).await;
    asked.app.tracker.delete_collection(&path).await
}

async fn update_version(asked: &Asked, at: &JsonString, patch: &JsonString) -> Result<JsonString> {
    let VersionLink { collection, index } = version(at)?;
    asked.viewer.write(&collection.project.entity)?;
    let patch: VersionPatch = read("the change of a version", patch)?;
    let _lock = asked.app.locks.of(&collection).await;
    let tracker = &asked.app.tracker;
    let changed = tracker.update_version(&collection, index, patch).await?;
    said(&changed)
}

async fn delete_version(asked: &Asked, at: &JsonString) -> Result<()> {
    let VersionLink { collection, index } = version(at)?;
    asked.viewer.write(&collection.project.entity)?;
    let app = &asked.app;
    let _lock = app.locks.of(&collection).await;
    let which = VersionRef::Index(index);
    let version = app.tracker.version(&collection, &which).await?;
    let source = match &version.link_of {
        Some(link) => {
            let which = VersionRef::Index(link.index);
            app.tracker.version(&link.collection, &which).await.ok()
        }
        None => None,
    };
    app.tracker.delete_version(&collection, index).await?;
    if let Some(source) = source {
        return records(app).forget_link(&id_of(&source), &collection).await;
    }
    match key_of_id(&id_of(&version)) {
        Some(key) => {
            let deleted = records(app).change(&key, |sketch| sketch.state = State::Deleted);
            deleted.await
        }
        None => Ok(()),
    }
}

async fn link_version(
    asked: &Asked,
    at: &JsonString,
    target: &JsonString,
    draft: &JsonString,
) -> Result<JsonString> {
    let (path, target) = (collection(at)?, version(target)?);
    asked.viewer.write(&path.project.entity)?;
    asked.viewer.read(&target.collection.project.entity)?;
    let draft: LinkDraft = read("the draft of a link", draft)?;
    let app = &asked.app;
    // What a link stands for may be another link, to what the viewer may not read.
    let which = VersionRef::Index(target.index);
    let source = app.tracker.version(&target.collection, &which).await?;
    let source = find::source_of(app, &asked.viewer, source).await?;
    let _lock = app.locks.of(&path).await;
    let tracker = &app.tracker;
    let made = tracker
        .link_version(&path, &place_of(&source), draft)
        .await?;
    records(app).note_link(&id_of(&source), &path).await?;
    said(&made)
}

async fn record_use(asked: &Asked, entry: &JsonString) -> Result<()> {
    let entry: ArtifactUse = read("the use of a version", entry)?;
    asked.viewer.write(&entry.run.entity)?;
    asked.viewer.read(&entry.collection.project.entity)?;
    asked.app.tracker.record_use(entry).await
}

/// A run or a version, of which uses are asked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UsesOf {
    Run(RunPath),
    Version(VersionLink),
}

/// Some of the uses of a run or a version.
#[derive(Debug, SimpleObject)]
pub(crate) struct UsesPage {
    /// JSON text of a list of uses.
    uses: JsonString,
    /// Where the next page begins.
    next: Option<String>,
}

async fn uses(
    asked: &Asked,
    of: &JsonString,
    after: Option<&str>,
    first: Option<i64>,
) -> Result<UsesPage> {
    let tracker = &asked.app.tracker;
    let uses = match read("of what uses are asked", of)? {
        UsesOf::Run(run) => {
            asked.viewer.read(&run.entity)?;
            tracker.uses_of_run(&run)
        }
        UsesOf::Version(VersionLink { collection, index }) => {
            asked.viewer.read(&collection.project.entity)?;
            tracker.uses_of_version(&collection, index)
        }
    };
    let viewer = asked.viewer.clone();
    let readable = uses.try_filter(move |entry: &ArtifactUse| {
        let both = [&entry.run.entity, &entry.collection.project.entity];
        std::future::ready(both.into_iter().all(|entity| viewer.may_read(entity)))
    });
    let (begin, uses, more) = page_of(readable.boxed(), after, wanted(first, 1_000)).await?;
    let end = begin + uses.len() as u64;
    Ok(UsesPage {
        uses: said(&uses)?,
        next: more.then(|| end.to_string()),
    })
}

#[derive(Debug, Default)]
pub(crate) struct ExactArtifactQuery;

#[Object]
impl ExactArtifactQuery {
    /// What a run made and used, or which runs made and used a version.
    async fn trackway_uses(
        &self,
        ctx: &Context<'_>,
        of: JsonString,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<UsesPage> {
        let page = uses(Asked::of(ctx)?, &of, after.as_deref(), first);
        page.await.map_err(told)
    }
}

#[derive(Debug, Default)]
pub(crate) struct ExactArtifactMutation;

#[Object]
impl ExactArtifactMutation {
    async fn trackway_upsert_collection(
        &self,
        ctx: &Context<'_>,
        at: JsonString,
        patch: JsonString,
    ) -> GraphResult<JsonString> {
        let changed = upsert_collection(Asked::of(ctx)?, &at, &patch);
        changed.await.map_err(told)
    }

    async fn trackway_delete_collection(
        &self,
        ctx: &Context<'_>,
        at: JsonString,
    ) -> GraphResult<Success> {
        let deleted = delete_collection(Asked::of(ctx)?, &at).await;
        deleted.map(|()| Success::yes()).map_err(told)
    }

    async fn trackway_update_version(
        &self,
        ctx: &Context<'_>,
        at: JsonString,
        patch: JsonString,
    ) -> GraphResult<JsonString> {
        let changed = update_version(Asked::of(ctx)?, &at, &patch);
        changed.await.map_err(told)
    }

    async fn trackway_delete_version(
        &self,
        ctx: &Context<'_>,
        at: JsonString,
    ) -> GraphResult<Success> {
        let deleted = delete_version(Asked::of(ctx)?, &at).await;
        deleted.map(|()| Success::yes()).map_err(told)
    }

    async fn trackway_link_version(
        &self,
        ctx: &Context<'_>,
        at: JsonString,
        target: JsonString,
        draft: JsonString,
    ) -> GraphResult<JsonString> {
        let linked = link_version(Asked::of(ctx)?, &at, &target, &draft);
        linked.await.map_err(told)
    }

    async fn trackway_record_use(
        &self,
        ctx: &Context<'_>,
        entry: JsonString,
    ) -> GraphResult<Success> {
        let recorded = record_use(Asked::of(ctx)?, &entry).await;
        recorded.map(|()| Success::yes()).map_err(told)
    }
}
