//! MLflow as a source: tracking servers, file stores, SQLite databases and Databricks.
//!
//! Three ways lead to the same data: the REST interface of a tracking server, the files of an
//! `mlruns` folder ([`FileStoreSource`]), and the tables of an SQLite database ([`SqliteSource`]).
//! Each reads what MLflow keeps into the neutral records of `mapping`, which alone decides what
//! becomes of them: the same store gives the same runs by every way. [`open`] chooses the way by
//! the address.

mod artifact_place;
mod blocking;
pub mod databricks;
mod file_store;
mod local_entries;
mod local_files;
mod mapping;
mod open;
mod options;
pub mod rest;
mod span_file;
mod sqlite;

pub use databricks::DatabricksOptions;
pub use file_store::{FileStoreOptions, FileStoreSource};
pub use open::open;
pub use options::MlflowOptions;
pub use rest::{RestSource, ServerOptions};
pub use sqlite::SqliteSource;
