//! What the sources give, from stores made by hand and by MLflow.

#![allow(clippy::unwrap_used, clippy::panic)]

mod file_store;
mod golden;
mod read;
mod rest;
mod sqlite;
mod store;
