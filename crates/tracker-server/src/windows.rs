//! Windows of histories that clients read one after the other.
//!
//! A client reads a long history by steps, a thousand at a time, and to find the place of a window
//! costs more than to read it. Where a window begins behind one that was read, the next ones are
//! read along with it and kept for a while. What is kept is given only as long as the history is
//! what it was.

use std::{
    collections::VecDeque,
    fmt,
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Bytes of rows that are read ahead, about, and that are read before it is given up.
const AHEAD: usize = 8 << 20;
pub(crate) const TOO_MUCH: usize = 32 << 20;
/// The most windows that are read ahead.
const MOST_WINDOWS: i64 = 31;
/// Bytes of rows that are kept, of all histories together, and pieces of histories.
const KEPT_BYTES: usize = 48 << 20;
const KEPT: usize = 256;
/// How long.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// A row as text, with its step.
pub(crate) type Row = (i64, String);

/// Pieces of histories that were read.
#[derive(Default)]
pub(crate) struct Windows(Mutex<VecDeque<Piece>>);

/// All rows of a history with steps in a range.
pub(crate) struct Piece {
    /// Which run, how its rows are written, and what the history is.
    pub(crate) of: String,
    pub(crate) steps: RangeInclusive<i64>,
    /// In order.
    pub(crate) rows: Vec<Row>,
    /// Bytes of the window that was asked for.
    pub(crate) window: usize,
    since: Instant,
}

impl Piece {
    pub(crate) fn new(of: String, steps: RangeInclusive<i64>, rows: Vec<Row>) -> Self {
        let window = bytes(&rows);
        Self {
            of,
            steps,
            rows,
            window,
            since: Instant::now(),
        }
    }

    /// The rows of a window.
    pub(crate) fn window(&self, steps: &RangeInclusive<i64>) -> Vec<String> {
        let rows = self.rows.iter().filter(|(step, _)| steps.contains(step));
        rows.map(|(_, text)| text.clone()).collect()
    }

    fn is_kept(&self) -> bool {
        self.since.elapsed() < KEPT_FOR
    }
}

fn bytes(rows: &[Row]) -> usize {
    let texts: usize = rows.iter().map(|(_, text)| text.capacity()).sum();
    texts + size_of_val(rows)
}

impl Windows {
    /// The rows of a window, if it was read along with an earlier one.
    pub(crate) fn find(&self, of: &str, steps: &RangeInclusive<i64>) -> Option<Vec<String>> {
        let pieces = self.lock();
        let mut found = pieces.iter().filter(|piece| {
            let whole = piece.steps.contains(steps.start()) && piece.steps.contains(steps.end());
            whole && piece.of == of && piece.is_kept()
        });
        found.next().map(|piece| piece.window(steps))
    }

    /// The last step that is to be read along with a window.
    pub(crate) fn reach(&self, of: &str, steps: &RangeInclusive<i64>) -> i64 {
        let pieces = self.lock();
        let (first, last) = (*steps.start(), *steps.end());
        let before = pieces.iter().find(|piece| {
            piece.steps.end().checked_add(1) == Some(first) && piece.of == of && piece.is_kept()
        });
        let Some(before) = before else { return last };
        let windows = i64::try_from(AHEAD / before.window.max(1)).unwrap_or(i64::MAX);
        let width = last.saturating_sub(first).saturating_add(1);
        last.saturating_add(width.saturating_mul(windows.min(MOST_WINDOWS)))
    }

    /// Keeps a piece for the windows that follow.
    pub(crate) fn keep(&self, piece: Piece) {
        let mut pieces = self.lock();
        pieces.retain(Piece::is_kept);
        pieces.push_back(piece);
        let mut kept: usize = pieces.iter().map(|piece| bytes(&piece.rows)).sum();
        while kept > KEPT_BYTES || pieces.len() > KEPT {
            let Some(oldest) = pieces.pop_front() else {
                break;
            };
            kept -= bytes(&oldest.rows);
        }
    }

    /// Drops what nobody asked for in time.
    pub(crate) fn tidy(&self) {
        self.lock().retain(Piece::is_kept);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Piece>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windows").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(steps: RangeInclusive<i64>) -> Piece {
        let rows = steps.clone().map(|step| (step, format!("row {step}")));
        Piece::new("a".to_owned(), steps.clone(), rows.collect())
    }

    #[test]
    fn windows_that_follow_are_read_along() {
        let windows = Windows::default();
        assert_eq!(windows.reach("a", &(0..=9)), 9);
        windows.keep(piece(0..=9));
        assert_eq!(windows.reach("a", &(10..=19)), 19 + 10 * MOST_WINDOWS);
        assert_eq!(windows.reach("a", &(11..=19)), 19);
        assert_eq!(windows.reach("b", &(10..=19)), 19);
        assert_eq!(windows.reach("a", &(10..=i64::MAX)), i64::MAX);
        windows.keep(piece(10..=99));
        assert_eq!(windows.find("a", &(20..=21)).unwrap(), ["row 20", "row 21"]);
        assert_eq!(windows.find("a", &(99..=100)), None);
        assert_eq!(windows.find("b", &(20..=21)), None);
    }

    #[test]
    fn large_rows_are_not_read_ahead() {
        let windows = Windows::default();
        let text = "x".repeat(AHEAD + 1);
        windows.keep(Piece::new("a".to_owned(), 0..=0, vec![(0, text)]));
        assert_eq!(windows.reach("a", &(1..=1)), 1);
        for step in 1..20 {
            let text = "x".repeat(AHEAD);
            windows.keep(Piece::new("a".to_owned(), step..=step, vec![(step, text)]));
        }
        let kept: usize = windows.lock().iter().map(|piece| bytes(&piece.rows)).sum();
        assert!(kept <= KEPT_BYTES, "{kept}");
        assert_eq!(windows.find("a", &(0..=0)), None);
        assert!(windows.find("a", &(19..=19)).is_some());
    }
}
