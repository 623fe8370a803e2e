//! The short form.

use jiff::Timestamp;
use query_dsl::{ErrorKind, Filter, ParseOptions};

fn now() -> Timestamp {
    "2026-03-08T12:00:00Z".parse().unwrap()
}

#[track_caller]
fn check(short: &str, json: &str) {
    let filter = Filter::parse_short(short, now()).unwrap_or_else(|e| panic!("{short}: {e}"));
    assert_eq!(filter.to_json(), json, "{short}");
    assert_eq!(
        filter.canonical(),
        Filter::parse_json(json).unwrap().canonical(),
        "{short}"
    );
}

#[test]
fn short_is_json_in_other_words() {
    check(
        r#"config.lr > 1e-3 and state = finished and tags has "prod""#,
        r#"{"config.lr":{"$gt":0.001},"state":"finished","tags":"prod"}"#,
    );
    check("", "{}");
    check("a=1", r#"{"a":1}"#);
    check("a == 1.0", r#"{"a":1.0}"#);
    check("a != -5", r#"{"a":{"$ne":-5}}"#);
    check("a>=1 and a<5", r#"{"a":{"$gte":1,"$lt":5}}"#);
    check(
        "a in [1, x, 'y z', null]",
        r#"{"a":{"$in":[1,"x","y z",null]}}"#,
    );
    check("a not in []", r#"{"a":{"$nin":[]}}"#);
    check(
        "a IN [true,] AND b = false",
        r#"{"a":{"$in":[true]},"b":false}"#,
    );
    check("tags has-all [a, b]", r#"{"tags":{"$all":["a","b"]}}"#);
    check("a = [1, [2]]", r#"{"a":[1,[2]]}"#);
    check(
        r#"name ~ "^run-\\d+""#,
        r#"{"name":{"$regex":"^run-\\d+"}}"#,
    );
    check(
        r"name ~ /^run\/\d/i",
        r#"{"name":{"$regex":"^run/\\d","$options":"i"}}"#,
    );
    check("name !~ x.*y", r#"{"name":{"$not":{"$regex":"x.*y"}}}"#);
    check(
        "a exists and b.c missing",
        r#"{"a":{"$exists":true},"b.c":{"$exists":false}}"#,
    );
    check("not a = 1", r#"{"$nor":[{"a":1}]}"#);
    check(
        "a = 1 or b = 2 and c = 3",
        r#"{"$or":[{"a":1},{"b":2,"c":3}]}"#,
    );
    check(
        "(a = 1 or b = 2) and c = 3",
        r#"{"$or":[{"a":1},{"b":2}],"c":3}"#,
    );
    check(
        "not (a = 1 or b = 2)",
        r#"{"$nor":[{"$or":[{"a":1},{"b":2}]}]}"#,
    );
    check(
        "a = NaN or a = -Infinity",
        r#"{"$or":[{"a":{"$numberDouble":"NaN"}},{"a":{"$numberDouble":"-Infinity"}}]}"#,
    );
    check("a = 5000000000", r#"{"a":5000000000}"#);
    check("model = 7b and a = 7d", r#"{"model":"7b","a":"7d"}"#);
    check("name = 1-2-3", r#"{"name":"1-2-3"}"#);
}

#[test]
fn odd_names_are_quoted() {
    check(
        "summary.val/acc > 0.9",
        r#"{"summary.val/acc":{"$gt":0.9}}"#,
    );
    check(r#"config["a.b"].c = 1"#, r#"{"config[\"a.b\"].c":1}"#);
    check(r#"config."a b" = 1"#, r#"{"config.a b":1}"#);
    check("config.`a.b`.c = 1", r#"{"config[\"a.b\"].c":1}"#);
    check(r#""x y".z exists"#, r#"{"x y.z":{"$exists":true}}"#);
    check(r#"["not"] = 1 and (["a=b"] = 2)"#, r#"{"not":1,"a=b":2}"#);
    check(
        "not = 1 and a = 2".trim_start_matches("not = 1 and "),
        r#"{"a":2}"#,
    );
}

#[test]
fn dates_are_instants() {
    check(
        "t >= 2026-01-31",
        r#"{"t":{"$gte":{"$date":"2026-01-31T00:00:00Z"}}}"#,
    );
    check(
        "t = 2026-01-31T12:30:00Z",
        r#"{"t":{"$date":"2026-01-31T12:30:00Z"}}"#,
    );
    check(
        "t < 2026-01-31T12:30:00.5+02:00",
        r#"{"t":{"$lt":{"$date":"2026-01-31T10:30:00.5Z"}}}"#,
    );
    check(
        "t < 2026-01-31T12:30",
        r#"{"t":{"$lt":{"$date":"2026-01-31T12:30:00Z"}}}"#,
    );
    check("t = '2026-01-31'", r#"{"t":"2026-01-31"}"#);
    check(
        "created_at > 7d",
        r#"{"created_at":{"$gt":{"$date":"2026-03-01T12:00:00Z"}}}"#,
    );
    check(
        "t < 90m",
        r#"{"t":{"$lt":{"$date":"2026-03-08T10:30:00Z"}}}"#,
    );
    check(
        "t > 2w",
        r#"{"t":{"$gt":{"$date":"2026-02-22T12:00:00Z"}}}"#,
    );
}

#[track_caller]
fn wrong(short: &str, column: usize, suggestion: Option<&str>) {
    let error = Filter::parse_short(short, now()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ShortSyntax, "{error}");
    assert_eq!(error.text_place().unwrap().column, column, "{error}");
    assert_eq!(error.suggestion(), suggestion, "{error}");
}

#[test]
fn errors_show_the_column() {
    wrong("a", 2, None);
    wrong("a =", 4, None);
    wrong("é = 1 und b = 2", 7, Some("and"));
    wrong("é = 1 ad b = 2", 7, Some("and"));
    wrong("a exist", 3, Some("exists"));
    wrong("a like x", 3, Some("~"));
    wrong("a <> 1", 3, Some("!="));
    wrong("(a = 1", 7, None);
    wrong("a = 1)", 6, None);
    wrong("a in 5", 7, None);
    wrong("a in [1 2]", 9, None);
    wrong("a not 5", 7, None);
    wrong("a = 'x", 5, None);
    wrong(r"a = 'x\q'", 7, None);
    wrong("a ~ /x", 5, None);
    wrong("a..b = 1", 1, None);
    wrong(r#"a"b" = 1"#, 2, None);
    wrong("a = {}", 5, None);
    wrong("a > 99999999999999w", 5, None);
    wrong("\n  b ? 1", 5, None);
    let error = Filter::parse_short("a ~ '('", now()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRegex);
    assert_eq!(error.text_place().unwrap().column, 5);
    let deep = format!("{}a = 1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(
        Filter::parse_short(&deep, now()).unwrap_err().kind(),
        ErrorKind::TooDeep
    );
    let nots = format!("{} a = 1", "not ".repeat(5000));
    assert!(Filter::parse_short(&nots, now()).is_err());
}

#[test]
fn what_can_be_said_is_printed() {
    let print = |json: &str| Filter::parse_json(json).unwrap().to_short();
    let check = |json: &str, short: &str| assert_eq!(print(json).as_deref(), Some(short));
    check("{}", "");
    check(
        r#"{"a":{"$gt":1,"$lt":5},"b":"x y"}"#,
        r#"a > 1 and a < 5 and b = "x y""#,
    );
    check(
        r#"{"$or":[{"a":1},{"b":2,"c":3}],"d":"true"}"#,
        r#"(a = 1 or b = 2 and c = 3) and d = "true""#,
    );
    check(r#"{"$nor":[{"a":1,"b":2}]}"#, "not (a = 1 and b = 2)");
    check(
        r#"{"a":{"$not":{"$regex":"x","$options":"i"}}}"#,
        "a !~ /x/i",
    );
    check(
        r#"{"not":1,"a":{"$gt":"7d"}}"#,
        r#"["not"] = 1 and a > "7d""#,
    );
    check(
        r#"{"t":{"$date":"2026-01-31T00:00:00Z"}}"#,
        "t = 2026-01-31T00:00:00Z",
    );
    assert_eq!(print(r#"{"a":{"$size":1}}"#), None);
    assert_eq!(print(r#"{"a":{"b":1}}"#), None);
    assert_eq!(
        print(r#"{"a":{"$in":[{"$regularExpression":{"pattern":"x","options":""}}]}}"#),
        None
    );
}

#[test]
fn either_form_is_known_by_its_first_sign() {
    let any = |text: &str| {
        Filter::parse_any(text, now(), &ParseOptions::default())
            .unwrap()
            .to_json()
    };
    assert_eq!(any(r#" {"a": 1}"#), r#"{"a":1}"#);
    assert_eq!(any(" a = 1"), r#"{"a":1}"#);
    assert_eq!(any("  "), "{}");
}
