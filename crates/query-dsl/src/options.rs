/// How a filter is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParseMode {
    /// What is legal and useless, or means something else elsewhere, is an error.
    #[default]
    Strict,
    /// As a MongoDB server reads it: operators inside of values are plain keys, `$exists` takes any
    /// value, parts of a path may be empty, brackets in paths are plain characters; in regular
    /// expressions, braces that repeat nothing are plain and `\Q…\E` quotes.
    Lenient,
}

/// How a filter is read, and limits that keep a foreign one harmless.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ParseOptions {
    /// Strict unless said otherwise.
    pub mode: ParseMode,
    /// Accepts the bare words `NaN`, `Infinity` and `-Infinity`, as Python writes them.
    pub python_json: bool,
    /// Accepts `$contains`, which is W&B's and finds a text in a text.
    pub contains: bool,
    /// How deep filters, expressions and values nest.
    pub max_depth: usize,
    /// How many conditions, and how many values, there are in all.
    pub max_values: usize,
    /// The longest pattern, in bytes.
    pub max_pattern: usize,
}

impl ParseOptions {
    /// The greatest depth that can be asked for.
    pub const MAX_DEPTH: usize = 200;

    /// As a MongoDB server reads it.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.mode = ParseMode::Lenient;
        self
    }

    /// Sets [`ParseOptions::python_json`].
    #[must_use]
    pub fn with_python_json(mut self) -> Self {
        self.python_json = true;
        self
    }

    /// Sets [`ParseOptions::contains`].
    #[must_use]
    pub fn with_contains(mut self) -> Self {
        self.contains = true;
        self
    }

    /// Sets [`ParseOptions::max_depth`].
    #[must_use]
    pub fn with_max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth.min(Self::MAX_DEPTH);
        self
    }

    pub(crate) fn is_lenient(&self) -> bool {
        self.mode == ParseMode::Lenient
    }
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            mode: ParseMode::Strict,
            python_json: false,
            contains: false,
            max_depth: 100,
            max_values: 2_000_000,
            max_pattern: crate::regex::MAX_PATTERN,
        }
    }
}
