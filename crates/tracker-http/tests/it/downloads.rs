use futures::TryStreamExt as _;
use tracker_http::{Error, ErrorKind, HttpClient, Retry, RetryOptions};

use crate::support::{RawServer, answer, client, header, quick, recorder};

/// Bytes that differ everywhere.
fn contents(length: usize) -> Vec<u8> {
    (0..length as u32 / 4 + 1)
        .flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .take(length)
        .collect()
}

async fn download(client: &HttpClient, server: &RawServer) -> Result<Vec<u8>, Error> {
    let download = client.get(server.url.clone()).download().await?;
    let pieces: Vec<_> = download.into_stream().try_collect().await?;
    Ok(pieces.concat())
}

/// How a server of files behaves.
#[derive(Clone, Copy)]
struct Behaviour {
    ranges: bool,
    etag: Option<&'static str>,
    length: bool,
}

const GOOD: Behaviour = Behaviour {
    ranges: true,
    etag: Some("\"v1\""),
    length: true,
};

/// The answer for a file, cut off after `cut` bytes of its body.
fn file(contents: &[u8], head: &str, behaviour: Behaviour, cut: usize) -> Vec<u8> {
    let from = header(head, "range")
        .filter(|_| behaviour.ranges)
        .map_or(0, |range| {
            range
                .strip_prefix("bytes=")
                .unwrap()
                .strip_suffix('-')
                .unwrap()
                .parse()
                .unwrap()
        });
    let body = &contents[from..];
    let length = body.len().to_string();
    let range = format!(
        "bytes {from}-{}/{}",
        contents.len().max(1) - 1,
        contents.len()
    );
    let mut headers = Vec::new();
    if behaviour.length {
        headers.push(("content-length", length.as_str()));
    }
    if let Some(etag) = behaviour.etag {
        headers.push(("etag", etag));
    }
    let status = if from > 0 {
        headers.push(("content-range", range.as_str()));
        "206 Partial Content"
    } else {
        "200 OK"
    };
    answer(status, &headers, &body[..cut.min(body.len())])
}

#[tokio::test]
async fn a_whole_file_is_one_request() {
    let bytes = contents(300_000);
    let expected = bytes.clone();
    let server = RawServer::start(move |_, head| file(&bytes, head, GOOD, usize::MAX)).await;
    let download = client().get(server.url.clone()).download().await.unwrap();
    assert_eq!(download.content_length(), Some(300_000));
    assert_eq!(download.header(&tracker_http::header::ETAG), Some("\"v1\""));
    let pieces: Vec<_> = download.into_stream().try_collect().await.unwrap();
    assert_eq!(pieces.concat(), expected);
    assert_eq!(
        server.header("accept-encoding"),
        [Some("identity".to_owned())]
    );
}

#[tokio::test]
async fn a_cut_file_goes_on_where_it_was() {
    let bytes = contents(300_000);
    let expected = bytes.clone();
    let server = RawServer::start(move |number, head| {
        file(&bytes, head, GOOD, [100_000, 0, 50_000, 300_000][number])
    })
    .await;
    let (events, observer) = recorder();
    let client = HttpClient::new(quick().with_observer(observer)).unwrap();
    assert_eq!(download(&client, &server).await.unwrap(), expected);
    let ranges = [
        None,
        Some("bytes=100000-"),
        Some("bytes=100000-"),
        Some("bytes=150000-"),
    ];
    assert_eq!(
        server.header("range"),
        ranges.map(|range| range.map(str::to_owned))
    );
    assert_eq!(
        server.header("if-range")[1..],
        ["\"v1\"", "\"v1\"", "\"v1\""].map(|tag| Some(tag.to_owned()))
    );
    assert_eq!(
        events
            .lock()
            .unwrap()
            .iter()
            .filter(|event| event.starts_with("resuming"))
            .count(),
        3
    );
}

#[tokio::test]
async fn a_server_without_ranges_is_read_from_the_begin() {
    for etag in [Some("W/\"v1\""), None] {
        let bytes = contents(300_000);
        let expected = bytes.clone();
        let behaviour = Behaviour {
            ranges: false,
            etag,
            length: true,
        };
        let server = RawServer::start(move |number, head| {
            file(&bytes, head, behaviour, [100_000, 50_000, 300_000][number])
        })
        .await;
        assert_eq!(download(&client(), &server).await.unwrap(), expected);
        assert_eq!(server.header("if-range"), [None, None, None]);
    }
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_an_error() {
    for ranges in [true, false] {
        let bytes = contents(300_000);
        let server = RawServer::start(move |number, head| {
            let etag = Some(["\"v1\"", "\"v2\""][number]);
            file(
                &bytes,
                head,
                Behaviour {
                    ranges,
                    etag,
                    length: true,
                },
                [100_000, 300_000][number],
            )
        })
        .await;
        let error = download(&client(), &server).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Conflict, Retry::Backoff)
        );
        assert!(
            error
                .to_string()
                .contains("has changed while it was downloaded, at byte 100000"),
            "{error}"
        );
    }
    // Without a tag, the length may tell.
    let server = RawServer::start(move |number, head| {
        let bytes = contents([300_000, 300_001][number]);
        file(
            &bytes,
            head,
            Behaviour {
                ranges: true,
                etag: None,
                length: true,
            },
            100_000,
        )
    })
    .await;
    assert_eq!(
        download(&client(), &server).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
}

#[tokio::test]
async fn another_part_than_asked_for_is_an_error() {
    let bytes = contents(300_000);
    let server = RawServer::start(move |number, head| match number {
        0 => file(&bytes, head, GOOD, 100_000),
        _ => answer(
            "206 Partial Content",
            &[
                ("content-length", "10"),
                ("content-range", "bytes 5-14/300000"),
                ("etag", "\"v1\""),
            ],
            b"0123456789",
        ),
    })
    .await;
    let error = download(&client(), &server).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Corrupt, Retry::Never)
    );
}

#[tokio::test]
async fn a_server_that_always_cuts_is_given_up() {
    let bytes = contents(300_000);
    let server = RawServer::start(move |_, head| file(&bytes, head, GOOD, 1_000)).await;
    let retry = RetryOptions::default().with_max_tries(4);
    let retry = retry.with_delays(std::time::Duration::ZERO, std::time::Duration::ZERO);
    let client = HttpClient::new(quick().with_retry(retry)).unwrap();
    let error = download(&client, &server).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unavailable, Retry::Exhausted)
    );
    let message = error.to_string();
    assert!(
        message.contains(" after 4 tries in ") && message.ends_with("at byte 4000 of 300000"),
        "{message}"
    );
    assert_eq!(server.requests.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_long_file_may_be_cut_more_often_if_it_goes_on() {
    let bytes = contents(2_000_000);
    let expected = bytes.clone();
    let server = RawServer::start(move |_, head| file(&bytes, head, GOOD, 100_000)).await;
    assert_eq!(download(&client(), &server).await.unwrap(), expected);
    assert_eq!(server.requests.lock().unwrap().len(), 20);
}

#[tokio::test]
async fn empty_files_and_files_of_unknown_length() {
    let server = RawServer::start(|_, head| file(&[], head, GOOD, 0)).await;
    assert_eq!(download(&client(), &server).await.unwrap(), b"");
    let bytes = contents(200_000);
    let expected = bytes.clone();
    let chunked = move |number: usize, head: &str| {
        let from: usize = header(head, "range").map_or(0, |range| {
            range
                .strip_prefix("bytes=")
                .unwrap()
                .strip_suffix('-')
                .unwrap()
                .parse()
                .unwrap()
        });
        let mut body = Vec::new();
        for piece in bytes[from..].chunks(10_000) {
            body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            body.extend_from_slice(piece);
            body.extend_from_slice(b"\r\n");
        }
        // The last chunk, of no length, is missing at first.
        if number > 0 {
            body.extend_from_slice(b"0\r\n\r\n");
        }
        let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
        let status = if from > 0 {
            "206 Partial Content"
        } else {
            "200 OK"
        };
        answer(
            status,
            &[("transfer-encoding", "chunked"), ("content-range", &range)],
            &body,
        )
    };
    // Cut within the last piece.
    let whole = chunked.clone();
    let server = RawServer::start(move |number, head| {
        let mut answer = whole(number, head);
        if number == 0 {
            answer.truncate(answer.len() - 1_000);
        }
        answer
    })
    .await;
    assert_eq!(download(&client(), &server).await.unwrap(), expected);
    assert_eq!(server.requests.lock().unwrap().len(), 2);
    // Cut when all bytes have come, but not the word that they are all.
    let server = RawServer::start(move |number, head| match number {
        1 => answer(
            "416 Range Not Satisfiable",
            &[("content-range", "bytes */200000")],
            b"",
        ),
        _ => chunked(number, head),
    })
    .await;
    assert_eq!(download(&client(), &server).await.unwrap(), expected);
    assert_eq!(
        server.header("range"),
        [None, Some("bytes=200000-".to_owned()), None]
    );
}

#[tokio::test]
async fn a_stored_file_stays_compressed() {
    let zeros = include_bytes!("zeros.gz");
    let server = RawServer::start(|_, _| {
        let length = zeros.len().to_string();
        answer(
            "200 OK",
            &[("content-length", &length), ("content-encoding", "gzip")],
            zeros,
        )
    })
    .await;
    assert_eq!(download(&client(), &server).await.unwrap(), zeros);
}

#[tokio::test]
async fn a_missing_file_is_one_request() {
    let server =
        RawServer::start(|_, _| answer("404 Not Found", &[], b"{\"detail\": \"no such file\"}"))
            .await;
    let error = client()
        .get(server.url.clone())
        .download()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(server.requests.lock().unwrap().len(), 1);
    let error = client()
        .post(server.url.clone())
        .download()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
