use rusqlite::{Connection, OptionalExtension, Row, params};
use tracker_model::{
    ArtifactDraft, ArtifactVersion, Collection, CollectionPath, Error, ErrorKind, ManifestEntry,
    ManifestHasher, RunPath, Timestamp, VersionRef,
};

use super::{
    Outcome, blobs,
    json::{column, from_column, object_column, time},
    projects,
};
use crate::error::corrupt;

const COLLECTION: &str = "collection.id AS id, collection.name AS name, kind, collection.description AS description, \
     collection.created_ms AS created_ms, collection.created_ns AS created_ns, collection.updated_ms AS updated_ms, \
     collection.updated_ns AS updated_ns, json(collection.extras) AS extras";

const VERSION: &str = "id, collection, idx, manifest, digest, size, entries, tags, description, \
     json(metadata) AS metadata, ttl_seconds, created_ms, created_ns, logged_by, source_key";

/// A version with the numbers of its lines.
pub(crate) struct StoredVersion {
    pub(crate) id: i64,
    pub(crate) manifest: i64,
    pub(crate) version: ArtifactVersion,
}

pub(crate) fn find_collection(
    connection: &Connection,
    path: &CollectionPath,
) -> Outcome<Option<(i64, Collection)>> {
    let Some(project) = projects::id(connection, &path.project)? else {
        return Ok(None);
    };
    let sql = format!("SELECT {COLLECTION} FROM collection WHERE project = ?1 AND name = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![project, path.name])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some((row.get("id")?, collection_of(row, path.clone())?)))
}

pub(crate) fn require_collection(connection: &Connection, path: &CollectionPath) -> Outcome<i64> {
    let sql = "SELECT collection.id FROM collection JOIN project ON project.id = collection.project
               WHERE project.entity = ?1 AND project.name = ?2 AND collection.name = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let key = params![
        path.project.entity.as_str(),
        path.project.project.as_str(),
        path.name
    ];
    let found = statement.query_row(key, |r| r.get(0)).optional()?;
    Ok(found.ok_or_else(|| Error::not_found(format_args!("artifact {path}")))?)
}

fn collection_of(row: &Row<'_>, path: CollectionPath) -> Outcome<Collection> {
    Ok(Collection {
        path,
        kind: row.get("kind")?,
        description: row.get("description")?,
        created_at: time(row, "created_ms", "created_ns")?.unwrap_or(Timestamp::from_millis(0)),
        updated_at: time(row, "updated_ms", "updated_ns")?,
        extras: from_column(row, "extras")?,
        portfolio: false,
    })
}

/// Writes a collection; `id` is that of an existing one.
pub(crate) fn put_collection(
    connection: &Connection,
    id: Option<i64>,
    collection: &Collection,
) -> Outcome<()> {
    let project = projects::find_or_create(connection, &collection.path.project)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO collection
             (id, project, name, kind, description, created_ms, created_ns, updated_ms, updated_ns, extras)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, jsonb(?10))
         ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, description = excluded.description,
             created_ms = excluded.created_ms, created_ns = excluded.created_ns, updated_ms = excluded.updated_ms,
             updated_ns = excluded.updated_ns, extras = excluded.extras",
    )?;
    statement.execute(params![
        id,
        project,
        collection.path.name,
        collection.kind,
        collection.description,
        collection.created_at.as_millis(),
        collection.created_at.sub_nanos(),
        collection.updated_at.map(Timestamp::as_millis),
        collection.updated_at.map(Timestamp::sub_nanos),
        object_column("the extras of an artifact", &collection.extras)?,
    ])?;
    Ok(())
}

/// The next collections of a project after a name.
pub(crate) fn collections(
    connection: &Connection,
    project: &tracker_model::ProjectPath,
    after: &str,
    limit: usize,
) -> Outcome<Vec<Collection>> {
    let id = projects::require(connection, project)?;
    let sql = format!(
        "SELECT {COLLECTION} FROM collection WHERE project = ?1 AND name > ?2 ORDER BY name LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![id, after, limit])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let path = CollectionPath {
            project: project.clone(),
            name: row.get("name")?,
        };
        out.push(collection_of(row, path)?);
    }
    Ok(out)
}

fn version_of(
    connection: &Connection,
    row: &Row<'_>,
    path: &CollectionPath,
) -> Outcome<StoredVersion> {
    let id: i64 = row.get("id")?;
    let mut statement =
        connection.prepare_cached("SELECT name FROM alias WHERE version = ?1 ORDER BY place")?;
    let aliases = statement
        .query_map([id], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let logged_by: Option<String> = row.get("logged_by")?;
    let logged_by = logged_by.map(|run| run.parse::<RunPath>()).transpose();
    let version = ArtifactVersion {
        collection: path.clone(),
        index: row.get("idx")?,
        digest: row.get("digest")?,
        size: row.get("size")?,
        entries: row.get("entries")?,
        aliases,
        tags: from_column(row, "tags")?,
        description: row.get("description")?,
        metadata: from_column(row, "metadata")?,
        ttl_seconds: row
            .get::<_, Option<i64>>("ttl_seconds")?
            .map(i64::cast_unsigned),
        created_at: time(row, "created_ms", "created_ns")?.unwrap_or(Timestamp::from_millis(0)),
        logged_by: logged_by
            .map_err(|e| corrupt("the catalog names an illegal run").with_source(e))?,
        source_key: row.get("source_key")?,
        extras: Default::default(),
        link_of: None,
    };
    Ok(StoredVersion {
        id,
        manifest: row.get("manifest")?,
        version,
    })
}

fn one(
    connection: &Connection,
    path: &CollectionPath,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> Outcome<Option<StoredVersion>> {
    let sql = format!("SELECT {VERSION} FROM version WHERE {condition}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?
        .map(|row| version_of(connection, row, path))
        .transpose()
}

pub(crate) fn by_index(
    connection: &Connection,
    path: &CollectionPath,
    index: u64,
) -> Outcome<StoredVersion> {
    let collection = require_collection(connection, path)?;
    let index = i64::try_from(index).unwrap_or(-1);
    let found = one(
        connection,
        path,
        "collection = ?1 AND idx = ?2",
        params![collection, index],
    )?;
    Ok(found
        .ok_or_else(|| Error::not_found(format_args!("version v{index} of artifact {path}")))?)
}

pub(crate) fn by_ref(
    connection: &Connection,
    path: &CollectionPath,
    version: &VersionRef,
) -> Outcome<StoredVersion> {
    let alias = match version {
        VersionRef::Index(index) => return by_index(connection, path, *index),
        VersionRef::Alias(alias) => alias,
    };
    let collection = require_collection(connection, path)?;
    let condition = "id = (SELECT version FROM alias WHERE collection = ?1 AND name = ?2)";
    let mut found = one(connection, path, condition, params![collection, alias])?;
    if found.is_none() && alias == "latest" {
        found = one(
            connection,
            path,
            "collection = ?1 ORDER BY idx DESC LIMIT 1",
            params![collection],
        )?;
    }
    Ok(found
        .ok_or_else(|| Error::not_found(format_args!("version {alias:?} of artifact {path}")))?)
}

/// The next versions of a collection from an index on.
pub(crate) fn versions(
    connection: &Connection,
    path: &CollectionPath,
    from: i64,
    limit: usize,
) -> Outcome<Vec<ArtifactVersion>> {
    let collection = require_collection(connection, path)?;
    let sql = format!(
        "SELECT {VERSION} FROM version WHERE collection = ?1 AND idx >= ?2 ORDER BY idx LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![collection, from, limit])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(version_of(connection, row, path)?.version);
    }
    Ok(out)
}

/// Finds the line that a draft is to become: an existing version with its source key, and its
/// index.
///
/// # Errors
/// `AlreadyExists` if another version has the index.
pub(crate) fn place(
    connection: &Connection,
    path: &CollectionPath,
    draft: &ArtifactDraft,
) -> Outcome<(i64, Option<StoredVersion>, i64)> {
    let collection = require_collection(connection, path)?;
    let same = match &draft.source_key {
        Some(key) => one(
            connection,
            path,
            "collection = ?1 AND source_key = ?2",
            params![collection, key],
        )?,
        None => None,
    };
    let wanted = match (draft.index, &same) {
        (Some(index), _) => {
            let index = i64::try_from(index);
            index.map_err(|_| {
                Error::invalid(format!("the index of a version of {path} is too large"))
            })?
        }
        (None, Some(same)) => same.version.index.cast_signed(),
        (None, None) => {
            let sql = "SELECT coalesce(max(idx) + 1, 0) FROM version WHERE collection = ?1";
            connection
                .prepare_cached(sql)?
                .query_row([collection], |r| r.get(0))?
        }
    };
    let sql = "SELECT id FROM version WHERE collection = ?1 AND idx = ?2";
    let holder: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row(params![collection, wanted], |r| r.get(0))
        .optional()?;
    if holder.is_some() && holder != same.as_ref().map(|s| s.id) {
        let message = format!("version v{wanted} of artifact {path} exists already");
        return Err(Error::new(ErrorKind::AlreadyExists, message).into());
    }
    Ok((collection, same, wanted))
}

/// Makes a draft and its manifest a version.
pub(crate) fn put_version(
    connection: &Connection,
    path: &CollectionPath,
    draft: &ArtifactDraft,
    manifest: i64,
) -> Outcome<ArtifactVersion> {
    let (collection, same, index) = place(connection, path, draft)?;
    let summary = summary(connection, manifest)?;
    let created = draft.created_at.unwrap_or_else(Timestamp::now);
    let mut statement = connection.prepare_cached(
        "INSERT INTO version (id, collection, idx, manifest, digest, size, entries, tags, description, metadata,
             ttl_seconds, created_ms, created_ns, logged_by, source_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, jsonb(?10), ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (id) DO UPDATE SET idx = excluded.idx, manifest = excluded.manifest, digest = excluded.digest,
             size = excluded.size, entries = excluded.entries, tags = excluded.tags,
             description = excluded.description, metadata = excluded.metadata, ttl_seconds = excluded.ttl_seconds,
             created_ms = excluded.created_ms, created_ns = excluded.created_ns, logged_by = excluded.logged_by",
    )?;
    statement.execute(params![
        same.as_ref().map(|s| s.id),
        collection,
        index,
        manifest,
        summary.digest,
        summary.size,
        summary.entries,
        column("the tags of a version", &draft.tags)?,
        draft.description,
        object_column("the metadata of a version", &draft.metadata)?,
        draft.ttl_seconds.map(u64::cast_signed),
        created.as_millis(),
        created.sub_nanos(),
        draft.logged_by.as_ref().map(ToString::to_string),
        draft.source_key,
    ])?;
    let id = same
        .as_ref()
        .map_or_else(|| connection.last_insert_rowid(), |s| s.id);
    if let Some(same) = same {
        connection
            .prepare_cached("DELETE FROM manifest WHERE id = ?1")?
            .execute([same.manifest])?;
    }
    set_aliases(connection, collection, id, &draft.aliases)?;
    Ok(by_index(connection, path, index.cast_unsigned())?.version)
}

/// Writes what is said of a version.
pub(crate) fn update_version(connection: &Connection, stored: &StoredVersion) -> Outcome<()> {
    let version = &stored.version;
    let collection = require_collection(connection, &version.collection)?;
    let mut statement = connection.prepare_cached(
        "UPDATE version SET tags = ?2, description = ?3, metadata = jsonb(?4) WHERE id = ?1",
    )?;
    statement.execute(params![
        stored.id,
        column("the tags of a version", &version.tags)?,
        version.description,
        object_column("the metadata of a version", &version.metadata)?,
    ])?;
    set_aliases(connection, collection, stored.id, &version.aliases)
}

/// Gives a version these aliases and no others; they move here from other versions.
fn set_aliases(
    connection: &Connection,
    collection: i64,
    version: i64,
    aliases: &[String],
) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM alias WHERE version = ?1")?
        .execute([version])?;
    let sql = "INSERT INTO alias (collection, name, version, place) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET version = excluded.version, place = excluded.place
               WHERE version <> excluded.version";
    let mut statement = connection.prepare_cached(sql)?;
    for (place, alias) in aliases.iter().enumerate() {
        statement.execute(params![collection, alias, version, place])?;
    }
    Ok(())
}

pub(crate) fn create_manifest(connection: &Connection) -> Outcome<i64> {
    let mut statement =
        connection.prepare_cached("INSERT INTO manifest (created_ms) VALUES (?1)")?;
    Ok(statement.insert([Timestamp::now().as_millis()])?)
}

/// Removes a manifest that no version has.
pub(crate) fn drop_manifest(connection: &Connection, id: i64) -> Outcome<()> {
    let sql = "DELETE FROM manifest WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM version WHERE manifest = ?1)";
    connection.prepare_cached(sql)?.execute([id])?;
    Ok(())
}

pub(crate) fn add_entry(
    connection: &Connection,
    manifest: i64,
    path: &str,
    blob: Option<i64>,
    reference: Option<&str>,
) -> Outcome<()> {
    let sql = "INSERT INTO entry (manifest, path, blob, reference) VALUES (?1, ?2, ?3, ?4)";
    connection
        .prepare_cached(sql)?
        .execute(params![manifest, path, blob, reference])?;
    Ok(())
}

/// What a manifest has.
pub(super) struct Summary {
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) entries: u64,
}

pub(super) fn summary(connection: &Connection, manifest: i64) -> Outcome<Summary> {
    let mut hasher = ManifestHasher::new();
    let (mut size, mut entries) = (0u64, 0);
    let sql = format!(
        "SELECT path, reference, blob, {} FROM entry LEFT JOIN blob ON blob.id = entry.blob
         WHERE manifest = ?1 ORDER BY path",
        blobs::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([manifest])?;
    while let Some(row) = rows.next()? {
        let entry = entry_of(row)?;
        hasher.update(&entry);
        size = size.saturating_add(entry.digests.map_or(0, |d| d.size));
        entries += 1;
    }
    Ok(Summary {
        digest: hasher.finish(),
        size,
        entries,
    })
}

fn entry_of(row: &Row<'_>) -> Outcome<ManifestEntry> {
    let blob: Option<i64> = row.get("blob")?;
    Ok(ManifestEntry {
        path: row.get("path")?,
        digests: blob.map(|_| blobs::digests_of(row)).transpose()?,
        reference: row.get("reference")?,
        extras: Default::default(),
    })
}

/// The next entries of a manifest after a path.
pub(crate) fn entries(
    connection: &Connection,
    manifest: i64,
    after: &str,
    limit: usize,
) -> Outcome<Vec<ManifestEntry>> {
    let sql = format!(
        "SELECT path, reference, blob, {} FROM entry LEFT JOIN blob ON blob.id = entry.blob
         WHERE manifest = ?1 AND path > ?2 ORDER BY path LIMIT ?3",
        blobs::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![manifest, after, limit])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(entry_of(row)?);
    }
    Ok(out)
}

/// The contents or the reference of an entry.
pub(crate) fn entry(
    connection: &Connection,
    manifest: i64,
    path: &str,
) -> Outcome<Option<(Option<i64>, Option<String>)>> {
    let sql = "SELECT blob, reference FROM entry WHERE manifest = ?1 AND path = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_row(params![manifest, path], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?)
}
