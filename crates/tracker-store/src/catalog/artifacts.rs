use rusqlite::{Connection, OptionalExtension, Row, params};
use tracker_model::{
    ArtifactDraft, ArtifactVersion, CollectionPath, Error, JsonObject, LinkDraft, ManifestEntry,
    ManifestHasher, RunPath, Timestamp, VersionLink, VersionRef,
};

use super::{
    Outcome, blobs,
    collections::{self, Room},
    json::{column, from_column, object_column, time},
    projects,
};
use crate::error::corrupt;

/// Of a link, `v` says where it is, and `t` what is said of it; of others both are the same.
const VERSION: &str = "v.id AS id, v.idx AS idx, t.manifest AS manifest, t.digest AS digest, t.size AS size, \
     t.entries AS entries, t.tags AS tags, t.description AS description, json(t.metadata) AS metadata, \
     t.ttl_seconds AS ttl_seconds, v.created_ms AS created_ms, v.created_ns AS created_ns, \
     t.logged_by AS logged_by, v.source_key AS source_key, json(t.extras) AS extras, v.link_of AS link_of \
     FROM version v JOIN version t ON t.id = coalesce(v.link_of, v.id)";

/// A version with the numbers of its lines.
pub(crate) struct StoredVersion {
    pub(crate) id: i64,
    pub(crate) manifest: i64,
    pub(crate) version: ArtifactVersion,
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
    let link_of: Option<i64> = row.get("link_of")?;
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
        extras: from_column(row, "extras")?,
        link_of: link_of.map(|of| address(connection, of)).transpose()?,
    };
    Ok(StoredVersion {
        id,
        manifest: row.get("manifest")?,
        version,
    })
}

/// The address of a version.
fn address(connection: &Connection, id: i64) -> Outcome<VersionLink> {
    let mut statement = connection.prepare_cached(
        "SELECT idx, entity, project.name AS project, collection.name AS name
         FROM version JOIN collection ON collection.id = version.collection
             JOIN project ON project.id = collection.project
         WHERE version.id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    let row = rows
        .next()?
        .ok_or_else(|| corrupt("the catalog lacks a version that it names"))?;
    Ok(VersionLink {
        collection: CollectionPath {
            project: projects::path_of(row, "entity", "project")?,
            name: row.get("name")?,
        },
        index: row.get("idx")?,
    })
}

fn one(
    connection: &Connection,
    path: &CollectionPath,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> Outcome<Option<StoredVersion>> {
    let sql = format!("SELECT {VERSION} WHERE {condition}");
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
    let collection = collections::require(connection, path)?;
    let index = i64::try_from(index).unwrap_or(-1);
    let found = one(
        connection,
        path,
        "v.collection = ?1 AND v.idx = ?2",
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
    let collection = collections::require(connection, path)?;
    let condition = "v.id = (SELECT version FROM alias WHERE collection = ?1 AND name = ?2)";
    let mut found = one(connection, path, condition, params![collection, alias])?;
    if found.is_none() && alias == "latest" {
        found = one(
            connection,
            path,
            "v.collection = ?1 ORDER BY v.idx DESC LIMIT 1",
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
    let collection = collections::require(connection, path)?;
    let sql =
        format!("SELECT {VERSION} WHERE v.collection = ?1 AND v.idx >= ?2 ORDER BY v.idx LIMIT ?3");
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
/// `AlreadyExists` if another version has the index, `InvalidInput` for a portfolio.
pub(crate) fn place(
    connection: &Connection,
    path: &CollectionPath,
    draft: &ArtifactDraft,
) -> Outcome<(Room, Option<StoredVersion>, i64)> {
    let room = collections::room(connection, path)?;
    if room.portfolio {
        let message = format!("artifact {path} is a portfolio, which holds links alone");
        return Err(Error::invalid(message).into());
    }
    let same = match &draft.source_key {
        Some(key) => one(
            connection,
            path,
            "v.collection = ?1 AND v.source_key = ?2",
            params![room.id, key],
        )?,
        None => None,
    };
    let wanted = draft.index.or(same.as_ref().map(|s| s.version.index));
    let index = room.place(connection, path, wanted, same.as_ref().map(|s| s.id))?;
    Ok((room, same, index))
}

/// Makes a draft and its manifest a version.
pub(crate) fn put_version(
    connection: &Connection,
    path: &CollectionPath,
    draft: &ArtifactDraft,
    manifest: i64,
) -> Outcome<ArtifactVersion> {
    let (room, same, index) = place(connection, path, draft)?;
    let summary = summary(connection, manifest)?;
    let created = draft.created_at.unwrap_or_else(Timestamp::now);
    let mut statement = connection.prepare_cached(
        "INSERT INTO version (id, collection, idx, manifest, digest, size, entries, tags, description, metadata,
             ttl_seconds, created_ms, created_ns, logged_by, source_key, extras)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, jsonb(?10), ?11, ?12, ?13, ?14, ?15, jsonb(?16))
         ON CONFLICT (id) DO UPDATE SET idx = excluded.idx, manifest = excluded.manifest, digest = excluded.digest,
             size = excluded.size, entries = excluded.entries, tags = excluded.tags,
             description = excluded.description, metadata = excluded.metadata, ttl_seconds = excluded.ttl_seconds,
             created_ms = excluded.created_ms, created_ns = excluded.created_ns, logged_by = excluded.logged_by,
             extras = excluded.extras",
    )?;
    statement.execute(params![
        same.as_ref().map(|s| s.id),
        room.id,
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
        object_column("the extras of a version", &draft.extras)?,
    ])?;
    let id = same
        .as_ref()
        .map_or_else(|| connection.last_insert_rowid(), |s| s.id);
    room.take(connection, index)?;
    if let Some(same) = same {
        connection
            .prepare_cached("UPDATE version SET manifest = ?2 WHERE link_of = ?1")?
            .execute([id, manifest])?;
        connection
            .prepare_cached("DELETE FROM manifest WHERE id = ?1")?
            .execute([same.manifest])?;
    }
    set_aliases(connection, room.id, id, &draft.aliases)?;
    Ok(by_index(connection, path, index.cast_unsigned())?.version)
}

/// Makes a version of a portfolio that stands for another one, or finds the one that does.
pub(crate) fn link(
    connection: &Connection,
    path: &CollectionPath,
    target: &VersionLink,
    draft: LinkDraft,
) -> Outcome<ArtifactVersion> {
    let room = collections::room(connection, path)?;
    if !room.portfolio {
        let message = format!("link {target}: artifact {path} is no portfolio");
        return Err(Error::invalid(message).into());
    }
    let target = by_index(connection, &target.collection, target.index)?;
    let sql = "SELECT coalesce(link_of, id) FROM version WHERE id = ?1";
    let target: i64 = connection
        .prepare_cached(sql)?
        .query_row([target.id], |r| r.get(0))?;
    let find = || {
        let key = params![room.id, target];
        one(
            connection,
            path,
            "v.collection = ?1 AND v.link_of = ?2",
            key,
        )
    };
    let mut aliases = Vec::new();
    let id = match find()? {
        Some(there) => {
            aliases = there.version.aliases;
            there.id
        }
        None => {
            let index = room.place(connection, path, draft.index, None)?;
            room.take(connection, index)?;
            let created = draft.created_at.unwrap_or_else(Timestamp::now);
            let mut statement = connection.prepare_cached(
                "INSERT INTO version
                     (collection, idx, manifest, digest, size, entries, tags, created_ms, created_ns, link_of)
                 SELECT ?1, ?2, manifest, digest, size, entries, tags, ?3, ?4, id FROM version WHERE id = ?5",
            )?;
            let (ms, ns) = (created.as_millis(), created.sub_nanos());
            statement.insert(params![room.id, index, ms, ns, target])?
        }
    };
    aliases.extend(draft.aliases);
    set_aliases(connection, room.id, id, &aliases)?;
    let made = find()?.ok_or_else(|| corrupt("the catalog lacks a link that it was given"))?;
    Ok(made.version)
}

/// Removes a version, the links to it, and its contents.
pub(crate) fn delete_version(
    connection: &Connection,
    path: &CollectionPath,
    index: u64,
) -> Outcome<()> {
    let stored = by_index(connection, path, index)?;
    connection
        .prepare_cached("DELETE FROM version WHERE id = ?1")?
        .execute([stored.id])?;
    drop_manifest(connection, stored.manifest)
}

/// Writes what is said of a version.
pub(crate) fn update_version(connection: &Connection, stored: &StoredVersion) -> Outcome<()> {
    let version = &stored.version;
    let collection = collections::require(connection, &version.collection)?;
    let mut statement = connection.prepare_cached(
        "UPDATE version SET tags = ?2, description = ?3, metadata = jsonb(?4), ttl_seconds = ?5, extras = jsonb(?6)
         WHERE id = ?1 AND link_of IS NULL",
    )?;
    statement.execute(params![
        stored.id,
        column("the tags of a version", &version.tags)?,
        version.description,
        object_column("the metadata of a version", &version.metadata)?,
        version.ttl_seconds.map(u64::cast_signed),
        object_column("the extras of a version", &version.extras)?,
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
    extras: &JsonObject,
) -> Outcome<()> {
    let sql = "INSERT INTO entry (manifest, path, blob, reference, extras) VALUES (?1, ?2, ?3, ?4, jsonb(?5))";
    let extras = object_column("the extras of an entry", extras)?;
    connection
        .prepare_cached(sql)?
        .execute(params![manifest, path, blob, reference, extras])?;
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
        "SELECT path, reference, blob, json(extras) AS extras, {} FROM entry LEFT JOIN blob ON blob.id = entry.blob
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
        extras: from_column(row, "extras")?,
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
        "SELECT path, reference, blob, json(extras) AS extras, {} FROM entry LEFT JOIN blob ON blob.id = entry.blob
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

/// An entry by its path.
pub(crate) fn named_entry(
    connection: &Connection,
    manifest: i64,
    path: &str,
) -> Outcome<Option<ManifestEntry>> {
    let sql = format!(
        "SELECT path, reference, blob, json(extras) AS extras, {} FROM entry LEFT JOIN blob ON blob.id = entry.blob
         WHERE manifest = ?1 AND path = ?2",
        blobs::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![manifest, path])?;
    rows.next()?.map(entry_of).transpose()
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
