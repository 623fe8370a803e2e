use rusqlite::{Connection, OptionalExtension, Row, params};
use tracker_model::{Collection, CollectionPath, Error, ErrorKind, ProjectPath, Timestamp};

use super::{
    Outcome,
    artifacts::drop_manifest,
    json::{from_column, object_column, time},
    projects,
};

const COLUMNS: &str = "collection.id AS id, collection.name AS name, kind, collection.description AS description, \
     collection.created_ms AS created_ms, collection.created_ns AS created_ns, collection.updated_ms AS updated_ms, \
     collection.updated_ns AS updated_ns, json(collection.extras) AS extras, portfolio";

pub(crate) fn find(
    connection: &Connection,
    path: &CollectionPath,
) -> Outcome<Option<(i64, Collection)>> {
    let Some(project) = projects::id(connection, &path.project)? else {
        return Ok(None);
    };
    let sql = format!("SELECT {COLUMNS} FROM collection WHERE project = ?1 AND name = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![project, path.name])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some((row.get("id")?, collection_of(row, path.clone())?)))
}

pub(crate) fn require(connection: &Connection, path: &CollectionPath) -> Outcome<i64> {
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

/// Where the next version of a collection goes.
pub(crate) struct Room {
    pub(super) id: i64,
    /// Whether its versions are links.
    pub(super) portfolio: bool,
    /// The greatest index that a version has had.
    last: Option<i64>,
}

pub(super) fn room(connection: &Connection, path: &CollectionPath) -> Outcome<Room> {
    let id = require(connection, path)?;
    let mut statement =
        connection.prepare_cached("SELECT portfolio, last_idx FROM collection WHERE id = ?1")?;
    Ok(statement.query_row([id], |r| {
        Ok(Room {
            id,
            portfolio: r.get(0)?,
            last: r.get(1)?,
        })
    })?)
}

impl Room {
    /// The index that a version gets: the one it is to have, or the next.
    ///
    /// # Errors
    /// `AlreadyExists` if a version other than `same` has the index, `InvalidInput` if it is too
    /// large.
    pub(super) fn place(
        &self,
        connection: &Connection,
        path: &CollectionPath,
        wanted: Option<u64>,
        same: Option<i64>,
    ) -> Outcome<i64> {
        let too_large = || Error::invalid(format!("the index of a version of {path} is too large"));
        let index = match wanted {
            Some(index) => i64::try_from(index).map_err(|_| too_large())?,
            None => self
                .last
                .map_or(Some(0), |last| last.checked_add(1))
                .ok_or_else(too_large)?,
        };
        let sql = "SELECT id FROM version WHERE collection = ?1 AND idx = ?2";
        let holder: Option<i64> = connection
            .prepare_cached(sql)?
            .query_row(params![self.id, index], |r| r.get(0))
            .optional()?;
        if holder.is_some() && holder != same {
            let message = format!("version v{index} of artifact {path} exists already");
            return Err(Error::new(ErrorKind::AlreadyExists, message).into());
        }
        Ok(index)
    }

    /// Notes that a version has the index.
    pub(super) fn take(&self, connection: &Connection, index: i64) -> Outcome<()> {
        let sql = "UPDATE collection SET last_idx = max(coalesce(last_idx, 0), ?2) WHERE id = ?1";
        connection.prepare_cached(sql)?.execute([self.id, index])?;
        Ok(())
    }
}

/// Removes a collection with all of its versions.
pub(crate) fn delete(connection: &Connection, id: i64) -> Outcome<()> {
    let mut statement = connection
        .prepare_cached("DELETE FROM version WHERE collection = ?1 RETURNING manifest")?;
    let manifests = statement.query_map([id], |r| r.get(0))?;
    for manifest in manifests.collect::<rusqlite::Result<Vec<i64>>>()? {
        drop_manifest(connection, manifest)?;
    }
    connection
        .prepare_cached("DELETE FROM collection WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

fn collection_of(row: &Row<'_>, path: CollectionPath) -> Outcome<Collection> {
    Ok(Collection {
        path,
        kind: row.get("kind")?,
        description: row.get("description")?,
        created_at: time(row, "created_ms", "created_ns")?.unwrap_or(Timestamp::from_millis(0)),
        updated_at: time(row, "updated_ms", "updated_ns")?,
        extras: from_column(row, "extras")?,
        portfolio: row.get("portfolio")?,
    })
}

/// Writes a collection; `id` is that of an existing one.
pub(crate) fn put(
    connection: &Connection,
    id: Option<i64>,
    collection: &Collection,
) -> Outcome<()> {
    let project = projects::find_or_create(connection, &collection.path.project)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO collection
             (id, project, name, kind, description, created_ms, created_ns, updated_ms, updated_ns, extras, portfolio)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, jsonb(?10), ?11)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, description = excluded.description,
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
        collection.portfolio,
    ])?;
    Ok(())
}

/// The next collections of a project after a name.
pub(crate) fn page(
    connection: &Connection,
    project: &ProjectPath,
    after: &str,
    limit: usize,
) -> Outcome<Vec<Collection>> {
    let id = projects::require(connection, project)?;
    let sql = format!(
        "SELECT {COLUMNS} FROM collection WHERE project = ?1 AND name > ?2 ORDER BY name LIMIT ?3"
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
