//! Plain connections that pull pages and throw them away: as fast as a server can be read.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use super::connection::Connection;

/// Asks for every target over some connections that are kept open, and returns the time and the
/// bytes that came.
pub(super) fn pull(
    address: &str,
    targets: &[String],
    connections: usize,
) -> Result<(Duration, u64)> {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let bytes = thread::scope(|scope| {
        let pullers: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| -> Result<u64> {
                    let mut connection = Connection::open(address)?;
                    let mut bytes = 0;
                    while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                        bytes += connection
                            .get(target)
                            .with_context(|| format!("pull {target}"))?;
                    }
                    Ok(bytes)
                })
            })
            .collect();
        pullers
            .into_iter()
            .map(|puller| puller.join().map_err(|_| anyhow!("a puller panicked"))?)
            .sum::<Result<u64>>()
    })?;
    Ok((start.elapsed(), bytes))
}
