//! Exact comparison of integers with doubles.

use std::cmp::Ordering;

/// 2^63, the first double above all `i64`.
const ABOVE_I64: f64 = 9_223_372_036_854_775_808.0;

/// A number of any kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

impl Number {
    #[inline]
    pub(crate) fn is_nan(self) -> bool {
        matches!(self, Self::Double(d) if d.is_nan())
    }

    /// The whole part towards zero, if `i64` holds it.
    pub(crate) fn truncated(self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(i),
            Self::Double(d) => in_range(d).then(|| d.trunc() as i64),
        }
    }

    /// The number itself, if it is whole and `i64` holds it.
    pub(crate) fn integral(self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(i),
            Self::Double(d) => (in_range(d) && d.fract() == 0.0).then_some(d as i64),
        }
    }

    /// By value; NaN is equal to itself and below all others.
    #[inline]
    pub(crate) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (Self::Int(a), Self::Double(b)) => int_double(a, b),
            (Self::Double(a), Self::Int(b)) => int_double(b, a).reverse(),
            (Self::Double(a), Self::Double(b)) => a
                .partial_cmp(&b)
                .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())),
        }
    }

    /// Equal for equal numbers, whatever their kind.
    #[inline]
    pub(crate) fn hashed(self) -> (bool, u64) {
        match self.integral() {
            Some(i) => (true, i as u64),
            None => match self {
                Self::Double(d) if d.is_nan() => (false, f64::NAN.to_bits()),
                Self::Double(d) => (false, d.to_bits()),
                Self::Int(i) => (true, i as u64),
            },
        }
    }
}

fn in_range(d: f64) -> bool {
    (-ABOVE_I64..ABOVE_I64).contains(&d)
}

fn int_double(i: i64, d: f64) -> Ordering {
    if d.is_nan() || d < -ABOVE_I64 {
        return Ordering::Greater;
    }
    if d >= ABOVE_I64 {
        return Ordering::Less;
    }
    let whole = d.trunc();
    i.cmp(&(whole as i64)).then_with(|| {
        // Zero against the fraction, which has the sign of `d`.
        whole.partial_cmp(&d).unwrap_or(Ordering::Equal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_doubles_are_compared_exactly() {
        let check = |i: i64, d: f64, expected: Ordering| {
            assert_eq!(
                Number::Int(i).compare(Number::Double(d)),
                expected,
                "{i} {d}"
            );
            assert_eq!(
                Number::Double(d).compare(Number::Int(i)),
                expected.reverse(),
                "{d} {i}"
            );
        };
        check(
            9_007_199_254_740_993,
            9_007_199_254_740_992.0,
            Ordering::Greater,
        );
        check(
            9_007_199_254_740_992,
            9_007_199_254_740_992.0,
            Ordering::Equal,
        );
        check(i64::MAX, 9_223_372_036_854_775_807.0, Ordering::Less);
        check(i64::MIN, -9_223_372_036_854_775_808.0, Ordering::Equal);
        check(i64::MIN, f64::NEG_INFINITY, Ordering::Greater);
        check(i64::MAX, f64::INFINITY, Ordering::Less);
        check(-1, -1.5, Ordering::Greater);
        check(1, 1.5, Ordering::Less);
        check(0, -0.0, Ordering::Equal);
        check(0, -0.5, Ordering::Greater);
        check(i64::MIN, f64::NAN, Ordering::Greater);
    }

    #[test]
    fn equal_numbers_hash_alike() {
        assert_eq!(Number::Int(2).hashed(), Number::Double(2.0).hashed());
        assert_eq!(Number::Int(0).hashed(), Number::Double(-0.0).hashed());
        assert_eq!(
            Number::Double(f64::NAN).hashed(),
            Number::Double(-f64::NAN).hashed()
        );
        assert_ne!(
            Number::Int(9_007_199_254_740_993).hashed(),
            Number::Double(9_007_199_254_740_992.0).hashed()
        );
    }
}
