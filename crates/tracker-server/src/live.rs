//! What the server remembers of runs that log now, so that not every request writes everything.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracker_model::RunPath;

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
