//! Times as people type them.

use jiff::{SignedDuration, civil};
use tracker_model::Timestamp;

use super::failure::{Failure, Result};

/// Understands RFC 3339 (`2026-01-31T12:00:00Z`), dates and times without a zone (UTC), and
/// spans before `now` (`45s`, `30m`, `12h`, `7d`, `2w`).
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Some(time) = before(text, now) {
        return Ok(time);
    }
    let civil = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.parse::<civil::Date>().map(|date| date.at(0, 0, 0, 0)))
        .ok()
        .filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))
        .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok());
    civil
        .and_then(|zoned| Timestamp::from_nanos(zoned.timestamp().as_nanosecond()))
        .ok_or_else(|| {
            Failure::usage(format!("{text:?} is not a time")).with_hint(
                "write 2026-01-31, 2026-01-31T12:00:00Z, or a span before now such as 7d or 12h",
            )
        })
}

/// The time that is a span (`30m`, `12h`, `7d`) before `now`.
pub(crate) fn span_before(text: &str, now: Timestamp) -> Result<Timestamp> {
    before(text.trim(), now).ok_or_else(|| {
        Failure::usage(format!("{text:?} is not a span of time"))
            .with_hint("write a number and a unit, such as 30m, 12h or 7d")
    })
}

fn before(text: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = text.chars().last()?;
    let number: i64 = text
        .get(..text.len() - unit.len_utf8())?
        .parse()
        .ok()
        .filter(|n| *n >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let span = SignedDuration::from_secs(number.checked_mul(seconds)?);
    let now = jiff::Timestamp::from_nanosecond(now.as_nanos()).ok()?;
    Timestamp::from_nanos(now.checked_sub(span).ok()?.as_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        match parse(text, now) {
            Ok(time) => assert_eq!(time.to_string(), expected, "{text}"),
            Err(_) => assert_eq!(expected, "no time", "{text}"),
        }
    }

    #[test]
    fn forms() {
        check("2026-01-02", "2026-01-02T00:00:00Z");
        check("2026-01-02T03:04", "2026-01-02T03:04:00Z");
        check("2026-01-02 03:04:05", "2026-01-02T03:04:05Z");
        check("2026-01-02T03:04:05.25+02:00", "2026-01-02T01:04:05.25Z");
        check("7d", "2026-01-24T12:00:00Z");
        check("12h", "2026-01-31T00:00:00Z");
        check("2w", "2026-01-17T12:00:00Z");
        check("0s", "2026-01-31T12:00:00Z");
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "yesterday",
            "7",
            "d",
            "-7d",
            "7y",
            "2026-02-30",
            "99999999999999w",
            "٣d",
        ] {
            check(text, "no time");
        }
    }
}
