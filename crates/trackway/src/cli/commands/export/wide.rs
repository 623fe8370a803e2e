//! A column for each series, a row for what was logged together.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::Write,
};

use futures::{TryStreamExt, stream::BoxStream};
use tracker_client::{RowShape, row_key};
use tracker_model::{HistoryQuery, HistoryRow, RunPath, SeriesInfo, SeriesKey, Timestamp, rows_of};

use super::{
    Written,
    histories::Job,
    target::{Form, Target},
};
use crate::cli::{
    failure::{Failure, Result},
    table::{Cell, ColumnKind, KindOf, TableColumn, changed},
};

/// Columns of a Parquet file; each of them costs memory.
const MOST_COLUMNS: usize = 2_000;

/// Writes the rows of all runs.
pub(super) async fn export(job: &Job<'_>, target: Target) -> Result<Written> {
    match target.form {
        Form::Jsonl => lines(job, target).await,
        Form::Csv | Form::Parquet => table(job, target).await,
    }
}

fn rows(
    job: &Job<'_>,
    run: &RunPath,
    series: &[SeriesInfo],
) -> BoxStream<'static, tracker_model::Result<HistoryRow>> {
    let query = HistoryQuery::new()
        .with_stream(job.args.stream.into())
        .with_keys(series.iter().map(|s| s.key.as_str()))
        .with_rows(true);
    rows_of(job.tracker.scan(run, query))
}

async fn lines(job: &Job<'_>, target: Target) -> Result<Written> {
    let mut to = target.writer()?;
    let mut written = Written::default();
    let mut runs = job.runs();
    while let Some(run) = runs.try_next().await? {
        let series = job.series(&run).await?;
        written.runs += 1;
        let mut prefix = String::new();
        if job.is_project() {
            let name = |text: &str| serde_json::Value::from(text).to_string();
            let (entity, project) = (name(run.entity.as_str()), name(run.project.as_str()));
            let _ = write!(
                prefix,
                "\"entity\":{entity},\"project\":{project},\"run\":{},",
                name(run.run.as_str())
            );
        }
        let mut rows = rows(job, &run, &series);
        while let Some(row) = rows.try_next().await? {
            let line = write!(to, "{{{prefix}")
                .and_then(|()| RowShape::new().write_members(&mut to, &row))
                .and_then(|()| to.write_all(b"}\n"));
            line.map_err(|e| target.failed(&e))?;
            (written.rows, written.points) =
                (written.rows + 1, written.points + row.values.len() as u64);
        }
    }
    target.end(to)?;
    Ok(written)
}

async fn table(job: &Job<'_>, target: Target) -> Result<Written> {
    let (mut kinds, mut times) = (BTreeMap::<SeriesKey, KindOf>::new(), None);
    let mut runs = job.runs();
    while let Some(run) = runs.try_next().await? {
        for series in job.series(&run).await? {
            kinds
                .entry(series.key.clone())
                .or_default()
                .add_series(&series);
            times = widest(times, series.times);
        }
    }
    if target.form == Form::Parquet && kinds.len() > MOST_COLUMNS {
        return Err(Failure::usage(format!(
            "{} series are more columns than a Parquet file should have",
            kinds.len()
        ))
        .with_hint("choose some with --keys, or write a row for each point with --layout long"));
    }
    let nanos = ColumnKind::fits_nanos(times);
    let mut columns = Vec::new();
    if job.is_project() {
        columns.extend(
            ["entity", "project", "run"].map(|name| TableColumn::new(name, ColumnKind::Text)),
        );
    }
    columns.push(TableColumn::new("_step", ColumnKind::I64));
    columns.push(TableColumn::new(
        "_timestamp",
        ColumnKind::Seconds { nanos },
    ));
    let fixed = columns.len();
    columns.extend(
        kinds
            .iter()
            .map(|(key, kind)| TableColumn::new(row_key(key.as_str()), kind.kind())),
    );
    let place: HashMap<&SeriesKey, usize> = kinds
        .keys()
        .enumerate()
        .map(|(i, key)| (key, fixed + i))
        .collect();

    let cuts = !nanos && target.form == Form::Parquet;
    let mut table = target.table(&columns)?;
    let mut written = Written::default();
    let mut runs = job.runs();
    while let Some(run) = runs.try_next().await? {
        let series = job.series(&run).await?;
        written.runs += 1;
        let mut rows = rows(job, &run, &series);
        while let Some(row) = rows.try_next().await? {
            let mut cells = vec![Cell::Missing; columns.len()];
            let names =
                [run.entity.as_str(), run.project.as_str(), run.run.as_str()].map(Cell::text);
            let names = names.into_iter().filter(|_| job.is_project());
            let step_and_time = [
                Cell::I64(row.step),
                row.time.map_or(Cell::Missing, Cell::Time),
            ];
            for (cell, value) in cells.iter_mut().zip(names.chain(step_and_time)) {
                *cell = value;
            }
            written.cut_times += u64::from(cuts && row.time.is_some_and(|t| t.sub_nanos() != 0));
            for (key, value) in &row.values {
                let at = *place.get(key).ok_or_else(changed)?;
                if let (Some(cell), Some(column)) = (cells.get_mut(at), columns.get(at)) {
                    *cell = column.kind.cell(value)?;
                }
            }
            table.row(&cells)?;
            (written.rows, written.points) =
                (written.rows + 1, written.points + row.values.len() as u64);
        }
    }
    target.end(table.end()?)?;
    Ok(written)
}

/// The span of both.
pub(super) fn widest(
    a: Option<(Timestamp, Timestamp)>,
    b: Option<(Timestamp, Timestamp)>,
) -> Option<(Timestamp, Timestamp)> {
    match (a, b) {
        (Some((a0, a1)), Some((b0, b1))) => Some((a0.min(b0), a1.max(b1))),
        (a, b) => a.or(b),
    }
}
