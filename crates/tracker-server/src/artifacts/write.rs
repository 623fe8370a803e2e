//! Making versions of what was promised and uploaded.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use futures::TryStreamExt;
use serde_json::{Value as Json, json};
use tracker_model::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, Collection, CollectionPatch, CollectionPath,
    Content, Digests, EntryDraft, Error, ErrorKind, JsonObject, ManifestEntry, RecordCondition,
    Result, UseRole, VersionLink, VersionPatch, VersionRef, check_file_name, collect_bytes,
};

use super::{
    check_alias,
    find::{self, Found, id_of, id_of_key, place_of, records},
    manifest::{Entry, ExactEntry, Manifest, ManifestDigest, md5_of},
    records::{ManifestKind, Sketch, State},
};
use crate::{accounts::Viewer, app::App, wire};

/// The files that an error names at most.
const NAMED: usize = 5;

/// Notes that a client will upload an artifact, or answers the one that has these contents already.
pub(crate) async fn create(
    app: &App,
    viewer: &Viewer,
    sketch: Sketch,
    may_be_there: bool,
) -> Result<Found> {
    viewer.write(&sketch.collection.project.entity)?;
    sketch
        .aliases
        .iter()
        .try_for_each(|alias| check_alias(alias))?;
    match (collection(app, &sketch.collection).await?, &sketch.exact) {
        (Some(collection), Some(_)) => check_holds_versions(&collection)?,
        (Some(collection), None) => check_kind(&collection, &sketch.kind)?,
        (None, Some(_)) => {
            let what = format_args!("artifact {}", sketch.collection);
            return Err(Error::not_found(what));
        }
        (None, None) => {}
    }
    if let Some(id) = sketch.shared_id.clone() {
        return share(app, sketch, &id).await;
    }
    if may_be_there && let Some(version) = same_contents(app, &sketch).await? {
        return Ok(Found::Version(Box::new(version)));
    }
    // A client that was cut off goes on with what it had uploaded.
    if let Some(client) = &sketch.client_id {
        for (key, known) in records(app).of_client(client).await?.into_iter().rev() {
            let same = known.collection == sketch.collection && known.digest == sketch.digest;
            if same && known.state == State::Pending {
                let created_at = known.created_at;
                let sketch = Sketch {
                    created_at,
                    ..sketch
                };
                records(app)
                    .change(&key, |known| *known = sketch.clone())
                    .await?;
                let sketch = Box::new(sketch);
                return Ok(Found::Pending { key, sketch });
            }
        }
    }
    let key = hex::encode(crate::accounts::random::<16>()?);
    records(app).add(&key, &sketch).await?;
    let sketch = Box::new(sketch);
    Ok(Found::Pending { key, sketch })
}

/// The artifact that several runs write together, until one of them commits it. Which contents it
/// will have no client knows.
async fn share(app: &App, sketch: Sketch, id: &str) -> Result<Found> {
    let records = records(app);
    loop {
        let noted = records.shared(&sketch.collection, id).await?;
        let pre = match &noted {
            Some((_, version)) => RecordCondition::Version(*version),
            None => RecordCondition::Absent,
        };
        if let Some((key, _)) = noted
            && let Some(known) = records.get(&key).await?
            && known.state == State::Pending
        {
            let join = |known: &mut Sketch| {
                for alias in &sketch.aliases {
                    if !known.aliases.contains(alias) {
                        known.aliases.push(alias.clone());
                    }
                }
            };
            records.change(&key, join).await?;
            let sketch = Box::new(records.get(&key).await?.unwrap_or(known));
            return Ok(Found::Pending { key, sketch });
        }
        let key = hex::encode(crate::accounts::random::<16>()?);
        records.add(&key, &sketch).await?;
        match records.note_shared(&sketch.collection, id, &key, pre).await {
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
            Err(e) => return Err(e),
            Ok(()) => {
                let sketch = Box::new(sketch);
                return Ok(Found::Pending { key, sketch });
            }
        }
    }
}

async fn collection(app: &App, path: &CollectionPath) -> Result<Option<Collection>> {
    match app.tracker.collection(path).await {
        Ok(collection) => Ok(Some(collection)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn check_holds_versions(collection: &Collection) -> Result<()> {
    if collection.portfolio {
        let path = &collection.path;
        let message = format!("artifact {path} is a portfolio, which holds links alone");
        return Err(Error::invalid(message));
    }
    Ok(())
}

fn check_kind(collection: &Collection, kind: &str) -> Result<()> {
    let path = &collection.path;
    check_holds_versions(collection)?;
    if collection.kind != kind {
        let message = format!(
            "artifact {path} is of type {:?}, not {kind:?}",
            collection.kind
        );
        return Err(Error::invalid(message));
    }
    Ok(())
}

/// The version with the contents that are promised. It gets the aliases that are asked for.
async fn same_contents(app: &App, sketch: &Sketch) -> Result<Option<ArtifactVersion>> {
    let path = &sketch.collection;
    let _lock = app.locks.of(path).await;
    let Some(key) = records(app).with_digest(path, &sketch.digest).await? else {
        return Ok(None);
    };
    let Some(State::Committed(index)) = records(app).get(&key).await?.map(|s| s.state) else {
        return Ok(None);
    };
    let version = match app.tracker.version(path, &VersionRef::Index(index)).await {
        Ok(version) if version.source_key.as_deref() == Some(&id_of_key(&key)) => version,
        Ok(_) => return Ok(None),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let version = add_aliases(app, version, sketch.aliases.iter().cloned()).await?;
    record_use(app, sketch, &version).await?;
    Ok(Some(version))
}

/// Gives a version aliases beside those that it has. The collection is locked by the caller.
pub(crate) async fn add_aliases(
    app: &App,
    version: ArtifactVersion,
    aliases: impl IntoIterator<Item = String>,
) -> Result<ArtifactVersion> {
    let mut all = version.aliases.clone();
    for alias in aliases {
        check_alias(&alias)?;
        if !all.contains(&alias) {
            all.push(alias);
        }
    }
    if all == version.aliases {
        return Ok(version);
    }
    let mut patch = VersionPatch::new();
    patch.aliases = Some(all);
    app.tracker
        .update_version(&version.collection, version.index, patch)
        .await
}

/// Notes what will be true of a collection under another name, before it has that name: what a
/// server that stops in between leaves behind is found to be of nothing.
///
/// # Errors
/// `AlreadyExists` if another collection has the name.
pub(crate) async fn prepare_rename(
    app: &App,
    before: &Collection,
    to: &CollectionPath,
) -> Result<()> {
    if collection(app, to).await?.is_some() {
        let message = format!("artifact {to} exists already");
        return Err(Error::new(ErrorKind::AlreadyExists, message));
    }
    let (path, records) = (&before.path, records(app));
    let mut versions = app.tracker.versions(path);
    while let Some(version) = versions.try_next().await? {
        let (id, mut moved) = (id_of(&version), version.clone());
        moved.collection = to.clone();
        if let Some(of) = &version.link_of {
            let at = VersionRef::Index(of.index);
            match app.tracker.version(&of.collection, &at).await {
                Ok(source) => records.note_link(&id_of(&source), to).await?,
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
            continue;
        }
        if let Some(key) = find::key_of_id(&id) {
            let digest = find::digest_of(app, &version).await?;
            records.note_digest(to, &digest, &key).await?;
        } else {
            // Its id is its place.
            for portfolio in records.links(&id).await? {
                records.note_link(&id_of(&moved), &portfolio).await?;
            }
        }
    }
    records.note_renamed(path, to).await
}

/// Records that the run made the version, if there is such a run.
async fn record_use(app: &App, sketch: &Sketch, version: &ArtifactVersion) -> Result<()> {
    let Some(run) = &sketch.run else {
        return Ok(());
    };
    let entry = ArtifactUse {
        run: run.clone(),
        collection: version.collection.clone(),
        index: version.index,
        role: UseRole::Logged,
        step: None,
    };
    match app.tracker.record_use(entry).await {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The contents of the latest version of a collection, by their MD5 in hexadecimal digits, and the
/// id of the version.
///
/// Nothing else is looked at when a client says which contents it is about to upload: whoever knows
/// an MD5 could get at the contents of others that way.
pub(crate) async fn contents_of_latest(
    app: &App,
    path: &CollectionPath,
    wanted: &HashSet<String>,
) -> Result<(HashMap<String, Digests>, Option<String>)> {
    let latest = VersionRef::Alias("latest".to_owned());
    let version = match app.tracker.version(path, &latest).await {
        Ok(version) if version.link_of.is_none() => version,
        Ok(_) => return Ok((HashMap::new(), None)),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((HashMap::new(), None)),
        Err(e) => return Err(e),
    };
    let found = contents(app, &place_of(&version), wanted).await?;
    Ok((found, Some(id_of(&version))))
}

async fn contents(
    app: &App,
    at: &VersionLink,
    wanted: &HashSet<String>,
) -> Result<HashMap<String, Digests>> {
    let mut found = HashMap::new();
    let mut entries = app.tracker.manifest(&at.collection, at.index);
    while let Some(entry) = entries.try_next().await? {
        if let Some(digests) = entry.digests
            && wanted.contains(&digests.md5)
        {
            found.insert(digests.md5.clone(), digests);
        }
    }
    Ok(found)
}

/// Makes a version of an artifact that is uploaded, once.
pub(crate) async fn commit(app: &Arc<App>, viewer: &Viewer, id: &str) -> Result<ArtifactVersion> {
    let (key, sketch) = match find::by_id(app, viewer, id).await? {
        Found::Version(version) => {
            viewer.write(&version.collection.project.entity)?;
            return Ok(*version);
        }
        Found::Pending { key, sketch } => (key, sketch),
    };
    let path = &sketch.collection;
    viewer.write(&path.project.entity)?;
    let _lock = app.locks.of(path).await;
    // Somebody may have committed it while we waited.
    if let Found::Version(version) = find::by_id(app, viewer, id).await? {
        return Ok(*version);
    }
    let plan = plan(app, viewer, &key, id, sketch.exact.is_some()).await?;
    let stored = stored(app, viewer, &key, &sketch, &plan.files).await?;
    let draft = match &sketch.exact {
        Some(draft) => draft.clone(),
        None => wire_draft(app, &sketch, id, &plan).await?,
    };
    let mut writer = app.tracker.artifact_writer(path, draft).await?;
    for (name, file) in plan.files {
        let mut entry = EntryDraft::new(name);
        let content = match file {
            Planned::Reference { url, extras } => {
                entry.extras = extras;
                Content::Reference(url)
            }
            Planned::Known { digests, extras } => {
                entry.extras = extras;
                Content::Stored(digests)
            }
            Planned::Uploaded { md5, extras, .. } => {
                entry.extras = extras;
                let digests = stored.get(&md5).cloned();
                Content::Stored(digests.ok_or_else(|| Error::not_found("the contents"))?)
            }
        };
        writer.add(entry, content).await?;
    }
    let version = writer.commit().await?;
    record_use(app, &sketch, &version).await?;
    let (index, digest) = (version.index, plan.digest);
    if sketch.exact.is_none() {
        records(app).note_digest(path, &digest, &key).await?;
    }
    let done = |sketch: &mut Sketch| {
        sketch.state = State::Committed(index);
        sketch.digest.clone_from(&digest);
    };
    records(app).change(&key, done).await?;
    // The client need not wait for that; what a crash leaves behind does no harm.
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = records(&app).forget_uploads(&key).await {
            tracing::warn!(%error, "the records of uploads of an artifact could not be deleted");
        }
    });
    Ok(version)
}

/// What a client of W&B says of a version, whose collection is made if there is none.
async fn wire_draft(app: &App, sketch: &Sketch, id: &str, plan: &Plan) -> Result<ArtifactDraft> {
    let path = &sketch.collection;
    match collection(app, path).await? {
        Some(collection) => check_kind(&collection, &sketch.kind)?,
        None => {
            let mut patch = CollectionPatch::new();
            patch.kind = Some(sketch.kind.clone());
            app.tracker.upsert_collection(path, patch).await?;
        }
    }
    let mut draft = draft(sketch, id, plan);
    if let Some(run) = &sketch.run {
        match app.tracker.run(run).await {
            Ok(_) => draft.logged_by = Some(run.clone()),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(draft)
}

/// What an artifact will be.
struct Plan {
    files: BTreeMap<String, Planned>,
    /// The digest of its manifest as W&B computes it.
    digest: String,
    /// Bytes of what stays elsewhere, as far as they are known.
    referenced: u64,
}

enum Planned {
    Reference {
        url: String,
        extras: JsonObject,
    },
    /// As in another version.
    Known {
        digests: Digests,
        extras: JsonObject,
    },
    /// Contents with this MD5 in hexadecimal digits.
    Uploaded {
        md5: String,
        extras: JsonObject,
        birth: Option<String>,
    },
}

/// Reads what was uploaded of manifests. Of entries with one path the last counts.
async fn plan(app: &App, viewer: &Viewer, key: &str, id: &str, exact: bool) -> Result<Plan> {
    let manifests = records(app).stored_manifests(key).await?;
    if manifests.is_empty() {
        let message = "the artifact has no manifest: it was not uploaded";
        return Err(Error::invalid(message));
    }
    // Each is small enough by itself.
    let sizes = manifests.iter().filter_map(|one| one.stored.as_ref());
    let size = sizes.fold(0, |sum: u64, one| sum.saturating_add(one.size));
    let limit = app.options.max_body;
    if usize::try_from(size).map_or(true, |size| size > limit) {
        let message =
            format!("the manifests of the artifact have more than {limit} bytes together");
        return Err(Error::invalid(message));
    }
    let mut known = BTreeMap::new();
    for record in manifests {
        let manifest = read_manifest(app, record.stored.as_ref()).await?;
        if record.kind == ManifestKind::Incremental
            && let Some(base) = &record.base
        {
            let base = find::version_by_id(app, viewer, base).await?;
            let base_id = id_of(&base);
            let mut entries = app.tracker.manifest(&base.collection, base.index);
            while let Some(entry) = entries.try_next().await? {
                if !manifest.contents.contains_key(&entry.path) {
                    let (digest, path) = (super::manifest::digest_of(&entry), entry.path.clone());
                    known.insert(path, (digest, taken_over(entry, &base_id)?));
                }
            }
        }
        for (name, entry) in manifest.contents {
            check_file_name(&name)?;
            let digest = entry.digest.clone();
            let planned = match exact {
                true => exactly_planned(entry, viewer)?,
                false => planned(entry, id)?,
            };
            known.insert(name, (digest, planned));
        }
    }
    let mut digest = ManifestDigest::new();
    let mut referenced: u64 = 0;
    let mut files = BTreeMap::new();
    for (path, (said, file)) in known {
        digest.add(&path, &said);
        if let Planned::Reference { extras, .. } = &file {
            let size = wire::own(extras, "size").and_then(Json::as_u64);
            referenced = referenced.saturating_add(size.unwrap_or(0));
        }
        files.insert(path, file);
    }
    Ok(Plan {
        files,
        digest: digest.finish(),
        referenced,
    })
}

async fn read_manifest(app: &App, stored: Option<&Digests>) -> Result<Manifest> {
    let digests = stored.ok_or_else(|| Error::not_found("the manifest"))?;
    let limit = app.options.max_body;
    let _room = app
        .room(usize::try_from(digests.size).unwrap_or(limit).min(limit))
        .await;
    let bytes = collect_bytes(app.tracker.open_content(digests, None).await?, limit).await?;
    let parsed = tokio::task::spawn_blocking(move || Manifest::parse(&bytes));
    let failed =
        |e| Error::new(ErrorKind::Unexpected, "a manifest could not be read").with_source(e);
    parsed.await.map_err(failed)?
}

fn planned(entry: Entry, id: &str) -> Result<Planned> {
    if let Some(url) = entry.reference.clone() {
        let extras = entry.extras(id);
        return Ok(Planned::Reference { url, extras });
    }
    let other = entry
        .extra
        .as_ref()
        .and_then(|extra| extra.get("alg"))
        .and_then(Json::as_str);
    if let Some(other) = other.filter(|other| *other != "MD5") {
        return Err(super::unsupported(format!(
            "files with digests of the kind {other:.20?}"
        )));
    }
    Ok(Planned::Uploaded {
        md5: hex::encode(md5_of(&entry.digest)?),
        birth: entry.birth.clone(),
        extras: entry.extras(id),
    })
}

/// An entry as a client of ours says it.
fn exactly_planned(entry: Entry, viewer: &Viewer) -> Result<Planned> {
    let ExactEntry { extras, stored } = entry.trackway;
    Ok(match (entry.reference, stored) {
        (Some(url), _) => Planned::Reference { url, extras },
        (None, Some(digests)) => {
            viewer.may_name_contents()?;
            Planned::Known { digests, extras }
        }
        (None, None) => Planned::Uploaded {
            md5: hex::encode(md5_of(&entry.digest)?),
            extras,
            birth: None,
        },
    })
}

/// An entry of an earlier version, in the next one.
fn taken_over(entry: ManifestEntry, from: &str) -> Result<Planned> {
    let mut extras = entry.extras;
    let own = extras.entry(wire::EXTRAS).or_insert_with(|| json!({}));
    if let Json::Object(own) = own {
        own.entry("birthArtifactID").or_insert_with(|| from.into());
    }
    match (entry.reference, entry.digests) {
        (Some(url), _) => Ok(Planned::Reference { url, extras }),
        (None, Some(digests)) => Ok(Planned::Known { digests, extras }),
        (None, None) => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the entry {:?} has neither contents nor a reference",
                entry.path
            ),
        )),
    }
}

/// Looks for the contents of all files, by their MD5 in hexadecimal digits.
///
/// # Errors
/// `InvalidInput` if some were not uploaded.
async fn stored(
    app: &App,
    viewer: &Viewer,
    key: &str,
    sketch: &Sketch,
    files: &BTreeMap<String, Planned>,
) -> Result<HashMap<String, Digests>> {
    let mut stored = records(app).uploads(key).await?;
    let mut wanted = HashSet::new();
    let mut births = BTreeSet::new();
    for file in files.values() {
        let Planned::Uploaded { md5, birth, .. } = file else {
            continue;
        };
        if !stored.contains_key(md5) {
            wanted.insert(md5.clone());
            births.extend(birth.clone());
        }
    }
    if !wanted.is_empty() {
        let (found, _) = contents_of_latest(app, &sketch.collection, &wanted).await?;
        stored.extend(found);
    }
    // Files of a version that the client began with.
    for birth in births {
        wanted.retain(|md5| !stored.contains_key(md5));
        if wanted.is_empty() {
            break;
        }
        match find::version_by_id(app, viewer, &birth).await {
            Ok(version) => stored.extend(contents(app, &place_of(&version), &wanted).await?),
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::Conflict
                ) => {}
            Err(e) => return Err(e),
        }
    }
    let missing = files.iter().filter(|(_, file)| match file {
        Planned::Uploaded { md5, .. } => !stored.contains_key(md5),
        Planned::Reference { .. } | Planned::Known { .. } => false,
    });
    let missing: Vec<&str> = missing.map(|(path, _)| path.as_str()).collect();
    if missing.is_empty() {
        return Ok(stored);
    }
    let names: Vec<String> = missing
        .iter()
        .take(NAMED)
        .map(|name| format!("{name:.200?}"))
        .collect();
    let more = if missing.len() > NAMED { " …" } else { "" };
    Err(Error::invalid(format!(
        "{} files of the artifact were not uploaded: {}{more}",
        missing.len(),
        names.join(", ")
    )))
}

fn draft(sketch: &Sketch, id: &str, plan: &Plan) -> ArtifactDraft {
    let mut own = JsonObject::new();
    own.insert("id".to_owned(), id.into());
    own.insert("digest".to_owned(), plan.digest.as_str().into());
    own.insert("digestAlgorithm".to_owned(), "MANIFEST_MD5".into());
    let mut set = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            own.insert(name.to_owned(), value);
        }
    };
    let referenced = (plan.referenced > 0).then_some(plan.referenced);
    set("referencedBytes", referenced.map(Json::from));
    set("clientID", sketch.client_id.clone().map(Json::from));
    set(
        "sequenceClientID",
        sketch.sequence_client_id.clone().map(Json::from),
    );
    set("historyStep", sketch.history_step.map(Json::from));
    set(
        "storageRegion",
        sketch.storage_region.clone().map(Json::from),
    );
    let mut draft = ArtifactDraft::new();
    draft.aliases.clone_from(&sketch.aliases);
    draft.tags.clone_from(&sketch.tags);
    draft.description.clone_from(&sketch.description);
    draft.metadata.clone_from(&sketch.metadata);
    draft.ttl_seconds = sketch.ttl_seconds;
    draft.source_key = Some(id.to_owned());
    draft
        .extras
        .insert(wire::EXTRAS.to_owned(), Json::Object(own));
    draft
}
