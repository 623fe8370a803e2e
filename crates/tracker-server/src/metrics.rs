//! What the server counts of itself, in Prometheus' text format.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;

/// How many answers there were, and how long they took, by route and status.
type Answered = BTreeMap<(&'static str, u16), (u64, Duration)>;

/// Counters of requests.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    active: AtomicUsize,
    answered: Mutex<Answered>,
}

/// A request that is being worked on.
#[derive(Debug)]
pub(crate) struct Active {
    metrics: Arc<Metrics>,
    limit: usize,
}

impl Metrics {
    /// Takes a request in, unless there are too many.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize) -> Option<Active> {
        let metrics = self.clone();
        let active = Active { metrics, limit };
        (self.active.fetch_add(1, Ordering::Relaxed) < limit).then_some(active)
    }

    /// Counts an answer.
    pub(crate) fn count(&self, route: &'static str, status: StatusCode, took: Duration) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, time) = answered.entry((route, status.as_u16())).or_default();
        *count += 1;
        *time += took;
    }

    /// All counters.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head(
            &mut out,
            "trackway_requests_active",
            "gauge",
            "Requests being worked on.",
        );
        let active = self.active.load(Ordering::Relaxed);
        let _ = writeln!(out, "trackway_requests_active {active}");
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        head(
            &mut out,
            "trackway_requests_total",
            "counter",
            "Requests answered.",
        );
        for ((route, status), (count, _)) in &*answered {
            let labels = format!("{{route=\"{route}\",status=\"{status}\"}}");
            let _ = writeln!(out, "trackway_requests_total{labels} {count}");
        }
        let name = "trackway_request_seconds_total";
        head(&mut out, name, "counter", "Time that answers took.");
        for ((route, status), (_, time)) in &*answered {
            let labels = format!("{{route=\"{route}\",status=\"{status}\"}}");
            let _ = writeln!(out, "{name}{labels} {}", time.as_secs_f64());
        }
        out
    }
}

impl Active {
    /// How many more requests would be taken in.
    pub(crate) fn left(&self) -> usize {
        let active = self.metrics.active.load(Ordering::Relaxed);
        self.limit.saturating_sub(active)
    }

    /// How much of what the server takes in is there.
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    pub(crate) fn share(&self) -> f64 {
        let active = self.metrics.active.load(Ordering::Relaxed);
        active as f64 / self.limit.max(1) as f64
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.metrics.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted() {
        let metrics = Arc::new(Metrics::default());
        let first = metrics.enter(1).unwrap();
        assert!(metrics.enter(1).is_none());
        assert_eq!((first.left(), first.share() >= 1.0), (0, true));
        drop(first);
        assert!(metrics.enter(1).is_some());
        metrics.count("graphql", StatusCode::OK, Duration::from_millis(1500));
        let text = metrics.text();
        assert!(
            text.contains("trackway_requests_total{route=\"graphql\",status=\"200\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("trackway_request_seconds_total{route=\"graphql\",status=\"200\"} 1.5\n")
        );
    }
}
