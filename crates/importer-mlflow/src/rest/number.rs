//! Numbers as the JSON of protocol buffers has them: integers of 64 bits may be strings, and
//! doubles may be the words `NaN`, `Infinity` and `-Infinity`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// An integer: a number or a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Int(pub(crate) i64);

/// A double: a number, a string or a word.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Double(pub(crate) f64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IntVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DoubleVisitor).map(Self)
    }
}

struct IntVisitor;

impl Visitor<'_> for IntVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer of 64 bits")
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<i64, E> {
        Ok(v)
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<i64, E> {
        i64::try_from(v).map_err(|_| E::invalid_value(Unexpected::Unsigned(v), &self))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<i64, E> {
        // Such as 1e3, which is an integer too; beyond 2^53 a double no longer says which.
        #[allow(clippy::cast_possible_truncation)]
        let whole = v as i64;
        #[allow(clippy::cast_precision_loss)]
        let same = whole as f64 == v && v.abs() <= 9_007_199_254_740_992.0;
        if same {
            Ok(whole)
        } else {
            Err(E::invalid_value(Unexpected::Float(v), &self))
        }
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<i64, E> {
        v.parse()
            .map_err(|_| E::invalid_value(Unexpected::Str(v), &self))
    }
}

struct DoubleVisitor;

impl Visitor<'_> for DoubleVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a double")
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<f64, E> {
        Ok(v)
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E: Error>(self, v: i64) -> Result<f64, E> {
        Ok(v as f64)
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E: Error>(self, v: u64) -> Result<f64, E> {
        Ok(v as f64)
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<f64, E> {
        match v {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => v
                .parse()
                .map_err(|_| E::invalid_value(Unexpected::Str(v), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, want) in [
            ("0", 0),
            ("-9223372036854775808", i64::MIN),
            ("9223372036854775807", i64::MAX),
            ("\"9007199254740993\"", 9_007_199_254_740_993),
            ("1e3", 1000),
        ] {
            assert_eq!(serde_json::from_str::<Int>(text).unwrap().0, want, "{text}");
        }
        for text in [
            "9223372036854775808",
            "0.5",
            "1e300",
            "\"x\"",
            "null",
            "true",
        ] {
            assert!(serde_json::from_str::<Int>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn doubles() {
        for (text, want) in [
            ("5e-324", 5e-324),
            ("1.7976931348623157e308", f64::MAX),
            ("1e+22", 1e22),
            ("-0.0", -0.0),
            ("12345678901234567890123", 12_345_678_901_234_567_890_123.0),
            ("0.1", 0.1),
            ("3", 3.0),
            ("\"Infinity\"", f64::INFINITY),
            ("\"-Infinity\"", f64::NEG_INFINITY),
            ("\"0.5\"", 0.5),
        ] {
            assert_eq!(
                serde_json::from_str::<Double>(text).unwrap().0.to_bits(),
                want.to_bits(),
                "{text}"
            );
        }
        assert!(
            serde_json::from_str::<Double>("\"NaN\"")
                .unwrap()
                .0
                .is_nan()
        );
        assert!(serde_json::from_str::<Double>("\"x\"").is_err());
    }
}
