use std::ops::RangeInclusive;

use tracker_model::{HistoryStream, Result, SeriesInfo, ValueKind};

use super::{Across, Chart, Line, short_number};
use crate::{HistoryRequest, Join, Run, text::count};

/// Which points of a series are read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// At most so many.
    pub samples: usize,
    /// Of which history.
    pub stream: HistoryStream,
    /// With steps in this range.
    pub steps: Option<RangeInclusive<i64>>,
}

/// Whether a series has something to draw.
pub fn has_numbers(info: &SeriesInfo) -> bool {
    info.kinds.contains(ValueKind::F64) || info.kinds.contains(ValueKind::I64)
}

/// Reads the line of a series of a run for a chart: a sample of its points that has the greatest and
/// the least.
///
/// # Errors
/// `NotFound` if the run is gone.
pub async fn line(
    run: &Run,
    name: &str,
    info: &SeriesInfo,
    chart: &Chart,
    reading: &Reading,
) -> Result<Line> {
    let mut request = HistoryRequest::new()
        .with_samples(reading.samples)
        .with_stream(reading.stream)
        .with_keys([info.key.clone()])
        .with_join(Join::Inner);
    request.steps.clone_from(&reading.steps);
    if let Across::Series(x) = &chart.across {
        request = request.with_x_axis(x.clone());
    }
    let rows = run.history(request).await?.rows;
    let line = Line::of_rows(name, &info.key, &rows, &chart.across);
    let about = about(info, &line, chart.log);
    Ok(line.with_about(about))
}

fn about(info: &SeriesInfo, line: &Line, log: bool) -> String {
    let mut about = vec![count(info.count, "point")];
    let last = info.last.as_ref().and_then(|v| v.to_json().as_f64());
    about.extend(last.map(|x| format!("last {}", short_number(x))));
    let range = info.range;
    about.extend(
        range.map(|(low, high)| format!("{} to {}", short_number(low), short_number(high))),
    );
    let mut heights = line.points.iter().map(|(_, y)| *y);
    if heights.any(|y| !y.is_finite() || (log && y <= 0.0)) {
        let gaps = if log {
            "gaps where not above 0"
        } else {
            "gaps where not finite"
        };
        about.push(gaps.to_owned());
    }
    about.join(", ")
}
