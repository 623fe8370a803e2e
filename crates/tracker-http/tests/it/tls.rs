use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tracker_http::{Error, ErrorKind, HttpClient, Result, Retry, TlsOptions, Url};

use crate::support::{RawServer, answer, quick, serve};

/// A file that was made for these tests: authorities, and certificates signed by the first one.
fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/tls")
        .join(name)
}

/// A server for `localhost` and 127.0.0.1 which may want to know who asks.
async fn server(wants_client: bool) -> (Url, Arc<Mutex<Vec<String>>>) {
    let builder = ServerConfig::builder();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(pem("ca.pem")).unwrap())
            .unwrap();
        builder
            .with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_file(pem("server.pem")).unwrap()];
    let config = builder
        .with_single_cert(
            chain,
            PrivateKeyDer::from_pem_file(pem("server.key.pem")).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            if let Ok(socket) = acceptor.accept(socket).await {
                serve(socket, &kept, &|_, _: &str| {
                    answer("200 OK", &[("content-length", "4")], b"safe")
                })
                .await;
            } else {
                kept.lock().unwrap().push("refused".to_owned());
            }
        }
    });
    (url, seen)
}

async fn get(url: &Url, tls: TlsOptions) -> Result<String> {
    HttpClient::new(quick().with_tls(tls))?
        .get(url.clone())
        .text_limited(10)
        .await
}

#[tokio::test]
async fn an_unknown_authority_is_told_at_once() {
    let (url, seen) = server(false).await;
    let without = TlsOptions::default();
    let other = TlsOptions::default().with_ca_bundle(pem("other-ca.pem"));
    for tls in [without, other] {
        let error = get(&url, tls).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry(), error.tries()),
            (ErrorKind::Tls, Retry::Never, 1)
        );
        let expected = format!(
            "GET {url}: the server is not to be trusted: \
             its certificate is signed by an authority that is not trusted here"
        );
        assert_eq!(error.to_string(), expected);
    }
    assert!(seen.lock().unwrap().iter().all(|seen| seen == "refused"));
}

#[tokio::test]
async fn a_given_authority_is_trusted() {
    let (url, _) = server(false).await;
    for tls in [
        TlsOptions::default().with_ca_bundle(pem("ca.pem")),
        TlsOptions::default().with_extra_ca_bundle(pem("ca.pem")),
        TlsOptions::default()
            .with_ca_bundle(pem("other-ca.pem"))
            .with_extra_ca_bundle(pem("ca.pem")),
        TlsOptions::default().with_insecure(true),
    ] {
        assert_eq!(get(&url, tls.clone()).await.unwrap(), "safe", "{tls:?}");
    }
}

#[tokio::test]
async fn the_name_must_be_right() {
    let (mut url, _) = server(false).await;
    // Another address of the same machine, which the certificate does not name.
    url.set_host(Some("127.0.0.2")).unwrap();
    let listener = TcpListener::bind(("127.0.0.2", 0)).await;
    if listener.is_err() {
        return;
    }
    let to = url.port().unwrap();
    let listener = listener.unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port()))
        .unwrap();
    tokio::spawn(async move {
        let (mut from, _) = listener.accept().await.unwrap();
        let mut to = tokio::net::TcpStream::connect(("127.0.0.1", to))
            .await
            .unwrap();
        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
    });
    let error = get(&url, TlsOptions::default().with_ca_bundle(pem("ca.pem")))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::Tls, 1));
    assert!(
        error
            .to_string()
            .ends_with("its certificate is for another name"),
        "{error}"
    );
}

#[tokio::test]
async fn our_own_certificate() {
    let (url, _) = server(true).await;
    let tls = TlsOptions::default().with_ca_bundle(pem("ca.pem"));
    assert_eq!(
        get(
            &url,
            tls.clone().with_client_identity(pem("client-identity.pem"))
        )
        .await
        .unwrap(),
        "safe"
    );
    let error = get(&url, tls).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.tries()),
        (ErrorKind::Tls, 1),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_told() {
    let server = RawServer::start(|_, _| answer("200 OK", &[], b"")).await;
    let plain = tokio::spawn(async move {
        // It reads what is no request to it, and answers.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let bad = answer("400 Bad Request", &[("content-length", "0")], b"");
                tokio::io::AsyncWriteExt::write_all(&mut socket, &bad)
                    .await
                    .unwrap();
            }
        });
        address
    });
    drop(server);
    let url = Url::parse(&format!("https://{}/", plain.await.unwrap())).unwrap();
    let error = get(&url, TlsOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::Tls, 1));
    assert!(
        error
            .to_string()
            .ends_with("it does not speak TLS: is it http instead of https?"),
        "{error}"
    );
}

#[track_caller]
fn check(tls: TlsOptions, kind: ErrorKind, message: &str) {
    let error: Error = HttpClient::new(quick().with_tls(tls)).unwrap_err();
    assert_eq!(error.kind(), kind);
    assert!(error.to_string().contains(message), "{error}");
    assert!(!format!("{error:?}").contains("PRIVATE KEY"));
}

#[test]
fn files_that_cannot_be_used_are_told() {
    let none = || TlsOptions::default();
    check(
        none().with_ca_bundle("no/such.pem"),
        ErrorKind::Tls,
        "read the CA bundle no/such.pem: No such file",
    );
    check(
        none().with_extra_ca_bundle("no/such.pem"),
        ErrorKind::Tls,
        "read the CA bundle no/such.pem: ",
    );
    check(
        none().with_client_identity("no/such.pem"),
        ErrorKind::Tls,
        "read the client certificate no/such.pem: ",
    );
    check(
        none().with_ca_bundle(pem("")),
        ErrorKind::Tls,
        "it is a folder",
    );
    check(
        none().with_ca_bundle(pem("server.key.pem")),
        ErrorKind::Tls,
        "there is no certificate in it",
    );
    check(
        none().with_client_identity(pem("client.pem")),
        ErrorKind::Tls,
        "a certificate and its private key is needed",
    );
    check(
        none().with_insecure(true).with_ca_bundle(pem("ca.pem")),
        ErrorKind::InvalidInput,
        "exclude each other",
    );
}
