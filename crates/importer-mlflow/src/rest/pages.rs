//! Page tokens, and what servers do wrong with them.

use std::collections::HashSet;

use tracker_model::{Error, ErrorKind, Result};

/// Pages without anything in them that are followed one after the other.
const MAX_EMPTY: u32 = 20;
/// Tokens that are remembered: each is of a page, and a page is never empty for long.
const MAX_TOKENS: usize = 1 << 20;

/// Follows the tokens of one listing, and refuses to run in a circle.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    token: Option<String>,
    seen: HashSet<u64>,
    empty: u32,
}

impl Pages {
    /// The token of the next page; `None` for the first.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Takes note of a page with so many items, and tells whether another one follows.
    ///
    /// # Errors
    /// `Corrupt` when the server gives a token again, or one empty page after the other.
    pub(crate) fn follow(
        &mut self,
        items: usize,
        next: Option<String>,
        what: &str,
    ) -> Result<bool> {
        let Some(next) = next.filter(|token| !token.is_empty()) else {
            self.token = None;
            return Ok(false);
        };
        let wrong = |how: &str| {
            let message = format!("{what}: the server {how}, so that the listing would never end");
            Error::new(ErrorKind::Corrupt, message)
        };
        let hash = blake3::hash(next.as_bytes());
        let mark = hash
            .as_bytes()
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if !self.seen.insert(mark) {
            return Err(wrong("gives the same page token twice"));
        }
        self.empty = if items == 0 { self.empty + 1 } else { 0 };
        if self.empty > MAX_EMPTY || self.seen.len() > MAX_TOKENS {
            return Err(wrong("gives one empty page after the other"));
        }
        self.token = Some(next);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn ends_without_a_token() {
        let mut pages = Pages::default();
        assert!(pages.follow(2, token("a"), "list").unwrap());
        assert_eq!(pages.token(), Some("a"));
        assert!(!pages.follow(2, token(""), "list").unwrap());
        assert_eq!(pages.token(), None);
    }

    #[test]
    fn a_circle_is_an_error() {
        let mut pages = Pages::default();
        pages.follow(2, token("a"), "list").unwrap();
        pages.follow(2, token("b"), "list").unwrap();
        let error = pages.follow(2, token("a"), "list the runs").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(
            error
                .to_string()
                .starts_with("list the runs: the server gives the same page token twice")
        );
    }

    #[test]
    fn some_empty_pages_are_followed() {
        let mut pages = Pages::default();
        for page in 0..MAX_EMPTY {
            assert!(pages.follow(0, Some(page.to_string()), "list").unwrap());
        }
        assert!(pages.follow(0, token("x"), "list").is_err());
    }
}
