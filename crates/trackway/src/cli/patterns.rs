//! Patterns over names.

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::failure::{Failure, Result};

/// Names that are asked for: as they are, or by patterns. All, if nothing is asked for.
#[derive(Debug)]
pub(crate) struct Patterns {
    texts: Vec<String>,
    set: GlobSet,
}

impl Patterns {
    /// Understands patterns: `*` and `?` match any characters, `[a-z]` one of them, `{a,b}` either.
    pub(crate) fn new(texts: &[String]) -> Result<Self> {
        let mut set = GlobSetBuilder::new();
        for text in texts {
            // What is no pattern is still a name.
            if let Ok(glob) = Glob::new(text) {
                set.add(glob);
            }
        }
        let set = set
            .build()
            .map_err(|e| Failure::usage(format!("the patterns cannot be used together: {e}")))?;
        Ok(Self {
            texts: texts.to_vec(),
            set,
        })
    }

    /// Whether the name is asked for.
    pub(crate) fn want(&self, name: &str) -> bool {
        self.texts.is_empty()
            || self.set.is_match(name)
            || self.texts.iter().any(|text| text == name)
    }

    /// The patterns, for messages.
    pub(crate) fn describe(&self) -> String {
        self.texts
            .iter()
            .map(|text| format!("{text:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}
