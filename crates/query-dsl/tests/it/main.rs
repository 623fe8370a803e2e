//! Tests of the crate from outside.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod corpus;
mod data;
mod database;
mod documents;
mod fuzz;
mod invalid;
mod lazy;
mod limits;
mod optional;
mod properties;
mod pushed;
mod random;
mod reference;
mod short;
mod sort;
mod vocabulary;
