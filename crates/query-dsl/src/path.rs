//! Paths into documents.

use std::{fmt, str::FromStr};

use crate::{
    ErrorKind, FilterError, On,
    json::{self, JsonOptions, RawKind},
};

/// The most parts that a path has.
pub(crate) const MAX_PARTS: usize = 200;

/// A way into a document: the keys to follow, from the root.
///
/// Written `config.model.depth`. A key that holds dots, or is otherwise odd, is written in brackets
/// as a JSON string: `config["a.b"].c`. A part that is a decimal number also selects the element of
/// an array.
///
/// ```
/// use query_dsl::Path;
///
/// let path: Path = r#"config["a.b"].c"#.parse()?;
/// assert_eq!(path.parts(), ["config", "a.b", "c"]);
/// assert_eq!(path.to_string(), r#"config["a.b"].c"#);
/// # Ok::<(), query_dsl::FilterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    parts: Vec<String>,
    /// From this part on, several parts may be one key that holds dots.
    joined_from: Option<usize>,
    /// This part may be left out.
    optional: Option<usize>,
    /// It was built from a text that is no path.
    unread: bool,
}

impl Path {
    /// A path of these keys. Keys may hold dots.
    pub fn new<S: Into<String>>(parts: impl IntoIterator<Item = S>) -> Self {
        Self {
            parts: parts.into_iter().map(Into::into).collect(),
            joined_from: None,
            optional: None,
            unread: false,
        }
    }

    /// Splits at dots alone; brackets are part of the keys.
    pub(crate) fn split(text: &str) -> Self {
        Self::new(text.split('.'))
    }

    /// The keys in order.
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Lets the parts from index `first` on be found under keys that hold dots, too: for `a.b.c`
    /// from 1, `a["b.c"]` and `a.b.c` are both looked at, and the field is missing only if neither
    /// is there.
    #[must_use]
    pub fn with_joined_keys(mut self, first: usize) -> Self {
        self.joined_from = (first + 1 < self.parts.len()).then_some(first);
        self
    }

    /// See [`Path::with_joined_keys`].
    pub fn joined_from(&self) -> Option<usize> {
        self.joined_from
    }

    /// Lets the part at `index` be left out: an object that has the key is entered as always; from
    /// anything else (an object without the key, a scalar, an array, null) the path goes on with the
    /// next part, as if this one were not written. Where nothing is reached, nothing is found. One
    /// part at most is such, and never the first, which says where in the document to begin; any
    /// other `index` marks none.
    ///
    /// With [`Path::with_joined_keys`], the key is any that begins with this part, and keys that
    /// begin before it hold it.
    ///
    /// ```
    /// use query_dsl::{Filter, Path, Value};
    ///
    /// let path = Path::new(["config", "lr", "value"]).with_optional_part(2);
    /// let matcher = Filter::field(path).eq(0.1).compile()?;
    /// assert!(matcher.matches(&Value::parse_json(r#"{"config": {"lr": 0.1}}"#)?));
    /// assert!(matcher.matches(&Value::parse_json(r#"{"config": {"lr": {"value": 0.1}}}"#)?));
    /// # Ok::<(), query_dsl::FilterError>(())
    /// ```
    #[must_use]
    pub fn with_optional_part(mut self, index: usize) -> Self {
        self.optional = (1..self.parts.len()).contains(&index).then_some(index);
        self
    }

    /// See [`Path::with_optional_part`].
    pub fn optional_part(&self) -> Option<usize> {
        self.optional
    }

    /// The ways on from the part at `index`: a key and how many parts it takes, longest first.
    pub(crate) fn keys_at(&self, index: usize) -> Vec<(String, usize)> {
        let rest = self.parts.get(index..).unwrap_or_default();
        let longest = match self.joined_from {
            Some(first) if index >= first => rest.len(),
            _ => rest.len().min(1),
        };
        let joined = |taken: usize| rest.get(..taken).unwrap_or_default().join(".");
        (1..=longest)
            .rev()
            .map(|taken| (joined(taken), taken))
            .collect()
    }

    /// Whether the path can be used.
    pub(crate) fn check(&self) -> Result<(), FilterError> {
        if self.unread {
            self.parts.join(".").parse::<Self>()?;
        }
        let fault = if self.parts.is_empty() {
            Some((ErrorKind::EmptyFieldName, "a field name is empty"))
        } else if self.parts.len() > MAX_PARTS {
            Some((ErrorKind::BadPath, "the path has too many parts"))
        } else {
            None
        };
        match fault {
            Some((kind, message)) => Err(FilterError::new(kind, message).at("", On::Key)),
            None => Ok(()),
        }
    }
}

impl FromStr for Path {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let fail = |kind, message: &str| Err(FilterError::new(kind, message).at("", On::Key));
        if text.is_empty() {
            return fail(ErrorKind::EmptyFieldName, "a field name is empty");
        }
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let plain = rest
                .find('.')
                .into_iter()
                .chain(rest.find("[\""))
                .min()
                .unwrap_or(rest.len());
            let (part, after) = rest.split_at(plain);
            // Only a bracket at the very start may have nothing before it.
            if part.is_empty() && !(parts.is_empty() && after.starts_with('[')) {
                return fail(
                    ErrorKind::EmptyPathPart,
                    &format!("the path {text:?} has an empty part"),
                );
            }
            if part.starts_with('$') {
                return fail(
                    ErrorKind::OperatorInPath,
                    &format!("{part} begins with $, so it is no part of a path"),
                );
            }
            if !part.is_empty() {
                parts.push(part.to_owned());
            }
            rest = after;
            while rest.starts_with("[\"") {
                let Some((key, after)) = bracket(rest) else {
                    return fail(
                        ErrorKind::BadPath,
                        &format!("a bracket in {text:?} is not closed by \"]"),
                    );
                };
                parts.push(key);
                rest = after;
            }
            if rest.is_empty() {
                break;
            }
            let Some(after) = rest.strip_prefix('.') else {
                return fail(
                    ErrorKind::BadPath,
                    &format!("a dot is missing after a bracket in {text:?}"),
                );
            };
            rest = after;
        }
        let path = Self {
            parts,
            joined_from: None,
            optional: None,
            unread: false,
        };
        path.check()?;
        Ok(path)
    }
}

/// The key in `["key"]` at the start, and what follows.
pub(crate) fn bracket(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('[')?;
    let mut escaped = false;
    let end = inner.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    })?;
    let (literal, after) = inner.split_at(end.0 + 1);
    let raw = json::parse(literal, &JsonOptions::default()).ok()?;
    let RawKind::String(key) = raw.kind else {
        return None;
    };
    Some((key, after.strip_prefix(']')?))
}

/// A path as written; what cannot be read as a path is split at its dots, and refused when it is
/// used.
impl From<&str> for Path {
    fn from(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| Self {
            unread: true,
            ..Self::split(text)
        })
    }
}

impl From<String> for Path {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&Self> for Path {
    fn from(path: &Self) -> Self {
        path.clone()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            let odd = part.is_empty()
                || part.contains('.')
                || part.contains("[\"")
                || part.ends_with('[')
                || part.starts_with('$');
            if odd {
                let mut quoted = String::new();
                crate::write::string(part, &mut quoted);
                write!(f, "[{quoted}]")?;
            } else {
                let dot = if index == 0 { "" } else { "." };
                write!(f, "{dot}{part}")?;
            }
        }
        Ok(())
    }
}

/// The index of an array that a part names: decimal, without a leading zero.
pub(crate) fn index_of(part: &str) -> Option<usize> {
    let canonical = part == "0" || part.starts_with(|c: char| ('1'..='9').contains(&c));
    if canonical && part.bytes().all(|b| b.is_ascii_digit()) {
        part.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        let check = |text: &str, parts: &[&str]| {
            let path: Path = text.parse().unwrap();
            assert_eq!(path.parts(), parts, "{text}");
            assert_eq!(path.to_string(), text);
        };
        check("a", &["a"]);
        check("a.b/c.0", &["a", "b/c", "0"]);
        check(r#"["a.b"].c"#, &["a.b", "c"]);
        check(r#"a["b.c"]["d.\"]"].e"#, &["a", "b.c", "d.\"]", "e"]);
        check(r#"a[0]"#, &["a[0]"]);
        check(r#"a["$x"]"#, &["a", "$x"]);
    }

    #[test]
    fn wrong_paths_are_refused() {
        let check = |text: &str, kind: ErrorKind| {
            assert_eq!(text.parse::<Path>().unwrap_err().kind(), kind, "{text}");
        };
        check("", ErrorKind::EmptyFieldName);
        check("a..b", ErrorKind::EmptyPathPart);
        check(".a", ErrorKind::EmptyPathPart);
        check("a.", ErrorKind::EmptyPathPart);
        check(r#"a.["b"]"#, ErrorKind::EmptyPathPart);
        check("a.$b", ErrorKind::OperatorInPath);
        check(r#"a["b"#, ErrorKind::BadPath);
        check(r#"a["b"]c"#, ErrorKind::BadPath);
        check(&["a"; 300].join("."), ErrorKind::BadPath);
    }

    #[test]
    fn indexes_are_canonical() {
        assert_eq!(index_of("0"), Some(0));
        assert_eq!(index_of("12"), Some(12));
        for odd in ["00", "01", "-1", "+1", "", "1a", "99999999999999999999999"] {
            assert_eq!(index_of(odd), None, "{odd}");
        }
    }
}
