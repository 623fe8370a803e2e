//! The one loop that tries a request again.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use crate::exchange::{authority, exchange};
use crate::pacer::HostPace;
use crate::{Error, ErrorKind, Event, Request, Response, Result, Retry, RetryOptions};

/// An answer that is cut off in itself, and not by the connection, is asked for this often.
const MAX_CORRUPT_TRIES: u32 = 3;

/// Tries a request until `finish` succeeds with its answer, or trying again does not help.
pub(crate) async fn run<T, F, Fut>(request: &Request, finish: F) -> Result<T>
where
    F: Fn(Response) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let client = &request.client;
    let options = &client.options().retry;
    let host = authority(&request.url);
    let pace = client.pacer().host(&host);
    let begin = Instant::now();
    let mut delays = delays(options);
    // Time that counts against the limit: the tries, and the waits of our own.
    let mut spent = Duration::ZERO;
    let mut tries = 0;
    loop {
        let permit = client.concurrency().acquire().await;
        wait_for(request, &host, &pace).await;
        tries += 1;
        let tried = Instant::now();
        let error = match exchange(request).await {
            Ok(response) => match finish(response).await {
                Ok(value) => {
                    permit.succeeded();
                    return Ok(value);
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        spent += tried.elapsed();
        if error.is_overload() {
            permit.overloaded();
        }
        drop(permit);
        let error = error.with_tries(tries, begin.elapsed());
        let allowed = match (error.kind(), error.status()) {
            (ErrorKind::Corrupt, _) => options.max_tries.min(MAX_CORRUPT_TRIES),
            (ErrorKind::Unavailable, None) if !pace.has_answered() => {
                options.max_tries.min(options.max_first_tries)
            }
            _ => options.max_tries,
        };
        let max_tries = allowed.min(request.max_tries);
        let (wait, is_asked) = match error.retry() {
            Retry::Never | Retry::Exhausted => return Err(error),
            // What the server asks for is left to the caller if it is too long for a request.
            Retry::After(wait) if wait > options.max_retry_after => {
                return Err(asks_too_much(error, wait));
            }
            Retry::After(wait) if !wait.is_zero() => (wait, true),
            Retry::After(_) | Retry::Backoff => (delays.next().unwrap_or(options.max_delay), false),
        };
        let is_too_long = !is_asked && spent + wait > options.max_elapsed;
        if tries >= max_tries || is_too_long || spent > options.max_elapsed {
            return Err(error.with_retry(Retry::Exhausted));
        }
        client.observe(&Event::Retrying {
            error: &error,
            wait,
        });
        if error.is_overload() && (is_asked || error.kind() == ErrorKind::RateLimited) {
            // It holds for everybody who calls this host. A 503 that asks for nothing may be the
            // fault of one address: fewer requests at once are enough then.
            pace.pause_until(Instant::now() + wait);
        } else {
            sleep(wait).await;
        }
        if !is_asked {
            spent += wait;
        }
    }
}

/// The waits between the tries; each is random, up to twice its length.
pub(crate) fn delays(options: &RetryOptions) -> impl Iterator<Item = Duration> + Send + use<> {
    ExponentialBuilder::default()
        .with_min_delay(options.min_delay)
        .with_max_delay(options.max_delay)
        .without_max_times()
        .with_jitter()
        .build()
}

async fn wait_for(request: &Request, host: &str, pace: &HostPace) {
    loop {
        let wait = pace.wait();
        if wait.is_zero() {
            return;
        }
        request.client.observe(&Event::Paused { host, wait });
        sleep(wait).await;
    }
}

fn asks_too_much(error: Error, wait: Duration) -> Error {
    let asked = format!("it asks to wait {} s", wait.as_secs());
    let detail = match error.detail() {
        Some(detail) => format!("{detail} ({asked})"),
        None => asked,
    };
    error.with_detail(detail)
}
