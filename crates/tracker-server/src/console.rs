//! Lines of console output as the file stream has them.

use serde::Deserialize;
use tracker_model::{LogLevel, LogLine, Timestamp};

/// What the SDK sends where the server says that it understands it.
#[derive(Deserialize)]
struct Structured {
    ts: Option<String>,
    content: String,
    level: Option<String>,
    label: Option<String>,
}

/// Reads a line: JSON with its parts, or `ERROR 2026-11-21T07:36:00.388850 [label] text`, where
/// `ERROR ` stands for standard error. What is neither is text. Times are UTC.
pub(crate) fn line(number: u64, text: &str) -> LogLine {
    if text.starts_with('{')
        && let Ok(parts) = serde_json::from_str::<Structured>(text)
    {
        let mut line = LogLine::new(number, parts.content);
        line.time = parts.ts.as_deref().and_then(utc);
        line.level = level(parts.level.as_deref() == Some("error"));
        line.label = parts.label.filter(|label| !label.is_empty());
        return line;
    }
    let (error, rest) = match text.strip_prefix("ERROR ") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    // The time of a line without text has no space behind it.
    let (stamp, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let Some(time) = utc(stamp) else {
        return LogLine::new(number, text);
    };
    let labelled = rest
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let (label, content) = match labelled {
        // Programs print brackets too: what the SDK puts there is one word.
        Some((label, content)) if is_label(label) => (Some(label.to_owned()), content),
        _ => (None, rest),
    };
    let mut line = LogLine::new(number, content);
    line.time = Some(time);
    line.level = level(error);
    line.label = label;
    line
}

fn level(error: bool) -> LogLevel {
    if error {
        LogLevel::Error
    } else {
        LogLevel::Output
    }
}

/// The SDK labels lines of several writers with `rank-3`, `node-0` and the like.
fn is_label(text: &str) -> bool {
    text.starts_with("rank") && text.len() <= 64 && !text.contains(char::is_whitespace)
}

/// A time without a zone.
fn utc(text: &str) -> Option<Timestamp> {
    let zoneless = text.len() >= 19 && !text.ends_with('Z') && !text.contains('+');
    let zoned = if zoneless {
        format!("{text}Z")
    } else {
        text.to_owned()
    };
    zoned.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_forms() {
        let time = "2026-11-21T07:36:00.38885Z".parse().ok();
        let structured = line(
            3,
            r#"{"ts":"2026-11-21T07:36:00.388850","content":"step \u001b[0m 1"}"#,
        );
        assert_eq!((structured.number, structured.time), (3, time));
        assert_eq!(
            (structured.level, structured.text.as_str()),
            (LogLevel::Output, "step \u{1b}[0m 1")
        );
        let error = line(0, r#"{"level":"error","ts":"x","content":"","label":"w"}"#);
        assert_eq!(
            (error.level, error.time, error.label.as_deref()),
            (LogLevel::Error, None, Some("w"))
        );
        let plain = line(0, "ERROR 2026-11-21T07:36:00.388850 a [b] c");
        assert_eq!(
            (plain.time, plain.level, plain.text.as_str()),
            (time, LogLevel::Error, "a [b] c")
        );
        let empty = line(0, "2026-11-21T07:36:00.388850 ");
        assert_eq!((empty.time, empty.text.as_str()), (time, ""));
    }

    #[test]
    fn text_is_text() {
        for text in ["", "hello", "ERROR", "ERROR it failed", "{\"a\":1}", "{"] {
            let read = line(0, text);
            assert_eq!((read.text.as_str(), read.time), (text, None));
        }
    }
}
