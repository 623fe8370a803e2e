use std::{collections::BTreeMap, io::Write};

use futures::TryStreamExt;
use serde_json::Value as Json;
use tracker_model::{JsonObject, Run, RunQuery, Timestamp, Tracker};

use super::{
    Written,
    target::{Form, Target},
};
use crate::cli::{
    failure::Result,
    shape::{RunShape, SourceShape},
    table::{Cell, ColumnKind, KindOf, TableColumn, changed},
};

/// Writes a row for each run.
pub(super) async fn export(
    tracker: &dyn Tracker,
    query: RunQuery,
    target: Target,
) -> Result<Written> {
    match target.form {
        Form::Jsonl => lines(tracker, query, target).await,
        Form::Csv | Form::Parquet => table(tracker, query, target).await,
    }
}

async fn lines(tracker: &dyn Tracker, query: RunQuery, target: Target) -> Result<Written> {
    let mut to = target.writer()?;
    let mut written = Written::default();
    let mut runs = tracker.find_runs(query);
    while let Some(run) = runs.try_next().await? {
        let line = serde_json::to_writer(&mut to, &RunShape(&run)).map_err(Into::into);
        line.and_then(|()| to.write_all(b"\n"))
            .map_err(|e| target.failed(&e))?;
        (written.runs, written.rows) = (written.runs + 1, written.rows + 1);
    }
    target.end(to)?;
    Ok(written)
}

/// What the first pass over the runs finds out.
#[derive(Default)]
struct Plan {
    config: BTreeMap<String, KindOf>,
    summary: BTreeMap<String, KindOf>,
    times: Option<(Timestamp, Timestamp)>,
}

impl Plan {
    fn add(&mut self, run: &Run) {
        fn all(kinds: &mut BTreeMap<String, KindOf>, object: &JsonObject) {
            for (key, value) in object {
                match kinds.get_mut(key) {
                    Some(kind) => kind.add_json(value),
                    None => kinds.entry(key.clone()).or_default().add_json(value),
                }
            }
        }
        all(&mut self.config, &run.config);
        all(&mut self.summary, &run.summary);
        for t in [Some(run.created_at), run.started_at, run.ended_at]
            .into_iter()
            .flatten()
        {
            let (low, high) = self.times.unwrap_or((t, t));
            self.times = Some((low.min(t), high.max(t)));
        }
    }

    fn columns(&self) -> Vec<TableColumn> {
        use ColumnKind::{Bool, Text};
        let time = ColumnKind::Time {
            nanos: ColumnKind::fits_nanos(self.times),
        };
        let fixed = [
            ("entity", Text),
            ("project", Text),
            ("id", Text),
            ("name", Text),
            ("state", Text),
            ("created_at", time),
            ("started_at", time),
            ("ended_at", time),
            ("user", Text),
            ("group", Text),
            ("job_type", Text),
            ("tags", Text),
            ("notes", Text),
            ("parent", Text),
            ("sweep", Text),
            ("deleted", Bool),
            ("source", Text),
        ];
        let of = |prefix: &'static str, kinds: &BTreeMap<String, KindOf>| {
            let column = |(key, kind): (&String, &KindOf)| {
                TableColumn::new(format!("{prefix}.{key}"), kind.kind())
            };
            kinds.iter().map(column).collect::<Vec<_>>()
        };
        let mut columns: Vec<_> = fixed
            .into_iter()
            .map(|(name, kind)| TableColumn::new(name, kind))
            .collect();
        columns.extend(of("config", &self.config));
        columns.extend(of("summary", &self.summary));
        columns
    }
}

async fn table(tracker: &dyn Tracker, query: RunQuery, target: Target) -> Result<Written> {
    let mut plan = Plan::default();
    let mut runs = tracker.find_runs(query.clone());
    while let Some(run) = runs.try_next().await? {
        plan.add(&run);
    }
    let columns = plan.columns();
    let cuts = columns
        .iter()
        .any(|c| c.kind == ColumnKind::Time { nanos: false })
        && target.form == Form::Parquet;
    let mut table = target.table(&columns)?;
    let mut written = Written::default();
    let mut runs = tracker.find_runs(query);
    while let Some(run) = runs.try_next().await? {
        let tags = json(&run.tags);
        let source = SourceShape::of(&run).map(|source| json(&source));
        let mut cells = fixed(&run, &tags, source.as_deref());
        if cuts {
            written.cut_times += cells
                .iter()
                .filter(|c| matches!(c, Cell::Time(t) if t.sub_nanos() != 0))
                .count() as u64;
        }
        let (config, summary) = columns.split_at(cells.len()).1.split_at(plan.config.len());
        cells.extend(keyed(&plan.config, config, &run.config)?);
        cells.extend(keyed(&plan.summary, summary, &run.summary)?);
        table.row(&cells)?;
        (written.runs, written.rows) = (written.runs + 1, written.rows + 1);
    }
    target.end(table.end()?)?;
    Ok(written)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn fixed<'a>(run: &'a Run, tags: &'a str, source: Option<&'a str>) -> Vec<Cell<'a>> {
    let text = |text: Option<&'a str>| text.map_or(Cell::Missing, Cell::text);
    let time = |time: Option<Timestamp>| time.map_or(Cell::Missing, Cell::Time);
    vec![
        Cell::text(run.path.entity.as_str()),
        Cell::text(run.path.project.as_str()),
        Cell::text(run.path.run.as_str()),
        text(run.name.as_deref()),
        Cell::text(run.state.as_str()),
        Cell::Time(run.created_at),
        time(run.started_at),
        time(run.ended_at),
        text(run.user.as_deref()),
        text(run.group.as_deref()),
        text(run.job_type.as_deref()),
        Cell::text(tags),
        text(run.notes.as_deref()),
        text(run.parent.as_ref().map(|parent| parent.as_str())),
        text(run.sweep.as_deref()),
        Cell::Bool(run.deleted),
        text(source),
    ]
}

/// The cells of an object, in the order of the columns.
fn keyed<'a>(
    kinds: &BTreeMap<String, KindOf>,
    columns: &[TableColumn],
    object: &'a JsonObject,
) -> Result<Vec<Cell<'a>>> {
    let mut found = 0;
    let mut cell = |(key, column): (&String, &TableColumn)| match object.get(key) {
        None => Ok(Cell::Missing),
        Some(Json::Null) => {
            found += 1;
            Ok(Cell::Missing)
        }
        Some(value) => {
            found += 1;
            column.kind.json_cell(value)
        }
    };
    let cells = kinds
        .keys()
        .zip(columns)
        .map(&mut cell)
        .collect::<Result<Vec<_>>>()?;
    // A key that the first pass did not see.
    if found < object.len() {
        Err(changed())
    } else {
        Ok(cells)
    }
}
