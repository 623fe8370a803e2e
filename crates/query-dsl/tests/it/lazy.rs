//! Documents as JSON text and as JSONB read as the parsed ones do.

use proptest::{collection::vec, prelude::*};
use query_dsl::{
    Filter, Key, Kind, Node, Object, Value,
    lazy::{JsonText, Jsonb, MAX_DEPTH},
};
use rusqlite::Connection;

use crate::{data::cases, random};

/// A copy, by the methods of a node alone.
pub(crate) fn copy<'a, N: Node<'a>>(node: N) -> Value {
    match node.kind() {
        Kind::Null => Value::Null,
        Kind::Bool(value) => Value::Bool(value),
        Kind::Int(value) => Value::Int(value),
        Kind::Long(value) => Value::Long(value),
        Kind::Double(value) => Value::Double(value),
        Kind::String(value) => Value::String(value.to_owned()),
        Kind::Date(value) => Value::Date(value),
        Kind::Array => {
            let items: Vec<Value> = node.items().map(copy).collect();
            for (index, item) in items.iter().enumerate() {
                assert_eq!(node.item(index).map(shallow), Some(shallow(item)));
            }
            assert!(node.item(items.len()).is_none());
            Value::Array(items)
        }
        Kind::Object => {
            let entries = node
                .entries()
                .map(|(key, value)| (key.to_owned(), copy(value)));
            let entries: Object = entries.collect();
            for (key, value) in &entries {
                let expected = Some(shallow(value));
                assert_eq!(node.get(key).map(shallow), expected, "{key}");
                let known = Key::new(key.as_str());
                assert_eq!(node.get_key(&known).map(shallow), expected, "{key}");
            }
            assert!(node.get("no such key").is_none());
            assert!(node.get_key(&Key::new("no such key")).is_none());
            Value::Object(entries)
        }
        other => panic!("{other:?}"),
    }
}

/// What it is, without what is in it.
fn shallow<'a, N: Node<'a>>(node: N) -> String {
    format!("{:?}", node.kind())
}

/// What SQLite makes of JSON text.
struct Binary(Connection);

impl Binary {
    fn new() -> Self {
        Self(Connection::open_in_memory().unwrap())
    }

    fn of(&self, text: &str) -> Option<Vec<u8>> {
        let mut statement = self.0.prepare_cached("SELECT jsonb(?)").unwrap();
        statement.query_row([text], |row| row.get(0)).ok()
    }
}

/// The same JSON, said with more spaces and escapes, as some numbers tell.
fn dressed(json: &str, choices: &[u8]) -> String {
    let mut choices = choices.iter().cycle();
    let (mut out, mut in_string, mut escaped) = (String::new(), false, false);
    let mut digits = 0;
    for c in json.chars() {
        let choice = *choices.next().unwrap();
        match c {
            '"' if !escaped => {
                in_string = !in_string;
                out.push(c);
            }
            _ if escaped || digits > 0 => {
                digits = if escaped && c == 'u' {
                    4
                } else {
                    digits.max(1) - 1
                };
                escaped = false;
                out.push(c);
            }
            '\\' => {
                escaped = true;
                out.push(c);
            }
            c if in_string && choice.is_multiple_of(3) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            '{' | '}' | '[' | ']' | ',' | ':' if !in_string => {
                let space = |out: &mut String, which: u8| {
                    out.push_str(
                        ["", "", " ", "\n", "\t \r\n", "         "][usize::from(which % 6)],
                    );
                };
                space(&mut out, choice);
                out.push(c);
                space(&mut out, choice / 7);
            }
            c => out.push(c),
        }
    }
    out
}

#[test]
fn every_case_is_answered_alike() {
    let binary = Binary::new();
    let mut documents = 0;
    for case in cases() {
        let Some(expected) = case.expected else {
            continue;
        };
        let matcher = Filter::parse_json(&case.filter).unwrap().compile().unwrap();
        for (index, document) in case.documents.iter().enumerate() {
            let expected = expected.contains(&index);
            let json = document.to_json();
            for json in [dressed(&json, &[1, 3, 2]), json] {
                let text = JsonText::new(&json);
                assert_eq!(copy(text.root()), *document, "{json}");
                let found = matcher.matches(text.root());
                assert_eq!(found, expected, "{}: {} of {json}", case.id, case.filter);
                let bytes = binary.of(&json).unwrap();
                let stored = Jsonb::new(&bytes);
                assert_eq!(copy(stored.root()), *document, "{json}");
                let found = matcher.matches(stored.root());
                assert_eq!(found, expected, "{}: {} of {json}", case.id, case.filter);
            }
            documents += 1;
        }
    }
    assert!(documents > 10_000, "{documents}");
}

#[test]
fn numbers_are_read_as_in_parsed_documents() {
    let binary = Binary::new();
    let literals = "0 -0 1 -1 2147483647 2147483648 -2147483649 9007199254740993 \
        9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 \
        123456789012345678901234567890 0.1 -0.0 1e5 1E-5 1.5e+300 1e999 -1e999 5e-324 1e-999 \
        0.30000000000000004 2.2250738585072011e-308";
    for literal in literals.split_whitespace() {
        let expected = Value::parse_json(literal).unwrap();
        assert_eq!(copy(JsonText::new(literal).root()), expected, "{literal}");
        let bytes = binary.of(literal).unwrap();
        assert_eq!(copy(Jsonb::new(&bytes).root()), expected, "{literal}");
    }
}

#[test]
fn json5_is_understood_where_sqlite_kept_it() {
    let binary = Binary::new();
    let check = |json5: &str, json: &str| {
        let bytes = binary.of(json5).unwrap();
        let found = copy(Jsonb::new(&bytes).root());
        assert_eq!(found, Value::parse_json(json).unwrap(), "{json5}");
    };
    check("0x1F", "31");
    check("-0xff", "-255");
    check("0xFFFFFFFFFFFFFFFF", "18446744073709551615");
    check("[+1, +.5, 5., -.5e2]", "[1,0.5,5.0,-50.0]");
    check("[Infinity, -Infinity]", "[1e999,-1e999]");
    check(
        r"{a: 'it\'s', $b: '\x41\v\0'}",
        r#"{"a":"it's","$b":"A\u000b\u0000"}"#,
    );
    check("'a\\\nb\\\r\nc'", r#""abc""#);
}

#[test]
fn faults_in_text_have_answers() {
    let check = |text: &str, expected: &str| {
        let found = copy(JsonText::new(text).root());
        assert_eq!(found, Value::parse_json(expected).unwrap(), "{text}");
    };
    check("", "null");
    check("nul", "null");
    check("truex", "null");
    check("01", "null");
    check("1.", "null");
    check("\"a", "null");
    check("[1,2", "[1,2]");
    check("[1,,2]", "[1]");
    check("[1 2]", "[1]");
    check("[1,]", "[1]");
    check("[tru,1]", "[null,1]");
    check(r#"{"a":1,b:2,"c":3}"#, r#"{"a":1}"#);
    check(r#"{"a":1,"b" 2}"#, r#"{"a":1}"#);
    check(r#"{"a":[1,{"b":2},"c":3}"#, r#"{"a":[1,{"b":2},"c"]}"#);
    check(r#""\ud800\q""#, r#""\ufffd\ufffd""#);
    // Extended JSON that says nothing is an object like any other.
    let odd = JsonText::new(r#"{"$date":"no"}"#);
    let kept = odd.root().get("$date").map(Node::kind);
    assert!(matches!(kept, Some(Kind::String("no"))));
}

#[test]
fn what_is_nested_too_deep_is_null() {
    let deep = "[".repeat(20_000) + &"]".repeat(20_000);
    let expected = "[".repeat(MAX_DEPTH) + "null" + &"]".repeat(MAX_DEPTH);
    assert_eq!(copy(JsonText::new(&deep).root()).to_json(), expected);
    let extended = r#"{"$date":"#.repeat(100_000);
    assert!(matches!(
        JsonText::new(&extended).root().kind(),
        Kind::Object
    ));
}

#[test]
fn the_first_of_two_counts() {
    let text = JsonText::new(r#"{"a":1,"a":2}"#);
    assert!(matches!(text.root().get("a").unwrap().kind(), Kind::Int(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn text_and_binary_are_read_alike(
        filter in random::filter(),
        documents in vec((random::document(), vec(any::<u8>(), 1..20)), 1..8),
    ) {
        let binary = Binary::new();
        let matcher = filter.compile().unwrap();
        for (document, choices) in documents {
            let expected = matcher.matches(&document);
            let json = dressed(&document.to_json(), &choices);
            prop_assert_eq!(&Value::parse_json(&json).unwrap(), &document, "{}", json);
            let text = JsonText::new(&json);
            prop_assert_eq!(&copy(text.root()), &document, "{}", json);
            prop_assert_eq!(matcher.matches(text.root()), expected, "{} of {}", filter, json);
            let bytes = binary.of(&json).unwrap();
            let stored = Jsonb::new(&bytes);
            prop_assert_eq!(&copy(stored.root()), &document, "{}", json);
            prop_assert_eq!(matcher.matches(stored.root()), expected, "{} of {}", filter, json);
        }
    }

    #[test]
    fn no_bytes_are_too_odd(
        document in random::document(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        bytes in vec(any::<u8>(), 0..200),
    ) {
        let json = document.to_json();
        let mut changed = Binary::new().of(&json).unwrap();
        let mut text = json.into_bytes();
        for (at, byte) in changes {
            for bytes in [&mut changed, &mut text] {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        for bytes in [changed, text, bytes] {
            copy_freely(Jsonb::new(&bytes).root());
            copy_freely(JsonText::new(&String::from_utf8_lossy(&bytes)).root());
        }
    }
}

/// As [`copy`], where a key may be there twice.
pub(crate) fn copy_freely<'a, N: Node<'a>>(node: N) {
    node.items().for_each(copy_freely);
    for (key, value) in node.entries() {
        assert!(node.get(key).is_some());
        copy_freely(value);
    }
}
