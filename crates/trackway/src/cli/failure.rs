//! How a command ends.

use std::{fmt, io, process::ExitCode};

use query_dsl::FilterError;
use tracker_model::ErrorKind;

/// The result of whatever may end a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The exit codes. Scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All well.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// It was called in a wrong way.
    Usage = 2,
    /// It finished, but something was lost or failed.
    Partial = 3,
    /// Not authorised.
    Unauthorised = 4,
    /// Not found.
    NotFound = 5,
    /// Refused without `--yes` or `--force`.
    Refused = 6,
    /// A check found differences.
    Differs = 7,
    /// Temporary: try again.
    Temporary = 8,
    /// Interrupted; the same command goes on where it was.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of standard output went away, which is its right.
    Pipe,
    /// Something to tell.
    Told {
        /// The exit code.
        exit: Exit,
        /// What went wrong, one line.
        message: String,
        /// What the user can do, one line.
        hint: Option<String>,
    },
}

impl Failure {
    /// It failed, and here is why.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Told {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// The command was called in a wrong way.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A filter or an order, given by this flag, is not one. The message says where it is wrong.
    pub(crate) fn expression(flag: &str, e: &FilterError) -> Self {
        let bare = e.clone().with_suggestion(None::<String>);
        let meant = e.suggestion().map(|meant| format!("did you mean {meant}?"));
        Self::usage(format!("{flag}: {bare}")).with_hint_if(meant)
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// With another exit code.
    #[must_use]
    pub(crate) fn with_exit(mut self, code: Exit) -> Self {
        if let Self::Told { exit, .. } = &mut self {
            *exit = code;
        }
        self
    }

    /// What the user can do; replaces what was said before.
    #[must_use]
    pub(crate) fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Told { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// What the user can do, if there is something to say.
    #[must_use]
    pub(crate) fn with_hint_if(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.with_hint(text),
            None => self,
        }
    }

    /// An error of the disk, while doing `what`.
    pub(crate) fn io(what: impl fmt::Display, e: &io::Error) -> Self {
        let exit = match e.kind() {
            io::ErrorKind::BrokenPipe => return Self::Pipe,
            io::ErrorKind::NotFound => Exit::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Exit::Unauthorised
            }
            _ => Exit::Failed,
        };
        Self::new(exit, format!("{what}: {e}"))
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Pipe => Exit::Ok,
            Self::Told { exit, .. } => *exit,
        }
    }
}

impl From<tracker_model::Error> for Failure {
    fn from(e: tracker_model::Error) -> Self {
        let exit = match e.kind() {
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => Exit::Unauthorised,
            ErrorKind::InvalidInput => Exit::Usage,
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Conflict => {
                Exit::Temporary
            }
            ErrorKind::AlreadyExists => Exit::Refused,
            _ => Exit::Failed,
        };
        Self::Told {
            exit,
            message: with_causes(&e),
            hint: e.hint().map(ToOwned::to_owned),
        }
    }
}

/// The message and those of its causes, one line, none of them twice.
pub(crate) fn with_causes(e: &dyn std::error::Error) -> String {
    let mut out = e.to_string();
    let mut cause = e.source();
    while let Some(c) = cause {
        let text = c.to_string();
        if !out.contains(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
        cause = c.source();
    }
    out
}

#[cfg(test)]
mod tests {
    use tracker_model::Error;

    use super::*;

    #[test]
    fn kinds_have_their_codes() {
        let exit = |kind| Failure::from(Error::new(kind, "x")).exit() as u8;
        assert_eq!(exit(ErrorKind::InvalidInput), 2);
        assert_eq!(exit(ErrorKind::Unauthenticated), 4);
        assert_eq!(exit(ErrorKind::NotFound), 5);
        assert_eq!(exit(ErrorKind::Unavailable), 8);
        assert_eq!(exit(ErrorKind::Corrupt), 1);
    }

    #[test]
    fn causes_are_told_once() {
        let cause = io::Error::other("the disk is gone");
        let e = Error::new(ErrorKind::Corrupt, "read x: the disk is gone").with_source(cause);
        assert_eq!(with_causes(&e), "read x: the disk is gone");
        let e = Error::new(ErrorKind::Corrupt, "read x").with_source(io::Error::other("why"));
        assert_eq!(with_causes(&e), "read x: why");
    }
}
