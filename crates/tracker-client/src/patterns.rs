use globset::{Glob, GlobSet, GlobSetBuilder};
use tracker_model::{Error, Result};

/// Names that are asked for: as they are, or by patterns. All, if nothing is asked for.
#[derive(Debug, Clone)]
pub struct Patterns {
    texts: Vec<String>,
    set: GlobSet,
}

impl Patterns {
    /// Understands patterns: `*` and `?` match any characters, `/` too, `[a-z]` one of them, `{a,b}`
    /// either.
    ///
    /// # Errors
    /// `InvalidInput` if they are too large together.
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self> {
        let texts: Vec<String> = texts.into_iter().map(|t| t.as_ref().to_owned()).collect();
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            // What is no pattern is still a name.
            if let Ok(glob) = Glob::new(text) {
                set.add(glob);
            }
        }
        let set = set
            .build()
            .map_err(|e| Error::invalid(format!("the patterns cannot be used together: {e}")))?;
        Ok(Self { texts, set })
    }

    /// Whether the name is asked for.
    pub fn want(&self, name: &str) -> bool {
        self.texts.is_empty()
            || self.set.is_match(name)
            || self.texts.iter().any(|text| text == name)
    }

    /// The patterns, for messages.
    pub fn describe(&self) -> String {
        self.texts
            .iter()
            .map(|text| format!("{text:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns() {
        let all = Patterns::new([""; 0]).unwrap();
        assert!(all.want("anything"));
        let some = Patterns::new(["*.png", "a?c", "[", "{x,y}"]).unwrap();
        for name in ["a.png", "deep/b.png", "abc", "[", "x"] {
            assert!(some.want(name), "{name}");
        }
        for name in ["", "png", "ac", "]", "z", "a.png.txt"] {
            assert!(!some.want(name), "{name}");
        }
        assert!(!Patterns::new([""]).unwrap().want("a"));
        assert_eq!(some.describe(), "\"*.png\", \"a?c\", \"[\", \"{x,y}\"");
    }
}
