//! Text inside of other languages.

use std::{fmt::Write as _, io};

use super::Output;
use crate::cli::failure::Result;

/// Writes a line of comma-separated values, as RFC 4180 has them.
pub(crate) fn csv_line(out: &mut Output, cells: &[String]) -> Result<()> {
    match plain_line(cells) {
        Some(line) => out.line(line),
        None => out.text(quoted_line(cells).map_err(|e| super::failed(&e))?),
    }
}

/// The line of cells that need no quotes.
fn plain_line(cells: &[String]) -> Option<String> {
    let is_plain = |cell: &String| !cell.contains([',', '"', '\r', '\n']);
    (cells.len() > 1 && cells.iter().all(is_plain)).then(|| cells.join(","))
}

/// The line of any cells, with its end.
fn quoted_line(cells: &[String]) -> io::Result<Vec<u8>> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells)?;
    line.into_inner().map_err(io::Error::other)
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
    fn lines_without_quotes_are_those_of_csv() {
        let texts = [
            "", " ", "a", "é;\t'", "a,b", "a\"b", "a\nb", "a\rb", "#a", "\\", "-1",
        ];
        let (mut plain, mut quoted) = (0, 0);
        for first in texts {
            for cells in [vec![first], vec![first, "x"], vec!["", first]] {
                let cells: Vec<String> = cells.into_iter().map(str::to_owned).collect();
                let line = String::from_utf8(quoted_line(&cells).unwrap()).unwrap();
                match plain_line(&cells) {
                    Some(ours) => {
                        plain += 1;
                        assert_eq!(format!("{ours}\n"), line);
                    }
                    None => quoted += 1,
                }
            }
        }
        assert_eq!((plain, quoted), (14, 19));
    }

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
