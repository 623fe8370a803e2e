//! Parts of a path that may be left out.

use query_dsl::{
    Column, ColumnType, Dialect, Filter, Order, Path, SqliteDialect, Test, Translation, TypeName,
    Value, push_down,
};

use crate::{database::Database, reference};

/// Which of these documents a test of a path chooses, by both evaluators and by SQLite.
#[track_caller]
fn check(path: &Path, test: &Test, documents: &[&str], expected: &[usize]) {
    let filter = Filter::field(path.clone()).test(test.clone());
    let documents: Vec<Value> = documents
        .iter()
        .map(|text| Value::parse_json(text).unwrap())
        .collect();
    let matcher = filter.compile().unwrap();
    let chosen = |by: &dyn Fn(&Value) -> bool| -> Vec<usize> {
        (0..documents.len())
            .filter(|i| by(&documents[*i]))
            .collect()
    };
    assert_eq!(chosen(&|doc| matcher.matches(doc)), expected);
    assert_eq!(chosen(&|doc| reference::matches(&filter, doc)), expected);
    let database = Database::new();
    assert_eq!(database.fill(&documents).len(), documents.len());
    let exact = database.check(&filter, &documents, expected);
    assert!(
        exact,
        "{:?}",
        push_down(&filter, &SqliteDialect::json("doc"))
    );
}

const DOCUMENTS: [&str; 13] = [
    r#"{"c":{"k":1}}"#,
    r#"{"c":{"k":{"value":1}}}"#,
    r#"{"c":{"k":{"value":2}}}"#,
    r#"{"c":{"k":{"other":1}}}"#,
    r#"{"c":{"k":[1,2]}}"#,
    r#"{"c":{"k":[{"value":1}]}}"#,
    r#"{"c":{"k":null}}"#,
    r#"{"c":{"k":{"value":null}}}"#,
    r#"{"c":{}}"#,
    "{}",
    r#"{"c":{"k":{"value":{"value":1}}}}"#,
    r#"{"c":{"k":{"sub":1}}}"#,
    r#"{"c":{"k":{"value":[{"sub":1}]}}}"#,
];

#[test]
fn a_part_is_followed_where_an_object_has_it() {
    let path = Path::new(["c", "k", "value"]).with_optional_part(2);
    check(&path, &Test::Eq(1.into()), &DOCUMENTS, &[0, 1, 4]);
    check(&path, &Test::Eq(Value::Null), &DOCUMENTS, &[6, 7, 8, 9]);
    check(&path, &Test::Size(2), &DOCUMENTS, &[4]);
    let there = [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12];
    check(&path, &Test::Exists(true), &DOCUMENTS, &there);
    let types = Test::Type(vec![TypeName::Object]);
    check(&path, &types, &DOCUMENTS, &[3, 5, 10, 11, 12]);
    let plain = Path::new(["c", "k", "value"]);
    check(&plain, &Test::Eq(1.into()), &DOCUMENTS, &[1, 5]);
}

#[test]
fn the_way_goes_on_from_where_it_is() {
    let path = Path::new(["c", "k", "value", "sub"]).with_optional_part(2);
    check(&path, &Test::Eq(1.into()), &DOCUMENTS, &[11, 12]);
    // An element that a number names stays such: its own elements are no candidates.
    let path = Path::new(["c", "0", "value"]).with_optional_part(2);
    let documents = [r#"{"c":[[1]]}"#, r#"{"c":[1]}"#, r#"{"c":[{"value":[1]}]}"#];
    check(&path, &Test::Eq(1.into()), &documents, &[1, 2]);
}

#[test]
fn keys_with_dots_may_hold_it() {
    let path = Path::new(["c", "a", "b", "value"])
        .with_joined_keys(1)
        .with_optional_part(3);
    let documents = [
        r#"{"c":{"a.b":1}}"#,
        r#"{"c":{"a.b":{"value":1}}}"#,
        r#"{"c":{"a":{"b":1}}}"#,
        r#"{"c":{"a":{"b.value":1}}}"#,
        r#"{"c":{"a.b.value":1}}"#,
        r#"{"c":{"a":1}}"#,
        r#"{"c":{"a.b":{"value":2,"x":1}}}"#,
    ];
    check(&path, &Test::Eq(1.into()), &documents, &[0, 1, 2, 3, 4]);
    let path = Path::new(["c", "k", "value", "sub"])
        .with_joined_keys(1)
        .with_optional_part(2);
    let documents = [
        r#"{"c":{"k":{"value.sub":1,"sub":2}}}"#,
        r#"{"c":{"k":{"value":5,"sub":1}}}"#,
        r#"{"c":{"k":{"sub":1}}}"#,
        r#"{"c":{"k.sub":1}}"#,
    ];
    check(&path, &Test::Eq(1.into()), &documents, &[0, 2]);
}

#[test]
fn orders_leave_it_out_too() {
    let mut order: Order = "-c.k.value".parse().unwrap();
    order.keys[0].path = order.keys[0].path.clone().with_optional_part(2);
    let documents = [
        r#"{"c":{"k":{"value":2}}}"#,
        r#"{"c":{"k":3}}"#,
        r#"{"c":{"k":[1,4]}}"#,
        "{}",
        r#"{"c":{"k":{"value":[0,5],"x":9}}}"#,
    ];
    let documents: Vec<Value> = documents
        .iter()
        .map(|text| Value::parse_json(text).unwrap())
        .collect();
    let mut sorted: Vec<&Value> = documents.iter().collect();
    order.sort(&mut sorted);
    let expected = [4, 2, 1, 0, 3].map(|i| &documents[i]);
    assert_eq!(sorted, expected);
}

#[test]
fn the_first_part_stays() {
    for index in [0, 2, 9] {
        let path = Path::new(["a", "b"]).with_optional_part(index);
        assert_eq!(path.optional_part(), None);
        assert_eq!(path, Path::new(["a", "b"]));
    }
}

#[test]
fn it_is_left_out_at_columns_of_scalars() {
    let dialect = SqliteDialect::new(|_| {
        Some(Column {
            sql: "lr".to_owned(),
            kind: ColumnType::Real,
            taken: 2,
        })
    });
    let path = Path::new(["config", "lr", "value"]);
    let test = Test::Gt(0.5.into());
    assert_eq!(dialect.test(&path, &test), Translation::Unsupported);
    let optional = dialect.test(&path.with_optional_part(2), &test);
    assert_eq!(optional, dialect.test(&Path::new(["config", "lr"]), &test));
    assert!(matches!(optional, Translation::Exact(_)));
}
