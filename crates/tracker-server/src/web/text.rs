//! Texts of users on pages.

use std::borrow::Cow;

use maud::{Markup, Render, html};
use tracker_model::Timestamp;

/// Text that others wrote: escaped, and without characters that a reader cannot see or that change
/// the direction of what is around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl Render for Text<'_> {
    fn render_to(&self, out: &mut String) {
        seen(self.0).render_to(out);
    }
}

fn hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with U+FFFD in place of what is hidden.
fn seen(text: &str) -> Cow<'_, str> {
    if !text.contains(hidden) {
        return text.into();
    }
    text.replace(hidden, "\u{fffd}").into()
}

/// At most so many characters of a text.
pub(super) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
    }
}

/// A line of a terminal as it looks in the end, without its colours: of what was written over with
/// carriage returns the last is left.
pub(super) fn of_terminal(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => out.clear(),
            '\u{1b}' => match chars.next() {
                // Colours and cursors: parameters, and a letter in the end.
                Some('[') => {
                    chars.by_ref().find(|c| matches!(c, '@'..='~'));
                }
                // Titles and links: up to a bell or a backslash after escape.
                Some(']') => {
                    let mut before = ' ';
                    chars.by_ref().find(|c| {
                        let end = *c == '\u{7}' || (before == '\u{1b}' && *c == '\\');
                        before = *c;
                        end
                    });
                }
                // Character sets.
                Some('(' | ')') => {
                    chars.next();
                }
                _ => {}
            },
            c => out.push(c),
        }
    }
    out
}

/// A time for people, with all of it behind.
pub(super) fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at.to_string()) title=(at.to_string()) { (tracker_client::text::time(at)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        let evil = "<script>alert(\"1\")</script>&\u{202e}x\u{2066}\u{1b}[2J\n\u{0}";
        assert_eq!(
            html! { p title=(Text(evil)) { (Text(evil)) } }.into_string().matches("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;\u{fffd}x\u{fffd}\u{fffd}[2J\n\u{fffd}").count(),
            2
        );
        assert_eq!(seen("ünï\t\n"), "ünï\t\n");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äöü…");
    }

    #[test]
    fn lines_as_a_terminal_shows_them() {
        for (line, wanted) in [
            ("plain", "plain"),
            ("\u{1b}[1;31mred\u{1b}[0m text\r\n", "red text"),
            ("10%\r100%", "100%"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\b", "ab"),
            ("\u{1b}(Bx\u{1b}[", "x"),
            ("\u{1b}", ""),
        ] {
            assert_eq!(of_terminal(line), wanted, "{line:?}");
        }
    }
}
