//! The lines of metric files: `TIME VALUE STEP`, one for each point.

/// What a line of a metric file says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MetricLine<'a> {
    /// Milliseconds since 1970, UTC.
    pub(super) time: i64,
    pub(super) value: f64,
    /// 0 in the lines of two fields that the first versions of MLflow wrote.
    pub(super) step: i64,
    /// What stands behind the step: `DATASET DIGEST` in metrics of runs, `RUN [DATASET DIGEST]` in
    /// metrics of logged models. Names of datasets may hold spaces.
    pub(super) rest: Option<&'a [u8]>,
}

impl<'a> MetricLine<'a> {
    /// Reads a line without its line end; `None` if it is not one.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (time, line) = integer(line)?;
        let line = line.strip_prefix(b" ")?;
        let (value, line) = double(line)?;
        let Some(line) = line.strip_prefix(b" ") else {
            return Some(Self {
                time,
                value,
                step: 0,
                rest: None,
            });
        };
        let (step, line) = integer(line)?;
        let rest = match line.split_first() {
            None => None,
            Some((b' ', rest)) if !rest.is_empty() => Some(rest),
            Some(_) => return None,
        };
        Some(Self {
            time,
            value,
            step,
            rest,
        })
    }
}

/// Splits `NAME DIGEST`, where the name may hold spaces.
pub(super) fn dataset(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = rest.iter().rposition(|b| *b == b' ')?;
    let (name, digest) = rest.split_at_checked(at)?;
    let digest = digest.get(1..)?;
    (!name.is_empty() && !digest.is_empty()).then_some((name, digest))
}

/// The integer at the front, and what follows.
fn integer(text: &[u8]) -> Option<(i64, &[u8])> {
    let (negative, digits) = match text.first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (mut number, mut count) = match eight_digits(digits) {
        Some(number) => (-number, 8),
        None => (0, 0),
    };
    for byte in digits.get(count..)? {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        // Up to 18 digits fit whatever they are.
        number = if count < 18 {
            number * 10 - i64::from(digit)
        } else {
            number.checked_mul(10)?.checked_sub(i64::from(digit))?
        };
        count += 1;
    }
    if count == 0 {
        return None;
    }
    let number = if negative {
        number
    } else {
        number.checked_neg()?
    };
    Some((number, digits.get(count..)?))
}

/// The number of which the first eight characters are the digits, all at once: each step puts
/// neighbours together.
fn eight_digits(text: &[u8]) -> Option<i64> {
    let text = u64::from_le_bytes(*text.first_chunk()?);
    let digits = text.wrapping_sub(0x3030_3030_3030_3030);
    let above = text.wrapping_add(0x4646_4646_4646_4646);
    if (digits | above) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let number = (fours * 10_000 + (fours >> 32)) & 0xffff_ffff;
    i64::try_from(number).ok()
}

/// A double as Python writes and reads it, and what follows. All NaN are one.
fn double(text: &[u8]) -> Option<(f64, &[u8])> {
    let (value, length): (f64, usize) = fast_float2::parse_partial(text).ok()?;
    let value = if value.is_nan() { f64::NAN } else { value };
    let rest = text.get(length..)?;
    matches!(rest.first(), None | Some(b' ')).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by the plainest means.
    fn reference(line: &str) -> Option<(i64, f64, i64, Option<String>)> {
        let fields: Vec<&str> = line.splitn(4, ' ').collect();
        let step = match fields.get(2) {
            Some(step) => step.parse().ok()?,
            None => 0,
        };
        let rest = fields.get(3).map(|r| (*r).to_owned());
        if rest.as_deref() == Some("") {
            return None;
        }
        Some((
            fields.first()?.parse().ok()?,
            fields.get(1)?.parse().ok()?,
            step,
            rest,
        ))
    }

    fn check(line: &str) {
        let got = MetricLine::parse(line.as_bytes());
        match (got, reference(line)) {
            (None, None) => {}
            (Some(got), Some((time, value, step, rest))) => {
                assert_eq!((got.time, got.step), (time, step), "{line:?}");
                assert!(
                    got.value.to_bits() == value.to_bits() || got.value.is_nan() && value.is_nan(),
                    "{line:?}"
                );
                assert_eq!(got.rest, rest.as_deref().map(str::as_bytes), "{line:?}");
            }
            (got, want) => panic!("{line:?}: {got:?}, not {want:?}"),
        }
    }

    #[test]
    fn what_python_writes() {
        for value in [
            "nan",
            "inf",
            "-inf",
            "1e+22",
            "5e-324",
            "-0.0",
            "0.1",
            "1.7976931348623157e+308",
            "3",
        ] {
            check(&format!("1700000000000 {value} 7"));
            check(&format!("1700000000000 {value}"));
            check(&format!("1 {value} -3 my set abc123"));
        }
        let line = MetricLine::parse(b"1 -0.0 2").unwrap();
        assert_eq!(line.value.to_bits(), (-0.0f64).to_bits());
        assert_eq!(
            MetricLine::parse(b"1 5e-324 2").unwrap().value,
            f64::from_bits(1)
        );
        assert_eq!(dataset(b"my set abc"), Some((&b"my set"[..], &b"abc"[..])));
        assert_eq!(dataset(b"abc"), None);
    }

    #[test]
    fn what_is_not_a_line() {
        for line in [
            "",
            " ",
            "1",
            "1 ",
            "1 2 ",
            "1 2 3 ",
            "x 1 2",
            "1 x 2",
            "1 2 x",
            "1.0 2 3",
            "1  2 3",
            "9223372036854775808 1 1",
            "1 1 -9223372036854775809",
            "1 0x1p3 1",
            "1 1 1x",
            "- 1 1",
            "1 1 +",
            "1\t1\t1",
        ] {
            assert_eq!(MetricLine::parse(line.as_bytes()), None, "{line:?}");
        }
        for line in [
            "9223372036854775807 1 -9223372036854775808",
            "00000000000000000000001 1 +5",
        ] {
            assert!(MetricLine::parse(line.as_bytes()).is_some(), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_on_points(time: i64, bits: u64, step: i64, rest in proptest::option::of("[a-z]{1,5}( [a-z0-9]{0,5}){0,3}")) {
            let value = f64::from_bits(bits);
            let mut line = format!("{time} {value:?} {step}");
            if let Some(rest) = rest {
                line.push(' ');
                line.push_str(&rest);
            }
            check(&line);
        }

        #[test]
        fn agrees_on_noise(line in "[-+0-9 .einfa]{0,40}") {
            check(&line);
        }

        #[test]
        fn never_panics(line: Vec<u8>) {
            let _ = MetricLine::parse(&line);
            let _ = dataset(&line);
        }
    }
}
