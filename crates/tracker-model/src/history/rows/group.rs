use std::collections::HashMap;

use super::HistoryRow;
use crate::{Error, MAX_ROW, PointBatch, Result, SeriesKey, Timestamp, Value};

/// A point, and its place among all points of the answer.
struct Point {
    place: Place,
    key: SeriesKey,
    value: Value,
}

/// Points of a row have the same place; places are in the order of rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    derived: bool,
    row: u64,
    time: Option<Timestamp>,
    step: i64,
    occurrence: u64,
}

/// Puts points into rows by the rules of [`crate::HistoryQuery::by_rows`], in memory that grows
/// with their number: for small histories, and as the reference for trackers that do it in
/// bounded memory. Series may come in any interleaving, the batches of each in order.
///
/// # Errors
/// `InvalidInput` if the columns of a batch do not fit together, or a derived row would be beyond
/// [`MAX_ROW`].
pub fn group_rows(batches: impl IntoIterator<Item = PointBatch>) -> Result<Vec<HistoryRow>> {
    let mut points = Vec::new();
    let mut seen: HashMap<(SeriesKey, Option<Timestamp>, i64), u64> = HashMap::new();
    for batch in batches {
        batch.check()?;
        for i in 0..batch.len() {
            let (Some(step), Some(value)) = (batch.steps.get(i).copied(), batch.values.get(i))
            else {
                continue;
            };
            let time = batch.times.as_ref().map(|t| t.get(i));
            let place = match batch.rows.as_ref().and_then(|rows| rows.get(i)) {
                Some(row) => Place {
                    derived: false,
                    row: *row,
                    time,
                    step,
                    occurrence: 0,
                },
                None => {
                    let next = seen.entry((batch.key.clone(), time, step)).or_default();
                    *next += 1;
                    Place {
                        derived: true,
                        row: 0,
                        time,
                        step,
                        occurrence: *next - 1,
                    }
                }
            };
            points.push(Point {
                place,
                key: batch.key.clone(),
                value,
            });
        }
    }
    points.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.key.cmp(&b.key)));
    let mut rows: Vec<HistoryRow> = Vec::new();
    let mut last: Option<Place> = None;
    for Point { place, key, value } in points {
        match rows.last_mut().filter(|_| last == Some(place)) {
            Some(row) => row.values.push((key, value)),
            None => {
                let row = match rows.last() {
                    _ if !place.derived => place.row,
                    None => 0,
                    Some(before) => before.row + 1,
                };
                if row > MAX_ROW {
                    return Err(Error::invalid(format!(
                        "put points into rows: a row is beyond {MAX_ROW}"
                    )));
                }
                rows.push(HistoryRow {
                    row,
                    step: place.step,
                    time: place.time,
                    values: vec![(key, value)],
                });
            }
        }
        last = Some(place);
    }
    Ok(rows)
}
