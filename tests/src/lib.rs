//! Shared parts of the tests that cross crates: the real peers, the ground truth of their data, a
//! proxy that takes notes, and the built command line.
//!
//! The command that runs everything prepares the peers with the same code.

pub mod cli;
pub mod client;
pub mod digest;
pub mod mlruns;
pub mod peers;
pub mod proxy;
pub mod stand_in;
pub mod truth;
