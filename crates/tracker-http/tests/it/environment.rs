//! What the environment decides: the tests run themselves again in another one.

use std::process::Stdio;

use tokio::process::Command;
use tracker_http::Url;

use crate::support::{RawServer, answer, client};

/// Runs an ignored test of this file with these variables.
async fn run(test: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.args([
        "--exact",
        &format!("environment::{test}"),
        "--ignored",
        "--nocapture",
    ]);
    command
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    text
}

#[tokio::test]
#[ignore = "run by another test"]
async fn gets_the_address() {
    let url = Url::parse(&std::env::var("TEST_ADDRESS").unwrap()).unwrap();
    assert_eq!(client().get(url).text_limited(10).await.unwrap(), "here");
}

#[tokio::test]
#[ignore = "run by another test"]
async fn gets_no_secure_address() {
    let error = client()
        .get(Url::parse("https://127.0.0.1:1/").unwrap())
        .send()
        .await
        .unwrap_err();
    println!("{error}");
}

async fn server() -> RawServer {
    RawServer::start(|_, _| answer("200 OK", &[("content-length", "4")], b"here")).await
}

#[tokio::test]
async fn a_machine_without_certificates_can_talk_to_servers_without_tls() {
    let server = server().await;
    let nowhere = [
        ("SSL_CERT_FILE", "/dev/null"),
        ("SSL_CERT_DIR", "/no/such/folder"),
    ];
    let variables = [
        nowhere[0],
        nowhere[1],
        ("TEST_ADDRESS", server.url.as_str()),
    ];
    run("gets_the_address", &variables).await;
    let text = run("gets_no_secure_address", &nowhere).await;
    assert!(
        text.contains("GET https://127.0.0.1:1/: no connection to 127.0.0.1:1"),
        "{text}"
    );
}

#[tokio::test]
async fn proxies_come_from_the_environment() {
    let proxy = server().await;
    let proxy_url = proxy.url.as_str().strip_suffix("/file").unwrap();
    let variables = [
        ("HTTP_PROXY", proxy_url),
        ("http_proxy", proxy_url),
        ("TEST_ADDRESS", "http://tracker.invalid/x"),
    ];
    run("gets_the_address", &variables).await;
    let requests = proxy.requests.lock().unwrap().clone();
    assert!(
        requests[0].starts_with("GET http://tracker.invalid/x HTTP/1.1"),
        "{requests:?}"
    );
    // Not for hosts that are excepted.
    let server = server().await;
    let variables = [
        ("http_proxy", proxy_url),
        ("no_proxy", "127.0.0.1"),
        ("TEST_ADDRESS", server.url.as_str()),
    ];
    run("gets_the_address", &variables).await;
    assert_eq!(server.requests.lock().unwrap().len(), 1);
}
