use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::{Error, RedactedUrl};

/// What happens on the way from a request to its answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A request goes out; each try and each redirect is one.
    Sent {
        /// The method.
        method: &'a Method,
        /// Where it goes.
        url: &'a RedactedUrl,
    },
    /// The server answered; the body is still to come.
    Answered {
        /// The method.
        method: &'a Method,
        /// Where it went.
        url: &'a RedactedUrl,
        /// The status.
        status: StatusCode,
        /// The time from the request to the head of the answer.
        elapsed: Duration,
    },
    /// A try failed, and another one follows after `wait`.
    Retrying {
        /// Why it failed, with the number of tries so far.
        error: &'a Error,
        /// The time until the next try; longer if the host is paused meanwhile.
        wait: Duration,
    },
    /// All requests to this host wait, since it asked for it.
    Paused {
        /// The host.
        host: &'a str,
        /// For how long, from now.
        wait: Duration,
    },
    /// A download was cut off and goes on where it was.
    Resuming {
        /// What was downloaded.
        url: &'a RedactedUrl,
        /// Bytes that have arrived.
        at: u64,
        /// Why it was cut off.
        error: &'a Error,
    },
}

/// Looks on: for progress, for logs, for tests. Every function `Fn(&Event)` is one. It is called
/// between reads and writes and must not block.
pub trait Observer: Send + Sync + 'static {
    /// Hears what happened.
    fn observe(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event<'_>) {
        self(event);
    }
}

impl fmt::Debug for dyn Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
