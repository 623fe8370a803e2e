//! What holds for all filters and documents.

use std::cmp::Ordering;

use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use query_dsl::{Filter, JsonOptions, Order, ParseOptions, Path, Value, compare};

use crate::{database::Database, random, reference};

fn chosen(filter: &Filter, documents: &[Value]) -> Vec<usize> {
    let matcher = filter.compile().unwrap();
    (0..documents.len())
        .filter(|i| matcher.matches(&documents[*i]))
        .collect()
}

/// JSON cannot say that keys may hold dots, or that a part may be left out.
fn with_plain_paths(filter: &Filter) -> Filter {
    struct Plain;
    impl query_dsl::Vocabulary for Plain {
        fn resolve(&self, path: &Path) -> Result<Path, query_dsl::FilterError> {
            Ok(Path::new(path.parts()))
        }

        fn operand(
            &self,
            _: &Path,
            _: query_dsl::Operator,
            _: &Value,
        ) -> Result<Option<Value>, query_dsl::FilterError> {
            Ok(None)
        }
    }
    let filter = filter.resolve(&Plain).unwrap();
    // What is below `$elemMatch` stays, so its text is read back.
    Filter::parse_json(&filter.to_json()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_fast_evaluator_agrees_with_the_slow_one(
        filter in random::filter(),
        documents in vec(random::document(), 1..8),
    ) {
        let fast = chosen(&filter, &documents);
        let slow: Vec<_> = (0..documents.len())
            .filter(|i| reference::matches(&filter, &documents[*i]))
            .collect();
        prop_assert_eq!(&fast, &slow, "{}", filter);
        prop_assert_eq!(&chosen(&filter.canonical(), &documents), &slow, "{}", filter);
    }

    #[test]
    fn a_filter_survives_its_text(filter in random::filter(), documents in vec(random::document(), 1..4)) {
        let filter = with_plain_paths(&filter);
        let canonical = filter.canonical();
        prop_assert_eq!(&canonical.canonical(), &canonical);
        let text = canonical.to_json();
        let again = Filter::parse_json(&text);
        prop_assert!(again.is_ok(), "{}: {:?}", text, again);
        let again = again.unwrap();
        prop_assert_eq!(&again, &canonical, "{}", text);
        prop_assert_eq!(again.to_json(), text);
        prop_assert_eq!(chosen(&again, &documents), chosen(&filter, &documents));
    }

    #[test]
    fn a_filter_survives_its_short_form(filter in random::filter()) {
        let filter = with_plain_paths(&filter);
        if let Some(short) = filter.to_short() {
            let again = Filter::parse_short(&short, Timestamp::UNIX_EPOCH);
            prop_assert!(again.is_ok(), "{}: {:?}", short, again);
            prop_assert_eq!(again.unwrap().canonical(), filter.canonical(), "{}", short);
        }
    }

    #[test]
    fn sqlite_agrees(filter in random::filter(), documents in vec(random::document(), 1..8)) {
        let database = Database::new();
        let held = database.fill(&documents);
        let expected: Vec<_> = chosen(&filter, &documents)
            .into_iter()
            .filter(|i| held.contains(i))
            .collect();
        database.check(&filter, &documents, &expected);
    }

    #[test]
    fn a_value_survives_its_text(value in random::value()) {
        let text = value.to_json();
        prop_assert_eq!(Value::parse_json(&text).unwrap(), value, "{}", text);
    }

    #[test]
    fn values_are_in_one_order(a in random::value(), b in random::value(), c in random::value()) {
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
            prop_assert!(compare(&a, &c).is_le());
        }
    }

    #[test]
    fn sorting_is_stable_and_sorted(
        order in random::order(),
        documents in vec(random::document(), 0..10),
    ) {
        let mut sorted: Vec<&Value> = documents.iter().collect();
        order.sort(&mut sorted);
        prop_assert_eq!(sorted.len(), documents.len());
        let place = |doc: &Value| documents.iter().position(|d| std::ptr::eq(d, doc)).unwrap();
        for pair in sorted.windows(2) {
            let by_key = order.compare(&order.key(pair[0]), &order.key(pair[1]));
            let expected = by_key.then(place(pair[0]).cmp(&place(pair[1])));
            prop_assert_eq!(expected, Ordering::Less);
        }
        for key in &order.keys {
            let again: Order = key.to_string().parse().unwrap();
            prop_assert_eq!(again.keys[0].path.parts(), key.path.parts());
        }
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC*", bytes in vec(any::<u8>(), 0..60)) {
        let bytes = String::from_utf8_lossy(&bytes);
        for text in [text.as_str(), &bytes] {
            read_all(text);
        }
    }

    #[test]
    fn no_near_miss_is_too_odd(
        filter in random::filter(),
        at in any::<prop::sample::Index>(),
        odd in prop::sample::select(vec!["", "{", "}", "[", "]", "\"", "$", ",", "1e", "\\", "é", "\\u", " not "]),
    ) {
        for mut text in [Some(filter.to_json()), filter.to_short()].into_iter().flatten() {
            let places: Vec<_> = text.char_indices().map(|(i, _)| i).collect();
            if places.is_empty() {
                continue;
            }
            let at = places[at.index(places.len())];
            text.replace_range(at..text[at..].chars().next().map_or(at, |c| at + c.len_utf8()), odd);
            read_all(&text);
        }
    }

    #[test]
    fn no_pattern_is_too_odd(pattern in r"[\[\](){}?*+|^$.\\<>:!=a-fA-Z0-9,&~# -]{0,20}", options in "[imsx]{0,2}") {
        let json = format!(
            r#"{{"a": {{"$regex": {}, "$options": "{options}"}}}}"#,
            Value::from(pattern.as_str()).to_json(),
        );
        for mode in [ParseOptions::default(), ParseOptions::default().lenient()] {
            if let Ok(filter) = Filter::parse_json_with(&json, &mode) {
                let matcher = filter.compile().unwrap();
                matcher.matches(&Value::parse_json(r#"{"a": "abc {1}"}"#).unwrap());
            }
        }
    }
}

fn read_all(text: &str) {
    let strict = ParseOptions::default();
    for options in [
        strict.clone(),
        strict.lenient().with_python_json().with_contains(),
    ] {
        if let Ok(filter) = Filter::parse_any(text, Timestamp::UNIX_EPOCH, &options) {
            filter.compile().unwrap();
        }
        if let Err(error) = Filter::parse_json_with(text, &options) {
            assert!(!error.to_string().is_empty());
        }
    }
    let _ = text.parse::<Order>();
    let _ = text.parse::<Path>();
    let _ = Value::parse_json_with(text, &JsonOptions::default().with_python_json());
}
