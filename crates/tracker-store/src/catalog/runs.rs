use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use tracker_model::{
    DatasetInput, EntityName, Error, Git, ImportStamp, ProjectName, Run, RunId, RunOrder, RunParts,
    RunPath, RunQuery, RunState, Timestamp,
};

use super::{
    Outcome,
    json::{column, from_column, from_object_column, object_column},
    projects,
};
use crate::error::corrupt;

/// What [`from_row`] reads, of tables `run` and `project`.
pub(super) fn columns(parts: RunParts) -> String {
    let object = |wanted: bool, column: &'static str| if wanted { column } else { "NULL" };
    format!(
        "run.id, run.project, run_id, run.created_ms, run.created_ns, project.entity, project.name, \
         run.name, state, run.deleted, version, {}, {}, {}, {}",
        object(parts.details, "json(details)"),
        object(parts.config, "config"),
        object(parts.summary, "summary"),
        object(parts.extras, "run.extras"),
    )
}

/// What has no column of its own.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<Git>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_type: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sweep: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<DatasetInput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<ImportStamp>,
}

pub(crate) fn id(connection: &Connection, path: &RunPath) -> Outcome<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT run.id FROM run JOIN project ON project.id = run.project
         WHERE project.entity = ?1 AND project.name = ?2 AND run_id = ?3",
    )?;
    let key = params![
        path.entity.as_str(),
        path.project.as_str(),
        path.run.as_str()
    ];
    Ok(statement.query_row(key, |r| r.get(0)).optional()?)
}

pub(crate) fn require(connection: &Connection, path: &RunPath) -> Outcome<i64> {
    id(connection, path)?.ok_or_else(|| Error::not_found(format_args!("run {path}")).into())
}

pub(crate) fn find(
    connection: &Connection,
    path: &RunPath,
    parts: RunParts,
) -> Outcome<Option<(i64, Run)>> {
    let sql = format!(
        "SELECT {} FROM run JOIN project ON project.id = run.project
         WHERE project.entity = ?1 AND project.name = ?2 AND run_id = ?3",
        columns(parts)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        path.entity.as_str(),
        path.project.as_str(),
        path.run.as_str()
    ])?;
    rows.next()?.map(from_row).transpose()
}

pub(crate) fn insert(connection: &Connection, run: &Run) -> Outcome<i64> {
    let project = projects::find_or_create(connection, &run.path.project_path())?;
    let mut statement = connection.prepare_cached("INSERT INTO run (project, run_id, state, created_ms, created_ns, deleted, version) VALUES (?1, ?2, '', 0, 0, 0, 0)")?;
    let id = statement.insert(params![project, run.path.run.as_str()])?;
    update(connection, id, run)?;
    Ok(id)
}

pub(crate) fn update(connection: &Connection, id: i64, run: &Run) -> Outcome<()> {
    let details = details_of(run.clone());
    let details = if details == Details::default() {
        None
    } else {
        Some(column("the description of a run", &details)?)
    };
    let mut statement = connection.prepare_cached(
        "UPDATE run SET name = ?2, state = ?3, created_ms = ?4, created_ns = ?5, deleted = ?6, version = ?7,
             config = jsonb(?8), summary = jsonb(?9), extras = jsonb(?10), details = jsonb(?11) WHERE id = ?1",
    )?;
    statement.execute(params![
        id,
        run.name,
        run.state.as_str(),
        run.created_at.as_millis(),
        run.created_at.sub_nanos(),
        run.deleted,
        run.version.cast_signed(),
        object_column("the config of a run", &run.config)?,
        object_column("the summary of a run", &run.summary)?,
        object_column("the extras of a run", &run.extras)?,
        details,
    ])?;
    Ok(())
}

pub(crate) fn delete(connection: &Connection, id: i64) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM run WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Where a listing is.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    created: (i64, u32),
    run: String,
    project: i64,
}

/// The next runs of a listing.
pub(crate) fn page(
    connection: &Connection,
    query: &RunQuery,
    after: Option<Cursor>,
    limit: usize,
) -> Outcome<(Vec<Run>, Option<Cursor>)> {
    let Scope { index, filter, .. } = scope_of(connection, query)?;
    let columns = columns(query.parts);
    let (newer, order) = match query.order {
        RunOrder::OldestFirst => (">", "run.created_ms, run.created_ns, run_id, run.project"),
        _ => (
            "<",
            "run.created_ms DESC, run.created_ns DESC, run_id, run.project",
        ),
    };
    // Two walks along the index: the rest of those created at the same instant, then the others.
    let same = "run.created_ms = ?4 AND run.created_ns = ?5 AND (run_id, run.project) > (?6, ?7)"
        .to_owned();
    let others =
        format!("(run.created_ms, run.created_ns) {newer} (?4, ?5) AND ?6 = ?6 AND ?7 = ?7");
    let walks = match &after {
        Some(_) => vec![same, others],
        None => vec!["?4 = ?4 AND ?5 = ?5 AND ?6 = ?6 AND ?7 = ?7".to_owned()],
    };
    let at = after.unwrap_or(Cursor {
        created: (0, 0),
        run: String::new(),
        project: 0,
    });
    let (run, entity, project) = names(query);
    let mut runs = Vec::new();
    let mut last = None;
    for walk in walks {
        let sql = format!(
            "SELECT {columns} FROM run INDEXED BY {index} JOIN project ON project.id = run.project
             WHERE {filter} AND {walk} ORDER BY {order} LIMIT ?8"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![
            run,
            entity,
            project,
            at.created.0,
            at.created.1,
            at.run,
            at.project,
            limit - runs.len()
        ])?;
        while let Some(row) = rows.next()? {
            let (_, run) = from_row(row)?;
            let created = (run.created_at.as_millis(), run.created_at.sub_nanos());
            last = Some(Cursor {
                created,
                run: run.path.run.as_str().to_owned(),
                project: row.get(1)?,
            });
            runs.push(run);
        }
        if runs.len() >= limit {
            break;
        }
    }
    Ok((runs, last))
}

pub(crate) fn count(connection: &Connection, query: &RunQuery) -> Outcome<u64> {
    let Scope { index, filter, .. } = scope_of(connection, query)?;
    let sql = format!("SELECT count(*) FROM run INDEXED BY {index} WHERE {filter}");
    let count: i64 = connection
        .prepare_cached(&sql)?
        .query_row(names(query), |r| r.get(0))?;
    Ok(count.cast_unsigned())
}

/// The first parameters of a query.
pub(super) fn names(query: &RunQuery) -> (Option<&str>, Option<&str>, Option<&str>) {
    let entity = query.entity.as_ref().map(EntityName::as_str);
    let project = query.project.as_ref().map(ProjectName::as_str);
    (query.run.as_ref().map(RunId::as_str), entity, project)
}

/// Where the runs of a query are, its filter aside.
pub(super) struct Scope {
    /// The index to walk along in order of time.
    pub(super) index: &'static str,
    /// The condition, over the parameters of [`names`].
    pub(super) filter: String,
    /// The project with the runs, if it is one.
    pub(super) project: Option<i64>,
}

pub(super) fn scope_of(connection: &Connection, query: &RunQuery) -> Outcome<Scope> {
    let mut index = "run_by_time";
    let mut project = None;
    let mut filter = "?1 IS ?1 AND ?2 IS ?2 AND ?3 IS ?3".to_owned();
    if !query.include_deleted {
        filter += " AND run.deleted = 0";
    }
    if query.entity.is_some() || query.project.is_some() {
        match projects::ids(connection, query.entity.as_ref(), query.project.as_ref(), 2)?[..] {
            [one] => {
                project = Some(one);
                index = "run_of_project";
                filter += &format!(" AND run.project = {one}");
            }
            _ => {
                filter += " AND run.project IN (SELECT p.id FROM project p \
                           WHERE (?2 IS NULL OR p.entity = ?2) AND (?3 IS NULL OR p.name = ?3))";
            }
        }
    }
    if query.run.is_some() {
        index = "run_by_id";
        filter += " AND run_id = ?1";
    }
    Ok(Scope {
        index,
        filter,
        project,
    })
}

/// Runs all over the table that are looked at to see how large a project is.
const PROBES: i64 = 40;

/// Whether so many of all runs are in the project that reading all is quicker than reading those:
/// a fifth, by a sample.
pub(super) fn is_large(connection: &Connection, project: i64) -> Outcome<bool> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(id) FROM run")?
        .query_row([], |r| r.get(0))?;
    let last = last.unwrap_or(0);
    let mut probe =
        connection.prepare_cached("SELECT project FROM run WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    let mut ours = 0;
    for i in 0..PROBES {
        let at = last / PROBES * i + last % PROBES * i / PROBES;
        let found: Option<i64> = probe.query_row([at], |r| r.get(0)).optional()?;
        ours += i64::from(found == Some(project));
    }
    Ok(ours > PROBES / 5)
}

fn details_of(run: Run) -> Details {
    Details {
        started_at: run.started_at,
        ended_at: run.ended_at,
        heartbeat_at: run.heartbeat_at,
        user: run.user,
        host: run.host,
        program: run.program,
        args: run.args,
        git: run.git,
        group: run.group,
        job_type: run.job_type,
        tags: run.tags,
        notes: run.notes,
        parent: run.parent,
        sweep: run.sweep,
        inputs: run.inputs,
        import: run.import,
    }
}

/// Reads [`columns`].
pub(super) fn from_row(row: &Row<'_>) -> Outcome<(i64, Run)> {
    let run_id = RunId::new(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)
        .map_err(|e| corrupt("the catalog holds a run with an illegal id").with_source(e))?;
    let project = projects::path_of(row, 5, 6)?;
    let state = row.get_ref(8)?.as_str().map_err(rusqlite::Error::from)?;
    let state = RunState::ALL.into_iter().find(|s| s.as_str() == state);
    let state = state.ok_or_else(|| corrupt("the catalog holds a run with an unknown state"))?;
    let details: Details = from_column(row, 11)?;
    let version: i64 = row.get(10)?;
    let run = Run {
        name: row.get(7)?,
        state,
        started_at: details.started_at,
        ended_at: details.ended_at,
        heartbeat_at: details.heartbeat_at,
        deleted: row.get(9)?,
        user: details.user,
        host: details.host,
        program: details.program,
        args: details.args,
        git: details.git,
        group: details.group,
        job_type: details.job_type,
        tags: details.tags,
        notes: details.notes,
        config: from_object_column(row, 12)?,
        summary: from_object_column(row, 13)?,
        parent: details.parent,
        sweep: details.sweep,
        inputs: details.inputs,
        extras: from_object_column(row, 14)?,
        import: details.import,
        version: version.cast_unsigned(),
        ..Run::new(
            project.run(run_id),
            Timestamp::from_parts(row.get(3)?, row.get(4)?),
        )
    };
    Ok((row.get(0)?, run))
}
