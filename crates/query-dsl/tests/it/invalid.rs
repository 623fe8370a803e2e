//! Every filter that is to be refused, with the kind and the place of the error.

use query_dsl::{Filter, FilterError};

use crate::data::{Line, lines};

pub(crate) fn check(line: &Line, error: Result<(), FilterError>) -> Option<String> {
    let id = line.id();
    let Err(error) = error else {
        return Some(format!("{id}: accepted"));
    };
    let found = (
        error.kind().as_str().to_owned(),
        error.pointer().to_owned(),
        error.on().as_str().to_owned(),
        error.suggestion().map(str::to_owned),
    );
    let text = |field| line.text(field).unwrap();
    let expected = (text("kind"), text("at"), text("on"), line.text("suggest"));
    if error.text_place().is_none() {
        return Some(format!("{id}: no place in the text"));
    }
    (found != expected).then(|| format!("{id}: {} gives {found:?}, not {expected:?}", text("text")))
}

#[test]
fn wrong_filters_are_refused_where_they_are_wrong() {
    let lines = lines("query-invalid.jsonl");
    let core = lines
        .iter()
        .filter(|line| line.text("profile").unwrap() == "core");
    let wrong: Vec<_> = core
        .filter_map(|line| {
            check(
                line,
                Filter::parse_json(&line.text("text").unwrap()).map(|_| ()),
            )
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}
