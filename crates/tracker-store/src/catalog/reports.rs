use rusqlite::{Connection, Row, params};
use tracker_model::{ProjectPath, Report, ReportId, ReportPath, Timestamp};

use super::{
    Outcome,
    json::{from_column, object_column, time},
    projects,
};
use crate::error::corrupt;

const COLUMNS: &str = "report.id AS id, project.entity AS entity, project.name AS project_name, report_id, kind, \
     title, report.name AS name, report.description AS description, user, spec, report.created_ms AS created_ms, \
     report.created_ns AS created_ns, report.updated_ms AS updated_ms, report.updated_ns AS updated_ns, \
     json(report.extras) AS extras, version";

pub(crate) fn find(connection: &Connection, path: &ReportPath) -> Outcome<Option<(i64, Report)>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM report JOIN project ON project.id = report.project
         WHERE project.entity = ?1 AND project.name = ?2 AND report_id = ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        path.entity.as_str(),
        path.project.as_str(),
        path.report.as_str()
    ])?;
    rows.next()?.map(from_row).transpose()
}

pub(crate) fn insert(connection: &Connection, report: &Report) -> Outcome<()> {
    let project = projects::find_or_create(connection, &report.path.project_path())?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO report (project, report_id, kind, spec, created_ms, created_ns, version)
         VALUES (?1, ?2, '', '', 0, 0, 0)",
    )?;
    let id = statement.insert(params![project, report.path.report.as_str()])?;
    update(connection, id, report)
}

pub(crate) fn update(connection: &Connection, id: i64, report: &Report) -> Outcome<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE report SET kind = ?2, title = ?3, name = ?4, description = ?5, user = ?6, spec = ?7, created_ms = ?8,
             created_ns = ?9, updated_ms = ?10, updated_ns = ?11, extras = jsonb(?12), version = ?13 WHERE id = ?1",
    )?;
    statement.execute(params![
        id,
        report.kind,
        report.title,
        report.name,
        report.description,
        report.user,
        report.spec,
        report.created_at.as_millis(),
        report.created_at.sub_nanos(),
        report.updated_at.map(Timestamp::as_millis),
        report.updated_at.map(Timestamp::sub_nanos),
        object_column("the extras of a report", &report.extras)?,
        report.version.cast_signed(),
    ])?;
    Ok(())
}

pub(crate) fn delete(connection: &Connection, id: i64) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM report WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Where a listing is.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    created: Timestamp,
    report: ReportId,
}

impl Cursor {
    /// Behind a report.
    pub(crate) fn behind(report: &Report) -> Self {
        Self {
            created: report.created_at,
            report: report.path.report.clone(),
        }
    }
}

/// The next reports of a project, newest first, then by id.
pub(crate) fn page(
    connection: &Connection,
    project: &ProjectPath,
    after: Option<&Cursor>,
    limit: usize,
) -> Outcome<Vec<Report>> {
    let project = projects::require(connection, project)?;
    let behind = match after {
        Some(_) => {
            "(report.created_ms, report.created_ns) < (?2, ?3)
             OR ((report.created_ms, report.created_ns) = (?2, ?3) AND report_id > ?4)"
        }
        None => "?2 IS ?2 AND ?3 IS ?3 AND ?4 IS ?4",
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM report JOIN project ON project.id = report.project
         WHERE report.project = ?1 AND ({behind})
         ORDER BY report.created_ms DESC, report.created_ns DESC, report_id LIMIT ?5"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        project,
        after.map(|a| a.created.as_millis()),
        after.map(|a| a.created.sub_nanos()),
        after.map(|a| a.report.as_str()),
        limit
    ])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(from_row(row)?.1);
    }
    Ok(out)
}

fn from_row(row: &Row<'_>) -> Outcome<(i64, Report)> {
    let id: String = row.get("report_id")?;
    let id = ReportId::new(&id)
        .map_err(|e| corrupt("the catalog holds a report with an illegal id").with_source(e))?;
    let version: i64 = row.get("version")?;
    let created = time(row, "created_ms", "created_ns")?.unwrap_or(Timestamp::from_millis(0));
    let path = projects::path_of(row, "entity", "project_name")?.report(id);
    let mut report = Report::new(path, created);
    report.kind = row.get("kind")?;
    report.title = row.get("title")?;
    report.name = row.get("name")?;
    report.description = row.get("description")?;
    report.spec = row.get("spec")?;
    report.updated_at = time(row, "updated_ms", "updated_ns")?;
    report.user = row.get("user")?;
    report.extras = from_column(row, "extras")?;
    report.version = version.cast_unsigned();
    Ok((row.get("id")?, report))
}
