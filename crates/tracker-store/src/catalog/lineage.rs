use rusqlite::{Connection, params};
use tracker_model::{ArtifactUse, CollectionPath, RunId, RunPath, UseRole};

use super::{Outcome, artifacts, projects, runs};
use crate::error::corrupt;

/// Where a listing is: the other side's number, the role and the step.
pub(crate) type Cursor = (i64, i64, bool, i64);

pub(crate) fn record(connection: &Connection, entry: &ArtifactUse) -> Outcome<()> {
    let run = runs::require(connection, &entry.run)?;
    let version = artifacts::by_index(connection, &entry.collection, entry.index)?.id;
    let role = match entry.role {
        UseRole::Logged => 0,
        UseRole::Used => 1,
    };
    let mut statement = connection.prepare_cached(
        "INSERT OR IGNORE INTO artifact_use (run, version, role, stepped, step) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    statement.execute(params![
        run,
        version,
        role,
        entry.step.is_some(),
        entry.step.unwrap_or(0)
    ])?;
    Ok(())
}

/// Which side of the relation is given.
#[derive(Debug, Clone)]
pub(crate) enum Side {
    Run(RunPath),
    Version(CollectionPath, u64),
}

/// The next uses of a run or of a version.
pub(crate) fn page(
    connection: &Connection,
    side: &Side,
    after: Option<Cursor>,
    limit: usize,
) -> Outcome<(Vec<ArtifactUse>, Option<Cursor>)> {
    let (id, given, other) = match side {
        Side::Run(run) => (runs::require(connection, run)?, "u.run", "u.version"),
        Side::Version(path, index) => (
            artifacts::by_index(connection, path, *index)?.id,
            "u.version",
            "u.run",
        ),
    };
    let sql = format!(
        "SELECT {other} AS other, role, stepped, step, idx, c.name AS collection, run_id,
             rp.entity AS run_entity, rp.name AS run_project, cp.entity AS entity, cp.name AS project
         FROM artifact_use u
             JOIN run ON run.id = u.run JOIN project rp ON rp.id = run.project
             JOIN version v ON v.id = u.version JOIN collection c ON c.id = v.collection
             JOIN project cp ON cp.id = c.project
         WHERE {given} = ?1 AND ({other}, role, stepped, step) > (?2, ?3, ?4, ?5)
         ORDER BY {other}, role, stepped, step LIMIT ?6"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (other, role, stepped, step) = after.unwrap_or((-1, -1, false, 0));
    let mut rows = statement.query(params![id, other, role, stepped, step, limit])?;
    let (mut out, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let cursor: Cursor = (
            row.get("other")?,
            row.get("role")?,
            row.get("stepped")?,
            row.get("step")?,
        );
        last = Some(cursor);
        let run: String = row.get("run_id")?;
        let run = RunId::new(&run)
            .map_err(|e| corrupt("the catalog holds a run with an illegal id").with_source(e))?;
        out.push(ArtifactUse {
            run: projects::path_of(row, "run_entity", "run_project")?.run(run),
            collection: CollectionPath {
                project: projects::path_of(row, "entity", "project")?,
                name: row.get("collection")?,
            },
            index: row.get("idx")?,
            role: if cursor.1 == 0 {
                UseRole::Logged
            } else {
                UseRole::Used
            },
            step: cursor.2.then_some(cursor.3),
        });
    }
    Ok((out, last))
}
