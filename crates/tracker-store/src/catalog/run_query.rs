//! Runs by filters and in orders: what an index answers, and what is asked of the rows.

use std::{
    cmp::Ordering,
    collections::{HashMap, hash_map::Entry},
    ops::Range,
    sync::Arc,
};

use query_dsl::{
    Column, ColumnType, Filter, Fragment, Member, Path, SortKey, SqlValue, SqliteDialect, Test,
    Value, push_down,
};
use rusqlite::{Connection, ToSql, types::ToSqlOutput};
use tracker_model::{ProjectPath, Run, RunOrder, RunParts, RunQuery, Timestamp};

use super::{
    Outcome, projects,
    run_row::{Needs, RunRow},
    runs::{columns, from_row, is_large, names, scope_of},
    schema,
};

/// Fields whose equality an index answers, and the expressions of the index.
const INDEXED: [(&str, &str); 4] = [
    ("name", "run.run_id"),
    ("display_name", "run.name"),
    ("group", "(details ->> 'group')"),
    ("sweep", "(details ->> 'sweep')"),
];

/// Fields that the index of states has, so that a filter of them reads no run.
const WITH_STATE: [&str; 5] = ["state", "created_at", "name", "project", "deleted"];

/// Where a field of a run lies. Only what an index has is asked of SQLite: rows that are read
/// anyhow are quicker asked where they lie.
fn place(path: &Path) -> Option<Column> {
    let root = path.parts().first()?.as_str();
    let column = |sql: &str, kind| Column {
        sql: sql.to_owned(),
        kind,
        taken: 1,
    };
    if let Some((_, sql)) = INDEXED.iter().find(|(name, _)| *name == root) {
        return Some(column(sql, ColumnType::Text));
    }
    match root {
        "state" => Some(column("run.state", ColumnType::Text)),
        "created_at" => Some(column("run.created_ms", ColumnType::Date)),
        _ => None,
    }
}

pub(crate) use super::run_row::RowId;

/// A query made ready.
pub(crate) struct Plan {
    query: RunQuery,
    /// What an index answers.
    sql: Option<Fragment>,
    needs: Needs,
    /// An index finds no more than a few runs, most likely.
    few: bool,
}

impl Plan {
    pub(crate) fn new(query: RunQuery) -> Self {
        let mut needs = Needs::default();
        let (mut sql, mut few) = (None, query.run.is_some());
        if let Some(filter) = &query.filter {
            let filter = filter.resolved();
            filter
                .paths()
                .into_iter()
                .for_each(|path| needs.add_path(path));
            few |= has_equality(filter, &INDEXED.map(|(name, _)| name));
            if few || (has_equality(filter, &["state"]) && all_roots(filter, &WITH_STATE)) {
                sql = push_down(filter, &SqliteDialect::new(place)).sql;
            }
        }
        if let RunOrder::By(sort) = &query.order {
            for key in &sort.resolved().keys {
                needs.add_path(&key.path);
            }
        }
        Self {
            query,
            sql,
            needs,
            few,
        }
    }

    /// At most so many runs.
    pub(crate) fn limit(&self) -> usize {
        let limit = self.query.limit.map(usize::try_from);
        limit.and_then(Result::ok).unwrap_or(usize::MAX)
    }

    fn matches(&self, row: &RunRow<'_>) -> bool {
        let filter = self.query.filter.as_ref();
        filter.is_none_or(|filter| filter.matcher().matches(row.node()))
    }
}

/// Whether a condition that must hold is that one of these fields is equal to a text.
fn has_equality(filter: &Filter, fields: &[&str]) -> bool {
    match filter {
        Filter::And(all) => all.iter().any(|one| has_equality(one, fields)),
        Filter::Field(field) => {
            all_roots(filter, fields) && field.conditions.iter().any(|one| is_equality(&one.test))
        }
        _ => false,
    }
}

fn is_equality(test: &Test) -> bool {
    match test {
        Test::Eq(value) => matches!(value, Value::String(_)),
        Test::In(list) => list
            .iter()
            .all(|one| matches!(one, Member::Value(Value::String(_)))),
        _ => false,
    }
}

/// Whether the filter asks for no other fields than these.
fn all_roots(filter: &Filter, fields: &[&str]) -> bool {
    filter.paths().into_iter().all(|path| {
        let root = path.parts().first();
        root.is_some_and(|root| fields.contains(&root.as_str()))
    })
}

struct Parameter<'a>(&'a SqlValue);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self.0 {
            SqlValue::Integer(value) => value.to_sql(),
            SqlValue::Real(value) => value.to_sql(),
            SqlValue::Text(value) => value.to_sql(),
            other => Err(rusqlite::Error::ToSqlConversionFailure(
                format!("{other:?} is no parameter").into(),
            )),
        }
    }
}

/// A run that was found.
struct Hit {
    id: RowId,
    by: Option<SortKey>,
}

/// Runs that were found, from which the first ones in an order are taken.
pub(crate) struct Hits {
    plan: Arc<Plan>,
    list: Vec<Hit>,
}

impl Hits {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            list: Vec::new(),
        }
    }

    fn compare(order: &RunOrder, a: &Hit, b: &Hit) -> Ordering {
        let by_keys = match (order, &a.by, &b.by) {
            (RunOrder::By(sort), Some(a), Some(b)) => sort.resolved().compare(a, b),
            _ => Ordering::Equal,
        };
        let (a, b) = (&a.id, &b.id);
        let times = match order {
            RunOrder::OldestFirst => a.created.cmp(&b.created),
            _ => b.created.cmp(&a.created),
        };
        by_keys
            .then(times)
            .then_with(|| (&a.run, a.project).cmp(&(&b.run, b.project)))
    }

    fn push(&mut self, hit: Hit) {
        self.list.push(hit);
        // With a limit, the last ones are thrown away whenever there are twice as many.
        let limit = self.plan.limit();
        if self.list.len() > limit.saturating_mul(2).max(1024) {
            let order = &self.plan.query.order;
            self.list
                .select_nth_unstable_by(limit, |a, b| Self::compare(order, a, b));
            self.list.truncate(limit);
        }
    }

    /// They, in order.
    pub(crate) fn into_rows(mut self) -> Vec<RowId> {
        let order = &self.plan.query.order;
        self.list
            .sort_unstable_by(|a, b| Self::compare(order, a, b));
        self.list.truncate(self.plan.limit());
        self.list.into_iter().map(|hit| hit.id).collect()
    }

    /// These and those.
    pub(crate) fn join(&mut self, others: Self) {
        others.list.into_iter().for_each(|hit| self.push(hit));
    }
}

/// How many runs of these rows the plan's query asks for, its limit aside.
pub(crate) fn count(connection: &Connection, plan: &Plan, rows: &Rows) -> Outcome<u64> {
    let mut count = 0;
    each_match(connection, plan, rows, |_| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// The runs of these rows that the plan's query asks for.
pub(crate) fn find(connection: &Connection, plan: &Arc<Plan>, rows: &Rows) -> Outcome<Hits> {
    let mut hits = Hits::new(Arc::clone(plan));
    each_match(connection, plan, rows, |row| {
        let by = match &plan.query.order {
            RunOrder::By(sort) => Some(sort.resolved().key(row.node())),
            _ => None,
        };
        hits.push(Hit { id: row.id()?, by });
        Ok(())
    })?;
    Ok(hits)
}

/// The first runs of the plan's query, if they are found among so many first ones of the project;
/// otherwise nothing. Where an index finds them, nobody looks there.
pub(crate) fn find_first(
    connection: &Connection,
    plan: &Plan,
    wanted: usize,
    among: usize,
) -> Outcome<Option<Vec<RowId>>> {
    if plan.few || matches!(plan.query.order, RunOrder::By(_)) {
        return Ok(None);
    }
    let mut ids = Vec::new();
    each_match(connection, plan, &Rows::First(among), |row| {
        if ids.len() < wanted {
            ids.push(row.id()?);
        }
        Ok(())
    })?;
    Ok((ids.len() >= wanted).then_some(ids))
}

/// Rows to look at.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// Those that an index finds.
    Indexed,
    /// Those with row ids in the range, one after the other.
    Range(Range<i64>),
    /// So many first ones in the order of time.
    First(usize),
}

/// Fewer rows than these are not worth two threads.
const MANY: i64 = 20_000;

/// The rows that a query looks at, in parts for as many threads. Without an index that fits, all
/// rows one after the other are quicker than many one by one.
pub(crate) fn rows(connection: &Connection, plan: &Plan) -> Outcome<Vec<Rows>> {
    let project = scope_of(connection, &plan.query)?.project;
    let indexed = plan.few || plan.sql.is_some();
    let few = indexed
        || match project {
            Some(project) => !is_large(connection, project)?,
            None => false,
        };
    if few {
        return Ok(vec![Rows::Indexed]);
    }
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(id) FROM run")?
        .query_row([], |r| r.get(0))?;
    let end = last.unwrap_or(0).saturating_add(1);
    Ok(if end < MANY {
        vec![Rows::Range(0..end)]
    } else {
        vec![Rows::Range(0..end / 2), Rows::Range(end / 2..end)]
    })
}

/// Gives each of these rows that the query asks for: first ones in their order, others in none.
fn each_match(
    connection: &Connection,
    plan: &Plan,
    rows: &Rows,
    mut give: impl FnMut(&RunRow<'_>) -> Outcome<()>,
) -> Outcome<()> {
    let query = &plan.query;
    let scope = scope_of(connection, query)?;
    if matches!(rows, Rows::Range(_)) {
        schema::cache_little(connection)?;
    }
    let condition = plan.sql.as_ref().map_or("1", |sql| sql.sql.as_str());
    let (what, join) = (plan.needs.columns(), plan.needs.join());
    let (index, filter) = (scope.index, &scope.filter);
    let sql = match rows {
        Rows::First(among) => {
            let down = match query.order {
                RunOrder::OldestFirst => "",
                _ => " DESC",
            };
            let order = format!(
                "ORDER BY run.created_ms{down}, run.created_ns{down}, run.run_id, run.project"
            );
            format!(
                "SELECT {what} FROM
                     (SELECT run.id AS first FROM run INDEXED BY {index} WHERE {filter} {order} LIMIT {among})
                 JOIN run ON run.id = first {join} WHERE {condition} {order}"
            )
        }
        Rows::Indexed => {
            let hint = match (&plan.sql, &query.run) {
                (None, None) => "INDEXED BY run_of_project",
                _ => "",
            };
            format!("SELECT {what} FROM run {hint} {join} WHERE {filter} AND {condition}")
        }
        Rows::Range(range) => format!(
            "SELECT {what} FROM run NOT INDEXED {join}
             WHERE {filter} AND {condition} AND run.id >= {} AND run.id < {}",
            range.start, range.end
        ),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let (run, entity, project) = names(query);
    let mut values: Vec<&dyn ToSql> = vec![&run, &entity, &project];
    let bound: Vec<Parameter<'_>> = plan
        .sql
        .iter()
        .flat_map(|sql| sql.params.iter().map(Parameter))
        .collect();
    values.extend(bound.iter().map(|one| one as &dyn ToSql));
    let mut found = statement.query(values.as_slice())?;
    while let Some(row) = found.next()? {
        let row = RunRow::new(row);
        if plan.matches(&row) {
            give(&row)?;
        }
    }
    if matches!(rows, Rows::Range(_)) {
        schema::cache_much(connection)?;
    }
    Ok(())
}

/// The runs of these rows, in their order; those that are gone do not come.
pub(crate) fn fetch(connection: &Connection, rows: &[RowId], parts: RunParts) -> Outcome<Vec<Run>> {
    if parts == RunParts::ADDRESS {
        return addresses(connection, rows);
    }
    let sql = format!(
        "SELECT {} FROM run JOIN project ON project.id = run.project WHERE run.id = ?1",
        columns(parts)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        let mut rows = statement.query([row.id])?;
        if let Some(row) = rows.next()? {
            runs.push(from_row(row)?.1);
        }
    }
    Ok(runs)
}

/// What is known of the runs of these rows without reading them.
fn addresses(connection: &Connection, rows: &[RowId]) -> Outcome<Vec<Run>> {
    let mut projects: HashMap<i64, Option<ProjectPath>> = HashMap::new();
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        let project = match projects.entry(row.project) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(projects::path(connection, row.project)?),
        };
        if let Some(project) = project {
            let (ms, ns) = row.created;
            let path = project.run(row.run_id()?);
            runs.push(Run::new(path, Timestamp::from_parts(ms, ns)));
        }
    }
    Ok(runs)
}
