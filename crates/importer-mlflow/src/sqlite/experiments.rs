//! The experiments.

use std::collections::BTreeMap;

use importer_core::{Finding, Kind, Selection, SourceItem, SourceProject};
use rusqlite::{Connection, params};

use super::{cells::Cells, database::Database, losses, schema::Schema};
use crate::{
    blocking::{Feed, Filled},
    mapping::{RawExperiment, rule},
};

/// Experiments that are read in one transaction.
const PAGE: i64 = 200;

/// An experiment that was read, and what of it could not be.
struct Listed {
    experiment: RawExperiment,
    findings: Vec<Finding>,
}

/// Sends all experiments in order of their ids, and what no experiment holds.
pub(super) fn list(
    database: &Database,
    selection: &Selection,
    feed: &mut Feed<SourceItem<SourceProject>>,
) -> Filled {
    let mut after = None;
    loop {
        let page = database.read("listing the experiments of", |c| {
            page(c, database.schema(), after)
        })?;
        let Some(last) = page.last().map(|(rowid, _)| *rowid) else {
            break;
        };
        after = Some(last);
        for (_, listed) in page {
            let project = listed.experiment.to_project();
            if (project.deleted && !selection.include_deleted)
                || !selection.wants_project(&project.id, &project.name)
            {
                continue;
            }
            for finding in listed.findings {
                feed.item(SourceItem::Finding(finding))?;
            }
            feed.item(SourceItem::Item(project))?;
        }
    }
    losses::report(database, selection, feed)
}

fn page(
    c: &Connection,
    schema: &Schema,
    after: Option<i64>,
) -> rusqlite::Result<Vec<(i64, Listed)>> {
    let columns = [
        "experiment_id",
        "name",
        "artifact_location",
        "lifecycle_stage",
        "creation_time",
        "last_update_time",
        "workspace",
    ];
    let sql = format!(
        "SELECT {}, e.rowid FROM experiments e WHERE e.rowid > ?1 ORDER BY e.rowid LIMIT ?2",
        schema.select("experiments", "e", &columns)
    );
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query(params![after.unwrap_or(i64::MIN), PAGE])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Cells::new(row);
        let experiment = RawExperiment {
            id: cells.text_or_empty(),
            name: cells.text_or_empty(),
            artifact_location: cells.text(),
            lifecycle_stage: cells.text(),
            creation_time: cells.integer(),
            last_update_time: cells.integer(),
            workspace: cells.text(),
            tags: BTreeMap::new(),
        };
        let mut findings = Vec::new();
        if cells.odd {
            let place = format!("experiment {}", experiment.id);
            findings.push(Finding::normalised(
                Kind::Projects,
                place,
                rule::ODD_VALUE_REPLACED,
            ));
        }
        out.push((
            row.get(columns.len())?,
            Listed {
                experiment,
                findings,
            },
        ));
    }
    if schema.has("experiment_tags") {
        for (_, listed) in &mut out {
            tags(c, listed)?;
        }
    }
    Ok(out)
}

fn tags(c: &Connection, listed: &mut Listed) -> rusqlite::Result<()> {
    let id = &listed.experiment.id;
    let mut statement =
        c.prepare_cached("SELECT key, value FROM experiment_tags WHERE experiment_id = ?1")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        match Cells::new(row).pair() {
            Ok((key, value)) => drop(
                listed
                    .experiment
                    .tags
                    .insert(key, value.unwrap_or_default()),
            ),
            Err((key, why)) => {
                let place = format!("experiment {id}, tag {key:?}");
                listed
                    .findings
                    .push(Finding::unreadable(Kind::Tags, place, why));
            }
        }
    }
    Ok(())
}
