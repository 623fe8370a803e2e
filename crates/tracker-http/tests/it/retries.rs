use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tracker_http::{Error, ErrorKind, HttpClient, Result, Retry, RetryOptions, StatusCode, Url};
use wiremock::matchers::{body_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{RawServer, answer, client, quick, recorder, url};

/// A server that answers everything with this.
async fn always(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

async fn calls(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

async fn get(server: &MockServer) -> Result<Value> {
    client().get(url(server, "/path?run=8f")).json().await
}

#[tokio::test]
async fn passing_failures_are_tried_again_until_it_works() {
    for status in [408, 429, 500, 502, 503, 504] {
        let server = MockServer::start().await;
        let fails = Mock::given(method("GET")).respond_with(ResponseTemplate::new(status));
        fails.up_to_n_times(2).with_priority(1).mount(&server).await;
        let works = ResponseTemplate::new(200).set_body_json(json!({"ok": true}));
        Mock::given(method("GET"))
            .respond_with(works)
            .mount(&server)
            .await;
        let (events, observer) = recorder();
        let client = HttpClient::new(quick().with_observer(observer)).unwrap();
        let answer: Value = client.get(url(&server, "/")).json().await.unwrap();
        assert_eq!(answer, json!({"ok": true}), "{status}");
        assert_eq!(calls(&server).await, 3, "{status}");
        let events = events.lock().unwrap();
        assert_eq!(
            events.iter().filter(|event| *event == "sent GET").count(),
            3
        );
        assert!(
            events.contains(&"retrying after 2 tries".to_owned()),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn a_request_may_ask_for_fewer_tries() {
    let server = always(ResponseTemplate::new(503)).await;
    let request = client().get(url(&server, "/")).max_tries(2);
    let error = request.json::<Value>().await.unwrap_err();
    assert_eq!((calls(&server).await, error.tries()), (2, 2));
    assert_eq!(error.retry(), Retry::Exhausted);
}

#[tokio::test]
async fn other_failures_are_tried_once() {
    let kinds = [
        (400, ErrorKind::InvalidInput),
        (401, ErrorKind::Unauthenticated),
        (403, ErrorKind::PermissionDenied),
        (404, ErrorKind::NotFound),
        (405, ErrorKind::Unsupported),
        (409, ErrorKind::Conflict),
        (410, ErrorKind::NotFound),
        (422, ErrorKind::InvalidInput),
        (501, ErrorKind::Unsupported),
        (505, ErrorKind::Unexpected),
    ];
    for (status, kind) in kinds {
        let body = json!({"error_code": "SOME_CODE", "message": "it is\nso"});
        let server = always(ResponseTemplate::new(status).set_body_json(body)).await;
        let error = get(&server).await.unwrap_err();
        assert_eq!(calls(&server).await, 1, "{status}");
        assert_eq!(
            (error.kind(), error.retry()),
            (kind, Retry::Never),
            "{status}"
        );
        assert_eq!(error.code(), Some("SOME_CODE"));
        let expected = format!(
            "GET {}/path?run=8f: server answered {status}: it is so",
            server.uri()
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn gives_up_after_the_tries_allowed_and_says_so() {
    let server =
        always(ResponseTemplate::new(503).set_body_string("the database is locked\nmore")).await;
    let error = get(&server).await.unwrap_err();
    assert_eq!(calls(&server).await, 10);
    assert_eq!(
        (error.kind(), error.retry(), error.tries()),
        (ErrorKind::Unavailable, Retry::Exhausted, 10)
    );
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    let message = error.to_string();
    let begin = format!(
        "GET {}/path?run=8f: server answered 503 after 10 tries in ",
        server.uri()
    );
    assert!(
        message.starts_with(&begin) && message.ends_with(" s: the database is locked"),
        "{message}"
    );
}

#[tokio::test]
async fn gives_up_after_the_time_allowed() {
    let server = always(ResponseTemplate::new(500)).await;
    let delays = (Duration::from_millis(20), Duration::from_millis(20));
    let retry = RetryOptions::default()
        .with_delays(delays.0, delays.1)
        .with_max_elapsed(Duration::from_millis(70));
    let client = HttpClient::new(quick().with_retry(retry)).unwrap();
    let error = client.get(url(&server, "/")).send().await.unwrap_err();
    assert_eq!(error.retry(), Retry::Exhausted);
    assert!(
        (2..=4).contains(&calls(&server).await),
        "{}",
        calls(&server).await
    );
}

#[tokio::test]
async fn a_lasting_503_is_tried_once() {
    let body = "<!doctype html><title>503</title><p>Endpoint disabled due to --artifacts-only</p>";
    let server =
        always(ResponseTemplate::new(503).set_body_raw(body, "text/html; charset=utf-8")).await;
    let error = get(&server).await.unwrap_err();
    assert_eq!(calls(&server).await, 1);
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unsupported, Retry::Never)
    );
}

#[tokio::test]
async fn a_post_is_tried_again_only_if_it_may_be() {
    let server = MockServer::start().await;
    Mock::given(path("/search"))
        .and(body_json(json!({"max": 5})))
        .respond_with(ResponseTemplate::new(500))
        .mount(&server)
        .await;
    let post = || {
        client()
            .post(url(&server, "/search"))
            .json_body(&json!({"max": 5}))
    };
    let error = post().send().await.unwrap_err();
    assert_eq!((error.retry(), calls(&server).await), (Retry::Never, 1));
    let error = post().idempotent().send().await.unwrap_err();
    assert_eq!(
        (error.retry(), calls(&server).await),
        (Retry::Exhausted, 11)
    );
    // A 429 says that nothing was done.
    let server = always(ResponseTemplate::new(429)).await;
    let error = client()
        .post(url(&server, "/create"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), calls(&server).await),
        (ErrorKind::RateLimited, 10)
    );
}

#[tokio::test]
async fn obeys_retry_after() {
    let server = MockServer::start().await;
    let slow_down = ResponseTemplate::new(429).insert_header("retry-after", "0.15");
    Mock::given(method("GET"))
        .respond_with(slow_down)
        .up_to_n_times(1)
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let begin = Instant::now();
    client().get(url(&server, "/")).send().await.unwrap();
    assert!(
        begin.elapsed() >= Duration::from_millis(150),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(calls(&server).await, 2);
}

#[tokio::test]
async fn a_retry_after_of_nothing_is_not_taken_at_its_word() {
    let server = always(ResponseTemplate::new(503).insert_header("retry-after", "0")).await;
    let delays = (Duration::from_millis(50), Duration::from_millis(50));
    let retry = RetryOptions::default()
        .with_delays(delays.0, delays.1)
        .with_max_tries(3);
    let client = HttpClient::new(quick().with_retry(retry)).unwrap();
    let begin = Instant::now();
    let error = client.get(url(&server, "/")).send().await.unwrap_err();
    assert_eq!((error.retry(), calls(&server).await), (Retry::Exhausted, 3));
    assert!(
        begin.elapsed() >= Duration::from_millis(100),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn leaves_a_long_retry_after_to_the_caller() {
    let server = always(
        ResponseTemplate::new(429)
            .insert_header("retry-after", "3600")
            .set_body_string("too fast"),
    )
    .await;
    let error = get(&server).await.unwrap_err();
    assert_eq!(calls(&server).await, 1);
    assert_eq!(
        (error.kind(), error.retry()),
        (
            ErrorKind::RateLimited,
            Retry::After(Duration::from_secs(3600))
        )
    );
    assert!(
        error
            .to_string()
            .ends_with("server answered 429: too fast (it asks to wait 3600 s)"),
        "{error}"
    );
}

/// An address where nobody listens.
async fn nowhere() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap()
}

#[tokio::test]
async fn a_host_that_never_answered_is_given_up_soon() {
    let url = nowhere().await;
    let error = client().post(url.clone()).send().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry(), error.tries()),
        (ErrorKind::Unavailable, Retry::Exhausted, 3)
    );
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("POST {url}: no connection to 127.0.0.1:")),
        "{message}"
    );
    assert!(
        message.contains(" after 3 tries in ") && message.contains("refused"),
        "{message}"
    );
}

#[tokio::test]
async fn a_host_without_a_name_server_entry_is_named() {
    let url = Url::parse("http://no-such-host.invalid/").unwrap();
    let error = client().get(url).send().await.unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::Unavailable, 3));
    assert!(
        error.to_string().contains("no-such-host.invalid"),
        "{error}"
    );
}

#[tokio::test]
async fn silence_is_a_timeout_that_is_tried_again() {
    let server = always(ResponseTemplate::new(200).set_delay(Duration::from_secs(60))).await;
    let options = quick().with_timeout(Duration::from_millis(50));
    let options = options.with_retry(
        RetryOptions::default()
            .with_max_tries(2)
            .with_delays(Duration::ZERO, Duration::ZERO),
    );
    let client = HttpClient::new(options).unwrap();
    let error = client.get(url(&server, "/")).send().await.unwrap_err();
    assert_eq!(calls(&server).await, 2);
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unavailable, Retry::Exhausted)
    );
    assert!(
        error
            .to_string()
            .contains("no answer within 0.05 s after 2 tries"),
        "{error}"
    );
    // Twice halved.
    assert_eq!(client.concurrency().limit(), 2);
    let error = client.post(url(&server, "/")).send().await.unwrap_err();
    assert_eq!((calls(&server).await, error.retry()), (3, Retry::Never));
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let server = RawServer::start(|number, _| match number {
        0 => Vec::new(),
        1 => b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(),
        2 => answer("200 OK", &[("content-length", "100")], b"{\"ok\""),
        _ => answer("200 OK", &[("content-length", "11")], b"{\"ok\":true}"),
    })
    .await;
    let value: Value = client().get(server.url.clone()).json().await.unwrap();
    assert_eq!(value, json!({"ok": true}));
    assert_eq!(server.requests.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn cut_json_is_asked_for_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = RawServer::start(move |number, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        let body: &[u8] = if number == 0 {
            b"{\"runs\": [1, 2"
        } else {
            b"{\"runs\": [1, 2]}"
        };
        answer(
            "200 OK",
            &[("content-length", &body.len().to_string())],
            body,
        )
    })
    .await;
    let value: Value = client().get(server.url.clone()).json().await.unwrap();
    assert_eq!(value, json!({"runs": [1, 2]}));
    assert_eq!(calls.load(Ordering::Relaxed), 2);

    let server = always(ResponseTemplate::new(200).set_body_string("{\"runs\": [1, 2")).await;
    let error: Error = get(&server).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry(), error.tries()),
        (ErrorKind::Corrupt, Retry::Exhausted, 3)
    );
    assert!(
        error
            .to_string()
            .contains("the answer is cut off: 14 bytes of JSON without an end"),
        "{error}"
    );
}
