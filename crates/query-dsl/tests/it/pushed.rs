//! What is pushed down to SQLite, over the corpus and over columns.

use query_dsl::{Column, ColumnType, Filter, SqliteDialect, push_down};

use crate::{data::cases, database::Database};

#[test]
fn sqlite_and_the_rest_answer_every_case() {
    let database = Database::new();
    let (mut exact, mut all) = (0, 0);
    for case in cases() {
        let Some(expected) = case.expected else {
            continue;
        };
        let filter = Filter::parse_json(&case.filter).unwrap();
        let held = database.fill(&case.documents);
        let expected: Vec<_> = held.into_iter().filter(|i| expected.contains(i)).collect();
        exact += usize::from(database.check(&filter, &case.documents, &expected));
        all += 1;
    }
    // Left over are most patterns, NaN, dates, and what compares whole arrays and objects.
    assert!(exact * 3 > all * 2, "{exact} of {all}");
}

#[test]
fn columns_are_asked_where_a_mapping_names_them() {
    let dialect = SqliteDialect::new(|path| {
        let first = path.parts().first()?;
        let column = |sql: &str, kind, taken| {
            Some(Column {
                sql: sql.to_owned(),
                kind,
                taken,
            })
        };
        match first.as_str() {
            "state" => column("state", ColumnType::Text, 1),
            "created_at" => column("created", ColumnType::Date, 1),
            "config" => column("config", ColumnType::Json, 1),
            _ => None,
        }
    });
    let pushed = |json: &str| {
        let pushed = push_down(&Filter::parse_json(json).unwrap(), &dialect);
        (
            pushed.sql.map(|sql| sql.sql),
            pushed.residual.map(|residual| residual.to_json()),
        )
    };
    let (sql, residual) = pushed(r#"{"state":"finished"}"#);
    assert_eq!(sql.unwrap(), "((state = ?))");
    assert_eq!(residual, None);
    let (sql, residual) = pushed(r#"{"state":{"$ne":"finished"}}"#);
    assert_eq!(sql.unwrap(), "((NOT coalesce((state = ?), 0)))");
    assert_eq!(residual, None);
    let (sql, residual) = pushed(r#"{"created_at":{"$gte":{"$date":"2026-01-01T00:00:00Z"}}}"#);
    assert_eq!(sql.unwrap(), "((created >= ?))");
    assert_eq!(residual, None);
    let (sql, residual) = pushed(r#"{"state":1,"nosuch":1,"config.lr":{"$exists":true}}"#);
    assert!(sql.unwrap().starts_with("(((0 AND state = ?)) AND "));
    assert_eq!(residual.unwrap(), r#"{"nosuch":1}"#);
    let (sql, residual) = pushed(r#"{"$or":[{"state":"a"},{"nosuch":1}]}"#);
    assert_eq!(sql, None);
    assert_eq!(residual.unwrap(), r#"{"$or":[{"state":"a"},{"nosuch":1}]}"#);
    let (_, residual) = pushed(r#"{"$nor":[{"state":"a"},{"nosuch":1}]}"#);
    assert_eq!(residual.unwrap(), r#"{"$nor":[{"nosuch":1}]}"#);
}
