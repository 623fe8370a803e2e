//! How far an import or a check is.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use importer_core::{Event, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::{
    Shell,
    talk::Talk,
    text::{bytes, count, duration, thousands},
};

/// What a rate is measured over, at least.
const WINDOW: Duration = Duration::from_secs(2);

/// Between two lines where nothing can move.
const EVERY: Duration = Duration::from_secs(10);

/// Between two looks at what a bar says: a wait gets shorter though nothing happens.
const GLANCE: Duration = Duration::from_secs(1);

/// A wait of so long is told at once where nothing can move.
const LONG: Duration = Duration::from_secs(5);

/// Shows how far the work is: a bar on a terminal, else a line every 10 s.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Arc<Shown>,
    /// Prints the lines, or keeps the bar true; ends with this.
    ticker: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shown {
    talk: Talk,
    bar: Option<ProgressBar>,
    /// Whether lines are printed in place of a bar.
    lines: bool,
    started: Instant,
    listed: AtomicU64,
    all_listed: AtomicBool,
    done: AtomicU64,
    points: AtomicU64,
    bytes: AtomicU64,
    artifacts: AtomicU64,
    waiting: Mutex<Option<Wait>>,
    /// When the rate was measured last, at how many points, and what it was.
    measured: Mutex<(Instant, u64, u64)>,
}

/// The longest of the waits that go on.
#[derive(Debug)]
struct Wait {
    why: String,
    until: Instant,
    /// A line was printed about it.
    told: bool,
}

impl Progress {
    /// Shows progress as the flags want it. Needs a Tokio runtime.
    pub(crate) fn new(shell: &Shell) -> Self {
        let hidden = shell.talk.is_quiet() || shell.global.no_progress;
        let bar = (!hidden && shell.talk.terminal).then(bar);
        let lines = !hidden && bar.is_none();
        let shown = Arc::new(Shown::new(shell.talk.clone(), bar, lines));
        let ticker = (!hidden).then(|| {
            let shown = Arc::clone(&shown);
            tokio::spawn(async move {
                loop {
                    if shown.lines {
                        tokio::time::sleep(EVERY).await;
                        shown.talk.note(shown.line());
                    } else {
                        tokio::time::sleep(GLANCE).await;
                        shown.draw();
                    }
                }
            })
        });
        Self {
            shown,
            ticker: Mutex::new(ticker),
        }
    }

    /// Ends the show, and clears its place.
    pub(crate) fn end(&self) {
        if let Some(ticker) = self
            .ticker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            ticker.abort();
        }
        if let Some(bar) = &self.shown.bar {
            bar.finish_and_clear();
        }
    }

    /// Says that the work waits, and why.
    #[cfg_attr(not(feature = "mlflow"), allow(dead_code))]
    pub(crate) fn waits(&self, why: impl Into<String>, wait: Duration) {
        if self.shown.waits(why.into(), wait) {
            self.shown.talk.note(self.shown.line());
        }
        self.shown.draw();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

impl Observer for Progress {
    fn on(&self, event: &Event) {
        let shown = &self.shown;
        match event {
            Event::Listed(n) => drop(shown.listed.fetch_add(*n, Relaxed)),
            Event::ListingDone => shown.all_listed.store(true, Relaxed),
            Event::RunDone(_) => drop(shown.done.fetch_add(1, Relaxed)),
            Event::Points(n) => drop(shown.points.fetch_add(*n, Relaxed)),
            Event::Bytes(n) => drop(shown.bytes.fetch_add(*n, Relaxed)),
            Event::Artifacts(n) => drop(shown.artifacts.fetch_add(*n, Relaxed)),
            _ => return,
        }
        shown.draw();
    }
}

impl Shown {
    fn new(talk: Talk, bar: Option<ProgressBar>, lines: bool) -> Self {
        Self {
            talk,
            bar,
            lines,
            started: Instant::now(),
            listed: AtomicU64::new(0),
            all_listed: AtomicBool::new(false),
            done: AtomicU64::new(0),
            points: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            artifacts: AtomicU64::new(0),
            waiting: Mutex::default(),
            measured: Mutex::new((Instant::now(), 0, 0)),
        }
    }

    /// Notes a wait, unless a longer one goes on. Whether a line shall tell of it at once.
    fn waits(&self, why: String, wait: Duration) -> bool {
        let now = Instant::now();
        let until = now + wait;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let other = waiting.as_ref().filter(|other| other.until > now);
        if other.is_some_and(|other| other.until >= until) {
            return false;
        }
        let was_told = other.is_some_and(|other| other.told);
        let tell = self.lines && wait >= LONG && !was_told;
        *waiting = Some(Wait {
            why,
            until,
            told: was_told || tell,
        });
        tell
    }

    fn draw(&self) {
        let Some(bar) = &self.bar else { return };
        bar.set_length(self.listed.load(Relaxed));
        bar.set_position(self.done.load(Relaxed));
        bar.set_message(self.message());
    }

    /// What stands behind the bar.
    fn message(&self) -> String {
        let (done, listed) = (self.done.load(Relaxed), self.listed.load(Relaxed));
        let mut parts = Vec::new();
        let points = self.points.load(Relaxed);
        if points > 0 {
            parts.push(format!(
                "{} points, {}/s",
                thousands(points),
                thousands(self.rate(points))
            ));
        }
        let read = self.bytes.load(Relaxed);
        if read > 0 {
            parts.push(bytes(read));
        }
        let artifacts = self.artifacts.load(Relaxed);
        if artifacts > 0 {
            parts.push(count(artifacts, "artifact"));
        }
        match self.waiting() {
            Some(why) => parts.push(why),
            None if !self.all_listed.load(Relaxed) => parts.push("listing".to_owned()),
            None => parts.extend(self.eta(done, listed)),
        }
        parts.join(", ")
    }

    /// Points a second, lately.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for people"
    )]
    fn rate(&self, points: u64) -> u64 {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, before, rate) = *measured;
        let spent = at.elapsed();
        if rate > 0 && spent < WINDOW {
            return rate;
        }
        let now = (points.saturating_sub(before) as f64 / spent.as_secs_f64().max(0.001)) as u64;
        if spent >= WINDOW {
            *measured = (Instant::now(), points, now);
        }
        now
    }

    fn eta(&self, done: u64, listed: u64) -> Option<String> {
        let spent = i64::try_from(self.started.elapsed().as_millis()).ok()?;
        let left = i64::try_from(listed.checked_sub(done)?)
            .ok()
            .filter(|left| *left > 0)?;
        let done = i64::try_from(done).ok().filter(|done| *done > 0)?;
        Some(format!(
            "about {} left",
            duration(spent.saturating_mul(left) / done)
        ))
    }

    fn waiting(&self) -> Option<String> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Wait { why, until, .. } = waiting.as_ref()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            *waiting = None;
            return None;
        }
        Some(format!(
            "waiting {} s: {why}",
            left.as_millis().div_ceil(1000)
        ))
    }

    /// A whole line, for logs.
    fn line(&self) -> String {
        let (done, listed) = (self.done.load(Relaxed), self.listed.load(Relaxed));
        // A check does not tell of single runs.
        let runs = if done > 0 {
            format!("{}/{}", thousands(done), thousands(listed))
        } else {
            thousands(listed)
        };
        let message = self.message();
        let comma = if message.is_empty() { "" } else { ", " };
        format!("{runs} runs{comma}{message}")
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {bar:24.cyan/dim} {pos}/{len} runs  {wide_msg}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

#[cfg(test)]
mod tests;
