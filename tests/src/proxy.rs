//! A proxy in front of a server that notes every request that is made of it.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};

/// Forwards everything to one server. Dropping it ends the listening; open connections end with their clients.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    requests: Mutex<Vec<Request>>,
    closed: AtomicBool,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`…
    pub method: String,
    /// The path with its query.
    pub target: String,
}

impl Request {
    /// Whether it only reads: a GET or HEAD, or one of the searches that MLflow has as a POST.
    pub fn reads(&self) -> bool {
        let path = self.target.split('?').next().unwrap_or_default();
        match self.method.as_str() {
            "GET" | "HEAD" => true,
            "POST" => path.ends_with("/search"),
            _ => false,
        }
    }
}

impl Proxy {
    /// Listens on a free loopback port for a server at `HOST:PORT`.
    ///
    /// # Errors
    /// No port can be had.
    pub fn before(upstream: impl Into<String>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.into(),
            requests: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if state.closed.load(Ordering::Relaxed) {
                    break;
                }
                let state = Arc::clone(&state);
                thread::spawn(move || state.connection(&client));
            }
        });
        Ok(Self { address, shared })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since the last call.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(
            &mut *self
                .shared
                .requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is closed.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn connection(&self, client: &TcpStream) {
        let Ok(server) = TcpStream::connect(&self.upstream) else {
            return;
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = io::copy(&mut &server, &mut &*client);
                let _ = client.shutdown(Shutdown::Both);
            });
            let _ = self.requests(client, &server);
            let _ = server.shutdown(Shutdown::Write);
        });
    }

    /// Forwards requests one by one, until the client goes.
    fn requests(&self, client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
        let mut client = BufReader::new(client);
        loop {
            let mut head = Vec::new();
            let mut body = 0;
            loop {
                let start = head.len();
                if client.read_until(b'\n', &mut head)? == 0 {
                    return Ok(());
                }
                let line = String::from_utf8_lossy(&head[start..]).to_ascii_lowercase();
                if let Some(length) = line.strip_prefix("content-length:") {
                    body = length.trim().parse().map_err(io::Error::other)?;
                }
                if line.starts_with("transfer-encoding:") {
                    return Err(io::Error::other("a body of unknown length"));
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let line = String::from_utf8_lossy(&head);
            let mut words = line.split_whitespace().map(str::to_owned);
            let request = Request {
                method: words.next().unwrap_or_default(),
                target: words.next().unwrap_or_default(),
            };
            self.requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(request);
            server.write_all(&head)?;
            io::copy(&mut (&mut client).take(body), &mut server)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_and_notes_requests() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::before(server.local_addr().unwrap().to_string()).unwrap();
        let answer = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut got = vec![0; 47 + 2 + 19];
            stream.read_exact(&mut got).unwrap();
            stream.write_all(b"done").unwrap();
            String::from_utf8(got).unwrap()
        });
        let mut client = TcpStream::connect(&proxy.address).unwrap();
        client.write_all(b"POST /api/runs/search HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET /x HTTP/1.1\r\n\r\n").unwrap();
        let mut said = String::new();
        client.shutdown(Shutdown::Write).unwrap();
        client.read_to_string(&mut said).unwrap();
        assert_eq!(said, "done");
        assert!(answer.join().unwrap().starts_with("POST /api/runs/search"));
        let requests = proxy.take();
        assert_eq!(requests.len(), 2);
        assert!(requests.iter().all(Request::reads));
        assert!(
            !Request {
                method: "POST".into(),
                target: "/api/2.0/mlflow/runs/create".into()
            }
            .reads()
        );
        assert!(
            !Request {
                method: "DELETE".into(),
                target: "/x/search".into()
            }
            .reads()
        );
    }
}
