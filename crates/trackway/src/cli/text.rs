//! Small matters of words and numbers.

use std::fmt::Write as _;

use tracker_model::Timestamp;

pub(crate) use tracker_client::{
    chart::duration,
    text::{bytes, count, thousands, time},
};

/// A time for a cell: for people on a terminal, RFC 3339 in a pipe.
pub(crate) fn time_cell(t: Timestamp, terminal: bool) -> String {
    if terminal { time(t) } else { t.to_string() }
}

/// Text that cannot move the cursor, colour the terminal or end the line: control characters and
/// those that change the direction of writing are shown as escapes.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control()
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// At most so many characters, the end replaced by `…`.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Up to three of the names that are nearest to what was typed.
pub(crate) fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near = Nearest::new(typed);
    names.into_iter().for_each(|name| near.offer(name, name));
    near.into_best()
}

/// Finds the nearest of many names, and remembers only these.
#[derive(Debug)]
pub(crate) struct Nearest<T> {
    typed: String,
    best: Vec<(f64, T)>,
}

impl<T> Nearest<T> {
    /// Nearest to what was typed.
    pub(crate) fn new(typed: &str) -> Self {
        Self {
            typed: typed.to_lowercase(),
            best: Vec::new(),
        }
    }

    /// One more name, which stands for `thing`.
    pub(crate) fn offer(&mut self, name: &str, thing: T) {
        const ENOUGH: f64 = 0.75;
        if name.len() > 4 * self.typed.len() + 16 {
            return;
        }
        let name = name.to_lowercase();
        let inside = self.typed.chars().count() >= 3 && name.contains(&self.typed);
        let score = if inside {
            0.9
        } else {
            alike(&self.typed, &name)
        };
        if score >= ENOUGH {
            let at = self.best.partition_point(|(other, _)| *other >= score);
            self.best.insert(at, (score, thing));
            self.best.truncate(3);
        }
    }

    /// The nearest first.
    pub(crate) fn into_best(self) -> Vec<T> {
        self.best.into_iter().map(|(_, thing)| thing).collect()
    }
}

/// How alike two names are: 1 if they are the same.
fn alike(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b).min(strsim::normalized_damerau_levenshtein(a, b) + 0.15)
}

/// `did you mean a, b or c?`
pub(crate) fn did_you_mean<S: AsRef<str>>(names: &[S]) -> Option<String> {
    let (last, before) = names.split_last()?;
    let last = one_line(last.as_ref());
    if before.is_empty() {
        return Some(format!("did you mean {last}?"));
    }
    let before: Vec<_> = before.iter().map(|name| one_line(name.as_ref())).collect();
    Some(format!("did you mean {} or {last}?", before.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration(850), "850 ms");
        assert_eq!(duration(3200), "3.2 s");
        assert_eq!(duration(245_000), "4 min 5 s");
        assert_eq!(duration(-1500), "-1.5 s");
        assert_eq!(duration(90_000_000), "1 d 1 h");
    }

    #[test]
    fn nothing_reaches_the_terminal_raw() {
        assert_eq!(
            one_line("a\u{1b}[31mb\nc\u{202e}"),
            "a\\u{1b}[31mb\\nc\\u{202e}"
        );
    }

    #[test]
    fn suggestions() {
        assert_eq!(
            nearest("trian/loss", ["train/loss", "lr", "val/loss"]).first(),
            Some(&"train/loss")
        );
        assert!(nearest("zzz", ["train/loss"]).is_empty());
        assert_eq!(
            did_you_mean(&["a", "b", "c"]).unwrap(),
            "did you mean a, b or c?"
        );
        assert_eq!(did_you_mean::<&str>(&[]), None);
    }
}
