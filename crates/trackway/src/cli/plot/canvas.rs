use console::Style;

/// Dots of one character: two columns of four.
const ACROSS: usize = 2;
const DOWN: usize = 4;

/// The bits of a braille character, by column and row.
const BITS: [[u8; DOWN]; ACROSS] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// A sheet of braille characters.
#[derive(Debug)]
pub(super) struct Canvas {
    width: usize,
    height: usize,
    cells: Vec<Cell>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    dots: u8,
    series: usize,
    letter: Option<char>,
}

/// A dot, counted from the upper left.
pub(super) type Dot = (usize, usize);

impl Canvas {
    /// An empty sheet of so many characters.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            cells: vec![Cell::default(); width * height],
        }
    }

    /// The dot at a place: 0 to 1 to the right, 0 to 1 upwards.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "clamped"
    )]
    pub(super) fn dot_of(&self, x: f64, y: f64) -> Dot {
        let on =
            |place: f64, dots: usize| (place.clamp(0.0, 1.0) * (dots - 1) as f64).round() as usize;
        (
            on(x, self.width * ACROSS),
            self.height * DOWN - 1 - on(y, self.height * DOWN),
        )
    }

    /// The line of characters at a height of 0 to 1.
    pub(super) fn row_of(&self, y: f64) -> usize {
        self.dot_of(0.0, y).1 / DOWN
    }

    /// Draws a straight line, its ends included.
    pub(super) fn line(&mut self, from: Dot, to: Dot, series: usize) {
        let (dx, dy) = (to.0.abs_diff(from.0), to.1.abs_diff(from.1));
        let steps = dx.max(dy).max(1);
        for i in 0..=steps {
            let along = |a: usize, b: usize, d: usize| {
                let moved = (d * i + steps / 2) / steps;
                if b >= a { a + moved } else { a - moved }
            };
            self.dot((along(from.0, to.0, dx), along(from.1, to.1, dy)), series);
        }
    }

    /// Puts a letter over the dots.
    pub(super) fn letter(&mut self, (x, y): Dot, letter: char) {
        if let Some(cell) = self.cells.get_mut(y / DOWN * self.width + x / ACROSS) {
            cell.letter = Some(letter);
        }
    }

    fn dot(&mut self, (x, y): Dot, series: usize) {
        let bit = BITS
            .get(x % ACROSS)
            .and_then(|column| column.get(y % DOWN))
            .copied()
            .unwrap_or(0);
        if let Some(cell) = self.cells.get_mut(y / DOWN * self.width + x / ACROSS) {
            cell.dots |= bit;
            cell.series = series;
        }
    }

    /// The lines of characters, each painted in the style of its series.
    pub(super) fn rows(&self, style: impl Fn(usize) -> Style) -> Vec<String> {
        let text = |cell: &Cell| match (cell.letter, cell.dots) {
            (Some(letter), _) => letter,
            (None, 0) => ' ',
            (None, dots) => char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' '),
        };
        let row = |cells: &[Cell]| {
            let mut out = String::new();
            for part in
                cells.chunk_by(|a, b| (a.dots == 0) == (b.dots == 0) && a.series == b.series)
            {
                let drawn: String = part.iter().map(text).collect();
                match part.first() {
                    Some(cell) if cell.dots != 0 => {
                        out.push_str(&style(cell.series).apply_to(drawn).to_string())
                    }
                    _ => out.push_str(&drawn),
                }
            }
            out
        };
        self.cells.chunks(self.width).map(row).collect()
    }
}
