//! Which runs a filter asks for.

use futures::TryStreamExt;
use tracker_model::{Error, HistoryStream};

use super::run::finished_run;
use crate::{KindSet, PointItem, PointsQuery, RunRef, Selection, Source};

/// Whether the filter holds for the run, as it will be in the target. Reads its record, and its
/// points where only they tell the summary and the filter asks for it. A run that cannot be read
/// is taken: its import says what is wrong.
pub(crate) async fn passes(source: &dyn Source, selection: &Selection, run: &RunRef) -> bool {
    let Some(filter) = &selection.filter else {
        return true;
    };
    let read = async {
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
        Ok::<_, Error>(filter.matches(&whole))
    };
    read.await.unwrap_or(true)
}
