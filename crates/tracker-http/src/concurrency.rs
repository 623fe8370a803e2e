use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How many things may be done at once, adapted to what the other side can cope with: one more
/// after a round without trouble, half as many after trouble.
///
/// Clones share the state.
#[derive(Debug, Clone)]
pub struct Concurrency {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    semaphore: Arc<Semaphore>,
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many may run, with the fraction that has been earned towards one more.
    limit: f64,
    /// Permits that are out and end with their use, since the limit went down.
    owed: usize,
    reduced: Option<Instant>,
}

/// The right to do one thing; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the right ends when it is dropped"]
pub struct Permit {
    shared: Arc<Shared>,
    inner: Option<OwnedSemaphorePermit>,
    begun: Instant,
}

impl Concurrency {
    /// Begins with `max` at once, and never allows more; `max` is at least 1.
    pub fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        let state = Mutex::new(State {
            limit: max as f64,
            owed: 0,
            reduced: None,
        });
        Self {
            shared: Arc::new(Shared {
                semaphore: Arc::new(Semaphore::new(max)),
                max,
                state,
            }),
        }
    }

    /// Waits until one more thing may be done. Those who wait are served in order.
    ///
    /// # Cancellation
    /// May be dropped at any time.
    pub async fn acquire(&self) -> Permit {
        // The semaphore is never closed: then there would be nothing to wait for.
        let inner = Arc::clone(&self.shared.semaphore)
            .acquire_owned()
            .await
            .ok();
        Permit {
            shared: Arc::clone(&self.shared),
            inner,
            begun: Instant::now(),
        }
    }

    /// How many things may be done at once now.
    pub fn limit(&self) -> usize {
        self.shared.state().limit as usize
    }

    /// The most things that may ever be done at once.
    pub fn max(&self) -> usize {
        self.shared.max
    }
}

impl Permit {
    /// Tells that the thing went well.
    pub fn succeeded(&self) {
        let shared = &self.shared;
        let mut state = shared.state();
        let before = state.limit as usize;
        state.limit = (state.limit + 1.0 / state.limit).min(shared.max as f64);
        if state.limit as usize > before {
            match state.owed.checked_sub(1) {
                Some(owed) => state.owed = owed,
                None => shared.semaphore.add_permits(1),
            }
        }
    }

    /// Tells that the other side could not cope: it refused for the load, or did not answer in
    /// time. What was begun before the last reduction does not count twice.
    pub fn overloaded(&self) {
        let shared = &self.shared;
        let mut state = shared.state();
        if state.reduced.is_some_and(|reduced| self.begun < reduced) {
            return;
        }
        state.reduced = Some(Instant::now());
        let before = state.limit as usize;
        state.limit = (state.limit / 2.0).floor().max(1.0);
        let fewer = before - state.limit as usize;
        state.owed += fewer - shared.semaphore.forget_permits(fewer);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(owed) = state.owed.checked_sub(1) {
            state.owed = owed;
            if let Some(permit) = self.inner.take() {
                permit.forget();
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;

    async fn all(concurrency: &Concurrency) -> Vec<Permit> {
        let mut permits = Vec::new();
        while let Some(permit) = concurrency.acquire().now_or_never() {
            permits.push(permit);
        }
        permits
    }

    #[tokio::test(start_paused = true)]
    async fn halved_on_trouble_and_back_one_by_one() {
        let concurrency = Concurrency::new(8);
        let permits = all(&concurrency).await;
        assert_eq!(permits.len(), 8);
        tokio::time::advance(Duration::from_secs(1)).await;
        permits[0].overloaded();
        assert_eq!(concurrency.limit(), 4);
        // They were begun before: the same trouble.
        permits[1].overloaded();
        permits[2].overloaded();
        assert_eq!(concurrency.limit(), 4);
        drop(permits);
        let permits = all(&concurrency).await;
        assert_eq!(permits.len(), 4);
        for permit in &permits {
            permit.succeeded();
        }
        permits[0].succeeded();
        drop(permits);
        assert_eq!(all(&concurrency).await.len(), 5);
        for _ in 0..100 {
            concurrency.acquire().await.succeeded();
        }
        assert_eq!(all(&concurrency).await.len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn never_below_one() {
        let concurrency = Concurrency::new(5);
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            concurrency.acquire().await.overloaded();
        }
        assert_eq!(concurrency.limit(), 1);
        assert_eq!(all(&concurrency).await.len(), 1);
        assert_eq!(Concurrency::new(0).limit(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn raised_while_permits_are_still_owed() {
        let concurrency = Concurrency::new(4);
        let permits = all(&concurrency).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        permits[0].overloaded();
        for permit in permits.iter().chain(&permits) {
            permit.succeeded();
        }
        let limit = concurrency.limit();
        drop(permits);
        assert_eq!(all(&concurrency).await.len(), limit);
    }
}
