//! Stopping in order.

use std::{future::Future, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    failure::{Exit, Failure, Result},
    talk::Talk,
};

/// How long an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does the work. Ctrl-C (or a request to end) asks it to stop in order, and it is dropped if that
/// takes long; the second one ends the process at once. What is half done is finished by the next
/// import.
pub(crate) async fn work<T>(
    talk: &Talk,
    cancel: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T> {
    let mut signals = Signals::new().map_err(|e| Failure::io("listen for Ctrl-C", &e))?;
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return Ok(done),
        () = signals.next() => cancel.cancel(),
    }
    talk.note("stopping; Ctrl-C again stops at once");
    tokio::select! {
        done = &mut work => Ok(done),
        () = signals.next() => at_once(),
        () = tokio::time::sleep(PATIENCE) => Err(interrupted()),
    }
}

/// The work itself, until it is asked to stop: for what has nothing to put in order.
pub(crate) async fn or_stop<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => Err(interrupted()),
    }
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted")
        .with_hint("the same command goes on where it was")
}

#[expect(clippy::exit, reason = "the second Ctrl-C does not wait for anything")]
fn at_once() -> ! {
    std::process::exit(Exit::Interrupted as i32)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // An error means that there are no signals: then there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
