//! The history of one run, metric by metric.

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use importer_core::{Finding, Kind, PointItem, PointsQuery};
use tracker_model::{Result, SeriesKey};

use super::{Asked, BULK_CAP, Columns, ReadAhead, ahead::Loaded, on_its_own, pages::pages, place};
use crate::{mapping::rule::DOUBLE_MAX_TO_INFINITY, rest::wire::Metric};

/// What is known of a series before it is given out.
enum Series {
    /// All of it.
    Whole(Metric, Columns),
    /// It is long, or was cut off.
    Long(Metric),
}

/// The points of a run, series by series in order of their keys. `ahead` is the run's place in the
/// listing, where neighbours are read along with it.
pub(in crate::rest) fn points(
    asked: Asked,
    metrics: &[Metric],
    ahead: Option<(Arc<ReadAhead>, usize)>,
    query: &PointsQuery,
) -> BoxStream<'static, Result<PointItem>> {
    // Who asks for some series alone has those of the others already.
    let ahead = ahead.filter(|_| query.only.is_none() && query.except.is_empty());
    let wanted: Vec<Metric> = metrics
        .iter()
        .filter(|m| query.wants(&m.key))
        .cloned()
        .collect();
    stream::once(async move {
        let mut loaded = match ahead {
            Some((ahead, index)) if !wanted.is_empty() => ahead.take(index).await,
            _ => Loaded::new(),
        };
        let at_once = asked.api.max_in_flight();
        let known: Vec<_> = wanted
            .into_iter()
            .map(|m| (loaded.remove(&m.key), m))
            .collect();
        let (reading, giving) = (asked.clone(), asked);
        stream::iter(known)
            .map(move |(points, metric)| {
                let asked = reading.clone();
                async move {
                    match points {
                        Some(points) => Ok(Series::Whole(metric, points)),
                        None => on_its_own(read(asked, metric)).await,
                    }
                }
            })
            .buffered(at_once)
            .flat_map(move |series| match series {
                Ok(Series::Whole(metric, points)) => {
                    given(&giving, metric, stream::iter([Ok(points)]).boxed())
                }
                Ok(Series::Long(metric)) => {
                    let points = pages(giving.clone(), metric.key.clone());
                    given(&giving, metric, points)
                }
                Err(e) => stream::iter([Err(e)]).boxed(),
            })
    })
    .flatten()
    .boxed()
}

/// Reads a series in one call, if that can be proved to be all of it.
async fn read(asked: Asked, metric: Metric) -> Result<Series> {
    if metric.estimate() < BULK_CAP {
        let run: &str = &asked.run_id;
        let several = asked
            .history
            .of_several(&asked.api, &metric.key, &[run])
            .await?;
        if let Some((_, points)) = several.into_iter().next()
            && points.holds(&metric)
        {
            return Ok(Series::Whole(metric, points));
        }
    }
    Ok(Series::Long(metric))
}

/// A series as items, with what is to be said of it.
fn given(
    asked: &Asked,
    metric: Metric,
    points: BoxStream<'static, Result<Columns>>,
) -> BoxStream<'static, Result<PointItem>> {
    let restore = asked.history.restore_infinities;
    let run_id = Arc::clone(&asked.run_id);
    let key = SeriesKey::from(&metric.key);
    // Answers for an unknown run or key are empty, and a page may be missing: the latest point of
    // the listing must have come.
    let state = Some((points, false, 0u64));
    stream::unfold(state, move |state| {
        let (run_id, key, metric) = (Arc::clone(&run_id), key.clone(), metric.clone());
        async move {
            let (mut points, mut came, mut restored) = state?;
            match points.next().await {
                Some(Ok(mut part)) => {
                    came = came || part.holds(&metric);
                    if restore {
                        restored += restore_infinities(&mut part.values);
                    }
                    let items = match part.is_empty() {
                        true => vec![],
                        false => vec![Ok(PointItem::Batch(part.into_batch(key)))],
                    };
                    Some((items, Some((points, came, restored))))
                }
                Some(Err(e)) => Some((vec![Err(e)], None)),
                None => {
                    let mut items = Vec::new();
                    if restored > 0 {
                        let found = Finding::normalised(Kind::Points, place(&run_id, &metric.key), DOUBLE_MAX_TO_INFINITY);
                        items.push(Ok(PointItem::Finding(found.times(restored))));
                    }
                    if !came {
                        let reason = "the server names a latest point that the history it gives does not hold";
                        let found = Finding::unreadable(Kind::Points, place(&run_id, &metric.key), reason);
                        items.push(Ok(PointItem::Finding(found)));
                    }
                    Some((items, None))
                }
            }
        }
    })
    .flat_map(stream::iter)
    .boxed()
}

/// Turns the largest doubles into infinities, and counts them.
fn restore_infinities(values: &mut [f64]) -> u64 {
    let mut count = 0;
    for value in values {
        if value.abs() == f64::MAX {
            *value = f64::INFINITY.copysign(*value);
            count += 1;
        }
    }
    count
}
