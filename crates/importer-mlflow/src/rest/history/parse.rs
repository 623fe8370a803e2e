//! Pages of points, parsed straight into columns: no allocation for a point.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::Columns;
use crate::rest::number::{Double, Int};

/// A page of the history of one series.
#[derive(Debug, Default, PartialEq)]
pub(super) struct HistoryPage {
    pub(super) points: Columns,
    pub(super) next_page_token: Option<String>,
}

/// The points of several runs: those of a run together, if the server keeps its order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct BulkPage {
    pub(super) runs: Vec<(String, Columns)>,
}

impl BulkPage {
    /// How many points of all runs.
    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(|(_, points)| points.len()).sum()
    }
}

/// Parses a page of one series.
pub(super) fn history_page(body: &[u8]) -> serde_json::Result<HistoryPage> {
    tolerant(body, |body| {
        let mut page = HistoryPage::default();
        let mut take = |point: Point<'_>| {
            page.points
                .push(point.timestamp.0, point.step.0, point.value.0);
            Ok(())
        };
        let token = read(&mut serde_json::Deserializer::from_slice(body), &mut take)?;
        page.next_page_token = token;
        Ok(page)
    })
}

/// Parses the points of several runs.
pub(super) fn bulk_page(body: &[u8]) -> serde_json::Result<BulkPage> {
    tolerant(body, |body| {
        let mut page = BulkPage::default();
        let mut take = |point: Point<'_>| {
            if page.runs.last().is_none_or(|(run, _)| *run != point.run_id) {
                page.runs
                    .push((point.run_id.into_owned(), Columns::default()));
            }
            if let Some((_, points)) = page.runs.last_mut() {
                points.push(point.timestamp.0, point.step.0, point.value.0);
            }
            Ok(())
        };
        read(&mut serde_json::Deserializer::from_slice(body), &mut take)?;
        Ok(page)
    })
}

/// Parses a page of any length while it arrives, and gives each point away. Answers the token of
/// the next page.
pub(super) fn history_stream(
    body: impl std::io::Read,
    mut take: impl FnMut(i64, i64, f64) -> std::io::Result<()>,
) -> serde_json::Result<Option<String>> {
    let mut take = |point: Point<'_>| take(point.timestamp.0, point.step.0, point.value.0);
    read(&mut serde_json::Deserializer::from_reader(body), &mut take)
}

type Take<'t> = dyn FnMut(Point<'_>) -> std::io::Result<()> + 't;

fn read<'de, R: serde_json::de::Read<'de>>(
    from: &mut serde_json::Deserializer<R>,
    take: &mut Take<'_>,
) -> serde_json::Result<Option<String>> {
    let token = from.deserialize_map(PageVisitor(take))?;
    from.end()?;
    Ok(token)
}

#[derive(Deserialize)]
struct Point<'a> {
    #[serde(default)]
    value: Double,
    #[serde(default)]
    timestamp: Int,
    #[serde(default)]
    step: Int,
    #[serde(borrow, default)]
    run_id: Cow<'a, str>,
}

struct PageVisitor<'t, 'f>(&'t mut Take<'f>);

impl<'de> Visitor<'de> for PageVisitor<'_, '_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of points")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut token = None;
        while let Some(field) = map.next_key::<Cow<'de, str>>()? {
            match &*field {
                "metrics" => map.next_value_seed(Points(self.0))?,
                "next_page_token" => token = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(token)
    }
}

struct Points<'t, 'f>(&'t mut Take<'f>);

impl<'de> DeserializeSeed<'de> for Points<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Points<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of points")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(point) = seq.next_element::<Point<'de>>()? {
            (self.0)(point).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// Parses JSON in which NaN and infinities may stand as bare words, as Python writes them.
fn tolerant<T>(
    body: &[u8],
    parse: impl Fn(&[u8]) -> serde_json::Result<T>,
) -> serde_json::Result<T> {
    match parse(body) {
        Err(error) if error.is_syntax() => match quote_words(body) {
            Some(body) => parse(&body),
            None => Err(error),
        },
        parsed => parsed,
    }
}

/// Puts quotes around the bare words; `None` if there are none.
fn quote_words(body: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut out = Vec::with_capacity(body.len() + body.len() / 16);
    let mut found = false;
    let mut rest = body;
    while let Some(byte) = rest.first() {
        let taken = if *byte == b'"' {
            string_length(rest)
        } else if let Some(word) = WORDS.iter().find(|word| rest.starts_with(word)) {
            found = true;
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            rest = rest.get(word.len()..).unwrap_or_default();
            continue;
        } else {
            1
        };
        let (part, after) = rest.split_at(taken.min(rest.len()));
        out.extend_from_slice(part);
        rest = after;
    }
    found.then_some(out)
}

/// The length of the string that begins here, quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut bytes = text.iter().enumerate().skip(1);
    while let Some((i, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{
  "metrics": [
    {"key": "a", "value": 0.5, "timestamp": 1700000000000, "step": 3},
    {"key": "a", "value": "NaN", "timestamp": "9007199254740993", "step": -9223372036854775808},
    {"key": "a", "value": "-Infinity"}
  ],
  "next_page_token": "eyJ9"
}"#;

    #[test]
    fn a_page_in_columns() {
        let page = history_page(PAGE.as_bytes()).unwrap();
        assert_eq!(
            page.points.times,
            [1_700_000_000_000, 9_007_199_254_740_993, 0]
        );
        assert_eq!(page.points.steps, [3, i64::MIN, 0]);
        assert!(page.points.values[1].is_nan());
        assert_eq!(page.points.values[2], f64::NEG_INFINITY);
        assert_eq!(page.next_page_token.as_deref(), Some("eyJ9"));
        assert_eq!(history_page(b"{}").unwrap(), HistoryPage::default());
    }

    #[test]
    fn a_page_that_arrives() {
        let mut points = Columns::default();
        let token = history_stream(PAGE.as_bytes(), |time, step, value| {
            points.push(time, step, value);
            Ok(())
        });
        assert_eq!(token.unwrap().as_deref(), Some("eyJ9"));
        assert_eq!(
            points.steps,
            history_page(PAGE.as_bytes()).unwrap().points.steps
        );
    }

    #[test]
    fn several_runs_and_bare_words() {
        let body = br#"{"metrics":[{"key":"NaN \" Infinity","run_id":"a","step":1,"timestamp":2,"value":NaN},
            {"run_id":"a","step":2,"timestamp":2,"value":-Infinity},{"run_id":"b","step":1,"timestamp":2,"value":Infinity}]}"#;
        let page = bulk_page(body).unwrap();
        assert_eq!(page.len(), 3);
        assert_eq!(page.runs[0].0, "a");
        assert!(page.runs[0].1.values[0].is_nan());
        assert_eq!(page.runs[0].1.values[1], f64::NEG_INFINITY);
        assert_eq!(page.runs[1].1.values, [f64::INFINITY]);
    }

    #[test]
    fn broken_pages() {
        for (body, eof) in [
            (&PAGE[..60], true),
            (r#"{"metrics":[{"value":true}]}"#, false),
            (r#"{"metrics":[{"step":0.5}]}"#, false),
            (r#"{"metrics":{}}"#, false),
            (r#"{"metrics":[nope]}"#, false),
            ("<html></html>", false),
            ("", true),
        ] {
            let error = history_page(body.as_bytes()).unwrap_err();
            assert_eq!(error.is_eof(), eof, "{body}: {error}");
        }
        assert!(
            history_page(br#"{"metrics":[{"value":NaN"#)
                .unwrap_err()
                .is_eof()
        );
    }
}
