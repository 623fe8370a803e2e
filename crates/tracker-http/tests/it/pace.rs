use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tracker_http::HttpClient;
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

use crate::support::{quick, recorder, url};

/// Answers well and notes when.
struct Clock(Arc<Mutex<Vec<Instant>>>);

impl Respond for Clock {
    fn respond(&self, _: &wiremock::Request) -> ResponseTemplate {
        self.0.lock().unwrap().push(Instant::now());
        ResponseTemplate::new(200)
    }
}

#[tokio::test]
async fn one_that_is_told_to_wait_makes_all_wait() {
    let server = MockServer::start().await;
    let times = Arc::new(Mutex::new(Vec::new()));
    let slow_down = ResponseTemplate::new(429).insert_header("retry-after", "0.2");
    Mock::given(path("/first"))
        .respond_with(slow_down)
        .up_to_n_times(1)
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(Clock(Arc::clone(&times)))
        .mount(&server)
        .await;
    let (events, observer) = recorder();
    let client = HttpClient::new(quick().with_observer(observer)).unwrap();
    let begin = Instant::now();
    let first = tokio::spawn(client.get(url(&server, "/first")).send());
    while !events
        .lock()
        .unwrap()
        .iter()
        .any(|event| event.starts_with("retrying"))
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let others = join_all((0..5).map(|_| client.get(url(&server, "/other")).send())).await;
    assert!(others.iter().all(Result::is_ok));
    first.await.unwrap().unwrap();
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 6);
    assert!(
        times
            .iter()
            .all(|time| *time - begin >= Duration::from_millis(200)),
        "{:?}",
        times[0] - begin
    );
    assert!(events.lock().unwrap().contains(&"paused".to_owned()));
    // One more request at once is earned back by each success.
    assert!(
        (4..8).contains(&client.concurrency().limit()),
        "{}",
        client.concurrency().limit()
    );
}

#[tokio::test]
async fn an_empty_quota_pauses_before_the_server_refuses() {
    let server = MockServer::start().await;
    let last = ResponseTemplate::new(200)
        .insert_header("ratelimit-remaining", "0")
        .insert_header("ratelimit-reset", "0.2");
    Mock::given(any())
        .respond_with(last)
        .up_to_n_times(1)
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let client = HttpClient::new(quick()).unwrap();
    let begin = Instant::now();
    client.get(url(&server, "/")).send().await.unwrap();
    assert!(begin.elapsed() < Duration::from_millis(200));
    client.get(url(&server, "/")).send().await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn no_more_requests_at_once_than_allowed() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_millis(30));
    Mock::given(any()).respond_with(slow).mount(&server).await;
    let (events, observer) = recorder();
    let client = HttpClient::new(quick().with_max_in_flight(3).with_observer(observer)).unwrap();
    let requests = (0..12).map(|_| client.get(url(&server, "/")).bytes_limited(10));
    assert!(join_all(requests).await.iter().all(Result::is_ok));
    let (mut now, mut most) = (0, 0);
    for event in events.lock().unwrap().iter() {
        now += if event.starts_with("sent") { 1 } else { -1 };
        most = most.max(now);
    }
    assert_eq!((now, most), (0, 3));
}
