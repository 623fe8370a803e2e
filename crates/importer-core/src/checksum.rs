//! The checksums of a receipt; their rules are told at [`Checksums`].

use std::{cmp::Ordering, collections::BTreeMap, io};

use sha2::{Digest, Sha256};
use spill_sort::{Record, Sorter, SorterOptions};
use tracker_model::{Error, ErrorKind, PointBatch, Result, SeriesKey, Times, Value, Values};

use crate::{Checksums, receipt::SeriesChecksum};

/// Points of one series that are sorted in memory; more are spilled to temporary files.
const IN_MEMORY: usize = if cfg!(test) { 1 << 13 } else { 1 << 17 };
/// Bytes that the sorting of more takes.
const SPILL_BYTES: usize = if cfg!(test) { 1 << 16 } else { 12 << 20 };
/// Bytes that are hashed at once.
const BLOCK: usize = 32 * 1024;

/// The checksum over key-value pairs.
pub fn key_value_checksum<K: AsRef<str>, V: AsRef<str>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> String {
    lines_checksum(
        pairs
            .into_iter()
            .map(|(k, v)| format!("{}\t{}\n", escape(k.as_ref()), escape(v.as_ref()))),
    )
}

/// The checksum over lines, which are sorted first.
pub(crate) fn lines_checksum(lines: impl IntoIterator<Item = String>) -> String {
    let mut lines: Vec<String> = lines.into_iter().collect();
    lines.sort_unstable();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_bytes());
    }
    hex::encode(hash.finalize())
}

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out
}

/// Computes [`Checksums::points_sha`] and those of the series, in bounded memory.
///
/// The series come one after the other, in byte order of their keys.
pub struct PointsChecksum {
    run: Sha256,
    points: u64,
    series: BTreeMap<SeriesKey, SeriesChecksum>,
    current: Option<Lines>,
    /// All lines of all series, from the moment that a key was met whose lines do not sort as the
    /// keys do: one with a character up to the tab.
    odd: Option<Odd>,
}

impl std::fmt::Debug for PointsChecksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PointsChecksum")
            .field("points", &self.points)
            .finish_non_exhaustive()
    }
}

impl Default for PointsChecksum {
    fn default() -> Self {
        Self::new()
    }
}

impl PointsChecksum {
    /// No points yet.
    pub fn new() -> Self {
        Self {
            run: Sha256::new(),
            points: 0,
            series: BTreeMap::new(),
            current: None,
            odd: None,
        }
    }

    /// Like [`PointsChecksum::new`], for a run some of whose keys may hold characters up to the
    /// tab, so that lines do not sort as keys do.
    pub fn for_keys<'a>(keys: impl IntoIterator<Item = &'a SeriesKey>) -> Self {
        let odd = keys
            .into_iter()
            .any(|k| k.as_str().bytes().any(|b| b <= b'\t'));
        Self {
            odd: odd.then(odd_lines),
            ..Self::new()
        }
    }

    /// The next points.
    ///
    /// # Errors
    /// `InvalidInput` if the series do not come in order; `StorageFull` or `Unavailable` if
    /// temporary files cannot be written.
    pub fn update(&mut self, batch: &PointBatch) -> Result<()> {
        if self.current.as_ref().is_none_or(|c| c.key != batch.key) {
            self.end_series()?;
            if self
                .series
                .last_key_value()
                .is_some_and(|(last, _)| *last >= batch.key)
            {
                return Err(Error::invalid(format!(
                    "the series {:?} came out of order",
                    batch.key
                )));
            }
            self.current = Some(Lines::new(batch.key.clone()));
        }
        if let Some(lines) = &mut self.current {
            lines.push(batch).map_err(spill_error)?;
        }
        Ok(())
    }

    fn end_series(&mut self) -> Result<()> {
        let Some(lines) = self.current.take() else {
            return Ok(());
        };
        let key = lines.key.clone();
        let (mut hash, mut n) = (Sha256::new(), 0);
        let (run, odd) = (&mut self.run, &mut self.odd);
        lines
            .for_each_sorted(if odd.is_some() { 0 } else { BLOCK }, |block, count| {
                n += count;
                hash.update(block);
                match odd {
                    Some(odd) => odd.push(block.to_vec()),
                    None => {
                        run.update(block);
                        Ok(())
                    }
                }
            })
            .map_err(spill_error)?;
        self.points += n;
        self.series.insert(
            key,
            SeriesChecksum {
                n,
                sha: hex::encode(hash.finalize()),
            },
        );
        Ok(())
    }

    /// The checksums of the points; the other fields are empty.
    ///
    /// # Errors
    /// As those of [`PointsChecksum::update`].
    pub fn finish(mut self) -> Result<Checksums> {
        self.end_series()?;
        if let Some(odd) = self.odd.take() {
            for line in odd.finish().map_err(spill_error)? {
                self.run.update(line.map_err(spill_error)?);
            }
        }
        Ok(Checksums {
            points: self.points,
            points_sha: hex::encode(self.run.finalize()),
            series: self.series,
            ..Checksums::default()
        })
    }
}

fn spill_error(e: io::Error) -> Error {
    let kind = if e.kind() == io::ErrorKind::StorageFull {
        ErrorKind::StorageFull
    } else {
        ErrorKind::Unavailable
    };
    Error::new(
        kind,
        format!("sort the points of a series in temporary files: {e}"),
    )
    .with_hint("set TMPDIR to a folder with more space")
    .with_source(e)
}

/// A point as its line says it.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    step: i64,
    ms: Option<i64>,
    sub_ns: u32,
    value: Text,
}

#[derive(Debug, Clone, PartialEq)]
enum Text {
    Bits(u64),
    Json(String),
}

/// A number such that numbers of decimal numbers, each followed by a tab, order as those texts do.
fn decimal_rank(n: i64) -> u128 {
    let magnitude = n.unsigned_abs();
    let digits = magnitude.checked_ilog10().unwrap_or(0) + 1;
    let scaled = u128::from(magnitude) * 10u128.pow(19 - digits.min(19));
    (u128::from(n >= 0) << 80) | (scaled << 8) | u128::from(digits)
}

/// The same in fewer bits for the steps that are usual.
fn short_rank(step: i64) -> Option<u64> {
    const DIGITS: u32 = 17;
    let step = u64::try_from(step).ok()?;
    let digits = step.checked_ilog10().unwrap_or(0) + 1;
    let scaled = step * 10u64.pow(DIGITS.checked_sub(digits)?);
    Some((scaled << 5) | u64::from(digits))
}

/// Takes the points of a batch if all of them are plain.
fn push_plain(points: &mut Vec<Plain>, batch: &PointBatch) -> bool {
    let (Some(Times { ms, sub_ns: None }), Values::F64(values)) = (&batch.times, &batch.values)
    else {
        return false;
    };
    let before = points.len();
    points.reserve(batch.len());
    for ((step, ms), value) in batch.steps.iter().zip(ms).zip(values) {
        let Some(rank) = short_rank(*step) else {
            points.truncate(before);
            return false;
        };
        points.push(Plain {
            rank,
            step: *step,
            ms: *ms,
            bits: double_bits(*value),
        });
    }
    true
}

fn compare(a: &Point, b: &Point) -> Ordering {
    if a.step != b.step {
        return decimal_rank(a.step).cmp(&decimal_rank(b.step));
    }
    compare_rest(a, b)
}

fn compare_rest(a: &Point, b: &Point) -> Ordering {
    let (x, y) = ((a.ms, a.sub_ns), (b.ms, b.sub_ns));
    if x != y {
        // Rare enough to compare as texts: "." of a fraction sorts behind the tab, before digits.
        let time = |p: &Point| {
            let mut out = Vec::with_capacity(32);
            push_time(&mut out, p);
            out.push(b'\t');
            out
        };
        return match (a.ms, b.ms, a.sub_ns | b.sub_ns) {
            (Some(x), Some(y), 0) => decimal_rank(x).cmp(&decimal_rank(y)),
            _ => time(a).cmp(&time(b)),
        };
    }
    match (&a.value, &b.value) {
        (Text::Bits(x), Text::Bits(y)) => x.cmp(y),
        (Text::Json(x), Text::Json(y)) => x
            .as_bytes()
            .iter()
            .chain(b"\n")
            .cmp(y.as_bytes().iter().chain(b"\n")),
        _ => {
            let text = |p: &Point| {
                let mut out = Vec::new();
                push_value(&mut out, &p.value);
                out.push(b'\n');
                out
            };
            text(a).cmp(&text(b))
        }
    }
}

fn hex_digits(bits: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    let halves = [(bits >> 32) & 0xffff_ffff, bits & 0xffff_ffff];
    for (digits, half) in digits.chunks_exact_mut(8).zip(halves) {
        digits.copy_from_slice(&eight_hex_digits(half));
    }
    digits
}

/// The digits of 32 bits, all at once: each step halves what is in one place, until every byte has
/// four bits.
fn eight_hex_digits(bits: u64) -> [u8; 8] {
    let bits = (bits | (bits << 16)) & 0x0000_ffff_0000_ffff;
    let bits = (bits | (bits << 8)) & 0x00ff_00ff_00ff_00ff;
    let bits = (bits | (bits << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = ((bits + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    let from_nine_to_a = u64::from(b'a' - b'0' - 10);
    (bits + 0x3030_3030_3030_3030 + letters * from_nine_to_a).to_be_bytes()
}

/// The digits of a number below 10⁸, likewise: halves of four digits, of two, of one.
fn eight_digits(n: u64) -> [u8; 8] {
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | ((pairs - tens * 10) << 8);
    (digits + 0x3030_3030_3030_3030).to_le_bytes()
}

/// Bytes of `STEP \t MILLISECONDS \t BITS \n`.
const PLAIN: usize = 20 + 1 + 20 + 1 + 16 + 1;

/// What follows the key in the lines of most points, put together from its end: so nearly every
/// piece has a size that is known beforehand.
struct PlainLine {
    bytes: [u8; PLAIN],
    start: usize,
}

impl PlainLine {
    fn new(step: i64, ms: i64, bits: u64) -> Self {
        let mut line = Self {
            bytes: [b'\n'; PLAIN],
            start: PLAIN - 1,
        };
        line.put(hex_digits(bits));
        line.put([b'\t']);
        line.put_number(ms);
        line.put([b'\t']);
        line.put_number(step);
        line
    }

    fn put<const N: usize>(&mut self, piece: [u8; N]) {
        let before = self.bytes.get_mut(..self.start);
        if let Some(room) = before.and_then(<[u8]>::last_chunk_mut) {
            *room = piece;
            self.start -= N;
        }
    }

    fn put_number(&mut self, n: i64) {
        let digit = |n: u64| {
            let [digit, ..] = (n % 10).to_le_bytes();
            b'0' + digit
        };
        let mut left = n.unsigned_abs();
        while left >= 100_000_000 {
            self.put(eight_digits(left % 100_000_000));
            left /= 100_000_000;
        }
        while left >= 10 {
            self.put([digit(left / 10), digit(left)]);
            left /= 100;
        }
        if left > 0 || n == 0 {
            self.put([digit(left)]);
        }
        if n < 0 {
            self.put([b'-']);
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

fn push_time(out: &mut Vec<u8>, p: &Point) {
    if let Some(ms) = p.ms {
        out.extend_from_slice(itoa::Buffer::new().format(ms).as_bytes());
    }
    if p.sub_ns != 0 {
        out.extend_from_slice(format!(".{:06}", p.sub_ns).as_bytes());
    }
}

fn push_value(out: &mut Vec<u8>, value: &Text) {
    match value {
        Text::Bits(bits) => {
            out.extend_from_slice(&hex_digits(*bits));
        }
        Text::Json(text) => out.extend_from_slice(text.as_bytes()),
    }
}

/// What follows the key in the line of any point.
fn push_rest(out: &mut Vec<u8>, point: &Point) {
    if let (Some(ms), 0, Text::Bits(bits)) = (point.ms, point.sub_ns, &point.value) {
        out.extend_from_slice(PlainLine::new(point.step, ms, *bits).as_bytes());
        return;
    }
    out.extend_from_slice(itoa::Buffer::new().format(point.step).as_bytes());
    out.push(b'\t');
    push_time(out, point);
    out.push(b'\t');
    push_value(out, &point.value);
    out.push(b'\n');
}

fn double_bits(x: f64) -> u64 {
    if x.is_nan() {
        0x7ff8_0000_0000_0000
    } else {
        x.to_bits()
    }
}

type Spilled = Sorter<Point, fn(&Point, &Point) -> Ordering>;

/// A point as nearly all are: a double with a time in milliseconds, and a step that is not
/// negative. Small, as many are sorted.
#[derive(Debug, Clone, Copy)]
struct Plain {
    /// Steps order as these do.
    rank: u64,
    step: i64,
    ms: i64,
    bits: u64,
}

impl Plain {
    fn compare(&self, other: &Self) -> Ordering {
        self.rank
            .cmp(&other.rank)
            .then_with(|| decimal_rank(self.ms).cmp(&decimal_rank(other.ms)))
            .then(self.bits.cmp(&other.bits))
    }

    fn push_rest(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PlainLine::new(self.step, self.ms, self.bits).as_bytes());
    }
}

impl From<Plain> for Point {
    fn from(plain: Plain) -> Self {
        Self {
            step: plain.step,
            ms: Some(plain.ms),
            sub_ns: 0,
            value: Text::Bits(plain.bits),
        }
    }
}

/// Points that wait to be sorted.
enum Waiting {
    Plain(Vec<Plain>),
    Any(Vec<(u128, Point)>),
    Spilled(Spilled),
}

/// The points of one series, on their way to be sorted.
struct Lines {
    key: SeriesKey,
    waiting: Waiting,
}

impl Lines {
    fn new(key: SeriesKey) -> Self {
        Self {
            key,
            waiting: Waiting::Plain(Vec::new()),
        }
    }

    fn push(&mut self, batch: &PointBatch) -> io::Result<()> {
        if let Waiting::Plain(points) = &mut self.waiting {
            if !push_plain(points, batch) {
                let points = std::mem::take(points).into_iter().map(Point::from);
                let points = points.map(|p| (decimal_rank(p.step), p)).collect();
                self.waiting = Waiting::Any(points);
            } else if points.len() >= IN_MEMORY {
                return self.spill();
            } else {
                return Ok(());
            }
        }
        for (i, step) in batch.steps.iter().enumerate() {
            let value = match &batch.values {
                Values::F64(v) => Text::Bits(double_bits(v.get(i).copied().unwrap_or_default())),
                other => Text::Json(match other.get(i) {
                    Some(Value::Json(text)) => text,
                    Some(value) => value.to_json().to_string(),
                    None => String::new(),
                }),
            };
            let time = batch.times.as_ref().map(|t| t.get(i));
            let point = Point {
                step: *step,
                ms: time.map(|t| t.as_millis()),
                sub_ns: time.map_or(0, |t| t.sub_nanos()),
                value,
            };
            match &mut self.waiting {
                Waiting::Spilled(sorter) => sorter.push(point)?,
                Waiting::Any(points) => {
                    points.push((decimal_rank(point.step), point));
                    if points.len() >= IN_MEMORY {
                        self.spill()?;
                    }
                }
                Waiting::Plain(_) => {}
            }
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let options = SorterOptions::default().with_memory_bytes(SPILL_BYTES);
        let mut sorter = Sorter::new(options, compare as fn(&Point, &Point) -> Ordering);
        match &mut self.waiting {
            Waiting::Plain(points) => {
                for point in std::mem::take(points) {
                    sorter.push(point.into())?;
                }
            }
            Waiting::Any(points) => {
                for (_, point) in std::mem::take(points) {
                    sorter.push(point)?;
                }
            }
            Waiting::Spilled(_) => return Ok(()),
        }
        self.waiting = Waiting::Spilled(sorter);
        Ok(())
    }

    /// Gives the lines in order, in blocks of whole lines that end after `size` bytes, with the
    /// number of lines in each.
    fn for_each_sorted(
        self,
        size: usize,
        mut each: impl FnMut(&[u8], u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut block = Vec::with_capacity(size + 256);
        let mut lines = 0;
        let key = format!("{}\t", self.key);
        let mut line = |rest: &dyn Fn(&mut Vec<u8>)| -> io::Result<()> {
            block.extend_from_slice(key.as_bytes());
            rest(&mut block);
            lines += 1;
            if block.len() >= size {
                each(&block, lines)?;
                block.clear();
                lines = 0;
            }
            Ok(())
        };
        match self.waiting {
            Waiting::Plain(mut points) => {
                points.sort_by(Plain::compare);
                for point in points {
                    line(&|block| point.push_rest(block))?;
                }
            }
            Waiting::Any(mut points) => {
                points.sort_by(|(x, a), (y, b)| x.cmp(y).then_with(|| compare_rest(a, b)));
                for (_, point) in &points {
                    line(&|block| push_rest(block, point))?;
                }
            }
            Waiting::Spilled(sorter) => {
                for point in sorter.finish()? {
                    let point = point?;
                    line(&|block| push_rest(block, &point))?;
                }
            }
        }
        if lines > 0 {
            each(&block, lines)
        } else {
            Ok(())
        }
    }
}

impl Record for Point {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.step.to_le_bytes());
        out.push(
            u8::from(self.ms.is_some())
                | u8::from(self.sub_ns != 0) << 1
                | u8::from(matches!(self.value, Text::Json(_))) << 2,
        );
        if let Some(ms) = self.ms {
            out.extend_from_slice(&ms.to_le_bytes());
        }
        if self.sub_ns != 0 {
            out.extend_from_slice(&self.sub_ns.to_le_bytes());
        }
        match &self.value {
            Text::Bits(bits) => out.extend_from_slice(&bits.to_le_bytes()),
            Text::Json(text) => {
                out.extend_from_slice(&(text.len() as u64).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    fn decode(input: &[u8]) -> Option<(Self, usize)> {
        let (step, rest) = input.split_first_chunk()?;
        let (flags, mut rest) = rest.split_first()?;
        let mut ms = None;
        if flags & 1 != 0 {
            let (bytes, tail) = rest.split_first_chunk()?;
            (ms, rest) = (Some(i64::from_le_bytes(*bytes)), tail);
        }
        let mut sub_ns = 0;
        if flags & 2 != 0 {
            let (bytes, tail) = rest.split_first_chunk()?;
            (sub_ns, rest) = (u32::from_le_bytes(*bytes), tail);
        }
        let (number, mut rest) = rest.split_first_chunk()?;
        let number = u64::from_le_bytes(*number);
        let value = if flags & 4 != 0 {
            let (text, tail) = rest.split_at_checked(usize::try_from(number).ok()?)?;
            rest = tail;
            Text::Json(String::from_utf8(text.to_vec()).ok()?)
        } else {
            Text::Bits(number)
        };
        Some((
            Self {
                step: i64::from_le_bytes(*step),
                ms,
                sub_ns,
                value,
            },
            input.len() - rest.len(),
        ))
    }

    fn heap_bytes(&self) -> usize {
        match &self.value {
            Text::Bits(_) => 0,
            Text::Json(text) => text.capacity(),
        }
    }
}

/// All lines of a run with odd keys, sorted as bytes.
type Odd = Sorter<Vec<u8>, fn(&Vec<u8>, &Vec<u8>) -> Ordering>;

fn odd_lines() -> Odd {
    Sorter::new(
        SorterOptions::default().with_memory_bytes(SPILL_BYTES),
        Vec::cmp,
    )
}

#[cfg(test)]
mod tests;
