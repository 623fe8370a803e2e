//! Logged models and registered models.

use std::{collections::BTreeMap, sync::Arc};

use importer_core::{Finding, Kind, Selection, SourceArtifact, SourceItem, SourceProject};
use rusqlite::{Connection, params};
use tracker_model::Result;

use super::{Detail, Store, cells::Cells, schema::Schema};
use crate::{
    artifact_place::Place,
    blocking::{Feed, Filled},
    file_store::{files_hash, model_status},
    local_entries::{Files, Places},
    local_files::LocalFolder,
    mapping::{RawLoggedModel, RawModelMetric, RawModelVersion, RawRegisteredModel, rule},
};

/// Values of one logged model that are read into memory.
const MAX_METRICS: usize = 100_000;
/// Models that are read in one transaction.
const PAGE: i64 = 200;

type Items = Feed<SourceItem<SourceArtifact>>;

/// Something that was read, and what of it could not be.
struct Read<T> {
    item: T,
    rowid: i64,
    findings: Vec<Finding>,
}

/// Sends the logged models of an experiment in order of their creation.
pub(super) fn list_logged(
    store: &Store,
    project: &Arc<SourceProject>,
    selection: &Selection,
    feed: &mut Items,
) -> Filled {
    let schema = store.database.schema();
    if !schema.has("logged_models") {
        return Ok(());
    }
    let ids = store.database.read("listing the logged models of", |c| {
        logged_ids(c, schema, &project.id)
    })?;
    for id in ids {
        let read = store.database.read("reading a logged model of", |c| {
            logged(c, schema, &id, selection)
        })?;
        let Some(Read {
            item: model,
            findings,
            ..
        }) = read
        else {
            continue;
        };
        if model.is_deleted() && !selection.include_deleted {
            continue;
        }
        for finding in findings {
            feed.item(SourceItem::Finding(finding))?;
        }
        let uri = model.artifact_uri.clone().unwrap_or_default();
        let files = Files::of_place(store.model_place(&model.model_id, &uri)?, "", None, &uri);
        let hash = files_hash(&files);
        feed.item(SourceItem::Item(model.into_artifact(
            project,
            hash.as_deref(),
            Some(Arc::new(Detail::Files(files))),
        )))?;
    }
    Ok(())
}

/// The ids in order: they are few, and short.
fn logged_ids(c: &Connection, schema: &Schema, experiment: &str) -> rusqlite::Result<Vec<String>> {
    let sql = format!(
        "SELECT {} FROM logged_models m WHERE m.experiment_id = ?1",
        schema.select("logged_models", "m", &["model_id", "creation_timestamp_ms"])
    );
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query([experiment])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Cells::new(row);
        let model_id = cells.text_or_empty();
        ids.push(RawLoggedModel {
            model_id,
            creation_time: cells.integer(),
            ..RawLoggedModel::default()
        });
    }
    ids.sort_by(RawLoggedModel::order);
    Ok(ids.into_iter().map(|m| m.model_id).collect())
}

fn logged(
    c: &Connection,
    schema: &Schema,
    id: &str,
    selection: &Selection,
) -> rusqlite::Result<Option<Read<RawLoggedModel>>> {
    let columns = [
        "model_id",
        "experiment_id",
        "name",
        "artifact_location",
        "creation_timestamp_ms",
        "last_updated_timestamp_ms",
        "lifecycle_stage",
        "model_type",
        "source_run_id",
        "status_message",
        "status",
    ];
    let sql = format!(
        "SELECT {} FROM logged_models m WHERE m.model_id = ?1",
        schema.select("logged_models", "m", &columns)
    );
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut cells = Cells::new(row);
    let mut model = RawLoggedModel {
        model_id: cells.text_or_empty(),
        experiment_id: cells.text_or_empty(),
        name: cells.text(),
        artifact_uri: cells.text(),
        creation_time: cells.integer(),
        last_updated_time: cells.integer(),
        lifecycle_stage: cells.text(),
        model_type: cells.text(),
        source_run_id: cells.text(),
        status_message: cells.text(),
        status: cells.text().map(|number| model_status(&number)),
        ..RawLoggedModel::default()
    };
    let place = format!("logged model {id}");
    let mut findings = Vec::new();
    if cells.odd {
        findings.push(Finding::normalised(
            Kind::Artifacts,
            &place,
            rule::ODD_VALUE_REPLACED,
        ));
    }
    if schema.has("logged_model_params") {
        let sql = "SELECT param_key, param_value FROM logged_model_params WHERE model_id = ?1";
        model.params = pairs(c, sql, &[&id], &place, Kind::Artifacts, &mut findings)?;
    }
    if schema.has("logged_model_tags") {
        let sql = "SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ?1";
        model.tags = pairs(c, sql, &[&id], &place, Kind::Artifacts, &mut findings)?;
    }
    if schema.has("logged_model_metrics") {
        model.metrics = metrics(c, schema, id, &place, &mut findings)?;
    }
    if schema.has("inputs") {
        links(c, schema, &mut model, selection)?;
    }
    Ok(Some(Read {
        item: model,
        rowid: 0,
        findings,
    }))
}

fn metrics(
    c: &Connection,
    schema: &Schema,
    id: &str,
    place: &str,
    findings: &mut Vec<Finding>,
) -> rusqlite::Result<Vec<RawModelMetric>> {
    let columns = [
        "metric_name",
        "metric_value",
        "metric_timestamp_ms",
        "metric_step",
        "run_id",
        "dataset_name",
        "dataset_digest",
    ];
    let sql = format!(
        "SELECT {} FROM logged_model_metrics m WHERE m.model_id = ?1 \
         ORDER BY m.metric_name, m.metric_timestamp_ms, m.metric_step, m.run_id",
        schema.select("logged_model_metrics", "m", &columns)
    );
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    let (mut out, mut odd, mut more) = (Vec::new(), 0, 0);
    while let Some(row) = rows.next()? {
        if out.len() >= MAX_METRICS {
            more += 1;
            continue;
        }
        let mut cells = Cells::new(row);
        let metric = RawModelMetric {
            key: cells.text_or_empty(),
            // SQLite writes NULL for a NaN.
            value: cells.double().unwrap_or(f64::NAN),
            timestamp: cells.integer().unwrap_or(0),
            step: cells.integer().unwrap_or(0),
            run_id: cells.text(),
            dataset_name: cells.text(),
            dataset_digest: cells.text(),
        };
        if cells.odd {
            odd += 1;
        } else {
            out.push(metric);
        }
    }
    for (count, reason) in [
        (odd, "a metric of the model is not of text and numbers"),
        (more, "the model has more than 100,000 values of metrics"),
    ] {
        if count > 0 {
            findings.push(Finding::unreadable(Kind::Artifacts, place, reason).times(count));
        }
    }
    Ok(out)
}

fn links(
    c: &Connection,
    schema: &Schema,
    model: &mut RawLoggedModel,
    selection: &Selection,
) -> rusqlite::Result<()> {
    let stage = if schema.has_column("runs", "lifecycle_stage") {
        "r.lifecycle_stage"
    } else {
        "NULL"
    };
    let sql = format!(
        "SELECT {}, {stage} FROM inputs i LEFT JOIN runs r ON r.run_uuid = i.source_id \
         WHERE i.destination_type = ?1 AND i.destination_id = ?2 AND i.source_type = ?3",
        schema.select("inputs", "i", &["source_id", "step"])
    );
    for (to, from) in [("MODEL_INPUT", "RUN_INPUT"), ("MODEL_OUTPUT", "RUN_OUTPUT")] {
        let mut statement = c.prepare_cached(&sql)?;
        let mut rows = statement.query(params![to, model.model_id, from])?;
        while let Some(row) = rows.next()? {
            let mut cells = Cells::new(row);
            let (run, step) = (cells.text_or_empty(), cells.integer().unwrap_or(0));
            if cells.text().as_deref() == Some("deleted") && !selection.include_deleted {
                continue;
            }
            match from {
                "RUN_INPUT" => model.used_by.push(run),
                _ => model.output_of.push((run, step)),
            }
        }
    }
    Ok(())
}

fn pairs(
    c: &Connection,
    sql: &str,
    of: &[&dyn rusqlite::ToSql],
    place: &str,
    kind: Kind,
    findings: &mut Vec<Finding>,
) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(of)?;
    let mut out = BTreeMap::new();
    while let Some(row) = rows.next()? {
        match Cells::new(row).pair() {
            Ok((key, value)) => drop(out.insert(key, value.unwrap_or_default())),
            Err((key, why)) => {
                findings.push(Finding::unreadable(kind, format!("{place}, {key:?}"), why))
            }
        }
    }
    Ok(out)
}

/// Sends the registered models in the order of their making, each with its versions by number.
pub(super) fn list_registered(store: &Store, feed: &mut Items) -> Filled {
    let schema = store.database.schema();
    if !schema.has("registered_models") {
        return Ok(());
    }
    let mut after = i64::MIN;
    loop {
        let page = store
            .database
            .read("listing the registered models of", |c| {
                registered(c, schema, after)
            })?;
        let Some(last) = page.last().map(|read| read.rowid) else {
            return Ok(());
        };
        after = last;
        for Read {
            item: model,
            findings,
            ..
        } in page
        {
            for finding in findings.into_iter().chain(model.finding()) {
                feed.item(SourceItem::Finding(finding))?;
            }
            let mut any = false;
            let mut number = i64::MIN;
            while let Some(Read {
                item: version,
                rowid,
                findings,
            }) = store
                .database
                .read("listing the registered models of", |c| {
                    version_after(c, schema, &model, number)
                })?
            {
                (number, any) = (rowid, true);
                for finding in findings {
                    feed.item(SourceItem::Finding(finding))?;
                }
                let Some(version) = version else {
                    if number == i64::MAX {
                        break;
                    }
                    continue;
                };
                let files =
                    Files::of_version(version.source.as_deref().unwrap_or_default(), store)?;
                let hash = files_hash(&files);
                let detail = Arc::new(Detail::Files(files));
                feed.item(SourceItem::Item(model.to_artifact(
                    Some(&version),
                    hash.as_deref(),
                    Some(detail),
                )))?;
            }
            if !any {
                feed.item(SourceItem::Item(model.to_artifact(
                    None,
                    Some("none"),
                    None,
                )))?;
            }
        }
    }
}

/// The condition that a row belongs to the model `?1` of the workspace `?2`.
fn of_model(schema: &Schema, table: &str) -> String {
    match schema.has_column(table, "workspace") {
        true => "name = ?1 AND ifnull(workspace, '') = ?2".to_owned(),
        false => "name = ?1 AND ?2 = ?2".to_owned(),
    }
}

fn registered(
    c: &Connection,
    schema: &Schema,
    after: i64,
) -> rusqlite::Result<Vec<Read<RawRegisteredModel>>> {
    let columns = [
        "name",
        "description",
        "creation_time",
        "last_updated_time",
        "workspace",
    ];
    let sql = format!(
        "SELECT {}, m.rowid FROM registered_models m WHERE m.rowid > ?1 ORDER BY m.rowid LIMIT ?2",
        schema.select("registered_models", "m", &columns)
    );
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query(params![after, PAGE])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Cells::new(row);
        let mut model = RawRegisteredModel {
            name: cells.text_or_empty(),
            description: cells.text(),
            creation_time: cells.integer(),
            last_updated_time: cells.integer(),
            workspace: cells.text(),
            ..RawRegisteredModel::default()
        };
        let place = format!("registered model {:?}", model.name);
        let mut findings = Vec::new();
        if cells.odd {
            findings.push(Finding::normalised(
                Kind::Collections,
                &place,
                rule::ODD_VALUE_REPLACED,
            ));
        }
        let workspace = model.workspace.clone().unwrap_or_default();
        if schema.has("registered_model_tags") {
            let sql = format!(
                "SELECT key, value FROM registered_model_tags WHERE {}",
                of_model(schema, "registered_model_tags")
            );
            model.tags = pairs(
                c,
                &sql,
                &[&model.name, &workspace],
                &place,
                Kind::Collections,
                &mut findings,
            )?;
        }
        if schema.has("registered_model_aliases") {
            let sql = format!(
                "SELECT alias, version FROM registered_model_aliases WHERE {}",
                of_model(schema, "registered_model_aliases")
            );
            let aliases = pairs(
                c,
                &sql,
                &[&model.name, &workspace],
                &place,
                Kind::Collections,
                &mut findings,
            )?;
            for (alias, version) in aliases {
                match version.parse() {
                    Ok(version) => drop(model.aliases.insert(alias, version)),
                    Err(_) => findings.push(Finding::unreadable(
                        Kind::Collections,
                        format!("{place}, alias {alias:?}"),
                        "the alias does not hold the number of a version",
                    )),
                }
            }
        }
        out.push(Read {
            item: model,
            rowid: row.get(columns.len())?,
            findings,
        });
    }
    Ok(out)
}

/// MLflow keeps the rows of deleted versions, without what they said: nothing lists them, also not
/// with deleted runs.
const NOT_DELETED: &str = "ifnull(v.current_stage, '') <> 'Deleted_Internal'";

/// The next version of a model; its number stands for its row. It has none if it cannot be read.
fn version_after(
    c: &Connection,
    schema: &Schema,
    model: &RawRegisteredModel,
    after: i64,
) -> rusqlite::Result<Option<Read<Option<RawModelVersion>>>> {
    if !schema.has("model_versions") {
        return Ok(None);
    }
    let columns = [
        "version",
        "description",
        "creation_time",
        "last_updated_time",
        "user_id",
        "current_stage",
        "source",
        "run_id",
        "run_link",
        "status",
        "status_message",
    ];
    let sql = format!(
        "SELECT {} FROM model_versions v WHERE {} AND v.version > ?3 \
         AND {NOT_DELETED} ORDER BY v.version LIMIT 1",
        schema.select("model_versions", "v", &columns),
        of_model(schema, "model_versions"),
    );
    let workspace = model.workspace.clone().unwrap_or_default();
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query(params![model.name, workspace, after])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut cells = Cells::new(row);
    // SQLite sorts what is no number behind all numbers.
    let number = cells.integer().unwrap_or(i64::MAX);
    let place = format!("registered model {:?}, version {number}", model.name);
    let mut findings = Vec::new();
    let Some(unsigned) = u64::try_from(number).ok().filter(|_| number < i64::MAX) else {
        findings.push(Finding::unreadable(
            Kind::Artifacts,
            place,
            "the version's number is not a count",
        ));
        return Ok(Some(Read {
            item: None,
            rowid: number,
            findings,
        }));
    };
    let mut version = RawModelVersion {
        version: unsigned,
        description: cells.text(),
        creation_time: cells.integer(),
        last_updated_time: cells.integer(),
        user_id: cells.text(),
        current_stage: cells.text(),
        source: cells.text(),
        run_id: cells.text(),
        run_link: cells.text(),
        status: cells.text(),
        status_message: cells.text(),
        ..RawModelVersion::default()
    };
    if cells.odd {
        findings.push(Finding::normalised(
            Kind::Artifacts,
            &place,
            rule::ODD_VALUE_REPLACED,
        ));
    }
    if schema.has("model_version_tags") {
        let sql = format!(
            "SELECT key, value FROM model_version_tags WHERE {} AND version = ?3",
            of_model(schema, "model_version_tags")
        );
        version.tags = pairs(
            c,
            &sql,
            &[&model.name, &workspace, &number],
            &place,
            Kind::Artifacts,
            &mut findings,
        )?;
    }
    Ok(Some(Read {
        item: Some(version),
        rowid: number,
        findings,
    }))
}

impl Store {
    fn model_place(&self, model_id: &str, uri: &str) -> Result<Place> {
        match uri {
            "" => Ok(Place::Empty),
            uri => self.places.resolve(uri, &["models", model_id, "artifacts"]),
        }
    }

    /// One text of the database, if the row is there.
    fn text(&self, sql: &str, of: &[&dyn rusqlite::ToSql]) -> Result<Option<String>> {
        self.database.read("reading", |c| {
            let mut statement = c.prepare_cached(sql)?;
            let mut rows = statement.query(of)?;
            Ok(rows.next()?.map(|row| Cells::new(row).text_or_empty()))
        })
    }
}

impl Places for Store {
    fn of_run(&self, run_id: &str) -> Result<Option<Place>> {
        let sql = format!(
            "SELECT {} FROM runs r WHERE r.run_uuid = ?1",
            self.database
                .schema()
                .select("runs", "r", &["artifact_uri"])
        );
        let uri = self.text(&sql, &[&run_id])?;
        uri.map(|uri| super::runs::artifacts(&self.places, run_id, Some(&uri)))
            .transpose()
    }

    fn of_model(&self, model_id: &str) -> Result<Option<Place>> {
        if !self.database.schema().has("logged_models") {
            return Ok(None);
        }
        let uri = self.text(
            "SELECT artifact_location FROM logged_models WHERE model_id = ?1",
            &[&model_id],
        )?;
        uri.map(|uri| self.model_place(model_id, &uri)).transpose()
    }

    fn source_of_version(&self, name: &str, version: u64) -> Result<Option<String>> {
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT source FROM model_versions v WHERE v.name = ?1 AND v.version = ?2 AND {NOT_DELETED}"
        );
        self.text(&sql, &[&name, &version])
    }

    fn own_folder(&self, _: &std::path::Path) -> Result<Option<LocalFolder>> {
        Ok(None)
    }
}
