//! The suite of the contract: the tracker in memory passes it, broken ones do not.

mod faults;
mod faulty;
mod memory;
mod queries;
