//! A plain connection of HTTP that is kept open: as little work as can be on this side.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use anyhow::{Context, Result, ensure};

/// A connection to a server.
pub(super) struct Connection {
    address: String,
    /// Lines that go into the head of every request.
    headers: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to `127.0.0.1:8080`.
    pub(super) fn open(address: &str) -> Result<Self> {
        Self::with_headers(address, String::new())
    }

    /// The same; these lines, each with its end, go into the head of every request.
    pub(super) fn with_headers(address: &str, headers: String) -> Result<Self> {
        Ok(Self {
            address: address.to_owned(),
            headers,
            stream: connect(address)?,
        })
    }

    /// Gets a page and throws it away; returns its length.
    pub(super) fn get(&mut self, target: &str) -> Result<u64> {
        self.send("GET", target, None)?;
        self.answer(&mut io::sink())
    }

    /// Posts a body, and returns the answer.
    pub(super) fn post(&mut self, target: &str, body: &[u8]) -> Result<Vec<u8>> {
        self.send("POST", target, Some(body))?;
        let mut answer = Vec::new();
        self.answer(&mut answer)?;
        Ok(answer)
    }

    fn send(&mut self, method: &str, target: &str, body: Option<&[u8]>) -> Result<()> {
        let (address, headers) = (&self.address, &self.headers);
        let length = body.map_or_else(String::new, |body| {
            format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            )
        });
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n{headers}{length}\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.unwrap_or_default())?;
        Ok(())
    }

    /// Reads an answer that is a success; returns its length.
    fn answer(&mut self, to: &mut impl Write) -> Result<u64> {
        let status = self.line()?;
        ensure!(
            status.split_whitespace().nth(1) == Some("200"),
            "the server says {status}"
        );
        let (mut length, mut closes) = (None, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line
                .split_once(':')
                .map(|(name, value)| (name, value.trim()))
            {
                None => break,
                Some(("content-length", value)) => length = Some(value.parse()?),
                Some(("connection", "close")) => closes = true,
                Some(_) => {}
            }
        }
        let bytes = match length {
            Some(length) => self.copy(length, to)?,
            None => self.copy_chunks(to)?,
        };
        if closes {
            self.stream = connect(&self.address)?;
        }
        Ok(bytes)
    }

    fn copy_chunks(&mut self, to: &mut impl Write) -> Result<u64> {
        let mut bytes = 0;
        loop {
            let size = u64::from_str_radix(&self.line()?, 16).context("the size of a chunk")?;
            bytes += self.copy(size, to)?;
            self.line()?;
            if size == 0 {
                return Ok(bytes);
            }
        }
    }

    fn copy(&mut self, length: u64, to: &mut impl Write) -> Result<u64> {
        let copied = io::copy(&mut (&mut self.stream).take(length), to)?;
        ensure!(copied == length, "{copied} bytes of {length} came");
        Ok(copied)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the server hung up");
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

fn connect(address: &str) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address).with_context(|| format!("reach {address}"))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::with_capacity(64 << 10, stream))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn lengths_and_chunks_are_read_to_their_end() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let answers = thread::spawn(move || {
            let (stream, _) = server.accept().unwrap();
            let mut lines = BufReader::new(&stream).lines();
            for answer in [
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            ] {
                while !lines.next().unwrap().unwrap().is_empty() {}
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut connection = Connection::open(&address).unwrap();
        assert_eq!(connection.get("/a").unwrap(), 5);
        assert_eq!(connection.post("/b", b"").unwrap(), b"abc0123456789");
        assert_eq!(connection.get("/c").unwrap(), 0);
        answers.join().unwrap();
    }
}
