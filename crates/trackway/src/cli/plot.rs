//! Line charts in a terminal, drawn with braille dots.

mod canvas;
mod lines;

use console::{Color, Style};

use canvas::Canvas;
use tracker_client::chart::{Across, Axis, Chart, Line};
pub(crate) use tracker_client::chart::{Reading, has_numbers, line};

use super::text;

pub(crate) use lines::{LookArgs, MOST_LINES, print, runs_of_key, write_svg};

/// How a chart looks in a terminal.
#[derive(Debug, Clone)]
struct Look {
    /// Columns of characters, all in all.
    width: usize,
    /// Lines of characters of the canvas.
    height: usize,
    /// Whether there are colours.
    colour: bool,
}

const COLOURS: [Color; 6] = [
    Color::Cyan,
    Color::Yellow,
    Color::Magenta,
    Color::Green,
    Color::Red,
    Color::Blue,
];

/// Draws a chart. The answer is lines of text.
fn drawn(chart: &Chart, look: &Look) -> Vec<String> {
    let lines = &chart.lines;
    let scaled = chart.places();
    let Some((xs, ys)) = Chart::span(&scaled) else {
        let mut out = legend(lines, look);
        out.push(format!("  {}", chart.nothing()));
        return out;
    };
    let seconds = chart.across == Across::Time;
    let height = look.height.max(3);
    let y_axis = Axis::new(ys, height.div_ceil(2).max(2), chart.log, false);
    let gutter = y_axis
        .ticks()
        .iter()
        .map(|(_, label)| label.len())
        .max()
        .unwrap_or(0);
    let width = look.width.saturating_sub(gutter + 4).max(8);
    let x_axis = Axis::new(xs, (width / 16).max(2), false, seconds);

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
    let unit = text::one_line(chart.across.label());
    let unit = format!(
        " {}",
        text::shortened(&unit, width.saturating_sub(2).max(4))
    );
    out.push(format!(
        " {:>gutter$} └{}{unit}",
        "",
        "─".repeat(width.saturating_sub(unit.chars().count()))
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

#[cfg(test)]
mod tests;
