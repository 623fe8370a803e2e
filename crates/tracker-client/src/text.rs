//! Numbers, times and values as people read them.

use serde_json::Value as Json;
use tracker_model::Timestamp;

/// `12,345,678`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 run`, `2 runs`.
pub fn count(n: u64, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {what}{s}", thousands(n))
}

/// `1.2 MB`, in powers of ten.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn bytes(n: u64) -> String {
    let (mut size, mut unit) = (n as f64, "B");
    for next in ["kB", "MB", "GB", "TB", "PB"] {
        if size < 999.5 {
            break;
        }
        (size, unit) = (size / 1000.0, next);
    }
    if unit == "B" || size >= 99.95 {
        format!("{size:.0} {unit}")
    } else {
        format!("{size:.1} {unit}")
    }
}

/// `2026-01-31 12:00:00`, UTC.
pub fn time(t: Timestamp) -> String {
    let whole = Timestamp::from_millis(t.as_millis().div_euclid(1000).saturating_mul(1000));
    whole
        .to_string()
        .replacen('T', " ", 1)
        .trim_end_matches('Z')
        .to_owned()
}

/// JSON as text for a cell: strings as they are, nothing for null.
pub fn json_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "run"), "1 run");
        assert_eq!(count(2000, "run"), "2,000 runs");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1499), "1.5 kB");
        assert_eq!(bytes(123_456_789), "123 MB");
        assert_eq!(
            time(Timestamp::from_millis(1_700_000_000_250)),
            "2023-11-14 22:13:20"
        );
    }
}
