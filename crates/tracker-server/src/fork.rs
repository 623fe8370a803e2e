//! Runs that go on from a step of another run.

use futures::TryStreamExt as _;
use serde_json::Value as Json;
use tracker_model::{
    ErrorKind, HistoryQuery, HistoryRow, HistoryStream, Precondition, Result, Run, RunPatch,
    RunPath, rows_of, split_rows,
};

use crate::{app::App, wire};

/// What a run says of itself when all of its beginning is there.
const FORKED: &str = "forked";
/// How many rows are copied in one step.
const ROWS_AT_ONCE: usize = 5_000;

/// Where a run branched off: the SDK notes it in the config.
fn branch_point(run: &Run) -> Option<(RunPath, i64)> {
    let point = wire::own(&run.extras, "config")?.get("branch_point")?;
    let from = point.get("run_id")?.as_str()?;
    let step = match point.get("step")? {
        Json::Number(step) => step.as_i64().or_else(|| {
            #[expect(clippy::cast_possible_truncation, reason = "saturates")]
            step.as_f64().map(|step| step.floor() as i64)
        })?,
        _ => return None,
    };
    Some((run.path.project_path().run(from.parse().ok()?), step))
}

/// Copies what the other run logged up to the branch point, so that the history of this one has its
/// beginning. Where it was cut off, it goes on.
pub(crate) async fn begin(app: &App, run: Run) -> Result<Run> {
    let Some((from, step)) = branch_point(&run) else {
        return Ok(run);
    };
    if from == run.path || wire::own(&run.extras, FORKED).is_some() {
        return Ok(run);
    }
    let tracker = &app.tracker;
    match tracker.run(&from).await {
        Ok(_) => {}
        // It may have been deleted, or is on another server.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(run),
        Err(e) => return Err(e),
    }
    let next = tracker.next_row(&run.path, HistoryStream::Metrics).await?;
    let query = HistoryQuery::new()
        .with_steps(i64::MIN..=step)
        .with_rows(true);
    let mut rows = rows_of(tracker.scan(&from, query));
    let mut waiting: Vec<HistoryRow> = Vec::new();
    while let Some(row) = rows.try_next().await? {
        if row.row >= next {
            waiting.push(row);
        }
        if waiting.len() >= ROWS_AT_ONCE {
            append(app, &run.path, &mut waiting).await?;
        }
    }
    append(app, &run.path, &mut waiting).await?;
    let mut patch = RunPatch::new();
    patch.extras = wire::with_own(&run.extras, FORKED, true.into());
    let changed = tracker.upsert_run(&run.path, patch, Precondition::Present);
    changed.await
}

async fn append(app: &App, to: &RunPath, rows: &mut Vec<HistoryRow>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let batches = split_rows(std::mem::take(rows))?;
    let appended = app.tracker.append(to, HistoryStream::Metrics, 0, batches);
    appended.await.map(drop)
}
