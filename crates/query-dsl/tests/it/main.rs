//! Tests of the crate from outside.

mod corpus;
mod data;
mod invalid;
mod sort;
