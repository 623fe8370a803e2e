//! What a host asks of all who call it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

/// Between two callers that go on after the same pause.
const STAGGER: Duration = Duration::from_millis(5);

/// The pace of each host, shared by all requests of a client.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    hosts: Mutex<HashMap<String, Arc<HostPace>>>,
}

impl Pacer {
    /// The pace of a server, by host and port.
    pub(crate) fn host(&self, host: &str) -> Arc<HostPace> {
        let mut hosts = lock(&self.hosts);
        if let Some(pace) = hosts.get(host) {
            return Arc::clone(pace);
        }
        Arc::clone(hosts.entry(host.to_owned()).or_default())
    }
}

/// The pace of one host.
#[derive(Debug, Default)]
pub(crate) struct HostPace {
    answered: AtomicBool,
    state: Mutex<PaceState>,
}

#[derive(Debug, Default)]
struct PaceState {
    paused_until: Option<Instant>,
    /// Callers that have gone on after this pause.
    resumed: u32,
    spacing: Option<Spacing>,
}

/// Until `until`, requests begin at least `each` apart.
#[derive(Debug)]
struct Spacing {
    each: Duration,
    until: Instant,
    next: Instant,
}

impl HostPace {
    /// Whether the host has ever answered.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Lets every caller wait until then.
    pub(crate) fn pause_until(&self, until: Instant) {
        let mut state = lock(&self.state);
        if state.paused_until.is_none_or(|paused| paused < until) {
            state.paused_until = Some(until);
            state.resumed = 0;
        }
    }

    /// Notes what the head of an answer says about the rate of requests.
    pub(crate) fn note(&self, headers: &HeaderMap, longest: Duration) {
        self.answered.store(true, Ordering::Relaxed);
        let Some(quota) = Quota::read(headers) else {
            return;
        };
        let now = Instant::now();
        let reset = quota.reset.min(longest);
        if quota.remaining == 0 {
            self.pause_until(now + reset);
            return;
        }
        let is_scarce = quota
            .limit
            .map_or(quota.remaining < 4, |limit| quota.remaining < limit / 4);
        let mut state = lock(&self.state);
        state.spacing = is_scarce.then(|| Spacing {
            each: reset / u32::try_from(quota.remaining).unwrap_or(u32::MAX),
            until: now + reset,
            next: state
                .spacing
                .as_ref()
                .map_or(now, |spacing| spacing.next.max(now)),
        });
    }

    /// How long a request has to wait before it may go out now; zero takes its turn.
    pub(crate) fn wait(&self) -> Duration {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if let Some(until) = state.paused_until {
            if now < until {
                state.resumed = (state.resumed + 1).min(200);
                return until - now + STAGGER * (state.resumed - 1);
            }
            state.paused_until = None;
        }
        if let Some(spacing) = &mut state.spacing {
            if now < spacing.next.min(spacing.until) {
                return spacing.next.min(spacing.until) - now;
            }
            if now < spacing.until {
                spacing.next = now + spacing.each;
            } else {
                state.spacing = None;
            }
        }
        Duration::ZERO
    }
}

/// What is left of the requests that a host allows.
#[derive(Debug, PartialEq)]
struct Quota {
    remaining: u64,
    reset: Duration,
    limit: Option<u64>,
}

impl Quota {
    /// Reads `RateLimit-Remaining`, `-Reset` and `-Limit`, with or without `X-`.
    fn read(headers: &HeaderMap) -> Option<Self> {
        ["ratelimit", "x-ratelimit"].iter().find_map(|prefix| {
            let number = |name: &str| -> Option<f64> {
                let value = headers.get(format!("{prefix}-{name}"))?.to_str().ok()?;
                // The limit may be followed by its window: `100, 100;w=60`.
                let first = value.split([',', ';']).next().unwrap_or_default().trim();
                first
                    .parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite() && *number >= 0.0)
            };
            let reset = number("reset")?;
            // A large one is a time since the epoch, a small one a time from now.
            let seconds = if reset > 1e9 {
                (reset - since_epoch()).max(0.0)
            } else {
                reset
            };
            Some(Self {
                remaining: number("remaining")? as u64,
                reset: Duration::try_from_secs_f64(seconds).ok()?,
                limit: number("limit").map(|limit| limit as u64),
            })
        })
    }
}

/// The time that a `Retry-After` header asks for: seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?;
    let seconds = date.timestamp().as_second() as f64 - since_epoch();
    Some(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn since_epoch() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
