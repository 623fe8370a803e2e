//! The W&B wire protocol over any tracker: the `wandb` SDK logs to it and reads from it, unmodified.
//!
//! A [`Server`] stands on a [`tracker_model::Tracker`], which keeps the runs, and on a
//! [`tracker_model::RecordStore`], which keeps accounts and other small things of the server's own.
//! It does not know what either is made of.

mod accounts;
mod app;
mod artifacts;
mod console;
mod error;
mod exact;
mod files;
mod fork;
mod graphql;
mod http;
mod ids;
mod live;
mod metrics;
mod names;
mod options;
mod pages;
mod server;
mod signed;
mod stream;
mod sweeps;
mod web;
mod windows;
mod wire;

pub use accounts::{Accounts, ApiKey, LOCAL, MIN_KEY_LENGTH, Role, Team, User};
pub use options::Options;
pub use server::Server;
