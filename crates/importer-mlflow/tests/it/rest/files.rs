//! Files of runs: listed folder by folder, read by the way that leads to them.

use futures::TryStreamExt;
use importer_core::{Finding, Kind, Outcome, RunRef, Source, SourceFile, SourceItem};
use serde_json::{Value as Json, json};
use tracker_model::{Error, ErrorKind, collect_bytes};
use wiremock::{MockServer, ResponseTemplate};

use super::{
    LIST_ARTIFACTS, answer, asked, json_of, opened, query, reply, requests, run, server_with,
};
use crate::read::runs;

/// A server whose one run has these entries in its folders.
async fn with_files(folders: &'static [(&'static str, &'static str)]) -> MockServer {
    let server = server_with("3.17.2", vec![run("a", &[])]).await;
    reply(&server, "GET", LIST_ARTIFACTS, move |r| {
        let folder = query(r, "path").unwrap_or_default();
        let files = folders
            .iter()
            .find(|(name, _)| *name == folder)
            .map(|(_, files)| *files);
        let files: Json = serde_json::from_str(files.unwrap_or("[]")).unwrap();
        json_of(json!({ "root_uri": "mlflow-artifacts:/1/a/artifacts", "files": files }))
    })
    .await;
    server
}

async fn listed(source: &dyn Source) -> (RunRef, Vec<SourceFile>, Vec<Finding>) {
    let run = runs(source).await.0.remove(0);
    let items = source.files(&run).try_collect().await.unwrap();
    let (mut files, findings) = crate::read::split(items);
    files.sort_by(|a: &SourceFile, b| a.draft.name.cmp(&b.draft.name));
    (run, files, findings)
}

async fn bytes(source: &dyn Source, run: &RunRef, file: &SourceFile) -> Result<Vec<u8>, Error> {
    collect_bytes(source.open_file(run, file).await?, 1 << 20).await
}

fn body(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_string(text)
}

#[tokio::test]
async fn folders_empty_files_and_odd_names() {
    let server = with_files(&[
        ("", r#"[{"path":"empty.bin"},{"path":"d é","is_dir":true},{"path":"100%.txt","file_size":"3"}]"#),
        ("d é", r#"[{"path":"d é/plus+&=;.txt","file_size":1},{"path":"d é/e","is_dir":true}]"#),
        ("d é/e", r#"[{"path":"d é/e/f","file_size":1}]"#),
    ])
    .await;
    answer(
        &server,
        "GET",
        "/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts/100%25.txt",
        body("pct"),
    )
    .await;
    let odd = "/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts/d%20%C3%A9/plus+&=;.txt";
    answer(&server, "GET", odd, body("x")).await;
    answer(
        &server,
        "GET",
        "/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts/empty.bin",
        body(""),
    )
    .await;
    let source = opened(&server).await;
    let (run, files, findings) = listed(&*source).await;
    assert!(findings.is_empty(), "{findings:?}");
    let names: Vec<_> = files
        .iter()
        .map(|f| (f.draft.name.as_str(), f.size))
        .collect();
    assert_eq!(
        names,
        [
            ("100%.txt", Some(3)),
            ("d é/e/f", Some(1)),
            ("d é/plus+&=;.txt", Some(1)),
            ("empty.bin", None)
        ]
    );
    assert_eq!(bytes(&*source, &run, &files[0]).await.unwrap(), b"pct");
    assert_eq!(bytes(&*source, &run, &files[2]).await.unwrap(), b"x");
    assert_eq!(bytes(&*source, &run, &files[3]).await.unwrap(), b"");
    assert_eq!(asked(&server, LIST_ARTIFACTS).await, 3);
}

#[tokio::test]
async fn what_the_proxy_refuses_is_asked_for_by_the_other_way() {
    let server = with_files(&[(
        "",
        r#"[{"path":"what?.txt","file_size":2},{"path":"gone","file_size":2}]"#,
    )])
    .await;
    let refused = ResponseTemplate::new(400).set_body_json(json!({ "message": "Invalid path" }));
    answer(
        &server,
        "GET",
        "/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts/what%3F.txt",
        refused,
    )
    .await;
    reply(&server, "GET", "/get-artifact", |r| {
        match query(r, "path").as_deref() {
            Some("what?.txt") => body("ok"),
            _ => ResponseTemplate::new(404),
        }
    })
    .await;
    let source = opened(&server).await;
    let (run, files, _) = listed(&*source).await;
    assert_eq!(bytes(&*source, &run, &files[1]).await.unwrap(), b"ok");
    let error = bytes(&*source, &run, &files[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // Equal for all such files, so that they are counted together.
    assert_eq!(
        error.message(),
        "the server lists the file and does not give it: it answers 404"
    );
}

#[tokio::test]
async fn a_name_that_the_server_would_take_for_another_is_not_asked_for() {
    let server = with_files(&[(
        "",
        r#"[{"path":"a%20b.txt","file_size":3},{"path":"c%2fd","is_dir":true}]"#,
    )])
    .await;
    // The bytes of `a b.txt`.
    answer(&server, "GET", "/get-artifact", body("bad")).await;
    let source = opened(&server).await;
    let (run, files, findings) = listed(&*source).await;
    let error = bytes(&*source, &run, &files[0]).await.unwrap_err();
    assert!(
        error.to_string().contains("decodes the percent signs"),
        "{error}"
    );
    assert_eq!(
        (findings.len(), findings[0].place.as_str()),
        (1, "run a, \"c%2fd\"")
    );
    assert!(
        requests(&server)
            .await
            .iter()
            .all(|r| !r.url.path().contains("artifacts/1"))
    );
}

#[tokio::test]
async fn a_hostile_server_leads_nowhere() {
    let server = with_files(&[
        (
            "",
            r#"[{"path":"../../etc/passwd","file_size":1},{"path":"../up","is_dir":true},{"path":"d","is_dir":true},{"path":""}]"#,
        ),
        ("d", r#"[{"path":"d","is_dir":true},{"path":"elsewhere/x"},{"path":"d/../../x","is_dir":true},{"path":"/etc/x"}]"#),
    ])
    .await;
    let source = opened(&server).await;
    let (run, files, findings) = listed(&*source).await;
    let names: Vec<_> = files.iter().map(|f| f.draft.name.as_str()).collect();
    // The pipeline refuses the name; so does the source.
    assert_eq!(names, ["../../etc/passwd"]);
    assert_eq!(
        bytes(&*source, &run, &files[0]).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(findings.len(), 6, "{findings:#?}");
    assert!(
        findings
            .iter()
            .all(|f| (f.kind, f.outcome) == (Kind::Files, Outcome::Unreadable))
    );
    assert_eq!(asked(&server, LIST_ARTIFACTS).await, 2);
}

#[tokio::test]
async fn a_folder_that_cannot_be_listed_hides_no_others() {
    let server = server_with("3.17.2", vec![run("a", &[])]).await;
    reply(&server, "GET", LIST_ARTIFACTS, |r| {
        match query(r, "path").as_deref() {
            None => {
                json_of(json!({ "files": [{ "path": "bad", "is_dir": true }, { "path": "x" }] }))
            }
            Some(_) => {
                ResponseTemplate::new(500).set_body_json(json!({ "error_code": "INTERNAL_ERROR" }))
            }
        }
    })
    .await;
    let source = opened(&server).await;
    let (_, files, findings) = listed(&*source).await;
    assert_eq!((files.len(), findings.len()), (1, 1));
    assert_eq!(
        findings[0].reason,
        "the server does not list the folder: it answers 500"
    );
}

#[tokio::test]
async fn a_server_that_is_busy_fails_the_listing_for_now() {
    let server = server_with("3.17.2", vec![run("a", &[])]).await;
    answer(&server, "GET", LIST_ARTIFACTS, ResponseTemplate::new(503)).await;
    let source = opened(&server).await;
    let run = runs(&*source).await.0.remove(0);
    let items: Result<Vec<SourceItem<SourceFile>>, _> = source.files(&run).try_collect().await;
    let error = items.unwrap_err();
    assert_eq!(
        (error.kind(), asked(&server, LIST_ARTIFACTS).await),
        (ErrorKind::Unavailable, 4)
    );
}
