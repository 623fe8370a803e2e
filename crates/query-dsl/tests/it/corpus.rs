//! Every case of the corpus, by the evaluator.

use query_dsl::{Filter, Matcher, Node, ParseOptions, Value};

use crate::data::{cases, to_serde};

fn matched<'a, N: Node<'a>>(
    matcher: &Matcher,
    documents: impl Iterator<Item = (usize, N)>,
) -> Vec<usize> {
    documents
        .filter(|(_, document)| matcher.matches(*document))
        .map(|(index, _)| index)
        .collect()
}

#[test]
fn filters_match_what_they_should() {
    let mut wrong = Vec::new();
    for case in cases() {
        let filter = Filter::parse_json(&case.filter);
        let found = match &filter {
            Ok(filter) => {
                let matcher = filter.compile().unwrap();
                Some(matched(&matcher, case.documents.iter().enumerate()))
            }
            Err(_) => None,
        };
        if found != case.expected {
            wrong.push(format!(
                "{}: {} gives {found:?}, not {:?} ({:?})",
                case.id,
                case.filter,
                case.expected,
                filter.err()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn documents_of_serde_json_match_alike() {
    let mut documents = 0;
    for case in cases() {
        let Some(expected) = case.expected else {
            continue;
        };
        let matcher = Filter::parse_json(&case.filter).unwrap().compile().unwrap();
        let held: Vec<_> = case.documents.iter().map(to_serde).collect();
        let held = || {
            held.iter()
                .enumerate()
                .filter_map(|(i, doc)| Some((i, doc.as_ref()?)))
        };
        let found = matched(&matcher, held());
        let expected: Vec<_> = held()
            .map(|(i, _)| i)
            .filter(|i| expected.contains(i))
            .collect();
        assert_eq!(found, expected, "{}: {}", case.id, case.filter);
        documents += held().count();
    }
    assert!(documents > 10_000, "{documents}");
}

#[test]
fn the_canonical_form_says_the_same() {
    for case in cases() {
        let Some(expected) = case.expected else {
            continue;
        };
        let filter = Filter::parse_json(&case.filter).unwrap();
        let written = filter.to_json();
        let again = Filter::parse_json(&written).unwrap_or_else(|e| panic!("{written}: {e}"));
        assert_eq!(again, filter.canonical(), "{}: {written}", case.id);
        let matcher = again.compile().unwrap();
        let found = matched(&matcher, case.documents.iter().enumerate());
        assert_eq!(found, expected, "{}: {written}", case.id);
    }
}

#[test]
fn a_parsed_filter_is_read_alike() {
    let options = ParseOptions::default();
    for case in cases() {
        let json: serde_json::Value = serde_json::from_str(&case.filter).unwrap();
        let filter = Filter::from_json(&json, &options);
        assert_eq!(filter.is_ok(), case.expected.is_some(), "{}", case.id);
        // `serde_json` may sort keys, which `$regularExpression` and equality of objects notice.
        if let (Ok(filter), Ok(value)) = (filter, Value::parse_json(&case.filter)) {
            let again = Filter::from_value(&value, &options).unwrap();
            assert_eq!(again.canonical().to_json().len(), filter.to_json().len());
        }
    }
}
