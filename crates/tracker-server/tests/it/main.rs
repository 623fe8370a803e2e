//! The server as its clients see it: requests go in, answers come out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod artifacts;
mod collections;
mod fuzz;
mod hostile;
mod logging;
mod pages;
mod requests;
mod session;
mod support;
mod sweeps;
mod windows;
