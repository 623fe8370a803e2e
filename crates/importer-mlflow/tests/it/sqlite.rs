//! Databases of MLflow.

mod artifacts;
mod database;
mod history;
mod opening;
mod runs;
mod writers;
