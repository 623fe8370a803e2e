//! Line charts of histories: what is drawn, and the drawing as SVG.
//!
//! ```
//! use tracker_client::chart::{Chart, Line, svg};
//!
//! let line = Line::new("loss", (0..100).map(|x| (f64::from(x), (-f64::from(x) / 20.0).exp())));
//! let drawing = svg(&[Chart::new("run 1").with_line(line).with_log(true)]);
//! assert!(drawing.starts_with("<svg"));
//! ```

mod axis;
mod read;
mod svg;

use tracker_model::{HistoryRow, SeriesKey, Timestamp, Value};

pub use axis::{Axis, duration, short_number};
pub use read::{Reading, has_numbers, line};
pub use svg::{Size, svg, svg_of_size};

/// Lines on common axes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Chart {
    /// What is written above it.
    pub title: String,
    /// What is drawn.
    pub lines: Vec<Line>,
    /// What runs along the horizontal axis.
    pub across: Across,
    /// The vertical axis is logarithmic: values that are not above 0 are gaps.
    pub log: bool,
}

impl Chart {
    /// Without a line, over steps.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            lines: Vec::new(),
            across: Across::Step,
            log: false,
        }
    }

    /// With one more line.
    #[must_use]
    pub fn with_line(mut self, line: Line) -> Self {
        self.lines.push(line);
        self
    }

    /// With this along the horizontal axis.
    #[must_use]
    pub fn with_across(mut self, across: Across) -> Self {
        self.across = across;
        self
    }

    /// With a logarithmic vertical axis, or a plain one.
    #[must_use]
    pub fn with_log(mut self, log: bool) -> Self {
        self.log = log;
        self
    }

    /// Where the points are: on a logarithmic axis values are powers of ten. What has no place is
    /// NaN.
    pub fn places(&self) -> Vec<Vec<(f64, f64)>> {
        let height = |y: f64| match (self.log, y > 0.0) {
            (false, _) => y,
            (true, true) => y.log10(),
            (true, false) => f64::NAN,
        };
        let place = |(x, y): &(f64, f64)| (*x, height(*y));
        let lines = self.lines.iter();
        lines
            .map(|line| line.points.iter().map(place).collect())
            .collect()
    }

    /// What these places span across and upwards; `None` if none of them is finite.
    pub fn span(places: &[Vec<(f64, f64)>]) -> Option<((f64, f64), (f64, f64))> {
        let mut finite = places
            .iter()
            .flatten()
            .filter(|(x, y)| x.is_finite() && y.is_finite());
        let (x, y) = finite.next()?;
        let wider = |(low, high): (f64, f64), at: f64| (low.min(at), high.max(at));
        Some(finite.fold(((*x, *x), (*y, *y)), |(across, up), (x, y)| {
            (wider(across, *x), wider(up, *y))
        }))
    }

    /// What to say where nothing can be drawn.
    pub fn nothing(&self) -> &'static str {
        if self.log {
            "nothing to draw: no value is finite and above 0"
        } else {
            "nothing to draw: no value is finite"
        }
    }
}

/// The points of one line, in the order in which they are joined. What is not finite is a gap.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Line {
    /// The name in the legend.
    pub name: String,
    /// What else is said of it.
    pub about: String,
    /// Places along the axes.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// Of these points.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.into(),
            about: String::new(),
            points: points.into_iter().collect(),
        }
    }

    /// Of the numbers and booleans of a series. Rows without the series are passed over; other
    /// values are gaps.
    pub fn of_rows(
        name: impl Into<String>,
        key: &SeriesKey,
        rows: &[HistoryRow],
        across: &Across,
    ) -> Self {
        let mine = || {
            rows.iter()
                .filter_map(|row| Some((row, value_of(row, key)?)))
        };
        let start = mine().filter_map(|(row, _)| row.time).min();
        let point = |(row, value): (&HistoryRow, &Value)| (across.of(row, start), number(value));
        Self::new(name, mine().map(point))
    }

    /// Says more of it.
    #[must_use]
    pub fn with_about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }
}

/// What runs along the horizontal axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Across {
    /// The step.
    Step,
    /// The seconds since the first point of the line.
    Time,
    /// The value of another series in the same row.
    Series(SeriesKey),
}

impl Across {
    /// What is written at the axis.
    pub fn label(&self) -> &str {
        match self {
            Self::Step => "step",
            Self::Time => "time",
            Self::Series(key) => key.as_str(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a drawing")]
    fn of(&self, row: &HistoryRow, start: Option<Timestamp>) -> f64 {
        match self {
            Self::Step => row.step as f64,
            Self::Time => match (start, row.time) {
                (Some(start), Some(time)) => Timestamp::seconds_between(start, time),
                _ => f64::NAN,
            },
            Self::Series(key) => value_of(row, key).map_or(f64::NAN, number),
        }
    }
}

fn value_of<'r>(row: &'r HistoryRow, key: &SeriesKey) -> Option<&'r Value> {
    let found = row.values.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value)
}

#[expect(clippy::cast_precision_loss, reason = "a drawing")]
fn number(value: &Value) -> f64 {
    match value {
        Value::F64(x) => *x,
        Value::I64(n) => *n as f64,
        Value::Bool(b) => f64::from(u8::from(*b)),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: i64, ms: Option<i64>, values: &[(&str, Value)]) -> HistoryRow {
        let values = values.iter();
        HistoryRow {
            row: 0,
            step,
            time: ms.map(Timestamp::from_millis),
            values: values.map(|(k, v)| ((*k).into(), v.clone())).collect(),
        }
    }

    #[test]
    fn lines_are_made_of_rows() {
        let rows = [
            row(0, Some(500), &[("other", Value::I64(1))]),
            row(
                1,
                Some(2000),
                &[("a", Value::F64(0.5)), ("x", Value::I64(9))],
            ),
            row(2, None, &[("a", Value::Bool(true))]),
            row(
                3,
                Some(1000),
                &[("a", Value::I64(-2)), ("x", Value::F64(8.5))],
            ),
        ];
        let line = |across| Line::of_rows("a", &"a".into(), &rows, &across).points;
        assert_eq!(line(Across::Step), [(1.0, 0.5), (2.0, 1.0), (3.0, -2.0)]);
        let time = line(Across::Time);
        assert_eq!((time[0], time[2]), ((1.0, 0.5), (0.0, -2.0)));
        assert!(time[1].0.is_nan());
        let x = line(Across::Series("x".into()));
        assert_eq!((x[0], x[2]), ((9.0, 0.5), (8.5, -2.0)));
        assert!(x[1].0.is_nan());
        let text = [row(0, None, &[("a", Value::Str("1".to_owned()))])];
        let line = Line::of_rows("a", &"a".into(), &text, &Across::Step);
        assert!(line.points[0].1.is_nan());
    }

    #[test]
    fn the_span_is_that_of_what_can_be_drawn() {
        let points = [
            (0.0, f64::INFINITY),
            (1.0, -1.0),
            (f64::NAN, 9.0),
            (3.0, 100.0),
        ];
        let chart = Chart::new("").with_line(Line::new("a", points));
        let span = |chart: &Chart| Chart::span(&chart.places());
        assert_eq!(span(&chart), Some(((1.0, 3.0), (-1.0, 100.0))));
        let chart = chart.with_log(true);
        // Infinity is a power of ten, but none that can be drawn.
        assert_eq!(span(&chart), Some(((3.0, 3.0), (2.0, 2.0))));
        assert_eq!(span(&Chart::new("")), None);
    }
}
