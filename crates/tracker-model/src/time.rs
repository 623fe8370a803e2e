use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const NS_PER_MS: i128 = 1_000_000;

/// An instant, UTC.
///
/// Milliseconds since 1970 over the whole range of `i64` (MLflow stores any), and the nanoseconds
/// below the millisecond where the source has them. Text is RFC 3339 in the years -9999 to 9999,
/// and `@MILLISECONDS` (with `+NANOSECONDS` if any) outside of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp {
    ms: i64,
    sub_ns: u32,
}

impl Timestamp {
    /// From milliseconds since 1970.
    pub const fn from_millis(ms: i64) -> Self {
        Self { ms, sub_ns: 0 }
    }

    /// From milliseconds since 1970 and nanoseconds (0 to 999,999; larger ones are cut) on top.
    pub const fn from_parts(ms: i64, sub_ns: u32) -> Self {
        Self {
            ms,
            sub_ns: if sub_ns > 999_999 { 999_999 } else { sub_ns },
        }
    }

    /// From nanoseconds since 1970. `None` where the milliseconds leave `i64`.
    pub fn from_nanos(ns: i128) -> Option<Self> {
        let ms = i64::try_from(ns.div_euclid(NS_PER_MS)).ok()?;
        let sub_ns = u32::try_from(ns.rem_euclid(NS_PER_MS)).ok()?;
        Some(Self { ms, sub_ns })
    }

    /// The present.
    pub fn now() -> Self {
        let ns = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(d) => i128::try_from(d.as_nanos()).unwrap_or(0),
            Err(e) => -i128::try_from(e.duration().as_nanos()).unwrap_or(0),
        };
        Self::from_nanos(ns).map_or(Self::from_millis(0), |t| Self::from_millis(t.ms))
    }

    /// Whole milliseconds since 1970, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.ms
    }

    /// Nanoseconds since the whole millisecond, 0 to 999,999.
    pub const fn sub_nanos(self) -> u32 {
        self.sub_ns
    }

    /// Nanoseconds since 1970.
    pub fn as_nanos(self) -> i128 {
        i128::from(self.ms) * NS_PER_MS + i128::from(self.sub_ns)
    }

    /// Seconds from one instant to another.
    #[expect(
        clippy::cast_precision_loss,
        reason = "of doubles, this is the nearest"
    )]
    pub fn seconds_between(from: Self, to: Self) -> f64 {
        (to.as_nanos() - from.as_nanos()) as f64 / 1e9
    }

    /// Seconds since 1970 as an exact decimal, such as `1700000000.25`: at most nine digits after
    /// the point, no exponent, a JSON number.
    pub fn to_decimal_seconds(self) -> String {
        let ns = self.as_nanos();
        let (sign, ns) = if ns < 0 { ("-", -ns) } else { ("", ns) };
        let (whole, part) = (ns / 1_000_000_000, ns % 1_000_000_000);
        if part == 0 {
            return format!("{sign}{whole}");
        }
        let part = format!("{part:09}");
        format!("{sign}{whole}.{}", part.trim_end_matches('0'))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(self.as_nanos()) {
            Ok(t) => write!(f, "{t}"),
            Err(_) if self.sub_ns == 0 => write!(f, "@{}", self.ms),
            Err(_) => write!(f, "@{}+{}", self.ms, self.sub_ns),
        }
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(format!(
                "{s:?} is not a time: it needs RFC 3339, such as 2026-01-31T12:00:00Z"
            ))
        };
        if let Some(rest) = s.strip_prefix('@') {
            let (ms, sub) = rest.split_once('+').unwrap_or((rest, "0"));
            let sub_ns = sub
                .parse::<u32>()
                .ok()
                .filter(|n| *n < 1_000_000)
                .ok_or_else(bad)?;
            return Ok(Self {
                ms: ms.parse().map_err(|_| bad())?,
                sub_ns,
            });
        }
        let t: jiff::Timestamp = s.parse().map_err(|_| bad())?;
        Self::from_nanos(t.as_nanosecond()).ok_or_else(bad)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = Error;
    fn try_from(s: String) -> Result<Self> {
        s.parse()
    }
}

impl From<Timestamp> for String {
    fn from(t: Timestamp) -> Self {
        t.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms() {
        assert_eq!(
            Timestamp::from_millis(1_700_000_000_250).to_string(),
            "2023-11-14T22:13:20.25Z"
        );
        assert_eq!(
            Timestamp::from_millis(1_700_000_000_250).to_decimal_seconds(),
            "1700000000.25"
        );
        assert_eq!(
            Timestamp::from_millis(i64::MAX).to_decimal_seconds(),
            "9223372036854775.807"
        );
        assert_eq!(Timestamp::from_millis(-1).to_decimal_seconds(), "-0.001");
        assert_eq!(
            Timestamp::from_millis(i64::MAX).to_string(),
            "@9223372036854775807"
        );
    }

    proptest! {
        #[test]
        fn text_round_trips(ms: i64, sub in 0u32..1_000_000) {
            let t = Timestamp::from_parts(ms, sub);
            prop_assert_eq!(t.to_string().parse::<Timestamp>().unwrap(), t);
            let json = serde_json::to_string(&t).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), t);
        }

        #[test]
        fn text_of_our_centuries_round_trips(ms in -4_000_000_000_000i64..4_000_000_000_000, sub in 0u32..1_000_000) {
            let t = Timestamp::from_parts(ms, sub);
            prop_assert!(t.to_string().ends_with('Z'));
            prop_assert_eq!(t.to_string().parse::<Timestamp>().unwrap(), t);
        }

        #[test]
        fn nanoseconds_round_trip_and_keep_the_order(a: i64, b: i64, sub in 0u32..1_000_000) {
            let (s, t) = (Timestamp::from_parts(a, sub), Timestamp::from_parts(b, 999_999 - sub));
            prop_assert_eq!(Timestamp::from_nanos(s.as_nanos()), Some(s));
            prop_assert_eq!(s.cmp(&t), s.as_nanos().cmp(&t.as_nanos()));
        }

        #[test]
        fn decimal_seconds_are_exact(ms: i64, sub in 0u32..1_000_000) {
            let t = Timestamp::from_parts(ms, sub);
            let text = t.to_decimal_seconds();
            prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok());
            let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
            prop_assert!(part.len() <= 9 && !part.ends_with('0'));
            let nanos: i128 = format!("{whole}{part:0<9}").parse().unwrap();
            prop_assert_eq!(nanos, t.as_nanos());
        }

        #[test]
        fn any_text_is_a_time_or_refused(text in "[-@0-9:.TZ+a ]{0,30}") {
            if let Ok(t) = text.parse::<Timestamp>() {
                prop_assert_eq!(t.to_string().parse::<Timestamp>().unwrap(), t);
            }
        }
    }
}
