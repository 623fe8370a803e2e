//! Documents that are kept are those that were given.

use proptest::{collection::vec, prelude::*};
use query_dsl::{Documents, Filter, Kind, Node, Value, lazy::JsonText};

use crate::{
    data::cases,
    lazy::{copy, copy_freely},
    random,
};

fn kept(documents: &[Value]) -> Documents {
    let mut out = Documents::new();
    for document in documents {
        out.push(document).unwrap();
    }
    out
}

#[test]
fn every_case_is_answered_alike() {
    // All in one, so that tables are shared between cases.
    let mut all = Documents::new();
    for case in cases() {
        let first = all.len();
        for document in &case.documents {
            all.push(document).unwrap();
        }
        let kept = || all.iter().skip(first);
        let copies: Vec<Value> = kept().map(copy).collect();
        assert_eq!(copies, case.documents, "{}", case.id);
        let Some(expected) = case.expected else {
            continue;
        };
        let matcher = Filter::parse_json(&case.filter).unwrap().compile().unwrap();
        let found: Vec<usize> = kept()
            .enumerate()
            .filter(|(_, document)| matcher.matches(*document))
            .map(|(index, _)| index)
            .collect();
        assert_eq!(found, expected, "{}: {}", case.id, case.filter);
    }
    assert!(all.len() > 10_000, "{}", all.len());
}

#[test]
fn one_matcher_asks_objects_of_any_keys() {
    let matcher = Filter::field("b").eq(1).compile().unwrap();
    for turn in 0..3 {
        // The key is in another column of each of these, and in none of some.
        let documents: Vec<Value> = (0..12)
            .map(|n: usize| {
                let others = (0..n)
                    .map(|at| format!(r#""k{at}":0,"#))
                    .collect::<String>();
                let key = if n % 5 == 4 { "c" } else { "b" };
                let text = format!(r#"{{{others}"{key}":{},"last":1}}"#, (n + turn) % 2);
                Value::parse_json(&text).unwrap()
            })
            .collect();
        let kept = kept(&documents);
        for _ in 0..2 {
            for (document, value) in kept.iter().zip(&documents) {
                assert_eq!(
                    matcher.matches(document),
                    matcher.matches(value),
                    "{value:?}"
                );
            }
        }
    }
}

#[test]
fn many_rows_stay_apart() {
    let document = |n: i32| {
        let text = match n % 3 {
            0 => format!(r#"{{"n":{n},"s":"t{}","in":{{"n":{n}}}}}"#, n % 7),
            1 => format!(r#"{{"s":"{n}","n":[{n},{{"n":{n}}},[]]}}"#),
            _ => format!(r#"{{"n":{n},"k{n}":{{}},"long":"{}"}}"#, "é".repeat(40)),
        };
        Value::parse_json(&text).unwrap()
    };
    let documents: Vec<Value> = (0..5000).map(document).collect();
    let kept = kept(&documents);
    assert_eq!(kept.len(), documents.len());
    assert_eq!(kept.iter().len(), documents.len());
    for (index, document) in documents.iter().enumerate() {
        assert_eq!(copy(kept.get(index).unwrap()), *document, "{index}");
    }
    assert!(kept.get(documents.len()).is_none());
}

#[test]
fn any_value_is_a_document() {
    assert!(Documents::new().is_empty());
    let values: Vec<Value> = ["null", "5", "[]", "{}", r#""""#, r#"[[1],"a"]"#]
        .iter()
        .map(|text| Value::parse_json(text).unwrap())
        .collect();
    let copies: Vec<Value> = kept(&values).iter().map(copy).collect();
    assert_eq!(copies, values);
}

#[test]
fn the_first_of_two_counts() {
    let text = JsonText::new(r#"{"a":1,"b":0,"a":2}"#);
    let mut kept = Documents::new();
    kept.push(text.root()).unwrap();
    let root = kept.get(0).unwrap();
    assert!(matches!(root.get("a").unwrap().kind(), Kind::Int(1)));
    assert_eq!(root.entries().count(), 3);
    copy_freely(root);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn they_are_asked_like_values(
        filter in random::filter(),
        order in random::order(),
        documents in vec(random::document(), 1..12),
    ) {
        let kept = kept(&documents);
        let matcher = filter.compile().unwrap();
        for (document, node) in documents.iter().zip(kept.iter()) {
            prop_assert_eq!(&copy(node), document);
            prop_assert_eq!(
                matcher.matches(node),
                matcher.matches(document),
                "{} of {}", filter, document.to_json()
            );
            let keys = (order.key(node), order.key(document));
            prop_assert!(order.compare(&keys.0, &keys.1).is_eq());
        }
    }
}
