//! Texts and bytes that are nearly right: cases with some bytes changed, always the same ones.
//!
//! `QUERY_FUZZ_SECONDS` says how long to go on, and `QUERY_FUZZ_SEED` where to begin.

use std::{
    env,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use query_dsl::{
    Documents, Filter, JsonOptions, Node, Order, ParseOptions, Path, Value,
    lazy::{JsonText, Jsonb},
};
use rusqlite::Connection;

use crate::data::{cases, lines};

/// How many inputs are tried when nobody says how long.
const INPUTS: usize = 3000;
/// An input takes at most this much, whatever is in it, and so much more for each of its bytes.
const LEAST: Duration = Duration::from_secs(2);
const EACH_BYTE: Duration = Duration::from_micros(200);

/// Numbers that look random (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// A number below a limit that is not 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit
    }
}

/// What parsers have special words for.
const WORDS: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    ".",
    "\\",
    "\\u",
    "\\ud83d",
    "$",
    "$or",
    "$not",
    "$regex",
    "{\"$date\":",
    "{\"$numberLong\":\"",
    "null",
    "true",
    "-",
    "1e",
    "0",
    "99999999999999999999",
    "(",
    ")",
    " and ",
    " not ",
    "in",
    "~",
    "*",
    "é",
    "\0",
];

/// Changes some bytes.
fn mutated(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut out = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(out.len() + 1);
        let end = (at + numbers.below(9)).min(out.len());
        match numbers.below(7) {
            0 => out.truncate(at.max(1)),
            1 => drop(out.drain(at..end)),
            2 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << numbers.below(8);
                }
            }
            3 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte = numbers.below(256) as u8;
                }
            }
            4 => {
                let word = WORDS[numbers.below(WORDS.len())].as_bytes();
                drop(out.splice(at..at, word.iter().copied()));
            }
            5 => {
                let part = out[at..end].repeat(1 + numbers.below(300));
                drop(out.splice(at..end, part));
            }
            _ => {
                let from = numbers.below(other.len() + 1);
                let to = (from + numbers.below(40)).min(other.len());
                drop(out.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    out
}

/// Texts of every kind, and documents as JSONB.
fn seeds() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let database = Connection::open_in_memory().unwrap();
    let mut jsonb = database.prepare("SELECT jsonb(?)").unwrap();
    let (mut texts, mut binary) = (Vec::new(), Vec::new());
    for (index, case) in cases().into_iter().enumerate() {
        if let Ok(filter) = Filter::parse_json(&case.filter) {
            texts.extend(filter.to_short().map(String::into_bytes));
        }
        texts.push(case.filter.into_bytes());
        let document = case.documents[index % case.documents.len()].to_json();
        binary.push(jsonb.query_row([&document], |row| row.get(0)).unwrap());
        texts.push(document.into_bytes());
    }
    for line in lines("query-invalid.jsonl") {
        texts.extend(line.raw("filter").map(|raw| raw.as_bytes().to_vec()));
    }
    let paths = [
        "+a.b",
        "-config[\"a.b\"].c",
        "a.0.b",
        "name = 'x' and (lr > 0.1 or not tags in [a, b]) and created > 7d",
    ];
    texts.extend(paths.map(|text| text.as_bytes().to_vec()));
    (texts, binary)
}

fn check_text(text: &str) {
    let now = Timestamp::UNIX_EPOCH;
    let lenient = ParseOptions::default()
        .lenient()
        .with_python_json()
        .with_contains();
    let read = [
        Filter::parse_json(text),
        Filter::parse_short(text, now),
        Filter::parse_any(text, now, &lenient),
    ];
    let document = JsonText::new(text);
    for (index, filter) in read.iter().enumerate() {
        let Ok(filter) = filter else { continue };
        let matcher = filter.compile().unwrap();
        let found = matcher.matches(document.root());
        // What only a lenient reader takes cannot be read back by a strict one.
        if index < 2 {
            let again = Filter::parse_json(&filter.to_json()).unwrap();
            assert_eq!(again, filter.canonical(), "{text}");
            assert_eq!(
                again.compile().unwrap().matches(document.root()),
                found,
                "{text}"
            );
            if let Some(short) = filter.to_short() {
                let again = Filter::parse_short(&short, now).unwrap();
                assert_eq!(again.canonical(), filter.canonical(), "{text} as {short}");
            }
        }
    }
    if let Ok(path) = text.parse::<Path>() {
        assert_eq!(
            path.to_string().parse::<Path>().as_ref(),
            Ok(&path),
            "{text}"
        );
    }
    if let Ok(order) = text.parse::<Order>() {
        let again: Order = order.keys[0].to_string().parse().unwrap();
        assert_eq!(again, order, "{text}");
        order.key(document.root());
    }
    let strict = JsonOptions::default();
    if let Ok(value) = Value::parse_json_with(text, &strict) {
        assert_eq!(
            Value::parse_json(&value.to_json()).as_ref(),
            Ok(&value),
            "{text}"
        );
        assert_eq!(crate::lazy::copy(document.root()), value, "{text}");
    }
    let mut kept = Documents::new();
    kept.push(document.root()).unwrap();
    assert_eq!(
        kept.iter().map(go_through).sum::<usize>(),
        go_through(document.root()),
        "{text}"
    );
}

fn go_through<'a, N: Node<'a>>(node: N) -> usize {
    let _ = node.kind();
    let items: usize = node.items().map(go_through).sum();
    let entries: usize = node
        .entries()
        .map(|(key, value)| key.len() + go_through(value))
        .sum();
    1 + items + entries
}

#[test]
fn near_misses_do_no_harm() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let until = number("QUERY_FUZZ_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let mut numbers = Numbers(number("QUERY_FUZZ_SEED").unwrap_or(1).max(1));
    let (texts, binary) = seeds();
    let mut tried = 0;
    while until.map_or(tried < INPUTS, |until| Instant::now() < until) {
        let seeds = if tried % 4 == 0 { &binary } else { &texts };
        let seed = &seeds[numbers.below(seeds.len())];
        let other = &seeds[numbers.below(seeds.len())];
        let input = mutated(seed, other, &mut numbers);
        let start = Instant::now();
        go_through(Jsonb::new(&input).root());
        let text = String::from_utf8_lossy(&input);
        check_text(&text);
        let limit = LEAST + EACH_BYTE * u32::try_from(input.len()).unwrap();
        assert!(start.elapsed() < limit, "{:?} for {text}", start.elapsed());
        tried += 1;
    }
    assert!(tried > 0);
}
