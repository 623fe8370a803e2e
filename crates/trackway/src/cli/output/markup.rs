//! Text inside of other languages.

use std::fmt::Write as _;

use super::Output;
use crate::cli::failure::{Exit, Failure, Result};

/// Writes a line of comma-separated values, as RFC 4180 has them.
pub(crate) fn csv_line(out: &mut Output, cells: &[String]) -> Result<()> {
    let mut line = csv::WriterBuilder::new()
        .buffer_capacity(1 << 10)
        .from_writer(out);
    let written = line.write_record(cells).map_err(|e| match e.into_kind() {
        csv::ErrorKind::Io(e) => super::failed(&e),
        other => Failure::new(Exit::Failed, format!("write CSV: {other:?}")),
    });
    written.and_then(|()| {
        line.into_inner()
            .map(drop)
            .map_err(|e| super::failed(e.error()))
    })
}

/// Text that Markdown shows as it is, inside a cell of a table.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' => out.push_str("<br>"),
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '&' => out.extend(['\\', c]),
            // Inside of words it is itself.
            '_' if word(before) && word(chars.peek().copied()) => out.push(c),
            '_' => out.push_str("\\_"),
            c if c.is_control() => {
                let _ = write!(out, "\\\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
        before = Some(c);
    }
    out
}

fn word(c: Option<char>) -> bool {
    c.is_some_and(char::is_alphanumeric)
}

/// Text that LaTeX shows as it is.
pub(crate) fn latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '\\' => out.push_str("\\textbackslash{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\textquotedbl{}"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_for_markup() {
        assert_eq!(
            markdown("a|b_c _d_ *e*\r\nf\\ <g> \u{1b}"),
            "a\\|b_c \\_d\\_ \\*e\\*<br>f\\\\ \\<g\\> \\\\u{1b}"
        );
        assert_eq!(
            latex("50% of a_b & {c} ~^\\"),
            "50\\% of a\\_b \\& \\{c\\} \\textasciitilde{}\\textasciicircum{}\\textbackslash{}"
        );
    }
}
