use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tracker_http::{ErrorKind, HttpClient, Result, Retry, Url};
use wiremock::matchers::{any, header, header_exists, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{RawServer, answer, client, quick, url};

async fn json_of(answer: ResponseTemplate) -> Result<Value> {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(answer)
        .expect(1)
        .mount(&server)
        .await;
    client().get(url(&server, "/api")).json().await
}

#[tokio::test]
async fn html_where_json_is_expected_is_told() {
    let page = "\n<!DOCTYPE html><html><head><title>Sign in &amp; go</title></head></html>";
    for media_type in ["text/html", "application/json"] {
        let error = json_of(ResponseTemplate::new(200).set_body_raw(page, media_type))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Corrupt, Retry::Never)
        );
        let message = error.to_string();
        assert!(
            message
                .contains("the server answered HTML, not JSON: is this the address of the service"),
            "{message}"
        );
        assert!(
            message.ends_with("the page is titled \"Sign in & go\""),
            "{message}"
        );
    }
}

#[tokio::test]
async fn json_under_another_media_type_is_fine() {
    let answer = ResponseTemplate::new(200).set_body_raw("{\"a\": 1}", "text/html");
    assert_eq!(json_of(answer).await.unwrap(), json!({"a": 1}));
}

#[tokio::test]
async fn other_answers_than_json_are_told() {
    let error = json_of(ResponseTemplate::new(200).set_body_string("hello"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Corrupt, Retry::Never)
    );
    assert!(
        error
            .to_string()
            .contains("the answer is not JSON: expected value"),
        "{error}"
    );
    #[derive(Debug, Deserialize)]
    struct Run {
        _name: String,
    }
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
        .mount(&server)
        .await;
    let error = client()
        .get(url(&server, "/"))
        .json::<Run>()
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the JSON of the answer is not as expected: missing field"),
        "{error}"
    );
}

#[tokio::test]
async fn a_parser_of_the_callers_own() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("[NaN]"))
        .mount(&server)
        .await;
    let parse = |body: &[u8]| {
        serde_json::from_str::<Value>(&String::from_utf8_lossy(body).replace("NaN", "null"))
    };
    let value = client()
        .get(url(&server, "/"))
        .json_with(parse)
        .await
        .unwrap();
    assert_eq!(value, json!([null]));
}

#[tokio::test]
async fn a_huge_body_is_refused() {
    let client = HttpClient::new(quick().with_max_body_bytes(1000)).unwrap();
    // By its length, before it is read; and without one, as soon as it is too long.
    for length in [true, false] {
        let server = RawServer::start(move |_, _| {
            let headers: &[(&str, &str)] = if length {
                &[("content-length", "1000000")]
            } else {
                &[]
            };
            answer("200 OK", headers, &vec![b' '; 1_000_000])
        })
        .await;
        let error = client
            .get(server.url.clone())
            .json::<Value>()
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::TooLarge, Retry::Never)
        );
        assert!(
            error
                .to_string()
                .ends_with("the answer is larger than the 1000 bytes allowed for it"),
            "{error}"
        );
        let error = client
            .get(server.url.clone())
            .bytes_limited(999_999)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(
            client
                .get(server.url.clone())
                .bytes_limited(1_000_000)
                .await
                .unwrap()
                .len(),
            1_000_000
        );
    }
}

#[tokio::test]
async fn a_compressed_body_counts_by_what_it_becomes() {
    // A million zeros, compressed by gzip to a thousand bytes.
    let bomb = include_bytes!("zeros.gz");
    let server = RawServer::start(move |_, _| {
        let length = bomb.len().to_string();
        answer(
            "200 OK",
            &[("content-encoding", "gzip"), ("content-length", &length)],
            bomb,
        )
    })
    .await;
    let client = client();
    assert_eq!(
        client
            .get(server.url.clone())
            .bytes_limited(1_000_000)
            .await
            .unwrap()
            .len(),
        1_000_000
    );
    let error = client
        .get(server.url.clone())
        .bytes_limited(999_999)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_request_carries_what_it_was_given() {
    let server = MockServer::start().await;
    Mock::given(header(
        "user-agent",
        concat!("trackway/", env!("CARGO_PKG_VERSION")),
    ))
    .and(query_param("key", "a b&c=d/ä"))
    .and(query_param("key2", "2"))
    .and(header("x-mine", "1"))
    .and(header_exists("accept-encoding"))
    .respond_with(ResponseTemplate::new(200).set_body_string("fine"))
    .mount(&server)
    .await;
    let request = client()
        .get(url(&server, "/"))
        .query([("key", "a b&c=d/ä"), ("key2", "2")]);
    let request = request.header("x-mine".parse().unwrap(), "1".parse().unwrap());
    let mut stream = request.send().await.unwrap().into_stream();
    assert_eq!(stream.next().await.unwrap().unwrap(), "fine");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_range_is_asked_for() {
    let server =
        RawServer::start(|_, _| answer("206 Partial Content", &[("content-length", "2")], b"xy"))
            .await;
    let client = client();
    assert_eq!(
        client
            .get(server.url.clone())
            .range(5, Some(7))
            .text_limited(10)
            .await
            .unwrap(),
        "xy"
    );
    client
        .get(server.url.clone())
        .range(5, None)
        .send()
        .await
        .unwrap();
    let ranges = ["bytes=5-6", "bytes=5-"].map(|range| Some(range.to_owned()));
    assert_eq!(server.header("range"), ranges);
    let error = client
        .get(server.url.clone())
        .range(5, Some(5))
        .send()
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::InvalidInput, 0));
}

#[tokio::test]
async fn other_addresses_than_http_are_refused() {
    let error = client()
        .get(Url::parse("file:///etc/passwd").unwrap())
        .send()
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::InvalidInput, 0));
    assert!(
        error.to_string().contains("http or https is needed"),
        "{error}"
    );
}
