//! Line charts in a terminal, drawn with braille dots.

mod axis;
mod canvas;

use console::{Color, Style};

use axis::Axis;
use canvas::Canvas;

use super::text;

pub(crate) use axis::short;

/// The points of one line, in the order in which they are joined. A value that is not finite is a
/// gap.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// The name in the legend.
    pub(crate) name: String,
    /// What else the legend says.
    pub(crate) about: String,
    /// Places along the axes.
    pub(crate) points: Vec<(f64, f64)>,
}

/// How a chart looks.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// Columns of characters, all in all.
    pub(crate) width: usize,
    /// Lines of characters of the canvas.
    pub(crate) height: usize,
    /// The vertical axis is logarithmic.
    pub(crate) log: bool,
    /// Whether the horizontal axis is a span of time in seconds; else it counts steps.
    pub(crate) seconds: bool,
    /// Whether there are colours.
    pub(crate) colour: bool,
}

const COLOURS: [Color; 6] = [
    Color::Cyan,
    Color::Yellow,
    Color::Magenta,
    Color::Green,
    Color::Red,
    Color::Blue,
];

/// Draws lines in one chart. The answer is lines of text.
pub(crate) fn chart(lines: &[Line], look: &Look) -> Vec<String> {
    let scaled: Vec<Vec<(f64, f64)>> = lines
        .iter()
        .map(|line| {
            line.points
                .iter()
                .map(|(x, y)| (*x, if look.log { log10(*y) } else { *y }))
                .collect()
        })
        .collect();
    let drawn = || {
        scaled
            .iter()
            .flatten()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
    };
    let (Some(xs), Some(ys)) = (
        span(drawn().map(|(x, _)| *x)),
        span(drawn().map(|(_, y)| *y)),
    ) else {
        let mut out = legend(lines, look);
        out.push(
            "  nothing to draw: no value is finite".to_owned()
                + if look.log { " and above 0" } else { "" },
        );
        return out;
    };
    let height = look.height.max(3);
    let y_axis = Axis::new(ys, height.div_ceil(2).max(2), look.log, false);
    let gutter = y_axis
        .ticks()
        .iter()
        .map(|(_, label)| label.len())
        .max()
        .unwrap_or(0);
    let width = look.width.saturating_sub(gutter + 4).max(8);
    let x_axis = Axis::new(xs, (width / 16).max(2), false, look.seconds);

    let mut canvas = Canvas::new(width, height);
    for (i, points) in scaled.iter().enumerate() {
        draw(&mut canvas, i, points, (&x_axis, &y_axis));
    }
    if lines.len() > 1 && !look.colour {
        for (i, points) in scaled.iter().enumerate() {
            mark(&mut canvas, i, points, (&x_axis, &y_axis));
        }
    }

    let labels: Vec<(usize, String)> = y_axis
        .ticks()
        .into_iter()
        .map(|(at, label)| (canvas.row_of(y_axis.place(at)), label))
        .collect();
    let mut out = legend(lines, look);
    for (row, drawn) in canvas
        .rows(|series| paint(look, series))
        .into_iter()
        .enumerate()
    {
        let label = labels
            .iter()
            .find(|(at, _)| *at == row)
            .map(|(_, label)| label.as_str());
        let tick = if label.is_some() { '┤' } else { '│' };
        out.push(format!(
            " {:>gutter$} {tick}{}",
            label.unwrap_or_default(),
            drawn.trim_end()
        ));
    }
    let unit = if look.seconds { " time" } else { " step" };
    out.push(format!(
        " {:>gutter$} └{}{unit}",
        "",
        "─".repeat(width.saturating_sub(unit.len()))
    ));
    out.push(format!(" {:>gutter$}  {}", "", x_labels(&x_axis, width)));
    out
}

fn draw(
    canvas: &mut Canvas,
    series: usize,
    points: &[(f64, f64)],
    (x_axis, y_axis): (&Axis, &Axis),
) {
    let mut last = None;
    for (x, y) in points {
        if !x.is_finite() || !y.is_finite() {
            last = None;
            continue;
        }
        let at = canvas.dot_of(x_axis.place(*x), y_axis.place(*y));
        canvas.line(last.unwrap_or(at), at, series);
        last = Some(at);
    }
}

/// Puts the letter of a line where it ends.
fn mark(
    canvas: &mut Canvas,
    series: usize,
    points: &[(f64, f64)],
    (x_axis, y_axis): (&Axis, &Axis),
) {
    if let Some((x, y)) = points.iter().rfind(|(x, y)| x.is_finite() && y.is_finite()) {
        let at = canvas.dot_of(x_axis.place(*x), y_axis.place(*y));
        canvas.letter(at, letter(series));
    }
}

fn letter(series: usize) -> char {
    u8::try_from(series % 26).map_or('?', |i| char::from(b'a' + i))
}

fn legend(lines: &[Line], look: &Look) -> Vec<String> {
    let of = |(i, line): (usize, &Line)| {
        let sign = match (lines.len(), look.colour) {
            (1, _) => String::new(),
            (_, true) => format!("{} ", paint(look, i).apply_to("━━")),
            (_, false) => format!("{} ", letter(i)),
        };
        let name = text::shortened(
            &text::one_line(&line.name),
            look.width.saturating_sub(8).max(8),
        );
        let name = if look.colour {
            Style::new()
                .bold()
                .force_styling(true)
                .apply_to(name)
                .to_string()
        } else {
            name
        };
        format!(" {sign}{name}  {}", line.about)
            .trim_end()
            .to_owned()
    };
    lines.iter().enumerate().map(of).collect()
}

fn paint(look: &Look, series: usize) -> Style {
    let colour = COLOURS
        .get(series % COLOURS.len())
        .copied()
        .unwrap_or(Color::Cyan);
    Style::new().fg(colour).force_styling(look.colour)
}

/// The labels of the horizontal axis, none over another.
fn x_labels(axis: &Axis, width: usize) -> String {
    let mut out = String::new();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "places in a line"
    )]
    for (at, label) in axis.ticks() {
        let middle =
            (axis.place(at).clamp(0.0, 1.0) * (width.saturating_sub(1)) as f64).round() as usize;
        let start = middle
            .saturating_sub(label.len() / 2)
            .min(width.saturating_sub(label.len()));
        if out.is_empty() || start > out.len() + 1 {
            out.push_str(&" ".repeat(start.saturating_sub(out.len())));
            out.push_str(&label);
        }
    }
    out
}

fn log10(y: f64) -> f64 {
    if y > 0.0 { y.log10() } else { f64::NAN }
}

fn span(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |span, x| {
        Some(span.map_or((x, x), |(low, high): (f64, f64)| (low.min(x), high.max(x))))
    })
}

#[cfg(test)]
mod tests;
