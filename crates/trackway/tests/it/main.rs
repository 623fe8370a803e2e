//! Whole invocations of `trackway`: what it prints, and how it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod documented;
mod export;
mod filter;
mod history;
mod import;
mod look;
mod runs;
mod shapes;
mod stop;
mod support;
mod wrong;
