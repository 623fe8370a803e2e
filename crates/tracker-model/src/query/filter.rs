use std::{fmt, str::FromStr, sync::Arc};

use query_dsl::{Filter, FilterError, Matcher, ParseOptions};

use super::{RunNode, RunVocabulary};
use crate::Run;

/// A condition on runs, in the fields of [`RunVocabulary`]. Clones are cheap.
///
/// ```
/// use tracker_model::RunFilter;
///
/// let json: RunFilter = r#"{"config.lr": {"$gt": 0.001}, "state": "finished"}"#.parse()?;
/// let short: RunFilter = "config.lr > 0.001 and state = finished".parse()?;
/// assert_eq!(json.resolved(), short.resolved());
/// # Ok::<(), query_dsl::FilterError>(())
/// ```
#[derive(Clone)]
pub struct RunFilter(Arc<Inner>);

struct Inner {
    written: Filter,
    resolved: Filter,
    matcher: Matcher,
}

impl RunFilter {
    /// A filter in the names of [`RunVocabulary`].
    ///
    /// # Errors
    /// It names a field that runs do not have, or compares one with what it never is.
    pub fn new(written: Filter) -> Result<Self, FilterError> {
        let resolved = written.resolve(&RunVocabulary)?;
        let matcher = resolved.compile()?;
        Ok(Self(Arc::new(Inner {
            written,
            resolved,
            matcher,
        })))
    }

    /// Reads a filter in either form: MongoDB's JSON, or the short one. `$contains`, W&B's search in
    /// texts, is understood. Lengths of time in the short form count back from now.
    ///
    /// # Errors
    /// It is not a filter, with the place; those of [`RunFilter::new`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::parse_with(text, &Self::options())
    }

    /// Reads a filter with other options, as for a client that writes bare `NaN`.
    ///
    /// # Errors
    /// As [`RunFilter::parse`].
    pub fn parse_with(text: &str, options: &ParseOptions) -> Result<Self, FilterError> {
        Self::new(Filter::parse_any(text, jiff::Timestamp::now(), options)?)
    }

    /// How [`RunFilter::parse`] reads.
    pub fn options() -> ParseOptions {
        ParseOptions::default().with_contains()
    }

    /// As it was written.
    pub fn written(&self) -> &Filter {
        &self.0.written
    }

    /// With the names that [`RunNode`] has.
    pub fn resolved(&self) -> &Filter {
        &self.0.resolved
    }

    /// Ready to be asked of anything that has the fields of [`RunNode`].
    pub fn matcher(&self) -> &Matcher {
        &self.0.matcher
    }

    /// Whether it asks for anything of a section: `config`, `summary_metrics`, `extras` or another
    /// field by its resolved name.
    pub fn asks_for(&self, field: &str) -> bool {
        let mut paths = self.0.resolved.paths().into_iter();
        paths.any(|path| path.parts().first().is_some_and(|root| root == field))
    }

    /// Whether it holds for a run.
    pub fn matches(&self, run: &Run) -> bool {
        self.0.matcher.matches(RunNode::new(run))
    }

    /// Both hold.
    ///
    /// # Errors
    /// Together they are larger than a filter may be.
    pub fn and(&self, other: &Self) -> Result<Self, FilterError> {
        Self::new(self.0.written.clone().and(other.0.written.clone()))
    }
}

impl fmt::Debug for RunFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunFilter")
            .field(&self.0.written.to_json())
            .finish()
    }
}

impl PartialEq for RunFilter {
    fn eq(&self, other: &Self) -> bool {
        self.0.resolved == other.0.resolved
    }
}

impl FromStr for RunFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}
