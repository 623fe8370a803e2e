//! How fast filters are, beside what SQLite does with the same documents.
//!
//! It is given a folder with `docs.jsonl` (one document a line) and `filters.json` (an object of
//! filters). Prints one JSON document a line: `name`, `unit`, and the figure of each of the
//! `rounds`; a figure is the best of some tries.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that has to be right or to stop"
)]

use std::{collections::BTreeMap, env, fs, hint::black_box, path::Path, str, time::Instant};

use query_dsl::{
    Column, ColumnType, Filter, Matcher, SqlValue, SqliteDialect, Value,
    lazy::{JsonText, Jsonb},
    push_down,
};
use rusqlite::{Connection, params_from_iter, types::Value as Bound};

const ROUNDS: usize = 3;
const TRIES: usize = 3;
/// How many parsed documents are held at once, and how many SQLite reads through.
const HELD: usize = 10_000;

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
    let text = fs::read_to_string(folder.join("docs.jsonl")).unwrap();
    let documents: Vec<&str> = text.lines().collect();
    let filters = fs::read_to_string(folder.join("filters.json")).unwrap();
    let filters: BTreeMap<String, serde_json::Value> = serde_json::from_str(&filters).unwrap();
    let mut figures = Figures::default();
    let few = documents.get(..HELD).unwrap_or(&documents);
    let scanned = database(few);
    for (name, by_hand) in BY_HAND {
        let filter = Filter::parse_json(&filters[name].to_string()).unwrap();
        let matcher = filter.compile().unwrap();
        for _ in 0..ROUNDS {
            parsed(name, &matcher, few, &mut figures);
            unparsed(name, &matcher, few, &scanned, by_hand, &mut figures);
        }
    }
    let indexed = database(&documents);
    indexed
        .execute_batch(
            "CREATE INDEX f1 ON docs (json_extract(doc, '$.state'), json_extract(doc, '$.config.lr'));
             CREATE INDEX f2 ON docs (json_extract(doc, '$.summary_metrics.acc'))",
        )
        .unwrap();
    for (name, by_hand) in &BY_HAND[..2] {
        let filter = Filter::parse_json(&filters[*name].to_string()).unwrap();
        for _ in 0..ROUNDS {
            pushed(name, &filter, &indexed, by_hand, &mut figures);
        }
    }
    figures.print();
}

fn database(documents: &[&str]) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database
        .execute_batch("CREATE TABLE docs (id INTEGER PRIMARY KEY, doc TEXT); BEGIN")
        .unwrap();
    let mut insert = database
        .prepare("INSERT INTO docs (doc) VALUES (?)")
        .unwrap();
    for document in documents {
        insert.execute([document]).unwrap();
    }
    drop(insert);
    database.execute_batch("COMMIT").unwrap();
    database
}

/// Documents that were read before.
fn parsed(name: &str, matcher: &Matcher, documents: &[&str], figures: &mut Figures) {
    let held: Vec<Value> = documents
        .iter()
        .map(|doc| Value::parse_json(doc).unwrap())
        .collect();
    let (seconds, found) = best(|| held.iter().filter(|doc| matcher.matches(*doc)).count());
    let count = documents.len() as f64;
    figures.add(&format!("parsed: {name}"), "docs/s", count / seconds);
    figures.add(&format!("found: {name}"), "docs", found as f64);
}

/// Documents as bytes of text or of JSONB, beside SQLite that reads through the text.
fn unparsed(
    name: &str,
    matcher: &Matcher,
    documents: &[&str],
    database: &Connection,
    by_hand: &str,
    figures: &mut Figures,
) {
    let bytes: Vec<&[u8]> = documents.iter().map(|doc| doc.as_bytes()).collect();
    let mut binary = database.prepare("SELECT jsonb(doc) FROM docs").unwrap();
    let binary: Vec<Vec<u8>> = binary
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut statement = database
        .prepare(&format!("SELECT count(*) FROM docs WHERE {by_hand}"))
        .unwrap();
    let (theirs, expected) = best(|| statement.query_row([], |row| row.get::<_, i64>(0)).unwrap());
    let matches =
        |doc: &&&[u8]| matcher.matches(JsonText::new(str::from_utf8(doc).unwrap()).root());
    let (text, found) = best(|| bytes.iter().filter(matches).count());
    assert_eq!(i64::try_from(found).unwrap(), expected);
    let (jsonb, found) = best(|| {
        let matching = binary
            .iter()
            .filter(|doc| matcher.matches(Jsonb::new(doc).root()));
        matching.count()
    });
    assert_eq!(i64::try_from(found).unwrap(), expected);
    let count = documents.len() as f64;
    figures.add(&format!("text: {name}"), "docs/s", count / text);
    figures.add(&format!("JSONB: {name}"), "docs/s", count / jsonb);
    figures.add(&format!("SQLite's scan: {name}"), "docs/s", count / theirs);
    let unit = "× speed";
    figures.add(
        &format!("text / SQLite's scan: {name}"),
        unit,
        theirs / text,
    );
    figures.add(
        &format!("JSONB / SQLite's scan: {name}"),
        unit,
        theirs / jsonb,
    );
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
    let count = |sql: &str, params: &[Bound]| {
        let mut statement = database
            .prepare(&format!("SELECT count(*) FROM docs WHERE {sql}"))
            .unwrap();
        // Many, for one takes little.
        best(|| {
            let mut found = 0;
            for _ in 0..20 {
                let row = statement.query_row(params_from_iter(params), |row| row.get::<_, i64>(0));
                found = row.unwrap();
            }
            found
        })
    };
    let (theirs, expected) = count(by_hand, &[]);
    let (seconds, found) = count(&ours.sql, &params);
    assert_eq!(found, expected);
    let name = format!("pushed down / SQL by hand: {name}");
    figures.add(&name, "× time", seconds / theirs);
}

/// The seconds of the fastest try, and what it gives.
fn best<T>(mut work: impl FnMut() -> T) -> (f64, T) {
    let mut least: Option<(f64, T)> = None;
    for _ in 0..TRIES {
        let start = Instant::now();
        let given = black_box(work());
        let seconds = start.elapsed().as_secs_f64();
        if least.as_ref().is_none_or(|(before, _)| seconds < *before) {
            least = Some((seconds, given));
        }
    }
    least.unwrap()
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
