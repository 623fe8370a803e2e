use std::{
    io::{BufRead, Read, Write},
    net::TcpStream,
};

use anyhow::{Context, Result};

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET`, `POST`…
    pub method: String,
    /// The path.
    pub path: String,
    /// The fields of the query, decoded.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: serde_json::Value,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `200`…
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The media type.
    pub media: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// The length that is told, if it is not that of the body: the connection is closed then.
    pub told_length: Option<usize>,
}

impl Call {
    /// Reads the next call; `None` when the client is gone.
    pub(super) fn read(reader: &mut impl BufRead) -> Result<Option<Self>> {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut words = first.split_whitespace();
        let mut word = || words.next().context("half a request");
        let (method, target) = (word()?.to_owned(), word()?.to_owned());
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body)?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let fields = query.split('&').filter_map(|field| field.split_once('='));
        Ok(Some(Self {
            method,
            path: decoded(path),
            query: fields
                .map(|(name, value)| (decoded(name), decoded(value)))
                .collect(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }))
    }

    /// The first field of the query with a name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Undoes percent-encoding, and that of blanks in forms.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok());
        rest = after;
        bytes.push(
            match (first, code.map(|code| u8::from_str_radix(code, 16))) {
                (b'%', Some(Ok(byte))) => {
                    rest = after.get(2..).unwrap_or_default();
                    byte
                }
                (b'+', _) => b' ',
                _ => *first,
            },
        );
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Answer {
    /// A JSON document.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            media: "application/json",
            body: body.into(),
            told_length: None,
        }
    }

    /// Something else than a success, with a page of HTML.
    pub fn page(status: u16, text: &str) -> Self {
        let body = format!("<!doctype html>\n<html><title>{text}</title><h1>{text}</h1></html>");
        Self {
            status,
            media: "text/html",
            ..Self::json(body)
        }
    }

    /// An error in MLflow's form.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "error_code": code, "message": message });
        Self {
            status,
            ..Self::json(body.to_string())
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn write(&self, mut client: &TcpStream) -> Result<()> {
        let length = self.told_length.unwrap_or(self.body.len());
        let mut head = format!(
            "HTTP/1.1 {} -\r\ncontent-type: {}\r\ncontent-length: {length}\r\n",
            self.status, self.media
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        client.write_all(head.as_bytes())?;
        client.write_all(&self.body)?;
        anyhow::ensure!(length == self.body.len(), "as told, this answer is cut off");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_decoded() {
        let text =
            b"POST /a%20b?x=1%2F2&x=%C3%BC+y HTTP/1.1\r\nContent-Length: 8\r\n\r\n{\"a\": 1}";
        let call = Call::read(&mut text.as_slice()).unwrap().unwrap();
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/a b"));
        assert_eq!(call.query[1], ("x".to_owned(), "ü y".to_owned()));
        assert_eq!(call.field("x"), Some("1/2"));
        assert_eq!(call.body["a"], 1);
        assert!(Call::read(&mut b"".as_slice()).unwrap().is_none());
    }
}
