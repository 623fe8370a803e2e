//! One HTTP transport for everything that talks to a tracker.
//!
//! An [`HttpClient`] belongs to one server. It keeps connections alive, carries the credentials
//! (to that server alone), tries again what may be tried again, slows down when the server asks
//! for it, and puts a bound on the memory that an answer may take. Nothing here knows the
//! endpoints of any service.
//!
//! ```no_run
//! use tracker_http::{Credentials, HttpClient, HttpOptions, Url};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Url::parse("https://tracker.example.org/")?;
//! let options = HttpOptions::default()
//!     .with_server(server.clone())
//!     .with_credentials(Credentials::bearer("the token"));
//! let client = HttpClient::new(options)?;
//!
//! #[derive(serde::Deserialize)]
//! struct Run {
//!     name: String,
//! }
//! let run: Run = client.get(server.join("api/run")?).query([("id", "8f3a")]).json().await?;
//! # Ok(())
//! # }
//! ```

mod client;
mod concurrency;
mod credentials;
mod download;
mod error;
mod exchange;
pub mod ini;
pub mod netrc;
mod observer;
mod options;
mod pacer;
mod redact;
mod request;
mod response;
mod retry;
mod service_message;
mod tls;

pub use bytes::Bytes;
pub use futures::stream::BoxStream;
pub use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
pub use reqwest::{Method, StatusCode};
pub use secrecy::{ExposeSecret, SecretString};
pub use url::Url;

pub use client::HttpClient;
pub use concurrency::{Concurrency, Permit};
pub use credentials::Credentials;
pub use download::Download;
pub use error::{Error, ErrorKind, Result, Retry};
pub use observer::{Event, Observer};
pub use options::{HttpOptions, RetryOptions, TlsOptions};
pub use redact::RedactedUrl;
pub use request::Request;
pub use response::Response;
