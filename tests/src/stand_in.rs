//! A server that stands in for MLflow where the real one can't: it is as large as a test wants it,
//! as slow, and as faulty.
//!
//! It makes its answers up as they are asked for, so that nothing is kept however large it is.

mod answers;
mod http;

use std::{
    io::BufReader,
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

pub use self::http::{Answer, Call};
use crate::mlruns::Shape;

/// Decides what is answered to a call; `None` leaves it to the server.
pub type Fault = dyn Fn(&Call) -> Option<Answer> + Send + Sync;

/// A running server on loopback. Dropping it ends the listening.
#[derive(Debug)]
pub struct StandIn {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    shape: Shape,
    delay: Duration,
    fault: Box<Fault>,
    calls: AtomicU64,
    closed: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl StandIn {
    /// A server without faults.
    ///
    /// # Errors
    /// No port can be had.
    pub fn of(shape: Shape) -> Result<Self> {
        Self::with(shape, Duration::ZERO, |_| None)
    }

    /// A server that thinks for some time over every call, and gives other answers to some.
    ///
    /// # Errors
    /// No port can be had.
    pub fn with(
        shape: Shape,
        delay: Duration,
        fault: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared {
            shape,
            delay,
            fault: Box::new(fault),
            calls: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if state.closed.load(Ordering::Relaxed) {
                    break;
                }
                let state = Arc::clone(&state);
                thread::spawn(move || {
                    // A client may go whenever it likes.
                    let _ = state.serve(&client);
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many calls have come so far.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is closed.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::new(client);
        while let Some(call) = Call::read(&mut reader)? {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if !self.delay.is_zero() {
                thread::sleep(self.delay);
            }
            let answer = (self.fault)(&call).unwrap_or_else(|| answers::to(&call, self.shape));
            answer.write(client)?;
        }
        Ok(())
    }
}
