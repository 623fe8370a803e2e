//! Plain connections that pull pages and throw them away: as fast as a server can be read.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

/// Asks for every target over some connections that are kept open, and returns the time and the
/// bytes that came.
pub(super) fn pull(
    address: &str,
    targets: &[String],
    connections: usize,
) -> Result<(Duration, u64)> {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let bytes = thread::scope(|scope| {
        let pullers: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| -> Result<u64> {
                    let mut connection = Connection::open(address)?;
                    let mut bytes = 0;
                    while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                        bytes += connection
                            .get(target)
                            .with_context(|| format!("pull {target}"))?;
                    }
                    Ok(bytes)
                })
            })
            .collect();
        pullers
            .into_iter()
            .map(|puller| puller.join().map_err(|_| anyhow!("a puller panicked"))?)
            .sum::<Result<u64>>()
    })?;
    Ok((start.elapsed(), bytes))
}

struct Connection<'a> {
    address: &'a str,
    stream: BufReader<TcpStream>,
}

impl<'a> Connection<'a> {
    fn open(address: &'a str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("reach {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address,
            stream: BufReader::with_capacity(64 << 10, stream),
        })
    }

    /// Gets a page and throws it away; returns its length.
    fn get(&mut self, target: &str) -> Result<u64> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.stream.get_mut().write_all(request.as_bytes())?;
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
            Some(length) => self.skip(length)?,
            None => self.skip_chunks()?,
        };
        if closes {
            *self = Self::open(self.address)?;
        }
        Ok(bytes)
    }

    fn skip_chunks(&mut self) -> Result<u64> {
        let mut bytes = 0;
        loop {
            let size = u64::from_str_radix(&self.line()?, 16).context("the size of a chunk")?;
            bytes += self.skip(size)?;
            self.line()?;
            if size == 0 {
                return Ok(bytes);
            }
        }
    }

    fn skip(&mut self, length: u64) -> Result<u64> {
        let skipped = io::copy(&mut (&mut self.stream).take(length), &mut io::sink())?;
        ensure!(skipped == length, "{skipped} bytes of {length} came");
        Ok(skipped)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the server hung up");
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

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
        let targets = ["/a", "/b", "/c"].map(str::to_owned);
        let (_, bytes) = pull(&address, &targets, 1).unwrap();
        assert_eq!(bytes, 18);
        answers.join().unwrap();
    }
}
