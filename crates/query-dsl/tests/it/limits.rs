//! Limits, leniency, and what is built rather than read.

use query_dsl::{ErrorKind, Filter, JsonOptions, Member, ParseOptions, Path, Test, Value};

fn kind(filter: Result<Filter, query_dsl::FilterError>) -> ErrorKind {
    filter.unwrap_err().kind()
}

#[test]
fn depth_is_limited_without_recursion() {
    let nested = |levels: usize| {
        format!(
            "{}{{\"a\":1}}{}",
            "{\"$and\":[".repeat(levels),
            "]}".repeat(levels)
        )
    };
    assert!(Filter::parse_json(&nested(99)).is_ok());
    assert_eq!(kind(Filter::parse_json(&nested(100))), ErrorKind::TooDeep);
    assert_eq!(
        kind(Filter::parse_json(&nested(1_000_000))),
        ErrorKind::TooDeep
    );
    let not = format!(
        "{{\"a\":{}{{\"$gt\":1}}{}}}",
        "{\"$not\":".repeat(98),
        "}".repeat(98)
    );
    assert!(Filter::parse_json(&not).is_ok());
    let array = format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(kind(Filter::parse_json(&array)), ErrorKind::TooDeep);
    assert_eq!(
        Value::parse_json(&"[".repeat(1_000_000))
            .unwrap_err()
            .kind(),
        ErrorKind::TooDeep
    );
    let mut built = Filter::field("a").eq(1);
    for _ in 0..1000 {
        built = built.not();
    }
    assert_eq!(built.compile().unwrap_err().kind(), ErrorKind::TooDeep);
    let shallow = ParseOptions::default().with_max_depth(3);
    assert_eq!(
        kind(Filter::parse_json_with(&nested(3), &shallow)),
        ErrorKind::TooDeep
    );
}

#[test]
fn width_is_limited() {
    let list = |members: usize| {
        let numbers: Vec<_> = (0..members).map(|n| n.to_string()).collect();
        format!("{{\"a\":{{\"$in\":[{}]}}}}", numbers.join(","))
    };
    let matcher = Filter::parse_json(&list(100_000))
        .unwrap()
        .compile()
        .unwrap();
    assert!(matcher.matches(&Value::parse_json(r#"{"a": 99999.0}"#).unwrap()));
    assert!(!matcher.matches(&Value::parse_json(r#"{"a": 100000}"#).unwrap()));
    assert_eq!(
        kind(Filter::parse_json(&list(2_000_000))),
        ErrorKind::TooLarge
    );
    let pattern = format!("{{\"a\":{{\"$regex\":\"{}\"}}}}", "a".repeat(40_000));
    assert_eq!(kind(Filter::parse_json(&pattern)), ErrorKind::TooLarge);
    let large = r#"{"a":{"$regex":"(((\\w{200}){200}){200})"}}"#;
    assert_eq!(kind(Filter::parse_json(large)), ErrorKind::BadRegex);
    // Many conditions in one line are read in little time.
    let wide: Vec<_> = (0..50_000).map(|n| format!("{{\"a\":{n}}}")).collect();
    let wide = format!("{{\"$or\":[{}]}}", wide.join(","));
    assert!(Filter::parse_json(&wide).is_ok());
}

#[test]
fn a_lenient_reader_is_as_the_server() {
    let lenient = ParseOptions::default().lenient();
    let matches = |filter: &str, document: &str| {
        let filter = Filter::parse_json_with(filter, &lenient).unwrap();
        filter
            .compile()
            .unwrap()
            .matches(&Value::parse_json(document).unwrap())
    };
    assert!(matches(
        r#"{"a":{"b":1,"$gt":2}}"#,
        r#"{"a":{"b":1,"$gt":2}}"#
    ));
    assert!(matches(r#"{"a":{"$eq":{"$gt":2}}}"#, r#"{"a":{"$gt":2}}"#));
    assert!(matches(r#"{"a":{"$exists":"no"}}"#, r#"{"a":1}"#));
    assert!(matches(r#"{"a":{"$exists":null}}"#, "{}"));
    assert!(matches(r#"{"a..b":1}"#, r#"{"a":{"":{"b":1}}}"#));
    assert!(matches(r#"{"a[\"b\"]":1}"#, r#"{"a[\"b\"]":1}"#));
    assert!(matches(
        r#"{"a":{"$regex":"^\\Qa.b\\E{"}}"#,
        r#"{"a":"a.b{"}"#
    ));
    let refused = Filter::parse_json_with(r#"{"a":{"$in":[{"$gt":1}]}}"#, &lenient);
    assert_eq!(kind(refused), ErrorKind::OperatorInValue);
}

#[test]
fn python_writes_bare_numbers_that_are_none() {
    let python = ParseOptions::default().with_python_json();
    let filter =
        Filter::parse_json_with(r#"{"a":{"$in":[NaN,-Infinity,Infinity]}}"#, &python).unwrap();
    assert_eq!(
        filter.to_json(),
        r#"{"a":{"$in":[{"$numberDouble":"NaN"},{"$numberDouble":"-Infinity"},{"$numberDouble":"Infinity"}]}}"#
    );
    let options = JsonOptions::default().with_python_json();
    assert_eq!(
        Value::parse_json_with("[NaN]", &options).unwrap(),
        Value::from(vec![f64::NAN])
    );
    assert_eq!(
        kind(Filter::parse_json_with(r#"{"a":nan}"#, &python)),
        ErrorKind::JsonSyntax
    );
}

#[test]
fn contains_is_understood_on_demand() {
    let options = ParseOptions::default().with_contains();
    let filter = Filter::parse_json_with(r#"{"a":{"$contains":"b.c"}}"#, &options).unwrap();
    let matcher = filter.compile().unwrap();
    assert!(matcher.matches(&Value::parse_json(r#"{"a":"ab.cd"}"#).unwrap()));
    assert!(!matcher.matches(&Value::parse_json(r#"{"a":"abxcd"}"#).unwrap()));
    assert_eq!(
        kind(Filter::parse_json(r#"{"a":{"$contains":"b"}}"#)),
        ErrorKind::UnknownOperator
    );
}

#[test]
fn built_filters_are_checked_when_compiled() {
    let compiled = |filter: Filter| filter.compile().unwrap_err().kind();
    assert_eq!(
        compiled(Filter::field("a").regex("(", "")),
        ErrorKind::BadRegex
    );
    assert_eq!(
        compiled(Filter::field("a").regex("a", "g")),
        ErrorKind::BadRegexOption
    );
    assert_eq!(
        compiled(Filter::field("a").mod_(0, 1)),
        ErrorKind::ModZeroDivisor
    );
    assert_eq!(
        compiled(Filter::field(Path::new([""; 0])).eq(1)),
        ErrorKind::EmptyFieldName
    );
    assert_eq!(
        compiled(Filter::field("a..b").eq(1)),
        ErrorKind::EmptyPathPart
    );
    let untested = Filter::field("a").elem_value([]);
    assert_eq!(compiled(untested), ErrorKind::EmptyExpression);
    let twice = Filter::field("a").elem_value([Test::Gt(1.into()), Test::Gt(2.into())]);
    assert_eq!(compiled(twice), ErrorKind::DuplicateKey);
}

#[test]
fn built_filters_say_what_json_says() {
    let check = |filter: Filter, json: &str| assert_eq!(filter.to_json(), json);
    check(Filter::all(), "{}");
    check(Filter::none(), r#"{"$nor":[{}]}"#);
    check(
        Filter::field("a")
            .in_([Member::from(1), "x".into()])
            .or(Filter::field("b").exists()),
        r#"{"$or":[{"a":{"$in":[1,"x"]}},{"b":{"$exists":true}}]}"#,
    );
    check(
        Filter::field("a").elem_match(Filter::field("b").lt(2).and(Filter::field("c").ne("x"))),
        r#"{"a":{"$elemMatch":{"b":{"$lt":2},"c":{"$ne":"x"}}}}"#,
    );
    check(
        Filter::field(Path::new(["config", "a.b"]))
            .gte(5_000_000_000_i64)
            .not(),
        r#"{"$nor":[{"config[\"a.b\"]":{"$gte":5000000000}}]}"#,
    );
    check(
        Filter::field("a")
            .gt(1)
            .and(Filter::field("a").gt(2))
            .and(Filter::field("a").lt(9)),
        r#"{"$and":[{"a":{"$gt":1,"$lt":9}},{"a":{"$gt":2}}]}"#,
    );
    check(
        Filter::field("a").elem_match(Filter::Comment("x".into())),
        r#"{"a":{"$elemMatch":{"$and":[{"$comment":"x"}]}}}"#,
    );
    check(
        Filter::field("s").contains("a.b"),
        r#"{"s":{"$regex":"a\\.b"}}"#,
    );
}
