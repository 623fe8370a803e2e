use rusqlite::{Connection, Row, params};
use tracker_model::{ProjectPath, Sweep, SweepId, SweepPath, SweepState, Timestamp};

use super::{
    Outcome,
    json::{from_column, object_column, time},
    projects,
};
use crate::error::corrupt;

const COLUMNS: &str = "sweep.id AS id, project.entity AS entity, project.name AS project_name, sweep_id, \
     sweep.name AS name, sweep.description AS description, state, sweep.created_ms AS created_ms, \
     sweep.created_ns AS created_ns, sweep.updated_ms AS updated_ms, sweep.updated_ns AS updated_ns, user, \
     json(config) AS config, config_text, json(sweep.extras) AS extras, version";

pub(crate) fn find(connection: &Connection, path: &SweepPath) -> Outcome<Option<(i64, Sweep)>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sweep JOIN project ON project.id = sweep.project
         WHERE project.entity = ?1 AND project.name = ?2 AND sweep_id = ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        path.entity.as_str(),
        path.project.as_str(),
        path.sweep.as_str()
    ])?;
    rows.next()?.map(from_row).transpose()
}

pub(crate) fn insert(connection: &Connection, sweep: &Sweep) -> Outcome<()> {
    let project = projects::find_or_create(connection, &sweep.path.project_path())?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO sweep (project, sweep_id, state, created_ms, created_ns, version) VALUES (?1, ?2, '', 0, 0, 0)",
    )?;
    let id = statement.insert(params![project, sweep.path.sweep.as_str()])?;
    update(connection, id, sweep)
}

pub(crate) fn update(connection: &Connection, id: i64, sweep: &Sweep) -> Outcome<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE sweep SET name = ?2, description = ?3, state = ?4, created_ms = ?5, created_ns = ?6, updated_ms = ?7,
             updated_ns = ?8, user = ?9, config = jsonb(?10), config_text = ?11, extras = jsonb(?12), version = ?13
         WHERE id = ?1",
    )?;
    statement.execute(params![
        id,
        sweep.name,
        sweep.description,
        sweep.state.as_str(),
        sweep.created_at.as_millis(),
        sweep.created_at.sub_nanos(),
        sweep.updated_at.map(Timestamp::as_millis),
        sweep.updated_at.map(Timestamp::sub_nanos),
        sweep.user,
        object_column("the config of a sweep", &sweep.config)?,
        sweep.config_text,
        object_column("the extras of a sweep", &sweep.extras)?,
        sweep.version.cast_signed(),
    ])?;
    Ok(())
}

pub(crate) fn delete(connection: &Connection, id: i64) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM sweep WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Where a listing is.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    created: Timestamp,
    sweep: SweepId,
}

impl Cursor {
    /// Behind a sweep.
    pub(crate) fn behind(sweep: &Sweep) -> Self {
        Self {
            created: sweep.created_at,
            sweep: sweep.path.sweep.clone(),
        }
    }
}

/// The next sweeps of a project, newest first, then by id.
pub(crate) fn page(
    connection: &Connection,
    project: &ProjectPath,
    after: Option<&Cursor>,
    limit: usize,
) -> Outcome<Vec<Sweep>> {
    let project = projects::require(connection, project)?;
    let behind = match after {
        Some(_) => {
            "(sweep.created_ms, sweep.created_ns) < (?2, ?3)
             OR ((sweep.created_ms, sweep.created_ns) = (?2, ?3) AND sweep_id > ?4)"
        }
        None => "?2 IS ?2 AND ?3 IS ?3 AND ?4 IS ?4",
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM sweep JOIN project ON project.id = sweep.project
         WHERE sweep.project = ?1 AND ({behind})
         ORDER BY sweep.created_ms DESC, sweep.created_ns DESC, sweep_id LIMIT ?5"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        project,
        after.map(|a| a.created.as_millis()),
        after.map(|a| a.created.sub_nanos()),
        after.map(|a| a.sweep.as_str()),
        limit
    ])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(from_row(row)?.1);
    }
    Ok(out)
}

fn from_row(row: &Row<'_>) -> Outcome<(i64, Sweep)> {
    let id: String = row.get("sweep_id")?;
    let id = SweepId::new(&id)
        .map_err(|e| corrupt("the catalog holds a sweep with an illegal id").with_source(e))?;
    let word: String = row.get("state")?;
    let state = SweepState::ALL.into_iter().find(|s| s.as_str() == word);
    let state = state.ok_or_else(|| {
        corrupt(format!(
            "the catalog holds a sweep with the unknown state {word:?}"
        ))
    })?;
    let version: i64 = row.get("version")?;
    let created = time(row, "created_ms", "created_ns")?.unwrap_or(Timestamp::from_millis(0));
    let path = projects::path_of(row, "entity", "project_name")?.sweep(id);
    let mut sweep = Sweep::new(path, created);
    sweep.name = row.get("name")?;
    sweep.description = row.get("description")?;
    sweep.state = state;
    sweep.updated_at = time(row, "updated_ms", "updated_ns")?;
    sweep.user = row.get("user")?;
    sweep.config = from_column(row, "config")?;
    sweep.config_text = row.get("config_text")?;
    sweep.extras = from_column(row, "extras")?;
    sweep.version = version.cast_unsigned();
    Ok((row.get("id")?, sweep))
}
