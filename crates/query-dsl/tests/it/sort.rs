//! Every case of sorting.

use query_dsl::{ErrorKind, Order, Value};

use crate::data::{lines, to_serde};

fn order(text: &str) -> Order {
    if text.starts_with('[') {
        let keys: Vec<String> = serde_json::from_str(text).unwrap();
        Order::parse(keys).unwrap()
    } else {
        serde_json::from_str::<String>(text)
            .unwrap()
            .parse()
            .unwrap()
    }
}

#[test]
fn documents_are_sorted_as_they_should() {
    let lines = lines("query-sort.jsonl");
    assert_eq!(lines.len(), 78);
    let mut wrong = Vec::new();
    for line in lines {
        let documents = line.documents();
        let order = order(line.raw("order").unwrap());
        let mut sorted: Vec<&Value> = documents.iter().collect();
        order.sort(&mut sorted);
        let expected: Vec<_> = line
            .expected()
            .unwrap()
            .into_iter()
            .map(|i| &documents[i])
            .collect();
        let same = sorted
            .iter()
            .zip(&expected)
            .all(|(a, b)| std::ptr::eq(*a, *b));
        if !same || sorted.len() != expected.len() {
            wrong.push(format!("{} {:?}", line.id(), order));
        }
        if let Some(held) = documents.iter().map(to_serde).collect::<Option<Vec<_>>>() {
            let mut again: Vec<&serde_json::Value> = held.iter().collect();
            order.sort(&mut again);
            let expected = sorted.iter().map(|doc| to_serde(doc).unwrap());
            assert!(again.into_iter().cloned().eq(expected), "{}", line.id());
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

fn sorted(order: &Order, values: &[&str]) -> Vec<String> {
    let documents: Vec<Value> = values
        .iter()
        .map(|v| Value::parse_json(v).unwrap())
        .collect();
    let mut sorted: Vec<&Value> = documents.iter().collect();
    order.sort(&mut sorted);
    sorted.iter().map(|v| v.to_json()).collect()
}

#[test]
fn nulls_and_nan_go_last_on_demand() {
    let nan = r#"{"a":{"$numberDouble":"NaN"}}"#;
    let values = [nan, "{}", r#"{"a":1}"#, r#"{"a":[]}"#, r#"{"a":2}"#];
    let up: Order = "a".parse().unwrap();
    let up = up.with_nulls_last().with_nan_last();
    let expected = [r#"{"a":1}"#, r#"{"a":2}"#, nan, r#"{"a":[]}"#, "{}"];
    assert_eq!(sorted(&up, &values), expected);
    let down: Order = "-a".parse().unwrap();
    let down = down.with_nulls_last().with_nan_last();
    let expected = [r#"{"a":2}"#, r#"{"a":1}"#, nan, "{}", r#"{"a":[]}"#];
    assert_eq!(sorted(&down, &values), expected);
}

#[test]
fn keys_with_dots_are_in_brackets_or_joined() {
    let order: Order = r#"-a["b.c"]"#.parse().unwrap();
    let values = [r#"{"a":{"b.c":1}}"#, r#"{"a":{"b.c":2}}"#];
    assert_eq!(sorted(&order, &values), [values[1], values[0]]);
    assert_eq!(order.keys[0].to_string(), r#"-a["b.c"]"#);
    let mut joined: Order = "-a.b.c".parse().unwrap();
    joined.keys[0].path = joined.keys[0].path.clone().with_joined_keys(1);
    assert_eq!(sorted(&joined, &values), [values[1], values[0]]);
}

#[test]
fn wrong_orders_are_refused() {
    assert_eq!(
        "-".parse::<Order>().unwrap_err().kind(),
        ErrorKind::OrderSyntax
    );
    let error = Order::parse(["+a", "b..c"]).unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::EmptyPathPart, "/1")
    );
}
