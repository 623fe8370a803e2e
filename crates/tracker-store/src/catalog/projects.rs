use rusqlite::{Connection, OptionalExtension, Row, RowIndex, params};
use tracker_model::{EntityName, Error, Project, ProjectName, ProjectPath, Timestamp};

use super::{
    Outcome,
    json::{from_column, object_column, time},
};
use crate::error::corrupt;

const COLUMNS: &str = "id, entity, name, description, created_ms, created_ns, updated_ms, updated_ns, deleted, \
                       json(extras) AS extras";

pub(crate) fn find(connection: &Connection, path: &ProjectPath) -> Outcome<Option<(i64, Project)>> {
    let sql = format!("SELECT {COLUMNS} FROM project WHERE entity = ?1 AND name = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![path.entity.as_str(), path.project.as_str()])?;
    rows.next()?.map(from_row).transpose()
}

pub(crate) fn id(connection: &Connection, path: &ProjectPath) -> Outcome<Option<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM project WHERE entity = ?1 AND name = ?2")?;
    Ok(statement
        .query_row(params![path.entity.as_str(), path.project.as_str()], |r| {
            r.get(0)
        })
        .optional()?)
}

pub(crate) fn require(connection: &Connection, path: &ProjectPath) -> Outcome<i64> {
    id(connection, path)?.ok_or_else(|| Error::not_found(format_args!("project {path}")).into())
}

/// The ids of projects that have this owner and this name, where given; at most so many.
pub(crate) fn ids(
    connection: &Connection,
    entity: Option<&EntityName>,
    name: Option<&ProjectName>,
    limit: usize,
) -> Outcome<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM project WHERE (?1 IS NULL OR entity = ?1) AND (?2 IS NULL OR name = ?2) ORDER BY id LIMIT ?3",
    )?;
    let rows = statement.query_map(
        params![
            entity.map(EntityName::as_str),
            name.map(ProjectName::as_str),
            limit
        ],
        |r| r.get(0),
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The address of the project with this row id.
pub(crate) fn path(connection: &Connection, id: i64) -> Outcome<Option<ProjectPath>> {
    let mut statement =
        connection.prepare_cached("SELECT entity, name FROM project WHERE id = ?1")?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(|row| path_of(row, 0, 1)).transpose()
}

pub(crate) fn find_or_create(connection: &Connection, path: &ProjectPath) -> Outcome<i64> {
    if let Some(id) = id(connection, path)? {
        return Ok(id);
    }
    insert(connection, &empty(path.clone()))
}

pub(crate) fn empty(path: ProjectPath) -> Project {
    Project {
        path,
        description: None,
        created_at: Timestamp::now(),
        updated_at: None,
        deleted: false,
        extras: Default::default(),
    }
}

pub(crate) fn insert(connection: &Connection, project: &Project) -> Outcome<i64> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO project (entity, name, description, created_ms, created_ns, updated_ms, updated_ns, deleted, extras)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, jsonb(?9))",
    )?;
    Ok(statement.insert(params![
        project.path.entity.as_str(),
        project.path.project.as_str(),
        project.description,
        project.created_at.as_millis(),
        project.created_at.sub_nanos(),
        project.updated_at.map(Timestamp::as_millis),
        project.updated_at.map(Timestamp::sub_nanos),
        project.deleted,
        object_column("the extras of a project", &project.extras)?,
    ])?)
}

pub(crate) fn update(connection: &Connection, id: i64, project: &Project) -> Outcome<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE project SET description = ?2, created_ms = ?3, created_ns = ?4, updated_ms = ?5, updated_ns = ?6,
             deleted = ?7, extras = jsonb(?8) WHERE id = ?1",
    )?;
    statement.execute(params![
        id,
        project.description,
        project.created_at.as_millis(),
        project.created_at.sub_nanos(),
        project.updated_at.map(Timestamp::as_millis),
        project.updated_at.map(Timestamp::sub_nanos),
        project.deleted,
        object_column("the extras of a project", &project.extras)?,
    ])?;
    Ok(())
}

/// The next projects after an address, in order of addresses.
pub(crate) fn page(
    connection: &Connection,
    entity: Option<&EntityName>,
    after: Option<&ProjectPath>,
    limit: usize,
) -> Outcome<Vec<Project>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM project WHERE (?1 IS NULL OR entity = ?1) AND (entity, name) > (?2, ?3)
         ORDER BY entity, name LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (after_entity, after_name) =
        after.map_or(("", ""), |p| (p.entity.as_str(), p.project.as_str()));
    let mut rows = statement.query(params![
        entity.map(EntityName::as_str),
        after_entity,
        after_name,
        limit
    ])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(from_row(row)?.1);
    }
    Ok(out)
}

fn from_row(row: &Row<'_>) -> Outcome<(i64, Project)> {
    let project = Project {
        path: path_of(row, "entity", "name")?,
        description: row.get("description")?,
        created_at: time(row, "created_ms", "created_ns")?.unwrap_or(Timestamp::from_millis(0)),
        updated_at: time(row, "updated_ms", "updated_ns")?,
        deleted: row.get("deleted")?,
        extras: from_column(row, "extras")?,
    };
    Ok((row.get("id")?, project))
}

/// The address of a project from two columns.
pub(super) fn path_of<I: RowIndex>(row: &Row<'_>, entity: I, name: I) -> Outcome<ProjectPath> {
    let text = |at: I| row.get_ref(at).and_then(|text| Ok(text.as_str()?));
    let (entity, name) = (text(entity)?, text(name)?);
    let path =
        EntityName::new(entity).and_then(|e| Ok(ProjectPath::new(e, ProjectName::new(name)?)));
    Ok(path
        .map_err(|e| corrupt("the catalog holds a project with an illegal name").with_source(e))?)
}
