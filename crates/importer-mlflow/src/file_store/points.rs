//! The history of a run: a file for each metric, a line for each point.

use std::{collections::BTreeMap, fs, io, path::Path};

use importer_core::{Finding, Kind, PointItem, PointsQuery};
use tracker_model::{JsonObject, MAX_BATCH_POINTS, PointBatch, SeriesKey, Times, Value, Values};

use super::{
    lines::{Line, LineReader},
    metric_line::{MetricLine, dataset},
    tree::{Leaf, walk_values},
};
use crate::{
    blocking::{Feed, Filled},
    mapping::{Latest, rule},
};

/// Lines of one file that are reported one by one, for each reason; the others are counted.
const REPORTED: u64 = 20;

/// Bytes of a line, rather few: `1700000000000 0.12345678901 100`.
const LINE: u64 = 32;

const CUT: &str = "the last line is not complete: it lacks its line end";
const MALFORMED: &str = "the line is not TIME VALUE STEP";
const LONG: &str = "the line is too long to be a point";

/// Sends the points that are asked for, series by series in byte order of their keys, and after
/// each series what the summary says of it.
pub(super) fn read_points(
    metrics: &Path,
    query: &PointsQuery,
    feed: &mut Feed<PointItem>,
) -> Filled {
    let mut reader = LineReader::new();
    walk_values(metrics, Kind::Points, &mut |leaf| match leaf {
        Leaf::Finding(finding) => feed.item(PointItem::Finding(finding)),
        Leaf::Odd(path, ()) => count_lost(&mut reader, &path, feed),
        Leaf::File { key, path, .. } if query.wants(&key) => {
            Series::new(&key, &path, feed).read(&mut reader)
        }
        Leaf::File { .. } => Ok(()),
    })
}

/// Counts the points of a metric whose name no key can be made of.
fn count_lost(reader: &mut LineReader, path: &Path, feed: &mut Feed<PointItem>) -> Filled {
    let mut count = 0;
    let read = fs::File::open(path).and_then(|mut file| {
        reader.read(&mut file, |_| {
            count += 1;
            Ok::<(), ()>(())
        })
    });
    let finding = match read {
        Ok(_) => Finding::unreadable(
            Kind::Points,
            path.display().to_string(),
            "the metric's name is not UTF-8",
        ),
        Err(e) => unreadable(path, &e),
    };
    feed.item(PointItem::Finding(finding.times(count.max(1))))
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    Finding::unreadable(
        Kind::Points,
        path.display().to_string(),
        format!("the metric cannot be read: {}", error.kind()),
    )
}

/// Reads one metric.
struct Series<'a> {
    key: SeriesKey,
    path: &'a Path,
    feed: &'a mut Feed<PointItem>,
    steps: Vec<i64>,
    times: Vec<i64>,
    values: Vec<f64>,
    latest: Option<Latest>,
    line: u64,
    /// How many lines could not be read, by reason.
    unread: BTreeMap<&'static str, u64>,
    datasets: u64,
}

impl<'a> Series<'a> {
    fn new(key: &str, path: &'a Path, feed: &'a mut Feed<PointItem>) -> Self {
        Self {
            key: SeriesKey::from(key),
            path,
            feed,
            steps: Vec::new(),
            times: Vec::new(),
            values: Vec::new(),
            latest: None,
            line: 0,
            unread: BTreeMap::new(),
            datasets: 0,
        }
    }

    /// Sends all points, and what the summary says of them.
    fn read(mut self, reader: &mut LineReader) -> Filled {
        match fs::File::open(self.path) {
            Ok(mut file) => {
                self.reserve(&file);
                match reader.read(&mut file, |line| self.take(line)) {
                    Ok(done) => done?,
                    Err(e) => self
                        .feed
                        .item(PointItem::Finding(unreadable(self.path, &e)))?,
                }
            }
            Err(e) => self
                .feed
                .item(PointItem::Finding(unreadable(self.path, &e)))?,
        }
        self.send()?;
        let place = self.path.display();
        for (reason, count) in self.unread {
            let more = count.saturating_sub(REPORTED);
            if more > 0 {
                let finding =
                    Finding::unreadable(Kind::Points, format!("{place}: further lines"), reason);
                self.feed.item(PointItem::Finding(finding.times(more)))?;
            }
        }
        if self.datasets > 0 {
            let finding = Finding::normalised(
                Kind::Points,
                place.to_string(),
                rule::METRIC_DATASET_DROPPED,
            );
            self.feed
                .item(PointItem::Finding(finding.times(self.datasets)))?;
        }
        let Some(latest) = self.latest else {
            return Ok(());
        };
        let latest = Value::F64(latest.value()).to_json();
        self.feed.item(PointItem::Summary(JsonObject::from_iter([(
            self.key.to_string(),
            latest,
        )])))
    }

    /// Makes room for the points that a file of this size has about.
    fn reserve(&mut self, file: &fs::File) {
        let bytes = file.metadata().map_or(0, |meta| meta.len());
        let points = usize::try_from(bytes / LINE).unwrap_or(usize::MAX);
        let points = points.min(MAX_BATCH_POINTS);
        self.steps.reserve_exact(points);
        self.times.reserve_exact(points);
        self.values.reserve_exact(points);
    }

    fn take(&mut self, line: Line<'_>) -> Filled {
        self.line += 1;
        let text = match line {
            Line::Whole(text) => text.trim_ascii(),
            Line::Cut => return self.report(CUT),
            Line::TooLong => return self.report(LONG),
        };
        if text.is_empty() {
            return Ok(());
        }
        let Some(point) = MetricLine::parse(text) else {
            return self.report(MALFORMED);
        };
        if let Some(rest) = point.rest {
            if dataset(rest).is_none() {
                return self.report(MALFORMED);
            }
            self.datasets += 1;
        }
        let MetricLine {
            time, value, step, ..
        } = point;
        match &mut self.latest {
            Some(latest) => latest.observe(step, time, value),
            None => self.latest = Some(Latest::new(step, time, value)),
        }
        self.steps.push(step);
        self.times.push(time);
        self.values.push(value);
        if self.steps.len() >= MAX_BATCH_POINTS {
            self.send()
        } else {
            Ok(())
        }
    }

    fn report(&mut self, reason: &'static str) -> Filled {
        let count = self.unread.entry(reason).or_default();
        *count += 1;
        if *count > REPORTED {
            return Ok(());
        }
        let place = format!("{}:{}", self.path.display(), self.line);
        self.feed.item(PointItem::Finding(Finding::unreadable(
            Kind::Points,
            place,
            reason,
        )))
    }

    fn send(&mut self) -> Filled {
        let count = self.steps.len();
        if count == 0 {
            return Ok(());
        }
        let full = count >= MAX_BATCH_POINTS;
        let take = |column: &mut Vec<i64>| {
            let next = if full {
                Vec::with_capacity(count)
            } else {
                Vec::new()
            };
            std::mem::replace(column, next)
        };
        let batch = PointBatch {
            key: self.key.clone(),
            rows: None,
            steps: take(&mut self.steps),
            times: Some(Times::from_millis(take(&mut self.times))),
            values: Values::F64(std::mem::take(&mut self.values)),
        };
        self.feed.heavy(PointItem::Batch(batch), count)
    }
}
