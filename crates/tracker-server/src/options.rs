use std::time::Duration;

/// How a server behaves. All figures have defaults that suit one person or a team.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The address that the world knows the server by, such as `https://track.example.org`; without
    /// it, the `Host` of each request. The URLs that clients are told to upload to begin with it.
    pub public_url: Option<url::Url>,
    /// The largest body of a request, decompressed, files aside, in bytes.
    pub max_body: usize,
    /// Bytes of bodies that are in memory at one time; further requests wait.
    pub body_budget: usize,
    /// Requests that are worked on at one time; further ones are answered with 429.
    pub max_requests: usize,
    /// How long a client may be silent within a request.
    pub idle_timeout: Duration,
    /// How long a running run may be silent before it counts as crashed. The SDK says something
    /// every 30 seconds.
    pub heartbeat_timeout: Duration,
    /// How long the URLs are valid that a client may upload to and download from without a key.
    pub url_lifetime: Duration,
    /// How long somebody who logged in on a page stays logged in.
    pub session_lifetime: Duration,
    /// How deep a GraphQL query may be.
    pub max_depth: usize,
    /// How many fields a GraphQL query may ask for.
    pub max_complexity: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            public_url: None,
            max_body: 64 << 20,
            body_budget: 160 << 20,
            max_requests: 512,
            idle_timeout: Duration::from_secs(60),
            heartbeat_timeout: Duration::from_secs(5 * 60),
            url_lifetime: Duration::from_secs(24 * 60 * 60),
            session_lifetime: Duration::from_secs(14 * 24 * 60 * 60),
            max_depth: 32,
            max_complexity: 4_000,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}
