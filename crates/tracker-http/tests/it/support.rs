use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracker_http::{Event, HttpClient, HttpOptions, RetryOptions, Url};
use wiremock::MockServer;

/// Options with waits of a few milliseconds.
pub fn quick() -> HttpOptions {
    let delays = (Duration::from_millis(1), Duration::from_millis(4));
    HttpOptions::default().with_retry(RetryOptions::default().with_delays(delays.0, delays.1))
}

pub fn client() -> HttpClient {
    HttpClient::new(quick()).unwrap()
}

pub fn url(server: &MockServer, path: &str) -> Url {
    Url::parse(&server.uri()).unwrap().join(path).unwrap()
}

/// A server of this test alone: it answers each connection with bytes and closes it.
pub struct RawServer {
    pub url: Url,
    pub requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl RawServer {
    /// Starts a server whose answer to request `n`, with its head, is `answer(n, head)`.
    pub async fn start(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/file", listener.local_addr().unwrap())).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                serve(socket, &seen, &answer).await;
            }
        });
        Self {
            url,
            requests,
            task,
        }
    }

    /// The values of a header in the requests so far, in order.
    pub fn header(&self, name: &str) -> Vec<Option<String>> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|head| header(head, name))
            .collect()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<String>>,
    answer: &impl Fn(usize, &str) -> Vec<u8>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(head.clone());
        seen.len() - 1
    };
    let _ = socket.write_all(&answer(number, &head)).await;
    let _ = socket.shutdown().await;
}

/// A header in the head of a request.
pub fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
}

/// An answer with its status line, headers and body.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    let mut answer = head.into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// An observer that writes down what happens, in short.
pub fn recorder() -> (Arc<Mutex<Vec<String>>>, Arc<dyn tracker_http::Observer>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&events);
    let observer = move |event: &Event<'_>| {
        let line = match event {
            Event::Sent { method, .. } => format!("sent {method}"),
            Event::Answered { status, .. } => format!("answered {}", status.as_u16()),
            Event::Retrying { error, .. } => format!("retrying after {} tries", error.tries()),
            Event::Paused { .. } => "paused".to_owned(),
            Event::Resuming { at, .. } => format!("resuming at {at}"),
            other => format!("{other:?}"),
        };
        kept.lock().unwrap().push(line);
    };
    (events, Arc::new(observer))
}
