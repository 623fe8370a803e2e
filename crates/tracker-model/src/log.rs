use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, MAX_ROW, Result, Timestamp};

/// Where a program wrote a line to.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// The standard output.
    #[default]
    Output,
    /// The standard error. W&B marks such a line with `ERROR`.
    Error,
}

impl LogLevel {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Output, Self::Error];

    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of what a run printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogLine {
    /// Its place in the log, from 0, at most [`MAX_ROW`]. Numbers may have gaps.
    pub number: u64,
    /// When it was printed.
    pub time: Option<Timestamp>,
    /// Where it was printed to.
    pub level: LogLevel,
    /// Which of several processes printed it. Source: W&B `console_label`.
    pub label: Option<String>,
    /// The text without the end of the line; colours stay.
    pub text: String,
}

impl LogLine {
    /// A line of the standard output.
    pub fn new(number: u64, text: impl Into<String>) -> Self {
        Self {
            number,
            time: None,
            level: LogLevel::Output,
            label: None,
            text: text.into(),
        }
    }

    /// Checks that the number is one that every tracker can keep.
    ///
    /// # Errors
    /// `InvalidInput` beyond [`MAX_ROW`].
    pub fn check(&self) -> Result<()> {
        if self.number > MAX_ROW {
            let message = format!("the line number {} is beyond {MAX_ROW}", self.number);
            return Err(Error::invalid(message));
        }
        Ok(())
    }
}
