//! The history of a run.
//!
//! The rows of a run are read in order of their `rowid`, which is that of the only index that all
//! versions of MLflow have, some ten thousand in each transaction, and put into series. What does
//! not fit in memory is sorted in temporary files.

use std::collections::{BTreeMap, HashMap};

use importer_core::{Finding, Kind, PointItem, PointsQuery};
use rusqlite::{CachedStatement, Connection, types::ValueRef};
use tracker_model::{
    Error, JsonObject, MAX_BATCH_POINTS, PointBatch, SeriesKey, Times, Value, Values,
};

use super::{
    cells::{double, integer},
    database::Database,
    runs::{self, quoted},
    schema::Schema,
    series::{Point, Series, Spill},
};
use crate::{
    blocking::{Feed, Filled, Stop},
    mapping::{Latest, rule},
};

/// Rows that are read in one transaction: some tens of milliseconds.
const ROWS: i64 = 65_536;
/// Points of a run that are sorted in memory.
const IN_MEMORY: usize = 400_000;

/// Sends the points that are asked for, series by series in byte order of their keys. Databases of
/// old versions do not keep the latest points: what the summary says of a series comes after it.
pub(super) fn read(
    database: &Database,
    run_id: &str,
    query: &PointsQuery,
    restore_infinities: bool,
    feed: &mut Feed<PointItem>,
) -> Filled {
    let schema = database.schema();
    let mut reader = Reader::new(query, run_id);
    let known = database.read("reading the metrics of a run of", |c| {
        keys(c, schema, run_id)
    })?;
    for key in known {
        reader.keys.add(key.as_bytes(), query);
    }
    let sql = statement(schema);
    let mut after = i64::MIN;
    loop {
        let read = |c: &Connection| reader.rows(&mut c.prepare_cached(&sql)?, after);
        match database.read("reading the points of a run of", read)? {
            Some(last) => after = last,
            None => break,
        }
        if feed.is_dropped() {
            return Err(Stop::Dropped);
        }
        if reader.points > IN_MEMORY {
            reader.spill()?;
        }
    }
    // A run that somebody deletes meanwhile has not simply fewer points.
    if !database.read("reading a run of", |c| runs::exists(c, run_id))? {
        return Err(Error::not_found(format_args!("run {run_id}")).into());
    }
    let out = Out {
        run_id,
        restore_infinities,
        summarised: !schema.has("latest_metrics"),
        feed,
    };
    reader.send(out)
}

/// The keys of a run, where they can be had cheaply; others are met among the points.
fn keys(c: &Connection, schema: &Schema, run_id: &str) -> rusqlite::Result<Vec<String>> {
    if !schema.has("latest_metrics") {
        return Ok(Vec::new());
    }
    let mut statement = c.prepare_cached("SELECT key FROM latest_metrics WHERE run_uuid = ?1")?;
    let mut keys = Vec::new();
    let mut rows = statement.query([run_id])?;
    while let Some(row) = rows.next()? {
        keys.extend(row.get_ref(0)?.as_str().ok().map(str::to_owned));
    }
    keys.sort_unstable();
    Ok(keys)
}

fn statement(schema: &Schema) -> String {
    let index = schema
        .metrics_by_run
        .as_ref()
        .map_or_else(String::new, |i| format!("INDEXED BY {}", quoted(i)));
    format!(
        "SELECT m.rowid, m.key, m.timestamp, m.value, {} FROM metrics m {index} \
         WHERE m.run_uuid = ?1 AND m.rowid > ?2 ORDER BY m.rowid LIMIT ?3",
        schema.select("metrics", "m", &["step", "is_nan"])
    )
}

/// The keys of a run by number.
#[derive(Default)]
struct Keys {
    numbers: HashMap<Box<[u8]>, usize>,
    all: Vec<Key>,
    last: usize,
}

struct Key {
    bytes: Box<[u8]>,
    /// The key that followed on it the last time: points are logged in the same order again.
    next: usize,
    wanted: bool,
}

impl Keys {
    fn add(&mut self, key: &[u8], query: &PointsQuery) -> usize {
        let number = self.all.len();
        let wanted = query.wants(&String::from_utf8_lossy(key));
        self.all.push(Key {
            bytes: key.into(),
            next: 0,
            wanted,
        });
        self.numbers.insert(key.into(), number);
        number
    }

    fn number(&mut self, key: &[u8], query: &PointsQuery) -> usize {
        let is = |number: usize| self.all.get(number).is_some_and(|k| *k.bytes == *key);
        if is(self.last) {
            return self.last;
        }
        let next = self.all.get(self.last).map_or(0, |k| k.next);
        let number = match is(next) {
            true => next,
            false => self
                .numbers
                .get(key)
                .copied()
                .unwrap_or_else(|| self.add(key, query)),
        };
        if let Some(last) = self.all.get_mut(self.last) {
            last.next = number;
        }
        self.last = number;
        number
    }
}

/// Puts rows into series.
struct Reader<'a> {
    query: &'a PointsQuery,
    run_id: &'a str,
    keys: Keys,
    /// By the number of the key.
    series: Vec<Series>,
    points: usize,
    spill: Option<Spill>,
    /// How many points could not be read, by key and reason.
    bad: BTreeMap<(usize, &'static str), u64>,
    /// How many values were NULL, by key.
    nulls: BTreeMap<usize, u64>,
}

impl<'a> Reader<'a> {
    fn new(query: &'a PointsQuery, run_id: &'a str) -> Self {
        Self {
            query,
            run_id,
            keys: Keys::default(),
            series: Vec::new(),
            points: 0,
            spill: None,
            bad: BTreeMap::new(),
            nulls: BTreeMap::new(),
        }
    }

    /// Reads the next rows. Answers the last of them if there may be more.
    fn rows(
        &mut self,
        statement: &mut CachedStatement<'_>,
        after: i64,
    ) -> rusqlite::Result<Option<i64>> {
        let mut rows = statement.query(rusqlite::params![self.run_id, after, ROWS])?;
        let (mut count, mut last) = (0, after);
        while let Some(row) = rows.next()? {
            count += 1;
            last = integer(row.get_ref(0)?).unwrap_or(last);
            let number = match row.get_ref(1)? {
                ValueRef::Text(key) | ValueRef::Blob(key) => self.keys.number(key, self.query),
                other => {
                    let key = super::cells::text(other).ok().flatten().unwrap_or_default();
                    self.keys.number(key.as_bytes(), self.query)
                }
            };
            if !self.keys.all.get(number).is_some_and(|key| key.wanted) {
                continue;
            }
            let time = row.get_ref(2)?;
            let value = row.get_ref(3)?;
            let step = row.get_ref(4)?;
            let is_nan = matches!(row.get_ref(5)?, ValueRef::Integer(n) if n != 0);
            self.row(number, time, step, value, is_nan);
        }
        Ok((count == ROWS).then_some(last))
    }

    fn row(
        &mut self,
        key: usize,
        time: ValueRef<'_>,
        step: ValueRef<'_>,
        value: ValueRef<'_>,
        is_nan: bool,
    ) {
        let Some(time) = integer(time) else {
            return self.bad(key, "its time is not an integer");
        };
        let step = match step {
            // MLflow began without steps.
            ValueRef::Null => 0,
            step => match integer(step) {
                Some(step) => step,
                None => return self.bad(key, "its step is not an integer"),
            },
        };
        let value = match value {
            _ if is_nan => f64::NAN,
            // SQLite writes NULL for a NaN.
            ValueRef::Null => {
                *self.nulls.entry(key).or_default() += 1;
                f64::NAN
            }
            value => match double(value) {
                Some(value) => value,
                None => return self.bad(key, "its value is not a number"),
            },
        };
        if self.series.len() <= key {
            self.series.resize_with(key + 1, Series::default);
        }
        if let Some(series) = self.series.get_mut(key) {
            series.push(Point { time, step, value });
            self.points += 1;
        }
    }

    fn bad(&mut self, key: usize, reason: &'static str) {
        *self.bad.entry((key, reason)).or_default() += 1;
    }

    /// Moves the points to the sorter.
    fn spill(&mut self) -> Filled {
        let spill = self.spill.get_or_insert_with(Spill::new);
        for (key, series) in self.series.iter_mut().enumerate() {
            spill.take(key, std::mem::take(series))?;
        }
        self.points = 0;
        Ok(())
    }

    fn send(mut self, mut out: Out<'_>) -> Filled {
        if self.spill.is_some() {
            self.spill()?;
        }
        let names: Vec<Option<SeriesKey>> = self
            .keys
            .all
            .iter()
            .map(|k| std::str::from_utf8(&k.bytes).ok().map(SeriesKey::from))
            .collect();
        let name = |key: usize| names.get(key).and_then(Option::as_ref);
        for ((key, reason), count) in self.bad {
            out.finding(
                Finding::unreadable(Kind::Points, out.place(name(key)), reason).times(count),
            )?;
        }
        for (key, count) in self.nulls {
            if name(key).is_some() {
                out.finding(
                    Finding::normalised(Kind::Points, out.place(name(key)), rule::NULL_TO_NAN)
                        .times(count),
                )?;
            }
        }
        match self.spill {
            None => {
                let mut order: Vec<usize> = (0..self.series.len()).collect();
                order.sort_unstable_by_key(|key| self.keys.all.get(*key).map(|k| &k.bytes));
                for key in order {
                    let series = self
                        .series
                        .get_mut(key)
                        .map(std::mem::take)
                        .unwrap_or_default();
                    let Some(key) = name(key) else {
                        out.unnamed(
                            self.keys.all.get(key).map(|k| &*k.bytes),
                            series.len() as u64,
                        )?;
                        continue;
                    };
                    let mut sender = out.series(key.clone());
                    sender.points(series.sorted())?;
                    sender.end()?;
                }
            }
            Some(spill) => {
                let mut sorted = spill.sorted()?.peekable();
                while let Some(number) = sorted
                    .peek()
                    .and_then(|next| next.as_ref().ok())
                    .map(|p| p.key)
                {
                    let mut of_key = std::iter::from_fn(|| {
                        sorted.next_if(|next| next.as_ref().map_or(true, |p| p.key == number))
                    });
                    let Some(key) = name(number) else {
                        let count = of_key.by_ref().count() as u64;
                        out.unnamed(self.keys.all.get(number).map(|k| &*k.bytes), count)?;
                        continue;
                    };
                    let mut sender = out.series(key.clone());
                    for point in of_key {
                        sender.point(point.map_err(super::series::spill_failed)?.point)?;
                    }
                    sender.end()?;
                }
                if let Some(Err(e)) = sorted.next() {
                    return Err(super::series::spill_failed(e).into());
                }
            }
        }
        Ok(())
    }
}

/// Where the points go.
struct Out<'a> {
    run_id: &'a str,
    restore_infinities: bool,
    summarised: bool,
    feed: &'a mut Feed<PointItem>,
}

impl<'a> Out<'a> {
    fn place(&self, key: Option<&SeriesKey>) -> String {
        match key {
            Some(key) => format!("run {}, metric {key:?}", self.run_id),
            None => format!("run {}", self.run_id),
        }
    }

    fn finding(&mut self, finding: Finding) -> Filled {
        self.feed.item(PointItem::Finding(finding))
    }

    /// Counts the points of a metric whose name no key can be made of.
    fn unnamed(&mut self, key: Option<&[u8]>, count: u64) -> Filled {
        if count == 0 {
            return Ok(());
        }
        let place = format!(
            "run {}, metric {:?}",
            self.run_id,
            String::from_utf8_lossy(key.unwrap_or_default())
        );
        self.finding(
            Finding::unreadable(Kind::Points, place, "the metric's name is not UTF-8").times(count),
        )
    }

    fn series(&mut self, key: SeriesKey) -> SeriesSender<'_, 'a> {
        SeriesSender {
            key,
            out: self,
            steps: Vec::new(),
            times: Vec::new(),
            values: Vec::new(),
            latest: None,
            restored: 0,
        }
    }
}

/// Sends one series.
struct SeriesSender<'a, 'b> {
    key: SeriesKey,
    out: &'a mut Out<'b>,
    steps: Vec<i64>,
    times: Vec<i64>,
    values: Vec<f64>,
    latest: Option<Latest>,
    restored: u64,
}

impl SeriesSender<'_, '_> {
    /// Sends points that are all there are of the series.
    fn points(&mut self, points: Vec<Point>) -> Filled {
        let first = points.len().min(MAX_BATCH_POINTS);
        self.reserve(first);
        points.into_iter().try_for_each(|point| self.point(point))
    }

    fn reserve(&mut self, points: usize) {
        self.steps.reserve_exact(points);
        self.times.reserve_exact(points);
        self.values.reserve_exact(points);
    }

    fn point(
        &mut self,
        Point {
            time,
            step,
            mut value,
        }: Point,
    ) -> Filled {
        if self.out.restore_infinities && value.abs() == f64::MAX {
            value = f64::INFINITY.copysign(value);
            self.restored += 1;
        }
        if self.out.summarised {
            match &mut self.latest {
                Some(latest) => latest.observe(step, time, value),
                None => self.latest = Some(Latest::new(step, time, value)),
            }
        }
        self.steps.push(step);
        self.times.push(time);
        self.values.push(value);
        if self.steps.len() >= MAX_BATCH_POINTS {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Filled {
        let count = self.steps.len();
        if count == 0 {
            return Ok(());
        }
        let batch = PointBatch {
            key: self.key.clone(),
            rows: None,
            steps: std::mem::take(&mut self.steps),
            times: Some(Times::from_millis(std::mem::take(&mut self.times))),
            values: Values::F64(std::mem::take(&mut self.values)),
        };
        self.out.feed.heavy(PointItem::Batch(batch), count)
    }

    fn end(mut self) -> Filled {
        self.flush()?;
        if self.restored > 0 {
            let place = self.out.place(Some(&self.key));
            self.out.finding(
                Finding::normalised(Kind::Points, place, rule::DOUBLE_MAX_TO_INFINITY)
                    .times(self.restored),
            )?;
        }
        let Some(latest) = self.latest else {
            return Ok(());
        };
        let latest = Value::F64(latest.value()).to_json();
        let part = JsonObject::from_iter([(self.key.to_string(), latest)]);
        self.out.feed.item(PointItem::Summary(part))
    }
}
