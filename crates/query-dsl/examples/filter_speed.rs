//! How fast filters are, beside what SQLite does with the same documents.
//!
//! It is given a folder with `docs.jsonl` (one document a line) and `filters.json` (an object of
//! filters). Prints one JSON document a line: `name`, `unit`, and the figure of each of the
//! `rounds`. What is compared takes turns; a figure is the best of some turns, in processor time
//! where the system tells it.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that has to be right or to stop"
)]

use std::{collections::BTreeMap, env, fs, hint::black_box, path::Path, str, time::Duration};

use query_dsl::{
    Column, ColumnType, Documents, Filter, SqlValue, SqliteDialect, Value,
    lazy::{JsonText, Jsonb},
    push_down,
};
use rusqlite::{Connection, Statement, params_from_iter, types::Value as Bound};

const ROUNDS: usize = 5;
const TURNS: usize = 3;
/// How often what takes little is done at once.
const OFTEN: usize = 20;

/// What one would write for SQLite by hand.
const BY_HAND: [(&str, &str); 5] = [
    (
        "f1_eq_range",
        "json_extract(doc, '$.state') = 'finished' AND json_extract(doc, '$.config.lr') <= 0.01",
    ),
    (
        "f2_metric_gt",
        "json_extract(doc, '$.summary_metrics.acc') > 0.9",
    ),
    (
        "f3_tags_in",
        "EXISTS (SELECT 1 FROM json_each(doc, '$.tags') WHERE value IN ('baseline', 'prod')) \
         AND json_extract(doc, '$.config.optimizer') = 'adam'",
    ),
    (
        "f4_or_regex",
        "(json_extract(doc, '$.display_name') GLOB 'eager*' \
         OR json_extract(doc, '$.config.model.name') = 'resnet50') \
         AND coalesce(json_extract(doc, '$.state') != 'crashed', 1)",
    ),
    (
        "f5_and_mix",
        "json_extract(doc, '$.created_at') >= '2024-03-01' \
         AND json_extract(doc, '$.created_at') < '2024-06-01' \
         AND json_type(doc, '$.summary_metrics.loss') IS NOT NULL \
         AND coalesce(json_extract(doc, '$.config.batch_size') NOT IN (16, 32), 1) \
         AND json_array_length(doc, '$.tags') != 0",
    ),
];

fn main() {
    let folder = env::args_os().nth(1).unwrap();
    let folder = Path::new(&folder);
    let text = fs::read(folder.join("docs.jsonl")).unwrap();
    let lines: Vec<&[u8]> = text.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    let filters = fs::read_to_string(folder.join("filters.json")).unwrap();
    let filters: BTreeMap<String, serde_json::Value> = serde_json::from_str(&filters).unwrap();
    let filters = BY_HAND.map(|(name, by_hand)| {
        let filter = Filter::parse_json(&filters[name].to_string()).unwrap();
        (name, filter, by_hand)
    });
    let mut figures = Figures::default();
    parsed(&lines, &filters, &mut figures);
    let database = database(&lines);
    unparsed(&lines, &filters, &database, &mut figures);
    database
        .execute_batch(
            "CREATE INDEX f1 ON docs (json_extract(doc, '$.state'), json_extract(doc, '$.config.lr'));
             CREATE INDEX f2 ON docs (json_extract(doc, '$.summary_metrics.acc'))",
        )
        .unwrap();
    for (name, filter, by_hand) in &filters[..2] {
        pushed(name, filter, &database, by_hand, &mut figures);
    }
    figures.print();
}

/// A filter with its name, and what one would write for SQLite.
type Named = (&'static str, Filter, &'static str);

fn database(lines: &[&[u8]]) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database
        .execute_batch("CREATE TABLE docs (id INTEGER PRIMARY KEY, doc TEXT); BEGIN")
        .unwrap();
    let mut insert = database
        .prepare("INSERT INTO docs (doc) VALUES (?)")
        .unwrap();
    for line in lines {
        insert.execute([str::from_utf8(line).unwrap()]).unwrap();
    }
    drop(insert);
    database.execute_batch("COMMIT").unwrap();
    database
}

/// Documents that were read before: kept to be asked, and as values.
fn parsed(lines: &[&[u8]], filters: &[Named], figures: &mut Figures) {
    let values: Vec<Value> = lines
        .iter()
        .map(|line| Value::parse_json(str::from_utf8(line).unwrap()).unwrap())
        .collect();
    let mut documents = Documents::new();
    for value in &values {
        documents.push(value).unwrap();
    }
    let count = lines.len() as f64;
    for (name, filter, _) in filters {
        let matcher = filter.compile().unwrap();
        let kept = || documents.iter().filter(|doc| matcher.matches(*doc)).count();
        let held = || values.iter().filter(|doc| matcher.matches(*doc)).count();
        let found = kept();
        assert_eq!(held(), found);
        figures.add(&format!("found: {name}"), "docs", found as f64);
        let often = || (0..OFTEN).map(|_| black_box(kept())).sum();
        for _ in 0..ROUNDS {
            let [kept, held] = turns([&mut { often }, &mut { held }]);
            let kept = count * OFTEN as f64 / kept;
            figures.add(&format!("parsed: {name}"), "docs/s", kept);
            figures.add(&format!("values: {name}"), "docs/s", count / held);
        }
    }
}

/// Documents as bytes of text or of JSONB, beside SQLite that reads through the text.
fn unparsed(lines: &[&[u8]], filters: &[Named], database: &Connection, figures: &mut Figures) {
    let mut binary = database.prepare("SELECT jsonb(doc) FROM docs").unwrap();
    let binary: Vec<Vec<u8>> = binary
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let count = lines.len() as f64;
    for (name, filter, by_hand) in filters {
        let matcher = filter.compile().unwrap();
        let mut scan = database
            .prepare(&format!("SELECT count(*) FROM docs WHERE {by_hand}"))
            .unwrap();
        let mut scan = || found_by(&mut scan, &[]);
        let in_text =
            |line: &&&[u8]| matcher.matches(JsonText::new(str::from_utf8(line).unwrap()).root());
        let mut in_text = || lines.iter().filter(in_text).count();
        let in_jsonb = |bytes: &&Vec<u8>| matcher.matches(Jsonb::new(bytes).root());
        let mut in_jsonb = || binary.iter().filter(in_jsonb).count();
        let found = scan();
        assert_eq!((in_text(), in_jsonb()), (found, found));
        for _ in 0..ROUNDS {
            let [text, jsonb, scan] = turns([&mut in_text, &mut in_jsonb, &mut scan]);
            for (what, seconds) in [("text", text), ("JSONB", jsonb)] {
                figures.add(&format!("{what}: {name}"), "docs/s", count / seconds);
                let ratio = format!("{what} / SQLite's scan: {name}");
                figures.add(&ratio, "× speed", scan / seconds);
            }
            figures.add(&format!("SQLite's scan: {name}"), "docs/s", count / scan);
        }
    }
}

/// How many rows a statement counts.
fn found_by(statement: &mut Statement<'_>, params: &[Bound]) -> usize {
    let row = statement.query_row(params_from_iter(params), |row| row.get::<_, i64>(0));
    usize::try_from(row.unwrap()).unwrap()
}

/// What is pushed down to an index over expressions, beside SQL by hand.
fn pushed(
    name: &str,
    filter: &Filter,
    database: &Connection,
    by_hand: &str,
    figures: &mut Figures,
) {
    let dialect = SqliteDialect::new(|path| {
        let kind = match path.parts().last()?.as_str() {
            "state" => ColumnType::Text,
            _ => ColumnType::Real,
        };
        Some(Column {
            sql: format!("json_extract(doc, '$.{}')", path.parts().join(".")),
            kind,
            taken: path.parts().len(),
        })
    });
    let ours = push_down(filter, &dialect);
    assert_eq!(ours.residual, None);
    let ours = ours.sql.unwrap();
    let params: Vec<Bound> = ours
        .params
        .iter()
        .map(|param| match param {
            SqlValue::Integer(value) => Bound::Integer(*value),
            SqlValue::Real(value) => Bound::Real(*value),
            SqlValue::Text(value) => Bound::Text(value.clone()),
            _ => Bound::Null,
        })
        .collect();
    let prepare = |sql: &str| {
        let sql = format!("SELECT count(*) FROM docs WHERE {sql}");
        database.prepare(&sql).unwrap()
    };
    let (mut ours, mut theirs) = (prepare(&ours.sql), prepare(by_hand));
    assert_eq!(found_by(&mut ours, &params), found_by(&mut theirs, &[]));
    // Many, for one takes little.
    let mut ours = || (0..OFTEN).map(|_| found_by(&mut ours, &params)).sum();
    let mut theirs = || (0..OFTEN).map(|_| found_by(&mut theirs, &[])).sum();
    for _ in 0..ROUNDS {
        let [ours, theirs] = turns([&mut ours, &mut theirs]);
        let name = format!("pushed down / SQL by hand: {name}");
        figures.add(&name, "× time", ours / theirs);
    }
}

/// The seconds of the fastest of some turns, for each.
fn turns<const N: usize>(mut works: [&mut dyn FnMut() -> usize; N]) -> [f64; N] {
    let mut least = [f64::INFINITY; N];
    for _ in 0..TURNS {
        for (work, least) in works.iter_mut().zip(&mut least) {
            let start = now();
            black_box(work());
            *least = least.min((now() - start).as_secs_f64());
        }
    }
    least
}

/// The processor time of this thread.
#[cfg(unix)]
fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

#[cfg(not(unix))]
fn now() -> Duration {
    use std::{sync::LazyLock, time::Instant};
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

#[derive(Default)]
struct Figures(BTreeMap<(String, String), Vec<f64>>);

impl Figures {
    fn add(&mut self, name: &str, unit: &str, figure: f64) {
        let key = (name.to_owned(), unit.to_owned());
        self.0.entry(key).or_default().push(figure);
    }

    fn print(&self) {
        for ((name, unit), rounds) in &self.0 {
            println!("{{\"name\":{name:?},\"unit\":{unit:?},\"rounds\":{rounds:?}}}");
        }
    }
}
