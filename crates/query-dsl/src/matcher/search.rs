//! Patterns in texts.

use crate::{FilterError, Pattern, regex::Shape};

/// A pattern made ready; those that are plain need no regular expression.
#[derive(Debug)]
pub(super) enum Search {
    Prefix(String),
    Exact(String),
    Regex(regex::Regex),
}

impl Search {
    pub(super) fn new(pattern: &Pattern) -> Result<Self, FilterError> {
        let regex = pattern.compile()?;
        Ok(match pattern.shape() {
            Some(Shape::Prefix(text)) => Self::Prefix(text),
            Some(Shape::Exact(text)) => Self::Exact(text),
            Some(Shape::Contains(_)) | None => Self::Regex(regex),
        })
    }

    pub(super) fn finds(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Exact(whole) => text == whole,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_patterns_find_what_regular_expressions_find() {
        let check = |pattern: &str, options: &str, plain: bool| {
            let pattern = Pattern::new(pattern, options);
            let search = Search::new(&pattern).unwrap();
            assert_eq!(!matches!(search, Search::Regex(_)), plain, "{pattern:?}");
            let regex = pattern.compile().unwrap();
            for text in ["", "a", "ab", "ba", "A", "x\nab", "ab\n", "é", "éab", "a.b"] {
                let found = search.finds(text);
                assert_eq!(found, regex.is_match(text), "{pattern:?} in {text:?}");
            }
        };
        check("^a", "", true);
        check("^ab$", "", true);
        check("^$", "", true);
        check("^é", "", true);
        check(r"^a\.", "", true);
        check("^a", "m", false);
        check("^a", "i", false);
        check("^a.", "", false);
        check("a", "", false);
        check("a$", "", false);
    }
}
