use std::error::Error as StdError;

use tracker_http::{Credentials, HttpClient, SecretString, Url};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{RawServer, quick, url};

/// Everything that can be shown of an error, with its causes.
fn shown(error: &tracker_http::Error) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut cause: Option<&dyn StdError> = error.source();
    while let Some(error) = cause {
        shown.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    shown
}

#[tokio::test]
async fn no_secret_is_ever_shown() {
    let server = MockServer::start().await;
    let echo = |request: &wiremock::Request| {
        let sent = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={value:?} {}", value.to_str().unwrap()));
        ResponseTemplate::new(400).set_body_string(sent.collect::<Vec<_>>().join(" "))
    };
    Mock::given(any()).respond_with(echo).mount(&server).await;
    let all = [
        Credentials::basic("someone", "canary"),
        Credentials::bearer("canary"),
        Credentials::Headers(vec![(
            "x-key".parse().unwrap(),
            SecretString::from("canary"),
        )]),
    ];
    for credentials in all {
        assert!(!format!("{credentials:?} {credentials:#?}").contains("canary"));
        let mut address = Url::parse(&server.uri()).unwrap();
        address.set_password(Some("canary")).unwrap();
        let options = quick()
            .with_server(address)
            .with_credentials(credentials.clone());
        assert!(!format!("{options:?} {options:#?}").contains("canary"));
        let client = HttpClient::new(options).unwrap();
        let request = client.get(url(&server, "/a?token=canary&X-Amz-Signature=canary"));
        assert!(!format!("{client:?} {request:?} {:?}", client.options()).contains("canary"));
        let error = request.send().await.unwrap_err();
        assert!(error.to_string().contains("***"), "{error}");
        assert!(!shown(&error).contains("canary"), "{}", shown(&error));
        // The base64 of the user and the password would be as good.
        assert!(
            !shown(&error).contains("c29tZW9uZTpjYW5hcnk"),
            "{}",
            shown(&error)
        );
        let again = client.with_credentials(&credentials).unwrap();
        assert!(!format!("{again:?}").contains("canary"));
    }
}

#[tokio::test]
async fn no_secret_is_shown_of_an_answer_that_is_not_as_expected() {
    for body in ["\"canary\"", "<html><title>canary</title>"] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200).set_body_string(body))
            .mount(&server)
            .await;
        let options = quick().with_server(Url::parse(&server.uri()).unwrap());
        let client =
            HttpClient::new(options.with_credentials(Credentials::bearer("canary"))).unwrap();
        let error = client
            .get(url(&server, "/"))
            .json::<u64>()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("***"), "{error}");
        assert!(!shown(&error).contains("canary"), "{}", shown(&error));
    }
}

#[tokio::test]
async fn nothing_but_the_server_is_shown_of_a_sensitive_address() {
    let server = RawServer::start(|_, _| Vec::new()).await;
    let client = HttpClient::new(quick()).unwrap();
    for host in [
        server.url.clone(),
        Url::parse("https://127.0.0.1:1/").unwrap(),
    ] {
        let request = client
            .get(host.join("/canary/canary?canary=canary").unwrap())
            .sensitive();
        assert!(!format!("{request:?}").contains("canary"));
        let error = request.send().await.unwrap_err();
        assert!(error.to_string().contains("/…: "), "{error}");
        assert!(!shown(&error).contains("canary"), "{}", shown(&error));
    }
}
