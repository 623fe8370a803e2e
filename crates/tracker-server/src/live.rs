//! What the server remembers of runs that log now, so that not every request writes everything.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracker_model::{HistoryStream, RunPath, Timestamp};

/// How often the time of the last sign of life is written.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// More runs than log at once; the oldest are forgotten, which costs one write.
const REMEMBERED: usize = 4_096;

/// When each run's sign of life was last written.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats(Mutex<HashMap<RunPath, Instant>>);

impl Heartbeats {
    /// Whether this sign of life of the run is to be written.
    pub(crate) fn is_due(&self, run: &RunPath) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match seen.get(run) {
            Some(at) if now.duration_since(*at) < WRITE_EVERY => false,
            _ => {
                if seen.len() >= REMEMBERED {
                    seen.retain(|_, at| now.duration_since(*at) < WRITE_EVERY);
                }
                seen.insert(run.clone(), now);
                true
            }
        }
    }

    /// The next sign of life is to be written.
    pub(crate) fn forget(&self, run: &RunPath) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(run);
    }
}

/// How a history ends, as far as is known without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// The row that comes next. What is said below holds as long as the tracker says the same.
    pub(crate) next: u64,
    /// The greatest step.
    pub(crate) step: Option<i64>,
    /// The latest time.
    pub(crate) time: Option<Timestamp>,
}

/// How the histories end that are logged now, so that not every request reads them.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<HashMap<(RunPath, HistoryStream), End>>);

impl Ends {
    /// The end, if it is known and this row comes next.
    pub(crate) fn at(&self, run: &RunPath, stream: HistoryStream, next: u64) -> Option<End> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ends.get(&(run.clone(), stream)).copied();
        end.filter(|end| end.next == next)
    }

    /// Notes that the history that ended so ends otherwise now. Where somebody else wrote meanwhile,
    /// nothing is known any more.
    pub(crate) fn went_on(&self, run: &RunPath, stream: HistoryStream, from: End, to: End) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (run.clone(), stream);
        let before = ends.get(&key).copied();
        if before.is_some_and(|before| before != from) {
            ends.remove(&key);
            return;
        }
        if before.is_none() && ends.len() >= REMEMBERED {
            ends.clear();
        }
        ends.insert(key, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(next: u64, step: i64) -> End {
        End {
            next,
            step: Some(step),
            time: None,
        }
    }

    #[test]
    fn an_end_is_known_until_somebody_else_writes() {
        let (ends, run) = (Ends::default(), "e/p/r".parse().unwrap());
        let stream = HistoryStream::Metrics;
        assert_eq!(ends.at(&run, stream, 0), None);
        ends.went_on(&run, stream, End::default(), end(5, 9));
        assert_eq!(ends.at(&run, stream, 5), Some(end(5, 9)));
        // The tracker has more rows than were seen here.
        assert_eq!(ends.at(&run, stream, 6), None);
        assert_eq!(ends.at(&run, HistoryStream::System, 5), None);
        ends.went_on(&run, stream, end(5, 9), end(7, 11));
        assert_eq!(ends.at(&run, stream, 7), Some(end(7, 11)));
        // Two requests began at the same place: it is not known whose rows are there.
        ends.went_on(&run, stream, end(5, 9), end(8, 10));
        assert_eq!(ends.at(&run, stream, 7), None);
        assert_eq!(ends.at(&run, stream, 8), None);
    }
}
