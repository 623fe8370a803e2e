//! A row for each point.

use std::io::Write;

use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tracker_client::write_value;
use tracker_model::{HistoryQuery, PointBatch, RunPath, ValueKind, Values};

use super::{
    Written,
    histories::Job,
    target::{Form, Target},
    wide::widest,
};
use crate::cli::{
    failure::Result,
    table::{Cell, ColumnKind, Table, TableColumn},
};

/// Writes the points of all runs; those of a series in order of logging.
pub(super) async fn export(job: &Job<'_>, target: Target) -> Result<Written> {
    let mut written = Written::default();
    if target.form == Form::Jsonl {
        let mut to = target.writer()?;
        each_batch(job, |run, batch| {
            written.rows += batch.len() as u64;
            lines(&mut to, run, &batch).map_err(|e| target.failed(&e))
        })
        .await
        .map(|runs| written.runs = runs)?;
        target.end(to)?;
    } else {
        let mut times = None;
        let mut runs = job.runs();
        while let Some(run) = runs.try_next().await? {
            times = job
                .series(&run)
                .await?
                .into_iter()
                .fold(times, |times, series| widest(times, series.times));
        }
        let nanos = ColumnKind::fits_nanos(times);
        let cuts = !nanos && target.form == Form::Parquet;
        let mut table = target.table(&columns(nanos))?;
        each_batch(job, |run, batch| {
            written.rows += batch.len() as u64;
            if let (true, Some(sub)) = (cuts, batch.times.as_ref().and_then(|t| t.sub_ns.as_ref()))
            {
                written.cut_times += sub.iter().filter(|ns| **ns != 0).count() as u64;
            }
            rows(&mut *table, run, &batch)
        })
        .await
        .map(|runs| written.runs = runs)?;
        target.end(table.end()?)?;
    }
    written.points = written.rows;
    Ok(written)
}

async fn each_batch(
    job: &Job<'_>,
    mut take: impl FnMut(&RunPath, PointBatch) -> Result<()>,
) -> Result<u64> {
    let mut count = 0;
    let mut runs = job.runs();
    while let Some(run) = runs.try_next().await? {
        let series = job.series(&run).await?;
        count += 1;
        let query = HistoryQuery::new()
            .with_stream(job.args.stream.into())
            .with_keys(series.iter().map(|s| s.key.as_str()));
        let mut batches = job.tracker.scan(&run, query);
        while let Some(batch) = batches.next().await {
            take(&run, batch?)?;
        }
    }
    Ok(count)
}

fn columns(nanos: bool) -> Vec<TableColumn> {
    use ColumnKind::{Bool, F64, I64, Text};
    [
        ("entity", Text),
        ("project", Text),
        ("run", Text),
        ("key", Text),
        ("row", I64),
        ("step", I64),
        ("timestamp", ColumnKind::Seconds { nanos }),
        ("kind", Text),
        ("value", F64),
        ("integer", I64),
        ("boolean", Bool),
        ("text", Text),
    ]
    .map(|(name, kind)| TableColumn::new(name, kind))
    .to_vec()
}

/// The word for a kind of value.
fn kind_word(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::F64 => "double",
        ValueKind::I64 => "integer",
        ValueKind::Bool => "boolean",
        ValueKind::Str => "string",
        ValueKind::Json => "json",
    }
}

fn rows(table: &mut dyn Table, run: &RunPath, batch: &PointBatch) -> Result<()> {
    let kind = kind_word(batch.values.kind());
    for i in 0..batch.len() {
        let row = batch
            .rows
            .as_ref()
            .and_then(|rows| rows.get(i))
            .and_then(|row| i64::try_from(*row).ok());
        let mut values = [Cell::Missing, Cell::Missing, Cell::Missing, Cell::Missing];
        let (at, cell) = match &batch.values {
            Values::F64(v) => (0, v.get(i).map(|x| Cell::F64(*x))),
            Values::I64(v) => (1, v.get(i).map(|n| Cell::I64(*n))),
            Values::Bool(v) => (2, v.get(i).map(|b| Cell::Bool(*b))),
            Values::Str(v) | Values::Json(v) => (3, v.get(i).map(|text| Cell::text(text))),
        };
        if let (Some(place), Some(cell)) = (values.get_mut(at), cell) {
            *place = cell;
        }
        let [double, integer, boolean, text] = values;
        table.row(&[
            Cell::text(run.entity.as_str()),
            Cell::text(run.project.as_str()),
            Cell::text(run.run.as_str()),
            Cell::text(batch.key.as_str()),
            row.map_or(Cell::Missing, Cell::I64),
            batch
                .steps
                .get(i)
                .map_or(Cell::Missing, |step| Cell::I64(*step)),
            batch
                .times
                .as_ref()
                .map_or(Cell::Missing, |times| Cell::Time(times.get(i))),
            Cell::text(kind),
            double,
            integer,
            boolean,
            text,
        ])?;
    }
    Ok(())
}

fn lines(to: &mut impl Write, run: &RunPath, batch: &PointBatch) -> std::io::Result<()> {
    let key = json!(batch.key.as_str()).to_string();
    let name = |text: &str| json!(text).to_string();
    let (entity, project, id) = (
        name(run.entity.as_str()),
        name(run.project.as_str()),
        name(run.run.as_str()),
    );
    let kind = kind_word(batch.values.kind());
    for i in 0..batch.len() {
        let (Some(step), Some(value)) = (batch.steps.get(i), batch.values.get(i)) else {
            continue;
        };
        write!(
            to,
            "{{\"entity\":{entity},\"project\":{project},\"run\":{id},\"key\":{key},\"row\":"
        )?;
        match batch.rows.as_ref().and_then(|rows| rows.get(i)) {
            Some(row) => write!(to, "{row}")?,
            None => to.write_all(b"null")?,
        }
        write!(to, ",\"step\":{step},\"timestamp\":")?;
        match &batch.times {
            Some(times) => to.write_all(times.get(i).to_decimal_seconds().as_bytes())?,
            None => to.write_all(b"null")?,
        }
        write!(to, ",\"kind\":\"{kind}\",\"value\":")?;
        write_value(to, &value)?;
        to.write_all(b"}\n")?;
    }
    Ok(())
}
