//! What hangs on runs: parameters, tags, latest metrics, inputs and outputs.

use std::collections::{BTreeMap, HashMap};

use importer_core::{Finding, Kind};
use rusqlite::{Connection, Row};

use super::{
    cells::{Cells, double, text},
    runs::ReadRun,
    schema::Schema,
};
use crate::mapping::{RawDatasetInput, RawModelOutput, rule};

/// What is read.
pub(super) struct Load<'a> {
    pub(super) schema: &'a Schema,
    /// The schemas and profiles of datasets too.
    pub(super) whole: bool,
    /// The most bytes.
    pub(super) limit: usize,
}

/// Those of the runs that are asked for, by id.
struct Wanted {
    at: HashMap<String, usize>,
    /// The ids as a JSON list.
    ids: String,
    left: usize,
}

/// Reads what hangs on the runs. `false` if that is more than the limit.
pub(super) fn load(
    c: &Connection,
    load: &Load<'_>,
    runs: &mut [ReadRun],
) -> rusqlite::Result<bool> {
    let at: HashMap<String, usize> = runs
        .iter()
        .enumerate()
        .map(|(i, run)| (run.raw.run_id.clone(), i))
        .collect();
    let ids = serde_json::Value::from(at.keys().cloned().collect::<Vec<_>>()).to_string();
    let mut wanted = Wanted {
        at,
        ids,
        left: load.limit,
    };
    if wanted.at.is_empty() {
        return Ok(true);
    }
    let schema = load.schema;
    let mut whole = pairs(c, &mut wanted, "params", runs)? && pairs(c, &mut wanted, "tags", runs)?;
    if schema.has("latest_metrics") {
        whole = whole && latest(c, schema, &mut wanted, runs)?;
    }
    if schema.has("inputs") {
        whole = whole && models(c, schema, &mut wanted, runs)?;
        if schema.has("datasets") {
            whole = whole && datasets(c, load, &mut wanted, runs)?;
        }
    }
    // What comes in no order must give the same fingerprint every time.
    for run in runs {
        run.raw.dataset_inputs.sort();
        run.raw.model_inputs.sort();
        run.raw.model_outputs.sort();
    }
    Ok(whole)
}

impl Wanted {
    /// Reads rows; the last column holds the id of a run. `take` answers the bytes that it took.
    fn each(
        &mut self,
        c: &Connection,
        sql: &str,
        runs: &mut [ReadRun],
        mut take: impl FnMut(&mut ReadRun, &Row<'_>) -> rusqlite::Result<usize>,
    ) -> rusqlite::Result<bool> {
        let mut statement = c.prepare_cached(sql)?;
        let last = statement.column_count().saturating_sub(1);
        let mut rows = statement.query([&self.ids])?;
        while let Some(row) = rows.next()? {
            let Ok(Some(id)) = text(row.get_ref(last)?) else {
                continue;
            };
            let Some(run) = self.at.get(&id).and_then(|i| runs.get_mut(*i)) else {
                continue;
            };
            let bytes = take(run, row)?;
            match self.left.checked_sub(bytes) {
                Some(left) => self.left = left,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

const OF_RUNS: &str = "run_uuid IN (SELECT value FROM json_each(?1))";

fn pairs(
    c: &Connection,
    wanted: &mut Wanted,
    table: &str,
    runs: &mut [ReadRun],
) -> rusqlite::Result<bool> {
    let sql = format!("SELECT key, value, run_uuid FROM {table} WHERE {OF_RUNS}");
    let params = table == "params";
    let (kind, word) = if params {
        (Kind::Params, "parameter")
    } else {
        (Kind::Tags, "tag")
    };
    wanted.each(c, &sql, runs, |run, row| {
        let place = |key: &str| format!("run {}, {word} {key:?}", run.raw.run_id);
        let (key, value) = match Cells::new(row).pair() {
            Ok((key, Some(value))) => (key, value),
            Ok((key, None)) if params => {
                run.findings
                    .push(Finding::unreadable(kind, place(&key), "its value is NULL"));
                return Ok(0);
            }
            // The server gives such a tag without a value.
            Ok((key, None)) => {
                run.findings
                    .push(Finding::normalised(kind, place(&key), rule::NULL_TO_EMPTY));
                (key, String::new())
            }
            Err((key, why)) => {
                run.findings
                    .push(Finding::unreadable(kind, place(&key), why));
                return Ok(0);
            }
        };
        let bytes = key.len() + value.len() + 64;
        if params {
            &mut run.raw.params
        } else {
            &mut run.raw.tags
        }
        .insert(key, value);
        Ok(bytes)
    })
}

fn latest(
    c: &Connection,
    schema: &Schema,
    wanted: &mut Wanted,
    runs: &mut [ReadRun],
) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT {}, m.run_uuid FROM latest_metrics m WHERE m.{OF_RUNS}",
        schema.select("latest_metrics", "m", &["key", "value", "is_nan"])
    );
    wanted.each(c, &sql, runs, |run, row| {
        let mut cells = Cells::new(row);
        let key = cells.text_or_empty();
        let value = match row.get_ref(1)? {
            rusqlite::types::ValueRef::Null => Some(f64::NAN),
            value => double(value),
        };
        let place = || format!("run {}, metric {key:?}", run.raw.run_id);
        let is_nan = row
            .get_ref(2)?
            .as_i64_or_null()
            .ok()
            .flatten()
            .is_some_and(|n| n != 0);
        match value {
            _ if cells.odd => {
                run.findings.push(Finding::unreadable(
                    Kind::Summary,
                    place(),
                    "its key is not UTF-8",
                ));
            }
            None => run.findings.push(Finding::unreadable(
                Kind::Summary,
                place(),
                "its value is not a number",
            )),
            Some(value) => {
                let bytes = key.len() + 64;
                run.raw
                    .latest
                    .insert(key, if is_nan { f64::NAN } else { value });
                return Ok(bytes);
            }
        }
        Ok(0)
    })
}

fn models(
    c: &Connection,
    schema: &Schema,
    wanted: &mut Wanted,
    runs: &mut [ReadRun],
) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT {}, i.source_id FROM inputs i WHERE i.source_type IN ('RUN_INPUT', 'RUN_OUTPUT') \
         AND i.source_id IN (SELECT value FROM json_each(?1))",
        schema.select("inputs", "i", &["source_type", "destination_id", "step"])
    );
    wanted.each(c, &sql, runs, |run, row| {
        let mut cells = Cells::new(row);
        let (source_type, model_id) = (cells.text_or_empty(), cells.text_or_empty());
        match source_type.as_str() {
            "RUN_INPUT" => run.raw.model_inputs.push(model_id),
            _ => {
                let step = cells.integer().unwrap_or(0);
                run.raw
                    .model_outputs
                    .push(RawModelOutput { model_id, step });
            }
        }
        Ok(128)
    })
}

fn datasets(
    c: &Connection,
    load: &Load<'_>,
    wanted: &mut Wanted,
    runs: &mut [ReadRun],
) -> rusqlite::Result<bool> {
    let schema = load.schema;
    let large = if load.whole {
        schema.select("datasets", "d", &["dataset_schema", "dataset_profile"])
    } else {
        "NULL, NULL".to_owned()
    };
    let of_runs =
        "i.destination_type = 'RUN' AND i.destination_id IN (SELECT value FROM json_each(?1))";
    let sql = format!(
        "SELECT {}, {}, {large}, i.destination_id FROM inputs i \
         LEFT JOIN datasets d ON d.dataset_uuid = i.source_id WHERE {of_runs}",
        schema.select("inputs", "i", &["input_uuid", "source_type", "source_id"]),
        schema.select(
            "datasets",
            "d",
            &[
                "dataset_uuid",
                "name",
                "digest",
                "dataset_source_type",
                "dataset_source"
            ]
        ),
    );
    // By run and input.
    let mut inputs: BTreeMap<(String, String), RawDatasetInput> = BTreeMap::new();
    let whole = wanted.each(c, &sql, runs, |run, row| {
        let mut cells = Cells::new(row);
        let (input, source_type, dataset) = (
            cells.text_or_empty(),
            cells.text_or_empty(),
            cells.text_or_empty(),
        );
        let place = format!("run {}, input {dataset}", run.raw.run_id);
        if source_type != "DATASET" {
            let reason = format!("inputs of the kind {source_type:?} are not known");
            run.findings
                .push(Finding::lost(Kind::Inputs, place, reason));
            return Ok(0);
        }
        if cells.text().is_none() {
            run.findings.push(Finding::unreadable(
                Kind::Inputs,
                place,
                "its dataset does not exist",
            ));
            return Ok(0);
        }
        let read = RawDatasetInput {
            name: cells.text_or_empty(),
            digest: cells.text_or_empty(),
            source_type: cells.text(),
            source: cells.text(),
            schema: cells.text(),
            profile: cells.text(),
            tags: BTreeMap::new(),
        };
        if cells.odd {
            run.findings.push(Finding::normalised(
                Kind::Inputs,
                place,
                rule::ODD_VALUE_REPLACED,
            ));
        }
        let texts = [&read.source, &read.schema, &read.profile];
        let bytes = texts.into_iter().flatten().map(String::len).sum::<usize>() + 256;
        inputs
            .entry((run.raw.run_id.clone(), input))
            .or_insert(read);
        Ok(bytes)
    })?;
    if whole && !inputs.is_empty() && schema.has("input_tags") {
        let sql = format!(
            "SELECT t.name, t.value, t.input_uuid, i.destination_id FROM inputs i \
             JOIN input_tags t ON t.input_uuid = i.input_uuid WHERE {of_runs}"
        );
        wanted.each(c, &sql, runs, |run, row| {
            let Ok(Some(input)) = text(row.get_ref(2)?) else {
                return Ok(0);
            };
            let input_of_run = (run.raw.run_id.clone(), input);
            match Cells::new(row).pair() {
                Ok((key, value)) => {
                    if let Some(input) = inputs.get_mut(&input_of_run) {
                        input.tags.insert(key, value.unwrap_or_default());
                    }
                }
                Err((key, why)) => {
                    let place = format!("run {}, tag {key:?} of an input", run.raw.run_id);
                    run.findings
                        .push(Finding::unreadable(Kind::Inputs, place, why));
                }
            }
            Ok(64)
        })?;
    }
    for ((run_id, _), input) in inputs {
        if let Some(run) = wanted.at.get(&run_id).and_then(|i| runs.get_mut(*i)) {
            run.raw.dataset_inputs.push(input);
        }
    }
    Ok(whole)
}
