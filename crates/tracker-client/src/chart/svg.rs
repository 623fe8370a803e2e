use std::fmt::{self, Write as _};

use super::{Across, Axis, Chart, Line};

/// How large charts are drawn, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Of a drawing; 240 at least, so that axes have room.
    pub width: f64,
    /// Of what is between the axes of a chart; title, legend and labels come on top.
    pub height: f64,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            width: 760.0,
            height: 280.0,
        }
    }
}

const MARGIN: f64 = 16.0;
const TITLE_HEIGHT: f64 = 30.0;
const LEGEND_HEIGHT: f64 = 20.0;
/// Below the plot: the labels of the axis and its name.
const FOOT: f64 = 46.0;
/// The common width of a character. Programs have fonts of their own, so this is wide enough.
const CHARACTER: f64 = 7.0;
/// The line of a legend before a name, and what is left free behind it.
const SWATCH: f64 = 24.0;
/// Pixels between labels.
const BETWEEN_X: f64 = 110.0;
const BETWEEN_Y: f64 = 48.0;
/// Characters of a title or of a name, and pixels of each in a title.
const LONGEST: usize = 90;
const LARGE_CHARACTER: f64 = 9.0;

/// Colours that can be told apart on white and on black.
const COLOURS: [&str; 10] = [
    "#3987e5", "#e8710a", "#2da44e", "#d63864", "#8957e5", "#0f9d9d", "#b08800", "#d161a8",
    "#808790", "#a0623a",
];

/// Where the colours begin again.
const DASHES: [&str; 4] = ["", "7 4", "2 4", "10 3 2 3"];

const STYLE: &str = "<style>\
.tw-bg{fill:#fff}.tw-text{fill:#1f2328}.tw-dim{fill:#59636e}.tw-grid{stroke:#dfe3e8}.tw-axis{stroke:#818b98}\
@media(prefers-color-scheme:dark){\
.tw-bg{fill:#0d1117}.tw-text{fill:#f0f6fc}.tw-dim{fill:#9198a1}.tw-grid{stroke:#2b3138}.tw-axis{stroke:#656c76}}\
</style>";

/// Draws charts below each other, as the text of a whole SVG file.
///
/// It has no scripts and refers to nothing, has dark colours where a page is dark, and all text in it
/// is escaped. What is in one column of pixels is drawn by its first, least, greatest and last point,
/// so that the drawing stays small and no peak is lost.
pub fn svg(charts: &[Chart]) -> String {
    svg_of_size(charts, Size::default())
}

/// As [`svg`], in another size.
pub fn svg_of_size(charts: &[Chart], size: Size) -> String {
    let size = Size {
        width: size.width.max(240.0),
        height: size.height.max(40.0),
    };
    let mut body = String::new();
    let mut height = 0.0;
    for chart in charts {
        // Writing to a `String` does not fail.
        let _ = write!(body, "<g transform=\"translate(0 {})\">", Pixel(height));
        height += draw(chart, size, &mut body);
        body.push_str("</g>");
    }
    let titles: Vec<_> = charts.iter().map(|chart| chart.title.as_str()).collect();
    let (width, height) = (Pixel(size.width), Pixel(height.max(1.0)));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" font-family=\"system-ui,sans-serif\" font-size=\"12\"><title>{}</title>{STYLE}\
         <rect class=\"tw-bg\" width=\"100%\" height=\"100%\"/>{body}</svg>\n",
        Escaped(&titles.join(", "))
    )
}

/// Draws one chart, and says how high it is.
fn draw(chart: &Chart, size: Size, out: &mut String) -> f64 {
    let Size { width, height } = size;
    text(
        out,
        (MARGIN, 20.0),
        "tw-text",
        "font-size=\"14\" font-weight=\"600\"",
        &shortened(&chart.title, longest(width)),
    );
    let mut top = TITLE_HEIGHT;
    if chart.lines.iter().any(|line| line.name != chart.title) || chart.lines.len() > 1 {
        top = legend(&chart.lines, (top, width), out);
    }
    top += 6.0;
    let bottom = top + height;
    let places = chart.places();
    match Chart::span(&places) {
        None => text(
            out,
            (width / 2.0, (top + bottom) / 2.0),
            "tw-dim",
            "text-anchor=\"middle\"",
            chart.nothing(),
        ),
        Some((across, up)) => {
            let up = Axis::new(up, labels(height, BETWEEN_Y), chart.log, false);
            let ticks = up.ticks();
            let gutter = ticks
                .iter()
                .map(|(_, label)| wide(label))
                .fold(0.0, f64::max);
            let left = MARGIN + gutter + 8.0;
            let seconds = chart.across == Across::Time;
            let number = labels(width - MARGIN - left, BETWEEN_X);
            let plot = Plot {
                left,
                right: width - MARGIN,
                top,
                bottom,
                across: Axis::new(across, number, false, seconds),
                up,
            };
            plot.grid(&ticks, chart.across.label(), out);
            for (i, (line, places)) in chart.lines.iter().zip(&places).enumerate() {
                plot.line(i, line, places, out);
            }
        }
    }
    bottom + FOOT
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and positive"
)]
fn labels(pixels: f64, between: f64) -> usize {
    ((pixels / between) as usize).max(2)
}

#[expect(clippy::cast_precision_loss, reason = "short")]
fn wide(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

/// Writes the names of lines, as many side by side as have room, and says where they end.
fn legend(lines: &[Line], (top, across): (f64, f64), out: &mut String) -> f64 {
    let (mut x, mut y) = (MARGIN, top);
    for (i, line) in lines.iter().enumerate() {
        let name = shortened(&line.name, longest(across - SWATCH));
        let width = SWATCH + wide(&name) + 14.0;
        if x > MARGIN && x + width > across - MARGIN {
            (x, y) = (MARGIN, y + LEGEND_HEIGHT);
        }
        let _ = write!(
            out,
            "<path d=\"M{} {}h16\" {}/>",
            Pixel(x),
            Pixel(y + 8.0),
            Stroke(i)
        );
        text(out, (x + SWATCH, y + 12.0), "tw-text", "", &name);
        x += width;
    }
    y + LEGEND_HEIGHT
}

/// Where on the drawing values are.
struct Plot {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    across: Axis,
    up: Axis,
}

impl Plot {
    fn x(&self, value: f64) -> f64 {
        self.left + self.across.place(value).clamp(0.0, 1.0) * (self.right - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.up.place(value).clamp(0.0, 1.0) * (self.bottom - self.top)
    }

    fn grid(&self, ticks: &[(f64, String)], name: &str, out: &mut String) {
        let (left, right) = (Pixel(self.left), Pixel(self.right));
        for (at, label) in ticks {
            let y = self.y(*at);
            let _ = write!(
                out,
                "<path class=\"tw-grid\" d=\"M{left} {}H{right}\"/>",
                Pixel(y)
            );
            let place = (self.left - 8.0, y + 4.0);
            text(out, place, "tw-dim", "text-anchor=\"end\"", label);
        }
        let bottom = Pixel(self.bottom);
        let mut free = 0.0;
        for (at, label) in self.across.ticks() {
            let half = wide(&label) / 2.0;
            let x = self.x(at);
            let _ = write!(
                out,
                "<path class=\"tw-axis\" d=\"M{} {bottom}v4\"/>",
                Pixel(x)
            );
            let middle = x.min(self.right + MARGIN - half).max(half);
            if middle - half >= free {
                let place = (middle, self.bottom + 17.0);
                text(out, place, "tw-dim", "text-anchor=\"middle\"", &label);
                free = middle + half + CHARACTER;
            }
        }
        let _ = write!(
            out,
            "<path class=\"tw-axis\" d=\"M{left} {bottom}H{right}\"/>"
        );
        let place = ((self.left + self.right) / 2.0, self.bottom + 34.0);
        let name = shortened(name, longest(self.right - self.left));
        text(out, place, "tw-text", "text-anchor=\"middle\"", &name);
    }

    fn line(&self, i: usize, line: &Line, places: &[(f64, f64)], out: &mut String) {
        let mut path = String::new();
        let mut parts = places.split(|(x, y)| !x.is_finite() || !y.is_finite());
        parts.by_ref().for_each(|part| self.part(part, &mut path));
        let about = match line.about.as_str() {
            "" => String::new(),
            about => format!(": {about}"),
        };
        let _ = write!(
            out,
            "<g><title>{}{}</title><path d=\"{path}\" {}/></g>",
            Escaped(&line.name),
            Escaped(&about),
            Stroke(i)
        );
    }

    /// Adds joined points to a path.
    fn part(&self, points: &[(f64, f64)], path: &mut String) {
        let mut command = 'M';
        let mut to = |x: f64, y: f64| {
            let _ = write!(path, "{command}{} {}", Pixel(x), Pixel(y));
            command = 'L';
        };
        let on: Vec<_> = points
            .iter()
            .map(|(x, y)| (self.x(*x), self.y(*y)))
            .collect();
        for column in on.chunk_by(|(a, _), (b, _)| a.floor() == b.floor()) {
            let places: &mut dyn Iterator<Item = usize> = match column.len() {
                0..5 => &mut (0..column.len()),
                n => {
                    let by = |a: &usize, b: &usize| {
                        let height = |i: &usize| column.get(*i).map_or(0.0, |(_, y)| *y);
                        height(a).total_cmp(&height(b))
                    };
                    let mut kept = vec![0, n - 1];
                    kept.extend((0..n).min_by(by));
                    kept.extend((0..n).max_by(by));
                    kept.sort_unstable();
                    kept.dedup();
                    &mut kept.into_iter()
                }
            };
            for (x, y) in places.filter_map(|i| column.get(i)) {
                to(*x, *y);
            }
        }
        if points.len() == 1 {
            // With round ends, a dot.
            path.push_str("h0");
        }
    }
}

fn text(out: &mut String, (x, y): (f64, f64), class: &str, more: &str, text: &str) {
    let (x, y) = (Pixel(x), Pixel(y));
    let space = if more.is_empty() { "" } else { " " };
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{space}{more}>{}</text>",
        Escaped(text)
    );
}

/// How many characters of a title fit into these pixels.
fn longest(width: f64) -> usize {
    labels(width - 2.0 * MARGIN, LARGE_CHARACTER).min(LONGEST)
}

fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let kept = text.chars().take(longest.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// A place or a length, to a tenth.
struct Pixel(f64);

impl fmt::Display for Pixel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        // Without the sign of a zero.
        write!(f, "{}", tenths + 0.0)
    }
}

/// How the line with this number is drawn.
struct Stroke(usize);

impl fmt::Display for Stroke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = COLOURS.get(self.0 % COLOURS.len()).unwrap_or(&"gray");
        f.write_str("fill=\"none\" stroke-width=\"1.5\" stroke-linecap=\"round\" stroke-linejoin=\"round\" ")?;
        write!(f, "stroke=\"{colour}\"")?;
        match DASHES.get(self.0 / COLOURS.len() % DASHES.len()) {
            None | Some(&"") => Ok(()),
            Some(dashes) => write!(f, " stroke-dasharray=\"{dashes}\""),
        }
    }
}

/// Text for XML. What XML cannot hold is U+FFFD, and so is what changes the direction of writing
/// beyond its place.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(' ')?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                '\u{fffe}' | '\u{ffff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    f.write_char('\u{fffd}')?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements that are open at the end, and how often each was there; panics where an end does
    /// not fit.
    fn elements(drawing: &str) -> Vec<String> {
        let (mut open, mut seen): (Vec<&str>, Vec<String>) = Default::default();
        for part in drawing.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap();
            assert!(!text.contains('>'), "{part}");
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None => {
                    let name = tag.split([' ', '/']).next().unwrap();
                    seen.push(name.to_owned());
                    if !tag.ends_with('/') {
                        open.push(name);
                    }
                }
            }
        }
        assert_eq!(open, Vec::<&str>::new());
        seen
    }

    /// The commands of the lines that are drawn, but for those of legends.
    fn paths(drawing: &str) -> Vec<&str> {
        let groups = drawing.split("</title><path d=\"").skip(1);
        groups.map(|rest| rest.split('"').next().unwrap()).collect()
    }

    fn chart(points: impl IntoIterator<Item = (f64, f64)>) -> Chart {
        Chart::new("a").with_line(Line::new("a", points))
    }

    #[test]
    fn text_is_escaped() {
        let evil = "</text><script>alert(1)</script> & \"x\" 'y' \u{1b}[2J\u{202e}\n";
        let points = [(0.0, 1.0), (1.0, 2.0)];
        let line = Line::new(evil, points).with_about(evil);
        let chart = Chart::new(evil)
            .with_line(line.clone())
            .with_line(line)
            .with_across(Across::Series(evil.into()));
        let drawing = svg(&[chart]);
        assert!(!elements(&drawing).contains(&"script".to_owned()));
        assert!(drawing.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot; &#39;y&#39; \u{fffd}[2J\u{fffd}"));
        assert!(drawing.chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn what_is_not_finite_is_a_gap() {
        let nan = f64::NAN;
        let drawing = svg(&[chart([
            (0.0, 0.0),
            (1.0, 1.0),
            (2.0, nan),
            (3.0, 0.5),
            (4.0, nan),
            (5.0, 1.0),
            (6.0, 0.0),
        ])]);
        let path = paths(&drawing)[0];
        assert_eq!(path.matches('M').count(), 3, "{path}");
        assert_eq!(
            path.matches("h0").count(),
            1,
            "a point alone is a dot: {path}"
        );
        let drawing = svg(&[chart([(0.0, 1.0), (1.0, 0.0), (2.0, 10.0)]).with_log(true)]);
        assert_eq!(paths(&drawing)[0].matches('M').count(), 2);
    }

    #[test]
    fn many_points_are_few_on_the_drawing_and_no_peak_is_lost() {
        let peak = |i: u32| match i {
            77_777 => 9.0,
            33_333 => -9.0,
            _ => f64::from(i % 7) / 7.0,
        };
        let drawing = svg(&[chart((0..100_000).map(|i| (f64::from(i), peak(i))))]);
        assert!(drawing.len() < 60_000, "{}", drawing.len());
        let path = paths(&drawing)[0];
        let heights: Vec<f64> = path
            .split(['M', 'L'])
            .filter_map(|place| place.split_once(' ')?.1.parse().ok())
            .collect();
        let (top, bottom) = (36.0, 36.0 + Size::default().height);
        assert_eq!(heights.iter().copied().fold(f64::MAX, f64::min), top);
        assert_eq!(heights.iter().copied().fold(f64::MIN, f64::max), bottom);
    }

    #[test]
    fn everything_is_on_the_drawing() {
        let extremes = [0.0, -0.0, 5e-324, 1e-300, -1e300, f64::MAX, f64::MIN, 1.0];
        for log in [false, true] {
            for a in extremes {
                for b in extremes {
                    let chart = chart([(a, b), (b, a)]).with_log(log);
                    let drawing = svg(&[chart.clone().with_across(Across::Time), chart]);
                    elements(&drawing);
                    assert!(
                        !drawing.contains("NaN") && !drawing.contains("inf"),
                        "{a} {b}"
                    );
                    for number in paths(&drawing)
                        .into_iter()
                        .flat_map(|p| p.split(['M', 'L', ' ', 'h']))
                    {
                        let number: f64 = number.parse().unwrap_or(0.0);
                        assert!(
                            (0.0..=Size::default().width).contains(&number),
                            "{a} {b} {number}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn small_drawings_hold_everything_too() {
        let name = "a/rather/long/name/of/a/series/that/is/more/than/the/drawing/has/room/for";
        let line = Line::new(name, [(0.0, -1e9), (1e9, 1e9)]).with_about("x");
        let size = Size {
            width: 320.0,
            height: 100.0,
        };
        let chart = Chart::new(name)
            .with_line(line.clone())
            .with_line(line)
            .with_across(Across::Series(name.into()));
        let drawing = svg_of_size(&[chart], size);
        elements(&drawing);
        assert!(drawing.contains("viewBox=\"0 0 320 "), "{drawing}");
        for text in drawing.split("<text ").skip(1) {
            let shown = text.split_once('>').unwrap().1.split('<').next().unwrap();
            assert!(shown.chars().count() <= 36, "{shown}");
        }
        for path in paths(&drawing) {
            for number in path.split(['M', 'L', ' ', 'h']) {
                let number: f64 = number.parse().unwrap_or(0.0);
                assert!((0.0..=320.0).contains(&number), "{path}");
            }
        }
    }

    #[test]
    fn nothing_to_draw_is_said() {
        let drawing = svg(&[chart([(0.0, f64::NAN)])]);
        assert!(drawing.contains("nothing to draw: no value is finite<"));
        elements(&drawing);
        elements(&svg(&[]));
    }

    #[test]
    fn legends_wrap_and_lines_differ() {
        let line = |i: i32| Line::new(format!("a rather long name of line {i}"), [(0.0, i.into())]);
        let chart = (0..25).map(line).fold(Chart::new("many"), Chart::with_line);
        let drawing = svg(&[chart]);
        elements(&drawing);
        let strokes: std::collections::BTreeSet<_> = drawing
            .split("</title><path ")
            .skip(1)
            .map(|rest| {
                rest.split_once("fill")
                    .unwrap()
                    .1
                    .split_once("/>")
                    .unwrap()
                    .0
            })
            .collect();
        assert_eq!(strokes.len(), 25);
        assert!(
            drawing.matches("x=\"40\"").count() > 5,
            "names stand below each other"
        );
    }
}
