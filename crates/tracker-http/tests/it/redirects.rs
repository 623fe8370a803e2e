use tracker_http::{Credentials, ErrorKind, HttpClient, Url};
use wiremock::matchers::{any, body_string, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{client, quick, url};

async fn redirecting(status: u16, from: &str, to: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).insert_header("location", to);
    Mock::given(path(from))
        .respond_with(answer)
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("here"))
        .with_priority(9)
        .mount(&server)
        .await;
    server
}

fn signed_in(server: &MockServer) -> HttpClient {
    let options = quick()
        .with_server(Url::parse(&server.uri()).unwrap())
        .with_credentials(Credentials::bearer("canary"))
        .with_header("x-workspace".parse().unwrap(), "mine".parse().unwrap());
    HttpClient::new(options).unwrap()
}

/// Whether each request to the server had the token, the header of the client, and its own.
async fn carried(server: &MockServer) -> Vec<[bool; 3]> {
    let names = ["authorization", "x-workspace", "x-own"];
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .map(|request| names.map(|name| request.headers.contains_key(name)))
        .collect()
}

#[tokio::test]
async fn credentials_stay_on_the_way_within_the_server() {
    for status in [301, 302, 303, 307, 308] {
        let server = redirecting(status, "/old", "new?x=1").await;
        let request = signed_in(&server)
            .get(url(&server, "/old"))
            .header("x-own".parse().unwrap(), "1".parse().unwrap());
        let response = request.send().await.unwrap();
        assert_eq!(
            response.url().to_string(),
            format!("{}/new?x=1", server.uri())
        );
        assert_eq!(carried(&server).await, [[true; 3], [true; 3]], "{status}");
    }
}

#[tokio::test]
async fn credentials_do_not_leave_the_server() {
    let other = redirecting(302, "/none", "/").await;
    let server = redirecting(302, "/old", &format!("{}/new", other.uri())).await;
    let request = signed_in(&server)
        .get(url(&server, "/old"))
        .header("x-own".parse().unwrap(), "1".parse().unwrap());
    assert_eq!(request.text_limited(100).await.unwrap(), "here");
    assert_eq!(carried(&server).await, [[true; 3]]);
    assert_eq!(carried(&other).await, [[false; 3]]);
    // And they do not come back on a way that another server has chosen.
    let back = redirecting(302, "/back", &format!("{}/final", server.uri())).await;
    let away = redirecting(302, "/away", &format!("{}/back", back.uri())).await;
    let client = signed_in(&away);
    client.get(url(&away, "/away")).send().await.unwrap();
    assert_eq!(carried(&server).await.last(), Some(&[false; 3]));
}

#[tokio::test]
async fn credentials_are_for_their_server_alone() {
    let server = redirecting(302, "/none", "/").await;
    let other = redirecting(302, "/none", "/").await;
    let client = signed_in(&server);
    client.get(url(&other, "/presigned")).send().await.unwrap();
    assert_eq!(carried(&other).await, [[false; 3]]);
    client
        .get(url(&server, "/"))
        .anonymous()
        .send()
        .await
        .unwrap();
    assert_eq!(carried(&server).await, [[false; 3]]);
    let error =
        HttpClient::new(quick().with_credentials(Credentials::bearer("canary"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn user_and_password_of_the_address_are_used_and_not_shown() {
    let server = redirecting(302, "/none", "/").await;
    let mut address = Url::parse(&server.uri()).unwrap();
    address.set_username("me").unwrap();
    address.set_password(Some("canary")).unwrap();
    let client = HttpClient::new(quick().with_server(address.clone())).unwrap();
    client.get(address).send().await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers["authorization"], "Basic bWU6Y2FuYXJ5");
    assert!(!format!("{client:?} {:?}", client.options()).contains("canary"));
}

#[tokio::test]
async fn a_post_keeps_its_body_on_its_server_and_goes_nowhere_else() {
    let server = redirecting(301, "/old", "/new").await;
    client()
        .post(url(&server, "/old"))
        .body("text/plain".parse().unwrap(), "search")
        .send()
        .await
        .unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(
        (requests[1].method.as_str(), requests[1].body.as_slice()),
        ("POST", b"search".as_slice())
    );

    let other = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .mount(&other)
        .await;
    let server = redirecting(307, "/old", &format!("{}/new?token=canary", other.uri())).await;
    let error = client()
        .post(url(&server, "/old"))
        .body("text/plain".parse().unwrap(), "search")
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    let place = format!(
        "the server redirects to {}/new?token=***: use that address",
        other.uri()
    );
    assert!(error.to_string().ends_with(&place), "{error}");

    let server = MockServer::start().await;
    let see = ResponseTemplate::new(303).insert_header("location", "/done");
    Mock::given(method("POST"))
        .and(body_string("x"))
        .respond_with(see)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/done"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    client()
        .post(url(&server, "/"))
        .body("text/plain".parse().unwrap(), "x")
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn endless_and_odd_redirects_are_errors() {
    let server = redirecting(302, "/old", "/old").await;
    let error = client().get(url(&server, "/old")).send().await.unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::Unexpected, 1));
    assert_eq!(server.received_requests().await.unwrap().len(), 11);
    let server = redirecting(302, "/old", "file:///etc/passwd").await;
    let error = client().get(url(&server, "/old")).send().await.unwrap_err();
    assert!(
        error.to_string().contains("http or https is needed"),
        "{error}"
    );
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(302))
        .mount(&server)
        .await;
    let error = client().get(url(&server, "/old")).send().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("GET {}/old: server answered 302", server.uri())
    );
}

#[tokio::test]
async fn a_login_page_behind_a_redirect_is_told() {
    let server = MockServer::start().await;
    let away = ResponseTemplate::new(302).insert_header("location", "/login?next=x");
    Mock::given(path("/api"))
        .respond_with(away)
        .mount(&server)
        .await;
    let page =
        ResponseTemplate::new(200).set_body_raw("<html><title>Log in</title></html>", "text/html");
    Mock::given(path("/login"))
        .respond_with(page)
        .mount(&server)
        .await;
    let error = client()
        .get(url(&server, "/api"))
        .json::<serde_json::Value>()
        .await
        .unwrap_err();
    let part = format!(
        "the server answered HTML, not JSON, after a redirect to {}/login?next=x: is this",
        server.uri()
    );
    assert!(error.to_string().contains(&part), "{error}");
}
