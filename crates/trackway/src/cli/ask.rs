//! Asking before something is done that cannot be undone, or to many.

use std::io::{self, BufRead, IsTerminal, Write};

use tracker_http::SecretString;

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

/// Reads a secret from standard input, one line.
pub(crate) fn secret_from_stdin() -> Result<SecretString> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|e| Failure::io("read the key", &e))?;
    Ok(SecretString::from(line.trim_end_matches(['\n', '\r'])))
}

/// Asks for a secret, which is not shown. `None` if nobody can be asked.
pub(crate) fn secret(shell: &Shell, what: &str) -> Result<Option<SecretString>> {
    if !(io::stdin().is_terminal() && shell.talk.terminal) {
        return Ok(None);
    }
    let failed = |e: io::Error| Failure::io("ask", &e);
    write!(io::stderr(), "{}: ", one_line(what)).map_err(failed)?;
    let line = console::Term::stderr().read_secure_line().map_err(failed)?;
    Ok(Some(SecretString::from(line.trim().to_owned())))
}
