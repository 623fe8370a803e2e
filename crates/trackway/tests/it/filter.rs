//! Lines of JSON through `trackway filter`.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Output, Stdio},
    thread,
};

use serde_json::value::RawValue;

use crate::support::{Place, snapshot};

impl Place {
    fn filtered(&self, args: &[&str], input: impl Into<Vec<u8>>) -> Output {
        let mut child = self
            .command([&["filter"], args].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut to, input) = (child.stdin.take().unwrap(), input.into());
        // A program that refuses its flags does not read.
        let writer = thread::spawn(move || drop(to.write_all(&input)));
        let done = child.wait_with_output().unwrap();
        writer.join().unwrap();
        done
    }
}

#[track_caller]
fn printed(done: &Output) -> &str {
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    std::str::from_utf8(&done.stdout).unwrap()
}

/// The fields of one line of the corpus of the filters' own tests.
struct Case(BTreeMap<String, Box<RawValue>>);

impl Case {
    fn all(file: &str) -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../query-dsl/tests/data");
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let cases = text.lines().map(|line| serde_json::from_str(line).unwrap());
        cases.map(Self).collect()
    }

    fn raw(&self, field: &str) -> &str {
        self.0.get(field).map_or("null", |raw| raw.get())
    }

    fn text(&self, field: &str) -> String {
        serde_json::from_str(self.raw(field)).unwrap()
    }

    fn documents(&self) -> Vec<&str> {
        let documents: Vec<&RawValue> = serde_json::from_str(self.raw("docs")).unwrap();
        documents.into_iter().map(RawValue::get).collect()
    }

    fn expected(&self) -> Vec<usize> {
        serde_json::from_str(self.raw("expect")).unwrap()
    }
}

fn lines<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|t| t.to_string() + "\n").collect()
}

#[test]
fn documents_match_as_they_should() {
    let place = Place::new();
    let all = ["query-cases-1.jsonl", "query-cases-2.jsonl"].map(Case::all);
    let all = all.iter().flatten();
    let all = all.filter(|case| !case.0.contains_key("ours") && case.0.contains_key("expect"));
    for case in all.step_by(15) {
        let (filter, id) = (case.raw("filter"), case.raw("id"));
        let (documents, expected) = (case.documents(), case.expected());
        let args = ["--filter", filter, "--indices"];
        let done = place.filtered(&args, lines(&documents));
        assert_eq!(printed(&done), lines(&expected), "{id}: {filter}");
        let done = place.filtered(&args[..2], lines(&documents));
        let expected = expected.iter().filter_map(|i| documents.get(*i));
        assert_eq!(printed(&done), lines(expected), "{id}: {filter}");
    }
}

#[test]
fn documents_are_sorted_as_they_should() {
    let place = Place::new();
    for case in Case::all("query-sort.jsonl") {
        let order = case.raw("order");
        let keys: Vec<String> =
            serde_json::from_str(order).unwrap_or_else(|_| vec![case.text("order")]);
        let keys: Vec<_> = keys.iter().map(|key| format!("--order={key}")).collect();
        let mut args: Vec<&str> = keys.iter().map(String::as_str).collect();
        args.push("--indices");
        let done = place.filtered(&args, lines(case.documents()));
        assert_eq!(printed(&done), lines(case.expected()), "{order}");
    }
}

#[test]
fn wrong_filters_are_refused_where_they_are_wrong() {
    let place = Place::new();
    let all = Case::all("query-invalid.jsonl");
    for case in all
        .iter()
        .filter(|c| c.text("profile") == "core")
        .step_by(3)
    {
        let text = case.text("text");
        // Other text would be of the short form.
        if !text.starts_with('{') {
            continue;
        }
        let done = place.filtered(&["--filter", &text], "{}\n");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{text}: {said}");
        assert_eq!(done.stdout, b"", "{text}");
        let at = case.text("at").replace('\n', "\\n");
        assert!(
            said.contains(&at) && said.contains("(line "),
            "{text}: {said}"
        );
    }
}

#[test]
fn what_is_wrong_is_said() {
    let place = Place::new();
    snapshot!(place, place.said(["filter"]));
    snapshot!(
        place,
        place.said(["filter", "--filter", r#"{"a": {"$gtr": 1}}"#])
    );
    snapshot!(place, place.said(["filter", "--filter", "a > 1 an b = 2"]));
    snapshot!(
        place,
        place.said(["filter", "--order", "a", "--order=-b..c"])
    );
}

#[test]
fn both_forms_and_extended_json() {
    let place = Place::new();
    let input = concat!(
        r#"{"t":{"$date":"2024-03-01T00:00:00Z"},"n":{"$numberLong":"9007199254740993"}}"#,
        "\n",
        r#"{"t":{"$date":"2023-03-01T00:00:00Z"},"n":{"$numberDouble":"NaN"}}"#,
        "\n"
    );
    for (filter, expected) in [
        (r#"{"t":{"$gt":{"$date":"2024-01-01T00:00:00Z"}}}"#, "0\n"),
        (r#"{"n":9007199254740993}"#, "0\n"),
        (r#"{"n":{"$numberDouble":"NaN"}}"#, "1\n"),
        ("n = 9007199254740993", "0\n"),
        ("not n > 5", "1\n"),
        ("{}", "0\n1\n"),
    ] {
        let done = place.filtered(&["--filter", filter, "--indices"], input);
        assert_eq!(printed(&done), expected, "{filter}");
    }
}

#[test]
fn lenient_is_as_a_server_reads() {
    let place = Place::new();
    let args = ["--filter", r#"{"a":{"$exists":"yes"}}"#, "--indices"];
    assert_eq!(
        place.filtered(&args, "{}\n{\"a\":1}\n").status.code(),
        Some(2)
    );
    let done = place.filtered(&[&args[..], &["--lenient"]].concat(), "{}\n{\"a\":1}\n");
    assert_eq!(printed(&done), "1\n");
}

#[test]
fn documents_come_out_byte_for_byte() {
    let place = Place::new();
    let input = "  {\"a\" : 1.50,\t\"a\":2} \r\n\n \t\r\n{\"\\u0061\":1.5e0}\n{\"a\":2}\n\u{a0}";
    let input = input.trim_end_matches('\u{a0}').to_owned() + "{\"b\":\"\u{1f600}\",\"a\":1.5}";
    let done = place.filtered(&["--filter", "a = 1.5"], input.as_str());
    assert_eq!(
        printed(&done),
        "  {\"a\" : 1.50,\t\"a\":2} \r\n{\"\\u0061\":1.5e0}\n{\"b\":\"\u{1f600}\",\"a\":1.5}\n"
    );
    let done = place.filtered(&["--filter", "a = 1.5", "--indices"], input.as_str());
    assert_eq!(printed(&done), "0\n1\n3\n");
}

#[test]
fn lines_longer_than_what_is_read_at_once() {
    let place = Place::new();
    let long = |i: usize| format!("{{\"text\":\"{}\",\"i\":{i}}}", "x".repeat(200_000 * i));
    let input = lines((0..6).map(long));
    let done = place.filtered(&["--filter", "i >= 3"], input.as_str());
    assert_eq!(printed(&done), lines((3..6).map(long)));
}

#[test]
fn a_line_that_is_not_json_ends_it() {
    let place = Place::new();
    for (line, place_of) in [
        ("{\"a\":1,}", "line 3, column 8: not JSON: "),
        (
            "{\"a\":1} {\"a\":1}",
            "line 3, column 9: not JSON: trailing characters",
        ),
        ("{\"a\":NaN}", "line 3, column 6: not JSON: "),
    ] {
        let input = format!("{{\"a\":1}}\n\n{line}\n{{\"a\":1}}\n");
        let done = place.filtered(&["--filter", "{}"], input);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(place_of), "{line}: {said}");
        assert_eq!(done.stdout, b"{\"a\":1}\n", "{line}");
    }
    let done = place.filtered(&["--filter", "{}"], *b"{\"a\":\"\xff\"}\n");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        said.contains("line 1, column 7: not JSON: not UTF-8"),
        "{said}"
    );
}

#[test]
fn an_answer_does_not_wait_for_more() {
    let place = Place::new();
    let mut child = place
        .command(["filter", "--filter", "a = 1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    to.write_all(b"{\"a\":1}\n{\"a\":").unwrap();
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    assert_eq!(line, "{\"a\":1}\n");
    to.write_all(b"1}\n").unwrap();
    drop(from);
    // Nobody listens any more: that is no error, whoever notices first.
    drop(to.write_all(b"{\"a\":1}\n"));
    drop(to);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
