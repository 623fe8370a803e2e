//! The runs of an experiment.

use std::sync::Arc;

use importer_core::{Finding, Kind, RunRecord, RunRef, Selection, SourceItem, SourceProject};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tracker_model::{Error, Result};

use super::{
    cells::Cells,
    database::Database,
    run_data::{self, Load},
    schema::Schema,
};
use crate::{
    artifact_place::{ArtifactPlaces, Place},
    blocking::{Feed, Filled},
    file_store::files_fingerprint,
    mapping::{RawRun, rule},
};

/// Runs that are read in one transaction.
const PAGE: usize = 200;
/// Bytes of parameters, tags and inputs that a page holds; a run that has more is a page alone.
const PAGE_BYTES: usize = 16 << 20;

/// A run that was read, and what of it could not be.
#[derive(Debug, Default)]
pub(super) struct ReadRun {
    pub(super) raw: RawRun,
    pub(super) findings: Vec<Finding>,
    rowid: i64,
    /// The row of its newest point, where an index tells it.
    newest_point: Option<i64>,
}

/// What is remembered of a listed run.
#[derive(Debug)]
pub(super) struct RunDetail {
    pub(super) artifact_uri: Option<String>,
}

enum Page {
    /// The runs, and the row to go on behind.
    Whole(Vec<ReadRun>, Option<i64>),
    TooLarge,
}

const COLUMNS: [&str; 14] = [
    "run_uuid",
    "experiment_id",
    "name",
    "status",
    "start_time",
    "end_time",
    "deleted_time",
    "lifecycle_stage",
    "user_id",
    "source_type",
    "source_name",
    "source_version",
    "entry_point_name",
    "artifact_uri",
];

/// Sends the runs of an experiment in the order of their making.
pub(super) fn list(
    database: &Database,
    places: &ArtifactPlaces,
    project: &Arc<SourceProject>,
    selection: &Selection,
    feed: &mut Feed<SourceItem<RunRef>>,
) -> Filled {
    let (mut after, mut size) = (i64::MIN, PAGE);
    loop {
        let read = |c: &Connection| page(c, database.schema(), project, selection, after, size);
        let (runs, last) = match database.read("listing the runs of", read)? {
            Page::Whole(runs, last) => (runs, last),
            Page::TooLarge => {
                size = (size / 4).max(1);
                continue;
            }
        };
        for run in runs {
            feed.item(listed(run, places, project)?)?;
        }
        let Some(last) = last else { return Ok(()) };
        after = last;
        size = (size * 2).min(PAGE);
    }
}

fn page(
    c: &Connection,
    schema: &Schema,
    project: &Arc<SourceProject>,
    selection: &Selection,
    after: i64,
    size: usize,
) -> rusqlite::Result<Page> {
    let sql = format!(
        "SELECT {}, r.rowid FROM runs r WHERE r.experiment_id = ?1 AND r.rowid > ?2 ORDER BY r.rowid LIMIT ?3",
        schema.select("runs", "r", &COLUMNS)
    );
    let mut statement = c.prepare_cached(&sql)?;
    let limit = i64::try_from(size).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![project.id, after, limit])?;
    let (mut runs, mut seen, mut last) = (Vec::new(), 0, after);
    while let Some(row) = rows.next()? {
        let run = read_row(row)?;
        (seen, last) = (seen + 1, run.rowid);
        if selection.wants_run(&run.raw.to_ref(project, String::new())) {
            runs.push(run);
        }
    }
    let load = Load {
        schema,
        whole: false,
        limit: if size > 1 { PAGE_BYTES } else { usize::MAX },
    };
    if !run_data::load(c, &load, &mut runs)? {
        return Ok(Page::TooLarge);
    }
    if let Some(index) = &schema.metrics_by_run {
        let sql = format!(
            "SELECT max(rowid) FROM metrics INDEXED BY {} WHERE run_uuid = ?1",
            quoted(index)
        );
        let mut newest = c.prepare_cached(&sql)?;
        for run in &mut runs {
            run.newest_point = newest.query_row([&run.raw.run_id], |row| row.get(0))?;
        }
    }
    Ok(Page::Whole(runs, (seen == size).then_some(last)))
}

/// A name in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<ReadRun> {
    let mut cells = Cells::new(row);
    let id = cells.text().filter(|_| !cells.odd);
    let raw = RawRun {
        run_id: id.unwrap_or_default(),
        experiment_id: cells.text_or_empty(),
        run_name: cells.text(),
        status: cells.text(),
        start_time: cells.integer(),
        end_time: cells.integer(),
        deleted_time: cells.integer(),
        lifecycle_stage: cells.text(),
        user_id: cells.text(),
        source_type: cells.text(),
        source_name: cells.text(),
        source_version: cells.text(),
        entry_point_name: cells.text(),
        artifact_uri: cells.text(),
        ..RawRun::default()
    };
    let mut findings = Vec::new();
    if cells.odd {
        let place = format!("run {}", raw.run_id);
        findings.push(Finding::normalised(
            Kind::Runs,
            place,
            rule::ODD_VALUE_REPLACED,
        ));
    }
    Ok(ReadRun {
        raw,
        findings,
        rowid: row.get(COLUMNS.len())?,
        newest_point: None,
    })
}

fn listed(
    run: ReadRun,
    places: &ArtifactPlaces,
    project: &Arc<SourceProject>,
) -> Result<SourceItem<RunRef>> {
    let raw = run.raw;
    if raw.run_id.is_empty() {
        let place = format!("experiment {}, row {} of runs", project.id, run.rowid);
        return Ok(SourceItem::Finding(Finding::unreadable(
            Kind::Runs,
            place,
            "the run has no id that is a text",
        )));
    }
    let mut hash = raw.fingerprint();
    hash.optional_number(raw.deleted_time)
        .optional_number(run.newest_point);
    match artifacts(places, &raw.run_id, raw.artifact_uri.as_deref())? {
        Place::Folder(folder) => hash.field(files_fingerprint(&folder)),
        Place::Empty => hash.field("none"),
        Place::Unreachable(reason) => hash.field(reason),
    };
    let mut out = raw.to_ref(project, hash.finish());
    out.detail = Some(Arc::new(RunDetail {
        artifact_uri: raw.artifact_uri,
    }));
    Ok(SourceItem::Item(out))
}

/// Whether there is such a run.
pub(super) fn exists(c: &Connection, run_id: &str) -> rusqlite::Result<bool> {
    c.prepare_cached("SELECT 1 FROM runs WHERE run_uuid = ?1")?
        .exists([run_id])
}

/// One run, as it is now.
///
/// # Errors
/// `NotFound` if it is gone.
pub(super) fn read(
    database: &Database,
    run: &RunRef,
    restore_infinities: bool,
) -> Result<RunRecord> {
    let schema = database.schema();
    let found = database.read("reading a run of", |c| {
        let sql = format!(
            "SELECT {}, r.rowid FROM runs r WHERE r.run_uuid = ?1",
            schema.select("runs", "r", &COLUMNS)
        );
        let found = c
            .prepare_cached(&sql)?
            .query_row([&run.id], read_row)
            .optional()?;
        let Some(found) = found else { return Ok(None) };
        let mut runs = [found];
        run_data::load(
            c,
            &Load {
                schema,
                whole: true,
                limit: usize::MAX,
            },
            &mut runs,
        )?;
        Ok(runs.into_iter().next())
    })?;
    let mut found = found.ok_or_else(|| Error::not_found(format_args!("run {}", run.id)))?;
    if restore_infinities {
        found.restore_infinities();
    }
    let mut record = found.raw.into_record(&run.project);
    record.findings.extend(found.findings);
    Ok(record)
}

impl ReadRun {
    fn restore_infinities(&mut self) {
        for (key, value) in &mut self.raw.latest {
            if value.abs() == f64::MAX {
                *value = f64::INFINITY.copysign(*value);
                let place = format!("run {}, metric {key:?}", self.raw.run_id);
                self.findings.push(Finding::normalised(
                    Kind::Summary,
                    place,
                    rule::DOUBLE_MAX_TO_INFINITY,
                ));
            }
        }
    }
}

/// The artifacts of a run.
///
/// # Errors
/// Those of the file system.
pub(super) fn artifacts(places: &ArtifactPlaces, run_id: &str, uri: Option<&str>) -> Result<Place> {
    match uri.filter(|uri| !uri.is_empty()) {
        Some(uri) => places.resolve(uri, &[run_id, "artifacts"]),
        None => Ok(Place::Empty),
    }
}
