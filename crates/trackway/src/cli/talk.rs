//! What is said to people: on standard error, never mixed with data.

use std::io::{self, IsTerminal, Write};

use console::Style;

use super::{
    failure::Failure,
    settings::{Color, GlobalArgs},
    text::one_line,
};

/// The voice on standard error.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    quiet: bool,
    colour: bool,
    /// Whether somebody looks: progress may move.
    pub(crate) terminal: bool,
}

impl Talk {
    /// A voice for these flags.
    pub(crate) fn new(global: &GlobalArgs, color: Color) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            quiet: global.quiet,
            colour: wants_colour(color, terminal),
            terminal,
        }
    }

    /// Whether only errors are said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// One line that a user may want to know.
    pub(crate) fn note(&self, line: impl AsRef<str>) {
        if !self.quiet {
            say(line.as_ref());
        }
    }

    /// One line that a user should know.
    pub(crate) fn warn(&self, line: impl AsRef<str>) {
        if !self.quiet {
            say(&format!(
                "{} {}",
                self.style(Style::new().yellow().bold())
                    .apply_to("warning:"),
                line.as_ref()
            ));
        }
    }

    /// Why the command failed, and what can be done.
    pub(crate) fn failure(&self, failure: &Failure) {
        let Failure::Told { message, hint, .. } = failure else {
            return;
        };
        say(&format!(
            "{} {}",
            self.style(Style::new().red().bold()).apply_to("error:"),
            one_line(message)
        ));
        if let Some(hint) = hint {
            say(&format!(
                "{} {}",
                self.style(Style::new().cyan().bold()).apply_to("hint:"),
                one_line(hint)
            ));
        }
    }

    /// Something happened that must not, on any thread.
    pub(crate) fn bug(panic: &std::panic::PanicHookInfo<'_>) {
        let place = panic
            .location()
            .map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        let what = panic
            .payload_as_str()
            .unwrap_or("something that must not happen");
        say(&format!(
            "error: this is a bug in trackway{place}: {}",
            one_line(what)
        ));
        say("hint: repeat it with -vv and report what it says; what was imported is safe");
    }

    /// The style, if there are colours.
    pub(crate) fn style(&self, style: Style) -> Style {
        style.for_stderr().force_styling(self.colour)
    }
}

/// Whether colours are wanted.
pub(crate) fn wants_colour(color: Color, terminal: bool) -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && !forbidden,
    }
}

fn say(line: &str) {
    // Nobody can be told that nobody listens.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
