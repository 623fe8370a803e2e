//! Imports from real MLflow servers and stores, and real W&B SDKs that log to our server,
//! and a real browser that shows our pages. They need Python and some minutes to install MLflow
//! and fill the stores, so they are left out of a plain `cargo test`; `cargo xtask interop` runs them.

mod browser;
mod compare;
mod import;
mod peers;
mod printed;
mod wandb;
