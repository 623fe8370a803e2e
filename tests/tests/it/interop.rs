//! Imports from real MLflow servers and stores, and real W&B SDKs that log to our server. They need Python and some minutes to install MLflow
//! and fill the stores, so they are left out of a plain `cargo test`; `cargo xtask interop` runs them.

mod compare;
mod import;
mod peers;
mod printed;
mod wandb;
