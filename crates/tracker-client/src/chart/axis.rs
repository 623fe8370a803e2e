/// An axis: what it spans, and where it has labels.
#[derive(Debug)]
pub struct Axis {
    low: f64,
    high: f64,
    ticks: usize,
    log: bool,
    seconds: bool,
}

impl Axis {
    /// Spans these values, with about so many labels. On a logarithmic axis the values are
    /// powers of ten.
    pub fn new((low, high): (f64, f64), ticks: usize, log: bool, seconds: bool) -> Self {
        // Halves, so that the difference of the greatest doubles stays finite.
        let (low, high) = if high / 2.0 - low / 2.0 > 0.0 {
            (low, high)
        } else {
            let around = (low.abs() * 0.1).max(f64::MIN_POSITIVE);
            let around = if low == 0.0 { 1.0 } else { around };
            ((low - around).max(f64::MIN), (low + around).min(f64::MAX))
        };
        Self {
            low,
            high,
            ticks,
            log,
            seconds,
        }
    }

    /// Where a value is: 0 at the low end, 1 at the high one.
    pub fn place(&self, value: f64) -> f64 {
        (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
    }

    /// Round values along the axis, with their labels.
    #[allow(clippy::cast_precision_loss, reason = "few")]
    pub fn ticks(&self) -> Vec<(f64, String)> {
        if self.log
            && let Some(ticks) = self.decades()
        {
            return ticks;
        }
        let step = self.step();
        if !step.is_finite() || step <= 0.0 {
            return vec![
                (self.low, self.label(self.low, 0.0)),
                (self.high, self.label(self.high, 0.0)),
            ];
        }
        let first = (self.low / step).ceil();
        (0..self.ticks * 4)
            .map(|i| (first + i as f64) * step)
            .take_while(|at| at.is_finite() && *at <= self.high + step * 1e-9)
            .map(|at| (at, self.label(at, step)))
            .collect()
    }

    /// Powers of ten, or with 2 and 5 times them where these are few; `None` if there is hardly
    /// one.
    fn decades(&self) -> Option<Vec<(f64, String)>> {
        const FINE: [f64; 3] = [1.0, 2.0, 5.0];
        let (low, high) = (self.low.floor(), self.high.ceil());
        let spanned = self.high - self.low;
        let within: &[f64] = if spanned < 2.5 { &FINE } else { &[1.0] };
        let every = (spanned / f64::from(u32::try_from(self.ticks).unwrap_or(u32::MAX)))
            .ceil()
            .max(1.0);
        let mut out = Vec::new();
        let mut power = (low / every).ceil() * every;
        while power <= high {
            let factors = within.iter().map(|factor| power + factor.log10());
            out.extend(
                factors
                    .filter(|at| (self.low..=self.high).contains(at))
                    .map(|at| (at, self.label(at, 0.0))),
            );
            power += every;
        }
        (out.len() > 1).then_some(out)
    }

    /// 1, 2 or 5 times a power of ten.
    #[allow(clippy::cast_precision_loss, reason = "few")]
    fn step(&self) -> f64 {
        let rough = (self.high / 2.0 - self.low / 2.0) / self.ticks as f64 * 2.0;
        let power = 10f64.powf(rough.log10().floor());
        let factor = match rough / power {
            x if x <= 1.0 => 1.0,
            x if x <= 2.0 => 2.0,
            x if x <= 5.0 => 5.0,
            _ => 10.0,
        };
        factor * power
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within their ranges"
    )]
    fn label(&self, at: f64, step: f64) -> String {
        if self.log {
            // An axis may go on where doubles do not.
            return match 10f64.powf(at) {
                x if x.is_finite() && x > 0.0 => number(x, 0.0),
                _ => format!("1e{at:.0}"),
            };
        }
        if self.seconds {
            return duration((at * 1000.0) as i64);
        }
        number(at, step)
    }
}

/// A number of a scale with this step, as short as it can be told from its neighbours.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within their ranges"
)]
fn number(x: f64, step: f64) -> String {
    if x == 0.0 || x.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    let size = x.abs();
    if step > 0.0 && (1e-4..1e6).contains(&size.max(step)) && step >= 1e-6 {
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        return format!("{x:.decimals$}");
    }
    if step == 0.0 && (1e-4..1e6).contains(&size) {
        let decimals = (3.0 - size.log10().floor()).max(0.0) as usize;
        let text = format!("{x:.decimals$}");
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        };
    }
    let digits = if step > 0.0 {
        (size.log10().floor() - step.log10().floor()).clamp(0.0, 15.0) as usize
    } else {
        3
    };
    let text = format!("{x:.digits$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if step == 0.0 && mantissa.contains('.') => {
            format!(
                "{}e{exponent}",
                mantissa.trim_end_matches('0').trim_end_matches('.')
            )
        }
        _ => text,
    }
}

/// A number for people, four digits of it.
pub fn short_number(x: f64) -> String {
    match x {
        x if x.is_nan() => "NaN".to_owned(),
        x if x.is_infinite() => if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        x => number(x, 0.0),
    }
}

/// A length of time for people: `850 ms`, `3.2 s`, `4 min 5 s`, `2 h 3 min`, `5 d 1 h`.
#[allow(clippy::cast_precision_loss, reason = "for people")]
pub fn duration(ms: i64) -> String {
    if ms < 0 {
        return format!("-{}", duration(ms.saturating_neg()));
    }
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{:.1} s", ms as f64 / 1000.0),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(low: f64, high: f64, log: bool, expected: &[&str]) {
        let labels: Vec<String> = Axis::new((low, high), 4, log, false)
            .ticks()
            .into_iter()
            .map(|(_, l)| l)
            .collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn labels_are_round() {
        check(0.0, 240.0, false, &["0", "100", "200"]);
        check(0.013, 0.31, false, &["0.1", "0.2", "0.3"]);
        check(-1.0, 1.0, false, &["-1.0", "-0.5", "0", "0.5", "1.0"]);
        check(3.0, 3.0, false, &["2.8", "3.0", "3.2"]);
        check(1e-9, 4e-9, false, &["1e-9", "2e-9", "3e-9", "4e-9"]);
        check(0.0, 2e9, false, &["0", "5e8", "1.0e9", "1.5e9", "2.0e9"]);
        check(-3.2, 1.1, true, &["0.01", "1"]);
        check(-0.7, 0.4, true, &["0.2", "0.5", "1", "2"]);
        check(0.3, 0.32, true, &["1.995", "2.042", "2.089"]);
        check(-2.0, 2.0, true, &["0.01", "0.1", "1", "10", "100"]);
    }

    #[test]
    fn extreme_spans_are_finite() {
        for (low, high) in [
            (f64::MIN, f64::MAX),
            (0.0, f64::MAX),
            (0.0, 5e-324),
            (-1e308, 1e308),
            (f64::MAX, f64::MAX),
        ] {
            let axis = Axis::new((low, high), 5, false, false);
            assert!(axis.ticks().len() < 30);
            assert!(axis.ticks().iter().all(|(at, _)| at.is_finite()));
            assert!(
                (0.0..=1.0).contains(&axis.place(low)),
                "{low} {high} {}",
                axis.place(low)
            );
        }
    }

    #[test]
    fn short_numbers() {
        assert_eq!(short_number(0.123_456), "0.1235");
        assert_eq!(short_number(1234.5), "1234");
        assert_eq!(short_number(12.0), "12");
        assert_eq!(short_number(1e-7), "1e-7");
        assert_eq!(short_number(1.25e10), "1.25e10");
        assert_eq!(short_number(f64::NAN), "NaN");
    }
}
