//! What the tables hold that belongs to no experiment, and what has no place in a tracker.

use importer_core::{Finding, Kind, Selection, SourceItem};
use rusqlite::Connection;
use tracker_model::Result;

use super::{database::Database, runs::quoted};
use crate::blocking::{Feed, Filled};

/// Tables that are read elsewhere.
const CARRIED: [&str; 27] = [
    "assessments",
    "datasets",
    "experiment_tags",
    "experiments",
    "input_tags",
    "inputs",
    "latest_metrics",
    "logged_model_metrics",
    "logged_model_params",
    "logged_model_tags",
    "logged_models",
    "metrics",
    "model_version_tags",
    "model_versions",
    "params",
    "registered_model_aliases",
    "registered_model_tags",
    "registered_models",
    "runs",
    "spans",
    "tags",
    "trace_info",
    "trace_request_metadata",
    "trace_tags",
    // Derived from the others.
    "span_metrics",
    "trace_metrics",
    // The version of the schema.
    "alembic_version",
];

/// Tables of the server's own work: nobody's data.
const WORK: [&str; 3] = ["job_locks", "jobs", "scheduler_leases"];

/// Tables whose rows hang on those of another: table, column, the other's table and column, what
/// they are, and what they hang on.
const HANGING: [(&str, &str, &str, &str, Kind, &str); 10] = [
    (
        "runs",
        "experiment_id",
        "experiments",
        "experiment_id",
        Kind::Runs,
        "experiment",
    ),
    (
        "metrics",
        "run_uuid",
        "runs",
        "run_uuid",
        Kind::Points,
        "run",
    ),
    (
        "params",
        "run_uuid",
        "runs",
        "run_uuid",
        Kind::Params,
        "run",
    ),
    ("tags", "run_uuid", "runs", "run_uuid", Kind::Tags, "run"),
    (
        "latest_metrics",
        "run_uuid",
        "runs",
        "run_uuid",
        Kind::Summary,
        "run",
    ),
    (
        "experiment_tags",
        "experiment_id",
        "experiments",
        "experiment_id",
        Kind::Tags,
        "experiment",
    ),
    (
        "logged_models",
        "experiment_id",
        "experiments",
        "experiment_id",
        Kind::Artifacts,
        "experiment",
    ),
    (
        "trace_info",
        "experiment_id",
        "experiments",
        "experiment_id",
        Kind::Traces,
        "experiment",
    ),
    (
        "spans",
        "trace_id",
        "trace_info",
        "request_id",
        Kind::Traces,
        "trace",
    ),
    (
        "model_versions",
        "name",
        "registered_models",
        "name",
        Kind::Artifacts,
        "registered model",
    ),
];

/// Reports both, if the whole store is asked for.
pub(super) fn report<T>(
    database: &Database,
    selection: &Selection,
    feed: &mut Feed<SourceItem<T>>,
) -> Filled {
    let part = selection.projects.is_some()
        || !selection.runs.is_empty()
        || selection.limit.is_some()
        || selection.since.is_some()
        || selection.until.is_some();
    if part {
        return Ok(());
    }
    let schema = database.schema();
    for hanging in HANGING {
        if let Some(finding) =
            orphans(database, hanging)?.filter(|f| selection.kinds.contains(f.kind))
        {
            feed.item(SourceItem::Finding(finding))?;
        }
    }
    for table in schema.tables().filter(|table| is_uncarried(table)) {
        let but = if table == "workspaces" {
            " WHERE name <> 'default'"
        } else {
            ""
        };
        // A virtual table of an extension cannot be read.
        let Ok(count) = count(
            database,
            &format!("SELECT count(*) FROM {}{but}", quoted(table)),
        ) else {
            continue;
        };
        let (kind, reason) = place_of(table);
        if count > 0 && selection.kinds.contains(kind) {
            let finding = Finding::lost(kind, format!("table {table}"), reason).times(count);
            feed.item(SourceItem::Finding(finding))?;
        }
    }
    Ok(())
}

fn is_uncarried(table: &str) -> bool {
    // Sums over the others, by day.
    let rollup = table.starts_with("sql_") && table.contains("_rollup");
    let known = CARRIED.contains(&table) || WORK.contains(&table);
    !(known || rollup || table.starts_with("sqlite_"))
}

/// What the rows of a table are, and why they are not carried.
fn place_of(table: &str) -> (Kind, &'static str) {
    match table {
        "evaluation_datasets" | "evaluation_dataset_records" | "evaluation_dataset_tags" => (
            Kind::Artifacts,
            "evaluation datasets have no place in a tracker of runs yet",
        ),
        "entity_associations" => (
            Kind::Lineage,
            "relations to evaluation datasets and traces have no place in a tracker of runs yet",
        ),
        "scorers" | "scorer_versions" | "online_scoring_configs" => (
            Kind::Artifacts,
            "scorers of traces have no place in a tracker of runs yet",
        ),
        "issues" | "label_schemas" => (
            Kind::Traces,
            "reviews of traces have no place in a tracker of runs yet",
        ),
        table if table.starts_with("review_queue") => (
            Kind::Traces,
            "reviews of traces have no place in a tracker of runs yet",
        ),
        "workspaces" => (
            Kind::Artifacts,
            "settings of workspaces have no place in a tracker of runs yet",
        ),
        "webhooks" | "webhook_events" => (Kind::Artifacts, "webhooks are settings of the server"),
        "secrets"
        | "endpoints"
        | "endpoint_bindings"
        | "endpoint_model_mappings"
        | "endpoint_tags"
        | "model_definitions"
        | "budget_policies"
        | "guardrails"
        | "guardrail_configs" => (
            Kind::Artifacts,
            "gateways, their secrets, budgets and guardrails are settings of the server",
        ),
        table if table.starts_with("mcp_") => (
            Kind::Artifacts,
            "registered tool servers have no place in a tracker of runs yet",
        ),
        _ => (
            Kind::Artifacts,
            "the table is not one of those that are known here",
        ),
    }
}

type Hanging = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Kind,
    &'static str,
);

/// Rows that hang on nothing.
fn orphans(
    database: &Database,
    (table, column, other, key, kind, what): Hanging,
) -> Result<Option<Finding>> {
    let schema = database.schema();
    if !schema.has_column(table, column) || !schema.has_column(other, key) {
        return Ok(None);
    }
    let alone = |id: &str| format!("NOT EXISTS (SELECT 1 FROM {other} o WHERE o.{key} = {id})");
    let sql = if schema.is_indexed(table, column) {
        // The index leads from id to id without reading the rows in between.
        format!(
            "WITH RECURSIVE ids(id) AS (SELECT min({column}) FROM {table} UNION ALL \
             SELECT (SELECT min({column}) FROM {table} WHERE {column} > ids.id) FROM ids WHERE ids.id IS NOT NULL) \
             SELECT (SELECT count(*) FROM {table} WHERE {column} IS NULL) \
             + ifnull(sum((SELECT count(*) FROM {table} WHERE {column} = ids.id)), 0) \
             FROM ids WHERE ids.id IS NOT NULL AND {}",
            alone("ids.id")
        )
    } else {
        format!(
            "SELECT count(*) FROM {table} t WHERE t.{column} IS NULL OR {}",
            alone(&format!("t.{column}"))
        )
    };
    let count = count(database, &sql)?;
    let reason = format!("the rows belong to no {what} that exists");
    Ok((count > 0).then(|| Finding::lost(kind, format!("table {table}"), reason).times(count)))
}

fn count(database: &Database, sql: &str) -> Result<u64> {
    let count = |c: &Connection| c.query_row(sql, [], |row| row.get::<_, i64>(0));
    Ok(u64::try_from(database.read("counting the rows of", count)?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of MLflow 3.17.
    const TABLES: [&str; 66] = [
        "alembic_version",
        "assessments",
        "budget_policies",
        "datasets",
        "endpoint_bindings",
        "endpoint_model_mappings",
        "endpoint_tags",
        "endpoints",
        "entity_associations",
        "evaluation_dataset_records",
        "evaluation_dataset_tags",
        "evaluation_datasets",
        "experiment_tags",
        "experiments",
        "guardrail_configs",
        "guardrails",
        "input_tags",
        "inputs",
        "issues",
        "job_locks",
        "jobs",
        "label_schemas",
        "latest_metrics",
        "logged_model_metrics",
        "logged_model_params",
        "logged_model_tags",
        "logged_models",
        "mcp_access_endpoints",
        "mcp_server_aliases",
        "mcp_server_tags",
        "mcp_server_version_tags",
        "mcp_server_versions",
        "mcp_servers",
        "metrics",
        "model_definitions",
        "model_version_tags",
        "model_versions",
        "online_scoring_configs",
        "params",
        "registered_model_aliases",
        "registered_model_tags",
        "registered_models",
        "review_queue_items",
        "review_queue_label_schemas",
        "review_queue_users",
        "review_queues",
        "runs",
        "scheduler_leases",
        "scorer_versions",
        "scorers",
        "secrets",
        "span_metrics",
        "spans",
        "sql_assessment_daily_rollups",
        "sql_span_cost_daily_rollups",
        "sql_trace_metric_daily_rollups",
        "sql_trace_rollup_rebuild_queue",
        "sqlite_sequence",
        "tags",
        "trace_info",
        "trace_metrics",
        "trace_request_metadata",
        "trace_tags",
        "webhook_events",
        "webhooks",
        "workspaces",
    ];

    #[test]
    fn all_tables_are_known() {
        let unknown = place_of("").1;
        let strange: Vec<_> = TABLES
            .iter()
            .filter(|t| is_uncarried(t) && place_of(t).1 == unknown)
            .collect();
        assert_eq!(strange, Vec::<&&str>::new());
        assert!(is_uncarried("new_table") && is_uncarried("secrets") && !is_uncarried("runs"));
    }
}
