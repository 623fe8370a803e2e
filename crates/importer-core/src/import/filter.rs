//! Which runs a filter asks for.

use futures::TryStreamExt;
use tracker_model::{HistoryStream, Result};

use super::run::finished_run;
use crate::{KindSet, PointItem, PointsQuery, RunRef, Selection, Source};

/// Whether the filter holds for the run, as it will be in the target. Reads its record, and its
/// points where only they tell the summary and the filter asks for it.
///
/// # Errors
/// The run cannot be read, so nobody knows.
pub(crate) async fn passes(
    source: &dyn Source,
    selection: &Selection,
    run: &RunRef,
) -> Result<bool> {
    let Some(filter) = &selection.filter else {
        return Ok(true);
    };
    let record = source.run(run).await?;
    let path = record.run.path.clone();
    let mut whole = finished_run(source.id(), &KindSet::default(), None, path, &record, None);
    if whole.summary.is_empty() && filter.asks_for("summary_metrics") {
        let mut points = source.points(run, PointsQuery::of(HistoryStream::Metrics));
        while let Some(item) = points.try_next().await? {
            if let PointItem::Summary(part) = item {
                whole.summary.extend(part);
            }
        }
    }
    Ok(filter.matches(&whole))
}
