//! Runs by filters and in orders: what SQLite answers, and what is asked of its answer.

use std::cmp::{Ordering, Reverse};

use query_dsl::{
    Column, ColumnType, Filter, Fragment, Matcher, Member, Path, SortKey, SqlValue, SqliteDialect,
    Test, Value, push_down,
};
use rusqlite::{Connection, Row, ToSql, types::ToSqlOutput};
use tracker_model::{Error, Run, RunNode, RunOrder, RunParts, RunQuery};

use super::{
    Outcome,
    runs::{columns, from_row, is_large, names, scope_of},
};

/// Fields in `details` that hold text, by their names in filters.
const TEXTS: [(&str, &str); 9] = [
    ("username", "(details ->> 'user')"),
    ("host", "(details ->> 'host')"),
    ("program", "(details ->> 'program')"),
    ("commit", "(details ->> '$.git.commit')"),
    ("group", "(details ->> 'group')"),
    ("job_type", "(details ->> 'job_type')"),
    ("notes", "(details ->> 'notes')"),
    ("parent", "(details ->> 'parent')"),
    ("sweep", "(details ->> 'sweep')"),
];

/// Fields whose equality an index answers.
const INDEXED: [&str; 4] = ["name", "display_name", "group", "sweep"];

/// Fields that the index of states has, so that a filter of them reads no run.
const WITH_STATE: [&str; 5] = ["state", "created_at", "name", "project", "deleted"];

/// Where a field of a run lies.
fn place(path: &Path) -> Option<Column> {
    let root = path.parts().first()?.as_str();
    let column = |sql: &str, kind| {
        Some(Column {
            sql: sql.to_owned(),
            kind,
            taken: 1,
        })
    };
    if let Some((_, sql)) = TEXTS.iter().find(|(name, _)| *name == root) {
        return column(sql, ColumnType::Text);
    }
    match root {
        "name" => column("run.run_id", ColumnType::Text),
        "entity" => column("project.entity", ColumnType::Text),
        "project" => column("project.name", ColumnType::Text),
        "display_name" => column("run.name", ColumnType::Text),
        "state" => column("run.state", ColumnType::Text),
        "created_at" => column("run.created_ms", ColumnType::Date),
        "deleted" => column("run.deleted", ColumnType::Boolean),
        "config" => column("config", ColumnType::Json),
        "summary_metrics" => column("summary", ColumnType::Json),
        "extras" => column("run.extras", ColumnType::Json),
        // An empty list is not stored.
        "tags" => column(
            "coalesce(jsonb_extract(details, '$.tags'), jsonb('[]'))",
            ColumnType::Json,
        ),
        // The other times are texts, and `duration` is computed.
        _ => None,
    }
}

/// A query made ready.
pub(crate) struct Plan {
    query: RunQuery,
    sql: Option<Fragment>,
    residual: Option<Matcher>,
    /// What filter and order look at.
    needs: RunParts,
    /// An index finds the runs.
    indexed: bool,
}

impl Plan {
    pub(crate) fn new(query: RunQuery) -> Result<Self, Error> {
        let mut needs = RunParts::NONE;
        let (mut sql, mut residual, mut indexed) = (None, None, false);
        if let Some(filter) = &query.filter {
            let filter = filter.resolved();
            let pushed = push_down(filter, &SqliteDialect::new(place));
            indexed = has_equality(filter, &INDEXED)
                || (has_equality(filter, &["state"])
                    && all_roots(filter, &WITH_STATE)
                    && !matches!(query.order, RunOrder::By(_)));
            if let Some(rest) = pushed.residual {
                roots(&rest, &mut needs);
                residual = Some(rest.compile().map_err(Error::of_query)?);
            }
            sql = pushed.sql;
        }
        if let RunOrder::By(sort) = &query.order {
            for key in &sort.resolved().keys {
                root(&key.path, &mut needs);
            }
        }
        Ok(Self {
            query,
            sql,
            residual,
            needs,
            indexed,
        })
    }

    /// At most so many runs.
    pub(crate) fn limit(&self) -> usize {
        let limit = self.query.limit.map(usize::try_from);
        limit.and_then(Result::ok).unwrap_or(usize::MAX)
    }

    /// Whether the rows must be looked at beyond the condition in SQL.
    fn looks_at_rows(&self) -> bool {
        self.residual.is_some() || matches!(self.query.order, RunOrder::By(_))
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
    match filter {
        Filter::And(list) | Filter::Or(list) | Filter::Nor(list) => {
            list.iter().all(|one| all_roots(one, fields))
        }
        Filter::Field(field) => {
            let root = field.path.parts().first();
            root.is_some_and(|root| fields.contains(&root.as_str()))
        }
        _ => true,
    }
}

fn roots(filter: &Filter, needs: &mut RunParts) {
    match filter {
        Filter::And(list) | Filter::Or(list) | Filter::Nor(list) => {
            list.iter().for_each(|one| roots(one, needs));
        }
        Filter::Field(field) => root(&field.path, needs),
        _ => {}
    }
}

fn root(path: &Path, needs: &mut RunParts) {
    match path.parts().first().map(String::as_str) {
        Some("config") => needs.config = true,
        Some("summary_metrics") => needs.summary = true,
        Some("extras") => needs.extras = true,
        _ => {}
    }
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
    id: i64,
    by: Option<SortKey>,
    created: (i64, u32),
    run: Box<str>,
    project: i64,
}

fn compare(order: &RunOrder, a: &Hit, b: &Hit) -> Ordering {
    let by_keys = match (order, &a.by, &b.by) {
        (RunOrder::By(sort), Some(a), Some(b)) => sort.resolved().compare(a, b),
        _ => Ordering::Equal,
    };
    let times = match order {
        RunOrder::OldestFirst => a.created.cmp(&b.created),
        _ => Reverse(a.created).cmp(&Reverse(b.created)),
    };
    by_keys
        .then(times)
        .then_with(|| (&a.run, a.project).cmp(&(&b.run, b.project)))
}

/// How many runs the plan's query asks for, its limit aside.
pub(crate) fn count(connection: &Connection, plan: &Plan) -> Outcome<u64> {
    let mut count = 0;
    each_hit(connection, plan, None, |_| count += 1)?;
    Ok(count)
}

/// The runs of the plan's query, in its order, by their row ids.
pub(crate) fn find(connection: &Connection, plan: &Plan) -> Outcome<Vec<i64>> {
    let limit = plan.limit();
    let order = &plan.query.order;
    let mut hits: Vec<Hit> = Vec::new();
    // With a limit, the worst are thrown away whenever there are twice as many.
    let room = limit.saturating_mul(2).max(1024);
    each_hit(connection, plan, None, |hit| {
        hits.push(hit);
        if hits.len() > room {
            hits.select_nth_unstable_by(limit, |a, b| compare(order, a, b));
            hits.truncate(limit);
        }
    })?;
    hits.sort_unstable_by(|a, b| compare(order, a, b));
    hits.truncate(limit);
    Ok(hits.into_iter().map(|hit| hit.id).collect())
}

/// The first runs of the plan's query, if they are found among so many first ones of the project;
/// otherwise nothing.
pub(crate) fn find_first(
    connection: &Connection,
    plan: &Plan,
    wanted: usize,
    among: usize,
) -> Outcome<Option<Vec<i64>>> {
    if matches!(plan.query.order, RunOrder::By(_)) {
        return Ok(None);
    }
    let mut ids = Vec::new();
    each_hit(connection, plan, Some(among), |hit| {
        if ids.len() < wanted {
            ids.push(hit.id);
        }
    })?;
    Ok((ids.len() >= wanted).then_some(ids))
}

/// How SQLite is to go about it. Without an index that fits, all rows one after the other are
/// quicker than many one by one.
fn hint(connection: &Connection, plan: &Plan, project: Option<i64>) -> Outcome<&'static str> {
    if plan.indexed || plan.query.run.is_some() {
        return Ok("");
    }
    Ok(match project {
        Some(project) if !is_large(connection, project)? => "INDEXED BY run_of_project",
        _ => "NOT INDEXED",
    })
}

/// Gives each run of the query, in no order; with `among` those of so many first ones, in order.
fn each_hit(
    connection: &Connection,
    plan: &Plan,
    among: Option<usize>,
    mut give: impl FnMut(Hit),
) -> Outcome<()> {
    let query = &plan.query;
    let scope = scope_of(connection, query)?;
    let condition = plan.sql.as_ref().map_or("1", |sql| sql.sql.as_str());
    let what = if plan.looks_at_rows() {
        columns(plan.needs)
    } else {
        "run.id AS id, run.project AS project_id, run_id, run.created_ms AS created_ms, run.created_ns AS created_ns"
            .to_owned()
    };
    let (index, filter) = (scope.index, &scope.filter);
    let sql = match among {
        Some(among) => {
            let down = match query.order {
                RunOrder::OldestFirst => "",
                _ => " DESC",
            };
            let order = |table: &str| {
                format!(
                    "ORDER BY {table}.created_ms{down}, {table}.created_ns{down}, {table}.run_id, {table}.project"
                )
            };
            format!(
                "SELECT {what} FROM
                     (SELECT run.id AS first FROM run INDEXED BY {index} WHERE {filter} {} LIMIT {among})
                 JOIN run ON run.id = first JOIN project ON project.id = run.project WHERE {condition} {}",
                order("run"),
                order("run"),
            )
        }
        None => {
            let hint = hint(connection, plan, scope.project)?;
            format!(
                "SELECT {what} FROM run {hint} CROSS JOIN project ON project.id = run.project
                 WHERE {filter} AND {condition}"
            )
        }
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
    let mut rows = statement.query(values.as_slice())?;
    while let Some(row) = rows.next()? {
        let mut by = None;
        if plan.looks_at_rows() {
            let (_, run) = from_row(row)?;
            if !passes(plan, &run) {
                continue;
            }
            if let RunOrder::By(sort) = &query.order {
                by = Some(sort.resolved().key(RunNode::new(&run)));
            }
        }
        give(hit(row, by)?);
    }
    Ok(())
}

fn passes(plan: &Plan, run: &Run) -> bool {
    let rest = plan.residual.as_ref();
    rest.is_none_or(|rest| rest.matches(RunNode::new(run)))
}

fn hit(row: &Row<'_>, by: Option<SortKey>) -> Outcome<Hit> {
    let run = row
        .get_ref("run_id")?
        .as_str()
        .map_err(rusqlite::Error::from)?;
    Ok(Hit {
        id: row.get("id")?,
        by,
        created: (row.get("created_ms")?, row.get("created_ns")?),
        run: run.into(),
        project: row.get("project_id")?,
    })
}

/// The runs with these row ids, in the order of the ids; those that are gone do not come.
pub(crate) fn fetch(connection: &Connection, ids: &[i64], parts: RunParts) -> Outcome<Vec<Run>> {
    let sql = format!(
        "SELECT {} FROM run JOIN project ON project.id = run.project WHERE run.id = ?1",
        columns(parts)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut runs = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = statement.query([id])?;
        if let Some(row) = rows.next()? {
            runs.push(from_row(row)?.1);
        }
    }
    Ok(runs)
}
