//! The transport against real sockets.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod answers;
mod downloads;
mod environment;
mod pace;
mod redirects;
mod retries;
mod secrets;
mod support;
mod tls;
