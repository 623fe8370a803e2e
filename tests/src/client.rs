//! A client of HTTP that does nothing by itself: no retries, no waiting connections.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Who asks a server of ours.
#[derive(Debug, Clone)]
pub struct Client {
    /// `127.0.0.1:8080`.
    address: String,
    /// Base64 of `api:KEY`.
    authorization: String,
}

impl Client {
    /// For a server at `http://ADDRESS`, with a key.
    ///
    /// # Errors
    /// It is no such address.
    pub fn new(url: &str, key: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").context("not an http address")?;
        Ok(Self {
            address: address.trim_end_matches('/').to_owned(),
            authorization: STANDARD.encode(format!("api:{key}")),
        })
    }

    /// Where the server is: `127.0.0.1:8080`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What a head says after `Authorization: Basic`.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    /// Sends a request and reads the answer: its status and its body.
    ///
    /// # Errors
    /// The server is not there, or goes away.
    pub fn send(&self, method: &str, target: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let target = match target.strip_prefix("http://") {
            Some(rest) => rest
                .get(rest.find('/').unwrap_or(rest.len())..)
                .unwrap_or("/"),
            None => target,
        };
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            self.authorization,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .context("the answer was cut off")?;
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let body = answer[end + 4..].to_vec();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if length.is_some_and(|length: usize| length != body.len()) {
            bail!("the answer was cut off");
        }
        Ok((status, body))
    }

    /// Asks a GraphQL query and takes the data out of the answer.
    ///
    /// # Errors
    /// The server is not there, or answers with an error.
    pub fn query(&self, query: &str, variables: &Value) -> Result<Value> {
        let body = json!({"query": query, "variables": variables}).to_string();
        let (status, body) = self.send("POST", "/graphql", body.as_bytes())?;
        let mut answer: Value = serde_json::from_slice(&body)?;
        if status != 200 || answer.get("errors").is_some() {
            bail!("{status}: {answer}");
        }
        Ok(answer["data"].take())
    }
}
