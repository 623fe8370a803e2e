//! Asking before something is done that cannot be undone, or to many.

use std::io::{self, BufRead, IsTerminal, Write};

use super::{
    Shell,
    failure::{Exit, Failure, Result},
    text::one_line,
};

/// Asks whether to do it, unless `yes` was said already. `what` is what will be done, as in
/// `delete run local/p/r for good`.
///
/// # Errors
/// Refused, if the answer is not yes or nobody can be asked.
pub(crate) fn sure(shell: &Shell, yes: bool, what: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && shell.talk.terminal) {
        return Err(Failure::new(
            Exit::Refused,
            format!("refused to {what}: nobody can be asked"),
        )
        .with_hint("--yes does it without asking"));
    }
    let failed = |e: io::Error| Failure::io("ask", &e);
    write!(io::stderr(), "{}? [y/N] ", one_line(what)).map_err(failed)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Refused, "nothing was changed")),
    }
}
